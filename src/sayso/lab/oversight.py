"""What became of each action of a run, as the run's events tell."""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from sayso.domain.decisions import Channel, DecisionType
from sayso.domain.traces import TraceEvent, TraceEventType
from sayso.errors import NotApprovedError
from sayso.types import JsonObject

_NOBODY = frozenset({Channel.POLICY.value, Channel.STANDING.value})
"""The channels of decisions for which nobody was asked."""


class ActionMetrics(Struct, frozen=True, kw_only=True):
    """One action: who was asked, what they said, what happened.

    "People" are whoever answers questions: in an experiment, a simulated reviewer. A policy and a
    remembered decision are not.
    """

    action_id: str
    tool_name: str = ""
    digest: str = ""
    """What tells it from any other call, as it was first proposed; empty if that was not told."""
    injected_error: bool = False
    """It is known to be wrong: there is an event `injected_error` of it."""
    asked: bool = False
    """People were asked about it."""
    decided: bool = False
    """People said something."""
    refused: bool = False
    """They said no, at last."""
    granted: bool | None = None
    """Whether it may run, as was said last, by people or a policy; None if nobody has said."""
    edited: bool = False
    """It was granted with other arguments."""
    executed: bool = False
    """It ran, with or without success."""
    failed: bool | None = None
    """Its tool failed, at least once; None if no end of it was told."""
    error_caught: bool = False
    """It is known to be wrong, and that did no harm.

    It was refused and did not run; or nobody answered, and the run ended without it; or it was
    granted with other arguments, ran, and the run's task succeeded. A call that was granted as it
    was is not caught, also if it never came to run; nor is one that nobody was asked about, unless
    a policy refused it; nor one whose question failed, so that nobody could answer it. Where the
    run's end tells of each call, that counts: an experiment knows what came of it.
    """
    latencies_ms: tuple[float, ...] = ()
    """How long each decision of people took; one whose time is not known is left out."""

    @property
    def false_reject(self) -> bool:
        """People refused it, and it was not known to be wrong."""
        return self.refused and not self.injected_error

    @property
    def false_approve(self) -> bool:
        """People decided on it, and did not catch that it is wrong."""
        return self.decided and self.injected_error and not self.error_caught


def actions_of(
    events: Iterable[TraceEvent],
    *,
    is_over: bool,
    succeeded: bool,
    told: Mapping[str, bool],
) -> tuple[ActionMetrics, ...]:
    """The actions of one run, in the order of their first events.

    Args:
        events: all of the run, in order.
        is_over: the run has ended, so what has not run will not.
        succeeded: its task is known to have succeeded.
        told: by action, whether what is wrong with it was kept from doing harm, where the run's
            end tells.
    """
    by_action: dict[str, list[TraceEvent]] = {}
    asked = ""
    for event in events:
        action_id = event.payload.get("action_id")
        if event.event_type is TraceEventType.ERROR:
            context: JsonObject = event.payload.get("context") or {}
            action_id = context.get("action_id")
        if event.event_type is TraceEventType.APPROVAL_REQUESTED and isinstance(action_id, str):
            asked = action_id
        if event.event_type is TraceEventType.APPROVAL_DECIDED:
            action_id = action_id or asked  # one that a program made by hand may name none
        if isinstance(action_id, str) and action_id:
            by_action.setdefault(action_id, []).append(event)
    return tuple(
        _action(
            action_id,
            theirs,
            is_over=is_over,
            succeeded=succeeded,
            told=told.get(action_id),
        )
        for action_id, theirs in by_action.items()
        if any(event.event_type is not TraceEventType.ERROR for event in theirs)
    )


def _action(
    action_id: str,
    events: list[TraceEvent],
    *,
    is_over: bool,
    succeeded: bool,
    told: bool | None,
) -> ActionMetrics:
    types = {event.event_type for event in events}
    decisions = _payloads(events, TraceEventType.APPROVAL_DECIDED)
    of_people = [decision for decision in decisions if not _is_by_nobody(decision)]
    is_injected = TraceEventType.INJECTED_ERROR in types
    granted = _granted(events)
    edited = granted is True and decisions[-1].get("type") == DecisionType.EDIT
    executed = bool(
        {TraceEventType.TOOL_EXECUTION_START, TraceEventType.TOOL_EXECUTION_END} & types
    )
    asked = TraceEventType.APPROVAL_REQUESTED in types and (not decisions or bool(of_people))
    if told is not None:
        harmless = told
    elif granted is True:
        harmless = edited and executed and succeeded
    else:
        unanswered = asked and is_over and not _has_failed(events)
        harmless = not executed and (granted is False or unanswered)
    ends = _payloads(events, TraceEventType.TOOL_EXECUTION_END)
    names = [event.payload.get("tool_name") for event in events]
    return ActionMetrics(
        action_id=action_id,
        tool_name=next((name for name in names if isinstance(name, str)), ""),
        digest=_digest(events),
        injected_error=is_injected,
        asked=asked,
        decided=asked and bool(of_people),
        refused=asked and bool(of_people) and of_people[-1].get("approved") is not True,
        granted=granted,
        edited=edited,
        executed=executed,
        failed=any(end.get("success") is False for end in ends) if ends else None,
        error_caught=is_injected and harmless,
        latencies_ms=tuple(took for each in of_people if (took := _latency(each)) is not None),
    )


def _payloads(events: list[TraceEvent], event_type: TraceEventType) -> list[JsonObject]:
    return [event.payload for event in events if event.event_type is event_type]


def _is_by_nobody(decision: JsonObject) -> bool:
    return decision.get("channel") in _NOBODY or bool(decision.get("standing_grant"))


def _granted(events: list[TraceEvent]) -> bool | None:
    """What was said last; a question that came after it is open again."""
    granted: bool | None = None
    for event in events:
        if event.event_type is TraceEventType.APPROVAL_REQUESTED:
            granted = None
        elif event.event_type is TraceEventType.APPROVAL_DECIDED:
            granted = event.payload.get("approved") is True
    return granted


def _digest(events: list[TraceEvent]) -> str:
    proposed = _payloads(events, TraceEventType.ACTION_PROPOSED)
    return str(proposed[0].get("digest") or "") if proposed else ""


def _has_failed(events: list[TraceEvent]) -> bool:
    """Whether an error kept it from being decided; that it was not approved is none."""
    errors = _payloads(events, TraceEventType.ERROR)
    return any(error.get("error_type") != NotApprovedError.__name__ for error in errors)


def _latency(decision: JsonObject) -> float | None:
    """As the decision tells; as the program waited, if the decision tells nothing."""
    return decision.get("latency_ms") or decision.get("waited_ms")
