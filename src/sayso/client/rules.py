"""What is decided for many requests at once: standing grants, review rules and stops. No I/O."""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, TypedDict

import msgspec

from sayso.client import messages
from sayso.client.protocol import Protocol
from sayso.client.steps import Operation, Send
from sayso.client.webhooks import item_path
from sayso.domain.rules import KeptRule, ReviewRule
from sayso.domain.standing import StandingGrant
from sayso.domain.stops import KeptStop, Stop
from sayso.types import JsonObject

STANDING_GRANTS, RULES, STOPS = "/api/v1/standing-grants", "/api/v1/rules", "/api/v1/stops"
StopKind: TypeAlias = Literal["everything", "agent", "client", "session"]


class Limits(TypedDict, total=False):
    """How far a standing grant goes; each may be left out."""

    args: Mapping[str, JsonObject]
    """Each argument that may be there, and what it may be: `equals`, `glob`, `min`, `max`, `any`.
    One that is not named here is not let through."""
    uses: int | None
    """How often. Default: as often as comes until it expires."""
    budget: JsonObject | None
    """`argument` and `limit`: how much of a number may be used up, over all uses."""
    seconds: float | None
    """How long. Default: a day."""
    session_id: str | None
    client_id: str | None
    asked_by: str | None
    """For this agent only, as in `agent:ID`."""
    note: str | None


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What a standing grant would have let through, had it been there."""

    days: int
    looked_at: int
    """Closed requests in this time."""
    is_all: bool
    """Whether that was all of them."""
    matched: int
    approved: int
    """Of those that matched: people said yes,"""
    rejected: int
    """and people said no."""
    examples: tuple[str, ...] = ()
    """The ids of some that people rejected, else of some that matched."""


class _StandingGrants(msgspec.Struct, frozen=True):
    items: tuple[StandingGrant, ...]


class _Rules(msgspec.Struct, frozen=True):
    items: tuple[KeptRule, ...]


class _Stops(msgspec.Struct, frozen=True):
    items: tuple[Stop, ...]


def standing_grants(protocol: Protocol) -> Operation[tuple[StandingGrant, ...]]:
    """All of them, newest first."""
    reply = yield from protocol.call(Send(method="GET", path=STANDING_GRANTS))
    return messages.decode(reply, _StandingGrants).items


def give(protocol: Protocol, tool_name: str, limits: JsonObject) -> Operation[StandingGrant]:
    """Keep a new one."""
    send = Send(method="POST", path=STANDING_GRANTS, content=_draft(tool_name, limits))
    return messages.decode((yield from protocol.call(send)), StandingGrant)


def preview(protocol: Protocol, tool_name: str, limits: JsonObject) -> Operation[Preview]:
    """What one would have let through."""
    path = f"{STANDING_GRANTS}/preview"
    send = Send(method="POST", path=path, content=_draft(tool_name, limits))
    return messages.decode((yield from protocol.call(send)), Preview)


def revoke(protocol: Protocol, grant_id: str) -> Operation[StandingGrant]:
    """End one."""
    send = Send(method="DELETE", path=item_path(STANDING_GRANTS, grant_id))
    return messages.decode((yield from protocol.call(send)), StandingGrant)


def rules(protocol: Protocol) -> Operation[tuple[KeptRule, ...]]:
    """All of them, by name."""
    reply = yield from protocol.call(Send(method="GET", path=RULES))
    return messages.decode(reply, _Rules).items


def put(protocol: Protocol, rule: ReviewRule | JsonObject) -> Operation[KeptRule]:
    """Keep one, in place of one of the same name."""
    given: JsonObject = msgspec.to_builtins(rule)
    for told in ("warnings", "names"):  # of one that was kept before
        given.pop(told, None)
    send = Send(method="POST", path=RULES, content=messages.encode(given))
    return messages.decode((yield from protocol.call(send)), KeptRule)


def remove(protocol: Protocol, name: str) -> Operation[ReviewRule]:
    """Forget one."""
    send = Send(method="DELETE", path=item_path(RULES, name))
    return messages.decode((yield from protocol.call(send)), ReviewRule)


def stops(protocol: Protocol) -> Operation[tuple[Stop, ...]]:
    """All that are set."""
    reply = yield from protocol.call(Send(method="GET", path=STOPS))
    return messages.decode(reply, _Stops).items


def stop(protocol: Protocol, kind: StopKind, value: str, reason: str) -> Operation[KeptStop]:
    """Set one."""
    body = messages.encode({"kind": kind, "value": value, "reason": reason})
    send = Send(method="POST", path=STOPS, content=body)
    return messages.decode((yield from protocol.call(send)), KeptStop)


def lift(protocol: Protocol, name: str) -> Operation[Stop]:
    """Lift one."""
    send = Send(method="DELETE", path=item_path(STOPS, name))
    return messages.decode((yield from protocol.call(send)), Stop)


def _draft(tool_name: str, limits: JsonObject) -> bytes:
    unknown = limits.keys() - Limits.__annotations__.keys()
    if unknown:
        raise TypeError(f"a standing grant got an unexpected keyword argument {min(unknown)!r}")
    said: dict[str, Any] = {name: value for name, value in limits.items() if value is not None}
    return messages.encode({"tool_name": tool_name, **said})
