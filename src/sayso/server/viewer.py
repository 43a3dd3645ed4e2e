"""Who looks at a page: what they may do, which pages there are for them, what is stopped."""

from collections.abc import Iterable
from typing import Any

from sayso import codec
from sayso.domain.accounts import LOCAL_AGENT, Power
from sayso.domain.requests import Request
from sayso.errors import NotPermittedError
from sayso.server.http import Call

PLACES: tuple[tuple[str, str, Power | None], ...] = (
    ("/grants", "Standing grants", Power.READ),
    ("/rules", "Review rules", Power.READ),
    ("/policy", "Policy", Power.READ),
    ("/stops", "Stops", Power.READ),
    ("/webhooks", "Webhooks", Power.SUBSCRIBE),
    ("/users", "Users", Power.MANAGE),
    ("/groups", "Groups", Power.MANAGE),
    ("/keys", "Keys", None),
    ("/sessions", "Sessions", None),
    ("/passkeys", "Passkeys", None),
    ("/account", "Account", None),
    ("/audit", "Audit", Power.READ),
)
"""The pages around the inbox: address, word, and the power that it takes to be shown the link."""


async def viewer(call: Call, requests: Iterable[Request] = ()) -> dict[str, Any]:
    """Whoever is signed in, as pages need them.

    Args:
        call: theirs.
        requests: what they will be shown; whoever is in it is named.
    """
    by = call.principal
    reads = by.may(Power.READ)
    stops = await call.server.broker.stops.find(by=by) if reads else ()
    return {
        "id": by.id,
        "name": by.name,
        "role": str(by.role),
        "powers": [power.value for power in Power if by.may(power)],
        "groups": sorted(by.groups),
        "strength": None if by.strength is None else by.strength.value,
        "places": [
            {"href": path, "word": word}
            for path, word, power in PLACES
            if path in call.server.page_paths and (power is None or by.may(power))
        ],
        "stops": codec.builtins(stops),
        "names": await names_of(call, _people_in(requests)) if reads else {},
    }


async def names_of(call: Call, ids: Iterable[str]) -> dict[str, str]:
    """The names of people and of agents by their ids, as far as this tenant knows them.

    An agent is named as its newest key says. Whoever is not known, or is of another tenant, is not
    among them: then the id is shown.
    """
    by = call.principal
    found = {by.id: by.name}
    missing = set(ids) - {by.id, ""}
    for each in tuple(missing):
        user = await call.server.accounts.users.one(each)
        if user is not None:
            missing.discard(each)
            if user.tenant == by.tenant:
                found[each] = user.name
    if LOCAL_AGENT.id in missing and by.tenant == LOCAL_AGENT.tenant:
        found[LOCAL_AGENT.id] = LOCAL_AGENT.name
        missing.discard(LOCAL_AGENT.id)
    if missing:
        keys = await call.server.accounts.keys.find(by=by, all_owners=True)
        found |= {key.agent_id: key.label for key in keys if key.agent_id in missing and key.label}
    return found


def need(call: Call, power: Power) -> None:
    """Let only those on who may.

    Raises:
        NotPermittedError: their role does not go so far (`power_required`).
    """
    if not call.principal.may(power):
        raise NotPermittedError(
            f"This page takes the power to {power.value}, which your role,"
            f" {call.principal.role.value!r}, does not have.",
            hint="Ask an admin for another role.",
            code="power_required",
        )


def _people_in(requests: Iterable[Request]) -> set[str]:
    found: set[str] = set()
    for request in requests:
        if request.rule is not None:
            found.update(request.rule.people)
        if request.requested_by.owner:
            found.add(request.requested_by.owner)
    return found
