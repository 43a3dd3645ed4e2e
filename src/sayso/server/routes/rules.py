"""What holds for many requests: review rules, and the kill switch."""

from collections.abc import Collection, Iterable

from msgspec import Struct

from sayso.domain.accounts import DEFAULT_TENANT, Power, Strength
from sayso.domain.quorum import shortcomings
from sayso.domain.rules import KeptRule, ReviewRule
from sayso.domain.stops import KeptStop, Stop, StopDraft
from sayso.domain.users import LOCAL_PERSON
from sayso.server.http import Call, Reply, json_reply
from sayso.server.viewer import names_of


class RuleList(Struct, frozen=True, kw_only=True):
    """All review rules of a tenant, by name."""

    items: tuple[KeptRule, ...]


class StopList(Struct, frozen=True, kw_only=True):
    """All stops that are set in a tenant."""

    items: tuple[Stop, ...]


async def find(call: Call) -> Reply:
    """List the review rules."""
    found = await call.server.broker.rules.find(by=call.principal)
    return json_reply(200, RuleList(items=await _told(call, found)))


async def put(call: Call) -> Reply:
    """Keep a review rule, in place of one of the same name; it holds for requests from now on."""
    given = call.decode(KeptRule)  # as it is listed; what was told of it is not kept
    rule = ReviewRule(**{name: getattr(given, name) for name in ReviewRule.__struct_fields__})
    rule = await call.server.broker.rules.put(rule, by=call.principal)
    (kept,) = await _told(call, (rule,))
    return json_reply(200, kept)


async def remove(call: Call) -> Reply:
    """Forget a review rule; requests that were made under it keep it."""
    name = call.params["name"]
    return json_reply(200, await call.server.broker.rules.remove(name, by=call.principal))


async def _told(call: Call, rules: Collection[ReviewRule]) -> tuple[KeptRule, ...]:
    """Rules with what is wrong with them, and with whom they name."""
    wrong = await warnings(call, rules)
    known = await names_of(call, {each for rule in rules for each in rule.rule.people})
    return tuple(
        KeptRule(
            **{name: getattr(rule, name) for name in ReviewRule.__struct_fields__},
            warnings=wrong.get(rule.name, ()),
            names={each: known[each] for each in rule.rule.people if each in known},
        )
        for rule in rules
    )


async def warnings(call: Call, rules: Iterable[ReviewRule]) -> dict[str, tuple[str, ...]]:
    """What today's people cannot satisfy, by the name of the rule; without those they can.

    Who the people are is for those to know who may manage: nobody else is told anything.
    """
    by, accounts = call.principal, call.server.accounts
    if not by.may(Power.MANAGE):
        return {}
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
