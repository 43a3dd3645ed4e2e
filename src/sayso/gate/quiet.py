"""Telemetry that fails disturbs nobody."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from sayso.gate.ports import Telemetry

log = logging.getLogger("sayso.gate")


class Quiet:
    """Passes on what it hears; what the listener raises is logged, and goes no further."""

    def __init__(self, telemetry: Telemetry) -> None:
        self.log_action_proposed = partial(_try, telemetry.log_action_proposed)
        self.log_approval_requested = partial(_try, telemetry.log_approval_requested)
        self.log_approval_decided = partial(_try, telemetry.log_approval_decided)
        self.log_tool_execution_start = partial(_try, telemetry.log_tool_execution_start)
        self.log_tool_execution_end = partial(_try, telemetry.log_tool_execution_end)
        self.log_error = partial(_try, telemetry.log_error)
        # Not part of the port, which other libraries' telemetries meet as it is.
        found = getattr(telemetry, "log_request_found", None)
        self.log_request_found = _nothing if found is None else partial(_try, found)


def _nothing(*_: Any) -> None:
    """Nobody listens."""


def _try(hear: Callable[..., None], *told: Any, **named: Any) -> None:
    try:
        hear(*told, **named)
    except Exception:  # whatever it is, the action goes its way
        log.exception("telemetry failed")
