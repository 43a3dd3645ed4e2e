"""Packages that are loaded when they are first needed: a server is smaller without them until then.

That they are installed is looked at when the server starts all the same.
"""

import asyncio
import logging
from importlib import import_module
from importlib.util import find_spec

from sayso.errors import BackendError, MissingExtraError

log = logging.getLogger(__name__)
_loaded: set[str] = set()
_broken: set[str] = set()
"""Of these the log has told."""


def require(package: str, extra: str) -> None:
    """That a package is there, without loading it.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        found = find_spec(package)
    except (ImportError, ValueError) as error:  # whatever finds packages here refuses this one
        raise MissingExtraError(package, extra) from error
    if found is None:
        raise MissingExtraError(package, extra)


async def loaded(module: str) -> None:
    """Load a module in a thread, if nobody has: that takes so long that waits would be late.

    Raises:
        BackendError: it is there and cannot be loaded, as when a package that it needs is not; the
            next call tries again.
    """
    if module in _loaded:
        return
    try:
        await asyncio.to_thread(import_module, module)
    except ImportError as error:
        broken = BackendError(
            f"{module!r} cannot be loaded: {error}.",
            hint="Where the server runs: pip install --force-reinstall 'sayso[server]'",
        )
        if module not in _broken:
            log.error("%s", broken)
            _broken.add(module)
        raise broken from error
    _loaded.add(module)
