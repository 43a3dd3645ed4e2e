"""Standing grants: a decision that a person wants to be remembered, within limits.

Only arguments that are named are let through, each only within its pattern; an argument that the
grant does not name, a risk that is high, a rule that asks for more than one reviewer: people are
asked as before.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from sayso.domain.accounts import DEFAULT_TENANT, Strength
from sayso.domain.actions import Action, RiskClass
from sayso.domain.decisions import Reviewer
from sayso.domain.patterns import Budget, Pattern, StandingDraft, is_number
from sayso.domain.requests import Kind, Request
from sayso.domain.rules import Rule
from sayso.errors import InvalidRequestError
from sayso.types import JsonObject


class StandingLimits(Struct, frozen=True, kw_only=True):
    """How far a standing grant goes, as its event tells it.

    UNSET is what logs of older versions do not tell; None is no limit.
    """

    tool_name: str
    args: dict[str, Pattern]
    uses: int | None
    expires_at: datetime
    budget: Budget | UnsetType | None = UNSET
    session_id: str | UnsetType | None = UNSET
    client_id: str | UnsetType | None = UNSET
    asked_by: str | UnsetType | None = UNSET


class StandingGrant(Struct, frozen=True, kw_only=True):
    """A remembered decision."""

    id: str
    tool_name: str
    args: dict[str, Pattern]
    uses_left: int | None
    used: int = 0
    budget: Budget | None
    spent: float = 0.0
    expires_at: datetime
    session_id: str | None = None
    client_id: str | None = None
    asked_by: str | None = None
    note: str = ""
    given_by: Reviewer
    strength: Strength | None
    given_at: datetime
    request_id: str | None = None
    """The request whose decision is remembered."""
    revoked_at: datetime | None = None
    revoked_by: str = ""
    tenant: str = DEFAULT_TENANT

    @property
    def limits(self) -> StandingLimits:
        """How far it goes from here."""
        return StandingLimits(
            tool_name=self.tool_name,
            args=self.args,
            uses=self.uses_left,
            expires_at=self.expires_at,
            budget=self.budget,
            session_id=self.session_id,
            client_id=self.client_id,
            asked_by=self.asked_by,
        )

    def is_open(self, now: datetime) -> bool:
        """Whether it could let anything through at that time."""
        return (
            (self.revoked_at is None or now < self.revoked_at)
            and now < self.expires_at
            and (self.uses_left is None or self.uses_left > 0)
        )

    def matches(self, request: Request) -> bool:
        """Whether the request's action is one of those that were meant, whatever is left of it."""
        action = request.action
        return (
            action is not None
            and request.kind is Kind.APPROVAL
            and not request.options
            and action.tool_name == self.tool_name
            and action.risk_class is not RiskClass.HIGH
            and (self.session_id is None or request.session_id == self.session_id)
            and (self.client_id is None or request.client_id == self.client_id)
            and (self.asked_by is None or request.requested_by.actor == self.asked_by)
            and _match(self.args, action.tool_args)
        )

    def used_for(self, request: Request, now: datetime) -> "StandingGrant | None":
        """It after letting this request through; None if it does not."""
        if not self.is_open(now) or not self.matches(request):
            return None
        spent = self.spent
        if self.budget is not None:
            assert request.action is not None  # noqa: S101  it matches
            amount: Any = request.action.tool_args.get(self.budget.argument)
            if not is_number(amount) or not (spent >= 0 and amount >= 0):  # nor is NaN
                return None
            spent += amount
            if not spent <= self.budget.limit:
                return None
        left = None if self.uses_left is None else self.uses_left - 1
        return msgspec.structs.replace(self, used=self.used + 1, uses_left=left, spent=spent)


def may_stand(rule: Rule, grant: StandingGrant) -> bool:
    """Whether a rule lets a remembered decision stand for a present one."""
    if rule.approvals > 1 or rule.four_eyes or rule.min_strength is Strength.PASSKEY:
        return False
    if rule.people and grant.given_by.id not in rule.people:
        return False
    if rule.groups and not rule.people:
        return False  # whether the giver still is in the group is not known here
    return (grant.strength or Strength.LINK).reaches(rule.min_strength)


def check_standing(draft: StandingDraft, action: Action | None) -> None:
    """Refuse what would let through more than anybody could have meant.

    Raises:
        InvalidRequestError: with the place.
    """
    for name, pattern in draft.args.items():
        if pattern.is_empty:
            _refuse(f"$.args.{name}", "Say what it may be: equals, glob, min, max, or any.")
    if draft.budget is not None and draft.budget.argument not in draft.args:
        _refuse("$.budget.argument", "The budget's argument is not among `args`.")
    if any(mark in draft.tool_name for mark in "*?["):
        _refuse("$.tool_name", "A standing grant is for one tool.")
    if action is None:
        return
    if action.risk_class is RiskClass.HIGH:
        _refuse("$.remember", "What is of high risk is decided each time.")
    if draft.tool_name != action.tool_name or not _match(draft.args, action.tool_args):
        _refuse("$.remember", "It would not have let through what is decided here.")


def _match(patterns: Mapping[str, Pattern], args: JsonObject) -> bool:
    """Whether each argument is named, and as it may be; one that is not there has to be `any`."""
    if not args.keys() <= patterns.keys():
        return False
    return all(
        pattern.matches(args[name]) if name in args else pattern.any
        for name, pattern in patterns.items()
    )


def _refuse(at: str, message: str) -> None:
    raise InvalidRequestError(f"{message} (at {at})", errors=({"at": at, "message": message},))
