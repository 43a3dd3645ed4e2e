"""Names that are imported when they are first used: who needs no extra needs none installed."""

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any


def attribute(module: str, homes: Mapping[str, str], name: str) -> Any:
    """What `module.name` is; it is set there, so that it is looked up once.

    Args:
        module: the module that is asked.
        homes: where each of its names lives.
        name: the name.

    Raises:
        AttributeError: the module has no such name.
    """
    if name not in homes:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    value = getattr(import_module(homes[name]), name)
    setattr(sys.modules[module], name, value)
    return value
