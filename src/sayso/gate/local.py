"""An approver in this process: one backend is asked, under the same state machine as everywhere.

Nothing is written down. What must survive a restart is asked of a server, or of a broker.
"""

import asyncio
import contextlib
from collections import OrderedDict
from concurrent.futures import Future
from copy import deepcopy
from datetime import timedelta
from hashlib import sha256
from importlib import import_module
from typing import Any, Literal, cast
from uuid import UUID

import msgspec

from sayso.client.tracing import current_traceparent
from sayso.clock import Clock, RequestIds, SystemClock
from sayso.domain import lifecycle
from sayso.domain.accounts import LOCAL_AGENT, Plane, Principal, Role, Strength
from sayso.domain.approvals import ApprovalRequest
from sayso.domain.decisions import Answer, Channel, Decision, DecisionType
from sayso.domain.grants import OutcomeDraft
from sayso.domain.lifecycle import Claim, Command, Decide, EndGrant, Expire, Report
from sayso.domain.requests import Draft, Request
from sayso.domain.rules import Rule
from sayso.domain.traces import traceparent_of
from sayso.errors import (
    ConfigurationError,
    InvalidAnswerError,
    InvalidRequestError,
    InvalidTransitionError,
    MissingExtraError,
    NotFoundError,
)
from sayso.gate.ports import ApprovalBackend, ApprovalError, ApprovalTimeoutError
from sayso.types import Json, JsonObject

MAX_KEPT = 10_000
"""Requests that are remembered at the most; the oldest that are closed are forgotten."""
_FOREVER = timedelta(days=365_000)


class LocalApprover:
    """Meets `Approver` with one backend; usable from several threads and event loops.

    Args:
        backend: who is asked.
        clock: what time it is.
    """

    def __init__(self, backend: ApprovalBackend, clock: Clock | None = None) -> None:
        self.backend = backend
        self._clock = clock or SystemClock()
        self._ids = RequestIds(self._clock)
        self._requests: OrderedDict[str, Request] = OrderedDict()
        self._keys: dict[str, str] = {}
        self._asking: dict[str, Future[None]] = {}

    async def submit(
        self, message: str, *, idempotency_key: str | None = None, **fields: Any
    ) -> Request:
        """Keep the question; whoever waits for it has the backend asked.

        Raises:
            InvalidRequestError: it contradicts itself.
            ConfigurationError: its rule wants more than one backend can give.
        """
        if idempotency_key is not None and (known := await self.recall(idempotency_key)):
            return known
        traceparent = fields.pop("traceparent", None) or current_traceparent()
        try:
            draft = msgspec.convert(
                {"timeout_seconds": None, **msgspec.to_builtins(fields), "message": message}, Draft
            )
        except msgspec.ValidationError as error:
            raise InvalidRequestError(f"This cannot be asked: {error}.") from error
        if draft.rule is not None:
            _check_rule(draft.rule)
        change = lifecycle.submit(
            draft,
            request_id=self._ids.next() if idempotency_key is None else _id_of(idempotency_key),
            now=self._clock.now(),
            default_timeout=_FOREVER,
            by=LOCAL_AGENT,
            rule=draft.rule,
            traceparent=traceparent_of(traceparent),
        )
        request = change.request
        self._requests[request.id] = request
        if idempotency_key is not None:
            self._keys[idempotency_key] = request.id
        self._forget()
        return request

    async def recall(self, idempotency_key: str) -> Request | None:
        """The request that was asked under this key, unless it is forgotten."""
        return self._requests.get(self._keys.get(idempotency_key, ""))

    async def wait(
        self,
        request_id: str,
        *,
        timeout: float | None = None,  # noqa: ASYNC109  returns the pending request
    ) -> Request:
        """Have the backend asked, and wait for what it says; asked once, however many wait.

        Raises:
            ApprovalError: the backend failed, or its answer cannot be used. Nothing is decided.
        """
        request = self._get(request_id)
        end = _earlier(timeout, self._left(request))
        with contextlib.suppress(TimeoutError, ApprovalTimeoutError):
            async with asyncio.timeout(end):
                while not self._get(request_id).is_terminal:
                    await self._asked(request)
        request = self._get(request_id)
        if not request.is_terminal and self._left(request) == 0.0:
            return self._apply(request, Expire())
        return request

    async def claim(
        self, request_id: str, digest: str, *, facts: JsonObject | None = None
    ) -> Request:
        """Take the grant; see `Client.claim`. With other facts it is asked again."""
        request = self._get(request_id)
        try:
            claimed = lifecycle.apply(
                request, Claim(by=LOCAL_AGENT, digest=digest, facts=facts), self._clock.now()
            )
        except InvalidTransitionError as error:
            if error.reason_code == "facts_changed":
                await self.backend.claim(request_id, digest)  # it is over, also after a restart
                error.request = msgspec.to_builtins(self._reopen(request, facts))
            raise
        self._requests[request_id] = claimed.request  # nobody else takes it meanwhile
        await self.backend.claim(request_id, digest)
        return claimed.request

    async def report(
        self,
        request_id: str,
        status: Literal["succeeded", "failed", "unknown"],
        *,
        result: Json = None,
        error: str = "",
    ) -> Request:
        """Keep what became of it."""
        draft = {"status": status, "result": result, "error": error}
        outcome = msgspec.convert(draft, OutcomeDraft)
        return self._apply(self._get(request_id), Report(by=LOCAL_AGENT, outcome=outcome))

    async def close(self) -> None:
        """Let the backend let go of what it holds."""
        await self.backend.close()

    async def _asked(self, request: Request) -> None:
        """Ask the backend, or wait with whoever asks it already, on whatever event loop."""
        mine: Future[None] = Future()
        mine.set_running_or_notify_cancel()  # one who gives up waiting takes nobody else along
        asking = self._asking.setdefault(request.id, mine)
        if asking is not mine:
            await asyncio.wrap_future(asking)
            return
        try:
            await self._ask(request)
        finally:
            del self._asking[request.id]
            mine.set_result(None)  # whoever waits looks again, and asks if it has to

    async def _ask(self, request: Request) -> None:
        action = request.action
        assert action is not None  # noqa: S101  a gate asks about actions
        asked = ApprovalRequest(
            run_id=request.session_id or request.id,
            action=msgspec.structs.replace(action, tool_args=deepcopy(action.tool_args)),
            summary_context=request.message,
            policy_name=str(request.metadata.get("policy", "")),
            policy_reason=str(request.metadata.get("policy_reason", "")),
            request_id=request.id,
            traceparent=request.traceparent or "",
        )
        decision: Any = await self.backend.request_approval(asked)
        if not isinstance(decision, Decision):
            raise ApprovalError(
                f"The backend came back with {type(decision).__name__}, not with a Decision."
            )
        self._decide(self._get(request.id), decision)

    def _decide(self, request: Request, decision: Decision) -> None:
        action = request.action
        assert action is not None  # noqa: S101
        if decision.action_id not in ("", action.id):
            raise ApprovalError("The backend's decision is about another call.")
        if decision.digest is not None:
            about = action if decision.args is None else action.with_args(decision.args)
            _same(decision.digest, about.digest)
        # Nothing but True is a yes: not 1, not the text "false".
        yes = cast("object", decision.approved) is True
        said = DecisionType(decision.type)
        if said in (DecisionType.APPROVE, DecisionType.EDIT):
            if not yes:
                said = DecisionType.REJECT
            elif decision.args is not None:  # what they agreed to are these, whatever it is called
                said = DecisionType.EDIT
        args = decision.args if said is DecisionType.EDIT else None
        if args is not None:
            _check_fits(args, action.args_schema)
        content = decision.content if said is DecisionType.RESPOND else None
        by = Principal(
            plane=Plane.PERSON,
            id=decision.by.id,
            name=decision.by.name,
            role=Role.REVIEWER,
            strength=Strength.LINK,
        )
        answer = Answer(type=said, args=args, content=content, reason=decision.reason)
        decided = self._apply(request, Decide(answer=answer, by=by, channel=Channel.PROGRAM))
        assert decided.decision is not None  # noqa: S101  one is enough, see `_check_rule`
        kept = msgspec.structs.replace(
            decided.decision,
            tags=decision.tags,
            channel=decision.channel,
            strength=decision.strength,
            action_id=action.id,
            took_seconds=decision.took_seconds or decided.decision.took_seconds,
        )
        self._requests[request.id] = msgspec.structs.replace(decided, decision=kept)

    def _reopen(self, request: Request, facts: JsonObject | None) -> Request:
        reason = "What held when it was asked does not hold any more."
        ended = self._apply(request, EndGrant(by=LOCAL_AGENT, reason=reason))
        change = lifecycle.reopen(
            ended,
            request_id=self._ids.next(),
            facts=facts,
            now=self._clock.now(),
            by=LOCAL_AGENT,
            rule=request.rule,
            key="",
        )
        self._requests[change.request.id] = change.request
        return change.request

    def _apply(self, request: Request, command: Command) -> Request:
        changed = lifecycle.apply(request, command, self._clock.now()).request
        self._requests[request.id] = changed
        return changed

    def _get(self, request_id: str) -> Request:
        request = self._requests.get(request_id)
        if request is None:
            raise NotFoundError(f"There is no request {request_id!r} in this process.")
        return request

    def _left(self, request: Request) -> float | None:
        if request.deadline_at is None:
            return None
        return max(0.0, (request.deadline_at - self._clock.now()).total_seconds())

    def _forget(self) -> None:
        if len(self._requests) <= MAX_KEPT:
            return
        for request_id, request in list(self._requests.items())[: MAX_KEPT // 10]:
            if request.is_terminal:
                del self._requests[request_id]
        self._keys = {key: rid for key, rid in self._keys.items() if rid in self._requests}


def _id_of(key: str) -> str:
    """The same key is the same request, also to a backend that keeps requests over a restart."""
    return str(UUID(bytes=sha256(key.encode()).digest()[:16]))


def _check_rule(rule: Rule) -> None:
    """A backend is one, and nobody has proved who it is."""
    wants = [
        what
        for what, wanted in (
            (f"{rule.approvals} approvals", rule.approvals > 1),
            ("certain people", bool(rule.people or rule.groups)),
            ("four eyes", rule.four_eyes),
            (f"people identified by {rule.min_strength}", rule.min_strength is not Strength.LINK),
        )
        if wanted
    ]
    if wants:
        raise ConfigurationError(
            f"The policy wants {' and '.join(wants)}, which a backend in this process cannot give.",
            hint="Ask a server: Gate(policy, AsyncClient(...)).",
        )


def _same(said: str, digest: str) -> None:
    if said != digest:
        raise ApprovalError("The backend's decision is about other arguments.")


def _earlier(one: float | None, other: float | None) -> float | None:
    return min((each for each in (one, other) if each is not None), default=None)


def _check_fits(args: JsonObject, schema: JsonObject | None) -> None:
    """Refuse edited arguments that do not fit the tool."""
    if schema is None:
        return
    try:
        # By name: only edits need it, and the base install does without.
        checks = import_module("jsonschema_rs")
    except ImportError:
        raise MissingExtraError("jsonschema-rs", "server") from None
    error = next(iter(checks.validator_for(schema).iter_errors(args)), None)
    if error is not None:
        raise InvalidAnswerError(f"The edited arguments do not fit the tool: {error.message}.")
