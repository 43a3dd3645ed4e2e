"""Which span asks, if the program tells of spans."""

import sys
from typing import Any

_API = "opentelemetry.trace"


def current_traceparent() -> str | None:
    """The current span of OpenTelemetry as a W3C `traceparent`; None without one.

    A program that tells of spans has imported the API, so nothing is imported here.
    """
    api: Any = sys.modules.get(_API)
    if api is None:
        return None
    span = api.get_current_span().get_span_context()
    if not span.is_valid:
        return None
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"
