"""The load generator: a process of its own, which reads one job and tells what it measured.

It has to be much faster than what it measures; the share of its core that it used is part of the
result.

    python -m bench.load < job.json > result.json
"""

import asyncio
import gc
import random
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Literal

import msgspec
import uvloop
from msgspec import Struct

from bench import machine
from bench.client import Connection, Wire, connect, id_of
from bench.passes import Result
from bench.summary import percentiles

WARM_UP = 0.5
HELD_AT_LEAST = 0.005
"""Seconds between sending a wait and deciding it in a full cycle, so that it is really held."""
PACE = 400
"""Decides a second while latency is measured."""
DECIDERS = 32

_now = time.perf_counter


class Job(Struct, kw_only=True):
    """What to do, and to whom."""

    kind: Literal["submits", "cycles", "held"]
    port: int
    pid: int
    core: int | None
    """The server's core, if it has one of its own."""
    bearer: str
    seconds: float
    """How long to measure; for `held`, how long to decide at a steady pace."""
    count: int
    """Connections, cycles in flight, or waits held."""


class Run:
    """One job under way: the wire, the latencies, what went wrong, processor time."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.wire = Wire(job.port, job.bearer)
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


async def submits(run: Run) -> Result:
    """Connections that submit one request after the other."""
    connections = await connect(run.job.port, run.job.count)

    def send(number: int, connection: Connection) -> None:
        began = _now()

        def replied(status: int, body: bytes) -> None:
            if not run.failed(status, body) and not run.stopped:
                run.took.append(_now() - began)
                send(number + 1, connection)

        connection.ask(run.wire.submits[number % 64], replied)

    for number, connection in enumerate(connections):
        send(number, connection)
    return await run.measure(run.job.seconds)


async def cycles(run: Run) -> Result:
    """Full cycles: submit, a held wait, a person's decision, the release; over and over.

    Agent and person have a connection each. The latency is from the decision to the release.
    """
    connections = await connect(run.job.port, 2 * run.job.count)
    for agent, person in zip(connections[::2], connections[1::2], strict=True):
        _Cycle(run, agent, person).begin()
    return await run.measure(run.job.seconds)


class _Cycle:
    __slots__ = ("_agent", "_began", "_left", "_loop", "_number", "_person", "_released", "_run")

    def __init__(self, run: Run, agent: Connection, person: Connection) -> None:
        self._run = run
        self._agent = agent
        self._person = person
        self._loop = asyncio.get_running_loop()
        self._number = id(self) // 64
        self._left = 0
        self._began = self._released = 0.0

    def begin(self) -> None:
        self._left = 2
        self._number += 1
        self._agent.ask(self._run.wire.submits[self._number % 64], self._submitted)

    def _submitted(self, status: int, body: bytes) -> None:
        if not self._run.failed(status, body):
            request_id = id_of(body)
            self._agent.ask(self._run.wire.wait(request_id), self._was_released)
            self._loop.call_later(HELD_AT_LEAST, self._decide, request_id)

    def _decide(self, request_id: bytes) -> None:
        self._began = _now()
        self._person.ask(self._run.wire.decide(request_id), self._decided)

    def _was_released(self, status: int, body: bytes) -> None:
        if not self._run.failed(status, body):
            self._released = _now()
            self._one_less()

    def _decided(self, status: int, body: bytes) -> None:
        if not self._run.failed(status, body):
            self._one_less()

    def _one_less(self) -> None:
        self._left -= 1
        if self._left == 0 and not self._run.stopped:
            self._run.took.append(self._released - self._began)
            self.begin()


async def held(run: Run) -> Result:
    """Many waits held at once: what they weigh, how fast one is released, and all of them.

    So many more waits than `count` are opened as are decided at a steady pace, so that `count`
    stay held meanwhile. Then these are all decided, as fast as a few connections can.
    """
    job, count = run.job, run.job.count
    paced = int(PACE * job.seconds)
    ids = await _submit_all(run, count + paced)
    await _until_idle(job.pid)
    before = machine.rss_kb(job.pid)
    waits = _Waits(run)
    await waits.hold(ids[:count])
    full = machine.rss_kb(job.pid)
    await waits.hold(ids[count:])
    random.Random(1).shuffle(ids)
    people = await connect(job.port, DECIDERS)

    meter = Meter(job)
    await _at_pace(run, waits, people, ids[:paced])
    took = list(waits.took)
    one_by_one = run.result(percentiles(took), meter)

    run.stopped = False
    meter = Meter(job)
    await _all_at_once(run, waits, people, ids[paced:])
    values = {
        "rss_mb": full / 1024,
        "kb_each": (full - before) / count,
        "burst": count / meter.seconds,
    }
    burst = run.result(values | one_by_one.values, meter)
    burst.load_cpu = max(burst.load_cpu, one_by_one.load_cpu)
    burst.others_cpu = max(burst.others_cpu or 0, one_by_one.others_cpu or 0)
    return burst


async def _submit_all(run: Run, count: int) -> list[bytes]:
    ids: list[bytes] = []
    left = iter(range(count))

    def ask(connection: Connection, done: asyncio.Future[None]) -> None:
        number = next(left, None)
        if number is None:
            done.set_result(None)
        else:
            connection.ask(run.wire.submits[number % 64], partial(replied, connection, done))

    def replied(
        connection: Connection, done: asyncio.Future[None], status: int, body: bytes
    ) -> None:
        if not run.failed(status, body):
            ids.append(id_of(body))
        ask(connection, done)

    await _all_done(await connect(run.job.port, min(128, count)), ask)
    return ids


class _Waits:
    """The held waits, and when each was decided and released."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._decided: dict[bytes, float] = {}
        self._connections: list[Connection] = []
        self._all_released = asyncio.get_running_loop().create_future()
        self._awaited = 0
        self.took: list[float] = []

    async def hold(self, ids: list[bytes]) -> None:
        """Open a connection for each, with a wait on it."""
        connections = await connect(self._run.job.port, len(ids))
        for connection, request_id in zip(connections, ids, strict=True):
            connection.ask(self._run.wire.wait(request_id), partial(self._released, request_id))
        self._connections += connections
        await _until_idle(self._run.job.pid)

    def expect(self, count: int) -> asyncio.Future[None]:
        """Done once `count` more have been released."""
        self.took.clear()
        self._awaited = count
        self._all_released = asyncio.get_running_loop().create_future()
        return self._all_released

    def decided_now(self, request_id: bytes) -> None:
        """The decision is being sent."""
        self._decided[request_id] = _now()

    def _released(self, request_id: bytes, status: int, body: bytes) -> None:
        now = _now()
        decided = self._decided.pop(request_id, None)
        if decided is None:
            self._run.failed(status if status >= 300 else 0, b"released undecided: " + body)
        elif not self._run.failed(status, body):
            self.took.append(now - decided)
        self._awaited -= 1
        if self._awaited == 0 and not self._all_released.done():
            self._all_released.set_result(None)


async def _at_pace(run: Run, waits: _Waits, people: list[Connection], ids: list[bytes]) -> None:
    """Decide one after the other at a steady pace, whether or not the one before is done."""
    loop = asyncio.get_running_loop()
    released = waits.expect(len(ids))
    free, queued = deque(people), deque[bytes]()

    def decide(request_id: bytes) -> None:
        waits.decided_now(request_id)
        if free:
            send(free.popleft(), request_id)
        else:
            queued.append(request_id)

    def send(person: Connection, request_id: bytes) -> None:
        person.ask(run.wire.decide(request_id), partial(replied, person))

    def replied(person: Connection, status: int, body: bytes) -> None:
        run.failed(status, body)
        if queued:
            send(person, queued.popleft())
        else:
            free.append(person)

    began = loop.time() + 0.01
    for place, request_id in enumerate(ids):
        loop.call_at(began + place / PACE, decide, request_id)
    await asyncio.wait_for(released, run.job.seconds + 20)
    while len(free) < len(people):
        await asyncio.sleep(0.01)


async def _all_at_once(run: Run, waits: _Waits, people: list[Connection], ids: list[bytes]) -> None:
    """Decide all, each connection one after the other; ends with the last release."""
    released = waits.expect(len(ids))
    left = iter(ids)

    def ask(person: Connection, done: asyncio.Future[None]) -> None:
        request_id = next(left, None)
        if request_id is None:
            done.set_result(None)
        else:
            waits.decided_now(request_id)
            person.ask(run.wire.decide(request_id), partial(replied, person, done))

    def replied(person: Connection, done: asyncio.Future[None], status: int, body: bytes) -> None:
        run.failed(status, body)
        ask(person, done)

    await _all_done(people, ask)
    await asyncio.wait_for(released, 20)


async def _all_done(
    connections: list[Connection], ask: Callable[[Connection, asyncio.Future[None]], None]
) -> None:
    """Start `ask` on each connection, and wait until each has told that it is done."""
    loop = asyncio.get_running_loop()
    done = [loop.create_future() for _ in connections]
    for connection, future in zip(connections, done, strict=True):
        ask(connection, future)
    await asyncio.wait_for(asyncio.gather(*done), 60)


async def _until_idle(pid: int) -> None:
    """Until the server has taken in what was sent: it uses its core no more."""
    for _ in range(100):
        before = machine.cpu_seconds(pid)
        if before is None:
            await asyncio.sleep(3)
            return
        await asyncio.sleep(0.2)
        if (machine.cpu_seconds(pid) or 0) - before <= 0.02:
            return


_LOADS: dict[str, Callable[[Run], Awaitable[Result]]] = {
    "submits": submits,
    "cycles": cycles,
    "held": held,
}


async def _main(job: Job) -> Result:
    return await _LOADS[job.kind](Run(job))


if __name__ == "__main__":
    gc.disable()  # a pass is short, and a collection would be taken for the server's slowness
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(_main(job))
        sys.stdout.buffer.write(msgspec.json.encode(result))
