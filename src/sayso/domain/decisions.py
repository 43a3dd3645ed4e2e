"""What a person said."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from sayso.domain.accounts import Strength
from sayso.domain.patterns import StandingDraft
from sayso.types import Json, JsonObject


class DecisionType(StrEnum):
    """The five things that a person can say to a request."""

    APPROVE = "approve"
    EDIT = "edit"
    RESPOND = "respond"
    REJECT = "reject"
    IGNORE = "ignore"


class Channel(StrEnum):
    """By which way the decision came."""

    WEB = "web"
    API = "api"
    STANDING = "standing"
    """A decision that was remembered: nobody was asked this time."""


class Answer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person sends to decide a request; who they are comes from their sign-in alone."""

    type: Annotated[
        DecisionType,
        Meta(
            description="`approve`; `edit` (approve with other arguments); `respond` (an option, "
            "a text or a filled-in form); `reject`; `ignore`."
        ),
    ]
    args: Annotated[
        JsonObject | None, Meta(description="`edit`: all arguments, as they shall run.")
    ] = None
    content: Annotated[Json, Meta(description="`respond`: a text, or an object for a form.")] = None
    option: Annotated[
        Annotated[str, Meta(max_length=256)] | None,
        Meta(description="`respond`: the value of the chosen option."),
    ] = None
    reason: Annotated[str, Meta(max_length=8_192, description="For the agent to read.")] = ""
    remember: Annotated[
        StandingDraft | None,
        Meta(description="Decide alike from now on, within these limits: a standing grant."),
    ] = None
    digest: Annotated[
        Annotated[str, Meta(max_length=71)] | None,
        Meta(description="Of what was seen: refused if it is not what would be approved now."),
    ] = None


class Reviewer(Struct, frozen=True, kw_only=True):
    """The person who decided, as authentication knew them."""

    id: str
    name: str


class Vote(Struct, frozen=True, kw_only=True):
    """What one of several people said, before there were enough of them."""

    type: DecisionType
    approves: bool
    digest: str | None = None
    """Of the action as this person would have it run."""
    option: str | None = None
    content: Json = None
    reason: str = ""
    by: Reviewer
    channel: Channel
    strength: Strength | None
    assertion: JsonObject | None = None
    """What the person's passkey signed, as proof."""
    at: datetime


class Decision(Struct, frozen=True, kw_only=True):
    """The one decision that stands."""

    type: DecisionType
    approved: bool
    """May the action run, was the question answered, was the chosen option one that agrees?"""
    args: JsonObject | None = None
    """The effective arguments, when the person changed them."""
    digest: str | None = None
    """The digest of what was approved; with an edit, of the edited action."""
    content: Json = None
    option: str | None = None
    reason: str = ""
    by: Reviewer
    channel: Channel
    strength: Strength | None
    assertion: JsonObject | None = None
    """What the person's passkey signed, as proof."""
    standing_grant: str | None = None
    """The id of the remembered decision that stands for this one."""
    decided_at: datetime
    took_seconds: float
