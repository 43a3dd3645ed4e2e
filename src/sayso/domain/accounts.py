"""Who is calling: agents on one plane, people on the other."""

from enum import StrEnum

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


class Principal(Struct, frozen=True, kw_only=True):
    """The authenticated caller of one operation."""

    plane: Plane
    id: str
    name: str
    tenant: str = DEFAULT_TENANT
    strength: Strength | None = None

    @property
    def is_person(self) -> bool:
        """Whether this caller may decide at all."""
        return self.plane is Plane.PERSON

    @property
    def actor(self) -> str:
        """How the log names them."""
        return f"{self.plane.value}:{self.id}"


LOCAL_AGENT = Principal(plane=Plane.AGENT, id="local", name="local agent")
"""Whoever calls from this machine without a key, in the open local mode."""
