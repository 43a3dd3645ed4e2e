"""The process: a job on standard input, the result on standard output."""

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable

import msgspec
import uvloop

from bench.load.deliveries import deliveries
from bench.load.held import held
from bench.load.job import Job, Run
from bench.load.steady import cycles, submits
from bench.passes import Result

_LOADS: dict[str, Callable[[Run], Awaitable[Result]]] = {
    "submits": submits,
    "cycles": cycles,
    "held": held,
    "deliveries": deliveries,
}


async def _main(job: Job) -> Result:
    return await _LOADS[job.kind](Run(job))


if __name__ == "__main__":
    gc.disable()  # a pass is short, and a collection would be taken for the server's slowness
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(_main(job))
        sys.stdout.buffer.write(msgspec.json.encode(result))
