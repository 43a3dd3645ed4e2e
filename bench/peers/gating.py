"""A gate around a call that is allowed: the same measurement for the product's and a peer's."""

import asyncio
import json
import sys
import timeit
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import uvloop

from bench.peers.driving import callers
from bench.summary import percentiles

Call = Callable[[int], Awaitable[None]]
_WARM_UP = 200


class Gates(NamedTuple):
    """What is measured."""

    logged: Call
    """One call through the gate, which writes to a SQLite file what happens; takes a number."""
    bare: Call
    """The same without a log."""
    judge: Callable[[], object]
    """The policy by risk, asked about an action that it lets through."""
    finish: Callable[[], dict[str, float]]
    """Called at the end: checks that all is written; more values."""


def main(make: Callable[[str], Gates]) -> None:
    """Read `{"seconds": ..., "address": ...}`, print the values as JSON."""
    job = json.load(sys.stdin)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(_measure(make(job["address"]), job["seconds"]))))


async def _measure(gates: Gates, seconds: float) -> dict[str, float]:
    values: dict[str, float] = {}
    for name, call in (("logged", gates.logged), ("bare", gates.bare)):
        for number in range(_WARM_UP):
            await call(number)
        spent, took = await callers(seconds, sys.maxsize, call, at_once=1)
        values |= {
            f"{name}_{key.removesuffix('_ms')}_us": value * 1000
            for key, value in percentiles(took).items()
        }
        values[f"{name}_mean_us"] = spent / len(took) * 1e6
    timer = timeit.Timer(gates.judge)
    number, _ = timer.autorange()
    values["policy_us"] = min(timer.repeat(3, number)) / number * 1e6
    return values | gates.finish()
