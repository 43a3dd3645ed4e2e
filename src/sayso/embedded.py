"""The engine in one's own process: what a server keeps, without the server.

Requests live in SQLite, PostgreSQL or Redis and survive a restart; several processes may share
PostgreSQL or Redis. Who decides is for the program to say: it is trusted, since it runs the code.
"""

import contextlib
import secrets
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Literal

import msgspec

from sayso.broker.broker import MAX_WAIT, Broker
from sayso.broker.engine import running
from sayso.client.tracing import current_traceparent
from sayso.clock import ticks
from sayso.domain.accounts import LOCAL_AGENT, Plane, Principal, Role, Strength
from sayso.domain.decisions import Answer, Channel, DecisionType, reviewer
from sayso.domain.grants import OutcomeDraft
from sayso.domain.requests import Draft, Request
from sayso.errors import InvalidAnswerError, InvalidRequestError
from sayso.settings import Settings
from sayso.types import Json, JsonObject
from sayso.wiring import make_broker


class Embedded:
    """Meets `Approver` on a broker; open it with `embedded`."""

    def __init__(self, broker: Broker, by: Principal = LOCAL_AGENT) -> None:
        self.broker = broker
        self.by = by

    async def submit(
        self, message: str, *, idempotency_key: str | None = None, **fields: Any
    ) -> Request:
        """Ask; see `Client.submit`."""
        traceparent = fields.pop("traceparent", None) or current_traceparent()
        try:
            draft = msgspec.convert({**msgspec.to_builtins(fields), "message": message}, Draft)
        except msgspec.ValidationError as error:
            raise InvalidRequestError(f"This cannot be asked: {error}.") from error
        submitted = await self.broker.submit(
            draft, by=self.by, key=idempotency_key, traceparent=traceparent
        )
        return submitted.request

    async def recall(self, idempotency_key: str) -> Request | None:
        """The request that was asked under this key."""
        return await self.broker.recall(idempotency_key, by=self.by)

    async def wait(
        self,
        request_id: str,
        *,
        timeout: float | None = None,  # noqa: ASYNC109  returns the pending request
    ) -> Request:
        """The decided request, or the pending one after `timeout` seconds."""
        longest = MAX_WAIT.total_seconds()
        end = None if timeout is None else ticks() + timeout
        while True:
            left = longest if end is None else max(0.0, min(end - ticks(), longest))
            request = await self.broker.wait(request_id, seconds=left, by=self.by)
            if request.is_terminal or (end is not None and ticks() >= end):
                return request

    async def claim(
        self, request_id: str, digest: str, *, facts: JsonObject | None = None
    ) -> Request:
        """Take the grant; see `Client.claim`."""
        key = secrets.token_hex(16)
        return await self.broker.claim(request_id, digest, by=self.by, facts=facts, key=key)

    async def report(
        self,
        request_id: str,
        status: Literal["succeeded", "failed", "unknown"],
        *,
        result: Json = None,
        error: str = "",
    ) -> Request:
        """Tell what became of it; see `Client.report`."""
        draft = {"status": status, "result": result, "error": error}
        outcome = msgspec.convert(draft, OutcomeDraft)
        return await self.broker.report(request_id, outcome, by=self.by)

    async def cancel(self, request_id: str, reason: str = "") -> Request:
        """Take the question back; see `Client.cancel`."""
        return await self.broker.cancel(request_id, by=self.by, reason=reason)

    async def decide(
        self,
        request_id: str,
        type: DecisionType | Literal["approve", "edit", "respond", "reject", "ignore"],  # noqa: A002
        *,
        by: str | int,
        channel: Channel = Channel.PROGRAM,
        **answer: Any,
    ) -> Request:
        """What a person told this program.

        Args:
            request_id: which.
            type: what they say.
            by: who they are, as this program knows them, by name or number; kept as `by` of the
                decision.
            channel: by which way it came.
            answer: more of an `Answer`, such as `args` or `reason`.

        Raises:
            InvalidTransitionError: it is closed already.
            InvalidAnswerError: it does not fit the question, or is no answer.
        """
        try:
            said = msgspec.convert({"type": type, **answer}, Answer)
        except msgspec.ValidationError as error:
            raise InvalidAnswerError(f"This is no answer: {error}.") from error
        who = reviewer(by)
        person = Principal(
            plane=Plane.PERSON, id=who.id, name=who.name, role=Role.REVIEWER, strength=Strength.LINK
        )
        return await self.broker.decide(request_id, said, by=person, channel=channel)


@contextlib.asynccontextmanager
async def embedded(database: str | Path = ":memory:") -> AsyncGenerator[Embedded]:
    """An approver for a gate that keeps its requests in a database of one's own.

    Args:
        database: a file of SQLite, `postgresql://...`, `redis://...`, or `:memory:`.

    Raises:
        StoreError: the database cannot be opened.
        ConfigurationError: another process holds the file for itself.
    """
    text = str(database)
    if text == ":memory:":
        settings = Settings(memory=True)
    else:
        settings = Settings(database_url=text if "://" in text else f"sqlite:{text}")
    broker = make_broker(settings)
    async with running(broker, shared=None):
        yield Embedded(broker)
