"""Signing in and out."""

from datetime import datetime

from msgspec import Struct

from sayso.domain.accounts import Strength
from sayso.errors import SignInRequiredError
from sayso.server.auth import SignedIn
from sayso.server.http import Call, Reply, json_reply
from sayso.server.throttle import LINKS, place_of


class LinkToken(Struct, frozen=True, kw_only=True):
    """The token of a one-time link."""

    token: str


class User(Struct, frozen=True, kw_only=True):
    """A person."""

    id: str
    name: str


class Bearer(Struct, frozen=True, kw_only=True):
    """A session's token, to be sent as `Authorization: Bearer TOKEN`."""

    token: str
    expires_at: datetime
    user: User


class Me(Struct, frozen=True, kw_only=True):
    """Who is signed in, and how strongly they were identified."""

    id: str
    name: str
    plane: str
    strength: Strength | None


async def exchange_link(call: Call) -> Reply:
    """Trade the token of a one-time link for a bearer token."""
    signed_in = await by_link(call, call.decode(LinkToken).token, browser=False)
    person = signed_in.principal
    user = User(id=person.id, name=person.name)
    return json_reply(
        200, Bearer(token=signed_in.token, expires_at=signed_in.expires_at, user=user)
    )


async def me(call: Call) -> Reply:
    """Who is signed in."""
    by = call.principal
    return json_reply(200, Me(id=by.id, name=by.name, plane=by.plane, strength=by.strength))


async def by_link(call: Call, token: str, *, browser: bool) -> SignedIn:
    """Begin a session by a one-time link.

    Raises:
        SignInRequiredError: it is not good.
        RateLimitedError: too many that are not good came from there.
    """
    try:
        return await call.server.auth.sign_in(token, browser=browser, agent=call.agent)
    except SignInRequiredError:
        call.server.throttle.take("Opening links", LINKS, place_of(call.address))
        raise
