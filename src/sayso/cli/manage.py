"""By which road a command manages accounts: over HTTP, or on the database itself."""

import asyncio
import contextlib
import getpass
import os
import sys
from collections.abc import Generator, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlencode

import httpx2
import msgspec

from sayso import settings
from sayso.cli.remote import Remote
from sayso.client import transport
from sayso.client.protocol import Protocol as Wire
from sayso.client.steps import Lost, Method, Reply, Send
from sayso.errors import ConfigurationError, MissingExtraError, SaysoError, UsageError
from sayso.links import load_secret, make_link_token

_TIMEOUT = 30.0
_LOCAL = "http://localhost"


class Manager(Protocol):
    """Calls the native API."""

    def call(self, method: Method, path: str, body: Any = None) -> Any:
        """What it answers, as plain data.

        Raises:
            SaysoError: it refuses.
        """
        ...


@contextlib.contextmanager
def managing(remote: Remote, data: Path | None, *, create: bool = False) -> Generator[Manager]:
    """As whoever `$SAYSO_API_KEY` or `$SAYSO_TOKEN` names; else as the one who holds the secret.

    With a server's address it goes there. Without one, and without a credential, it goes to the
    configured database, or if a server holds that for itself, to the server.

    Args:
        remote: the server's address, if one was given.
        data: the data folder, if one was given.
        create: whether a database is made where there is none.
    """
    token = os.environ.get("SAYSO_API_KEY") or os.environ.get("SAYSO_TOKEN")
    with contextlib.ExitStack() as stack:
        if token or remote.url or os.environ.get("SAYSO_URL"):
            yield stack.enter_context(_over_http(remote, data, token))
            return
        try:
            manager = stack.enter_context(_inside(data, create=create))
        except ConfigurationError as error:
            if error.reason_code != "database_in_use":
                raise
            manager = stack.enter_context(_over_http(remote, data, None))
        yield manager


@contextlib.contextmanager
def as_nobody(remote: Remote) -> Generator[Manager]:
    """Over HTTP, without a credential."""
    wire = Wire(remote.url)
    wire.token = None
    with contextlib.closing(_OverHttp(wire)) as manager:
        yield manager


def names_of(manager: Manager, items: Iterable[Any], field: str = "owner") -> dict[str, str]:
    """User names by the ids in `items`, as far as whoever asks may know them."""
    me = manager.call("GET", path_of("me"))
    known: dict[str, str] = {me["id"]: me["name"]}
    if "manage" in me["powers"] and any(item[field] not in known for item in items):
        users = manager.call("GET", path_of("users"))["items"]
        known |= {user["id"]: user["username"] for user in users}
    return known


def path_of(*parts: str, **query: str | None) -> str:
    """`/api/v1/` and the parts, each escaped, with the query parameters that are not None."""
    if not all(parts):
        raise UsageError("An empty name names nothing.")
    path = "/".join(("/api/v1", *(quote(part, safe="") for part in parts)))
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


def read_password(prompt: str = "Password: ", *, twice: bool = False) -> str:
    """From the terminal, without showing it; without a terminal the first line of the input.

    Raises:
        UsageError: there is none, or the second one is another.
    """
    if not sys.stdin.isatty():
        password = sys.stdin.readline().removesuffix("\n").removesuffix("\r")
        if not password:
            raise UsageError("There is no password on the standard input.")
        return password
    password = getpass.getpass(prompt)
    if twice and getpass.getpass("The same again: ") != password:
        raise UsageError("These were two different passwords.")
    return password


class _OverHttp:
    """A server's API."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._http = httpx2.Client(**transport.settings(wire))

    def call(self, method: Method, path: str, body: Any = None) -> Any:
        """One call."""
        send = _send(method, path, body)
        answer: Reply | Lost
        try:
            given = transport.arguments(self._http, self._wire, send, _TIMEOUT)
            answer = transport.reply(self._http.request(**given))
        except httpx2.RequestError as error:
            answer = transport.lost(error)
        return msgspec.json.decode(self._wire.accept(answer).content)

    def close(self) -> None:
        """Let the connections go."""
        self._http.close()


class _Inside:
    """The API of an application in this process."""

    def __init__(self, runner: asyncio.Runner, http: httpx2.AsyncClient, wire: Wire) -> None:
        self._runner = runner
        self._http = http
        self._wire = wire

    def call(self, method: Method, path: str, body: Any = None) -> Any:
        """One call."""
        send = _send(method, path, body)
        given = transport.arguments(self._http, self._wire, send, _TIMEOUT)

        async def ask() -> Reply:
            return transport.reply(await self._http.request(**given))

        return msgspec.json.decode(self._wire.accept(self._runner.run(ask())).content)


@contextlib.contextmanager
def _over_http(remote: Remote, data: Path | None, token: str | None) -> Generator[Manager]:
    wire = Wire(remote.url, token=token)
    manager = _OverHttp(wire)
    with contextlib.closing(manager):
        if token is None:
            secret = _secret(data, remote)
            with _signed_in(manager, wire, make_link_token(secret, datetime.now(UTC))):
                yield manager
        else:
            yield manager


def _secret(data: Path | None, remote: Remote) -> bytes:
    """The server's own, by which a session is begun."""
    try:
        return load_secret(settings.load(data=data).secret_path, create=False)
    except ConfigurationError as error:
        if remote.url is None and os.environ.get("SAYSO_URL"):
            error.hint += " Or unset SAYSO_URL: then the data folder itself is used."
        raise


@contextlib.contextmanager
def _inside(data: Path | None, *, create: bool) -> Generator[Manager]:
    try:
        from sayso.server import inside
        from sayso.wiring import database_file
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in {"", "sayso"}:
            raise
        raise MissingExtraError(package, "server") from error
    chosen = settings.load(data=data)
    if chosen.memory:
        raise UsageError(
            "What is kept in memory is the server's own.",
            hint="Name the running server with --url, and sign in: set SAYSO_TOKEN.",
        )
    file = database_file(chosen)
    if file is not None and not create and not file.exists():
        raise UsageError(
            f"There is no Sayso database at {str(file)!r}.",
            hint="Name the server's data folder with --data, or the server with --url.",
        )
    with asyncio.Runner() as runner:
        stack = contextlib.AsyncExitStack()
        app, link_token = runner.run(stack.enter_async_context(inside.opened(chosen)))
        try:
            wire = Wire(_LOCAL)
            http = httpx2.AsyncClient(
                transport=httpx2.ASGITransport(app), **transport.settings(wire)
            )
            manager = _Inside(runner, http, wire)
            with _signed_in(manager, wire, link_token):
                yield manager
        finally:
            runner.run(stack.aclose())


@contextlib.contextmanager
def _signed_in(manager: Manager, wire: Wire, link_token: str) -> Generator[None]:
    """A session for as long as the command takes."""
    wire.token = None
    wire.token = manager.call("POST", "/api/auth/link", {"token": link_token})["token"]
    try:
        yield
    finally:
        with contextlib.suppress(SaysoError):
            manager.call("DELETE", path_of("logins", "this"))


def _send(method: Method, path: str, body: Any) -> Send:
    content = None if body is None else msgspec.json.encode(body)
    return Send(method=method, path=path, content=content)
