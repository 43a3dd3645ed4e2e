"""What every load has in common: the job, its run, the meter, and what many connections do."""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

from msgspec import Struct

from bench import machine
from bench.client import Connection, Wire, connect, id_of
from bench.passes import Result
from bench.summary import percentiles

WARM_UP = 0.5

_now = time.perf_counter


class Job(Struct, kw_only=True):
    """What to do, and to whom."""

    kind: Literal["submits", "cycles", "held", "deliveries"]
    port: int
    pid: int
    core: int | None
    """The server's core, if it has one of its own."""
    bearer: str
    key: str
    seconds: float
    """How long to measure; for `held`, how long to decide at a steady pace."""
    count: int
    """Connections, cycles in flight, waits held, or deliveries."""
    sink: int = 0
    """The port of the sink of deliveries."""


class Run:
    """One job under way: the wire, the latencies, what went wrong, processor time."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.wire = Wire(job.port, job.bearer, job.key)
        self.took: list[float] = []
        self.errors = 0
        self.first_error = ""
        self.stopped = False

    def failed(self, status: int, body: bytes) -> bool:
        """Whether a reply is an error, which is counted, unless all is over."""
        if 200 <= status < 300:
            return False
        if not self.stopped:
            self.errors += 1
            self.first_error = self.first_error or f"{status} {body[:300]!r}"
        return True

    async def measure(self, seconds: float) -> Result:
        """Let what goes on go on, for so long, and count what it completes."""
        await asyncio.sleep(WARM_UP)
        meter = Meter(self.job)
        self.took.clear()
        await asyncio.sleep(seconds)
        values = {"rate": len(self.took) / meter.seconds}
        result = self.result(values | percentiles(self.took), meter)
        if result.server_cpu is not None and values["rate"]:
            values["cpu_us"] = result.server_cpu / values["rate"] * 1e6
        result.values |= values
        return result

    def result(self, values: dict[str, float], meter: "Meter") -> Result:
        """What to hand back."""
        load, server, others = meter.shares()
        self.stopped = True
        return Result(
            values=values,
            load_cpu=load,
            server_cpu=server,
            others_cpu=others,
            errors=self.errors,
            first_error=self.first_error,
        )


class Meter:
    """Processor time, from now on: of this process, of the server, and on the server's core."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._server = machine.cpu_seconds(job.pid)
        self._core = machine.core_seconds(job.core)
        self._own = time.process_time()
        self._began = _now()

    @property
    def seconds(self) -> float:
        """How long it has run."""
        return _now() - self._began

    def shares(self) -> tuple[float, float | None, float | None]:
        """Shares of one core: of this process, of the server, of others on the server's core."""
        seconds = self.seconds
        server = machine.cpu_seconds(self._job.pid)
        core = machine.core_seconds(self._job.core)
        own = (time.process_time() - self._own) / seconds
        if server is None or self._server is None:
            return own, None, None
        server -= self._server
        if core is None or self._core is None:
            return own, server / seconds, None
        return own, server / seconds, max(0.0, core - self._core - server) / seconds


async def submit_all(run: Run, count: int, submits: Sequence[bytes] = ()) -> list[bytes]:
    """Submit so many requests, as fast as 128 connections can; their ids."""
    submits = submits or run.wire.submits
    ids: list[bytes] = []
    left = iter(range(count))

    def ask(connection: Connection, done: asyncio.Future[None]) -> None:
        number = next(left, None)
        if number is None:
            done.set_result(None)
        else:
            connection.ask(submits[number % len(submits)], partial(replied, connection, done))

    def replied(
        connection: Connection, done: asyncio.Future[None], status: int, body: bytes
    ) -> None:
        if not run.failed(status, body):
            ids.append(id_of(body))
        ask(connection, done)

    await all_done(await connect(run.job.port, min(128, count)), ask)
    return ids


async def all_done(
    connections: list[Connection], ask: Callable[[Connection, asyncio.Future[None]], None]
) -> None:
    """Start `ask` on each connection, and wait until each has told that it is done."""
    loop = asyncio.get_running_loop()
    done = [loop.create_future() for _ in connections]
    for connection, future in zip(connections, done, strict=True):
        ask(connection, future)
    await asyncio.wait_for(asyncio.gather(*done), 60)
