"""hitloop.core.interfaces: what to write policies and backends from, and their errors."""

from sayso.gate.ports import (
    ApprovalBackend,
    ApprovalCancelledError,
    ApprovalError,
    ApprovalTimeoutError,
)
from sayso.policies import HITLPolicy

__all__ = [
    "ApprovalBackend",
    "ApprovalCancelledError",
    "ApprovalError",
    "ApprovalTimeoutError",
    "HITLPolicy",
]
