"""Programs under test, run beside the test."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Beside(Generic[T]):
    """Runs `work` in a thread, so that the test can decide meanwhile."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._result: T
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result = self._work()
        except BaseException as error:  # noqa: BLE001  told to whoever asks for the result
            self._error = error

    def result(self, seconds: float = 60) -> T:
        """What it returned, or the error that it raised."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "It still runs."
        if self._error is not None:
            raise self._error
        return self._result
