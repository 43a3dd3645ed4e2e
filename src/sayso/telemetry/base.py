"""The port: where a trace is kept. One thread calls a sink, from opening to closing."""

from collections.abc import Sequence
from typing import Protocol

from sayso.domain.traces import TraceEvent, TraceEventType

SCHEMA_VERSION = 1
"""Of tables and lines; told in the database, so that another version does not misread it."""


class Sink(Protocol):
    """Keeps events in the order in which it is given them.

    Making one opens it, and raises `ConfigurationError` if it cannot be used and `StoreError` if it
    cannot be reached.
    """

    def write(self, lines: list[bytes]) -> None:
        """Keep these events, all or none: each is one line of JSON without its end.

        What is kept although the rest is not is taken out of `lines`.

        Raises:
            StoreError: not now; the same may be tried again, and nothing is there twice then.
            Exception: anything else means that one of these events cannot be kept.
        """
        ...

    def events(
        self,
        *,
        run_ids: Sequence[str] | None = None,
        types: Sequence[TraceEventType] = (),
        limit: int | None = None,
    ) -> list[TraceEvent]:
        """The events of these runs (None: of all), of these types (none named: all), oldest first.

        Args:
            run_ids: the empty string is an id like any other; an empty sequence is no run at all.
            types: all that are wanted.
            limit: the first so many; 0 is none, None is all.

        Raises:
            StoreError: they cannot be read now.
        """
        ...

    def close(self) -> None:
        """Let go of the file or connection."""
        ...
