"""What holds for many requests: review rules, and the kill switch."""

from msgspec import Struct

from sayso.domain.rules import ReviewRule
from sayso.domain.stops import Stop, StopDraft
from sayso.server.http import Call, Reply, json_reply


class RuleList(Struct, frozen=True, kw_only=True):
    """All review rules of a tenant, by name."""

    items: tuple[ReviewRule, ...]


class StopList(Struct, frozen=True, kw_only=True):
    """All stops that are set in a tenant."""

    items: tuple[Stop, ...]


async def find(call: Call) -> Reply:
    """List the review rules."""
    return json_reply(200, RuleList(items=await call.server.broker.rules.find(by=call.principal)))


async def put(call: Call) -> Reply:
    """Keep a review rule, in place of one of the same name; it holds for requests from now on."""
    rule = call.decode(ReviewRule)
    return json_reply(200, await call.server.broker.rules.put(rule, by=call.principal))


async def remove(call: Call) -> Reply:
    """Forget a review rule; requests that were made under it keep it."""
    name = call.params["name"]
    return json_reply(200, await call.server.broker.rules.remove(name, by=call.principal))


async def stops(call: Call) -> Reply:
    """List what is stopped."""
    return json_reply(200, StopList(items=await call.server.broker.stops.find(by=call.principal)))


async def stop(call: Call) -> Reply:
    """Stop an agent, a client, a session or everything: nothing of it is approved or run."""
    draft = call.decode(StopDraft)
    return json_reply(201, await call.server.broker.stops.set(draft, by=call.principal))


async def lift(call: Call) -> Reply:
    """Lift a stop."""
    name = call.params["name"]
    return json_reply(200, await call.server.broker.stops.lift(name, by=call.principal))
