"""When to try again, and after how long."""

from collections.abc import Callable, Mapping

import msgspec

from sayso.client.steps import Lost, Reply

_TRY_AGAIN = frozenset({429, 502, 503, 504})
_LONGEST_RETRY_AFTER = 60.0


class Retrying(msgspec.Struct, frozen=True, kw_only=True):
    """Pauses that double, with jitter, so that a crowd of clients does not return in step."""

    first_pause: float = 0.1  # seconds
    longest_pause: float = 5.0  # seconds: also how late a restarted server is noticed at worst
    chance: Callable[[], float]  # a random number in [0, 1)

    def pause(self, answer: Reply | Lost, failures: int) -> float | None:
        """Seconds until the next attempt, after so many failures before; None: this is final."""
        if isinstance(answer, Lost):
            return self.backoff(failures)
        if answer.status not in _TRY_AGAIN:
            return None
        return max(self.backoff(failures), _retry_after(answer.headers))

    def backoff(self, failures: int) -> float:
        """Seconds: half fixed, half chance."""
        pause = min(self.longest_pause, self.first_pause * 2 ** min(failures, 16))
        return pause * (0.5 + self.chance() / 2)


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds; a date, which Sayso servers do not send, counts as none."""
    try:
        seconds = float(headers.get("retry-after", "0"))
    except ValueError:
        return 0.0
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER)
