"""A request as a person is shown it: what holds apart from what the agent says.

Whatever carries a request to people lays out the same card, so that nothing that an agent writes
can pass for something that the server found out. Texts are raw; `sayso.visible` writes them.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

import msgspec
from msgspec import UNSET, Struct

from sayso import visible
from sayso.domain.accounts import Strength
from sayso.domain.decisions import Vote
from sayso.domain.requests import Request
from sayso.domain.rules import Rule
from sayso.domain.standing import StandingLimits
from sayso.types import Json

WORDS = "In the agent's own words, not verified"
"""What stands above the words of an agent, wherever they are shown."""


class Row(Struct, frozen=True, kw_only=True):
    """A name of ours, and what stands there: a text, or JSON."""

    name: str
    value: Json


class Card(Struct, frozen=True, kw_only=True):
    """A request, in reading order; what is empty is left out."""

    head: tuple[Row, ...]
    """Which request it is, and what would run: computed, or exactly as it would run."""
    words: tuple[Row, ...]
    """What the agent says about it, to be fenced and labelled with `WORDS`."""
    result: tuple[Row, ...]
    """What people said, and how it ended."""


def card(request: Request) -> Card:
    """All that a person needs to know to decide it, or about how it was decided."""
    action, decision = request.action, request.decision
    return Card(
        head=_rows(
            ("id", request.id),
            ("status", request.status.value),
            ("kind", request.kind.value),
            ("priority", request.priority.value),
            ("session", request.session_id),
            ("client", request.client_id),
            ("asked by", _requester(request)),
            ("asked", timestamp(request.created_at)),
            ("deadline", timestamp(request.deadline_at)),
            ("tool", action and action.tool_name),
            ("arguments", action and action.tool_args),
            ("proposed arguments", request.proposed_args if decision is None else None),
            ("digest", effective_digest(request)),
            ("asks again", request.reopens),
            ("rule", request.rule and rule_text(request.rule)),
        ),
        words=_rows(
            ("message", request.message),
            ("risk", action and action.risk_class),
            ("rationale", action and action.rationale),
            ("side effects", action and "\n".join(action.side_effects)),
            ("options", "\n".join(f"{each.value}: {each.label}" for each in request.options)),
            ("form", request.schema),
            ("metadata", request.metadata),
            ("facts", request.facts),
            ("changed since", request.changes),
            ("outcome", _outcome(request)),
        ),
        result=_rows(
            ("votes", "; ".join(map(_vote, request.votes))),
            ("decision", decision and decision.type.value),
            ("by", decision and f"{decision.by.name} ({decision.channel})"),
            ("after", decision and f"{decision.took_seconds:.1f} s"),
            ("option", decision and decision.option),
            ("content", decision and decision.content),
            ("edited arguments", decision and decision.args),
            ("reason", request.reason),
            ("closed", timestamp(request.closed_at)),
            ("grant", _grant(request)),
        ),
    )


def effective_digest(request: Request) -> str | None:
    """Of what was approved, or would be approved now; None without an action."""
    if request.action is None:
        return None
    if request.decision is not None and request.decision.digest is not None:
        return request.decision.digest
    if request.proposed_args is not None:
        return request.action.with_args(request.proposed_args).digest
    return request.action.digest


def rule_text(rule: Rule, names: Mapping[str, str] = MappingProxyType({})) -> str:
    """What a decision needs, in one line; people by their `names`, else by their ids."""
    people = [names.get(each, each) for each in rule.people]
    people += [f"group {name}" for name in rule.groups]
    parts = [
        f"{rule.approvals} approval{'s' if rule.approvals > 1 else ''}",
        f"of {', '.join(people)}" if people else "",
        "four eyes" if rule.four_eyes else "",
        "" if rule.veto else "no veto",
        "" if rule.min_strength is Strength.LINK else f"by {rule.min_strength} at least",
        "" if rule.grant_seconds is None else f"to be claimed within {rule.grant_seconds:g} s",
        f"from {', '.join(rule.names)}" if rule.names else "",
    ]
    return "; ".join(filter(None, parts))


def bounds_text(limits: StandingLimits) -> str:
    """Whom and how much a standing grant is bound to, beside its arguments; empty if nothing."""
    budget = limits.budget
    parts = [
        f"{budget.limit:.15g} of {budget.argument} in all" if budget else "",
        f"session {limits.session_id}" if limits.session_id else "",
        f"client {limits.client_id}" if limits.client_id else "",
        f"agent {limits.asked_by.removeprefix('agent:')}" if limits.asked_by else "",
    ]
    return "; ".join(filter(None, parts))


def standing_text(data: Mapping[str, Json]) -> str:
    """What an event `standing.given` lets through, in one line without values of arguments.

    Empty if it cannot be read.
    """
    try:
        limits = msgspec.convert(data, StandingLimits)
    except msgspec.ValidationError:
        return ""
    uses = "any number of uses" if limits.uses is None else f"{limits.uses} uses"
    parts = [
        f"{limits.tool_name}({', '.join(limits.args)})",
        "1 use" if limits.uses == 1 else uses,
        bounds_text(limits),
        f"until {timestamp(limits.expires_at)}",
        "its log tells no budget, session, client or agent" if limits.budget is UNSET else "",
    ]
    return "; ".join(filter(None, parts))


def timestamp(at: datetime | None) -> str:
    """ISO 8601 in UTC, to the millisecond; nothing for no time."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z" if at else ""


def _rows(*found: tuple[str, Json]) -> tuple[Row, ...]:
    return tuple(
        Row(name=name, value=msgspec.to_builtins(value))
        for name, value in found
        if value not in (None, "", {}, ())
    )


def _requester(request: Request) -> str:
    by = request.requested_by
    owner = f", for {by.owner}" if by.owner else ""
    return f"{by.name} ({by.actor}{owner})"


def _vote(vote: Vote) -> str:
    reason = f": {vote.reason}" if vote.reason else ""
    return f"{vote.type} by {vote.by.name} ({vote.channel}, {vote.strength}){reason}"


def _grant(request: Request) -> str:
    grant = request.grant
    if grant is None:
        return ""
    if grant.claimed_at is not None:
        return f"claimed at {timestamp(grant.claimed_at)} by {grant.claimed_by}"
    return f"can be claimed until {timestamp(grant.expires_at)}"


def _outcome(request: Request) -> str:
    outcome = request.outcome
    if outcome is None:
        return ""
    told = outcome.error or (
        "" if outcome.result is None else visible.json_text(msgspec.to_builtins(outcome.result))
    )
    return f"{outcome.status}: {told}" if told else str(outcome.status)
