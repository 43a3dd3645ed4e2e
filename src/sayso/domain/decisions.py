"""What a person said."""

import math
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, Struct, StructMeta

from sayso.domain.accounts import Strength
from sayso.domain.patterns import StandingDraft
from sayso.errors import InvalidAnswerError
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
    POLICY = "policy"
    """A rule decided: nobody was asked."""
    CONSOLE = "console"
    WEBHOOK = "webhook"
    PROGRAM = "program"
    """Code of the program that asked, such as a script in a test."""


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


UNKNOWN_REVIEWER = Reviewer(id="unknown", name="unknown")


def reviewer(who: object) -> Reviewer:
    """Whoever a program says it was: a name, or a number such as a chat's user id.

    Raises:
        InvalidAnswerError: it is neither.
    """
    name = str(who) if isinstance(who, int) and not isinstance(who, bool) else who
    if not isinstance(name, str) or not _is_unicode(name):
        raise InvalidAnswerError(
            f"Who decided is told as {who!r}, which is no name.", hint="Give a text, or a number."
        )
    return Reviewer(id=name, name=name)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


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


def _said(*, approved: bool, args: JsonObject | None) -> DecisionType:
    if not approved:
        return DecisionType.REJECT
    return DecisionType.APPROVE if args is None else DecisionType.EDIT


class _Decisions(StructMeta):
    """Lets a decision be written by hand: `Decision(approved=True, decided_by="bob")`."""

    if not TYPE_CHECKING:

        def __call__(self, **fields: Any) -> Any:
            """Take who decided as a name, how long it took in milliseconds, and less said."""
            if "type" not in fields and "approved" in fields:
                fields["type"] = _said(approved=fields["approved"], args=fields.get("args"))
            elif type(fields.get("type")) is str:  # a word would be equal to no type by `is`
                fields["type"] = DecisionType(fields["type"])
            if "decided_by" in fields:
                fields["by"] = reviewer(fields.pop("decided_by"))
            if "latency_ms" in fields:
                fields["took_seconds"] = fields.pop("latency_ms") / 1000
            return super().__call__(**fields)


class Decision(Struct, frozen=True, kw_only=True, metaclass=_Decisions):
    """The one decision that stands.

    Programs that answer for themselves make it by hand: `approved` is all that it needs. Besides
    its fields it takes `decided_by` (a name) and `latency_ms`.

    Raises:
        ValueError: it took less than no time, or no number of seconds.
    """

    type: DecisionType
    """Default: what `approved` and `args` say."""
    approved: bool
    """May the action run, was the question answered, was the chosen option one that agrees?"""
    action_id: str = ""
    """Of the call that it is about, where a program wrote it down."""
    args: JsonObject | None = None
    """The effective arguments, when the person changed them."""
    digest: str | None = None
    """The digest of what was approved; with an edit, of the edited action."""
    content: Json = None
    option: str | None = None
    reason: str = ""
    tags: tuple[str, ...] = ()
    by: Reviewer = UNKNOWN_REVIEWER
    channel: Channel = Channel.PROGRAM
    strength: Strength | None = None
    assertion: JsonObject | None = None
    """What the person's passkey signed, as proof."""
    standing_grant: str | None = None
    """The id of the remembered decision that stands for this one."""
    decided_at: datetime | None = None
    """None in nothing that is kept."""
    took_seconds: float = 0.0

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            approved: bool,
            type: DecisionType = DecisionType.APPROVE,  # noqa: A002  the wire's word
            action_id: str = "",
            args: JsonObject | None = None,
            digest: str | None = None,
            content: Json = None,
            option: str | None = None,
            reason: str = "",
            tags: tuple[str, ...] | list[str] = (),
            by: Reviewer = UNKNOWN_REVIEWER,
            decided_by: str = "",
            channel: Channel = Channel.PROGRAM,
            strength: Strength | None = None,
            assertion: JsonObject | None = None,
            standing_grant: str | None = None,
            decided_at: datetime | None = None,
            took_seconds: float = 0.0,
            latency_ms: float = 0.0,
        ) -> None: ...

    def __post_init__(self) -> None:
        if type(self.tags) is not tuple:
            msgspec.structs.force_setattr(self, "tags", tuple(self.tags))
        if not (0 <= self.took_seconds < math.inf):
            raise ValueError("latency_ms must be non-negative, and a number")

    @property
    def decided_by(self) -> str:
        """The name of whoever decided."""
        return self.by.name

    @property
    def latency_ms(self) -> float:
        """How long it took, in milliseconds."""
        return self.took_seconds * 1000
