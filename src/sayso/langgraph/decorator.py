"""`@hitl_action`: a function that asks before it runs, wherever in a graph it is called."""

import functools
import inspect
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, TypeVar, cast, get_args, get_origin

import msgspec
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import InjectedToolArg
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.config import get_config
from langgraph.prebuilt import ToolRuntime
from langgraph.runtime import Runtime

from sayso.domain.actions import Action, RiskClass
from sayso.domain.decisions import DecisionType
from sayso.errors import NotApprovedError, UsageError
from sayso.gate.ports import Telemetry
from sayso.gate.tools import Tool
from sayso.langgraph.asking import Case, decide, fits, thread_of
from sayso.langgraph.interrupts import by_interrupt
from sayso.langgraph.nodes import told
from sayso.langgraph.payloads import AnomalyValidator, InterruptCallback, RiskClassResolver
from sayso.langgraph.steps import Once, Steps, acarry_out, carry_out, no_graph
from sayso.policies.base import NO_CONTEXT, Context, Effect, Policy, Verdict
from sayso.types import JsonObject

_FIELD = re.compile(r"\{(?P<name>tool_name|args|risk)\}")
F = TypeVar("F", bound=Callable[..., Any])

_ERRORS: dict[str, type[Exception]] = {
    error.__name__: error
    for error in (
        ValueError, TypeError, KeyError, IndexError, LookupError, OSError, PermissionError,
        FileNotFoundError, ConnectionError, TimeoutError, ArithmeticError, RuntimeError,
    )
}  # fmt: skip
"""What a kept failure is raised as again; others are a `RuntimeError` that names them."""


class _ByRisk(Policy):
    """Asks for everything except what is of low risk."""

    @property
    def name(self) -> str:
        return "hitl_action"

    def evaluate(self, action: Action, context: Context = NO_CONTEXT) -> Verdict:
        del context
        if action.risk_class is RiskClass.LOW:
            return Verdict(effect=Effect.ALLOW, reason="The risk is low.", policy=self.name)
        risk = "unknown" if action.risk_class is None else action.risk_class.value
        odd = "; ".join(action.context_refs)
        reason = f"The risk is {risk}: {odd}" if odd else f"The risk is {risk}."
        return Verdict(effect=Effect.ASK, reason=reason, policy=self.name)


def hitl_action(
    risk_class: RiskClassResolver = RiskClass.MEDIUM,
    anomaly_validators: Sequence[AnomalyValidator] | None = None,
    description: str | None = None,
    on_interrupt: InterruptCallback | None = None,
    *,
    policy: Policy | None = None,
    logger: Telemetry | None = None,
    on_reject: Literal["raise", "return"] = "raise",
) -> Callable[[F], F]:
    """Have a function ask before it runs; it must be called in a graph with a checkpointer.

    In one visit to a node it is decided once, runs once, and what it returned or raised is kept,
    however often the node runs again. That holds as long as the node comes to the same calls.

    Args:
        risk_class: how risky a call is, or a function of its arguments that tells. One that fails
            counts as high.
        anomaly_validators: look at the arguments; what one finds odd, or fails over, is of high
            risk.
        description: for the person. `{tool_name}`, `{args}` and `{risk}` are filled in; other
            braces stay as they are.
        on_interrupt: told of the question and the thread's id, once.
        policy: whether a person is asked. Default: for everything except low risk.
        logger: hears of it.
        on_reject: whether a rejection raises `NotApprovedError`, or returns the reason as text
            for a model to read. A person's answer in place of the run is returned likewise.
    """
    judge = policy or _ByRisk()
    validators = tuple(anomaly_validators or ())

    def decorate(func: F) -> F:
        tool = Tool(func, {"hidden": _hidden(func)})

        def steps(args: tuple[Any, ...], kwargs: JsonObject) -> Steps[Any]:
            call = tool.call(args, kwargs)
            risk, odd = _risk_of(call.action.tool_args, risk_class, validators)
            action = msgspec.structs.replace(call.action, risk_class=risk, context_refs=odd)
            thread_id = _thread_id()
            case = Case(
                action=action,
                policy=judge,
                logger=logger,
                channel="interrupt",
                run_id=thread_id or "unknown",
                thread_id=thread_id,
                view={},
            )
            text = None if description is None else _filled(description, action)
            decided = yield from decide(case, by_interrupt(tool.args_schema, on_interrupt, text))
            decision, final = decided.decision, decided.action
            if decision.approved:
                run = partial(call.execute, final.tool_args, True)
                return (yield from _run_once(run, final, logger, case.run_id, is_async=is_async))
            if on_reject == "raise":
                raise NotApprovedError(
                    f"{tool.name} does not run: {decision.reason}",
                    hint="Do not try the same again without asking.",
                )
            if decision.type is DecisionType.RESPOND:
                return decision.content or decision.reason
            return f"{tool.name} did not run: {decision.reason}"

        is_async = inspect.iscoroutinefunction(func)

        @functools.wraps(func)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return carry_out(steps(args, kwargs))

        @functools.wraps(func)
        async def awrapper(*args: Any, **kwargs: Any) -> Any:
            return await acarry_out(steps(args, kwargs))

        wrapped: Any = awrapper if is_async else wrapper
        wrapped._hitl_action = True
        wrapped._hitl_config = {"risk_class": risk_class, "anomaly_validators": validators}
        return cast("F", wrapped)

    return decorate


def _thread_id() -> str:
    """The id of the thread in which it is called.

    Raises:
        UsageError: it is called outside of a graph.
    """
    try:
        return thread_of(get_config())
    except RuntimeError as error:
        raise no_graph() from error


def _risk_of(
    args: JsonObject, resolver: RiskClassResolver, validators: Sequence[AnomalyValidator]
) -> tuple[RiskClass, tuple[str, ...]]:
    """The risk, and what is odd; whatever fails here makes it high."""
    risk, odd = RiskClass.HIGH, list[str]()
    try:
        risk = RiskClass(resolver if isinstance(resolver, RiskClass) else resolver(dict(args)))
    except Exception as error:  # noqa: BLE001  doubt asks
        odd.append(f"Risk unknown: {type(error).__name__}: {error}")
    for validator in validators:
        try:
            fine, what = validator(dict(args))
        except Exception as error:  # noqa: BLE001  doubt asks
            fine, what = False, f"Validator error: {type(error).__name__}: {error}"
        if fine is not True:
            odd.append(what or "Odd arguments")
            risk = RiskClass.HIGH
    return risk, tuple(odd)


def _filled(description: str, action: Action) -> str:
    """The description, with nothing but its three known fields filled in."""
    risk = "unknown" if action.risk_class is None else action.risk_class.value
    known = {"tool_name": action.tool_name, "args": str(action.tool_args), "risk": risk}
    return _FIELD.sub(lambda found: known[found["name"]], description)


def _run_once(
    call: Callable[[], Any],
    action: Action,
    logger: Telemetry | None,
    run_id: str,
    *,
    is_async: bool,
) -> Steps[Any]:
    """Run it; in a later run of the node, give what it gave."""
    fresh: list[tuple[Any, Exception | None]] = []

    def keep(result: Any, error: Exception | None) -> JsonObject:
        fresh.append((result, error))
        if error is not None:
            kept = {"error": str(error), "error_class": type(error).__name__}
        elif _is_keepable(result):
            kept = {"result": result}
        else:
            kept = {"unkept": type(result).__name__}
        return {"digest": action.digest, **kept}

    kept = yield Once("sayso_run", lambda: told(call, action, logger, run_id, keep), not is_async)
    if fresh:
        result, error = fresh[-1]
        if error is not None:
            raise error
        return result
    fits(kept, action)
    if "error" in kept:
        name, text = kept["error_class"], kept["error"]
        raise _ERRORS[name](text) if name in _ERRORS else RuntimeError(f"{name}: {text}")
    if "unkept" in kept:
        raise UsageError(
            f"{action.tool_name!r} ran, and returned a {kept['unkept']}, which a checkpoint cannot"
            " keep; it does not run twice.",
            hint="Have it return JSON values, or call it last in its node.",
        )
    return kept["result"]


def _is_keepable(result: Any) -> bool:
    try:
        JsonPlusSerializer().dumps_typed(result)
    except Exception:  # noqa: BLE001  whatever it is, it cannot be kept
        return False
    return True


def _hidden(func: Callable[..., Any]) -> list[str]:
    """Parameters that are no business of the model's or the reviewer's."""
    try:
        hints = inspect.get_annotations(func, eval_str=True)
    except (NameError, TypeError, SyntaxError):
        hints = {}
    first = next(iter(inspect.signature(func).parameters), "")
    injected = [name for name, hint in hints.items() if name != "return" and _is_injected(hint)]
    return [*injected, first] if first in ("self", "cls") else injected


def _is_injected(hint: Any) -> bool:
    kind = get_origin(hint) or hint
    if kind is RunnableConfig:
        return True
    if isinstance(kind, type) and issubclass(kind, ToolRuntime | Runtime):
        return True
    return any(
        isinstance(each, InjectedToolArg)
        or (isinstance(each, type) and issubclass(each, InjectedToolArg))
        for each in get_args(hint)
    )
