"""Who is calling, and what they may do: agents on one plane, people on the other."""

from collections.abc import Mapping
from enum import StrEnum
from fnmatch import fnmatchcase
from types import MappingProxyType

from msgspec import Struct

DEFAULT_TENANT = "default"


class Plane(StrEnum):
    """Agents submit and wait; only people decide."""

    AGENT = "agent"
    PERSON = "person"


class Strength(StrEnum):
    """How strongly a person was identified, weakest first."""

    LINK = "link"
    CHAT = "chat"
    LOGIN = "login"
    PASSKEY = "passkey"

    def reaches(self, least: "Strength") -> bool:
        """Whether it is at least as strong as that."""
        return _BY_STRENGTH.index(self) >= _BY_STRENGTH.index(least)


_BY_STRENGTH = tuple(Strength)


class Role(StrEnum):
    """What a person is here, weakest first."""

    MEMBER = "member"
    """Registered by themselves: their own agents and what those ask, nothing else."""
    VIEWER = "viewer"
    """Sees everything, decides nothing."""
    REVIEWER = "reviewer"
    """Decides."""
    ADMIN = "admin"
    """Decides, and manages people, keys and rules."""


class Scope(StrEnum):
    """What a key of the agent plane is for."""

    AGENT = "agent"
    """Asks, waits, cancels, claims and reports: its own requests, and no others."""
    READER = "reader"
    """Reads everything, changes nothing."""
    ADMIN = "admin"
    """Manages, for automation; it cannot decide either."""
    LOCAL = "local"
    """No key at all: whoever calls from this machine in the open local mode."""


class Power(StrEnum):
    """What a caller may do; each route needs one of them, or none."""

    SUBMIT = "submit"
    """Ask, and follow up what was asked."""
    READ = "read"
    """See everything in the tenant, not only what is theirs."""
    DECIDE = "decide"
    SUBSCRIBE = "subscribe"
    """Have everything in the tenant delivered to an address."""
    MANAGE = "manage"
    """Users, keys, groups, rules, and the kill switch."""


_OF_PEOPLE: Mapping[Role | Scope, frozenset[Power]] = MappingProxyType(
    {
        Role.MEMBER: frozenset({Power.SUBMIT}),
        Role.VIEWER: frozenset({Power.READ}),
        Role.REVIEWER: frozenset({Power.SUBMIT, Power.READ, Power.DECIDE}),
        Role.ADMIN: frozenset(Power),
    }
)
_OF_AGENTS: Mapping[Role | Scope, frozenset[Power]] = MappingProxyType(
    {
        Scope.AGENT: frozenset({Power.SUBMIT}),
        Scope.READER: frozenset({Power.READ}),
        Scope.ADMIN: frozenset({Power.READ, Power.SUBSCRIBE, Power.MANAGE}),
        Scope.LOCAL: frozenset({Power.SUBMIT, Power.READ, Power.SUBSCRIBE}),
    }
)
"""Two tables, by plane: a key is never looked up among people. No scope has `decide`."""


def powers_of(role: Role) -> frozenset[Power]:
    """What a person of this role may do."""
    return _OF_PEOPLE[role]


class Requester(Struct, frozen=True, kw_only=True):
    """Who asked, as authentication knew them."""

    plane: Plane = Plane.AGENT
    id: str = "local"
    name: str = "local agent"
    owner: str = ""
    """The id of the person whose agent it is; empty if there is none."""
    session_pattern: str | None = None
    """The sessions that their key was good for, as a glob; None: any."""

    @property
    def actor(self) -> str:
        """How the log names them."""
        return self.plane + ":" + self.id


class Principal(Struct, frozen=True, kw_only=True):
    """The authenticated caller of one operation."""

    plane: Plane
    id: str
    """Of a person, or of an agent; an agent keeps its id when its key is replaced."""
    name: str
    tenant: str = DEFAULT_TENANT
    strength: Strength | None = None
    role: Role | Scope = Scope.AGENT
    groups: frozenset[str] = frozenset()
    """The groups of reviewers that a person is in."""
    owner: str = ""
    """The id of the person whose agent this is."""
    client_id: str | None = None
    """An agent's key may be good for one client id only,"""
    session_pattern: str | None = None
    """and for sessions that match this glob only."""

    @property
    def is_person(self) -> bool:
        """Whether this caller may decide at all."""
        return self.plane is Plane.PERSON

    @property
    def actor(self) -> str:
        """How the log names them."""
        return self.plane + ":" + self.id

    @property
    def requester(self) -> Requester:
        """How a request names them."""
        return Requester(
            plane=self.plane,
            id=self.id,
            name=self.name,
            owner=self.owner,
            session_pattern=self.session_pattern,
        )

    def may(self, power: Power) -> bool:
        """Whether they have this power; to decide takes a person, whatever else is said."""
        if self.plane is Plane.PERSON:
            return power in _OF_PEOPLE[self.role]
        return power is not Power.DECIDE and power in _OF_AGENTS[self.role]

    def sees(self, asked_by: str, owner: str) -> bool:
        """Whether they may see a request in their tenant: all, their own, or their agents'.

        Args:
            asked_by: the actor who asked.
            owner: the id of the person whose agent that is, or nothing.
        """
        if self.may(Power.READ) or asked_by == self.actor:
            return True
        return self.is_person and owner == self.id

    def is_bound_to(self, client_id: str | None, session_id: str | None) -> bool:
        """Whether its key is good for these."""
        if self.client_id is not None and client_id != self.client_id:
            return False
        return self.session_pattern is None or (
            session_id is not None and fnmatchcase(session_id, self.session_pattern)
        )


LOCAL_AGENT = Principal(plane=Plane.AGENT, id="local", name="local agent", role=Scope.LOCAL)
"""Whoever calls from this machine without a key, in the open local mode."""
