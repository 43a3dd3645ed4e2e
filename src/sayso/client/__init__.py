"""The client: ask people from any program, wait for the decision, list and follow requests.

Client, AsyncClient     the same methods, blocking and for asyncio
protocol, feed          what to send, when to try again, what an answer means: no I/O
running                 from an approval to a run: claim, run, report
messages, steps         the records that go over the wire, and between protocol and client
problems, retrying      which error an answer means, and when to try again
keys                    keys of programs, and who is calling
rules                   standing grants, review rules, stops
webhooks, received      subscriptions and deliveries; verify_webhook, for whoever is told
transport               the HTTP library's terms and ours
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sayso.client.aio import AsyncClient
    from sayso.client.keys import Key, Me
    from sayso.client.messages import Event, Filters, Health, Page, Person, Submission, Topics
    from sayso.client.received import WebhookMessage, verify_webhook
    from sayso.client.rules import Limits, Preview
    from sayso.client.sync import Client
    from sayso.client.webhooks import Delivery, DeliveryPage, Tested, Webhook

_HOMES = {
    "AsyncClient": "aio",
    "Client": "sync",
    "Delivery": "webhooks",
    "DeliveryPage": "webhooks",
    "Event": "messages",
    "Filters": "messages",
    "Health": "messages",
    "Key": "keys",
    "Limits": "rules",
    "Me": "keys",
    "Page": "messages",
    "Person": "messages",
    "Preview": "rules",
    "Submission": "messages",
    "Tested": "webhooks",
    "Topics": "messages",
    "Webhook": "webhooks",
    "WebhookMessage": "received",
    "verify_webhook": "received",
}

__all__ = [
    "AsyncClient",
    "Client",
    "Delivery",
    "DeliveryPage",
    "Event",
    "Filters",
    "Health",
    "Key",
    "Limits",
    "Me",
    "Page",
    "Person",
    "Preview",
    "Submission",
    "Tested",
    "Topics",
    "Webhook",
    "WebhookMessage",
    "verify_webhook",
]


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for: a gate needs no HTTP library by itself."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value
