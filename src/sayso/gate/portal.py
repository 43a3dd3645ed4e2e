"""From code without an event loop to code with one: a loop in a thread, for the whole process.

It works in a script, in a thread, in a notebook and inside a running loop, since it never touches
the caller's own.
"""

import asyncio
import contextvars
import threading
from collections.abc import Coroutine
from concurrent.futures import Future, wait
from functools import partial
from typing import Any, TypeVar

from sayso.errors import UsageError

T = TypeVar("T")

CLEANING_SECONDS = 5.0
"""How long Ctrl-C waits for what it called off to clean up."""

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
    came: Future[T] = Future()
    tasks: list[asyncio.Task[T]] = []

    def start() -> None:
        tasks.append(loop.create_task(work))
        tasks[0].add_done_callback(partial(_pass_on, came))

    def stop() -> None:
        tasks[0].cancel()

    loop.call_soon_threadsafe(start, context=contextvars.copy_context())  # such as its span
    try:
        return came.result()
    except BaseException:
        if not came.done():
            loop.call_soon_threadsafe(stop)
            wait([came], CLEANING_SECONDS)  # such as a terminal that is given back
        raise


def _pass_on(came: Future[T], task: asyncio.Task[T]) -> None:
    """What the task came to, for whoever waits in another thread."""
    if task.cancelled():
        came.set_exception(asyncio.CancelledError())
    elif (error := task.exception()) is not None:
        came.set_exception(error)
    else:
        came.set_result(task.result())


def _running() -> asyncio.AbstractEventLoop:
    global _loop, _thread  # noqa: PLW0603  one for the process, made when first needed
    with _lock:
        if _loop is None or _thread is None or not _thread.is_alive():  # after a fork it is not
            _loop = asyncio.new_event_loop()
            _thread = threading.Thread(target=_loop.run_forever, name="sayso-gate", daemon=True)
            _thread.start()
        return _loop
