"""A sink for deliveries: answers 204 to whatever is posted, and counts the `webhook-id`s.

    python -m bench.sink     prints its address once it listens

`GET /` tells, as JSON, when each id first arrived (on the clock that this machine's processes
share), and how many deliveries were doubles.
"""

import asyncio
import json
import re
import time

import uvloop

_ID = re.compile(rb"\r\nwebhook-id: *([^\r]+)", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


class Arrived:
    """What has been delivered."""

    def __init__(self) -> None:
        self.at: dict[str, float] = {}
        self.doubles = 0

    def take(self, webhook_id: str) -> None:
        """One delivery."""
        if webhook_id in self.at:
            self.doubles += 1
        else:
            self.at[webhook_id] = time.perf_counter()


class Sink(asyncio.Protocol):
    """One connection."""

    def __init__(self, arrived: Arrived) -> None:
        self._arrived = arrived
        self._part = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        data = self._part + data
        replies: list[bytes] = []
        while (end := _end(data)) is not None:
            replies.append(self._reply(data[:end]))
            data = data[end:]
        self._part = data
        self._transport.write(b"".join(replies))

    def _reply(self, request: bytes) -> bytes:
        if request.startswith(b"GET"):
            told = {"at": self._arrived.at, "doubles": self._arrived.doubles}
            body = json.dumps(told).encode()
            return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        found = _ID.search(request, 0, request.find(b"\r\n\r\n"))
        if found is None:
            return b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"
        self._arrived.take(found[1].decode())
        return _NO_CONTENT


def _end(data: bytes) -> int | None:
    """Where the first request ends; None while it has not come in whole."""
    head = data.find(b"\r\n\r\n")
    if head < 0:
        return None
    length = _LENGTH.search(data, 0, head)
    end = head + 4 + (int(length[1]) if length is not None else 0)
    return end if len(data) >= end else None


async def _serve() -> None:
    arrived = Arrived()
    server = await asyncio.get_running_loop().create_server(lambda: Sink(arrived), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve())
