"""Nodes that put the thread aside until a person has answered: `interrupt` of LangGraph.

What a person is asked, and what they answer, is in Agent Inbox's form, so any front end for it
works; `Bridge` brings the questions to a Sayso server.
"""

import inspect
import logging
from collections.abc import Awaitable, Mapping
from typing import Literal, cast

import msgspec
from langchain_core.runnables import RunnableConfig

from sayso.client.tracing import current_traceparent
from sayso.domain.decisions import Decision
from sayso.gate.ports import Telemetry
from sayso.langgraph.answers import read_answer
from sayso.langgraph.asking import (
    Asking,
    Case,
    clock,
    decide,
    fits,
    since,
    tell_asked,
    tell_decided,
    tell_found,
)
from sayso.langgraph.nodes import (
    Registry,
    case_of,
    execute_tool_node,
    should_execute_condition,
    written,
)
from sayso.langgraph.payloads import HumanInterrupt, InterruptCallback, question
from sayso.langgraph.schemas import schema_like, schema_of
from sayso.langgraph.state import State, plain
from sayso.langgraph.steps import Ask, Node, Once, Steps
from sayso.policies.base import Effect, Policy, Verdict
from sayso.types import JsonObject

log = logging.getLogger("sayso.langgraph")

_STATUS = {
    Effect.ALLOW: "auto_approved",
    Effect.DENY: "auto_rejected",
    Effect.ASK: "human_decided",
}


def create_interrupt_gate_node(
    policy: Policy,
    logger: Telemetry | None = None,
    on_interrupt: InterruptCallback | None = None,
    *,
    tool_registry: Registry | None = None,
) -> Node:
    """A node that has `proposed_action` decided by whoever resumes the thread.

    It writes `approval_decision`, `hitl_status`, and the edited `proposed_action`.

    Args:
        policy: says whether a person is asked; once for each visit, however long that takes.
        logger: hears of it, once.
        on_interrupt: told of the question and the thread's id, once. That it fails is logged, and
            the thread waits all the same.
        tool_registry: the tools; their type hints say what edited arguments must be, where the
            action has no `args_schema`.
    """

    def logic(state: JsonObject, config: RunnableConfig) -> Steps[JsonObject]:
        case = case_of(state, config, policy, logger, "interrupt")
        if case is None:
            return {"approval_decision": None, "hitl_status": "no_action"}
        schema = case.action.args_schema
        if schema is None and tool_registry is not None:
            tool = tool_registry.get(case.action.tool_name)
            schema = None if tool is None else schema_of(tool)
        decided = yield from decide(case, by_interrupt(schema, on_interrupt))
        return {**written(state, case, decided), "hitl_status": _STATUS[decided.verdict.effect]}

    return Node(logic, "hitl_gate")


def by_interrupt(
    schema: JsonObject | None,
    on_interrupt: InterruptCallback | None,
    description: str | None = None,
) -> Asking:
    """Asks whoever resumes the thread.

    Args:
        schema: of the arguments; None: what is edited keeps the types of what was proposed.
        on_interrupt: told of the question, once.
        description: shown to the person, in place of what is made from the action.
    """

    def ask(case: Case, verdict: Verdict, n: int) -> Steps[tuple[Decision, str]]:
        del n
        action = case.action
        if schema is not None and action.args_schema is None:
            action = msgspec.structs.replace(action, args_schema=schema)

        def tell() -> JsonObject | Awaitable[JsonObject]:
            tell_asked(case, verdict)
            told: JsonObject = {"digest": action.digest, "at": clock.now().isoformat()}
            if (span := current_traceparent()) is not None:
                told["traceparent"] = span
            if on_interrupt is None:
                return told
            return _announced(on_interrupt, shown(told), case, told)

        def shown(told: JsonObject) -> HumanInterrupt:
            return question(action, verdict, description, told.get("traceparent"))

        def read() -> JsonObject:
            tell_found(case, told.get("traceparent", ""))
            decision = read_answer(
                answer,
                action,
                schema_like(action.tool_args) if schema is None else schema,
                asked_at=since(told["at"]),
                now=clock.now(),
            )
            return tell_decided(case, decision)

        told = yield Once("sayso_asked", tell)
        fits(told, action)
        answer = yield Ask(plain([shown(told)]), action.digest)
        kept = yield Once("sayso_decided", read)
        return msgspec.convert(kept, Decision), ""

    return ask


def _announced(
    on_interrupt: InterruptCallback, asked: HumanInterrupt, case: Case, told: JsonObject
) -> JsonObject | Awaitable[JsonObject]:
    try:
        result = on_interrupt(asked, case.thread_id)
    except Exception:  # the question is in the checkpoint; who is told of it is another matter
        log.exception("on_interrupt failed for the thread %s", case.thread_id)
        return told
    return _awaited(result, case, told) if inspect.isawaitable(result) else told


async def _awaited(result: Awaitable[object], case: Case, told: JsonObject) -> JsonObject:
    try:
        await result
    except Exception:  # as above
        log.exception("on_interrupt failed for the thread %s", case.thread_id)
    return told


def create_interrupt_tool_node(
    tool_registry: Registry,
    logger: Telemetry | None = None,
    require_approval: bool = True,
    *,
    policy: Policy | None = None,
) -> Node:
    """A node that runs what was approved; the same as `execute_tool_node`."""
    return execute_tool_node(tool_registry, logger, require_approval, policy=policy)


def should_execute(state: Mapping[str, object]) -> Literal["execute", "skip"]:
    """For `add_conditional_edges` after the gate: whether the action was approved."""
    return should_execute_condition(cast("State", state))
