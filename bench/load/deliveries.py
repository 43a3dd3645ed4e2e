"""Deliveries: everything is decided at once, and a sink counts what it is told of that."""

import asyncio
import json
import time
from functools import partial
from typing import Any

from bench.client import Connection, Wire, connect
from bench.load.held import DECIDERS
from bench.load.job import Meter, Run, all_done, submit_all
from bench.passes import Result
from bench.summary import percentiles

_SECONDS = 40
"""So long the last delivery may take."""

_now = time.perf_counter


async def deliveries(run: Run) -> Result:
    """Submit requests with a `callback_url`, decide all, and wait until the sink has them all.

    The rate is from the first decision to the last delivery.
    """
    sink = (await connect(run.job.sink, 1))[0]
    submits = run.wire.submits_with({"callback_url": f"http://127.0.0.1:{run.job.sink}/"})
    ids = await submit_all(run, run.job.count, submits)
    people = await connect(run.job.port, DECIDERS)
    decided: dict[str, float] = {}
    left = iter(ids)

    def ask(person: Connection, done: asyncio.Future[None]) -> None:
        request_id = next(left, None)
        if request_id is None:
            done.set_result(None)
        else:
            decided[request_id.decode()] = _now()
            person.ask(run.wire.decide(request_id), partial(replied, person, done))

    def replied(person: Connection, done: asyncio.Future[None], status: int, body: bytes) -> None:
        run.failed(status, body)
        ask(person, done)

    meter, began = Meter(run.job), _now()
    await all_done(people, ask)
    spent = _now() - began
    at = await arrived(sink, run.job.sink, len(ids))
    result = run.result({}, meter)
    took = [moment - decided[known] for job, moment in at.items() if (known := job[:36]) in decided]
    if len(took) != len(ids):
        result.errors, result.first_error = 1, f"{len(took)} of {len(ids)} were told of"
    else:
        last = max(at.values())
        result.values = percentiles(took) | {
            "rate": len(took) / (last - began),
            "decided": len(took) / spent,
        }
    return result


async def arrived(sink: Connection, port: int, count: int) -> dict[str, float]:
    """When each id arrived, once there are so many, or time is up; doubles are an error."""
    wire = Wire(port, bearer="")
    until = _now() + _SECONDS
    while True:
        told = await _look(sink, wire)
        if len(told["at"]) >= count or _now() > until:
            break
        await asyncio.sleep(0.05)
    if told["doubles"]:
        raise AssertionError(f"{told['doubles']} were delivered twice")
    return told["at"]


async def _look(sink: Connection, wire: Wire) -> dict[str, Any]:
    future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    sink.ask(wire.look(), lambda _, body: future.set_result(body))
    return json.loads(await future)
