"""HTTP as our clients do it: what passes by itself is tried again, with the same key."""

import asyncio
import random
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import httpx2
import msgspec
from msgspec import Struct

from sayso.client.retrying import Retrying
from sayso.client.steps import Lost, Reply
from sayso.client.transport import lost
from soak.ledger import Json, Ledger, Outage, Waited

REQUESTS = "/api/v1/requests"
CALL_SECONDS = 10.0
"""After which a call that is not a wait goes to somebody else: a paused server keeps silent."""
HELD_SECONDS = 30.0
"""How much longer than asked for a wait is listened to."""


class Answer(Struct, frozen=True):
    """What came in the end, and of how many tries."""

    status: int
    body: Json
    tries: int
    sent_at: float
    told_at: float

    @property
    def first_try(self) -> bool:
        """Whether nothing went wrong on the way."""
        return self.tries == 1


class Caller:
    """Calls any of the servers, as through a load balancer, until one answers.

    Args:
        urls: the servers.
        token: a person's.
        ledger: where outages and waits are noted.
    """

    def __init__(self, urls: Sequence[str], token: str, ledger: Ledger) -> None:
        self._urls = urls
        self._ledger = ledger
        self._person = {"Authorization": f"Bearer {token}"}
        self._retrying = Retrying(longest_pause=1.0, chance=random.random)
        self._http = httpx2.AsyncClient(
            verify=False,
            trust_env=False,
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=100),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def call(
        self, method: str, path: str, body: Any = None, *, key: str = "", as_person: bool = False
    ) -> Answer:
        """Ask until an answer is final; for ever, if need be."""
        headers = {"Idempotency-Key": key} if key else {}
        headers |= self._person if as_person else {}
        failures = 0
        first_failure = 0.0
        server = ""
        while True:
            sent_at = time.monotonic()
            server = self._another(server)
            reply = await self._send(method, server + path, body, headers, CALL_SECONDS)
            pause = self._retrying.pause(reply, failures)
            told_at = time.monotonic()
            if pause is None:
                assert isinstance(reply, Reply)
                if failures:
                    self._ledger.note(Outage(f"{method} {_shape(path)}", told_at - first_failure))
                told = msgspec.json.decode(reply.content)
                return Answer(reply.status, told, failures + 1, sent_at, told_at)
            first_failure = first_failure or sent_at
            failures += 1
            await asyncio.sleep(pause)

    async def wait_for_end(self, request_id: str, seconds: float) -> Answer:
        """Hold one wait after the other until the request is closed."""
        failures = 0
        server = ""
        while True:
            server = self._another(server)
            began_at = time.monotonic()
            self._ledger.hold(1)
            try:
                url = f"{server}{REQUESTS}/{request_id}?wait={seconds:.3f}"
                reply = await self._send("GET", url, None, {}, seconds + HELD_SECONDS)
            finally:
                self._ledger.hold(-1)
            ended_at = time.monotonic()
            pause = self._retrying.pause(reply, failures)
            told: Json = {}
            if pause is None:
                assert isinstance(reply, Reply)
                told = msgspec.json.decode(reply.content)
            self._ledger.note(
                Waited(
                    request_id,
                    server,
                    seconds,
                    began_at,
                    ended_at,
                    str(told.get("status", "")),
                    told.get("decision"),
                )
            )
            if pause is None and told["status"] != "pending":
                return Answer(reply.status, told, failures + 1, began_at, ended_at)
            early = ended_at - began_at < seconds / 2  # it stops: it would say the same at once
            failures = failures + 1 if pause is not None or early else 0
            await asyncio.sleep(pause if pause is not None else self._retrying.backoff(0) * early)

    def _another(self, last: str) -> str:
        """Any server, but not the one that was just asked, if there is another."""
        return random.choice([url for url in self._urls if url != last] or self._urls)

    async def _send(
        self, method: str, url: str, body: Any, headers: dict[str, str], seconds: float
    ) -> Reply | Lost:
        timeout = httpx2.Timeout(CALL_SECONDS, read=seconds, pool=None)
        try:
            response = await self._http.request(
                method, url, json=body, headers=headers, timeout=timeout
            )
        except httpx2.RequestError as error:
            return lost(error)
        return Reply(
            status=response.status_code, headers=response.headers, content=response.content
        )


def _shape(path: str) -> str:
    """A path without its id."""
    parts = path.partition("?")[0].split("/")
    return "/".join("ID" if len(part) == 36 else part for part in parts)
