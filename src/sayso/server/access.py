"""Who may call a route: one word for each, looked up in one table of powers."""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

from sayso.domain.accounts import Power, Principal
from sayso.errors import NotPermittedError, PersonRequiredError, SignInRequiredError
from sayso.server.auth import Authenticator


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

    @property
    def power(self) -> Power | None:
        """The power that it takes."""
        return _POWERS.get(self)

    @property
    def is_for_people(self) -> bool:
        """Whether no agent's credential is ever enough."""
        return self in (Access.PERSON, Access.DECIDE, Access.GOVERN)


_POWERS: Mapping[Access, Power] = MappingProxyType(
    {Access(power.value): power for power in Power} | {Access.GOVERN: Power.MANAGE}
)


async def admit(auth: Authenticator, access: Access, headers: Mapping[bytes, bytes]) -> Principal:
    """Who is calling, if they may.

    Raises:
        SignInRequiredError: it takes a credential, and none was sent, or one that is not valid.
        PersonRequiredError: only people may, and this is an agent's.
        NotPermittedError: their role or key does not go so far (`power_required`).
    """
    principal = await auth.principal(headers)
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
    return principal
