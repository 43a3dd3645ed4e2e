"""Agents that ask a real server, one or many at once."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
from support.server import RunningServer

SUBMIT = "/api/v1/requests"


def submit(server: RunningServer, **more: Any) -> httpx2.Response:
    """Ask; whatever the server answers."""
    with server.http() as agent:
        return agent.post(SUBMIT, json={"message": "Go on?", **more}, timeout=120)


def ask(server: RunningServer, **more: Any) -> str:
    """Ask; the id of the request."""
    reply = submit(server, **more)
    assert reply.status_code == 201, reply.text
    return reply.json()["id"]


def submit_many(server: RunningServer, count: int) -> tuple[list[httpx2.Response], float]:
    """So many at once, each on its own; the answers, and the seconds until the last of them."""
    began = time.monotonic()
    with ThreadPoolExecutor(count) as pool:
        replies = list(pool.map(lambda _: submit(server), range(count)))
    return replies, time.monotonic() - began


def all_requests(server: RunningServer) -> dict[str, Any]:
    """All requests by their ids."""
    found: dict[str, Any] = {}
    after: dict[str, Any] | None = {}
    with server.http() as agent:
        while after is not None:
            page = agent.get(SUBMIT, params={"limit": 200, **after}).json()
            found |= {each["id"]: each for each in page["items"]}
            after = None if page["next"] is None else {"after": page["next"]}
    return found
