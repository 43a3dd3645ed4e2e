"""`Gate`: puts a person in front of what a policy says needs one."""

import asyncio
import hashlib
import inspect
import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Literal, ParamSpec, TypeVar, cast, overload

import msgspec

from sayso.clock import RequestIds, SystemClock
from sayso.domain.actions import Action, id_of
from sayso.errors import NotApprovedError, UsageError
from sayso.gate import portal, road, tools
from sayso.gate.local import LocalApprover
from sayso.gate.memory import Memory
from sayso.gate.ports import ApprovalBackend, Approver, SyncApprover, Telemetry
from sayso.gate.quiet import Quiet
from sayso.gate.road import Proposal, Road, Step
from sayso.policies.base import Context, Policy, Verdict, judge
from sayso.types import JsonObject

P = ParamSpec("P")
R = TypeVar("R")
OnReject = Literal["raise", "return"]


class Gate:
    """Propose, ask, decide, check, run: once for every framework, embedded or with a server.

    Args:
        policy: says whether a person must be asked.
        approver: asks them: an `AsyncClient` or `Client` of a server, a backend such as
            `CLIBackend`, or anything that meets `Approver`.
        telemetry: hears what happens, such as a `TelemetryLogger`.
        session_id: the conversation or workflow that actions belong to, unless a call says.
        client_id: which agent it is.
        on_reject: what a decorated tool does when it may not run: raise `NotApprovedError`, or
            return its text for the model to read.
    """

    def __init__(
        self,
        policy: Policy,
        approver: Approver | SyncApprover | ApprovalBackend,
        *,
        telemetry: Telemetry | None = None,
        session_id: str | None = None,
        client_id: str | None = None,
        on_reject: OnReject = "raise",
    ) -> None:
        self.policy = policy
        self.telemetry = None if telemetry is None else Quiet(telemetry)
        self.on_reject: OnReject = on_reject
        self._approver: Any = approver
        if isinstance(approver, ApprovalBackend):
            self._approver = LocalApprover(approver)
        missing = [name for name in _METHODS if not callable(getattr(self._approver, name, None))]
        if missing:
            raise UsageError(
                f"{type(approver).__name__} cannot be asked: it has no {missing[0]}().",
                hint="Give the gate a Client, an AsyncClient, a backend, or your own Approver.",
            )
        self._is_async = inspect.iscoroutinefunction(self._approver.submit)
        clock = SystemClock()
        self._memory = Memory(clock)
        self._context = Context(
            run_id=session_id or RequestIds(clock).next(),
            session_id=session_id,
            client_id=client_id,
        )

    async def run(
        self,
        action: Action | JsonObject,
        execute: Callable[..., Awaitable[R] | R],
        *,
        key: str | None = None,
        message: str = "",
        facts: Callable[[], Awaitable[JsonObject] | JsonObject] | None = None,
        session_id: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  gives up waiting
        **fields: Any,
    ) -> R:
        """Run `execute` with the action's arguments, if the policy or a person lets it.

        Args:
            action: `tool_name`, `tool_args` and so on.
            execute: called with the arguments by name, as they were approved: a person may have
                changed them. May be a coroutine function.
            key: names this call for good, such as `thread:task:call`. Asked again under the same
                key, also after a restart, it is the same question, and it does not run twice.
            message: the question, for a person to read.
            facts: takes what holds now, such as a balance; if it has changed when the action is
                about to run, people are asked again.
            session_id: the conversation or workflow; default: the gate's.
            timeout: seconds to wait for people. Default: until they have decided.
            fields: more of a submission, see `Client.submit`.

        Returns:
            What `execute` returned.

        Raises:
            NotApprovedError: the policy says no (`denied`), people said no, or nobody said
                anything.
            InvalidTransitionError: it was claimed before, and may have run (`already_claimed`).
        """
        return await self._walk(
            self._proposal(
                action,
                partial(_spread, execute),
                key=key,
                message=message,
                facts=facts,
                session_id=session_id,
                timeout=timeout,
                fields=fields,
            )
        )

    def run_sync(
        self,
        action: Action | JsonObject,
        execute: Callable[..., Any],
        *,
        key: str | None = None,
        message: str = "",
        facts: Callable[[], Any] | None = None,
        session_id: str | None = None,
        timeout: float | None = None,
        **fields: Any,
    ) -> Any:
        """`run` for code without an event loop: scripts, threads, notebooks.

        It blocks its caller, and works within a running loop, too, which it then blocks.
        """
        return self._walk_sync(
            self._proposal(
                action,
                partial(_spread, execute),
                key=key,
                message=message,
                facts=facts,
                session_id=session_id,
                timeout=timeout,
                fields=fields,
            )
        )

    def check(self, action: Action | JsonObject, *, session_id: str | None = None) -> Verdict:
        """What the policy says of `action` now; nobody is asked, and nothing runs."""
        return judge(self.policy, _action(action), self._memory.context(self._in(session_id)))

    @overload
    def tool(self, function: Callable[P, R], /) -> Callable[P, R]: ...

    @overload
    def tool(
        self, function: None = None, /, **options: Any
    ) -> Callable[[Callable[P, R]], Callable[P, R]]: ...

    def tool(self, function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
        """Put the gate in front of a function; also as `@gate.tool` without parentheses.

        Reviewers see all arguments by name, with defaults, and a JSON Schema of them made from
        the type hints; what they change is typed back by those.

        Args:
            function: with or without `async`.
            options: `name`: of the tool, default the function's. `risk`: a `RiskClass`, or a
                function of the arguments. `side_effects`, `rationale`. `message`: the question,
                a text or a function of the arguments. `preview`: a function of the arguments,
                shown beside them. `facts`: a function without arguments, see `run`. `hidden`:
                names of arguments that are not shown and not bound, such as a connection.
                `args_schema`: in place of the one from type hints. `key`: a function of the
                arguments, see `run`. `on_reject`: in place of the gate's. `session_id`,
                `timeout`: see `run`.

        Raises:
            UsageError: the function or an option cannot be used.
        """
        if function is None:
            return partial(self._gated, options=options)
        return self._gated(function, options=options)

    def _gated(self, function: Callable[..., Any], *, options: JsonObject) -> Any:
        tool = tools.Tool(function, options)
        on_reject: OnReject = tool.on_reject or self.on_reject

        def proposal(args: tuple[Any, ...], kwargs: JsonObject) -> Proposal:
            call = tool.call(args, kwargs)
            return self._proposal(
                call.action,
                call.execute,
                key=call.key,
                message=call.message,
                facts=tool.facts,
                session_id=tool.session_id,
                timeout=tool.timeout,
                fields=call.fields,
            )

        async def run(*args: Any, **kwargs: Any) -> Any:
            try:
                return await self._walk(proposal(args, kwargs))
            except NotApprovedError as error:
                if on_reject == "raise":
                    raise
                return str(error)

        def run_sync(*args: Any, **kwargs: Any) -> Any:
            try:
                return self._walk_sync(proposal(args, kwargs))
            except NotApprovedError as error:
                if on_reject == "raise":
                    raise
                return str(error)

        return tools.wrapped(function, run if inspect.iscoroutinefunction(function) else run_sync)

    def _proposal(
        self,
        action: Action | JsonObject,
        execute: Callable[[JsonObject, bool], Any],
        *,
        key: str | None,
        message: str,
        facts: Callable[[], Any] | None,
        session_id: str | None,
        timeout: float | None,
        fields: JsonObject,
    ) -> Proposal:
        if key is not None:
            key = _header(key)
        return Proposal(
            action=_called(_action(action), key),
            execute=execute,
            message=message,
            context=self._in(session_id),
            key=key,
            facts=facts,
            timeout=timeout,
            fields=fields,
        )

    def _in(self, session_id: str | None) -> Context:
        if session_id is None:
            return self._context
        return msgspec.structs.replace(self._context, session_id=session_id, run_id=session_id)

    def _road(self, proposal: Proposal) -> Road:
        return road.walk(proposal, self.policy, self._memory, self.telemetry)

    async def _walk(self, proposal: Proposal) -> Any:
        way = self._road(proposal)
        try:
            step: Step = next(way)
            while True:
                try:
                    came = await self._perform(step)
                except BaseException as error:  # noqa: BLE001  the road tells of it, and raises it
                    step = way.throw(error)
                else:
                    step = way.send(came)
        except StopIteration as end:
            return end.value

    async def _perform(self, step: Step) -> Any:
        call = step.call
        if not isinstance(call, str):
            came = call(*step.args)
        elif self._is_async:
            came = getattr(self._approver, call)(*step.args, **step.fields)
        else:
            blocking = partial(getattr(self._approver, call), *step.args, **step.fields)
            came = await asyncio.to_thread(blocking)
        return await came if inspect.isawaitable(came) else came

    def _walk_sync(self, proposal: Proposal) -> Any:
        way = self._road(proposal)
        try:
            step: Step = next(way)
            while True:
                try:
                    came = self._perform_sync(step)
                except BaseException as error:  # noqa: BLE001  the road tells of it, and raises it
                    step = way.throw(error)
                else:
                    step = way.send(came)
        except StopIteration as end:
            return end.value

    def _perform_sync(self, step: Step) -> Any:
        call = step.call
        if isinstance(call, str):
            call = getattr(self._approver, call)
        came = call(*step.args, **step.fields)
        if not inspect.isawaitable(came):
            return came
        return portal.run(came if inspect.iscoroutine(came) else _awaited(came))


MAX_KEY = 200
"""Characters; what is asked after an edit gets some more."""
_METHODS = ("submit", "recall", "wait", "claim", "report")


def _spread(execute: Callable[..., Any], arguments: JsonObject, _asked: bool) -> Any:
    return execute(**arguments)


def _header(key: str) -> str:
    """A key as it can be sent; what is long or strange is told apart by its hash."""
    if not isinstance(cast("object", key), str):
        raise UsageError(
            f"A key is a text, and not {key!r}.", hint="Make it of thread, task, call."
        )
    if 0 < len(key) <= MAX_KEY and key.isascii() and key.isprintable():
        return key
    return f"sha256:{hashlib.sha256(key.encode(errors='surrogatepass')).hexdigest()}"


async def _awaited(work: Awaitable[R]) -> R:
    return await work


def _called(action: Action, key: str | None) -> Action:
    """The action as this one call, with an id of its own unless it was given one."""
    if action.id != id_of(action.digest):
        return action
    own = secrets.token_hex(16) if key is None else hashlib.sha256(key.encode()).hexdigest()[:32]
    return msgspec.structs.replace(action, id=own)


def _action(action: Action | JsonObject) -> Action:
    """It with the digest that it has now, whatever it says and whoever changed it since."""
    if isinstance(action, Action):
        by_default = action.id == id_of(action.digest)
        return msgspec.structs.replace(action, digest="", id="" if by_default else action.id)
    try:
        return msgspec.convert({**action, "digest": ""}, Action)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"This is not an action: {error}.",
            hint='Give it as Action(tool_name="send_email", tool_args={...}).',
        ) from error
