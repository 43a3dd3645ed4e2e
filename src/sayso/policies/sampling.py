"""Which calls are looked at, of those that nobody need be asked about: nobody can tell before.

A call is drawn by a keyed HMAC-SHA256 over the run and the action's digest. Asked twice, the
answer is the same; whoever has not got the key can neither foretell it, nor change it by choosing
an id. But other arguments are another call, drawn anew: a sample shows what agents mostly do, and
stops none that asks until it is not drawn. The key comes from a secret that is given (the same in
all processes that are to agree), from a seed (an experiment that can be repeated; no secret), or
else is random and this process's own.
"""

import secrets
from hashlib import sha256

from sayso.domain.actions import Action

SHORTEST_SECRET = 16
_SPACE = 2**64
_BLOCK = 64


class Sampler:
    """Draws calls, each with a given chance.

    Args:
        secret: at least 16 bytes that agents do not know. Share it, through your settings, among
            processes that are to draw the same.
        seed: instead of a secret, to draw the same in each run of an experiment.

    Raises:
        ValueError: the secret is too short, or both are given.
    """

    def __init__(self, secret: bytes | None = None, seed: int | None = None) -> None:
        if secret is not None and seed is not None:
            raise ValueError("Give a secret or a seed, not both.")
        if secret is not None and len(secret) < SHORTEST_SECRET:
            raise ValueError(f"A secret for sampling has at least {SHORTEST_SECRET} bytes.")
        if seed is not None:
            secret = sha256(b"sayso sampling seed %d" % seed).digest()
        key = secret or secrets.token_bytes(32)
        block = (sha256(key).digest() if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")
        self._inner = bytes(byte ^ 0x36 for byte in block)
        self._outer = bytes(byte ^ 0x5C for byte in block)

    def draws(self, rate: float, run_id: str, action: Action) -> bool:
        """Whether this call is among the `rate` (0 to 1) that are drawn."""
        if rate <= 0:
            return False
        message = f"{len(run_id)}:{run_id}:{action.digest}".encode("utf-8", "surrogatepass")
        # HMAC as RFC 2104 defines it, from prepared pads: a third of the time of hmac.digest.
        drawn = sha256(self._outer + sha256(self._inner + message).digest()).digest()
        return int.from_bytes(drawn[:8], "big") < rate * _SPACE


def check_rate(rate: float, name: str) -> None:
    """Refuse what is no chance.

    Raises:
        ValueError: it is below 0, above 1, or no number.
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"{name} must be between 0.0 and 1.0")
