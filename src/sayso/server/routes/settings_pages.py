"""The pages of what holds for many requests: standing grants, review rules, stops."""

from typing import Any
from urllib.parse import quote

import msgspec

from sayso import codec
from sayso.domain.accounts import Power, Strength
from sayso.domain.actions import RiskClass
from sayso.domain.rules import ReviewRule
from sayso.domain.standing import StandingGrant
from sayso.domain.stops import StopDraft, StopKind
from sayso.errors import InvalidRequestError, NotFoundError, SaysoError
from sayso.server import problems
from sayso.server.forms import Fields, fields_of
from sayso.server.http import Call, Reply, redirect
from sayso.server.inbox import pages
from sayso.server.routes.pages import page
from sayso.server.routes.rules import warnings
from sayso.server.viewer import names_of, need, viewer
from sayso.version import __version__


async def shown(
    call: Call, name: str, problem: SaysoError | None = None, *, status: int = 200, **values: Any
) -> Reply:
    """A page of the settings, with what went wrong if something did."""
    told = None if problem is None else problems.problem(problem)
    html = pages.settings(
        name, person=await viewer(call), problem=told, version=__version__, **values
    )
    return page(html, status if told is None else told["status"])


async def settings(call: Call) -> Reply:
    """Go to the first of them that there is for this person."""
    places = (await viewer(call))["places"]
    if not places:
        raise NotFoundError("There are no settings for you.")
    return redirect(places[0]["href"])


async def grants(call: Call, problem: SaysoError | None = None) -> Reply:
    """What is approved without asking."""
    need(call, Power.READ)
    found = await call.server.broker.standing.find(by=call.principal)
    names = await names_of(call, {(each.asked_by or "").partition(":")[2] for each in found})
    items = [codec.builtins(each) | {"state": _state(call, each)} for each in found]
    return await shown(call, "grants", problem, items=items, names=names)


async def revoke(call: Call) -> Reply:
    """End a standing grant."""
    need(call, Power.DECIDE)
    grant_id = fields_of(call)("id")
    try:
        await call.server.broker.standing.revoke(grant_id, by=call.principal)
    except SaysoError as error:
        return await grants(call, error)
    return redirect(f"/grants#{quote(grant_id)}")


async def rules(call: Call, problem: SaysoError | None = None) -> Reply:
    """Who has to look at what."""
    need(call, Power.READ)
    found = await call.server.broker.rules.find(by=call.principal)
    people = {each for rule in found for each in rule.rule.people}
    names = await names_of(call, people)
    told = await warnings(call, found)
    return await shown(
        call, "rules", problem, items=codec.builtins(found), names=names, warnings=told
    )


async def edit_rule(call: Call) -> Reply:
    """A form for one rule: a new one, or the one of that name."""
    need(call, Power.MANAGE)
    name = call.one("name")
    if name is None:
        return await _rule_form(call, _BLANK, is_new=True)
    for rule in await call.server.broker.rules.find(by=call.principal):
        if rule.name == name:
            return await _rule_form(call, codec.builtins(rule), is_new=False)
    raise NotFoundError(f"There is no rule {name!r}.", hint="Look at /rules.")


async def put_rule(call: Call) -> Reply:
    """Keep a rule, as the form says."""
    need(call, Power.MANAGE)
    fields = fields_of(call)
    given = _rule_of(fields)
    try:
        rule = msgspec.convert(given | _numbers(fields, given), ReviewRule)
        if fields("is_new"):
            await _check_free(call, rule.name)
        await call.server.broker.rules.put(rule, by=call.principal)
    except msgspec.ValidationError as error:
        problem = InvalidRequestError(f"The rule cannot be kept: {error}.")
        return await _rule_form(call, given, problem, is_new=bool(fields("is_new")))
    except SaysoError as error:
        return await _rule_form(call, given, error, is_new=bool(fields("is_new")))
    return redirect(f"/rules#{quote(rule.name)}")


async def remove_rule(call: Call) -> Reply:
    """Forget a rule."""
    need(call, Power.MANAGE)
    try:
        await call.server.broker.rules.remove(fields_of(call)("name"), by=call.principal)
    except SaysoError as error:
        return await rules(call, error)
    return redirect("/rules")


async def stops(
    call: Call, problem: SaysoError | None = None, given: dict[str, str] | None = None
) -> Reply:
    """The kill switch."""
    need(call, Power.READ)
    if given is None:
        given = {name: call.one(name) or "" for name in ("kind", "value", "request")}
        given["reason"] = ""
    found = await call.server.broker.stops.find(by=call.principal)
    names = await names_of(call, {each.set_by.partition(":")[2] for each in found})
    told = await call.server.broker.stops.warnings(found, by=call.principal)
    items = [
        codec.builtins(each) | {"name": each.name, "warnings": told.get(each.name, ())}
        for each in found
    ]
    return await shown(
        call, "stops", problem, items=items, names=names, given=given, kinds=tuple(StopKind)
    )


async def stop(call: Call) -> Reply:
    """Set the kill switch."""
    need(call, Power.DECIDE)
    fields = fields_of(call)
    given = {name: fields(name).strip() for name in ("kind", "value", "request", "reason")}
    try:
        draft = msgspec.convert(
            {
                "kind": given["kind"],
                "value": "" if given["kind"] == StopKind.EVERYTHING else given["value"],
                "reason": given["reason"],
            },
            StopDraft,
        )
        await call.server.broker.stops.set(draft, by=call.principal)
    except msgspec.ValidationError as error:
        problem = InvalidRequestError(f"The form cannot be used: {error}.")
        return await stops(call, problem, given)
    except SaysoError as error:
        return await stops(call, error, given)
    return redirect("/stops")


async def lift(call: Call) -> Reply:
    """Lift a stop."""
    need(call, Power.MANAGE)
    try:
        await call.server.broker.stops.lift(fields_of(call)("name"), by=call.principal)
    except SaysoError as error:
        return await stops(call, error)
    return redirect("/stops")


def _state(call: Call, grant: StandingGrant) -> str:
    """Why it lets nothing through any more; empty if it does."""
    now = call.server.broker.clock.now()
    if grant.is_open(now):
        return ""
    if grant.revoked_at is not None:
        return "revoked"
    return "expired" if now >= grant.expires_at else "used up"


async def _rule_form(
    call: Call, rule: dict[str, Any], problem: SaysoError | None = None, *, is_new: bool
) -> Reply:
    by, accounts = call.principal, call.server.accounts
    users = [{"id": user.id, "name": user.name} for user in await accounts.users.find(by=by)]
    groups = [group.name for group in await accounts.groups.find(by=by)]
    unknown = [each for each in rule["rule"]["people"] if each not in {u["id"] for u in users}]
    return await shown(
        call,
        "rule",
        problem,
        rule=rule,
        is_new=is_new,
        users=users[:_MAX_BOXES],
        unknown=unknown
        + [u["id"] for u in users[_MAX_BOXES:] if u["id"] in rule["rule"]["people"]],
        groups=[*groups, *(each for each in rule["rule"]["groups"] if each not in groups)],
        risks=tuple(RiskClass),
        strengths=tuple(Strength),
    )


async def _check_free(call: Call, name: str) -> None:
    if any(each.name == name for each in await call.server.broker.rules.find(by=call.principal)):
        raise InvalidRequestError(
            f"There is a rule {name!r} already.", hint="Take another name, or edit that one."
        )


def _rule_of(fields: Fields) -> dict[str, Any]:
    """The rule as the form has it; its numbers are still texts."""
    return {
        "name": fields("name").strip(),
        "tools": list(fields.lines("tools")),
        "risks": list(fields.lines("risks")),
        "rule": {
            "approvals": fields("approvals"),
            "people": list(fields.lines("people")),
            "groups": list(fields.lines("groups")),
            "four_eyes": bool(fields("four_eyes")),
            "veto": bool(fields("veto")),
            "min_strength": fields("min_strength"),
            "grant_seconds": fields("grant_seconds"),
            "names": [],
        },
    }


def _numbers(fields: Fields, given: dict[str, Any]) -> dict[str, Any]:
    return {
        "rule": given["rule"]
        | {
            "approvals": fields.number("approvals"),
            "grant_seconds": fields.number("grant_seconds"),
        }
    }


_MAX_BOXES = 100
"""People who are offered by name; who is beyond is named by id."""
_BLANK: dict[str, Any] = {
    "name": "",
    "tools": [],
    "risks": [],
    "rule": {
        "approvals": 1,
        "people": [],
        "groups": [],
        "four_eyes": False,
        "veto": True,
        "min_strength": "link",
        "grant_seconds": None,
    },
}
