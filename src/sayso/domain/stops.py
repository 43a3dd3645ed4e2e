"""The kill switch: while a stop is set, nothing that it covers can be approved or claimed."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from sayso.domain.accounts import DEFAULT_TENANT
from sayso.domain.plain import may_be_taken_for
from sayso.domain.requests import Request
from sayso.domain.times import shown_time
from sayso.errors import RefusedError


class StopKind(StrEnum):
    """What is stopped."""

    EVERYTHING = "everything"
    """The whole tenant."""
    AGENT = "agent"
    CLIENT = "client"
    SESSION = "session"


class StopDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to stop, and why."""

    kind: StopKind
    value: Annotated[
        str,
        Meta(max_length=256, description="An id; an agent's name will do."),
    ] = ""
    reason: Annotated[str, Meta(max_length=1_024)] = ""


class Stop(Struct, frozen=True, kw_only=True):
    """A stop that is set."""

    kind: StopKind
    value: str = ""
    reason: str = ""
    set_by: str
    set_at: datetime
    tenant: str = DEFAULT_TENANT
    label: str = ""
    """The name of the agent, if its id was given and has one."""
    set_by_name: str = ""

    @property
    def name(self) -> str:
        """What it is called in addresses."""
        return self.kind.value if self.kind is StopKind.EVERYTHING else f"{self.kind}:{self.value}"

    def covers(self, request: Request) -> bool:
        """Whether the request is stopped by it."""
        match self.kind:
            case StopKind.EVERYTHING:
                return True
            case StopKind.AGENT:
                return self.covers_agent(request.requested_by.id, request.requested_by.name)
            case StopKind.CLIENT:
                return request.client_id == self.value
            case StopKind.SESSION:
                return request.session_id == self.value

    def covers_agent(self, agent_id: str, name: str) -> bool:
        """Whether it stops this agent: by its id or its name, rather too many than too few."""
        return any(may_be_taken_for(self.value, each) for each in (agent_id, name))


class KeptStop(Stop, frozen=True, kw_only=True):
    """A stop as it was set."""

    warnings: tuple[str, ...] = ()
    """Why it stops nothing that is known."""


def refuse_stopped(request: Request, stops: Iterable[Stop]) -> None:
    """Let nothing through that is stopped.

    Raises:
        RefusedError: `stopped`.
    """
    for stop in stops:
        if stop.covers(request):
            why = f": {stop.reason}" if stop.reason else ""
            raise RefusedError(
                f"{_WHAT[stop.kind]} is stopped since {shown_time(stop.set_at)}{why}.",
                hint="Nothing can be approved or run before the stop is lifted; it can be"
                " rejected.",
                code="stopped",
            )


_WHAT = {
    StopKind.EVERYTHING: "Everything",
    StopKind.AGENT: "This agent",
    StopKind.CLIENT: "This client",
    StopKind.SESSION: "This session",
}
