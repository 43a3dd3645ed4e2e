"""HTTP/1.1 connections for the load generator: one request at a time, the least parsing there is.

They know what both servers send (a `content-length` in lower case, no chunks) and nothing else.
"""

import asyncio
import json
from collections.abc import Callable

from bench.questions import question

OnReply = Callable[[int, bytes], None]
"""Takes the status (0: the connection was lost) and the body."""

_LENGTH = b"content-length: "
_PATH = "/api/v1/requests"


class Connection(asyncio.Protocol):
    """One connection; `ask` again as soon as the reply has come."""

    __slots__ = ("_on_reply", "_part", "_transport")

    def __init__(self) -> None:
        self._on_reply: OnReply | None = None
        self._part = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def ask(self, request: bytes, on_reply: OnReply) -> None:
        """Send a request; `on_reply` is called with what comes back."""
        self._on_reply = on_reply
        if self._transport is None:
            on_reply(0, b"not connected")
        else:
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._part:
            data = self._part + data
        head = data.find(b"\r\n\r\n")
        at = data.find(_LENGTH, 0, head) + len(_LENGTH)
        end = head + 4 + int(data[at : data.find(b"\r", at)]) if head > 0 else len(data) + 1
        if len(data) < end:
            self._part = data
            return
        self._part = b""
        on_reply, self._on_reply = self._on_reply, None
        if on_reply is not None:
            on_reply(int(data[9:12]), data[head + 4 : end])

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._on_reply is not None:
            self._on_reply(0, b"connection lost: " + str(exc).encode())

    def close(self) -> None:
        """Hang up."""
        self._on_reply = None
        if self._transport is not None:
            self._transport.abort()


async def connect(port: int, count: int) -> list[Connection]:
    """Open connections, some hundreds at a time, since a listening queue is not endless."""
    loop = asyncio.get_running_loop()
    opened: list[Connection] = []
    while len(opened) < count:
        some = (
            loop.create_connection(Connection, "127.0.0.1", port)
            for _ in range(min(256, count - len(opened)))
        )
        opened += [connection for _, connection in await asyncio.gather(*some)]
    return opened


class Wire:
    """The requests, ready to be sent.

    Args:
        port: of the server.
        bearer: a person's token, for deciding; empty if none is asked for.
        key: an agent's, for everything else; likewise.
    """

    def __init__(self, port: int, bearer: str, key: str = "") -> None:
        self._host = f"Host: 127.0.0.1:{port}\r\n".encode()
        kind = b"Content-Type: application/json\r\n"
        self._person = self._host + kind
        if key:
            self._host += f"Authorization: Bearer {key}\r\n".encode()
        self._json = self._host + kind
        if bearer:
            self._person += f"Authorization: Bearer {bearer}\r\n".encode()
        self.submits = [
            self._post(_PATH.encode(), self._json, question(number)) for number in range(64)
        ]
        self._decision = json.dumps({"type": "approve", "reason": "Looks right."}).encode()

    def wait(self, request_id: bytes) -> bytes:
        """Wait for the decision, for a minute."""
        path = b"%b/%b?wait=60" % (_PATH.encode(), request_id)
        return b"GET %b HTTP/1.1\r\n%b\r\n" % (path, self._host)

    def decide(self, request_id: bytes) -> bytes:
        """Approve, as a person."""
        path = b"%b/%b/decision" % (_PATH.encode(), request_id)
        return self._post(path, self._person, self._decision)

    def submits_with(self, extra: dict[str, str]) -> list[bytes]:
        """Submits with further fields."""
        bodies = (json.loads(question(number)) | extra for number in range(64))
        return [self._post(_PATH.encode(), self._json, json.dumps(b).encode()) for b in bodies]

    def look(self) -> bytes:
        """Read `/`."""
        return b"GET / HTTP/1.1\r\n%b\r\n" % self._host

    @staticmethod
    def _post(path: bytes, headers: bytes, body: bytes) -> bytes:
        return b"POST %b HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n%b" % (
            path,
            headers,
            len(body),
            body,
        )


def id_of(body: bytes) -> bytes:
    """The id in a reply."""
    start = body.find(b'"id":"') + 6
    return body[start : body.find(b'"', start)]
