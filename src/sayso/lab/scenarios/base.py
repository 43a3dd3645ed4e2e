"""The port of scenarios: tasks that are drawn, tools that do them, and whether they were done."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from random import Random
from typing import Any, Self

from msgspec import Struct

from sayso.domain.actions import Action, RiskClass
from sayso.errors import ConfigurationError
from sayso.lab.checks import check_whole
from sayso.types import JsonObject


class ScenarioConfig(Struct, frozen=True):
    """What a scenario is called, and what is usual in it.

    Raises:
        ValueError: `actions_per_trial` is no whole number, or less than one.
    """

    scenario_id: str
    name: str
    description: str = ""
    expected_tool: str = ""
    expected_args: JsonObject = {}
    risk_class: RiskClass | None = RiskClass.LOW
    side_effects: tuple[str, ...] | list[str] = ()
    seed: int | None = None
    """Of the tasks, where the scenario is used by itself; in an experiment each trial has its
    own."""
    extra: JsonObject = {}
    actions_per_trial: int = 1
    """How many tasks the agent has in one trial, one after the other."""

    def __post_init__(self) -> None:
        check_whole(self.actions_per_trial, "actions_per_trial", least=1)


class ValidationResult(Struct, frozen=True):
    """Whether what ran was the task."""

    success: bool
    reason: str = ""
    details: JsonObject = {}


class Scenario(ABC):
    """A little world in which an agent has tasks.

    A trial is played in a copy of its own (`fresh`): a task is drawn (`generate_action`), it is
    proposed as it is or made wrong, and if it ran, `validate_result` compares what happened with
    the task. So scenarios need no list of what is bad: all that is not the task is.

    What a trial calls may be a coroutine, but for `fresh`, `reset` and `other_value`, which are
    refused then.

    Args:
        config: what it is called, and what is usual in it.
    """

    on_llm_call: Callable[..., None] | None = None
    """Who is told of calls of a model; set by whoever runs it."""

    def __init__(self, config: ScenarioConfig) -> None:
        self.config = config
        self.random = Random(config.seed)
        """What tasks are drawn from."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What it is called."""

    @abstractmethod
    def get_tools(self) -> dict[str, Callable[..., Any]]:
        """The tools by name, with or without `async`.

        A tool has failed if it raises, or returns an object whose `success` is False and whose
        `error` tells why.
        """

    @abstractmethod
    def generate_action(self, correct: bool = True) -> Action:
        """Draw the next task, as the action that does it.

        Args:
            correct: False returns, of the drawn task, an action that is known to be wrong.
        """

    @abstractmethod
    def validate_result(self, result: Any) -> ValidationResult:
        """Whether the task that was drawn last was done, and nothing else.

        Args:
            result: what the tool returned.
        """

    def get_initial_state(self) -> JsonObject:
        """What a graph may begin with: `scenario_id` and no `messages`."""
        return {"scenario_id": self.config.scenario_id, "messages": []}

    def get_task_description(self) -> str:
        """What the agent was told to do, for people who are asked to see."""
        return self.config.description

    def other_value(self, name: str, value: Any, random: Random) -> Any:
        """A wrong recipient, id or amount for an injected error, if this world knows a better one.

        Never a coroutine. By default None: then it is made to look like the right one.

        Args:
            name: the argument's; with what it stands in, if that is an object: `customer.id`.
            value: the right one.
            random: what to draw from, so that a trial can be repeated.
        """
        del name, value, random

    def fresh(self, seed: int | str) -> Self:
        """A copy for one trial that draws from `seed` and shares nothing that changes.

        By default a deep copy, which is `reset`. A scenario that holds what cannot be copied, such
        as a connection, makes its copies itself.

        Raises:
            ConfigurationError: it cannot be copied.
        """
        try:
            trial = copy.deepcopy(self)
        except Exception as error:
            raise ConfigurationError(
                f"The scenario {self.name!r} cannot be copied for a trial: {error}.",
                hint="Define fresh(seed), which returns a scenario of its own for each trial.",
            ) from error
        trial.random = Random(seed)
        trial.reset()
        return trial

    def reset(self) -> None:  # noqa: B027  most keep nothing
        """Forget what was done."""

    def close(self) -> None:  # noqa: B027  most hold nothing
        """Let go of files and connections."""

    def log_llm_call(self, **told: Any) -> None:
        """A model was asked; in a trial it is kept with the run.

        Args:
            told: as `TelemetryLogger.log_llm_call` takes it: `tokens_in`, `tokens_out`, ...
        """
        if self.on_llm_call is not None:
            self.on_llm_call(**told)
