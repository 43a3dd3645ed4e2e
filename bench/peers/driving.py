"""The same load for every peer: it asks, somebody answers, it goes on.

A peer's process reads one job from its standard input and prints what was measured. Callers and
peer share the process and its event loop, except for the product, which is a server of its own.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypedDict

import uvloop

from bench.summary import percentiles

AT_ONCE = 64
"""Callers."""
WAITING = 200
"""Questions that stand while the time of single decisions is taken."""
PACE = 50
"""Decisions a second meanwhile: far less than any of them can do."""
HELD_AT_LEAST = 0.005
_WARM_UP = 32
_ANSWER_SECONDS = 20

_now = time.perf_counter


class Peer(Protocol):
    """What is measured."""

    async def ask(self, number: int) -> Any:
        """Ask; returns once the question is kept, so that it would survive a crash."""
        ...

    async def answer(self, key: Any) -> None:
        """Give the answer; returns once the one who asked has it. `key` is what `ask` returned."""
        ...


class Job(TypedDict):
    """What to do."""

    shape: str
    """`pause`: many are asked, then all are answered. `wait`: they go round."""
    seconds: float
    address: str
    bearer: str


Open = Callable[[Job], AbstractAsyncContextManager[Peer]]


async def pause(peer: Peer, seconds: float) -> dict[str, float]:
    """Ask for so long, with nothing answered; then answer all, or as many as the time allows."""
    asked: list[Any] = []

    async def ask(number: int) -> None:
        asked.append(await peer.ask(number))

    spent, took = await callers(seconds, sys.maxsize, ask)
    values = {"pauses": len(took) / spent, **_named("pause", percentiles(took))}
    await asyncio.sleep(0.3)
    keys = iter(asked)

    async def answer(_: int) -> None:
        await peer.answer(next(keys))

    spent, took = await callers(2 * seconds, len(asked), answer)
    return values | {"resumes": len(took) / spent, **_named("resume", percentiles(took))}


async def wait(peer: Peer, seconds: float) -> dict[str, float]:
    """Full cycles: ask, wait a moment, answer, go on. Then decisions one by one."""
    took: list[float] = []

    async def cycle(number: int) -> None:
        key = await peer.ask(number)
        await asyncio.sleep(HELD_AT_LEAST)
        began = _now()
        await peer.answer(key)
        took.append(_now() - began)

    spent, whole = await callers(seconds, sys.maxsize, cycle)
    values = {"cycles": len(whole) / spent, **_named("loaded", percentiles(took))}
    count = int(PACE * seconds)
    keys = [await peer.ask(number) for number in range(count + WAITING)]
    await asyncio.sleep(0.3)
    alone: list[float] = []

    async def answer(key: Any) -> None:
        began = _now()
        await peer.answer(key)
        alone.append(_now() - began)

    answers: list[asyncio.Task[None]] = []
    began = _now()
    for place, key in enumerate(keys[:count]):
        await asyncio.sleep(max(0, began + place / PACE - _now()))
        answers.append(asyncio.create_task(answer(key)))
    await asyncio.wait_for(asyncio.gather(*answers), _ANSWER_SECONDS)
    return values | _named("alone", percentiles(alone))


async def callers(
    seconds: float, most: int, one: Callable[[int], Awaitable[None]], at_once: int = AT_ONCE
) -> tuple[float, list[float]]:
    """Callers who do `one` over and over for so long; the time it took, in all and each."""
    took: list[float] = []
    numbers = iter(range(most))
    began = _now()

    async def caller() -> None:
        for number in numbers:
            started = _now()
            if started - began >= seconds:
                return
            await one(number)
            took.append(_now() - started)

    await asyncio.gather(*(caller() for _ in range(at_once)))
    return _now() - began, took


def _named(name: str, values: dict[str, float]) -> dict[str, float]:
    return {f"{name}_{key}": value for key, value in values.items()}


async def _measure(open_peer: Open, job: Job) -> dict[str, float]:
    async with open_peer(job) as peer:
        for number in range(_WARM_UP):
            await peer.answer(await peer.ask(number))
        values = await {"pause": pause, "wait": wait}[job["shape"]](peer, job["seconds"])
        print(json.dumps(values), flush=True)
        os._exit(0)  # what was never answered is not waited for


def main(open_peer: Open) -> None:
    """Carry out the job on standard input."""
    job: Job = json.load(sys.stdin)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_measure(open_peer, job))
