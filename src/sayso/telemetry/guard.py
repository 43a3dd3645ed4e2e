"""What keeps a telemetry from failing its caller."""

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")


class Noting(Protocol):
    """Counts failures, and tells of them."""

    def note_failure(self, error: Exception) -> None:
        """Something could not be told."""
        ...


S = TypeVar("S", bound=Noting)


def never_raising(method: Callable[Concatenate[S, P], None]) -> Callable[Concatenate[S, P], None]:
    """Have what goes wrong in `method` noted, since whoever logs has other worries."""

    @functools.wraps(method)
    def logged(self: S, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            method(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001  a gate goes on
            self.note_failure(error)

    return logged
