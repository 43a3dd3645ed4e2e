"""Subscriptions and deliveries, as a client asks for them: no I/O."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, TypeAlias, TypedDict
from urllib.parse import quote

import msgspec

from sayso.client import messages
from sayso.client.protocol import Protocol
from sayso.client.steps import Operation, Send
from sayso.errors import InvalidRequestError
from sayso.types import JsonObject

WEBHOOKS, DELIVERIES = "/api/v1/webhooks", "/api/v1/deliveries"
DeliveryState: TypeAlias = Literal["waiting", "running", "done", "dead"]


class Wishes(TypedDict, total=False):
    """What a subscription is told of; each may be left out."""

    types: Sequence[str] | None
    """Only these events. Default: all of them."""
    session_id: str | None
    client_id: str | None
    description: str | None
    """For people."""


class DeliveryFilters(TypedDict, total=False):
    """Which deliveries to list; each may be left out."""

    state: DeliveryState | None
    """`dead` are those that were given up."""
    request_id: str | None
    webhook_id: str | None
    limit: int | None
    """At most so many, 1 to 200. Default: 50."""
    after: str | None
    """The `next` of the page before."""


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription to events; `secret` is there when it was just made."""

    id: str
    url: str
    types: tuple[str, ...] = ()
    """Only these events; empty: all of them."""
    session_id: str | None = None
    client_id: str | None = None
    description: str = ""
    active: bool = True
    disabled_reason: str = ""
    created_at: datetime
    created_by: str = ""
    secret: str = ""


class Tested(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a test of a subscription."""

    ok: bool
    status: int | None = None
    error: str = ""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One message to one target, over all its tries."""

    id: str
    kind: str
    """`callback` or `webhook`."""
    state: str
    """`waiting`, `running`, `done` or `dead`."""
    request_id: str | None = None
    webhook_id: str | None = None
    url: str
    type: str | None = None
    tries: int = 0
    status: int | None = None
    error: str = ""
    due_at: datetime
    created_at: datetime
    finished_at: datetime | None = None


class DeliveryPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some deliveries, newest first; `next` continues the list, None ends it."""

    items: tuple[Delivery, ...]
    next: str | None = None


class _WebhookList(msgspec.Struct, frozen=True):
    items: tuple[Webhook, ...]


class _Secret(msgspec.Struct, frozen=True):
    secret: str


def register(protocol: Protocol, url: str, wishes: JsonObject) -> Operation[Webhook]:
    """Tell a URL of events."""
    body = {"url": url} | {name: value for name, value in wishes.items() if value is not None}
    send = Send(method="POST", path=WEBHOOKS, content=messages.encode(body))
    return messages.decode((yield from protocol.call(send)), Webhook)


def find(protocol: Protocol) -> Operation[tuple[Webhook, ...]]:
    """All subscriptions that the caller may see."""
    reply = yield from protocol.call(Send(method="GET", path=WEBHOOKS))
    return messages.decode(reply, _WebhookList).items


def remove(protocol: Protocol, webhook_id: str) -> Operation[Webhook]:
    """Forget one."""
    send = Send(method="DELETE", path=item_path(WEBHOOKS, webhook_id))
    return messages.decode((yield from protocol.call(send)), Webhook)


def rotate(protocol: Protocol, webhook_id: str) -> Operation[Webhook]:
    """Give one a new secret."""
    send = Send(method="POST", path=item_path(WEBHOOKS, webhook_id, "rotate"))
    return messages.decode((yield from protocol.call(send)), Webhook)


def enable(protocol: Protocol, webhook_id: str) -> Operation[Webhook]:
    """Send to one again that was disabled."""
    send = Send(method="POST", path=item_path(WEBHOOKS, webhook_id, "enable"))
    return messages.decode((yield from protocol.call(send)), Webhook)


def disable(protocol: Protocol, webhook_id: str) -> Operation[Webhook]:
    """Send one nothing any more, and keep it."""
    send = Send(method="POST", path=item_path(WEBHOOKS, webhook_id, "disable"))
    return messages.decode((yield from protocol.call(send)), Webhook)


def test(protocol: Protocol, webhook_id: str) -> Operation[Tested]:
    """Send one something now."""
    send = Send(method="POST", path=item_path(WEBHOOKS, webhook_id, "test"), patience=30)
    return messages.decode((yield from protocol.call(send)), Tested)


def callback_secret(protocol: Protocol) -> Operation[str]:
    """What signs deliveries to requests' own addresses."""
    reply = yield from protocol.call(Send(method="GET", path="/api/v1/callback-secret"))
    return messages.decode(reply, _Secret).secret


def deliveries(protocol: Protocol, filters: JsonObject) -> Operation[DeliveryPage]:
    """One page of deliveries."""
    params = tuple((name, str(value)) for name, value in filters.items() if value is not None)
    reply = yield from protocol.call(Send(method="GET", path=DELIVERIES, params=params))
    return messages.decode(reply, DeliveryPage)


def replay(protocol: Protocol, delivery_id: str) -> Operation[Delivery]:
    """Send one again."""
    send = Send(method="POST", path=item_path(DELIVERIES, delivery_id, "replay"))
    return messages.decode((yield from protocol.call(send)), Delivery)


def item_path(of: str, name: str, verb: str = "") -> str:
    """The address of one thing below `of`.

    Raises:
        InvalidRequestError: it has no name.
    """
    if not name:
        raise InvalidRequestError(f"{name!r} is not an id.")
    return f"{of}/{quote(name, safe='')}" + (f"/{verb}" if verb else "")
