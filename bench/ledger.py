"""What the ledger costs: sealing and verifying so many events, by themselves.

`python -m bench --ledger 100000` fills a SQLite file with that many events, seals them, verifies
the database and a bundle of it, and prints the seconds of each, by the clock and of the processor.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from sayso.clock import SystemClock
from sayso.codec import encode_request
from sayso.domain import lifecycle
from sayso.domain.decisions import Answer, Channel, DecisionType
from sayso.domain.lifecycle import Decide
from sayso.ledger import bundle
from sayso.ledger.binding import bind
from sayso.ledger.keys import Keys
from sayso.ledger.sealer import Sealer
from sayso.ledger.verify import verify_database
from sayso.stores.sqlite import SqliteStore
from sayso.stores.sqlite_ledger import SqliteLedgerFile
from sayso.testing.factories import NOW, PERSON, make_change

T = TypeVar("T")

_APPROVE = Decide(answer=Answer(type=DecisionType.APPROVE), by=PERSON, channel=Channel.WEB)
_AT_ONCE = 500


def measure(folder: Path, events: int) -> str:
    """The seconds of each step, as text."""
    return asyncio.run(_measure(folder / "ledger.db", events))


async def _measure(path: Path, events: int) -> str:
    store, keys, clock = SqliteStore(path), Keys(None, b"b" * 32), SystemClock()
    await store.open()
    bound = bound_cpu = 0.0
    for _ in range(events // 2 // _AT_ONCE):
        changes = [make_change() for _ in range(_AT_ONCE)]
        decisions = [lifecycle.apply(change.request, _APPROVE, NOW) for change in changes]
        for batch in (changes, decisions):
            for change in batch:
                encode_request(change.request)  # which a commit does anyway, once
            began, cpu = time.perf_counter(), time.process_time()
            told = [bind(change) for change in batch]
            bound += time.perf_counter() - began
            bound_cpu += time.process_time() - cpu
            await asyncio.gather(*(store.commit(change) for change in told))
    sealer = Sealer(store, keys, clock)
    sealed, sealing = await _timed(lambda: _seal(sealer))
    await store.close()
    reader = SqliteLedgerFile(path)
    await reader.open()
    verdict, verifying = await _timed(lambda: verify_database(reader))
    content, exporting = await _timed(
        lambda: bundle.export(
            reader, bundle.Selection(), key=keys.current(), clock=clock, by="bench"
        )
    )
    await reader.close()
    began, cpu = time.perf_counter(), time.process_time()
    checked = bundle.verify_bundle(content)
    checking = time.perf_counter() - began, time.process_time() - cpu
    assert verdict.ok, verdict.findings
    assert checked.ok, checked.findings
    lines = (
        ("bind a change to its request (hash; on the hot path)", (bound, bound_cpu), sealed),
        ("seal (beside the hot path)", sealing, sealed),
        ("verify the database", verifying, verdict.events),
        ("export a bundle", exporting, checked.events),
        ("verify the bundle", checking, checked.events),
    )
    rows = [
        f"{what:<54}{took:8.2f} s{cpu:8.2f} s CPU{1e6 * cpu / n:8.1f} us CPU an event"
        for what, (took, cpu), n in lines
    ]
    head = f"Ledger of {sealed} events, {verdict.requests} requests, {len(content)} bytes of bundle"
    return "\n".join([head, *rows])


async def _seal(sealer: Sealer) -> int:
    sealed = 0
    while some := await sealer.seal():
        sealed += some
    return sealed


async def _timed(work: Callable[[], Awaitable[T]]) -> tuple[T, tuple[float, float]]:
    began, cpu = time.perf_counter(), time.process_time()
    result = await work()
    return result, (time.perf_counter() - began, time.process_time() - cpu)
