"""Agents and people: what they do is drawn from the seed, when it happens is up to the machine."""

import asyncio
from collections.abc import Coroutine
from random import Random
from typing import Any, Literal

import msgspec
from msgspec import Struct

from soak.caller import REQUESTS, Answer, Caller
from soak.ledger import (
    Cancelled,
    Decided,
    Extended,
    Json,
    Ledger,
    Submitted,
    TooLate,
    Unexpected,
    Unfinished,
)

MOST_STORIES = 400
"""Under way at once: what is slower than its rate must not pile up."""
FINISH_SECONDS = 90.0
"""In which all ends once nothing is broken any more; the longest wait is 60."""
_TOO_LATE = {"already_decided", "expired", "cancelled"}


class Move(Struct, frozen=True):
    """Somebody does something with a request, after so many seconds; None: when all is calm."""

    after: float | None
    verb: Literal["decision", "cancel", "extend"]
    body: Json
    mark: str = ""
    """Of this move alone; what is decided or cancelled carries it as the reason."""


class Plan(Struct, frozen=True):
    """The story of one request."""

    key: str
    body: Json
    twice: bool
    """Whether it is submitted by two at once, under one key."""
    waits: tuple[tuple[float, float], ...]
    """After how many seconds somebody waits, and how long each of the waits is."""
    moves: tuple[Move, ...]


class Load:
    """Submits, waits, decides, extends and cancels at a bounded rate, until it is over.

    Args:
        caller: how to call.
        ledger: where answers are noted.
        seed: of what they do.
        rate: stories that begin each second.
        callback_url: where some want to be told of the end.
    """

    def __init__(
        self, caller: Caller, ledger: Ledger, *, seed: int, rate: float, callback_url: str = ""
    ) -> None:
        self._caller = caller
        self._ledger = ledger
        self._seed = seed
        self._chance = Random(f"load {seed}")
        self._rate = rate
        self._callback_url = callback_url
        self._stories: set[asyncio.Task[None]] = set()
        self._calm = asyncio.Event()

    async def run(self, over: asyncio.Event) -> None:
        """Begin one story after the other, as they would come in."""
        number = 0
        while not over.is_set():
            plan = draw(self._chance, f"soak {self._seed}.{number}", self._callback_url)
            if len(self._stories) < MOST_STORIES:
                self._begin(self._live(plan))
            number += 1
            await asyncio.sleep(self._chance.expovariate(self._rate))

    async def finish(self) -> None:
        """Let all stories end; call this when nothing is broken any more."""
        self._calm.set()
        if self._stories:
            await asyncio.wait(tuple(self._stories), timeout=FINISH_SECONDS)
        for story in tuple(self._stories):
            self._ledger.note(Unfinished(f"the story {story.get_name()!r}"))
            story.cancel()
        await asyncio.gather(*self._stories, return_exceptions=True)

    def _begin(self, story: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(story)
        self._stories.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._stories.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._ledger.note(Unexpected(f"a story broke off: {error!r}"))

    async def _live(self, plan: Plan) -> None:
        self._ledger.begun.add(plan.body["message"])
        answers = await asyncio.gather(*(self._submit(plan) for _ in range(1 + plan.twice)))
        ids = {answer.body.get("id") for answer in answers if answer.status in (200, 201)}
        if len(ids) != 1 or any(answer.status not in (200, 201) for answer in answers):
            self._ledger.note(Unexpected(f"a submit of {plan.key!r} was told {answers}"))
            return
        request_id = str(ids.pop())
        self._ledger.note(Submitted(request_id, plan.body))
        async with asyncio.TaskGroup() as group:
            for after, seconds in plan.waits:
                group.create_task(self._wait(request_id, after, seconds))
            for move in plan.moves:
                group.create_task(self._move(request_id, move))

    async def _submit(self, plan: Plan) -> Answer:
        return await self._caller.call("POST", REQUESTS, plan.body, key=plan.key)

    async def _wait(self, request_id: str, after: float, seconds: float) -> None:
        await asyncio.sleep(after)
        await self._caller.wait_for_end(request_id, seconds)

    async def _move(self, request_id: str, move: Move) -> None:
        if move.after is None:
            await self._calm.wait()
        else:
            await asyncio.sleep(move.after)
        path = f"{REQUESTS}/{request_id}/{move.verb}"
        is_decision = move.verb == "decision"
        body = move.body if move.verb == "extend" else {**move.body, "reason": move.mark}
        answer = await self._caller.call("POST", path, body, as_person=is_decision)
        told, mark = answer.body, move.mark
        if answer.status == 200 and is_decision:
            at = (answer.sent_at, answer.told_at)
            self._ledger.note(Decided(request_id, mark, told["decision"], *at, answer.first_try))
        elif answer.status == 200 and move.verb == "cancel":
            self._ledger.note(Cancelled(request_id, mark))
        elif answer.status == 200:
            self._ledger.note(Extended(request_id, told["deadline_at"]))
        elif answer.status == 409 and told["code"] in _TOO_LATE:
            self._ledger.note(TooLate(request_id, mark, told["code"], answer.first_try))
        else:
            self._ledger.note(Unexpected(f"{move.verb} was told {answer.status} {told}"))


def draw(chance: Random, name: str, callback_url: str = "") -> Plan:
    """One story, by chance alone; `name` occurs once."""
    body, decision = _question(chance, f"Go on with {name}?")
    if callback_url and chance.random() < 0.4:
        body["callback_url"] = f"{callback_url}/{chance.randrange(4)}"
    if chance.random() < 0.1:
        body["remind_every_seconds"] = 1
    soon = chance.uniform(0, 3)
    shape = chance.random()
    moves: tuple[Move, ...]
    if shape < 0.4:
        moves = (Move(soon, "decision", decision),)
    elif shape < 0.55:  # a crowd presses at once
        crowd = chance.randint(2, 4)
        moves = (Move(soon, "decision", decision),) * crowd
    elif shape < 0.65:  # the agent takes it back as a person decides
        moves = (Move(soon, "decision", decision), Move(soon, "cancel", {}))
    elif shape < 0.75:  # nobody answers
        body["timeout_seconds"] = round(chance.uniform(0.3, 3), 3)
        moves = ()
    elif shape < 0.85:  # somebody answers as time runs out
        body["timeout_seconds"] = round(chance.uniform(0.5, 2), 3)
        moves = (Move(body["timeout_seconds"] + chance.uniform(-0.1, 0.1), "decision", decision),)
    elif shape < 0.89:
        moves = (Move(soon, "cancel", {}),)
    elif shape < 0.94:  # people get more time, and need it
        body["timeout_seconds"] = 2.0
        more = Move(chance.uniform(0, 1.5), "extend", {"timeout_seconds": 60})
        moves = (more, Move(chance.uniform(2.5, 4), "decision", decision))
    else:  # a patient one, over all that breaks
        moves = (Move(None, "decision", decision),)
    return Plan(
        key=name.replace(" ", "-"),
        body=body,
        twice=chance.random() < 0.1,
        waits=tuple(
            (chance.uniform(0, 1), chance.choice((1.0, 5.0, 20.0, 60.0)))
            for _ in range(chance.randint(0, 3))
        ),
        moves=tuple(
            msgspec.structs.replace(move, mark=f"{name}, move {number}")
            for number, move in enumerate(moves)
        ),
    )


def _question(chance: Random, message: str) -> tuple[Json, Json]:
    """What is asked, and an answer that fits it."""
    body: Json = {"message": message, "timeout_seconds": None, "metadata": {"n": chance.random()}}
    match chance.randrange(4):
        case 0:
            return body, {"type": chance.choice(("approve", "reject", "ignore"))}
        case 1:
            args = {"amount": chance.randrange(1000), "to": "x" * chance.randrange(2000)}
            body["action"] = {"tool_name": "pay", "tool_args": args, "risk_class": "high"}
            if chance.random() < 0.5:
                return body, {"type": "approve"}
            return body, {"type": "edit", "args": {"amount": 1, "to": "y"}}
        case 2:
            body["options"] = ["left", "right"]
            return body, {"type": "respond", "option": chance.choice(("left", "right"))}
        case _:
            body["kind"] = "input"
            return body, {"type": "respond", "content": "as you like"}
