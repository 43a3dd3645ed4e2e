"""`sayso demo`: a server, and an agent that asks one thing after another."""

import logging
import threading
import time
from datetime import UTC, datetime
from itertools import cycle

from rich.console import Console
from rich.text import Text

from sayso.cli import terminal, views
from sayso.cli.serve import Data, Listening, Port, run_server
from sayso.cli.terminal import visible
from sayso.client import Client, Submission
from sayso.domain.requests import Request
from sayso.errors import SaysoError

AGENT = "deploy-bot"
_PAUSE = 1.5  # seconds between an answer and the next question, for the eye

SCENARIOS: tuple[tuple[str, Submission], ...] = (
    (
        "Deploy checkout 2.1.0 to production?",
        {
            "action": {
                "tool_name": "deploy_service",
                "tool_args": {
                    "service": "checkout",
                    "version": "2.1.0",
                    "environment": "production",
                    "replicas": 6,
                    "canary_percent": 10,
                },
                "args_schema": {
                    "type": "object",
                    "properties": {
                        "service": {"type": "string"},
                        "version": {"type": "string"},
                        "environment": {"type": "string", "enum": ["staging", "production"]},
                        "replicas": {"type": "integer", "minimum": 1, "maximum": 50},
                        "canary_percent": {"type": "integer", "minimum": 0, "maximum": 100},
                    },
                    "required": ["service", "version", "environment", "replicas"],
                    "additionalProperties": False,
                },
                "risk_class": "high",
                "side_effects": ["Restarts all checkout pods", "Runs one database migration"],
                "rationale": "Staging has run 2.1.0 for two days without an error.",
            },
            "priority": "high",
            "metadata": {"tests_passed": 847, "coverage": "94.2%", "commit": "9f31c2e"},
        },
    ),
    (
        "Pay invoice INV-2047 to Northwind Traders?",
        {
            "action": {
                "tool_name": "wire_transfer",
                "tool_args": {
                    "to": "Northwind Traders",
                    "iban": "DE75512108001245126199",
                    "amount": 12500,
                    "currency": "EUR",
                    "reference": "INV-2047",
                },
                "args_schema": {
                    "type": "object",
                    "properties": {
                        "to": {"type": "string"},
                        "iban": {"type": "string"},
                        "amount": {"type": "number", "exclusiveMinimum": 0},
                        "currency": {"type": "string", "enum": ["EUR", "USD"]},
                        "reference": {"type": "string"},
                    },
                    "required": ["to", "iban", "amount", "currency"],
                },
                "risk_class": "high",
                "side_effects": ["Moves money; it cannot be taken back"],
                "rationale": "The invoice is due tomorrow and fits the purchase order.",
            },
            "priority": "urgent",
            "metadata": {"purchase_order": "PO-881", "budget_left": "31,200 EUR"},
        },
    ),
    (
        "Which rollout strategy for checkout 2.1.0?",
        {
            "options": [
                {"label": "Canary, 10 % first", "value": "canary", "approves": True},
                {"label": "Blue/green", "value": "blue-green", "approves": True},
                {"label": "Hold the release", "value": "hold", "approves": False},
            ],
            "metadata": {"traffic": "1,900 requests/s", "error_budget_left": "62%"},
        },
    ),
    (
        "What shall the release note say about the new payment flow?",
        {"kind": "input", "priority": "low"},
    ),
    (
        "When may the maintenance window be?",
        {
            "kind": "input",
            "schema": {
                "type": "object",
                "properties": {
                    "day": {"type": "string", "format": "date", "title": "Day"},
                    "hours": {
                        "type": "integer",
                        "title": "Length in hours",
                        "minimum": 1,
                        "maximum": 8,
                        "default": 2,
                    },
                    "notify_customers": {"type": "boolean", "title": "Tell the customers"},
                },
                "required": ["day", "hours"],
            },
        },
    ),
)


_ALWAYS: Submission = {"client_id": AGENT, "session_id": "demo", "timeout_seconds": None}


def demo(*, port: Port = None, data: Data = None) -> None:
    """Run a server and an agent, deploy-bot, that asks; decide in the browser.

    Args:
        port: The port; 0 takes a free one. Default: $SAYSO_PORT or $SERVER_PORT, else 8080.
        data: The folder of the database and the secret. Default: $SAYSO_DATA, else ./sayso-data.
    """
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # the agent's calls are no news

    def start(info: Listening) -> None:
        threading.Thread(target=_agent, args=(info.url,), daemon=True, name=AGENT).start()

    run_server(port=port, data=data, ready=start)


def _agent(url: str) -> None:
    """Ask, wait, tell, and on: until the process ends, which does not wait for this thread."""
    screen = terminal.console()
    try:
        with Client(url) as client:
            for request in client.find(status="pending", client_id=AGENT):
                _say(screen, f"still asks: {request.message}")
                _wait(client, screen, request)
            for message, fields in cycle(SCENARIOS):
                _say(screen, f"asks: {message}")
                _wait(client, screen, client.submit(message, **{**_ALWAYS, **fields}))
    except SaysoError as error:
        _say(screen, f"stops: {error}")


def _wait(client: Client, screen: Console, request: Request) -> None:
    decided = client.wait(request.id)
    _say(screen, _told(decided, datetime.now(UTC)))
    time.sleep(_PAUSE)


def _told(request: Request, now: datetime) -> str:
    if request.decision is None:
        return f"is told: {views.answer(request)}"
    edited = "approved, with " if request.decision.args is not None else ""
    late = (now - (request.decision.decided_at or now)).total_seconds() * 1000
    return (
        f"is told: {edited}{views.answer(request)} (by {visible(request.decision.by.name)}; "
        f"woke {late:.0f} ms after the decision)"
    )


def _say(screen: Console, text: str) -> None:
    line = Text(f"{AGENT} ", style="bold magenta")
    screen.print(line.append(text, style="default not bold"), soft_wrap=True)
    screen.file.flush()
