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

from sayso.client.aio import AsyncClient
from sayso.client.keys import Key, Me
from sayso.client.messages import Event, Filters, Health, Page, Person, Submission, Topics
from sayso.client.received import WebhookMessage, verify_webhook
from sayso.client.rules import Limits, Preview
from sayso.client.sync import Client
from sayso.client.webhooks import Delivery, DeliveryPage, Tested, Webhook

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
