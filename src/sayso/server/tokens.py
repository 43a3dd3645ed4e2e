"""JSON Web Tokens: what a program gets for a user name and a password.

A token names a session that is kept, so that it can be listed and ended like any other. Its
signature is looked at besides: HMAC with SHA-256 and nothing else, whatever its header asks for.
"""

import hmac
from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sayso.domain.accounts import Principal
from sayso.late import loaded, require
from sayso.links import token_hash

if TYPE_CHECKING:
    from joserfc.jwk import OctKey

ISSUER = "sayso"
ALGORITHM = "HS256"
LONGEST = 4_096
_LIBRARY = "joserfc.jwt"
"""Loaded with the first token: programs with a key need none."""
_PURPOSE = b"sayso jwt v1\0"
_MAX_REMEMBERED = 10_000

require("joserfc", "server")


class Tokens:
    """Signs tokens, and knows those that it has signed.

    Args:
        secret: the server's secret.
        own: a further secret, if the settings name one; with another one old tokens are no good.
    """

    def __init__(self, secret: bytes, own: str = "") -> None:
        self._secret = hmac.digest(secret, _PURPOSE + own.encode(), "sha256")
        self._good: dict[str, float] = {}
        """Hashes of tokens whose signature was looked at, and until when they are good."""

    async def make(self, who: Principal, login_id: str, now: datetime, expires_at: datetime) -> str:
        """A token for this session of theirs."""
        await loaded(_LIBRARY)
        from joserfc import jwt

        claims = {
            "iss": ISSUER,
            "sub": who.id,
            "sid": login_id,
            "name": who.name,
            "iat": int(now.timestamp()),
            "exp": int(expires_at.timestamp()),
        }
        return jwt.encode({"alg": ALGORITHM}, claims, self._key, algorithms=[ALGORITHM])

    async def is_good(self, token: str, now: datetime) -> bool:
        """Whether we have signed it, and its time has not passed."""
        hashed = token_hash(token)
        until = self._good.get(hashed)
        if until is None:
            await loaded(_LIBRARY)
            until = self._checked(token)
            if len(self._good) >= _MAX_REMEMBERED:
                self._good.clear()
            if until:
                self._good[hashed] = until
        if now.timestamp() < until:
            return True
        self._good.pop(hashed, None)
        return False

    def _checked(self, token: str) -> float:
        """Until when it is good, as it says itself; 0 if it is not ours."""
        from joserfc import jwt
        from joserfc.errors import JoseError

        if len(token) > LONGEST:
            return 0
        try:
            claims: Mapping[str, Any] = jwt.decode(token, self._key, algorithms=[ALGORITHM]).claims
        except (JoseError, ValueError, TypeError):
            return 0
        expires = claims.get("exp")
        return expires if claims.get("iss") == ISSUER and isinstance(expires, int) else 0

    @cached_property
    def _key(self) -> "OctKey":
        from joserfc.jwk import OctKey

        return OctKey.import_key(self._secret)


def looks_like_one(token: str) -> bool:
    """Whether it has the form of a JSON Web Token."""
    return token.count(".") == 2
