"""Several policies as one: all have to agree, one is enough, or the first that has a say."""

from collections.abc import Sequence
from functools import reduce
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from sayso.domain.actions import Action
from sayso.domain.decisions import Decision
from sayso.domain.rules import Rule
from sayso.policies.base import NO_CONTEXT, Context, Effect, Policy, State, Verdict, handed, judge

_SILENCES: Final = ("approve", "escalate", "park", "expire", "reject")
"""What silence may mean, mildest first."""


class _Combined(Policy):
    """Asks its policies in order; one that fails has a person asked.

    Args:
        policies: at least one.
        name: what verdicts call it.

    Raises:
        ValueError: there is none.
    """

    default_name: str

    def __init__(self, *policies: Policy, name: str = "") -> None:
        if not policies:
            raise ValueError("A combination needs at least one policy.")
        self.policies = policies
        self._name = name or self.default_name

    @property
    def name(self) -> str:
        """As it was given, or what kind of combination it is."""
        return self._name

    def post_decision_update(self, state: State, action: Action, decision: Decision) -> State:
        """What all policies make of it, one after the other; the history is kept once."""
        usual = Policy.post_decision_update
        leaves = self.leaves()
        own = [p for p in leaves if type(p).post_decision_update is not usual]
        for policy in own:
            state = policy.post_decision_update(state, handed(policy, action), decision)
        if len(own) < len(leaves):
            state = super().post_decision_update(state, action, decision)
        return state

    def post_execution_update(self, state: State, action: Action, result: State) -> State:
        """The same after a run."""
        usual = Policy.post_execution_update
        leaves = self.leaves()
        own = [p for p in leaves if type(p).post_execution_update is not usual]
        for policy in own:
            state = policy.post_execution_update(state, handed(policy, action), result)
        if len(own) < len(leaves):
            state = super().post_execution_update(state, action, result)
        return state

    def leaves(self) -> list[Policy]:
        """All policies that are no combinations themselves, at any depth."""
        found: list[Policy] = []
        for policy in self.policies:
            found += policy.leaves() if isinstance(policy, _Combined) else [policy]
        return found

    def _told(self, verdict: Verdict, because: Sequence[Verdict]) -> Verdict:
        """`verdict` as this combination's own."""
        reason = verdict.reason if verdict.policy == self._name else _because(verdict)
        return msgspec.structs.replace(
            verdict, policy=self._name, reason=reason, because=tuple(because)
        )


class AllOf(_Combined):
    """All have to allow it: the strictest verdict wins, and reviews add up.

    If several have people asked, the decision needs what any of them demands, within the shortest
    time, and silence means the strictest thing.
    """

    default_name = "all_of"

    def evaluate(self, action: Action, context: Context = NO_CONTEXT) -> Verdict:
        """The strictest of what its policies say."""
        said = [judge(policy, action, context) for policy in self.policies]
        return self._told(strictest(said), said)


class AnyOf(_Combined):
    """One that allows it is enough: the mildest verdict wins, also over one that denies."""

    default_name = "any_of"

    def evaluate(self, action: Action, context: Context = NO_CONTEXT) -> Verdict:
        """The mildest of what its policies say, the first of several.

        Where that is to ask, a doubt of any of those that ask stays with it.
        """
        said = [judge(policy, action, context) for policy in self.policies]
        mildest = min(said, key=lambda verdict: _RANK[verdict.effect])
        if mildest.effect is Effect.ASK and not mildest.is_doubtful:
            doubtful = any(each.is_doubtful and each.effect is Effect.ASK for each in said)
            mildest = msgspec.structs.replace(mildest, is_doubtful=doubtful)
        return self._told(mildest, said)


class FirstMatch(_Combined):
    """The first that has something on the action decides; if none has, the strictest default.

    A policy has nothing on an action where its verdict says `is_default`: no rule matched, or
    nothing that it looks for was there. One that is in doubt has a say, whatever its verdict says.
    """

    default_name = "first_match"

    def evaluate(self, action: Action, context: Context = NO_CONTEXT) -> Verdict:
        """What the first says that has a say; the others after it are not asked."""
        said: list[Verdict] = []
        for policy in self.policies:
            verdict = judge(policy, action, context)
            said.append(verdict)
            if verdict.is_doubtful or not verdict.is_default:
                return self._told(verdict, said)
        return self._told(strictest(said), said)


_RANK: Final = {Effect.ALLOW: 0, Effect.ASK: 1, Effect.DENY: 2}


def strictest(verdicts: Sequence[Verdict]) -> Verdict:
    """The strictest of several, at least one; what asks is put together into one."""
    worst = max(verdicts, key=lambda verdict: _RANK[verdict.effect])
    if worst.effect is not Effect.ASK:
        return worst
    asking = [verdict for verdict in verdicts if verdict.effect is Effect.ASK]
    return asking[0] if len(asking) == 1 else _together(asking)


def _together(asking: Sequence[Verdict]) -> Verdict:
    """What demands all that several demand."""
    of_one = len({verdict.policy for verdict in asking}) == 1
    reasons = [verdict.reason if of_one else _because(verdict) for verdict in asking]
    silent = max(asking, key=lambda verdict: _SILENCES.index(verdict.on_timeout or "expire"))
    return msgspec.structs.replace(
        asking[0],
        policy=asking[0].policy if of_one else "",
        reason=" ".join(f"{reason.rstrip('.')}." for reason in reasons),
        rule=", ".join(dict.fromkeys(verdict.rule for verdict in asking if verdict.rule)),
        review=_stricter([v.review for v in asking]),
        timeout_seconds=_shortest([v.timeout_seconds for v in asking]),
        on_timeout=silent.on_timeout,
        escalate_to=_stricter([v.escalate_to for v in asking])
        if silent.on_timeout == "escalate"
        else None,
        is_default=all(verdict.is_default for verdict in asking),
        is_doubtful=any(verdict.is_doubtful for verdict in asking),
    )


def _stricter(reviews: Sequence[Rule | None]) -> Rule | None:
    given = [review for review in reviews if review is not None]
    return reduce(Rule.stricter, given) if given else None


def _shortest(times: Sequence[float | UnsetType | None]) -> float | UnsetType | None:
    given = [time for time in times if time is not UNSET and time is not None]
    return min(given) if given else None if None in times else UNSET


def _because(verdict: Verdict) -> str:
    return f"{verdict.policy}: {verdict.reason}" if verdict.policy else verdict.reason
