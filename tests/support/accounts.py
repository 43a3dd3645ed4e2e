"""Accounts at a server: made by an admin, signed in with a password, with keys of their own."""

import itertools
from types import TracebackType
from typing import Any, Self

import httpx2
from support.server import RunningServer

PASSWORD = "correct horse battery"
_numbers = itertools.count(1)


class Account:
    """Somebody who signs in with a user name and a password, as a program does."""

    def __init__(self, server: RunningServer, username: str, password: str = PASSWORD) -> None:
        self.server = server
        self.username = username
        with server.http() as nobody:
            reply = nobody.post(
                "/api/auth/login", json={"username": username, "password": password}
            )
        assert reply.status_code == 200, reply.text
        self.token: str = reply.json()["token"]
        self.id: str = reply.json()["user_id"]
        self.http = server.http(self.token)

    def key(self, **wishes: Any) -> dict[str, Any]:
        """A new key."""
        reply = self.http.post("/api/v1/keys", json=wishes)
        assert reply.status_code == 201, reply.text
        return reply.json()

    def agent(self, **wishes: Any) -> httpx2.Client:
        """A program with a new key of theirs."""
        return self.server.http(self.key(**wishes)["key"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.http.close()


def new_name() -> str:
    """A user name that nobody has."""
    return f"user{next(_numbers)}"


def add_account(server: RunningServer, role: str = "member", **more: Any) -> Account:
    """Somebody whom an admin has just added."""
    username = new_name()
    with server.http(server.sign_in()) as admin:
        body = {"username": username, "password": PASSWORD, "role": role, **more}
        reply = admin.post("/api/v1/users", json=body)
        assert reply.status_code == 201, reply.text
    return Account(server, username)


def ask(http: httpx2.Client, **more: Any) -> str:
    """Submit a request; its id."""
    reply = http.post("/api/v1/requests", json={"message": "Go on?", **more})
    assert reply.status_code == 201, reply.text
    return reply.json()["id"]
