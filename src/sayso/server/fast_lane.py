"""The fast lane: a hot request goes from the parser straight to its road, without an ASGI cycle.

What costs most in a small request is what is built around it: a scope, a cycle, events, messages.
The lane needs none of them, and a held wait none of their memory. It takes what is plainly hot, and
leaves everything else as it came to uvicorn's own protocol, which also keeps doing what is common
to all requests: keep-alive, the order of pipelined ones, upgrades, the graceful stop.
"""

import functools
import logging
from asyncio import AbstractEventLoop, Event, Task, Transport
from collections.abc import Sized
from typing import Any, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from sayso.server.app import App, Road
from sayso.server.http import Call, Header, Reply, joined

log = logging.getLogger("sayso.server")

MAX_HEAD_BYTES = 65_536
"""Of a request line and its headers together."""
PART = 4_096
"""Parsed at once. One read may bring thousands of requests; so few bytes hold some two hundred."""
MAX_URL = 1_024
MAX_BODY = 65_536
"""A larger body takes the ordinary way, which reads it only once it knows who sends it."""
_NOTHING = memoryview(b"")


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


class Pipeline(list[tuple[Any, ASGI3Application]]):
    """The requests that wait for their turn: a list, as an empty deque takes ten times as much."""

    __slots__ = ()

    def appendleft(self, waiting: tuple[Any, ASGI3Application]) -> None:
        """The latest."""
        self.insert(0, waiting)

    def popleft(self) -> tuple[Any, ASGI3Application]:
        """Take the latest back."""
        return self.pop(0)


class PatientFlow(FlowControl):
    """Reads on only when no request waits for its turn; uvicorn would after each reply."""

    def __init__(self, transport: Transport, pipeline: Sized) -> None:
        super().__init__(transport)
        del self._is_writable_event
        self._pipeline = pipeline

    @functools.cached_property
    def _is_writable_event(self) -> Event:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Made when a caller first reads slowly: with its deque it takes nearly a KB."""
        event = Event()
        if not self.write_paused:
            event.set()
        return event

    def resume_reading(self) -> None:
        """Read on, unless somebody waits."""
        if not self._pipeline:
            super().resume_reading()


class FastLane(HttpToolsProtocol):
    """uvicorn's protocol, with a lane for hot requests and limits to what one connection keeps."""

    cycle: Any
    """What is being answered: uvicorn's own cycle, an `Exchange`, or None."""

    __slots__ = (
        "_app",
        "_broken",
        "_coming",
        "_head",
        "_in_body",
        "_in_head",
        "_offer",
        "_rests_since",
        "_running",
        "_unread",
    )

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._app = cast("App", config.app)
        self._in_head, self._in_body, self._head = True, False, 0
        self._rests_since: float | None = None
        """Since when nothing is asked of this connection."""
        self.pipeline = Pipeline()  # type: ignore[assignment]
        self._unread = _NOTHING
        """What was received, and waits until those before it have had their turn."""
        self._offer: bytes | None = None
        """The head of a request that offers another protocol, without the offer."""
        self._broken = ""
        """Why nothing is read any more, to be told after the replies that are due."""
        self._coming: Exchange | None = None
        """What the parser reads, if it is hot."""
        self._running: Exchange | None = None
        """What is being answered, if it is hot."""

    def answer_last(self) -> None:
        """Hang up after what is being answered."""
        cycle = self.cycle
        if cycle is not None:
            cycle.keep_alive = False

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Begin."""
        super().connection_made(transport)
        self.flow = PatientFlow(transport, self.pipeline)

    def data_received(self, data: bytes) -> None:
        """Take what has come, and parse of it what has its turn."""
        self._unset_keepalive_if_required()
        self._unread = memoryview(self._unread.tobytes() + data if self._unread else data)
        self._read_on()

    def on_response_complete(self) -> None:
        """Go on with what waits, and read on when nothing does."""
        if self._broken and not self.pipeline and not self.transport.is_closing():
            super().send_400_response(self._broken)
            return
        if self.pipeline:
            super().on_response_complete()
        elif not self.transport.is_closing():
            self.server_state.total_requests += 1
            self._rest()
        self.flow.resume_reading()
        self._read_on()

    def timeout_keep_alive_handler(self) -> None:
        """Look whether it has rested too long. To set a timer for each rest would cost too much."""
        self.timeout_keep_alive_task = None
        if self._rests_since is None:
            return
        left = self._rests_since + self.timeout_keep_alive - self.loop.time()
        if left <= 0:
            super().timeout_keep_alive_handler()
        else:
            self.timeout_keep_alive_task = self.loop.call_later(
                left, self.timeout_keep_alive_handler
            )

    def _rest(self) -> None:
        self._rests_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _unset_keepalive_if_required(self) -> None:
        self._rests_since = None

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be parsed, but not before the replies that are due."""
        cycle = self.cycle
        is_due = cycle is not None and not cycle.response_complete
        if self._in_body:  # the latest request is the one that broke, and gets no reply
            is_due = bool(self.pipeline)
            if is_due:
                self.pipeline.popleft()
        self._broken = msg
        if not is_due:
            super().send_400_response(msg)

    def _read_on(self) -> None:
        while self._unread and not (self.pipeline or self._broken or self.transport.is_closing()):
            unread = self._unread
            self._unread = unread[PART:] if len(unread) > PART else _NOTHING
            self._head += min(len(unread), PART)
            try:
                self.parser.feed_data(unread[:PART])
            except HttpParserUpgrade as upgrade:
                self._unread = self._upgrade(unread[upgrade.args[0] :])
            except HttpParserError:
                self._refuse()
            if self._in_head and self._head > MAX_HEAD_BYTES:
                log.warning("a request head of more than %d bytes was cut off", MAX_HEAD_BYTES)
                self.transport.close()

    def _refuse(self) -> None:
        msg = "Invalid HTTP request received."
        log.warning(msg)
        self.send_400_response(msg)

    def _upgrade(self, rest: memoryview) -> memoryview:
        """Become a WebSocket, or ignore the offer; what is left to parse."""
        head, self._offer = self._offer, None
        if head is not None:  # the parser would skip the body: a new one is not told of the offer
            self.parser = HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
            try:
                self.parser.feed_data(head)
            except HttpParserError:
                self._refuse()
            return rest
        if self._should_upgrade():
            if self.cycle is None or self.cycle.response_complete:
                self.handle_websocket_upgrade()
            else:  # the replies that are due would be written into the WebSocket
                self.send_400_response("An upgrade comes after all replies that are due.")
        return _NOTHING

    def on_message_begin(self) -> None:
        """A request begins; whether it is hot, only its head tells."""
        self._in_head, self._in_body = True, False
        self._coming = None
        self.url, self.headers = b"", []

    def on_headers_complete(self) -> None:
        """Its head has ended: take it, or leave it."""
        self._in_head = False
        self._check_head()
        if self._has_offer():
            return
        exchange = self._coming = self._taken()
        self._in_body = True
        if exchange is None:
            self._leave()
            return
        self.url, self.headers = b"", []
        before = self.cycle
        self.cycle = exchange
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
        self._head = 0  # what this part may hold of the next head is not counted
        self._in_body = False
        if self._offer is not None:
            return
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
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None
        self._unread = _NOTHING
        if isinstance(self.cycle, Exchange):
            self._forget_cycle()
        super().connection_lost(exc)
        if running is not None:
            running.call.hang_up()

    def _check_head(self) -> None:
        """Refuse, by an error that the parser hands on, what no server should take."""
        if self._head > MAX_HEAD_BYTES - PART:  # it may be too large, or have a body behind it
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > MAX_HEAD_BYTES:
                raise ValueError("The head is too large.")
        if [name for name, _ in self.headers].count(b"host") > 1:
            raise ValueError("There is more than one Host.")

    def _has_offer(self) -> bool:
        """Whether it offers a protocol that is not spoken here, which may be ignored."""
        parser = self.parser
        method = parser.get_method()
        if not parser.should_upgrade() or method == b"CONNECT" or self._should_upgrade():
            return False
        lines = [b"%b %b HTTP/%b" % (method, self.url, parser.get_http_version().encode())]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        self._offer = b"\r\n".join((*lines, b"", b""))
        return True

    def _taken(self) -> Exchange | None:
        """The request in the lane, if it is plainly hot."""
        path, _, query = self.url.partition(b"?")
        if len(self.url) > MAX_URL or b"%" in path or not self.url.isascii() or b"#" in self.url:
            return None
        parser = self.parser
        found = self._app.find(parser.get_method().decode(), path.decode())
        if found is None or parser.get_http_version() != "1.1" or parser.should_upgrade():
            return None
        road, params = found
        headers = joined(self.headers)
        if road.streams or b"transfer-encoding" in headers or b"expect" in headers:
            return None
        length = headers.get(b"content-length")
        if length is not None and not (road.reads_body and int(length) <= MAX_BODY):
            return None
        call = road.call(params, headers, query, peer=self.client[0] if self.client else "")
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
            if self.cycle is exchange:
                self._forget_cycle()
            if not told or not exchange.keep_alive:
                self.transport.close()
            self.on_response_complete()

    def _forget_cycle(self) -> None:
        self.cycle = None  # as uvicorn begins


def _whole(reply: Reply, *, keep_alive: bool) -> bytes:
    """Head and body as they are sent, in the order in which uvicorn would send them."""
    end = b"" if keep_alive else b"connection: close\r\n"
    head = _head(reply.status, tuple(reply.headers))
    return b"%b%d\r\n%b\r\n%b" % (head, len(reply.body), end, reply.body)


@functools.lru_cache(maxsize=64)
def _head(status: int, headers: tuple[Header, ...]) -> bytes:
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    return STATUS_LINE[status] + lines + b"content-length: "
