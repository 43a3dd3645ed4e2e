"""Many requests pending: the store itself, opened in a process of its own, small and then large.

There is no HTTP and no broker in this: a change is made by `lifecycle` and committed through the
store's port, as the broker does it.

    python -m bench.pending < job.json > result.json
"""

import asyncio
import gc
import os
import random
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Literal

import asyncpg
import msgspec
import uvloop
from msgspec import Struct

from bench import machine
from bench.questions import question
from bench.summary import percentiles
from sayso import codec
from sayso.clock import RequestIds
from sayso.domain import lifecycle
from sayso.domain.accounts import LOCAL_AGENT, Plane, Principal, Role, Strength
from sayso.domain.decisions import Answer, Channel, DecisionType
from sayso.domain.requests import Draft, Request, Status
from sayso.stores.base import Query, Stores
from sayso.stores.postgres import PostgresStore
from sayso.stores.sqlite import SqliteStore

AT_ONCE = 128
"""Callers that submit or decide at the same time."""
ROUNDS = 3
EACH = 2_500
"""Submits, and decisions, in one round."""
SWEEP = 500
"""Deadlines that are closed at once: the broker's own limit."""
_TIMEOUTS = (300.0, 900.0, 3600.0, 86_400.0, None)
_ARRIVED_WITHIN = timedelta(minutes=4)
"""All were asked within this time, so that none is due yet: the first deadline is after 5."""
_SAMPLE = 10_000
PERSON = Principal(
    plane=Plane.PERSON, id="bench", name="Bench", strength=Strength.LINK, role=Role.ADMIN
)
YES = Answer(type=DecisionType.APPROVE, reason="Looks right.")

_now = time.perf_counter


class Job(Struct, kw_only=True):
    """Which store, and how full."""

    store: Literal["sqlite", "postgres"]
    database: str
    """A path, or an address."""
    sizes: list[int]


class Clock:
    """Tells when the request that is being made was asked."""

    def __init__(self) -> None:
        self.moment = datetime.now(UTC) - _ARRIVED_WITHIN

    def now(self) -> datetime:
        """That moment."""
        return self.moment


class Pending:
    """A store that is filled, and what is done with it.

    Args:
        store: open, and empty.
        most: how many will be pending at the end.
    """

    def __init__(self, store: Stores, most: int) -> None:
        self._store = store
        self._clock = Clock()
        self._began = self._clock.moment
        self._ids = RequestIds(self._clock)
        self._step = _ARRIVED_WITHIN / (most + 100_000)
        self._drafts = [
            msgspec.structs.replace(draft, timeout_seconds=timeout)
            for draft in (codec.decode(Draft, question(number)) for number in range(64))
            for timeout in _TIMEOUTS
        ]
        self._numbers = count()
        self._random = random.Random(1)

    def change(self) -> lifecycle.Change:
        """A new request, a moment after the one before; eight belong to a session."""
        number = next(self._numbers)
        self._clock.moment += self._step
        return lifecycle.submit(
            msgspec.structs.replace(
                self._drafts[number % len(self._drafts)], session_id=f"session-{number // 8}"
            ),
            request_id=self._ids.next(),
            now=self._clock.moment,
            default_timeout=timedelta(minutes=5),
            by=LOCAL_AGENT,
        )

    async def fill(self, number: int) -> list[str]:
        """Submit so many; returns the ids of some of them, evenly spread, in any order."""
        sample: list[str] = []
        step = max(1, number // _SAMPLE)

        async def submit(place: int) -> None:
            change = self.change()
            if place % step == 0:
                sample.append(change.request.id)
            await self._store.commit(change)

        await together(number, 1024, submit)
        self._random.shuffle(sample)
        return sample

    async def measure(self, sample: list[str]) -> dict[str, float]:
        """Read, find, look for what is due; then submit and decide; then expire."""
        store = self._store
        pending = frozenset({Status.PENDING})
        now = self._began + _ARRIVED_WITHIN + timedelta(seconds=1)
        spread = self._random.choices(sample, k=2_000)

        async def read(place: int) -> None:
            if await store.get(LOCAL_AGENT.tenant, spread[place]) is None:
                raise AssertionError("a request is not there")

        async def first(_: int) -> None:
            await self._page(Query(status=pending, limit=50))

        async def deep(place: int) -> None:
            await self._page(Query(status=pending, limit=50, after=spread[place]))

        async def nothing_due(_: int) -> None:
            if await store.due(now, SWEEP):
                raise AssertionError("a request is due too early")

        values: dict[str, float] = {}
        for name, times, one in (
            ("read", 2_000, read),
            ("page_first", 400, first),
            ("page_deep", 400, deep),
            ("sweep_none", 1_000, nothing_due),
        ):
            await together(50, 1, one)
            _, took = await together(times, 1, one)
            values |= named(name, percentiles(took))
        values |= await self._writes(sample)
        _, took = await together(6, 1, self._expire)
        return values | named("sweep_500", percentiles(took))

    async def _page(self, query: Query) -> None:
        page = await self._store.find(query)
        if not page.items:
            raise AssertionError("a page is empty")

    async def _writes(self, sample: list[str]) -> dict[str, float]:
        """Rounds of submits and decisions in turn, so that as many stay pending."""
        rates: dict[str, list[float]] = {"submit": [], "decide": []}
        latencies: dict[str, list[float]] = {"submit": [], "decide": []}
        for _ in range(ROUNDS):
            made = [self.change() for _ in range(EACH)]
            ids = [sample.pop() for _ in range(EACH)]

            async def submit(place: int, made: Sequence[lifecycle.Change] = made) -> None:
                await self._store.commit(made[place])

            async def decide(place: int, ids: Sequence[str] = ids) -> None:
                request = await self._store.get(LOCAL_AGENT.tenant, ids[place])
                assert request is not None
                command = lifecycle.Decide(answer=YES, by=PERSON, channel=Channel.API)
                await self._store.commit(lifecycle.apply(request, command, self._clock.moment))

            for name, one in (("submit", submit), ("decide", decide)):
                seconds, took = await together(EACH, AT_ONCE, one)
                rates[name].append(EACH / seconds)
                latencies[name] += took
        return {
            name: value
            for kind in rates
            for name, value in {
                f"{kind}_rate": statistics.median(rates[kind]),
                **named(kind, percentiles(latencies[kind])),
            }.items()
        }

    async def _expire(self, _: int) -> None:
        """A whole sweep that finds 500 due: find them, and close them together."""
        late = self._began + _ARRIVED_WITHIN + timedelta(minutes=15)
        due = await self._store.due(late, SWEEP)
        if len(due) != SWEEP:
            raise AssertionError(f"{len(due)} are due, not {SWEEP}")

        async def close(request: Request) -> None:
            await self._store.commit(lifecycle.apply(request, lifecycle.Expire(), late))

        await asyncio.gather(*(close(request) for request in due))


async def together(
    number: int, at_once: int, one: Callable[[int], Awaitable[None]]
) -> tuple[float, list[float]]:
    """Do `one` so many times, by so many callers at once; the time in all, and that of each."""
    took: list[float] = []
    places = iter(range(number))

    async def caller() -> None:
        for place in places:
            began = _now()
            await one(place)
            took.append(_now() - began)

    began = _now()
    await asyncio.gather(*(caller() for _ in range(at_once)))
    return _now() - began, took


def named(kind: str, values: dict[str, float]) -> dict[str, float]:
    """The values under names that begin with `kind`."""
    return {f"{kind}_{name}": value for name, value in values.items()}


def make_store(kind: str, database: str) -> Stores:
    """The store of that kind, at a path or an address; to be opened still."""
    return PostgresStore(database) if kind == "postgres" else SqliteStore(Path(database))


async def _main(job: Job) -> dict[int, dict[str, float]]:
    store = make_store(job.store, job.database)
    await store.open()
    measured: dict[int, dict[str, float]] = {}
    try:
        pending, full = Pending(store, max(job.sizes)), 0
        for size in job.sizes:
            began = _now()
            sample = await pending.fill(size - full)
            filled = (size - full) / (_now() - began)
            full = size
            gc.collect()
            await asyncio.sleep(1)
            values = await pending.measure(sample)
            values["fill_rate"] = filled
            values["rss_mb"] = machine.rss_kb(os.getpid()) / 1024
            values["file_mb"] = await _size_mb(job)
            measured[size] = values
    finally:
        await store.close()
    return measured


async def _size_mb(job: Job) -> float:
    if job.store == "postgres":
        connection = await asyncpg.connect(job.database)
        size = await connection.fetchval("SELECT pg_database_size(current_database())")
        await connection.close()
        return size / 1_048_576
    path = Path(job.database)
    return sum(file.stat().st_size for file in path.parent.glob(path.name + "*")) / 1_048_576


if __name__ == "__main__":
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.stdout.buffer.write(msgspec.json.encode(runner.run(_main(job))))
