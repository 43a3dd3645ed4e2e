"""One telemetry that passes on to several."""

import logging
from typing import Any

from sayso.domain.actions import Action
from sayso.domain.approvals import ApprovalRequest
from sayso.domain.decisions import Decision
from sayso.domain.traces import ToolResult
from sayso.types import JsonObject

log = logging.getLogger("sayso.telemetry")


class Several:
    """Tells each of `telemetries`, in order; one that fails does not keep it from the others.

    Each failure is counted in `errors`, and the first of each told by the log `sayso.telemetry`.
    """

    def __init__(self, *telemetries: Any) -> None:
        self._telemetries = telemetries
        self._told: set[int] = set()
        self.errors = 0

    def log_action_proposed(
        self, run_id: str, action: Action, injected_error: bool = False
    ) -> None:
        """An agent wants to act."""
        self._pass_on("log_action_proposed", run_id, action, injected_error)

    def log_approval_requested(
        self, run_id: str, request: ApprovalRequest, channel: str = "unknown"
    ) -> None:
        """Somebody is asked."""
        self._pass_on("log_approval_requested", run_id, request, channel)

    def log_approval_decided(
        self, run_id: str, decision: Decision, channel: str = "unknown"
    ) -> None:
        """It was decided, by a person or by the policy."""
        self._pass_on("log_approval_decided", run_id, decision, channel)

    def log_tool_execution_start(self, run_id: str, action: Action) -> None:
        """The tool begins, with exactly these arguments."""
        self._pass_on("log_tool_execution_start", run_id, action)

    def log_tool_execution_end(self, run_id: str, result: ToolResult) -> None:
        """The tool is done, or failed."""
        self._pass_on("log_tool_execution_end", run_id, result)

    def log_error(self, run_id: str, error: Exception, context: JsonObject | None = None) -> None:
        """Something failed that is not the tool."""
        self._pass_on("log_error", run_id, error, context)

    def log_request_found(self, run_id: str, action: Action, traceparent: str) -> None:
        """It was asked before, maybe by another process; for those that listen to that."""
        self._pass_on("log_request_found", run_id, action, traceparent)

    def _pass_on(self, method: str, *told: Any) -> None:
        for place, telemetry in enumerate(self._telemetries):
            if method == "log_request_found" and not hasattr(telemetry, method):  # few have it
                continue
            try:
                getattr(telemetry, method)(*told)
            except Exception:
                self.errors += 1
                if place not in self._told:
                    self._told.add(place)
                    log.exception("%s of %s failed", method, type(telemetry).__name__)
