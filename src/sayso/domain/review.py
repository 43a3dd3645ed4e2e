"""Who may say what to a request, and whether enough people have said it."""

from typing import Final

import msgspec
from msgspec import Struct

from sayso.domain.accounts import Principal, Strength
from sayso.domain.decisions import Vote
from sayso.domain.requests import Request
from sayso.domain.rules import ONE_REVIEWER, Rule
from sayso.errors import InvalidTransitionError, NotPermittedError

_VOTED: Final = "already_voted"


class Tally(Struct, frozen=True, kw_only=True):
    """How the votes stand once one more was given."""

    votes: tuple[Vote, ...]
    """Those that count: one for each person, and none for arguments that are no longer proposed."""
    agreeing: int
    """How many say the same as the last one."""
    is_enough: bool
    """Whether that closes the request."""


def rule_of(request: Request) -> Rule:
    """What its decision needs."""
    return request.rule or ONE_REVIEWER


def check_reviewer(request: Request, rule: Rule, by: Principal, *, approves: bool) -> None:
    """Refuse a person whom the rule does not ask, or does not know well enough.

    To refuse is never made harder: neither four eyes nor the strength is wanted for it.

    Raises:
        NotPermittedError: `not_asked`, `four_eyes` or `strength_required`.
    """
    if not rule.asks(by):
        raise NotPermittedError(
            "The rule asks other people for this.",
            hint=f"It asks: {', '.join((*rule.people, *rule.groups))}.",
            code="not_asked",
        )
    if not approves:
        return
    if rule.excludes(by, request.requested_by):
        raise NotPermittedError(
            "The agent that asks works for you, so somebody else has to approve it.",
            hint="Let another reviewer decide; you can reject or cancel it.",
            code="four_eyes",
        )
    if not (by.strength or Strength.LINK).reaches(rule.min_strength):
        raise NotPermittedError(
            f"The rule wants whoever approves this identified by {rule.min_strength.value!r};"
            f" you are by {(by.strength or Strength.LINK).value!r}.",
            hint="Approve it with your passkey."
            if rule.min_strength is Strength.PASSKEY
            else "Sign in with your user name and password.",
            code="strength_required",
        )


def tally(request: Request, rule: Rule, vote: Vote) -> Tally:
    """Count one more vote. A quorum counts people, never presses.

    Whoever has voted may change their mind. Approvals of arguments that are no longer the ones
    proposed do not count any more; rejections stay.

    Raises:
        InvalidTransitionError: this person has said the same already (`already_voted`).
    """
    kept: list[Vote] = []
    for old in request.votes:
        if old.by.id == vote.by.id:
            if _says(old) == _says(vote):
                raise InvalidTransitionError(
                    "You have said that already.",
                    hint=f"It takes {rule.approvals} different people.",
                    code=_VOTED,
                )
        elif not (vote.approves and old.approves and old.digest != vote.digest):
            kept.append(old)
    votes = (*kept, vote)
    if vote.approves:
        agreeing = sum(_says(each) == _says(vote) for each in votes)
        return Tally(votes=votes, agreeing=agreeing, is_enough=agreeing >= rule.approvals)
    agreeing = sum(not each.approves for each in votes)
    enough = rule.veto or agreeing >= rule.approvals
    return Tally(votes=votes, agreeing=agreeing, is_enough=enough)


def _says(vote: Vote) -> tuple[object, ...]:
    """What counts as the same answer."""
    if not vote.approves:
        return (False,)
    return (True, vote.digest, vote.option, msgspec.json.encode(vote.content, order="sorted"))
