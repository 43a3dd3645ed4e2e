"""The gate: propose, ask, decide, check, run, written down once.

ports       what it needs of others: an approver or a backend, and telemetry
"""

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
    "SyncApprover",
    "Telemetry",
]
