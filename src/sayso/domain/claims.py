"""From an approval to a run: the grant is claimed once, for exactly what was approved."""

from datetime import datetime
from hashlib import sha256

import msgspec

from sayso.domain.accounts import Principal
from sayso.domain.actions import canonical_json
from sayso.domain.grants import Grant, Outcome, OutcomeDraft, OutcomeStatus
from sayso.domain.requests import Request, Status
from sayso.domain.times import shown_time
from sayso.errors import InvalidRequestError, InvalidTransitionError, NotPermittedError
from sayso.types import JsonObject

_REOPEN = "Ask again: POST /api/v1/requests/{id}/reopen."


def claimed(
    request: Request,
    *,
    by: Principal,
    digest: str,
    facts: JsonObject | None,
    key: str,
    now: datetime,
) -> Grant:
    """The grant of `request`, held by `by` from now on.

    Claimed again under the same key by the same agent it is what it was: its answer was lost.

    Raises:
        NotPermittedError: another agent asked for it (`not_yours`).
        InvalidTransitionError: there is no grant (`nothing_granted`), it is for something else
            (`digest_mismatch`), is claimed (`already_claimed`), too old (`grant_expired`), or what
            held when it was asked does not hold now (`facts_changed`), or was not told.
    """
    grant = request.grant
    mark = sha256(key.encode()).hexdigest() if key else ""
    if by.actor != request.requested_by.actor:
        raise NotPermittedError("Another agent asked for this.", code="not_yours")
    if grant is None:
        raise InvalidTransitionError(
            "There is no action in this request, so there is nothing to claim.",
            hint="Submit the action with the question.",
            code="nothing_granted",
        )
    if digest != grant.digest:
        raise InvalidTransitionError(
            f"Approved was {grant.digest}, and not {digest[:80]}.",
            hint="Run exactly the arguments that were approved (`arguments` of the request).",
            code="digest_mismatch",
        )
    if grant.claimed_at is not None:
        if mark and mark == grant.claim_mark and grant.claimed_by == by.actor:
            return grant
        raise InvalidTransitionError(
            f"The grant was claimed at {shown_time(grant.claimed_at)}; it is good for one run.",
            hint="If that run was broken off, find out what it did before you ask again.",
            code="already_claimed",
        )
    if now >= grant.expires_at:
        raise InvalidTransitionError(
            f"The grant was good until {shown_time(grant.expires_at)}.",
            hint=_REOPEN,
            code="grant_expired",
        )
    if request.facts is not None and (facts is None or changes(request.facts, facts)):
        raise InvalidTransitionError(
            "What held when people were asked does not hold any more."
            if facts is not None
            else "People were told facts; tell what they are now.",
            hint="It has to be asked again, with the difference."
            if facts is not None
            else "Send `facts`.",
            code="facts_changed" if facts is not None else "facts_required",
        )
    return msgspec.structs.replace(grant, claimed_at=now, claimed_by=by.actor, claim_mark=mark)


def reported(
    request: Request, draft: OutcomeDraft, *, by: Principal, now: datetime
) -> Outcome | None:
    """What became of the run; None if just that was reported already.

    That nobody knows may be followed by what somebody found out, and nothing else by anything.

    Raises:
        NotPermittedError: another agent holds the grant (`not_yours`).
        InvalidTransitionError: nobody holds it (`not_claimed`), or another outcome was reported
            (`already_reported`).
    """
    grant = request.grant
    if grant is None or grant.claimed_at is None:
        raise InvalidTransitionError(
            "Nobody has claimed the grant, so nothing may have run.",
            hint="Claim it before the action is run.",
            code="not_claimed",
        )
    if grant.claimed_by != by.actor:
        raise NotPermittedError("Another agent holds the grant.", code="not_yours")
    old = request.outcome
    if old is not None:
        if (old.status, old.result, old.error) == (draft.status, draft.result, draft.error):
            return None
        if old.status is not OutcomeStatus.UNKNOWN:
            raise InvalidTransitionError(
                f"It was reported as {old.status.value} already.", code="already_reported"
            )
    return Outcome(
        status=draft.status,
        result=draft.result,
        error=draft.error,
        reported_at=now,
        reported_by=by.actor,
    )


def check_reopen(request: Request, now: datetime) -> None:
    """Refuse to ask again what is still open, was refused, or may have run.

    Raises:
        InvalidTransitionError: `not_reopenable`.
    """
    grant = request.grant
    expired = grant is not None and grant.claimed_at is None and now >= grant.expires_at
    if request.status is Status.EXPIRED or expired:
        return
    raise InvalidTransitionError(
        "Only what expired, as a question or as a grant that nobody claimed, is asked again.",
        hint="Submit a new request.",
        code="not_reopenable",
    )


def changes(before: JsonObject | None, now: JsonObject | None) -> JsonObject:
    """What differs between two sets of facts: name to `[before, now]`."""
    old, new = before or {}, now or {}
    names = sorted(old.keys() | new.keys())
    return {name: [old.get(name), new.get(name)] for name in names if not _same(name, old, new)}


def _same(name: str, old: JsonObject, new: JsonObject) -> bool:
    """Whether both tell it alike, as JSON: true is not 1; what cannot be compared has changed."""
    try:
        before, now = ({n: v for n, v in facts.items() if n == name} for facts in (old, new))
        return canonical_json(before) == canonical_json(now)
    except InvalidRequestError:
        return False
