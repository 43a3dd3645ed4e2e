"""Is a human needed? Pure functions of an action and its context.

base        the verdict, the context, and what a policy has to have
"""

from sayso.policies.base import Context, Effect, HITLPolicy, Policy, State, Verdict, judge

__all__ = ["Context", "Effect", "HITLPolicy", "Policy", "State", "Verdict", "judge"]
