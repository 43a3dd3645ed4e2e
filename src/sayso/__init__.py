"""Sayso: agents act on your say-so.

    sayso.client    ask a server: Client, AsyncClient
    sayso.gate      a person in front of your tools: Gate, @gate.tool
    sayso.policies  is a person needed?        sayso.backends  who is asked, without a server
    sayso.domain    the nouns and the rules: actions, requests, decisions, the state machine
    sayso.broker    the engine: submit, decide, cancel, wait, find
    sayso.stores    where state lives          sayso.signals   who gets woken
    sayso.server    HTTP, live streams, inbox  sayso.cli       the command `sayso`
    sayso.errors    every error, as one tree   sayso.testing   contract suites, clocks, factories

This file re-exports what an agent's program needs, each name when it is first used, so that
`import sayso` costs nothing; no name here needs an extra.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sayso.version import __version__

if TYPE_CHECKING:
    from sayso.client import AsyncClient, Client, Event, WebhookMessage, verify_webhook
    from sayso.domain.actions import Action, RiskClass
    from sayso.domain.approvals import ApprovalRequest
    from sayso.domain.decisions import Decision, DecisionType
    from sayso.domain.requests import Kind, Option, Priority, Request, Status
    from sayso.errors import (
        BackendError,
        ConfigurationError,
        InvalidRequestError,
        NotApprovedError,
        NotFoundError,
        RefusedError,
        SaysoError,
        ServerError,
        UsageError,
    )
    from sayso.gate import ApprovalBackend, Gate
    from sayso.policies import (
        AlwaysApprovePolicy,
        AlwaysAskPolicy,
        AuditPlusEscalatePolicy,
        Effect,
        HITLPolicy,
        Policy,
        RiskBasedPolicy,
        Verdict,
    )
    from sayso.telemetry import TelemetryLogger

_HOMES = {
    "Action": "sayso.domain.actions",
    "AlwaysApprovePolicy": "sayso.policies",
    "AlwaysAskPolicy": "sayso.policies",
    "ApprovalBackend": "sayso.gate",
    "ApprovalRequest": "sayso.domain.approvals",
    "AsyncClient": "sayso.client",
    "AuditPlusEscalatePolicy": "sayso.policies",
    "BackendError": "sayso.errors",
    "Client": "sayso.client",
    "ConfigurationError": "sayso.errors",
    "Decision": "sayso.domain.decisions",
    "DecisionType": "sayso.domain.decisions",
    "Effect": "sayso.policies",
    "Event": "sayso.client",
    "Gate": "sayso.gate",
    "HITLPolicy": "sayso.policies",
    "InvalidRequestError": "sayso.errors",
    "Kind": "sayso.domain.requests",
    "NotApprovedError": "sayso.errors",
    "NotFoundError": "sayso.errors",
    "Option": "sayso.domain.requests",
    "Policy": "sayso.policies",
    "Priority": "sayso.domain.requests",
    "RefusedError": "sayso.errors",
    "Request": "sayso.domain.requests",
    "RiskBasedPolicy": "sayso.policies",
    "RiskClass": "sayso.domain.actions",
    "SaysoError": "sayso.errors",
    "ServerError": "sayso.errors",
    "Status": "sayso.domain.requests",
    "TelemetryLogger": "sayso.telemetry",
    "UsageError": "sayso.errors",
    "Verdict": "sayso.policies",
    "WebhookMessage": "sayso.client",
    "verify_webhook": "sayso.client",
}

__all__ = [
    "Action",
    "AlwaysApprovePolicy",
    "AlwaysAskPolicy",
    "ApprovalBackend",
    "ApprovalRequest",
    "AsyncClient",
    "AuditPlusEscalatePolicy",
    "BackendError",
    "Client",
    "ConfigurationError",
    "Decision",
    "DecisionType",
    "Effect",
    "Event",
    "Gate",
    "HITLPolicy",
    "InvalidRequestError",
    "Kind",
    "NotApprovedError",
    "NotFoundError",
    "Option",
    "Policy",
    "Priority",
    "RefusedError",
    "Request",
    "RiskBasedPolicy",
    "RiskClass",
    "SaysoError",
    "ServerError",
    "Status",
    "TelemetryLogger",
    "UsageError",
    "Verdict",
    "WebhookMessage",
    "__version__",
    "verify_webhook",
]


def __getattr__(name: str) -> Any:
    """Import a name from where it lives, when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'sayso' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    """All names, also those that were not asked for yet."""
    return sorted(__all__)
