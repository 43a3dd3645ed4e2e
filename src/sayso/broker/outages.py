"""What goes on failing is told once when it begins, and once when it is over."""

import logging

from sayso.errors import BackendError, BusyError

STORE_ERRORS = (BackendError, BusyError)
"""What passes when the store is back: no mistake of ours."""


class Outage:
    """One thing that waits for the store, now and then.

    Args:
        log: where it is told.
        what: it, in the plural, as in `deadlines`.
    """

    def __init__(self, log: logging.Logger, what: str) -> None:
        self._log = log
        self._what = what
        self.failures = 0
        """How many tries have failed since it last went well."""

    def failed(self, error: Exception) -> None:
        """One more try failed; the first of them is told."""
        self.failures += 1
        if self.failures == 1:
            self._log.error("%s wait for the store: %s", self._what, error)
        else:
            self._log.debug("%s still wait for the store: %s", self._what, error)

    def over(self) -> None:
        """A try went well; told if the one before had failed."""
        if self.failures:
            self._log.warning("%s go on, after %d failed tries", self._what, self.failures)
            self.failures = 0
