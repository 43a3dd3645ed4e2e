"""One storm: start, load and break, let all come to rest, look, judge."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

from msgspec import Struct

from sayso.links import load_secret
from sayso.signatures import callback_secret
from soak import kept
from soak.caller import Caller
from soak.faults import Faults
from soak.judge import judge
from soak.ledger import Ledger, Unfinished
from soak.load import Load
from soak.places import PLACES, Place
from soak.report import Result, result_of
from soak.sink import Sink
from soak.streams import Follower

REST_SECONDS = 120.0
"""In which all that is due is done, once nothing is broken any more: a lease is a minute."""
LONG_REST_SECONDS = 600.0
"""The same after a long storm: a target that was away for long is left alone for five minutes."""
TELL_SECONDS = 15.0
LEAST_DONE, LEAST_WAITS = 25, 8
"""Decisions and deliveries, and waits held at once: a storm of fewer would prove little."""

LONG_SECONDS = 300.0
"""Of a storm in which what takes a minute is broken, too."""
_ENVIRONMENT = {
    "SAYSO_LOG_LEVEL": "warning",
    "SAYSO_CALLBACK_NETWORKS": "127.0.0.0/8",
    "SAYSO_CALLBACK_TIMEOUT": "2",
    "SAYSO_CALLBACK_RETRIES": ",".join(["0.2", "0.5", *["1"] * 100]),  # given up is lost
}


class Storm(Struct, frozen=True, kw_only=True):
    """What to do.

    It goes on until each kind of fault has been there, and enough has been done that they could
    spoil, but not for longer than three times `seconds` and a minute.
    """

    store: str
    seconds: float
    seed: int
    rate: float = 12.0
    """Requests each second."""
    pause: tuple[float, float] = (0.5, 2.0)
    """Seconds between one recovery and the next fault."""
    notes: Path | None = None
    """A file for all that was acknowledged."""


async def rage(
    storm: Storm, folder: Path, *, stop: asyncio.Event, tell: Callable[[str], None]
) -> Result:
    """Carry it out; with `stop` it ends sooner, and is judged all the same."""
    with Ledger(storm.notes) as ledger:
        place = PLACES[storm.store](folder, ledger, _ENVIRONMENT)
        try:
            await place.start()
            began = time.monotonic()
            followed = await _load_and_break(place, storm, ledger, stop, tell)
            there = await place.kept()
        finally:
            place.abandon()
        there.told = followed
        return result_of(storm.store, storm.seed, began, ledger, there, judge(ledger, there))


async def _load_and_break(
    place: Place,
    storm: Storm,
    ledger: Ledger,
    stop: asyncio.Event,
    tell: Callable[[str], None],
) -> dict[str, kept.Json]:
    """Until all is over, at rest, and stopped; what the API told of the requests at the end."""
    faults = Faults(place, ledger, seed=storm.seed, pause=storm.pause)
    over = asyncio.Event()
    token = await asyncio.to_thread(place.servers[0].sign_in)
    async with (
        Sink(ledger, storm.seed) as sink,
        Caller(place.urls, token, ledger) as caller,
        _following(place, ledger) as streams,
    ):
        sink.secret = callback_secret(load_secret(place.servers[0].secret, create=False))
        if storm.seconds >= LONG_SECONDS:
            place.faults |= place.long_faults
            place.faults["target away"] = lambda chance: sink.stay_away(chance.uniform(3, 10))
        load = Load(caller, ledger, seed=storm.seed, rate=storm.rate, callback_url=sink.url)
        async with asyncio.TaskGroup() as work:
            work.create_task(load.run(over))
            work.create_task(faults.run(over))
            await _time(storm, faults, stop, ledger, tell)
            over.set()
            tell("no more faults; waiting until all has come to rest")
        sink.calm_down()
        await load.finish()
        rest = LONG_REST_SECONDS if storm.seconds >= LONG_SECONDS else REST_SECONDS
        await _rest(place, ledger, streams, tell, rest)
        told = await kept.told_by(place.urls[0])
        await place.close()
    return told


async def _time(
    storm: Storm,
    faults: Faults,
    stop: asyncio.Event,
    ledger: Ledger,
    tell: Callable[[str], None],
) -> None:
    """Let the storm go on for as long as it should."""
    began = told_at = time.monotonic()
    while not stop.is_set():
        now = time.monotonic()
        enough = now - began > storm.seconds and faults.rounds > 0 and _is_enough(ledger)
        if enough or now - began > 3 * storm.seconds + 60:
            return
        if now - told_at > TELL_SECONDS:
            told_at = now
            tell(
                f"{now - began:.0f} s: {len(ledger.submitted)} submits,"
                f" {len(ledger.decided)} decisions, {ledger.waiting} waits held,"
                f" {len(ledger.broken)} faults"
            )
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 0.2)


def _is_enough(ledger: Ledger) -> bool:
    done = min(len(ledger.decided), len(ledger.delivered))
    return done >= LEAST_DONE and ledger.most_waiting >= LEAST_WAITS


async def _rest(
    place: Place,
    ledger: Ledger,
    streams: list[Follower],
    tell: Callable[[str], None],
    seconds: float,
) -> None:
    """Wait until nothing is pending, nothing is to be done, and the streams have seen it all."""
    told_at = time.monotonic()
    until = told_at + seconds
    while (left := await place.left()).is_something:
        if time.monotonic() > until:
            ledger.note(Unfinished(f"{left.pending} requests and {left.jobs} jobs"))
            break
        if time.monotonic() - told_at > TELL_SECONDS:
            told_at = time.monotonic()
            tell(f"{left.pending} requests and {left.jobs} jobs left")
        await asyncio.sleep(0.2)
    for stream in streams:
        there = left.decided if stream.only else left.events
        while len(ledger.seen[stream.name]) < there:
            if time.monotonic() > until:
                return  # the judge tells what is missing
            await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def _following(place: Place, ledger: Ledger) -> AsyncGenerator[list[Follower]]:
    """Streams of all events, and one of decisions alone, until the block ends."""
    names = ["stream 1", "stream 2", "stream of request.decided"]
    streams = [Follower(name, place.urls, ledger, only=name.partition(" of ")[2]) for name in names]
    tasks = [asyncio.ensure_future(stream.run()) for stream in streams]
    try:
        yield streams
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
