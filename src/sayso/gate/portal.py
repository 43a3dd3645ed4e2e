"""From code without an event loop to code with one: a loop in a thread, for the whole process.

It works in a script, in a thread, in a notebook and inside a running loop, since it never touches
the caller's own.
"""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from sayso.errors import UsageError

T = TypeVar("T")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_thread: threading.Thread | None = None


def run(work: Coroutine[Any, Any, T]) -> T:
    """Carry out `work` in the background loop, and wait for it; Ctrl-C cancels it.

    Raises:
        UsageError: this is called from that loop itself, which would wait for itself for ever.
    """
    loop = _running()
    if threading.current_thread() is _thread:
        work.close()
        raise UsageError(
            "A synchronous call of the gate was made within its own event loop.",
            hint="Use the asynchronous one there: await gate.run(...).",
        )
    future = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def _running() -> asyncio.AbstractEventLoop:
    global _loop, _thread  # noqa: PLW0603  one for the process, made when first needed
    with _lock:
        if _loop is None or _thread is None or not _thread.is_alive():  # after a fork it is not
            _loop = asyncio.new_event_loop()
            _thread = threading.Thread(target=_loop.run_forever, name="sayso-gate", daemon=True)
            _thread.start()
        return _loop
