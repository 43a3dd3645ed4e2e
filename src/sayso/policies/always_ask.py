"""Somebody is always asked."""

from typing import Final

from sayso.domain.actions import Action
from sayso.domain.rules import Rule
from sayso.policies.base import NO_CONTEXT, Context, Effect, Policy, Verdict

_NAME: Final = "always_ask"


class AlwaysAskPolicy(Policy):
    """Lets nothing through by itself.

    Args:
        review: what the decision needs. Default: one reviewer.
    """

    def __init__(self, *, review: Rule | None = None) -> None:
        self._ask = Verdict(
            effect=Effect.ASK, reason="Every action is asked about", policy=_NAME, review=review
        )

    @property
    def name(self) -> str:
        """`always_ask`."""
        return _NAME

    def evaluate(self, action: Action, context: Context = NO_CONTEXT) -> Verdict:
        """Ask."""
        del action, context
        return self._ask
