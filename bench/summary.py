"""Many times as two figures."""

from collections.abc import Collection


def percentiles(took: Collection[float]) -> dict[str, float]:
    """The median and the 99th percentile of some seconds, in milliseconds."""
    if not took:
        return {}
    ordered = sorted(took)
    return {
        "p50_ms": ordered[len(ordered) // 2] * 1000,
        "p99_ms": ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] * 1000,
    }
