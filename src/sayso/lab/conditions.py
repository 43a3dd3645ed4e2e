"""Conditions: one way of oversight, tried on one scenario; and four that are usual."""

import copy
import warnings
from collections.abc import Iterator
from typing import Any, cast

from msgspec import Struct

from sayso.errors import ConfigurationError
from sayso.gate.ports import ApprovalBackend
from sayso.lab.checks import check_name, check_whole, generators_in, is_coroutine
from sayso.lab.injection import InjectionConfig
from sayso.lab.reviewers import SimulatedReviewer
from sayso.lab.scenarios.base import Scenario
from sayso.policies import AlwaysApprovePolicy, AuditPlusEscalatePolicy, Policy, RiskBasedPolicy


class ExperimentCondition(Struct, frozen=True):
    """One way of oversight, tried on one scenario.

    Instances are given, and no trial sees what another one did to them:

    - the policy is copied for each trial (by its own `fresh(seed)` if it has that, else deeply),
      as it is then: leave it alone once it is given;
    - so is the scenario (`Scenario.fresh`);
    - a backend with `fresh(seed)`, such as `SimulatedReviewer`, is copied for each trial. One with
      `reset()`, such as a scripted one, goes on from trial to trial: it is reset before the first,
      and the trials come one after the other. Any other one is a real way to real people: all
      trials share it, and nobody but itself keeps them apart.

    A policy or scenario that holds a `random.Random` and has no `fresh(seed)` of its own draws the
    same in each trial; a `UserWarning` says so.

    Raises:
        ValueError: the id is no text or empty, a number is not whole, or there is less than one
            trial.
        ConfigurationError: something is not what it has to be.
    """

    condition_id: str
    policy: Policy
    backend: ApprovalBackend
    scenario: Scenario
    injection_config: InjectionConfig | None = None
    """Which actions are made wrong; its seed is not used. Default: none."""
    n_trials: int = 10
    base_seed: int = 42

    def __post_init__(self) -> None:
        check_name(self.condition_id, "condition_id")
        check_whole(self.n_trials, "n_trials", least=1)
        check_whole(self.base_seed, "base_seed")
        for name, kind in (
            ("policy", Policy),
            ("backend", ApprovalBackend),
            ("scenario", Scenario),
        ):
            given = getattr(self, name)
            if not isinstance(given, kind):
                raise ConfigurationError(
                    f"The {name} of the condition {self.condition_id!r} is {given!r}.",
                    hint=f"Give an object of a class that extends {kind.__name__}.",
                )
            for method in ("fresh", "reset", "other_value"):
                if is_coroutine(given, method):
                    raise ConfigurationError(
                        f"The {name} of the condition {self.condition_id!r} has a {method} that is"
                        " a coroutine function.",
                        hint=f"Define {method} without async.",
                    )
        config = cast("object", self.injection_config)
        if config is not None and not isinstance(config, InjectionConfig):
            raise ConfigurationError(
                f"The injection_config of the condition {self.condition_id!r} is {config!r}.",
                hint="Give InjectionConfig(injection_rate=...), or None.",
            )
        if generators := list(self._copied_generators()):
            warnings.warn(
                f"Each trial of the condition {self.condition_id!r} draws the same from"
                f" {', '.join(generators)}, which is copied as it is. Define fresh(seed), which"
                " returns one that draws from the trial's seed; a scenario can draw from"
                " self.random.",
                stacklevel=2,
            )

    def _copied_generators(self) -> Iterator[str]:
        if not callable(getattr(self.policy, "fresh", None)):
            yield from (f"policy.{name}" for name in generators_in(self.policy))
        if type(self.scenario).fresh is Scenario.fresh:
            names = generators_in(self.scenario, besides="random")
            yield from (f"scenario.{name}" for name in names)

    @property
    def makes_fresh_backends(self) -> bool:
        """Whether each trial has a backend of its own."""
        return callable(getattr(self.backend, "fresh", None))

    def begin(self) -> bool:
        """Have a backend that goes on from trial to trial begin again; whether it is such a one."""
        reset = getattr(self.backend, "reset", None)
        if self.makes_fresh_backends or not callable(reset):
            return False
        reset()
        return True

    def fresh_backend(self, seed: str) -> ApprovalBackend:
        """The backend for one trial."""
        backend: Any = self.backend
        return (
            cast("ApprovalBackend", backend.fresh(seed)) if self.makes_fresh_backends else backend
        )

    def fresh_policy(self, seed: str) -> Policy:
        """The policy for one trial, as it was given.

        Raises:
            ConfigurationError: it cannot be copied.
        """
        fresh = getattr(self.policy, "fresh", None)
        if callable(fresh):
            return cast("Policy", fresh(seed))
        try:
            return copy.deepcopy(self.policy)
        except Exception as error:
            raise ConfigurationError(
                f"The policy of the condition {self.condition_id!r} cannot be copied for a trial:"
                f" {error}.",
                hint="Define fresh(seed), which returns a policy of its own for each trial.",
            ) from error


def create_standard_conditions(
    scenario: Scenario,
    n_trials: int = 20,
    injection_rate: float = 0.2,
    base_seed: int = 42,
) -> list[ExperimentCondition]:
    """Four conditions on the same tasks and errors, from no oversight to a simulated person's.

    - `always_approve`: nobody is asked;
    - `risk_based_auto`: medium and high risk is asked about, and whoever is asked always agrees;
    - `risk_based_human`: the same, and a simulated person catches 80 % of the errors and rejects
      5 % of what is right;
    - `audit_escalate`: the same person is asked about 30 % of the calls, and all of high risk.

    Raises:
        ValueError: there is less than one trial, or the rate is not within 0 and 1.
    """
    nodding = SimulatedReviewer(
        catch_rate=0, false_alarm_rate=0, latency_ms=50, latency_sigma=0, name="simulated:nodding"
    )
    person = SimulatedReviewer(name="simulated:person")
    by_risk = RiskBasedPolicy(require_approval_for_high=True, require_approval_for_medium=True)
    audit = AuditPlusEscalatePolicy(audit_sample_rate=0.3, seed=base_seed)
    ways: tuple[tuple[str, Policy, ApprovalBackend], ...] = (
        ("always_approve", AlwaysApprovePolicy(), nodding),
        ("risk_based_auto", by_risk, nodding),
        ("risk_based_human", by_risk, person),
        ("audit_escalate", audit, person),
    )
    return [
        ExperimentCondition(
            condition_id=condition_id,
            policy=policy,
            backend=backend,
            scenario=scenario,
            injection_config=InjectionConfig(injection_rate=injection_rate),
            n_trials=n_trials,
            base_seed=base_seed,
        )
        for condition_id, policy, backend in ways
    ]
