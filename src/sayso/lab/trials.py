"""One trial: a world, a gate and people of its own, and what came of them."""

import asyncio
import copy
import inspect
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from typing import Any, cast

import msgspec
from msgspec import Struct

from sayso.domain.actions import Action
from sayso.domain.approvals import ApprovalRequest
from sayso.domain.decisions import Decision
from sayso.domain.traces import RunMetadata, ToolResult
from sayso.errors import NotApprovedError, NotFoundError, UsageError
from sayso.gate.gate import Gate
from sayso.lab.conditions import ExperimentCondition
from sayso.lab.injection import ErrorInjector, InjectionConfig, InjectionResult, InjectionType
from sayso.lab.scenarios.base import ValidationResult
from sayso.telemetry import TelemetryLogger
from sayso.types import JsonObject


class CallResult(Struct, frozen=True, kw_only=True):
    """One task of a trial: what was proposed for it, and what became of that."""

    task: Action
    """As it is right."""
    proposed: Action
    """The same, or made wrong."""
    injection_type: InjectionType | None = None
    """How it was made wrong; None: it is right."""
    approval_requested: bool = False
    """Whether somebody was asked."""
    approval_granted: bool = True
    """Whether it was let through, by whomever."""
    latency_ms: float = 0.0
    """How long whoever was asked took, as the decision tells."""
    ran: bool = False
    """Whether a tool was started."""
    success: bool = False
    """Whether what is right was done, or what is wrong was not."""
    error_caught: bool = False
    """Whether it was wrong, and somebody or the policy kept it from running so."""
    reason: str = ""
    """Of the rejection, or of the validation."""
    execution_error: str | None = None
    """What failed: the tool, the backend, or the scenario."""


class TrialResult(Struct, frozen=True):
    """What came of one trial. All but `run_id` is the same when it is run again."""

    run_id: str
    """Of the trial's events in the telemetry; new each time."""
    condition_id: str
    trial_number: int
    seed: int
    success: bool = False
    """Whether each call was one: right and done, or wrong and kept from running."""
    injected_error: bool = False
    """Whether any action was made wrong."""
    error_caught: bool = False
    """Whether some were, and none of them ran."""
    approval_requested: bool = False
    """Whether anybody was asked about any of them."""
    approval_granted: bool = True
    """Whether all were let through."""
    execution_error: str | None = None
    """The first thing that failed; then the trial is no success."""
    calls: tuple[CallResult, ...] = ()


class Trial:
    """One trial: its own world, gate, policy, injector and listener."""

    def __init__(
        self,
        condition: ExperimentCondition,
        trial_number: int,
        logger: TelemetryLogger,
        run_id: str,
    ) -> None:
        self._condition = condition
        self._number = trial_number
        self._logger = logger
        self._seed = seed = condition.base_seed + trial_number
        self._run_id = run_id
        self._listener = _Listener(logger, run_id)
        self._world = condition.scenario.fresh(f"{seed}/tasks")
        self._world.on_llm_call = partial(logger.log_llm_call, run_id)
        self._injector = ErrorInjector(
            condition.injection_config or InjectionConfig(injection_rate=0.0),
            seed=f"{seed}/injection",
            other_value=self._world.other_value,
        )
        backend = condition.fresh_backend(f"{seed}/reviewer")
        self._learn: Callable[[Action], Any] | None = getattr(backend, "learn", None)
        policy = condition.fresh_policy(f"{seed}/policy")
        self._policy_name = policy.name
        self._gate = Gate(
            policy,
            backend,
            telemetry=self._listener,
            # The same in all conditions, so that a policy with a seed samples the same calls.
            session_id=f"trial-{seed}",
        )

    async def run(self) -> TrialResult:
        """Play it to its end, whatever fails."""
        condition, calls = self._condition, list[CallResult]()
        self._logger.log_run_start(
            RunMetadata(
                run_id=self._run_id,
                scenario_id=condition.scenario.config.scenario_id,
                condition_id=condition.condition_id,
                seed=self._seed,
            )
        )
        failure: str | None = None
        try:
            try:
                for place in range(condition.scenario.config.actions_per_trial):
                    calls.append(await self._call(place))
            finally:
                await _came(self._world.close())
        except (Exception, asyncio.CancelledError) as error:
            # A scenario of the user's; it is told in the result.
            if _is_stopped(error):
                raise
            failure = _told(error)
        result = self._result(tuple(calls), failure)
        self._logger.log_run_end(self._run_id, result.success, self._details(result))
        return result

    async def _call(self, place: int) -> CallResult:
        """Have one task drawn and proposed, and look at what became of it.

        What fails before anything is proposed is raised: then there is no call to tell of.
        """
        task = _named(await _came(self._world.generate_action(correct=True)), self._seed, place)
        if self._learn is not None:
            await _came(self._learn(task))
        tools = await _came(self._world.get_tools())
        message = await _came(self._world.get_task_description())
        injection = self._injector.maybe_inject(task)
        proposed = injection.action
        self._listener.begin(is_injected=injection.injected)
        ran: list[str] = []
        failure: str | None = None
        checked = ValidationResult(False, "It did not run")

        async def execute(**arguments: Any) -> Any:
            ran.append(proposed.with_args(arguments).digest)
            tool = tools.get(proposed.tool_name)
            if tool is None:
                raise NotFoundError(f"Unknown tool: {proposed.tool_name}")
            result = await _came(tool(**copy.deepcopy(arguments)))  # the task stays as it is
            if _of(result, "success") is False:
                raise _ToolError(_of(result, "error") or "The tool failed.")
            return result

        try:
            result = await self._gate.run(proposed, execute, message=message)
            checked = await _came(self._world.validate_result(result))
        except (Exception, asyncio.CancelledError) as error:
            # Whatever fails is a result, too.
            if _is_stopped(error):
                raise
            if isinstance(error, NotApprovedError) and not ran:
                self._listener.is_rejected = True  # silence is a no, too
                checked = ValidationResult(False, self._listener.reason or error.detail)
            else:
                failure = _told(error)
        return self._judged(task, injection, ran, checked, failure)

    def _judged(
        self,
        task: Action,
        injection: InjectionResult,
        ran: list[str],
        checked: ValidationResult,
        failure: str | None,
    ) -> CallResult:
        """What is wrong is a success if it was kept from running; what is right, if it was done.

        What did not run because something failed was kept from running by nobody.
        """
        heard, proposed = self._listener, injection.action
        as_proposed = ran == [proposed.digest]
        success = failure is None and checked.success
        caught = False
        if injection.injected:
            # What ran as it was made wrong is wrong, whatever the scenario says of it.
            caught = (success and not as_proposed) or (heard.is_rejected and not ran)
            success = caught and failure is None
        return CallResult(
            task=task,
            proposed=proposed,
            injection_type=injection.injection_type,
            approval_requested=heard.is_requested,
            approval_granted=bool(ran) or (heard.is_approved and not heard.is_rejected),
            latency_ms=heard.latency_ms,
            ran=bool(ran),
            success=success,
            error_caught=caught,
            reason=checked.reason,
            execution_error=failure,
        )

    def _result(self, calls: tuple[CallResult, ...], failure: str | None) -> TrialResult:
        failures = [call.execution_error for call in calls if call.execution_error is not None]
        wrong = [call for call in calls if call.injection_type is not None]
        return TrialResult(
            run_id=self._run_id,
            condition_id=self._condition.condition_id,
            trial_number=self._number,
            seed=self._seed,
            success=failure is None and all(call.success for call in calls),
            injected_error=bool(wrong),
            error_caught=bool(wrong) and all(call.error_caught for call in wrong),
            approval_requested=any(call.approval_requested for call in calls),
            approval_granted=all(call.approval_granted for call in calls),
            execution_error=(failures or [failure])[0],
            calls=calls,
        )

    def _details(self, result: TrialResult) -> JsonObject:
        """What stands in the event `run_end`."""
        return {
            "policy_name": self._policy_name,
            "trial_number": result.trial_number,
            "injected_error": result.injected_error,
            "error_caught": result.error_caught,
            "approval_requested": result.approval_requested,
            "approval_granted": result.approval_granted,
            "execution_error": result.execution_error,
            "calls": [
                {
                    "action_id": call.proposed.id,
                    "injection_type": call.injection_type,
                    "success": call.success,
                    "error_caught": call.error_caught,
                    "reason": call.reason,
                }
                for call in result.calls
            ],
        }


class _Listener:
    """Hears what the gate tells of a trial, notes what was said, and passes it on to the logger.

    It is told of the trial by the name that policies know, which all conditions share, and passes
    it on under the run's own id. The gate does not know which action is wrong; it adds that.
    """

    def __init__(self, logger: TelemetryLogger, run_id: str) -> None:
        self._logger = logger
        self._run_id = run_id
        self.begin(is_injected=False)

    def begin(self, *, is_injected: bool) -> None:
        """The next call."""
        self._is_injected = is_injected
        self.is_requested = False
        self.is_approved = False
        self.is_rejected = False
        self.latency_ms = 0.0
        self.reason = ""

    def log_action_proposed(
        self, run_id: str, action: Action, injected_error: bool = False
    ) -> None:
        del run_id, injected_error
        self._logger.log_action_proposed(self._run_id, action, injected_error=self._is_injected)

    def log_approval_requested(
        self, run_id: str, request: ApprovalRequest, channel: str = "experiment"
    ) -> None:
        del run_id
        self.is_requested = True
        self.is_approved = self.is_rejected = False
        self._logger.log_approval_requested(self._run_id, request, channel)

    def log_approval_decided(
        self, run_id: str, decision: Decision, channel: str = "experiment"
    ) -> None:
        del run_id
        self.is_approved = decision.approved
        self.is_rejected = not decision.approved
        self.latency_ms += decision.latency_ms
        self.reason = decision.reason
        self._logger.log_approval_decided(self._run_id, decision, channel)

    def log_tool_execution_start(self, run_id: str, action: Action) -> None:
        del run_id
        self._logger.log_tool_execution_start(self._run_id, action)

    def log_tool_execution_end(self, run_id: str, result: ToolResult) -> None:
        del run_id
        self._logger.log_tool_execution_end(self._run_id, result)

    def log_error(self, run_id: str, error: Exception, context: JsonObject | None = None) -> None:
        del run_id
        self._logger.log_error(self._run_id, error, context)


class _ToolError(Exception):
    """A tool told that it has failed."""


def _named(task: Any, seed: int, place: int) -> Action:
    """The task with an id by which its call is the same in each condition, and each time."""
    if not isinstance(task, Action):
        raise UsageError(f"The scenario's task is {task!r}, and no Action.")
    call_id = sha256(b"sayso trial %d call %d" % (seed, place)).hexdigest()[:32]
    return msgspec.structs.replace(task, id=call_id, digest="")


async def _came(value: Any) -> Any:
    """What it is, or comes to."""
    return await value if inspect.isawaitable(value) else value


def _of(result: Any, name: str) -> Any:
    """A field of what a tool returned, a dictionary or another object."""
    if isinstance(result, dict):
        return cast("JsonObject", result).get(name)
    return getattr(result, name, None)


def _is_stopped(error: BaseException) -> bool:
    """Whether the trial itself is to end; else whoever raised it was cancelled, and it goes on."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def _told(error: BaseException) -> str:
    return str(error) if isinstance(error, _ToolError) else f"{type(error).__name__}: {error}"
