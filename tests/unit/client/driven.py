"""Drives the protocol's generators by hand: no network, no clock, no sleep."""

from datetime import UTC, datetime
from itertools import chain, repeat
from typing import Any, TypeVar

import msgspec

from sayso.client.protocol import Protocol
from sayso.client.steps import Lost, Operation, Reply, Send, Sleep
from sayso.domain.decisions import Channel, Decision, DecisionType, Reviewer
from sayso.domain.requests import Kind, Request, Status

T = TypeVar("T")
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
PENDING = Request(id="019a-pending", kind=Kind.APPROVAL, message="Deploy?", created_at=NOON)
APPROVED = msgspec.structs.replace(
    PENDING,
    status=Status.APPROVED,
    decision=Decision(
        type=DecisionType.APPROVE,
        approved=True,
        by=Reviewer(id="p1", name="Ann"),
        channel=Channel.WEB,
        strength=None,
        decided_at=NOON,
        took_seconds=1.0,
    ),
    closed_at=NOON,
)
REFUSED = Lost(why="refused", error=OSError("connection refused"))
BROKEN = Lost(why="broken", error=OSError("reset"))


def replied(body: object, status: int = 200, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status=status, headers=named, content=msgspec.json.encode(body))


def problem(status: int, code: str, **members: object) -> Reply:
    return replied({"status": status, "code": code, **members}, status)


class World:
    """A clock that only steps move, and the steps that were taken."""

    def __init__(self, **settings: object) -> None:
        self.now = 1000.0
        self.steps: list[Send | Sleep] = []
        self.protocol = Protocol(
            "http://sayso.test", clock=lambda: self.now, chance=lambda: 1.0, **settings
        )

    @property
    def sends(self) -> list[Send]:
        return [step for step in self.steps if isinstance(step, Send)]

    @property
    def slept(self) -> list[float]:
        return [step.seconds for step in self.steps if isinstance(step, Sleep)]

    def run(self, operation: Operation[T], *answers: Any) -> T:
        """The operation's result, when it gets these answers, and no other.

        A callable answer is called with the `Send`, and may move the clock; `...` at the end
        repeats the one before it as often as it is asked for.
        """
        endless = answers[-1:] == (...,)
        left = chain(answers[:-1], repeat(answers[-2])) if endless else iter(answers)
        try:
            step = next(operation)
            while True:
                self.steps.append(step)
                if isinstance(step, Sleep):
                    self.now += step.seconds
                    step = operation.send(None)
                else:
                    answer = next(left)
                    step = operation.send(answer(step) if callable(answer) else answer)
        except StopIteration as end:
            assert endless or next(left, None) is None, "not every answer was asked for"
            return end.value

    def silent(self, send: Send) -> Reply:
        """The server holds a wait to its end, and nobody decides."""
        self.now += float(dict(send.params)["wait"])
        return replied(PENDING)
