"""The fast lane: a hot request goes from the parser straight to its road, without an ASGI cycle.

What costs most in a small request is what is built around it: a scope, a cycle, events, messages.
The lane needs none of them, and a held wait none of their memory. It takes what is plainly hot, and
leaves everything else as it came to uvicorn's own protocol, which also keeps doing what is common
to all requests: keep-alive, the order of pipelined ones, upgrades, the graceful stop.
"""

import functools
import logging
from asyncio import AbstractEventLoop, Task
from typing import Any, cast

from httptools import HttpRequestParser
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from sayso.server.app import App, Road
from sayso.server.http import Call, Header, Reply

log = logging.getLogger("sayso.server")

MAX_HEAD_BYTES = 65_536
"""Of a request line and its headers together."""
MAX_URL = 1_024
MAX_BODY = 65_536
"""A larger body takes the ordinary way, which reads it only once it knows who sends it."""


class Exchange:
    """One hot request; it stands where uvicorn has its cycle, until it is answered."""

    __slots__ = ("call", "has_turn", "is_whole", "keep_alive", "parts", "road", "task")
    response_complete = False

    def __init__(self, road: Road, call: Call, *, keep_alive: bool) -> None:
        self.road = road
        self.call = call
        self.keep_alive = keep_alive
        self.task: Task[None]
        self.parts: list[bytes] = []
        self.is_whole = False
        """All of its body is there."""
        self.has_turn = False
        """All requests before it on this connection have been answered."""


class FastLane(HttpToolsProtocol):
    """uvicorn's protocol, with a lane for hot requests and a limit to the size of a head."""

    __slots__ = ("_app", "_coming", "_head", "_in_head", "_running")

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._app = cast("App", config.app)
        self._in_head, self._head = True, 0
        self._coming: Exchange | None = None
        """What the parser reads, if it is hot."""
        self._running: Exchange | None = None
        """What is being answered, if it is hot."""

    def answer_last(self) -> None:
        """Hang up after what is being answered."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is not None:
            cycle.keep_alive = False

    def data_received(self, data: bytes) -> None:
        """Hang up on a head that does not end: uvicorn takes one of any size."""
        self._head += len(data)
        super().data_received(data)
        if self._in_head and self._head > MAX_HEAD_BYTES:
            log.warning("a request head of more than %d bytes was cut off", MAX_HEAD_BYTES)
            self.transport.close()

    def on_message_begin(self) -> None:
        """A request begins; whether it is hot, only its head tells."""
        self._in_head = True
        self._coming = None
        self.url, self.headers = b"", []

    def on_headers_complete(self) -> None:
        """Its head has ended: take it, or leave it."""
        self._in_head = False
        exchange = self._coming = self._taken()
        if exchange is None:
            self._leave()
            return
        self.url, self.headers = b"", []
        before = cast("RequestResponseCycle | None", self.cycle)
        self.cycle = cast("RequestResponseCycle", exchange)
        if before is None or before.response_complete:
            exchange.has_turn = True
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, cast("ASGI3Application", self._app)))

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        if self._coming is None:
            super().on_body(body)
        else:
            self._coming.parts.append(body)

    def on_message_complete(self) -> None:
        """All of the body is there."""
        self._head = 0  # what this read may hold of the next head is not counted
        exchange = self._coming
        if exchange is None:
            super().on_message_complete()
            return
        self._coming = None
        exchange.call.body = b"".join(exchange.parts)
        exchange.parts.clear()
        exchange.is_whole = True
        if exchange.has_turn:
            self._run(exchange)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up what is held for this caller, and what has not come whole."""
        running, self._running = self._running, None
        self._coming = None
        if isinstance(cast("object", self.cycle), Exchange):
            self._forget_cycle()
        super().connection_lost(exc)
        if running is not None:
            running.call.hang_up()

    def _taken(self) -> Exchange | None:
        """The request in the lane, if it is plainly hot."""
        path, _, query = self.url.partition(b"?")
        if len(self.url) > MAX_URL or b"%" in path or not self.url.isascii() or b"#" in self.url:
            return None
        parser = cast("HttpRequestParser", self.parser)
        found = self._app.find(parser.get_method().decode(), path.decode())
        if found is None or parser.get_http_version() != "1.1" or parser.should_upgrade():
            return None
        road, params = found
        headers = dict(self.headers)
        if road.streams or b"transfer-encoding" in headers or b"expect" in headers:
            return None
        length = headers.get(b"content-length")
        if length is not None and not (road.reads_body and int(length) <= MAX_BODY):
            return None
        call = road.call(params, headers, query)
        return Exchange(road, call, keep_alive=parser.should_keep_alive())

    def _leave(self) -> None:
        """Tell uvicorn what it would have heard."""
        url, headers = self.url, self.headers
        super().on_message_begin()
        super().on_url(url)
        for name, value in headers:
            super().on_header(name, value)
        super().on_headers_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """The turn of a pipelined request has come."""
        exchange = cast("object", cycle)
        if not isinstance(exchange, Exchange):
            super()._start_asgi_task(cycle, app)
            return
        exchange.has_turn = True
        if exchange.is_whole:
            self._run(exchange)

    def _run(self, exchange: Exchange) -> None:
        self._running = exchange
        task = self.loop.create_task(self._answer(exchange))
        exchange.task = task
        self.tasks.add(task)

    async def _answer(self, exchange: Exchange) -> None:
        told = False
        try:
            reply = await exchange.road.answer(exchange.call)
            if self.flow.write_paused:
                await self.flow.drain()
            if reply is not None and not self.transport.is_closing():
                self.transport.write(_whole(reply, keep_alive=exchange.keep_alive))
                told = True
        finally:
            self.tasks.discard(exchange.task)
            self._running = None
            if cast("object", self.cycle) is exchange:
                self._forget_cycle()
            if not told or not exchange.keep_alive:
                self.transport.close()
            self.on_response_complete()

    def _forget_cycle(self) -> None:
        self.cycle = cast("RequestResponseCycle", None)  # as uvicorn begins


def _whole(reply: Reply, *, keep_alive: bool) -> bytes:
    """Head and body as they are sent, in the order in which uvicorn would send them."""
    end = b"" if keep_alive else b"connection: close\r\n"
    head = _head(reply.status, tuple(reply.headers))
    return b"%b%d\r\n%b\r\n%b" % (head, len(reply.body), end, reply.body)


@functools.lru_cache(maxsize=64)
def _head(status: int, headers: tuple[Header, ...]) -> bytes:
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    return STATUS_LINE[status] + lines + b"content-length: "
