"""Who may call a route: one word for each, looked up in one table of powers."""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

from sayso.domain.accounts import Power, Principal
from sayso.errors import NotPermittedError, PersonRequiredError, SignInRequiredError
from sayso.server.auth import Authenticator

_POWERS: Mapping[str, Power] = MappingProxyType(
    {power.value: power for power in Power} | {"govern": Power.MANAGE}
)
_FOR_PEOPLE = frozenset({"person", "decide", "govern"})


class Access(Enum):
    """Who may call a route. What is not theirs is not shown to them all the same."""

    ANYBODY = "anybody"
    """No credential is looked at."""
    CALLER = "caller"
    """Everybody who is known."""
    PERSON = "person"
    """People, whatever their role."""
    SUBMIT = "submit"
    READ = "read"
    DECIDE = "decide"
    SUBSCRIBE = "subscribe"
    MANAGE = "manage"
    GOVERN = "govern"
    """People who may manage: what people are asked for is not for a program to say."""

    def __init__(self, word: str) -> None:
        self.power = _POWERS.get(word)
        """The power that it takes."""
        self.is_for_people = word in _FOR_PEOPLE
        """Whether no agent's credential is ever enough."""


def check(
    auth: Authenticator, access: Access, principal: Principal, headers: Mapping[bytes, bytes]
) -> None:
    """Refuse a caller who may not.

    Raises:
        SignInRequiredError: it takes a credential, and none was sent.
        PersonRequiredError: only people may, and this is an agent's.
        NotPermittedError: their role or key does not go so far (`power_required`).
    """
    power = access.power
    if access.is_for_people and not principal.is_person:
        if auth.token_of(headers) is None:
            raise SignInRequiredError("Only a person can do this, and nobody is signed in.")
        raise PersonRequiredError
    if power is not None and not principal.may(power):
        if auth.token_of(headers) is None:
            raise SignInRequiredError("This takes a credential, and none was sent.")
        what = "role" if principal.is_person else "key"
        raise NotPermittedError(
            f"This takes the power to {power.value}, which a {what} of"
            f" {principal.role.value!r} does not have.",
            hint="Ask an admin for another role."
            if principal.is_person
            else "Use a key of another scope.",
            code="power_required",
        )
