"""Signing in at an OpenID provider: there, and back."""

from typing import TYPE_CHECKING

from sayso.domain.users import User
from sayso.errors import NotFoundError, NotPermittedError, SaysoError, SignInRequiredError
from sayso.server.http import Call, Header, Reply, redirect
from sayso.server.routes.pages import login_page, welcome
from sayso.server.throttle import PROVIDER, place_of

if TYPE_CHECKING:
    from sayso.server.oidc import Identity, Oidc

CALLBACK = "/login/oidc/callback"
"""The path to which browsers come back."""


async def begin(call: Call) -> Reply:
    """Send the browser to the provider."""
    try:
        call.server.throttle.take("Signing in", PROVIDER, place_of(call.address))
        oidc = _oidc(call)
        where, cookie = await oidc.begin()
    except SaysoError as error:
        return login_page(call, error)
    return redirect(where, _cookie(call, cookie, int(oidc.lifetime.total_seconds())))


async def finish(call: Call) -> Reply:
    """Take the browser back from the provider, signed in."""
    try:
        user = await _user(call, await _identity(call))
        signed_in = await call.server.auth.begin(
            user, method="oidc", browser=True, agent=call.agent
        )
    except SaysoError as error:
        reply = login_page(call, error)
    else:
        reply = welcome(call, signed_in)
    return Reply(reply.status, reply.body, (*reply.headers, _cookie(call, "", 0)))


async def _identity(call: Call) -> "Identity":
    if call.one("error") is not None:
        raise SignInRequiredError(
            "The provider did not sign you in.", hint="Begin again.", code="sign_in_failed"
        )
    cookie = call.server.auth.cookie_of(call.headers, _name(call)) or ""
    return await _oidc(call).finish(cookie, call.one("state") or "", call.one("code") or "")


async def _user(call: Call, identity: "Identity") -> User:
    settings = call.server.settings
    domain = identity.email.rpartition("@")[2].casefold()
    if settings.oidc_domains and domain not in {d.casefold() for d in settings.oidc_domains}:
        raise NotPermittedError(
            "Only people with a verified address in certain domains may come in.",
            hint="Sign in at the provider with that address.",
            code="no_account",
        )
    return await call.server.accounts.identities.user(
        identity.issuer,
        identity.subject,
        email=identity.email,
        username=identity.username,
        name=identity.name,
        role=settings.oidc_role,
    )


def _oidc(call: Call) -> "Oidc":
    if call.server.oidc is None:
        raise NotFoundError("This server knows no OpenID provider.", hint="Sign in another way.")
    return call.server.oidc


def _name(call: Call) -> str:
    return f"{call.server.auth.cookie}_oidc"


def _cookie(call: Call, value: str, seconds: int) -> Header:
    cookie = f"{_name(call)}={value}; Path={CALLBACK}; HttpOnly; SameSite=Lax; Max-Age={seconds}"
    return b"set-cookie", (cookie + "; Secure" if call.server.auth.is_https else cookie).encode()
