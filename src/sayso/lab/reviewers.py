"""People as experiments need them: simulated, with known rates, and told what is right."""

import math
from random import Random
from typing import Final

from msgspec import Struct

from sayso.domain.actions import Action
from sayso.domain.approvals import ApprovalRequest
from sayso.domain.decisions import Decision, Reviewer
from sayso.gate.ports import ApprovalBackend, ApprovalError
from sayso.policies.sampling import check_rate

_MOST_SIGMA: Final = 3.0


class _Task(Struct, frozen=True):
    number: int
    digest: str


class SimulatedReviewer(ApprovalBackend):
    """Rejects what is wrong, and now and then what is right, each at a given rate.

    What is right it is told by `learn`, beside the action: it compares the digest of what it is
    asked about with the task's, and reads nothing else. How long it took is stated in the decision
    (`latency_ms`), and not slept. What it says to the n-th task depends on its seed and n alone, so
    that two conditions with the same reviewer and seed differ by nothing but who is asked what.

    Args:
        catch_rate: which part of the wrong actions it rejects, 0 to 1.
        false_alarm_rate: which part of the right ones it rejects, 0 to 1.
        latency_ms: the median of how long it takes, in milliseconds.
        latency_sigma: the spread: how long it takes is log-normal, as people's times are, and this
            is the standard deviation of its logarithm. 0: always the median.
        seed: the same seed, the same answers. An `ExperimentRunner` gives each trial its own.
        name: who decided, as decisions and telemetry tell it.

    Raises:
        ValueError: a rate is not within 0 and 1, or a time is negative or no number.
    """

    def __init__(
        self,
        *,
        catch_rate: float = 0.8,
        false_alarm_rate: float = 0.05,
        latency_ms: float = 1200.0,
        latency_sigma: float = 0.5,
        seed: int | str | None = None,
        name: str = "simulated",
    ) -> None:
        check_rate(catch_rate, "catch_rate")
        check_rate(false_alarm_rate, "false_alarm_rate")
        if not 0 <= latency_ms < math.inf:
            raise ValueError("latency_ms must be non-negative, and a number")
        if not 0 <= latency_sigma <= _MOST_SIGMA:
            raise ValueError(f"latency_sigma must be between 0 and {_MOST_SIGMA}")
        self.catch_rate = catch_rate
        self.false_alarm_rate = false_alarm_rate
        self.latency_ms = latency_ms
        self.latency_sigma = latency_sigma
        self.name = name
        self._seed = Random().getrandbits(64) if seed is None else seed
        self._by = Reviewer(id=name, name=name)
        self._tasks: dict[str, _Task] = {}

    def fresh(self, seed: int | str) -> "SimulatedReviewer":
        """The same person with another seed, and without anything learnt."""
        return SimulatedReviewer(
            catch_rate=self.catch_rate,
            false_alarm_rate=self.false_alarm_rate,
            latency_ms=self.latency_ms,
            latency_sigma=self.latency_sigma,
            seed=seed,
            name=self.name,
        )

    def learn(self, task: Action) -> None:
        """Be told what the call of this id is to be."""
        self._tasks[task.id] = _Task(len(self._tasks), task.digest)

    async def request_approval(self, request: ApprovalRequest) -> Decision:
        """Yes or no, by the rates.

        Raises:
            ApprovalError: nobody has told what is right for this call; it does not run.
        """
        action = request.action
        task = self._tasks.get(action.id)
        if task is None:
            raise ApprovalError(
                f"The simulated reviewer does not know what is right for {action.tool_name!r}:"
                " tell it by learn(task), with the id of the call."
            )
        random = Random(f"{self._seed}/{task.number}")
        is_wrong = action.digest != task.digest
        notices = random.random() < (self.catch_rate if is_wrong else self.false_alarm_rate)
        took = self.latency_ms * math.exp(random.gauss(0, self.latency_sigma))
        return Decision(
            action_id=action.id,
            approved=not notices,
            reason="It does not look right" if notices else "It looks right",
            by=self._by,
            latency_ms=took,
        )
