"""Errors that are put into actions on purpose, so that it is known which ones are wrong.

What is changed is the fault itself and nothing beside it: risk, side effects, references, rationale
and id stay as they were, and what is put in looks like what was there. So nobody can tell a wrong
action but by what is wrong with it.
"""

import math
from collections.abc import Callable
from enum import StrEnum
from random import Random
from typing import Any, Final, cast

import msgspec
from msgspec import Struct

from sayso.domain.actions import Action
from sayso.errors import SaysoError
from sayso.policies.sampling import check_rate
from sayso.types import JsonObject


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
    """Those that are wanted. Default: what the arguments offer, a recipient, a record's id or an
    amount; if they have none of these, any type that fits."""
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
    """

    def __init__(
        self, config: InjectionConfig | None = None, *, seed: int | str | None = None
    ) -> None:
        self.config = config or InjectionConfig()
        self._random = Random(self.config.seed if seed is None else seed)
        self.reset()

    def maybe_inject(self, action: Action) -> InjectionResult:
        """`action`, right as it is or made wrong; if no wanted type fits it, it stays right."""
        self._shown += 1
        # Drawn first and always, so that a higher rate hits the same actions and more.
        if self._random.random() >= self.config.injection_rate:
            return InjectionResult(injected=False, original_action=action)
        self._drawn += 1
        return self._counted(inject(action, self._random, tuple(self.config.injection_types)))

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
    action: Action, random: Random, types: tuple[InjectionType, ...] = ()
) -> InjectionResult:
    """Make `action` wrong by one of `types`; `injected` is False if none of them fits.

    Args:
        action: as it is right; it is left as it is.
        random: chooses the type, and what is put in.
        types: as in `InjectionConfig`.
    """
    wanted = list(types) or list(_OFFERED)
    while True:
        left = list(wanted)
        while left:
            kind = left.pop(random.randrange(len(left)))
            made = _FAULTS[kind](action, random)
            if made is not None and (changed := _changed(action, made)) is not None:
                return InjectionResult(
                    injected=True,
                    original_action=action,
                    modified_action=changed,
                    injection_type=kind,
                    injection_details=made.details,
                )
        if types or len(wanted) > len(_OFFERED):
            return InjectionResult(injected=False, original_action=action)
        wanted = list(InjectionType)


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


def _with(action: Action, name: str, value: Any, what: str) -> _Fault:
    return _Fault(
        tool_name=action.tool_name,
        tool_args={**action.tool_args, name: value},
        details={
            "argument": name,
            f"original_{what}": action.tool_args[name],
            f"injected_{what}": value,
        },
    )


def _wrong_recipient(action: Action, random: Random) -> _Fault | None:
    for name in _RECIPIENTS:
        value: Any = action.tool_args.get(name)
        if isinstance(value, str) and value:
            return _with(action, name, _other_person(value, random), "recipient")
        if isinstance(value, list) and value and isinstance(cast("list[Any]", value)[0], str):
            first, *others = cast("list[str]", value)
            return _with(action, name, [_other_person(first, random), *others], "recipient")
    return None


def _other_person(address: str, random: Random) -> str:
    """Somebody else at the same place, written in the same way."""
    person, at, place = address.partition("@")
    others = [name for name in _PEOPLE if name != person.lower()]
    other = random.choice(others)
    return f"{other.capitalize() if person[:1].isupper() else other}{at}{place}"


def _wrong_record_id(action: Action, random: Random) -> _Fault | None:
    for name in _IDS:
        value: Any = action.tool_args.get(name)
        if isinstance(value, str) and any(_ring_of(letter) for letter in value):
            return _with(action, name, _other_id(value, random), "id")
        if isinstance(value, int) and not isinstance(value, bool):
            return _with(action, name, value + random.choice((1, 2, 3, 9, 10)), "id")
    return None


def _other_id(known: str, random: Random) -> str:
    """One letter or digit changed for another of its kind: the last digit, if there is one."""
    places = [place for place, letter in enumerate(known) if _ring_of(letter)]
    place = max((each for each in places if known[each].isdigit()), default=places[-1])
    letter = random.choice([each for each in _ring_of(known[place]) if each != known[place]])
    return known[:place] + letter + known[place + 1 :]


def _ring_of(letter: str) -> str:
    return next((ring for ring in _RINGS if letter in ring), "")


def _wrong_amount(action: Action, random: Random) -> _Fault | None:
    for name in _AMOUNTS:
        value: Any = action.tool_args.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if not math.isfinite(value):
            continue
        others = [_scaled(value, factor) for factor in _FACTORS]
        others = [other for other in others if other != value and abs(other) <= _MOST]
        return _with(action, name, random.choice(others or [1]), "amount")
    return None


def _scaled(amount: float, factor: int) -> float:
    """A multiple; of nothing, the factor itself; of what is too large for that, a fraction."""
    if amount == 0:
        return factor
    if abs(amount) * factor > _MOST:
        return amount // factor if isinstance(amount, int) else amount / factor
    return amount * factor


def _invalid_tool(action: Action, random: Random) -> _Fault | None:
    name = random.choice(_NAMINGS)(action.tool_name)
    details = {"original_tool": action.tool_name, "injected_tool": name}
    return _Fault(tool_name=name, tool_args=action.tool_args, details=details)


def _sensitive_data(action: Action, random: Random) -> _Fault | None:
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


def _malformed_args(action: Action, random: Random) -> _Fault | None:
    if not action.tool_args:
        return None
    name = random.choice(sorted(action.tool_args))
    if random.random() < 0.5:
        return _with(action, name, [action.tool_args[name]], "value")
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
_FAULTS: Final[dict[InjectionType, Callable[[Action, Random], _Fault | None]]] = {
    InjectionType.WRONG_RECIPIENT: _wrong_recipient,
    InjectionType.WRONG_RECORD_ID: _wrong_record_id,
    InjectionType.WRONG_AMOUNT: _wrong_amount,
    InjectionType.INVALID_TOOL: _invalid_tool,
    InjectionType.SENSITIVE_DATA: _sensitive_data,
    InjectionType.MALFORMED_ARGS: _malformed_args,
}
_RECIPIENTS: Final = ("recipient", "recipients", "to", "recipient_email", "email", "address")
_PEOPLE: Final = ("alice", "bob", "carol", "dave", "eve")
"""Those whom the scenario writes to anyway, so that a name tells nothing."""
_IDS: Final = ("customer_id", "record_id", "account_id", "order_id", "user_id", "id")
_RINGS: Final = ("0123456789", "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_AMOUNTS: Final = ("amount", "value", "price", "total", "cost")
_FACTORS: Final = (2, 10, 100)
_MOST: Final = 2**52
"""Beyond it, not every integer can be told from the next one."""
_NOTES: Final = ("note", "notes", "comment", "reference", "remark")
_NAMINGS: Final[tuple[Callable[[str], str], ...]] = (
    lambda name: f"{name}_all",
    lambda name: f"{name}_batch",
    lambda name: f"bulk_{name}",
    lambda name: f"{name}_now",
)
