"""The gate: propose, ask, decide, check, run, written down once.

gate        Gate: run, run_sync, check, and the decorator
road        what is done in which order, and what is checked between; no I/O
tools       a function as a tool: its arguments shown, and typed back
local       an approver in this process, around one backend
memory      verdicts by key, and what each run has shown
portal      from code without an event loop to code with one
ports       what the gate needs of others: an approver or a backend, and telemetry
"""

from sayso.gate.gate import Gate
from sayso.gate.local import LocalApprover
from sayso.gate.ports import (
    ApprovalBackend,
    ApprovalCancelledError,
    ApprovalError,
    ApprovalTimeoutError,
    Approver,
    SyncApprover,
    Telemetry,
)

__all__ = [
    "ApprovalBackend",
    "ApprovalCancelledError",
    "ApprovalError",
    "ApprovalTimeoutError",
    "Approver",
    "Gate",
    "LocalApprover",
    "SyncApprover",
    "Telemetry",
]
