"""Packages that are loaded when they are first needed: a server is smaller without them until then.

That they are installed is looked at when the server starts all the same.
"""

import asyncio
from importlib import import_module
from importlib.util import find_spec

from sayso.errors import MissingExtraError

_loaded: set[str] = set()


def require(package: str, extra: str) -> None:
    """That a package is there, without loading it.

    Raises:
        MissingExtraError: it is not installed.
    """
    if find_spec(package) is None:
        raise MissingExtraError(package, extra)


async def loaded(module: str) -> None:
    """Load a module in a thread, if nobody has: that takes so long that waits would be late."""
    if module not in _loaded:
        await asyncio.to_thread(import_module, module)
        _loaded.add(module)
