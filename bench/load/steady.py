"""Steady loads: submits, and full cycles."""

import asyncio
import time

from bench.client import Connection, connect, id_of
from bench.load.job import Run
from bench.passes import Result

HELD_AT_LEAST = 0.005
"""Seconds between sending a wait and deciding it in a full cycle, so that it is really held."""

_now = time.perf_counter


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
