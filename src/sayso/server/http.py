"""One call and its reply, whichever layer took it in.

An endpoint is a function `(Call) -> Reply`. The dispatcher in front, the Starlette routes behind
it and the WebSocket stream all make calls, so each operation is written once.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeAlias, TypeVar
from urllib.parse import parse_qs

from starlette.types import Message, Receive, Send

from sayso import codec
from sayso.domain.accounts import Power, Principal
from sayso.domain.requests import Request
from sayso.errors import InvalidRequestError, SaysoError, TooLargeError
from sayso.server.server import Server
from sayso.server.throttle import caller_address

T = TypeVar("T")
Header: TypeAlias = tuple[bytes, bytes]

_JSON: tuple[Header, ...] = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)
_PLAIN_QUERY = re.compile(rb"([a-z_]+)=([0-9A-Za-z._-]+)")
"""One parameter without escapes, as nearly all queries are: needs no parser."""


class HungUpError(Exception):
    """The caller went away before it had said everything; there is nobody to answer."""


class Call:
    """One operation that somebody asks for.

    Attributes:
        server: what it runs on.
        principal: who asks, as authentication knows them.
        params: the parts of the path.
        headers: by lower-case name.
        body: as received, once it was read.
        receive: ASGI's, by which the rest of the body and the hang-up are told; None where
            whoever made the call tells of a hang-up by `hang_up`, and the body is complete.
        gone: the caller has hung up.
        ended: why what is held for the caller is held no longer.
        peer: the address that the connection comes from.
    """

    __slots__ = (
        "_held",
        "_query",
        "body",
        "ended",
        "gone",
        "headers",
        "params",
        "peer",
        "principal",
        "query_string",
        "receive",
        "server",
    )

    def __init__(
        self,
        server: Server,
        principal: Principal,
        *,
        params: Mapping[str, str],
        headers: Mapping[bytes, bytes],
        query_string: bytes = b"",
        body: bytes = b"",
        receive: Receive | None = None,
        peer: str = "",
    ) -> None:
        self.peer = peer
        self.server = server
        self.principal = principal
        self.params = params
        self.headers = headers
        self.query_string = query_string
        self.body = body
        self.receive = receive
        self.gone = False
        self.ended: SaysoError | None = None
        self._query: dict[str, list[str]] | None = None
        self._held: asyncio.Task[Any] | None = None

    @property
    def seen_by(self) -> Principal | None:
        """Through whose eyes to look; None for those who may see everything."""
        return None if self.principal.may(Power.READ) else self.principal

    @property
    def address(self) -> str:
        """The address of whoever calls, past the proxies that are ours."""
        trusted = self.server.settings.trusted_proxies
        if not trusted:
            return self.peer
        forwarded = self.headers.get(b"x-forwarded-for", b"").decode("latin-1")
        return caller_address(self.peer, forwarded, trusted)

    @property
    def traceparent(self) -> str | None:
        """The span that calls, as it says itself."""
        sent = self.headers.get(b"traceparent")
        return None if sent is None else sent.decode("latin-1")

    @property
    def agent(self) -> str:
        """The program that calls, as it calls itself."""
        return self.headers.get(b"user-agent", b"").decode("latin-1")

    def decode(self, record: type[T]) -> T:
        """The body as a `record`.

        Raises:
            InvalidRequestError: it is not JSON, or does not fit.
        """
        return codec.decode(record, self.body)

    @property
    def query(self) -> dict[str, list[str]]:
        """The query parameters, each with all its values."""
        if self._query is None:
            plain = _PLAIN_QUERY.fullmatch(self.query_string)
            if plain is not None:
                self._query = {plain[1].decode(): [plain[2].decode()]}
                return self._query
            try:
                self._query = parse_qs(
                    self.query_string.decode("utf-8"), errors="strict", max_num_fields=50
                )
            except ValueError as error:
                raise InvalidRequestError(f"The query cannot be read: {error}.") from None
        return self._query

    def one(self, name: str) -> str | None:
        """The query parameter `name`, or None; given twice it is refused."""
        values = self.query.get(name)
        if values is None:
            return None
        if len(values) > 1:
            raise bad_parameter(name, "It is given more than once.")
        if "\0" in values[0]:
            raise bad_parameter(name, "It has a NUL character.")
        return values[0]

    def flag(self, name: str) -> bool:
        """Whether the query parameter `name` is set: `1` or `true`."""
        text = self.one(name) or "0"
        if text not in ("0", "1", "false", "true"):
            raise bad_parameter(name, f"{text[:40]!r} is neither 'true' nor 'false'.")
        return text in ("1", "true")

    def number(self, name: str, default: float, *, low: float, high: float) -> float:
        """The query parameter `name` as a number within bounds."""
        text = self.one(name)
        if text is None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise bad_parameter(name, f"{text[:40]!r} is not a number from {low:g} to {high:g}.")
        return value

    def count(self, name: str, default: int, *, low: int, high: int) -> int:
        """The query parameter `name` as a whole number within bounds."""
        value = self.number(name, default, low=low, high=high)
        if value != int(value):
            raise bad_parameter(name, f"{value:g} is not a whole number.")
        return int(value)

    async def read_body(self, limit: int) -> None:
        """Take in the whole body, refused as soon as it is known to be too large.

        Raises:
            TooLargeError: it is larger than `limit` bytes.
            HungUpError: the caller went away in the middle: half a body is no body.
        """
        if self.receive is not None:
            self.body = await _read_body(self.receive, self.headers, limit)
        elif len(self.body) > limit:
            raise _too_large(limit)

    def given_up_when_gone(self) -> AbstractContextManager[None]:
        """Cancel the current task when the caller hangs up, so that nothing is held for nobody."""
        return _GivenUpWhenGone(self)

    def hold(self, task: asyncio.Task[Any] | None) -> None:
        """What to cancel when the caller hangs up; None for nothing."""
        self._held = task
        if task is not None and self.gone:  # since before it came here
            self.hang_up()

    def hang_up(self) -> None:
        """The caller has gone: give up what is held for it; what is being done is done."""
        self.gone = True
        if self._held is not None:
            self._held.cancel()

    def end(self, error: SaysoError) -> None:
        """Hold nothing more for the caller, who is told the error."""
        if self._held is not None and not self.gone:
            self.ended = error
            self._held.cancel()


class _GivenUpWhenGone:
    """A block; ten thousand may be open at once, so it is no generator."""

    __slots__ = ("_call", "_watcher")

    def __init__(self, call: Call) -> None:
        self._call = call
        self._watcher: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        call = self._call
        call.hold(asyncio.current_task())
        if call.receive is not None:
            self._watcher = asyncio.ensure_future(self._watch(call.receive))

    def __exit__(self, *_: object) -> None:
        self._call.hold(None)
        if self._watcher is not None:
            self._watcher.cancel()

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._call.hang_up()


class Reply:
    """A status, a body and headers."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, body: bytes, headers: Sequence[Header] = _JSON) -> None:
        self.status = status
        self.body = body
        self.headers = headers

    async def send(self, send: Send) -> None:
        """Send it whole."""
        headers = [*self.headers, (b"content-length", b"%d" % len(self.body))]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


Endpoint: TypeAlias = Callable[[Call], Awaitable[Any]]
"""Takes a `Call`, returns a `Reply` or anything else with `send`."""


def joined(lines: Collection[Header]) -> dict[bytes, bytes]:
    """Headers by name; what comes in several lines is one list (RFC 9110, 5.2)."""
    found = dict(lines)
    if len(found) == len(lines):
        return found
    found.clear()
    for name, value in lines:
        between = b"; " if name == b"cookie" else b", "  # RFC 9113, 8.2.3
        found[name] = found[name] + between + value if name in found else value
    return found


def json_reply(status: int, record: Any, *headers: Header) -> Reply:
    """A record, or plain data, as JSON."""
    body = codec.encode_request(record) if type(record) is Request else codec.encode(record)
    return Reply(status, body, (*_JSON, *headers) if headers else _JSON)


def redirect(location: str, *headers: Header) -> Reply:
    """Go there with a GET."""
    return Reply(303, b"", ((b"location", location.encode()), *headers))


def bad_parameter(name: str, message: str) -> InvalidRequestError:
    """A query parameter that cannot be used."""
    return InvalidRequestError(
        f"The parameter {name!r} cannot be used: {message}",
        errors=({"at": f"?{name}", "message": message},),
    )


async def _read_body(receive: Receive, headers: Mapping[bytes, bytes], limit: int) -> bytes:
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length) > limit:
        raise _too_large(limit)
    message = await _next_part(receive)
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        if len(body) > limit:
            raise _too_large(limit)
        return body
    parts, size = [body], len(body)
    while message.get("more_body", False):
        message = await _next_part(receive)
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
    return b"".join(parts)


async def _next_part(receive: Receive) -> Message:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise HungUpError
    return message


def _too_large(limit: int) -> TooLargeError:
    return TooLargeError(
        f"The body is larger than {limit} bytes.", hint="Send a link to what is large."
    )
