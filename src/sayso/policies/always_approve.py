"""Nobody is ever asked: the baseline that other policies are compared with."""

from typing import Final

from sayso.domain.actions import Action
from sayso.policies.base import NO_CONTEXT, Context, Effect, Policy, Verdict

_NAME: Final = "always_approve"
_ALLOW = Verdict(
    effect=Effect.ALLOW,
    reason="Policy: all actions auto-approved (Tier 4 baseline)",
    policy=_NAME,
)


class AlwaysApprovePolicy(Policy):
    """Lets everything through."""

    @property
    def name(self) -> str:
        """`always_approve`."""
        return _NAME

    def evaluate(self, action: Action, context: Context = NO_CONTEXT) -> Verdict:
        """Allow."""
        del action, context
        return _ALLOW
