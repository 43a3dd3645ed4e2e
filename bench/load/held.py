"""Many waits held at once."""

import asyncio
import random
import time
from collections import deque
from functools import partial

from bench import machine
from bench.client import Connection, connect
from bench.load.job import Meter, Run, all_done, submit_all
from bench.passes import Result
from bench.summary import percentiles

PACE = 400
"""Decides a second while latency is measured."""
DECIDERS = 32

_now = time.perf_counter


async def held(run: Run) -> Result:
    """Many waits held at once: what they weigh, how fast one is released, and all of them.

    So many more waits than `count` are opened as are decided at a steady pace, so that `count`
    stay held meanwhile. Then these are all decided, as fast as a few connections can.
    """
    job, count = run.job, run.job.count
    paced = int(PACE * job.seconds)
    ids = await submit_all(run, count + paced)
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

    await all_done(people, ask)
    await asyncio.wait_for(released, 20)


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
