"""Subscriptions to events: register, list, rotate, enable, test, remove."""

from datetime import datetime

import msgspec
from msgspec import Struct

from sayso.domain.events import EventType
from sayso.domain.webhooks import Webhook, WebhookDraft
from sayso.server.http import Call, Reply, json_reply
from sayso.server.routes import deliveries


class Subscription(Struct, frozen=True, kw_only=True):
    """A subscription; its secret is shown once, when it is made."""

    id: str
    url: str
    types: tuple[EventType, ...]
    """Only these events; empty: all of them."""
    session_id: str | None
    client_id: str | None
    description: str
    active: bool
    disabled_reason: str
    created_at: datetime
    created_by: str


class SecretSubscription(Subscription, frozen=True, kw_only=True):
    """A subscription with the secret that signs what is sent to it."""

    secret: str


class SubscriptionList(Struct, frozen=True, kw_only=True):
    """All that the caller may see, oldest first."""

    items: tuple[Subscription, ...]


class Tested(Struct, frozen=True, kw_only=True):
    """What came of a test."""

    ok: bool
    status: int | None
    error: str


class CallbackSecret(Struct, frozen=True, kw_only=True):
    """What signs the deliveries to requests' own `callback_url`."""

    secret: str


async def register(call: Call) -> Reply:
    """Tell a URL of events from now on. The secret in the reply is not shown again."""
    draft = call.decode(WebhookDraft)
    webhook = await call.server.broker.webhooks.register(draft, by=call.principal)
    return json_reply(201, _with_secret(webhook))


async def find(call: Call) -> Reply:
    """List subscriptions: an agent its own, a person all."""
    found = await call.server.broker.webhooks.find(by=call.principal)
    return json_reply(200, SubscriptionList(items=tuple(map(_without_secret, found))))


async def get(call: Call) -> Reply:
    """Read one subscription."""
    webhook = await call.server.broker.webhooks.get(call.params["id"], by=call.principal)
    return json_reply(200, _without_secret(webhook))


async def delete(call: Call) -> Reply:
    """Remove a subscription; what waits for it is given up."""
    webhook = await call.server.broker.webhooks.delete(call.params["id"], by=call.principal)
    return json_reply(200, _without_secret(webhook))


async def rotate(call: Call) -> Reply:
    """Make a new secret; the old one signs as well for a day."""
    webhook = await call.server.broker.webhooks.rotate(call.params["id"], by=call.principal)
    return json_reply(200, _with_secret(webhook))


async def enable(call: Call) -> Reply:
    """Send to a subscription again that was disabled, by somebody or by its target's 410."""
    webhook = await call.server.broker.webhooks.enable(call.params["id"], by=call.principal)
    return json_reply(200, _without_secret(webhook))


async def disable(call: Call) -> Reply:
    """Send a subscription nothing any more, and keep it, to be enabled again."""
    return json_reply(200, _without_secret(await disabled_by(call, call.params["id"])))


async def disabled_by(call: Call, webhook_id: str) -> Webhook:
    """The subscription, which gets nothing from now on; the reason says who wanted that."""
    webhooks, by = call.server.broker.webhooks, call.principal
    webhook = await webhooks.get(webhook_id, by=by)
    if not webhook.active:
        return webhook
    return await webhooks.disable(webhook, f"by {by.name or by.id}") or webhook


async def test(call: Call) -> Reply:
    """Send a `webhook.test` now, once, and tell what came of it."""
    receipt = await call.server.broker.webhooks.test(
        call.params["id"], by=call.principal, courier=call.server.courier
    )
    return json_reply(200, Tested(ok=receipt.ok, status=receipt.status, error=receipt.error))


async def sent(call: Call) -> Reply:
    """List what was sent to a subscription, newest first."""
    webhook = await call.server.broker.webhooks.get(call.params["id"], by=call.principal)
    return await deliveries.page(call, webhook_id=webhook.id)


async def callback_secret(call: Call) -> Reply:
    """Read the secret that signs deliveries to requests' own `callback_url`, as a person."""
    return json_reply(200, CallbackSecret(secret=call.server.callback_secret))


def _without_secret(webhook: Webhook) -> Subscription:
    return msgspec.convert(webhook, Subscription, from_attributes=True)


def _with_secret(webhook: Webhook) -> SecretSubscription:
    return msgspec.convert(webhook, SecretSubscription, from_attributes=True)
