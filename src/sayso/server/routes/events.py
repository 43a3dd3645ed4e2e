"""The live stream of events, as server-sent events."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence

from starlette.types import Send

from sayso import codec
from sayso.domain.accounts import Principal
from sayso.domain.events import Event, EventType
from sayso.errors import BackendError, BusyError, SaysoError
from sayso.server.http import Call, Header, bad_parameter
from sayso.signals.base import EVENTS
from sayso.stores.base import EventQuery

PING_SECONDS = 15
"""Between two comments on a silent stream, so that both ends notice a dead connection."""
CHUNK_BYTES = 65_536
GATHER_SECONDS = 0.005
"""After a wake-up, before reading: under load many events go out in one write."""

log = logging.getLogger("sayso.server")

_HEADERS: list[Header] = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]


class EventStream:
    """A reply that goes on until the caller or the server hangs up."""

    def __init__(self, call: Call, query: EventQuery) -> None:
        self._call = call
        self._query = query

    async def send(self, send: Send) -> None:
        """Send events as they come."""
        server = self._call.server
        if server.streams >= server.settings.max_waits:
            raise BusyError("Too many event streams are open.")
        server.streams += 1
        try:
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            with self._call.given_up_when_gone():
                try:
                    async for chunk in self._chunks():
                        await send({"type": "http.response.body", "body": chunk, "more_body": True})
                except (
                    BackendError,
                    BusyError,
                ) as error:  # it has begun: whoever follows resumes where it ends
                    log.warning("a stream of events ends early: %s", error)
            await send({"type": "http.response.body", "body": b""})
        finally:
            server.streams -= 1

    async def _chunks(self) -> AsyncGenerator[bytes]:
        """Read the log from where the caller is; the signal only says when to look again."""
        broker, query = self._call.server.broker, self._query
        after = query.after
        # The id says from where to resume, even if the connection breaks before the first event.
        yield b"retry: 1000\nid: %d\n: connected\n\n" % after
        with broker.signal.subscribe(EVENTS) as waiter:
            while not self._call.server.stopping:
                asked, (events, after) = (
                    after,
                    await broker.store.events(
                        EventQuery(
                            tenant=query.tenant,
                            seen_by=query.seen_by,
                            after=after,
                            types=query.types,
                            request_id=query.request_id,
                            session_id=query.session_id,
                            client_id=query.client_id,
                            limit=query.limit,
                        )
                    ),
                )
                if not await self._still_welcome():
                    return
                if after != asked:  # there may be more, even if the filters left all of this out
                    async for chunk in self._frames(events):
                        yield chunk
                    if not events and after - asked >= query.limit:
                        yield b"id: %d\n\n" % after  # a resume need not read all that again
                elif await waiter.wait(PING_SECONDS):
                    await asyncio.sleep(GATHER_SECONDS)
                elif not self._call.server.stopping:
                    yield b": ping\n\n"

    async def _frames(self, events: Sequence[Event]) -> AsyncGenerator[bytes]:
        """Some events in one write, but never more than what a slow reader may make us hold."""
        parts: list[bytes] = []
        size = 0
        for event in events:
            parts.append(await self._frame(event))
            size += len(parts[-1])
            if size >= CHUNK_BYTES:
                yield b"".join(parts)
                parts, size = [], 0
        if parts:
            yield b"".join(parts)
        await asyncio.sleep(0)

    async def _frame(self, event: Event) -> bytes:
        request = None
        if event.request_id is not None:
            request = await self._call.server.broker.store.get(event.tenant, event.request_id)
        data = codec.builtins(event) | {"request": request}
        return b"id: %d\nevent: %s\ndata: %s\n\n" % (
            event.id,
            event.type.value.encode(),
            codec.encode(data),
        )

    async def _still_welcome(self) -> bool:
        """A stream ends when the session that opened it has ended."""
        try:
            by: Principal = await self._call.server.auth.principal(self._call.headers)
        except SaysoError:
            return False
        return by == self._call.principal


async def stream(call: Call) -> EventStream:
    """Follow what happens."""
    resume = call.headers.get(b"last-event-id", b"").decode("latin-1") or call.one("after")
    if resume is None:
        _, after = await call.server.broker.store.events(
            EventQuery(tenant=call.principal.tenant, limit=0)
        )
    elif resume.isascii() and resume.isdigit() and len(resume) < 19:
        after = int(resume)
    else:
        raise bad_parameter("after", f"{resume[:40]!r} is not the id of an event.")
    words = [w for value in call.query.get("type", []) for w in value.split(",") if w]
    unknown = [word for word in words if word not in list(EventType)]
    if unknown:
        raise bad_parameter("type", f"{unknown[0][:40]!r} is not one of {', '.join(EventType)}.")
    return EventStream(
        call,
        EventQuery(
            tenant=call.principal.tenant,
            seen_by=call.seen_by,
            after=after,
            types=frozenset(EventType(word) for word in words),
            request_id=call.one("request_id"),
            session_id=call.one("session_id"),
            client_id=call.one("client_id"),
        ),
    )
