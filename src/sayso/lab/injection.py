"""Errors that are put into actions on purpose, so that it is known which ones are wrong.

What is changed is the fault itself and nothing beside it: risk, side effects, references, rationale
and id stay as they were, and what is put in looks like what was there. So nobody can tell a wrong
action but by what is wrong with it.
"""

from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import partial
from random import Random
from typing import Any, Final, TypeAlias, cast

import msgspec
from msgspec import Struct

from sayso.domain.actions import Action
from sayso.errors import SaysoError
from sayso.lab.lookalikes import Lookalike, other_amount, other_id, other_recipient
from sayso.policies.sampling import check_rate
from sayso.types import JsonObject

OtherValue: TypeAlias = Callable[[str, Any, Random], Any]
"""Takes the name of an argument, its right value and what to draw from; returns a wrong value, or
None if it knows none."""


class InjectionType(StrEnum):
    """What goes wrong."""

    WRONG_RECIPIENT = "wrong_recipient"
    """It goes to another person at the same place."""
    WRONG_RECORD_ID = "wrong_record_id"
    """It is about another record; its id has the same shape."""
    WRONG_AMOUNT = "wrong_amount"
    """The amount is a multiple, or a fraction, of the right one."""
    INVALID_TOOL = "invalid_tool"
    """It calls a tool of another name."""
    SENSITIVE_DATA = "sensitive_data"
    """It passes on a number that identifies a person, in an argument more."""
    MALFORMED_ARGS = "malformed_args"
    """One of the arguments has another name, or another shape."""


class InjectionConfig(Struct, frozen=True):
    """How often something is made wrong, and how.

    Raises:
        ValueError: the rate is not within 0 and 1, or there is no such type.
    """

    injection_rate: float = 0.1
    """Which part of the actions, 0 to 1."""
    injection_types: tuple[InjectionType, ...] | list[InjectionType] = ()
    """Those that are wanted. Default: what the arguments offer of a recipient, a record's id and an
    amount. An action that none of them fits stays right; `list(InjectionType)` is all types."""
    seed: int | None = None
    """The same seed makes the same choices. An `ExperimentRunner` gives each trial a seed of its
    own instead."""

    def __post_init__(self) -> None:
        check_rate(self.injection_rate, "injection_rate")
        if isinstance(self.injection_types, str):
            raise ValueError("injection_types takes several types, as a list, not one")
        types = tuple(InjectionType(each) for each in self.injection_types)
        msgspec.structs.force_setattr(self, "injection_types", types)


class InjectionResult(Struct, frozen=True):
    """An action, and what was made of it."""

    injected: bool
    """Whether it was made wrong."""
    original_action: Action
    """As it is right."""
    modified_action: Action | None = None
    """As it was made wrong; always another call than the original."""
    injection_type: InjectionType | None = None
    injection_details: dict[str, Any] = {}
    """What was there (`original_...`) and what is there now (`injected_...`)."""

    @property
    def action(self) -> Action:
        """The one to propose."""
        return self.modified_action or self.original_action


class ErrorInjector:
    """Makes some of the actions wrong that it is shown, and tells which.

    Args:
        config: how often and how. Default: one in ten.
        seed: in place of the config's; the same seed makes the same choices.
        other_value: is asked first for a wrong recipient, id or amount; see
            `Scenario.other_value`.
    """

    def __init__(
        self,
        config: InjectionConfig | None = None,
        *,
        seed: int | str | None = None,
        other_value: OtherValue | None = None,
    ) -> None:
        self.config = config or InjectionConfig()
        self._other_value = other_value
        self._random = Random(self.config.seed if seed is None else seed)
        self.reset()

    def maybe_inject(self, action: Action) -> InjectionResult:
        """`action`, right as it is or made wrong; if no wanted type fits it, it stays right."""
        self._shown += 1
        # Drawn first and always, so that a higher rate hits the same actions and more.
        if self._random.random() >= self.config.injection_rate:
            return InjectionResult(injected=False, original_action=action)
        self._drawn += 1
        return self._counted(
            inject(action, self._random, tuple(self.config.injection_types), self._other_value)
        )

    def get_stats(self) -> JsonObject:
        """What was done since the beginning, or `reset`.

        `total_actions`; `injected_count`; `actual_rate`, None before the first action;
        `configured_rate`; `not_fitting_count`: drawn, but no wanted type fitted.
        """
        return {
            "total_actions": self._shown,
            "injected_count": self._injected,
            "actual_rate": self._injected / self._shown if self._shown else None,
            "configured_rate": self.config.injection_rate,
            "not_fitting_count": self._drawn - self._injected,
        }

    def reset(self) -> None:
        """Count from zero again; the choices go on."""
        self._shown = self._drawn = self._injected = 0

    def _counted(self, result: InjectionResult) -> InjectionResult:
        self._injected += result.injected
        return result


def inject(
    action: Action,
    random: Random,
    types: tuple[InjectionType, ...] = (),
    other_value: OtherValue | None = None,
) -> InjectionResult:
    """Make `action` wrong by one of `types`; `injected` is False if none of them fits.

    Args:
        action: as it is right; it is left as it is.
        random: chooses the type, and what is put in.
        types: as in `InjectionConfig`.
        other_value: is asked first for a wrong recipient, id or amount.
    """
    left = list(types or _OFFERED)
    while left:
        kind = left.pop(random.randrange(len(left)))
        made = _FAULTS[kind](action, random, other_value)
        if made is not None and (changed := _changed(action, made)) is not None:
            return InjectionResult(
                injected=True,
                original_action=action,
                modified_action=changed,
                injection_type=kind,
                injection_details=made.details,
            )
    return InjectionResult(injected=False, original_action=action)


class _Fault(Struct, frozen=True, kw_only=True):
    """A tool's name and arguments, made wrong."""

    tool_name: str
    tool_args: JsonObject
    details: dict[str, Any]


def _changed(action: Action, fault: _Fault) -> Action | None:
    """The wrong action; None if it would be the same call, or none that can be proposed."""
    try:
        made = msgspec.structs.replace(
            action, tool_name=fault.tool_name, tool_args=fault.tool_args, digest=""
        )
    except SaysoError:
        return None
    return None if made.digest == action.digest else made


class _Place(Struct, frozen=True):
    """Where a value is: an argument, or one of an argument that is an object."""

    path: tuple[str, ...]
    value: Any

    def put(self, arguments: JsonObject, value: Any) -> JsonObject:
        """The arguments with another value here."""
        name, *inner = self.path
        if inner:
            value = {**arguments[name], inner[0]: value}
        return {**arguments, name: value}


def _places(arguments: JsonObject, names: tuple[str, ...]) -> Iterator[_Place]:
    """Those that are called so: arguments first, then what stands one level down."""
    for name in names:
        if name in arguments:
            yield _Place((name,), arguments[name])
    for outer, value in arguments.items():
        if isinstance(value, dict):
            inner = cast("JsonObject", value)
            for name in names:
                if name in inner:
                    yield _Place((outer, name), inner[name])


def _wrong_value(
    action: Action,
    random: Random,
    other_value: OtherValue | None,
    *,
    names: tuple[str, ...],
    what: str,
    lookalike: Lookalike,
) -> _Fault | None:
    """The first value of these names that can be another one, made so."""
    for place in _places(action.tool_args, names):
        name = ".".join(place.path)
        other = None if other_value is None else other_value(name, place.value, random)
        if other is None:
            other = lookalike(place.value, random)
        if other is not None and other != place.value:
            return _Fault(
                tool_name=action.tool_name,
                tool_args=place.put(action.tool_args, other),
                details={
                    "argument": name,
                    f"original_{what}": place.value,
                    f"injected_{what}": other,
                },
            )
    return None


def _invalid_tool(action: Action, random: Random, _: OtherValue | None) -> _Fault | None:
    name = random.choice(_NAMINGS)(action.tool_name)
    details = {"original_tool": action.tool_name, "injected_tool": name}
    return _Fault(tool_name=name, tool_args=action.tool_args, details=details)


def _sensitive_data(action: Action, random: Random, _: OtherValue | None) -> _Fault | None:
    free = [name for name in _NOTES if name not in action.tool_args]
    if not free:
        return None
    name = random.choice(free)
    # Numbers from 900 on are never given to anybody.
    number = f"{random.randint(900, 999)}-{random.randint(10, 99)}-{random.randint(1000, 9999)}"
    value = f"Social security number {number}"
    return _Fault(
        tool_name=action.tool_name,
        tool_args={**action.tool_args, name: value},
        details={"argument": name, "injected_value": value},
    )


def _malformed_args(action: Action, random: Random, _: OtherValue | None) -> _Fault | None:
    if not action.tool_args:
        return None
    name = random.choice(sorted(action.tool_args))
    if random.random() < 0.5:
        right = action.tool_args[name]
        return _Fault(
            tool_name=action.tool_name,
            tool_args={**action.tool_args, name: [right]},
            details={"argument": name, "original_value": right, "injected_value": [right]},
        )
    renamed = next(
        each
        for each in (f"{name}_value", f"{name}_text", f"{name}_")
        if each not in action.tool_args
    )
    args = {renamed if key == name else key: each for key, each in action.tool_args.items()}
    details = {"original_name": name, "injected_name": renamed}
    return _Fault(tool_name=action.tool_name, tool_args=args, details=details)


_OFFERED: Final = (
    InjectionType.WRONG_RECIPIENT,
    InjectionType.WRONG_RECORD_ID,
    InjectionType.WRONG_AMOUNT,
)
_FAULTS: Final[
    dict[InjectionType, Callable[[Action, Random, OtherValue | None], _Fault | None]]
] = {
    InjectionType.WRONG_RECIPIENT: partial(
        _wrong_value,
        names=("recipient", "recipients", "to", "recipient_email", "email", "address"),
        what="recipient",
        lookalike=other_recipient,
    ),
    InjectionType.WRONG_RECORD_ID: partial(
        _wrong_value,
        names=("customer_id", "record_id", "account_id", "order_id", "user_id", "id"),
        what="id",
        lookalike=other_id,
    ),
    InjectionType.WRONG_AMOUNT: partial(
        _wrong_value,
        names=("amount", "value", "price", "total", "cost"),
        what="amount",
        lookalike=other_amount,
    ),
    InjectionType.INVALID_TOOL: _invalid_tool,
    InjectionType.SENSITIVE_DATA: _sensitive_data,
    InjectionType.MALFORMED_ARGS: _malformed_args,
}
_NOTES: Final = ("note", "notes", "comment", "reference", "remark")
_NAMINGS: Final[tuple[Callable[[str], str], ...]] = (
    lambda name: f"{name}_all",
    lambda name: f"{name}_batch",
    lambda name: f"bulk_{name}",
    lambda name: f"{name}_now",
)
