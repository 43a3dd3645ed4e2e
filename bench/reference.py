"""The reference: the least that submits durably, holds a wait, and releases it by a decision.

Raw ASGI on uvicorn (uvloop, httptools). One SQLite table, one row for each request, WAL with
`synchronous=FULL`, one writer thread with group commit. There is no validation beyond decoding, no
sign-in, no event, no log, no limit. What the product costs on top of this is what it does more.

    python -m bench.reference DATABASE     prints its address once it listens
"""

import asyncio
import gc
import itertools
import queue
import socket
import sqlite3
import sys
import threading
import time
from typing import Any
from urllib.parse import parse_qs

import msgspec
import uvicorn
import uvloop
from msgspec import Struct

_SCHEMA = """
CREATE TABLE requests (id TEXT PRIMARY KEY, status INTEGER NOT NULL, due REAL, body BLOB NOT NULL,
    decision BLOB);
CREATE INDEX pending ON requests (id) WHERE status = 0;
CREATE INDEX due ON requests (due) WHERE status = 0;
"""
_INSERT = "INSERT INTO requests (id, status, due, body) VALUES (?, 0, ?, ?)"
_DECIDE = "UPDATE requests SET status = 1, decision = ? WHERE id = ? AND status = 0"
_READ = "SELECT decision FROM requests WHERE id = ?"
_PATH = "/api/v1/requests"
_TIMEOUT = 300
_BATCH = 512


class Submission(Struct):
    """The fields of a submit."""

    message: str
    session_id: str | None = None
    action: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None


class Decision(Struct):
    """The fields of a decision."""

    type: str
    reason: str = ""


class Kept(Struct):
    """A request as it is sent back."""

    id: str
    status: str
    request: msgspec.Raw = msgspec.Raw(b"null")
    decision: msgspec.Raw = msgspec.Raw(b"null")


_submission = msgspec.json.Decoder(Submission)
_decision = msgspec.json.Decoder(Decision)
_encode = msgspec.json.Encoder().encode


class Writer:
    """The writing thread: what is queued while one transaction is flushed goes in the next."""

    def __init__(self, path: str, loop: asyncio.AbstractEventLoop) -> None:
        self._connection = connect(path)
        self._loop = loop
        self._queue: queue.SimpleQueue[tuple[str, tuple[Any, ...], asyncio.Future[int]]] = (
            queue.SimpleQueue()
        )
        threading.Thread(target=self._run, daemon=True).start()

    def write(self, statement: str, row: tuple[Any, ...]) -> asyncio.Future[int]:
        """Run the statement; the future has the number of rows, once they are on the disk."""
        future = self._loop.create_future()
        self._queue.put((statement, row, future))
        return future

    def _run(self) -> None:
        while True:
            batch = [self._queue.get()]
            while len(batch) < _BATCH:
                try:
                    batch.append(self._queue.get_nowait())
                except queue.Empty:
                    break
            execute = self._connection.execute
            execute("BEGIN IMMEDIATE")
            done = [(future, execute(sql, row).rowcount) for sql, row, future in batch]
            execute("COMMIT")
            self._loop.call_soon_threadsafe(_tell, done)


def _tell(done: list[tuple[asyncio.Future[int], int]]) -> None:
    for future, rows in done:
        if not future.done():
            future.set_result(rows)


def connect(path: str) -> sqlite3.Connection:
    """A connection that is durable at each commit."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


class Reference:
    """The ASGI application, and what it keeps in SQLite; another store overrides three methods."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._waiters: dict[str, list[asyncio.Future[bytes | None]]] = {}

    async def open(self, address: str) -> None:
        """Begin with an empty database there."""
        self._reader = connect(address)
        self._reader.executescript(_SCHEMA)
        self._writer = Writer(address, asyncio.get_running_loop())

    async def insert(self, request_id: str, due: float, body: bytes) -> None:
        """Keep a request; it is on the disk when this returns."""
        await self._writer.write(_INSERT, (request_id, due, body))

    async def decide(self, request_id: str, decision: bytes) -> bool:
        """Keep its decision, if there is none yet, and wake who waits."""
        if await self._writer.write(_DECIDE, (decision, request_id)) != 1:
            return False
        self.wake(request_id, decision)
        return True

    async def read(self, request_id: str) -> bytes | None:
        """The decision, if there is one."""
        return self._reader.execute(_READ, (request_id,)).fetchone()[0]

    def wake(self, request_id: str, decision: bytes) -> None:
        """Tell those who wait here."""
        for waiter in self._waiters.get(request_id, ()):
            if not waiter.done():
                waiter.set_result(decision)

    def is_awaited(self, request_id: str) -> bool:
        """Whether somebody waits here."""
        return request_id in self._waiters

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Take one request."""
        path: str = scope["path"]
        if scope["method"] == "POST":
            body = await _body(receive)
            if path == _PATH:
                await self._submit(body, send)
            else:
                await self._decide(path[len(_PATH) + 1 :].partition("/")[0], body, send)
        else:
            seconds = float(parse_qs(scope["query_string"])[b"wait"][0])
            await self._wait(path[len(_PATH) + 1 :], seconds, receive, send)

    async def _submit(self, body: bytes, send: Any) -> None:
        _submission.decode(body)
        now = time.time()
        request_id = f"{int(now * 1e6):016x}-{next(self._numbers):08x}"
        await self.insert(request_id, now + _TIMEOUT, body)
        kept = Kept(id=request_id, status="pending", request=msgspec.Raw(body))
        await _reply(send, 201, _encode(kept))

    async def _decide(self, request_id: str, body: bytes, send: Any) -> None:
        _decision.decode(body)
        if not await self.decide(request_id, body):
            await _reply(send, 409, b"{}")
            return
        await _reply(send, 200, _encode(_decided(request_id, body)))

    async def _wait(self, request_id: str, seconds: float, receive: Any, send: Any) -> None:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bytes | None] = loop.create_future()
        self._waiters.setdefault(request_id, []).append(waiter)
        try:
            decision = await self.read(request_id)
            if decision is None:
                timer = loop.call_later(seconds, _resolve, waiter)
                watcher = loop.create_task(_watch(receive, waiter))
                decision = await waiter
                timer.cancel()
                watcher.cancel()
        finally:
            waiters = self._waiters[request_id]
            waiters.remove(waiter)
            if not waiters:
                del self._waiters[request_id]
        kept = Kept(id=request_id, status="pending")
        await _reply(send, 200, _encode(_decided(request_id, decision) if decision else kept))


def _decided(request_id: str, decision: bytes) -> Kept:
    return Kept(id=request_id, status="decided", decision=msgspec.Raw(decision))


def _resolve(waiter: asyncio.Future[bytes | None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


async def _watch(receive: Any, waiter: asyncio.Future[bytes | None]) -> None:
    """End the wait when the caller hangs up."""
    while (await receive())["type"] != "http.disconnect":
        pass
    _resolve(waiter)


async def _body(receive: Any) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def _reply(send: Any, status: int, body: bytes) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class _Uvicorn(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        if sockets:
            print(f"http://127.0.0.1:{sockets[0].getsockname()[1]}", flush=True)


async def _serve(application: Reference, address: str) -> None:
    await application.open(address)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(4096)
    config = uvicorn.Config(
        application,
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=False,
        backlog=4096,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
    )
    await _Uvicorn(config).serve([listening])


def main(application: Reference) -> None:
    """Serve, on the database that the first argument names."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(application, sys.argv[1]))


if __name__ == "__main__":
    main(Reference())
