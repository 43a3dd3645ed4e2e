"""HTTP over bare sockets, for what no decent client sends, and for very many at once."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncGenerator
from typing import Any

Address = tuple[str, int]


def head(method: str, path: str, port: int, *headers: str, host: str | None = None) -> bytes:
    """A request's head; without `host`, for the server's own name."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host or f'localhost:{port}'}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def exchange(address: Address, sent: bytes, *, seconds: float = 60) -> tuple[int, bytes]:
    """Send these bytes; the status and body that come back, or 0 when it just hangs up."""
    with socket.create_connection(address, timeout=seconds) as connection:
        with contextlib.suppress(ConnectionError, TimeoutError):
            connection.sendall(sent)  # it need not read all before it answers
        received = b""
        with contextlib.suppress(ConnectionError):
            while not _is_complete(received):
                part = connection.recv(65_536)
                if not part:
                    break
                received += part
    top, _, body = received.partition(b"\r\n\r\n")
    words = top.split(b" ", 2)
    return (int(words[1]) if len(words) > 1 else 0), body


def _is_complete(received: bytes) -> bool:
    top, end, body = received.partition(b"\r\n\r\n")
    if not end:
        return False
    for line in top.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return len(body) >= int(value)
    return False


class Line:
    """One connection that carries requests one after the other."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.port = port

    def send(self, method: str, path: str, body: Any = None, *headers: str) -> None:
        content = b"" if body is None else json.dumps(body).encode()
        size = () if body is None else (f"Content-Length: {len(content)}",)
        self.writer.write(head(method, path, self.port, *headers, *size) + content)

    async def reply(self) -> tuple[int, Any]:
        top = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        length = int(top.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        content = await self.reader.readexactly(length)
        return int(top.split(b" ", 2)[1]), json.loads(content)

    async def ask(self, method: str, path: str, body: Any = None, *headers: str) -> tuple[int, Any]:
        self.send(method, path, body, *headers)
        return await self.reply()

    async def until_read(self) -> None:
        """Return when the server has read what was sent on other lines before, and has begun it.

        Its loop looks at all lines in turn: after some turns it has looked at each of them.
        """
        for _ in range(4):
            assert (await self.ask("GET", "/health"))[0] == 200

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    def abort(self) -> None:
        """Vanish, as a machine that lost its power."""
        self.writer.transport.abort()


async def dial(port: int) -> Line:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    return Line(reader, writer, port)


@contextlib.asynccontextmanager
async def lines(port: int, count: int) -> AsyncGenerator[list[Line]]:
    """Very many connections, opened a hundred at a time."""
    opened: list[Line] = []
    try:
        for start in range(0, count, 100):
            size = min(100, count - start)
            opened += await asyncio.gather(*(dial(port) for _ in range(size)))
        yield opened
    finally:
        await asyncio.gather(*(line.close() for line in opened))
