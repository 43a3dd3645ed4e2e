"""The tests that stand in a policy, run."""

from typing import Any

from msgspec import Struct

from sayso.domain.actions import Action
from sayso.policies.base import Context, Verdict
from sayso.policies.rules.records import Case
from sayso.policies.rules.rule_set import RuleSet


class Result(Struct, frozen=True, kw_only=True):
    """How one test went."""

    case: Case
    verdict: Verdict
    problems: tuple[str, ...]
    """What was otherwise than expected, as `verdict: ask, not allow`."""

    @property
    def passed(self) -> bool:
        """Whether all was as expected."""
        return not self.problems


def run_cases(policy: RuleSet) -> list[Result]:
    """All tests of a policy, in order; nothing is drawn by sampling meanwhile."""
    unsampled = policy.unsampled()
    return [_run(unsampled, case) for case in policy.cases]


def _run(policy: RuleSet, case: Case) -> Result:
    verdict = policy.evaluate(
        Action(tool_name=case.tool, tool_args=case.args, risk_class=case.risk),
        Context(
            run_id=case.run,
            client_id=case.agent or None,
            asked_by=case.agent,
            session_id=case.session or None,
            session_pattern=case.session or None,
            tenant=case.tenant,
            state=case.state,
        ),
    )
    found = _found(verdict)
    problems = [
        f"{name}: {_shown(found[name])}, not {_shown(wanted)}"
        for name, wanted in case.expect.items()
        if found[name] != wanted
    ]
    return Result(case=case, verdict=verdict, problems=tuple(problems))


def _found(verdict: Verdict) -> dict[str, Any]:
    review = verdict.review
    return {
        "verdict": verdict.effect.value,
        "rule": verdict.rule,
        "approvals": 1 if review is None else review.approvals,
        "silence": verdict.on_timeout or "expire",
        "people": () if review is None else review.people,
        "groups": () if review is None else review.groups,
    }


def _shown(value: Any) -> str:
    text = ", ".join(value) if isinstance(value, tuple) else str(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return text or "none"
