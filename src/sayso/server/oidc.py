"""Signing in at an OpenID provider: the code flow, with PKCE, state and nonce.

What was begun is kept in a signed cookie of the browser that began it, so that an answer which
somebody else was given, or which was used before, is worth nothing here.
"""

import asyncio
import base64
import hashlib
import hmac
import logging
import secrets
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

import httpx2
import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from msgspec import Struct

from sayso.clock import Clock, ticks
from sayso.errors import ServerError, SignInRequiredError
from sayso.settings import LOOPBACK, Settings
from sayso.stores.base import LoginStore

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
"""Of signatures by a private key; never `none`, never one with a shared secret."""
LEEWAY_SECONDS = 60
"""By how much the provider's clock may be off."""
_PURPOSE = b"sayso oidc v1\0"
_TIMEOUT = 10.0
_LARGEST = 1_048_576
_FRESH_SECONDS = 3_600
_SOONEST_SECONDS = 10
"""Between two looks at the provider's keys."""

log = logging.getLogger("sayso.oidc")


class Begun(Struct, frozen=True, kw_only=True):
    """What a browser has begun: kept in its cookie, signed."""

    state: str
    nonce: str
    verifier: str
    expires_at: int


class Identity(Struct, frozen=True, kw_only=True):
    """Whom the provider knows."""

    issuer: str
    subject: str
    email: str
    """Verified, or nothing."""
    username: str
    name: str


class _Provider(Struct, frozen=True, kw_only=True):
    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


class _Tokens(Struct, frozen=True, kw_only=True):
    id_token: str


class Oidc:
    """One provider.

    Args:
        settings: which one, and who we are to it.
        callback: our own address, as browsers know it, to which they come back.
        logins: remembers what was used.
        clock: what time it is.
        secret: the server's secret, which signs cookies.

    Attributes:
        issuer: the provider's address.
        name: its host, for people.
        lifetime: from leaving for the provider to coming back.
    """

    lifetime = timedelta(minutes=10)

    def __init__(
        self, settings: Settings, callback: str, logins: LoginStore, clock: Clock, secret: bytes
    ) -> None:
        self.issuer = settings.oidc_issuer
        self.name = urlsplit(self.issuer).hostname or self.issuer
        self._client_id = settings.oidc_client_id
        self._client_secret = settings.oidc_client_secret
        self._callback = callback
        self._logins = logins
        self._clock = clock
        self._secret = hmac.digest(secret, _PURPOSE, "sha256")
        self._http = httpx2.AsyncClient(timeout=_TIMEOUT, follow_redirects=False, trust_env=False)
        self._lock = asyncio.Lock()
        self._provider: tuple[float, _Provider] | None = None
        self._keys: tuple[float, KeySet] | None = None

    async def close(self) -> None:
        """Let the connections go."""
        await self._http.aclose()

    async def begin(self) -> tuple[str, str]:
        """Where to send the browser, and its cookie's value.

        Raises:
            ServerError: the provider does not answer, or not as one.
        """
        provider = await self._found()
        begun = Begun(
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            expires_at=int((self._clock.now() + self.lifetime).timestamp()),
        )
        challenge = hashlib.sha256(begun.verifier.encode()).digest()
        query = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": self._callback,
            "scope": "openid email profile",
            "state": begun.state,
            "nonce": begun.nonce,
            "code_challenge": _text(challenge),
            "code_challenge_method": "S256",
        }
        joint = "&" if "?" in provider.authorization_endpoint else "?"
        return provider.authorization_endpoint + joint + urlencode(query), self._signed(begun)

    async def finish(self, cookie: str, state: str, code: str) -> Identity:
        """Whom the provider's answer tells of.

        Args:
            cookie: of the browser that came back.
            state: from the query.
            code: from the query.

        Raises:
            SignInRequiredError: the answer cannot be believed (`sign_in_failed`).
            ServerError: the provider does not answer, or not as one.
        """
        begun = self._read(cookie)
        if begun is None or not hmac.compare_digest(begun.state.encode(), state.encode()):
            raise _failed("This browser has not begun this sign-in, or too long ago.")
        used = hashlib.sha256(b"oidc " + state.encode()).hexdigest()
        ends = self._clock.now() + self.lifetime
        if not await self._logins.use_link(used, ends):
            raise _failed("This answer of the provider was used already.")
        provider = await self._found()
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._callback,
            "client_id": self._client_id,
            "code_verifier": begun.verifier,
        }
        if self._client_secret:
            fields["client_secret"] = self._client_secret
        answer = await self._asked("POST", provider.token_endpoint, data=fields)
        if answer.status_code != HTTPStatus.OK:
            log.warning("the provider refused a code with the status %d", answer.status_code)
            raise _failed("The provider does not know its own code any more.")
        return await self._identity(provider, _decoded(answer, _Tokens).id_token, begun.nonce)

    async def _identity(self, provider: _Provider, token: str, nonce: str) -> Identity:
        claims = await self._claims(provider, token)
        now = self._clock.now()
        problem = _problem(claims, provider.issuer, self._client_id, nonce, now)
        if problem:
            log.warning("an ID token was refused: %s", problem)
            raise _failed("The provider's answer is not meant for this sign-in.")
        email = claims.get("email")
        is_verified = claims.get("email_verified") is True and isinstance(email, str)
        subject = str(claims["sub"])
        known_as = claims.get("preferred_username")
        return Identity(
            issuer=provider.issuer,
            subject=subject,
            email=str(email) if is_verified else "",
            username=known_as if isinstance(known_as, str) else "",
            name=str(claims.get("name") or "")[:128],
        )

    async def _claims(self, provider: _Provider, token: str) -> dict[str, Any]:
        """What the token says, if one of the provider's keys has signed it."""
        for again in (False, True):
            keys = await self._keys_of(provider, again=again)
            try:
                return jwt.decode(token, keys, algorithms=list(ALGORITHMS)).claims
            except (JoseError, ValueError, TypeError) as error:
                reason = error
        log.warning("an ID token was refused: %s", reason)
        raise _failed("The provider's answer is not signed by it.")

    async def _found(self) -> _Provider:
        async with self._lock:
            if self._provider is not None and ticks() - self._provider[0] < _FRESH_SECONDS:
                return self._provider[1]
            where = self.issuer.rstrip("/") + "/.well-known/openid-configuration"
            provider = _decoded(await self._asked("GET", where), _Provider)
            places = (provider.authorization_endpoint, provider.token_endpoint, provider.jwks_uri)
            if provider.issuer != self.issuer or not all(map(_is_safe, places)):
                raise _no_provider("It names another issuer, or addresses without HTTPS.")
            self._provider = ticks(), provider
            return provider

    async def _keys_of(self, provider: _Provider, *, again: bool) -> KeySet:
        """The provider's keys; looked at `again` if one was not among them, but not too often."""
        async with self._lock:
            if self._keys is not None:
                age = ticks() - self._keys[0]
                if age < (_SOONEST_SECONDS if again else _FRESH_SECONDS):
                    return self._keys[1]
            found = _decoded(await self._asked("GET", provider.jwks_uri), dict[str, Any])
            try:
                keys = KeySet.import_key_set(found)  # pyright: ignore[reportArgumentType]  # checked by it
            except (JoseError, ValueError, TypeError, KeyError) as error:
                raise _no_provider("Its keys cannot be read.") from error
            self._keys = ticks(), keys
            return keys

    async def _asked(
        self, method: str, url: str, *, data: dict[str, str] | None = None
    ) -> httpx2.Response:
        try:
            return await self._http.request(
                method, url, data=data, headers={"Accept": "application/json"}
            )
        except httpx2.HTTPError as error:
            log.warning("the provider does not answer: %s", error)
            raise _no_provider("It does not answer.") from error

    def _signed(self, begun: Begun) -> str:
        payload = msgspec.json.encode(begun)
        return _text(payload) + "." + _text(hmac.digest(self._secret, payload, "sha256"))

    def _read(self, cookie: str) -> Begun | None:
        payload, _, mac = cookie.partition(".")
        try:
            raw, told = _raw(payload), _raw(mac)
            if not hmac.compare_digest(told, hmac.digest(self._secret, raw, "sha256")):
                return None
            begun = msgspec.json.decode(raw, type=Begun)
        except (ValueError, msgspec.MsgspecError):
            return None
        return begun if self._clock.now().timestamp() < begun.expires_at else None


def _problem(claims: dict[str, Any], issuer: str, client_id: str, nonce: str, now: datetime) -> str:
    """What is wrong with an ID token whose signature is right (OpenID Connect Core, 3.1.3.7)."""
    audience = claims.get("aud")
    audiences = cast("list[Any]", audience) if isinstance(audience, list) else [audience]
    party, expires, issued = claims.get("azp"), claims.get("exp"), claims.get("iat")
    told, seconds = claims.get("nonce"), now.timestamp()
    if claims.get("iss") != issuer:
        return "another issuer"
    if client_id not in audiences:
        return "another audience"
    if (len(audiences) > 1 or party is not None) and party != client_id:
        return "another authorized party"
    if not isinstance(expires, int | float) or seconds > expires + LEEWAY_SECONDS:
        return "it has expired"
    if not isinstance(issued, int | float) or issued > seconds + LEEWAY_SECONDS:
        return "it was issued in the future"
    if not isinstance(told, str) or not hmac.compare_digest(told.encode(), nonce.encode()):
        return "another nonce"
    if not isinstance(claims.get("sub"), str) or not claims["sub"]:
        return "no subject"
    return ""


def _decoded(answer: httpx2.Response, kind: type[Any]) -> Any:
    if answer.status_code != HTTPStatus.OK or len(answer.content) > _LARGEST:
        raise _no_provider(f"It answers with the status {answer.status_code}.")
    try:
        return msgspec.json.decode(answer.content, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise _no_provider("It answers with something else.") from error


def _is_safe(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or (
        parts.scheme == "http" and (parts.hostname or "") in LOOPBACK
    )


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _raw(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _failed(detail: str) -> SignInRequiredError:
    return SignInRequiredError(detail, hint="Begin again.", code="sign_in_failed")


def _no_provider(why: str) -> ServerError:
    return ServerError(
        f"The OpenID provider cannot be used now. {why}",
        hint="Sign in another way, or try again later.",
    )
