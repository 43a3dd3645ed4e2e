"""Lets most through, has a sample looked at, and asks as soon as something is unusual."""

from collections.abc import Iterable
from typing import Any, Final

from sayso.domain.actions import Action, RiskClass
from sayso.domain.plain import plain
from sayso.domain.rules import Rule
from sayso.policies.base import NO_CONTEXT, Context, Effect, Policy, State, Verdict
from sayso.policies.history import history_of, streak_with
from sayso.policies.sampling import Sampler, check_rate

SIGNALS: Final = "anomaly_signals"
"""Where in the state a program puts what it has noticed: a list of names."""
_NAME: Final = "audit_plus_escalate"
_ALLOW = Verdict(
    effect=Effect.ALLOW,
    reason="No audit or escalation triggered",
    policy=_NAME,
    is_default=True,
)


class AuditPlusEscalatePolicy(Policy):
    """Has a random part of all calls audited, and escalates what is risky or unusual.

    It keeps nothing itself: streaks, rejections and failures are in the state of the run, which
    `post_decision_update` and `post_execution_update` carry on. Repeated rejections and failures
    escalate by themselves.

    Args:
        audit_sample_rate: which part of the calls is asked about at random, 0 to 1.
        anomaly_signals: names that escalate when the state's `anomaly_signals`, or an action's
            `context_refs`, have one of them.
        escalate_on_high_risk: ask about actions of high risk.
        escalate_on_medium_risk: ask about actions of medium risk.
        consecutive_action_threshold: so many calls of one tool in a row are unusual.
        seed: draw the same calls in each run of an experiment; not for production.
        secret: at least 16 bytes that agents do not know, from which it is drawn; the same in all
            processes that are to agree. Default: random, this policy's own.
        rejection_threshold: so many rejections in a run are unusual.
        failure_threshold: so many failed calls in a run are unusual.
        unknown_risk: how an action counts that does not tell its risk.
        review: what the decision needs, for instance two people; default: as usual.

    Raises:
        ValueError: the rate is not within 0 and 1, or a threshold is below 1.
    """

    def __init__(
        self,
        *,
        audit_sample_rate: float = 0.1,
        anomaly_signals: Iterable[str] | None = None,
        escalate_on_high_risk: bool = True,
        escalate_on_medium_risk: bool = False,
        consecutive_action_threshold: int = 5,
        seed: int | None = None,
        secret: bytes | None = None,
        rejection_threshold: int = 3,
        failure_threshold: int = 2,
        unknown_risk: RiskClass = RiskClass.HIGH,
        review: Rule | None = None,
    ) -> None:
        check_rate(audit_sample_rate, "audit_sample_rate")
        for name, threshold in (
            ("consecutive_action_threshold", consecutive_action_threshold),
            ("rejection_threshold", rejection_threshold),
            ("failure_threshold", failure_threshold),
        ):
            if threshold < 1:
                raise ValueError(f"{name} must be at least 1")
        self.audit_sample_rate = audit_sample_rate
        self.anomaly_signals = frozenset(_names(anomaly_signals))
        self.escalate_on_high_risk = escalate_on_high_risk
        self.escalate_on_medium_risk = escalate_on_medium_risk
        self.consecutive_action_threshold = consecutive_action_threshold
        self.rejection_threshold = rejection_threshold
        self.failure_threshold = failure_threshold
        self.unknown_risk = unknown_risk
        self.review = review
        self._signals = {plain(name): name for name in self.anomaly_signals}
        self._sampler = Sampler(secret, seed)

    @property
    def name(self) -> str:
        """`audit_plus_escalate`."""
        return _NAME

    def evaluate(self, action: Action, context: Context = NO_CONTEXT) -> Verdict:
        """Ask for the first reason there is; the random sample comes last."""
        reason = self._reason(action, context)
        if not reason:
            return _ALLOW
        return Verdict(effect=Effect.ASK, reason=reason, policy=_NAME, review=self.review)

    def _reason(self, action: Action, context: Context) -> str:
        risk = action.risk_class or self.unknown_risk
        told = "" if action.risk_class else " (it tells none, which counts as such)"
        if risk is RiskClass.HIGH and self.escalate_on_high_risk:
            return f"Escalation: HIGH risk action{told}"
        if risk is RiskClass.MEDIUM and self.escalate_on_medium_risk:
            return f"Escalation: MEDIUM risk action{told}"
        history = history_of(context.state)
        signals = self._noticed(context.state, history) if context.state else ()
        if signals:
            return f"Escalation: Anomaly signals detected: {', '.join(signals)}"
        if action.context_refs and self._signals:
            flags = self._known(action.context_refs)
            if flags:
                return f"Escalation: Action flagged with: {', '.join(flags)}"
        streak = streak_with(history, action)
        if streak >= self.consecutive_action_threshold:
            return f"Escalation: {streak} consecutive '{action.tool_name}' actions"
        if self._sampler.draws(self.audit_sample_rate, context.run_id, action):
            return f"Audit: Random sample ({self.audit_sample_rate * 100:.1f}% rate)"
        return ""

    def _noticed(self, state: State, history: State) -> list[str]:
        """The signals of the run that count, and those that its history gives."""
        noticed: list[str] = []
        if self._signals and SIGNALS in state:
            noticed = self._known(_names(state[SIGNALS]))
        if history["rejections"] >= self.rejection_threshold:
            noticed.append("repeated_rejections")
        if history["failures"] >= self.failure_threshold:
            noticed.append("repeated_failures")
        return noticed

    def _known(self, names: Iterable[Any]) -> list[str]:
        """Those of `names` that are configured, as they were configured, in order."""
        return sorted({self._signals[key] for key in map(_key, names) if key in self._signals})


def _key(name: Any) -> str:
    return plain(str(name))


def _names(given: Iterable[str] | None) -> tuple[str, ...]:
    """What was given as one text or several, never as its letters."""
    return () if given is None else (given,) if isinstance(given, str) else tuple(given)
