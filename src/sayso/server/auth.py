"""Who is calling, and whether a browser was lured into calling.

A program sends a key, a person's token, or a JSON Web Token; a browser sends its cookie. In the
open local mode a caller without any of them is the local agent. A credential that is not valid is
refused, never taken for no credential at all.
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec import Struct

from sayso.broker.accounts import Accounts
from sayso.broker.lookups import MAX_REMEMBERED, LookUps
from sayso.clock import Clock
from sayso.domain.accounts import LOCAL_AGENT, Plane, Principal, Role, Strength
from sayso.domain.users import LOCAL_PERSON, User
from sayso.errors import ConflictError, NotPermittedError, SignInRequiredError
from sayso.links import new_session_token, read_link_token, token_hash
from sayso.nonces import make_nonce, read_nonce
from sayso.server.tokens import Tokens, looks_like_one
from sayso.settings import LOOPBACK
from sayso.stores.base import Login, LoginStore

LOGIN_LIFETIME = timedelta(days=7)
"""Of a browser's session, and of one by a link."""
TOKEN_LIFETIME = timedelta(hours=24)
"""Of a JSON Web Token."""
FORM_LIFETIME = timedelta(hours=24)
"""Of a form that may be sent only once: a page may stay open for a day."""
_BROWSER = "web_"
_HOST = re.compile(r"(?:(?P<name>[a-z0-9._-]+)|\[(?P<six>[0-9a-f:.]+)\])(?::\d{1,5})?")
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_LOCAL_REVIEWER = Principal(
    plane=Plane.PERSON,
    id=LOCAL_PERSON,
    name="local reviewer",
    role=Role.ADMIN,
    strength=Strength.LINK,
)


class Known(Struct, frozen=True, kw_only=True):
    """What a credential stands for."""

    principal: Principal
    expires_at: datetime | None


class SignedIn(Struct, frozen=True, kw_only=True):
    """A fresh session: the token is known to its holder only."""

    token: str
    expires_at: datetime
    principal: Principal


class Authenticator:
    """Turns the headers of a call into a principal.

    Args:
        accounts: who may come in.
        logins: where used links and sessions are kept.
        clock: what time it is.
        secret: the server's secret, which signs one-time links and tokens.
        cookie: the name of the session's cookie; with the port in it, since browsers share
            cookies between all ports of a host.
        hosts: the names by which the server may be called, besides the loopback's.
        is_https: people come by HTTPS, so that browsers shall send the cookie by that alone.
        is_open: whoever calls without a credential is the local agent.
        jwt_secret: a further secret that tokens are signed with.
    """

    def __init__(
        self,
        accounts: Accounts,
        logins: LoginStore,
        clock: Clock,
        secret: bytes,
        *,
        cookie: str,
        hosts: frozenset[str] = frozenset(),
        is_https: bool = False,
        is_open: bool = True,
        jwt_secret: str = "",
    ) -> None:
        self._accounts = accounts
        self._logins = logins
        self._clock = clock
        self._secret = secret
        self._hosts = hosts | LOOPBACK
        self._known_hosts: set[bytes] = set()
        self._tokens = Tokens(secret, jwt_secret)
        self._known = LookUps(self._look_up, clock, keeps_none=False)
        self._hashes: dict[bytes, str] = {}
        """Of headers that were good: reading and hashing one takes longer than all the rest."""
        accounts.recorder.changed.append(self._known.forget_all)
        self.forget_all = self._known.forget_all
        self.cookie = cookie
        self.is_https = is_https
        self.is_open = is_open

    def check_origin(self, method: str, headers: Mapping[bytes, bytes]) -> None:
        """Refuse other hosts' names (DNS rebinding) and other origins' pages.

        Raises:
            NotPermittedError: with the code `unknown_host` or `foreign_origin`.
        """
        host = headers.get(b"host", b"")
        if host not in self._known_hosts:
            if _hostname(host) not in self._hosts:
                raise NotPermittedError(
                    f"This server is not called {host.decode('latin-1')!r}.",
                    hint="Use localhost, or name the host with SAYSO_ALLOWED_HOSTS.",
                    code="unknown_host",
                )
            if len(self._known_hosts) < 100:
                self._known_hosts.add(host)
        origin = headers.get(b"origin")
        if origin is not None and origin not in (b"http://" + host, b"https://" + host):
            raise _foreign(f"The page at {origin.decode('latin-1')!r} may not call this server.")
        site = headers.get(b"sec-fetch-site")
        if (
            site is not None
            and site not in (b"same-origin", b"none")
            and not (method in _SAFE_METHODS and headers.get(b"sec-fetch-mode") == b"navigate")
        ):
            raise _foreign("Another site's page may not call this server.")

    def peek(self, headers: Mapping[bytes, bytes]) -> Principal | None:
        """Who is calling, if that was looked up in the last second: without a coroutine's cost."""
        sent = headers.get(b"authorization")
        hashed = None if sent is None else self._hashes.get(sent)
        if hashed is None:
            return None
        now = self._clock.now()
        known = self._known.peek(hashed, now)
        if known is None or (known.expires_at is not None and now >= known.expires_at):
            return None
        return known.principal

    async def principal(self, headers: Mapping[bytes, bytes]) -> Principal:
        """Who is calling.

        Raises:
            SignInRequiredError: a credential was sent, and it is not valid (any more), or none was
                sent where it takes one.
        """
        token = self.token_of(headers)
        if token is None:
            if self.is_open:
                return LOCAL_AGENT
            raise SignInRequiredError(
                "This server takes no calls without a key.",
                hint="Send a key as 'Authorization: Bearer KEY'; people sign in at /login.",
            )
        if looks_like_one(token) and not await self._tokens.is_good(token, self._clock.now()):
            raise _not_valid()
        hashed = token_hash(token)
        known = self._known.peek(hashed) or await self._known.get(hashed)
        if known is None or not self._is_good(known):
            raise _not_valid()
        sent = headers.get(b"authorization")
        if sent is not None:
            if len(self._hashes) >= MAX_REMEMBERED:
                self._hashes.clear()
            self._hashes[sent] = hashed
        return known.principal

    async def sign_in(self, link_token: str, *, browser: bool, agent: str = "") -> SignedIn:
        """Trade a one-time link's token for a session.

        Args:
            link_token: what the link has in it.
            browser: a browser's session is good as a cookie only: other programs on this host may
                get to see cookies, and shall not use one as a bearer token.
            agent: the program that signs in, as it calls itself.

        Raises:
            SignInRequiredError: the token is not valid, has expired, or was used.
        """
        name, expires_at = read_link_token(self._secret, link_token, self._clock.now())
        if not await self._logins.use_link(name, expires_at):
            raise SignInRequiredError("This sign-in link was used already.", code="used_link")
        token = _new_token(browser=browser)
        return await self._begin(token, _LOCAL_REVIEWER, method="link", agent=agent)

    def form_nonce(self, by: Principal) -> str:
        """What a form of this person's carries that may be sent only once."""
        return make_nonce(self._secret, _form(by), self._clock.now(), lifetime=FORM_LIFETIME)

    async def take_form(self, nonce: str, by: Principal) -> None:
        """Take a form in, the only time.

        Raises:
            ConflictError: it was sent before, or it does not come from a page that this person was
                given within `FORM_LIFETIME` (`repeated_form`).
        """
        try:
            name, expires_at = read_nonce(self._secret, _form(by), nonce, self._clock.now())
        except NotPermittedError:
            raise _repeated("This form is too old, or was not made for you.") from None
        if not await self._logins.use_link(name, expires_at):
            raise _repeated("This form was sent before, and that counts.")

    async def begin(
        self,
        user: User,
        *,
        method: str,
        browser: bool,
        agent: str = "",
        strength: Strength = Strength.LOGIN,
    ) -> SignedIn:
        """Begin a session of somebody who has just shown who they are.

        Args:
            user: who.
            method: how: `password`, `oidc` or `passkey`.
            browser: as for `sign_in`; a program gets a JSON Web Token.
            agent: the program that signs in, as it calls itself.
            strength: how strongly that identifies them.
        """
        groups = await self._accounts.groups.of(user.tenant, user.id)
        who = user.principal(groups, strength)
        if browser:
            token = _new_token(browser=True)
            return await self._begin(token, who, method=method, agent=agent, user=user)
        now, login_id = self._clock.now(), self._accounts.logins.new_id()
        token = await self._tokens.make(who, login_id, now, now + TOKEN_LIFETIME)
        return await self._begin(
            token,
            who,
            method=method,
            agent=agent,
            user=user,
            login_id=login_id,
            lifetime=TOKEN_LIFETIME,
        )

    async def sign_out(self, headers: Mapping[bytes, bytes]) -> None:
        """End the caller's session, if there is one."""
        token = self.token_of(headers)
        if token is not None:
            await self._accounts.logins.end_token(token_hash(token))

    def token_of(self, headers: Mapping[bytes, bytes]) -> str | None:
        """The credential that was sent, if any: bearer, API key, or cookie.

        Raises:
            SignInRequiredError: there is one in a form that is not known.
        """
        authorization = headers.get(b"authorization")
        if authorization is not None:
            scheme, _, token = authorization.partition(b" ")
            if scheme.lower() != b"bearer" or not token.strip():
                raise SignInRequiredError(
                    "The Authorization header is not of the form 'Bearer TOKEN'.",
                    code="invalid_credential",
                )
            return _program_token(token.strip())
        key = headers.get(b"x-api-key")
        if key is not None:
            return _program_token(key)
        value = self.cookie_of(headers, self.cookie)
        if value is not None and not value.startswith(_BROWSER):
            raise SignInRequiredError(
                "A program's credential is not a cookie.", code="invalid_credential"
            )
        return value

    def cookie_of(self, headers: Mapping[bytes, bytes], cookie: str) -> str | None:
        """A cookie among those of everybody else on this host, whatever theirs look like."""
        for part in headers.get(b"cookie", b"").split(b";"):
            name, _, value = part.strip().partition(b"=")
            if name == cookie.encode() and value:
                return value.decode("latin-1")
        return None

    def _is_good(self, known: Known) -> bool:
        return known.expires_at is None or self._clock.now() < known.expires_at

    async def _begin(
        self,
        token: str,
        who: Principal,
        *,
        method: str,
        agent: str,
        user: User | None = None,
        login_id: str = "",
        lifetime: timedelta = LOGIN_LIFETIME,
    ) -> SignedIn:
        login = await self._accounts.logins.begin(
            token,
            who,
            login_id=login_id or self._accounts.logins.new_id(),
            lifetime=lifetime,
            method=method,
            agent=agent,
            user=user,
        )
        return SignedIn(token=token, expires_at=login.expires_at, principal=who)

    async def _look_up(self, hashed: str) -> Known | None:
        """What the credential of this hash stands for: a session, or a key; None for nothing."""
        login = await self._logins.get_login(hashed)
        return await self._of_key(hashed) if login is None else await self._of_login(login)

    async def _of_login(self, login: Login) -> Known | None:
        who = _LOCAL_REVIEWER
        if login.person_id != LOCAL_PERSON:
            user = await self._accounts.users.one(login.person_id)
            if user is None or user.disabled or login.epoch != user.epoch:
                return None
            groups = await self._accounts.groups.of(user.tenant, user.id)
            who = user.principal(groups, Strength(login.strength))
        return Known(principal=who, expires_at=login.expires_at)

    async def _of_key(self, hashed: str) -> Known | None:
        key = await self._accounts.keys.known(hashed)
        if key is None or not key.is_good(self._clock.now()):
            return None
        if key.owner != LOCAL_PERSON:
            owner = await self._accounts.users.one(key.owner)
            if owner is None or not owner.may(key.power):
                return None
        self._accounts.keys.used(key)
        return Known(principal=key.principal, expires_at=key.expires_at)

    def is_bearer(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether a program sent the credential, and not a browser its cookie."""
        return b"authorization" in headers or b"x-api-key" in headers


def _form(by: Principal) -> tuple[str, ...]:
    """The purpose of the nonce of a form that may be sent only once."""
    return "form", by.tenant, by.id


def _repeated(detail: str) -> ConflictError:
    return ConflictError(
        f"{detail} Nothing was done now.",
        hint="If it is meant, send the form below: it is a new one.",
        code="repeated_form",
    )


def _program_token(token: bytes) -> str:
    text = token.decode("latin-1")
    if text.startswith(_BROWSER):
        raise SignInRequiredError(
            "A browser's session is not a bearer token.", code="invalid_credential"
        )
    return text


def _new_token(*, browser: bool) -> str:
    return (_BROWSER if browser else "") + new_session_token()


def _not_valid() -> SignInRequiredError:
    return SignInRequiredError(
        "The credential is not valid, or not any more.",
        hint="Sign in again; a program needs another key (it may have expired or been revoked).",
        code="invalid_credential",
    )


def _hostname(host: bytes) -> str:
    text = host.decode("latin-1").lower()
    found = _HOST.fullmatch(text)
    return (found["name"] or found["six"]) if found is not None else ""


def _foreign(detail: str) -> NotPermittedError:
    return NotPermittedError(
        detail, hint="Call it from a program, or from the inbox itself.", code="foreign_origin"
    )
