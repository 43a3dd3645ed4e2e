"""What is looked at when an experiment is made, so that it does not fail in the middle."""

import inspect
from collections.abc import Iterator
from random import Random, SystemRandom
from typing import Any, cast

from sayso.policies import Policy


def check_whole(value: Any, name: str, least: int | None = None) -> None:
    """Refuse what is no whole number; True and False are none.

    Raises:
        ValueError: it is not, or less than `least`.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name} must be a whole number, and not {value!r}")
    if least is not None and value < least:
        raise ValueError(f"{name} must be at least {least}")


def check_name(value: Any, name: str) -> None:
    """Refuse what is no text to tell things apart by.

    Raises:
        ValueError: it is no text, has nothing but spaces, or cannot be written as UTF-8.
    """
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a text, and not {value!r}")
    if not value.strip():
        raise ValueError(f"{name} must not be empty")
    value.encode()


def is_coroutine(thing: object, method: str) -> bool:
    """Whether this method would have to be awaited."""
    return inspect.iscoroutinefunction(getattr(thing, method, None))


def generators_in(thing: object, besides: str = "") -> Iterator[str]:
    """The attributes that hold a `random.Random`: a copy of one draws what the other draws.

    Args:
        thing: a scenario, or a policy; policies that it holds are looked at, too.
        besides: an attribute that is left out.
    """
    held: dict[str, Any] = getattr(thing, "__dict__", {})
    for name, value in held.items():
        if name == besides:
            continue
        parts: list[Any] = [value]
        if isinstance(value, list | tuple):
            parts = list(cast("list[Any]", value))
        for part in parts:
            if isinstance(part, Random) and not isinstance(part, SystemRandom):
                yield name
            elif isinstance(part, Policy) and not callable(getattr(part, "fresh", None)):
                yield from (f"{name}.{inner}" for inner in generators_in(part))
