"""The people who have an account here, and the groups that reviewers are in."""

from datetime import datetime

from msgspec import Struct

from sayso.domain.accounts import DEFAULT_TENANT, Plane, Power, Principal, Role, Strength, powers_of

LOCAL_PERSON = "local"
"""Whoever signs in by a one-time link: may read the server's secret, so is an admin."""


class User(Struct, frozen=True, kw_only=True):
    """A person with an account."""

    id: str
    """A UUID, which stays whatever else changes."""
    username: str
    """What they sign in with; no two differ in upper and lower case alone."""
    name: str
    """What others are shown."""
    role: Role = Role.MEMBER
    tenant: str = DEFAULT_TENANT
    password_hash: str = ""
    """argon2id, with its parameters; empty: they sign in at an OpenID provider only."""
    disabled: bool = False
    epoch: int = 0
    """One higher with each new password, and each time they are disabled: sessions of an earlier
    one are not good any more, whenever they were written."""
    created_at: datetime
    last_sign_in_at: datetime | None = None

    @property
    def handle(self) -> str:
        """The user name as it is looked up."""
        return handle_of(self.username)

    @property
    def actor(self) -> str:
        """How the log names them."""
        return f"person:{self.id}"

    def may(self, power: Power) -> bool:
        """Whether their role has this power, and they are not disabled."""
        return not self.disabled and power in powers_of(self.role)

    def principal(self, groups: frozenset[str], strength: Strength | None) -> Principal:
        """They, signed in."""
        return Principal(
            plane=Plane.PERSON,
            id=self.id,
            name=self.name,
            tenant=self.tenant,
            strength=strength,
            role=self.role,
            groups=groups,
        )


class Group(Struct, frozen=True, kw_only=True):
    """Reviewers who are asked together; rules name it."""

    name: str
    members: tuple[str, ...] = ()
    """The ids of users."""
    tenant: str = DEFAULT_TENANT

    @property
    def id(self) -> str:
        """How it is kept: names are unique in a tenant."""
        return f"{self.tenant}/{self.name}"


def handle_of(username: str) -> str:
    """A user name as it is looked up, in whatever case it was typed."""
    return username.casefold()
