"""Who is calling, and whether a browser was lured into calling.

In the open local mode a caller without a credential is the local agent; a person signs in by a
one-time link. A credential that is not valid is refused, never taken for no credential at all.
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec import Struct

from sayso.broker.lookups import LookUps
from sayso.clock import Clock
from sayso.domain.accounts import LOCAL_AGENT, Plane, Principal, Role, Strength
from sayso.errors import NotPermittedError, SignInRequiredError
from sayso.links import new_session_token, read_link_token, token_hash
from sayso.settings import LOOPBACK
from sayso.stores.base import Login, LoginStore

LOGIN_LIFETIME = timedelta(days=7)
_BROWSER = "web_"
_HOST = re.compile(r"(?:(?P<name>[a-z0-9._-]+)|\[(?P<six>[0-9a-f:.]+)\])(?::\d{1,5})?")
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class SignedIn(Struct, frozen=True, kw_only=True):
    """A fresh session: the token is known to its holder only."""

    token: str
    expires_at: datetime
    principal: Principal


class Authenticator:
    """Turns the headers of a call into a principal.

    Args:
        logins: where sessions are kept.
        clock: what time it is.
        secret: the server's secret, which signs one-time links.
        cookie: the name of the session's cookie; with the port in it, since browsers share
            cookies between all ports of a host.
        hosts: the names by which the server may be called, besides the loopback's.
        is_https: people come by HTTPS, so that browsers shall send the cookie by that alone.
    """

    def __init__(
        self,
        logins: LoginStore,
        clock: Clock,
        secret: bytes,
        *,
        cookie: str,
        hosts: frozenset[str] = frozenset(),
        is_https: bool = False,
    ) -> None:
        self._logins = logins
        self._clock = clock
        self._secret = secret
        self._hosts = hosts | LOOPBACK
        self._known_hosts: set[bytes] = set()
        self._known = LookUps(logins.get_login, clock, keeps_none=False)
        self.cookie = cookie
        self.is_https = is_https

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

    async def principal(self, headers: Mapping[bytes, bytes]) -> Principal:
        """Who is calling.

        Raises:
            SignInRequiredError: a credential was sent, and it is not valid (any more).
        """
        token = self.token_of(headers)
        return LOCAL_AGENT if token is None else await self._person(token)

    async def sign_in(self, link_token: str, *, browser: bool) -> SignedIn:
        """Trade a one-time link's token for a session.

        A browser's session is good as a cookie only: other programs on this host may get to see
        cookies, and shall not use one as a bearer token.

        Raises:
            SignInRequiredError: the token is not valid, has expired, or was used.
        """
        now = self._clock.now()
        name, expires_at = read_link_token(self._secret, link_token, now)
        if not await self._logins.use_link(name, expires_at):
            raise SignInRequiredError("This sign-in link was used already.", code="used_link")
        token = (_BROWSER if browser else "") + new_session_token()
        login = Login(
            token_hash=token_hash(token),
            person_id="local",
            name="local reviewer",
            strength=Strength.LINK,
            created_at=now,
            expires_at=now + LOGIN_LIFETIME,
        )
        await self._logins.put_login(login)
        return SignedIn(token=token, expires_at=login.expires_at, principal=_principal(login))

    async def sign_out(self, headers: Mapping[bytes, bytes]) -> None:
        """End the caller's session, if there is one."""
        token = self.token_of(headers)
        if token is not None:
            await self._logins.end_login(token_hash(token))
            self._known.forget(token_hash(token))

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
        cookies = headers.get(b"cookie")
        return None if cookies is None else self._cookie_of(cookies)

    def _cookie_of(self, cookies: bytes) -> str | None:
        """Our cookie among those of everybody else on this host, whatever theirs look like."""
        for part in cookies.split(b";"):
            name, _, value = part.strip().partition(b"=")
            if name == self.cookie.encode() and value:
                return value.decode("latin-1")
        return None

    async def _person(self, token: str) -> Principal:
        login = await self._known.get(token_hash(token))
        if login is None or self._clock.now() >= login.expires_at:
            raise SignInRequiredError(
                "The credential is not valid, or not any more.", code="invalid_credential"
            )
        return _principal(login)

    def is_bearer(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether a program sent the credential, and not a browser its cookie."""
        return b"authorization" in headers or b"x-api-key" in headers


def _program_token(token: bytes) -> str:
    text = token.decode("latin-1")
    if text.startswith(_BROWSER):
        raise SignInRequiredError(
            "A browser's session is not a bearer token.", code="invalid_credential"
        )
    return text


def _principal(login: Login) -> Principal:
    return Principal(
        plane=Plane.PERSON,
        id=login.person_id,
        name=login.name,
        tenant=login.tenant,
        strength=Strength(login.strength),
        role=Role.ADMIN,
    )


def _hostname(host: bytes) -> str:
    text = host.decode("latin-1").lower()
    found = _HOST.fullmatch(text)
    return (found["name"] or found["six"]) if found is not None else ""


def _foreign(detail: str) -> NotPermittedError:
    return NotPermittedError(
        detail, hint="Call it from a program, or from the inbox itself.", code="foreign_origin"
    )
