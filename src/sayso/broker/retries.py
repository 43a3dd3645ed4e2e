"""What becomes of a job after a try: pure, but for the chance that is handed in."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import msgspec

from sayso.channels.base import Receipt
from sayso.domain.jobs import RETRY_SECONDS, Job, JobState

JITTER = 0.2
"""A pause is so much shorter or longer, so that what failed together does not return together."""
MAX_RETRY_AFTER = 86_400.0
"""A target's own wish counts up to a day."""


def settled(
    job: Job,
    receipt: Receipt,
    now: datetime,
    *,
    schedule: Sequence[float] = RETRY_SECONDS,
    chance: Callable[[], float],
) -> Job:
    """The job after one try: done, waiting for the next one, or dead.

    Args:
        job: as claimed.
        receipt: what came of the try.
        now: when it ended.
        schedule: seconds before each further try.
        chance: a random number in [0, 1).
    """
    if receipt.ok:
        return msgspec.structs.replace(
            job, state=JobState.DONE, status=receipt.status, error="", finished_at=now
        )
    tried = msgspec.structs.replace(
        job, failures=job.failures + 1, status=receipt.status, error=receipt.error
    )
    if receipt.gone or receipt.hopeless or tried.failures > len(schedule):
        return given_up(tried, receipt.error, now)
    pause = schedule[tried.failures - 1] * (1 - JITTER + 2 * JITTER * chance())
    wish = min(receipt.retry_after or 0.0, MAX_RETRY_AFTER)
    return put_back(tried, now + timedelta(seconds=max(pause, wish)))


def given_up(job: Job, reason: str, now: datetime) -> Job:
    """The job, dead: kept until it is replayed or deleted."""
    return msgspec.structs.replace(job, state=JobState.DEAD, error=reason, finished_at=now)


def put_back(job: Job, due_at: datetime) -> Job:
    """The job, waiting: this by itself counts as no failure."""
    return msgspec.structs.replace(job, state=JobState.WAITING, due_at=due_at)
