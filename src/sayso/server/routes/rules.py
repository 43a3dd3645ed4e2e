"""What holds for many requests: review rules, and the kill switch."""

from collections.abc import Iterable

from msgspec import Struct

from sayso.domain.accounts import DEFAULT_TENANT, Power, Strength
from sayso.domain.quorum import shortcomings
from sayso.domain.rules import KeptRule, ReviewRule
from sayso.domain.stops import KeptStop, Stop, StopDraft
from sayso.domain.users import LOCAL_PERSON
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
    rule = await call.server.broker.rules.put(call.decode(ReviewRule), by=call.principal)
    told = (await warnings(call, (rule,))).get(rule.name, ())
    fields = {name: getattr(rule, name) for name in ReviewRule.__struct_fields__}
    return json_reply(200, KeptRule(**fields, warnings=told))


async def remove(call: Call) -> Reply:
    """Forget a review rule; requests that were made under it keep it."""
    name = call.params["name"]
    return json_reply(200, await call.server.broker.rules.remove(name, by=call.principal))


async def warnings(call: Call, rules: Iterable[ReviewRule]) -> dict[str, tuple[str, ...]]:
    """What today's people cannot satisfy, by the name of the rule; without those they can."""
    by, accounts = call.principal, call.server.accounts
    groups = {group.name: group.members for group in await accounts.groups.find(by=by)}
    users = await accounts.users.find(by=by)
    names = {user.id: user.name for user in users}
    reviewers = {user.id: user.name for user in users if user.may(Power.DECIDE)}
    operator = {LOCAL_PERSON: "the local operator"}
    found: dict[str, tuple[str, ...]] = {}
    for rule in rules:
        by_link = rule.rule.min_strength is Strength.LINK and by.tenant == DEFAULT_TENANT
        known = reviewers | operator if by_link else reviewers
        if told := shortcomings(rule.rule, known, groups, names):
            found[rule.name] = told
    return found


async def stops(call: Call) -> Reply:
    """List what is stopped."""
    return json_reply(200, StopList(items=await call.server.broker.stops.find(by=call.principal)))


async def stop(call: Call) -> Reply:
    """Stop an agent, a client, a session or everything: nothing of it is approved or run."""
    stops, by = call.server.broker.stops, call.principal
    kept = await stops.set(call.decode(StopDraft), by=by)
    told = (await stops.warnings((kept,), by=by)).get(kept.name, ())
    fields = {name: getattr(kept, name) for name in Stop.__struct_fields__}
    return json_reply(201, KeptStop(**fields, warnings=told))


async def lift(call: Call) -> Reply:
    """Lift a stop."""
    name = call.params["name"]
    return json_reply(200, await call.server.broker.stops.lift(name, by=call.principal))
