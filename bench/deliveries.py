"""Deliveries: signed POSTs of decisions to a local sink, from a backlog and while people decide."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Callable, Generator
from datetime import timedelta
from functools import partial
from pathlib import Path

import msgspec

from bench import machine
from bench.client import connect
from bench.errors import BenchError
from bench.load.deliveries import arrived
from bench.passes import Passes, Plan, Tell
from bench.pending import PERSON, YES, make_store, together
from bench.questions import question
from bench.servers import REFERENCE_LINE, ROOT, await_line, running, stop
from bench.turns import Store, generate
from sayso import codec
from sayso.clock import RequestIds, SystemClock
from sayso.domain import lifecycle
from sayso.domain.accounts import LOCAL_AGENT
from sayso.domain.decisions import Channel
from sayso.domain.jobs import deliveries_of, subject_of
from sayso.domain.requests import Draft
from sayso.wiring import DATABASE_FILE

BACKLOG = 5_000
"""Deliveries that a server finds when it starts, for each second of a timed pass."""
LIVE = 1_000
"""Deliveries while people decide, for each second."""
SETTING = "callback_networks"
"""The setting that lets the product deliver to this machine."""
_ALLOWED = {"SAYSO_CALLBACK_NETWORKS": "127.0.0.0/8"}


def delivered(store: Store) -> Callable[[str, Plan, Tell], Passes]:
    """Passes of the product: a backlog first, then deliveries while 32 people decide."""

    def measure(name: str, plan: Plan, tell: Tell) -> Passes:
        done = Passes()
        for number in range(plan.passes):
            tell(f"{name}: pass {number + 1} of {plan.passes}")
            backlog = _backlog(store, plan)
            with (
                _database(store, plan) as dsn,
                sink() as port,
                running("product", plan.folder, dsn, _ALLOWED) as server,
            ):
                result = generate(
                    "deliveries", server, plan.seconds, int(LIVE * plan.seconds), port
                )
            if result.errors:
                raise BenchError(f"{name}: {result.first_error}")
            result.values["backlog"] = backlog
            if store == "postgres":
                result.others_cpu = None
            done.add("product", result)
        return done

    return measure


@contextlib.contextmanager
def sink() -> Generator[int]:
    """The port of a fresh sink, on the load's core."""
    cores = machine.cores()
    words = [sys.executable, "-m", "bench.sink"]
    with machine.pinned(cores[1] if cores else None):
        process = subprocess.Popen(words, stdout=subprocess.PIPE, cwd=ROOT)
    try:
        found = await_line(process, REFERENCE_LINE)
        if found is None:
            raise BenchError("The sink did not start.")
        yield int(found["port"])
    finally:
        stop(process)


def _backlog(store: Store, plan: Plan) -> float:
    """Deliveries a second, from the first to the last, of what a server finds when it starts."""
    count = int(BACKLOG * plan.seconds)
    with _database(store, plan) as dsn, sink() as port:
        fill = partial(_fill, store, dsn, port, count)
        with running("product", plan.folder, dsn, _ALLOWED, prepare=fill):
            at = sorted(asyncio.run(_arrivals(port, count)).values())
    if len(at) != count:
        raise BenchError(f"{len(at)} of {count} were delivered.")
    return (len(at) - 1) / (at[-1] - at[0])


@contextlib.contextmanager
def _database(store: Store, plan: Plan) -> Generator[str | None]:
    if store == "sqlite":
        yield None
    else:
        with plan.services.postgres() as dsn:
            yield dsn


def _fill(store: Store, dsn: str | None, port: int, count: int, data: Path) -> None:
    """Decided requests whose deliveries are due, in a database that no server has opened yet."""
    asyncio.run(_submit_and_decide(store, dsn or str(data / DATABASE_FILE), port, count))


async def _submit_and_decide(store: Store, database: str, port: int, count: int) -> None:
    url = f"http://127.0.0.1:{port}/"
    drafts = [
        msgspec.structs.replace(codec.decode(Draft, question(number)), callback_url=url)
        for number in range(64)
    ]
    clock = SystemClock()
    ids = RequestIds(clock)
    opened = make_store(store, database)
    await opened.open()

    async def decided(number: int) -> None:
        asked = lifecycle.submit(
            drafts[number % 64],
            request_id=ids.next(),
            now=clock.now(),
            default_timeout=timedelta(hours=1),
            by=LOCAL_AGENT,
        )
        await opened.commit(asked)
        command = lifecycle.Decide(answer=YES, by=PERSON, channel=Channel.API)
        change = lifecycle.apply(asked.request, command, clock.now())
        subject = subject_of(change.request)
        jobs = deliveries_of(change.events[0], subject, (), change.request)
        await opened.commit(msgspec.structs.replace(change, jobs=jobs))

    try:
        await together(count, 512, decided)
    finally:
        await opened.close()


async def _arrivals(port: int, count: int) -> dict[str, float]:
    return await arrived((await connect(port, 1))[0], port, count)
