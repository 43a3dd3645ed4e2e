"""A time as messages tell it."""

from datetime import UTC, datetime


def shown_time(at: datetime) -> str:
    """ISO 8601 in UTC, to the second."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
