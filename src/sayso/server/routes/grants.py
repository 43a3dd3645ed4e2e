"""From an approval to a run: claims and outcomes; and what is decided once for many."""

from typing import Annotated

from msgspec import Meta, Struct

from sayso.domain.grants import OutcomeDraft
from sayso.domain.patterns import StandingDraft
from sayso.domain.standing import StandingGrant
from sayso.server.http import Call, Reply, json_reply
from sayso.types import JsonObject

_Facts = Annotated[
    Annotated[JsonObject, Meta(max_length=256)] | None,
    Meta(description="What holds now, under the names that were told when it was asked."),
]


class Claiming(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is about to run."""

    digest: Annotated[str, Meta(max_length=256, description="Of exactly what will run.")]
    facts: _Facts = None
    key: Annotated[
        str,
        Meta(max_length=256, description="A word of your own; with it a claim can be repeated."),
    ] = ""


class Reopening(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What holds now."""

    facts: _Facts = None


class StandingGrantList(Struct, frozen=True, kw_only=True):
    """All of a tenant, newest first."""

    items: tuple[StandingGrant, ...]


async def claim(call: Call) -> Reply:
    """Take the grant: once, for exactly what was approved."""
    body = call.decode(Claiming)
    request = await call.server.broker.claim(
        call.params["id"], body.digest, by=call.principal, facts=body.facts, key=body.key
    )
    return json_reply(200, request)


async def report(call: Call) -> Reply:
    """Tell what became of the run."""
    body = call.decode(OutcomeDraft)
    request = await call.server.broker.report(call.params["id"], body, by=call.principal)
    return json_reply(200, request)


async def reopen(call: Call) -> Reply:
    """Ask again what expired, as a question or as a grant that nobody claimed."""
    body = call.decode(Reopening) if call.body.strip() else Reopening()
    done = await call.server.broker.reopen(call.params["id"], by=call.principal, facts=body.facts)
    return json_reply(200 if done.replayed else 201, done.request)


async def find(call: Call) -> Reply:
    """List the standing grants; those that are over for a month, too."""
    items = await call.server.broker.standing.find(by=call.principal)
    return json_reply(200, StandingGrantList(items=items))


async def give(call: Call) -> Reply:
    """Have what is alike approved without asking, within limits."""
    draft = call.decode(StandingDraft)
    return json_reply(201, await call.server.broker.standing.give(draft, by=call.principal))


async def preview(call: Call) -> Reply:
    """Tell what a standing grant would have let through in the last 30 days."""
    draft = call.decode(StandingDraft)
    return json_reply(200, await call.server.broker.standing.preview(draft, by=call.principal))


async def revoke(call: Call) -> Reply:
    """End a standing grant."""
    grant_id = call.params["id"]
    return json_reply(200, await call.server.broker.standing.revoke(grant_id, by=call.principal))
