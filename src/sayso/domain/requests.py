"""The question put to people, as submitted (`Draft`) and as kept (`Request`)."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from sayso.domain.accounts import DEFAULT_TENANT, Requester
from sayso.domain.actions import Action, digest_of, id_of
from sayso.domain.decisions import Decision, Vote
from sayso.domain.grants import Grant, Outcome
from sayso.domain.rules import Rule
from sayso.errors import InvalidRequestError
from sayso.types import Json, JsonObject

Label = Annotated[str, Meta(min_length=1, max_length=256)]


class Kind(StrEnum):
    """What is asked for: a yes to an action, one of several options, or words."""

    APPROVAL = "approval"
    CHOICE = "choice"
    INPUT = "input"
    PLAN = "plan"


class Status(StrEnum):
    """Where a request stands; everything but `pending` is final."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    ANSWERED = "answered"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class Priority(StrEnum):
    """How much it hurries, in the agent's view."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"


class OnTimeout(StrEnum):
    """What it means when nobody answers by the deadline."""

    EXPIRE = "expire"
    """The request expires, which is no."""
    REJECT = "reject"
    """It is rejected."""
    APPROVE = "approve"
    """It is approved: of low risk only, and only where a rule of the server says so."""
    ESCALATE = "escalate"
    """Further people are asked, and the deadline starts once more; a second silence expires."""
    PARK = "park"
    """It goes on waiting, without a deadline."""


ASKERS_CHOICES = (OnTimeout.EXPIRE, OnTimeout.REJECT, OnTimeout.PARK)
"""What the asking side itself may choose."""


class PolicyMark(Struct, frozen=True, kw_only=True):
    """What the tenant's policy said of a request when it was made."""

    version: int
    """Which version of the policy,"""
    effect: str
    """and `allow`, `ask` or `deny`."""
    rule: str = ""
    reason: str = ""
    is_doubtful: bool = False
    """It asks because something could not be evaluated: no standing grant answers."""


class Option(Struct, frozen=True, kw_only=True):
    """One of the answers offered; `approves` says whether choosing it lets the agent go on."""

    label: str
    value: str
    approves: bool


LOCAL_REQUESTER = Requester()


class Request(Struct, frozen=True, kw_only=True, dict=True):
    """A question put to people: a small durable state machine."""

    id: str
    kind: Kind
    status: Status = Status.PENDING
    message: str
    session_id: str | None = None
    client_id: str | None = None
    action: Action | None = None
    options: tuple[Option, ...] = ()
    schema: JsonObject | None = None
    priority: Priority = Priority.NORMAL
    metadata: JsonObject = {}
    callback_url: str | None = None
    on_timeout: OnTimeout = OnTimeout.EXPIRE
    remind_every_seconds: float | None = None
    reminders: int = 0
    """How many times people were reminded of it."""
    escalate_to: Rule | None = None
    """Who is asked as well when nobody answers in time,"""
    escalated_at: datetime | None = None
    """and since when they are."""
    parked_at: datetime | None = None
    """Since when it waits without a deadline, because nobody had answered in time."""
    policy: PolicyMark | None = None
    """What the tenant's policy said of it; None: there was none, or it is no action."""
    requested_by: Requester = LOCAL_REQUESTER
    facts: JsonObject | None = None
    """What held when it was asked; compared with what holds when the grant is claimed."""
    rule: Rule | None = None
    """What its decision needs; None: one reviewer, whoever it is."""
    votes: tuple[Vote, ...] = ()
    """What people said while it takes more than one of them."""
    proposed_args: JsonObject | None = None
    """The arguments that are voted on, when somebody changed them,"""
    proposed_digest: str | None = None
    """and the digest of the action with them."""
    reopens: str | None = None
    """The closed request that this one asks again,"""
    changes: JsonObject | None = None
    """and which facts differ from then: name to `[before, now]`."""
    created_at: datetime
    deadline_at: datetime | None = None
    decision: Decision | None = None
    grant: Grant | None = None
    """To run the approved action, once."""
    outcome: Outcome | None = None
    """What became of it."""
    closed_at: datetime | None = None
    """When it reached its final status."""
    closed_reason: str = ""
    """Why it was cancelled or expired."""
    version: int = 1
    """Rises by one with each change."""
    tenant: str = DEFAULT_TENANT
    traceparent: str | UnsetType = UNSET
    """The span that asked, as W3C writes it, for traces to link to; absent without one."""

    @property
    def is_terminal(self) -> bool:
        """Whether nothing can change it any more."""
        return self.status is not Status.PENDING

    @property
    def approved(self) -> bool:
        """Whether a person said yes; silence, a cancellation and a refusal are all no."""
        return self.decision is not None and self.decision.approved

    @property
    def answer(self) -> Json:
        """The chosen option's value, or the text or form that a person sent; None without one."""
        if self.decision is None:
            return None
        return self.decision.option if self.decision.option is not None else self.decision.content

    @property
    def arguments(self) -> JsonObject | None:
        """The arguments to run with: the person's, if they changed them; None if not approved."""
        if self.action is None or self.decision is None or self.status is not Status.APPROVED:
            return None
        return self.action.tool_args if self.decision.args is None else self.decision.args

    @property
    def reason(self) -> str:
        """What the person gave as the reason, or why it was closed without one."""
        return self.decision.reason if self.decision is not None else self.closed_reason

    def option(self, value: str) -> Option | None:
        """The option with this value."""
        return next((option for option in self.options if option.value == value), None)


class OptionDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An option as submitted; `value` is the label, and `approves` is read off it, if absent."""

    label: Label
    value: Label | None = None
    approves: bool | None = None


class ActionDraft(Action, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An action as submitted: a field that nobody knows is an error, not silently dropped.

    Raises:
        InvalidRequestError: a digest was sent along, and it is not this action's.
    """

    def __post_init__(self) -> None:
        digest = digest_of(self.tool_name, self.tool_args)
        if not self.id:
            msgspec.structs.force_setattr(self, "id", id_of(digest))
        if self.digest and self.digest != digest:
            raise InvalidRequestError(
                "The digest does not fit the tool name and arguments (at $.action.digest).",
                hint="Leave it out; the server computes it.",
                errors=({"at": "$.action.digest", "message": f"expected {digest}"},),
            )
        msgspec.structs.force_setattr(self, "digest", digest)

    def kept(self) -> Action:
        """The action as it is kept."""
        return Action(
            tool_name=self.tool_name,
            tool_args=self.tool_args,
            id=self.id,
            args_schema=self.args_schema,
            risk_class=self.risk_class,
            side_effects=self.side_effects,
            rationale=self.rationale,
            context_refs=self.context_refs,
            digest=self.digest,
        )


Message = Annotated[
    str, Meta(min_length=1, max_length=16_384, description="The question, for a person.")
]
Options = Annotated[
    list[Label | OptionDraft],
    Meta(max_length=100, description="Strings, or objects of label, value and approves."),
]
Metadata = Annotated[JsonObject, Meta(max_length=256, description="Facts to show beside it.")]
CallbackUrl = Annotated[str, Meta(max_length=2_048, pattern=r"^https?://[^\s]+$")]


class Draft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request as submitted."""

    message: Message
    kind: Annotated[
        Kind | None,
        Meta(
            description="Absent: `approval` with an action, `choice` with options, `input` with a"
            " schema, else `approval`."
        ),
    ] = None
    session_id: Label | None = None
    client_id: Label | None = None
    action: ActionDraft | None = None
    options: Options = msgspec.field(default_factory=list[Any])
    schema: Annotated[
        JsonObject | None,
        Meta(description="A flat JSON Schema: the form that answers an `input`."),
    ] = None
    timeout_seconds: Annotated[
        Annotated[float, Meta(gt=0, le=31_622_400)] | UnsetType | None,
        Meta(
            description="The deadline: when nobody has answered by then, `on_timeout`. Null: none."
        ),
    ] = UNSET
    on_timeout: Annotated[
        OnTimeout,
        Meta(
            description="What silence means: `expire`, `reject` or `park` (it goes on waiting)."
            " `approve` and `escalate` are for a rule of the server to say."
        ),
    ] = OnTimeout.EXPIRE
    priority: Priority = Priority.NORMAL
    metadata: Metadata = {}
    remind_every_seconds: Annotated[
        Annotated[float, Meta(ge=1, le=31_622_400)] | None,
        Meta(description="Remind people this often, until it is closed."),
    ] = None
    facts: Annotated[
        Annotated[JsonObject, Meta(max_length=256)] | None,
        Meta(
            description="What holds now, such as a balance or a version. Whoever claims the grant"
            " tells what holds then; if it differs, people are asked again."
        ),
    ] = None
    rule: Annotated[
        Rule | None,
        Meta(description="How strictly to review it, at least; the server may ask for more."),
    ] = None
    callback_url: Annotated[
        CallbackUrl | None,
        Meta(description="Told how the request ended, by a signed POST (Standard Webhooks)."),
    ] = None
