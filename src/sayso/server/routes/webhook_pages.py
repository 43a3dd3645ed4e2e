"""The pages of subscriptions: whom to tell of events, and what was sent."""

from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from sayso import codec
from sayso.domain.accounts import Power
from sayso.domain.events import EventType
from sayso.domain.webhooks import Webhook, WebhookDraft
from sayso.errors import InvalidRequestError, SaysoError
from sayso.server.forms import fields_of
from sayso.server.http import Call, Reply, redirect
from sayso.server.routes import deliveries
from sayso.server.routes.settings_pages import shown
from sayso.server.routes.webhooks import Subscription, disabled_by
from sayso.server.viewer import names_of, need

_BLANK: dict[str, Any] = {
    "url": "", "types": [], "session_id": "", "client_id": "", "description": "",
}  # fmt: skip
_STATES = (("", "All"), ("dead", "Given up"), ("waiting", "Waiting"), ("done", "Taken"))


async def subscriptions(
    call: Call,
    problem: SaysoError | None = None,
    *,
    given: dict[str, Any] | None = None,
    made: Webhook | None = None,
    tested: dict[str, Any] | None = None,
) -> Reply:
    """All of the tenant's.

    Args:
        call: somebody's who may have events delivered.
        problem: what went wrong.
        given: what they typed for a new one.
        made: one whose secret is to be shown, this once.
        tested: what came of a test: `id`, `ok`, `status`, `error`.
    """
    need(call, Power.SUBSCRIBE)
    found = await call.server.broker.webhooks.find(by=call.principal)
    names = await names_of(call, {each.created_by.partition(":")[2] for each in found})
    return await shown(
        call,
        "webhooks",
        problem,
        status=200 if made is None else 201,
        items=[_shown(each) for each in reversed(found)],
        names=names,
        made=None if made is None else {"id": made.id, "url": made.url, "secret": made.secret},
        tested=tested,
        types=tuple(EventType),
        given=given or _BLANK,
        once=call.server.auth.form_nonce(call.principal),
    )


async def subscribe(call: Call) -> Reply:
    """Tell a URL of events, and show the secret this once."""
    need(call, Power.SUBSCRIBE)
    fields = fields_of(call)
    given: dict[str, Any] = {
        name: fields(name).strip() for name in ("url", "session_id", "client_id", "description")
    }
    given["types"] = list(fields.lines("types"))
    asked = given | {name: given[name] or None for name in ("session_id", "client_id")}
    try:
        await call.server.auth.take_form(fields("once"), call.principal)
        draft = msgspec.convert(asked, WebhookDraft)
        made = await call.server.broker.webhooks.register(draft, by=call.principal)
    except msgspec.ValidationError as error:
        problem = InvalidRequestError(f"The subscription cannot be kept: {error}.")
        return await subscriptions(call, problem, given=given)
    except SaysoError as error:
        return await subscriptions(call, error, given=given)
    return await subscriptions(call, made=made)


async def rotate(call: Call) -> Reply:
    """Make a new secret, and show it this once."""
    need(call, Power.SUBSCRIBE)
    fields = fields_of(call)
    try:
        await call.server.auth.take_form(fields("once"), call.principal)
        made = await call.server.broker.webhooks.rotate(fields("id"), by=call.principal)
    except SaysoError as error:
        return await subscriptions(call, error)
    return await subscriptions(call, made=made)


async def enable(call: Call) -> Reply:
    """Send to it again."""
    need(call, Power.SUBSCRIBE)
    webhook_id = fields_of(call)("id")
    try:
        await call.server.broker.webhooks.enable(webhook_id, by=call.principal)
    except SaysoError as error:
        return await subscriptions(call, error)
    return redirect(f"/webhooks#{quote(webhook_id)}")


async def disable(call: Call) -> Reply:
    """Send it nothing any more, and keep it."""
    need(call, Power.SUBSCRIBE)
    try:
        webhook = await disabled_by(call, fields_of(call)("id"))
    except SaysoError as error:
        return await subscriptions(call, error)
    return redirect(f"/webhooks#{quote(webhook.id)}")


async def remove(call: Call) -> Reply:
    """Forget it."""
    need(call, Power.SUBSCRIBE)
    try:
        await call.server.broker.webhooks.delete(fields_of(call)("id"), by=call.principal)
    except SaysoError as error:
        return await subscriptions(call, error)
    return redirect("/webhooks")


async def test(call: Call) -> Reply:
    """Send it something now, and tell what came of it."""
    need(call, Power.SUBSCRIBE)
    webhook_id = fields_of(call)("id")
    try:
        receipt = await call.server.broker.webhooks.test(
            webhook_id, by=call.principal, courier=call.server.courier
        )
    except SaysoError as error:
        return await subscriptions(call, error)
    came = {"id": webhook_id, "ok": receipt.ok, "status": receipt.status, "error": receipt.error}
    return await subscriptions(call, tested=came)


async def sent(call: Call, problem: SaysoError | None = None) -> Reply:
    """What was sent, newest first: to one subscription, or everything."""
    need(call, Power.SUBSCRIBE)
    asked = {name: call.one(name) or "" for name in ("webhook", "state")}
    webhook = None
    if asked["webhook"]:
        webhook = await call.server.broker.webhooks.get(asked["webhook"], by=call.principal)
    query = deliveries.query_of(call, webhook_id=None if webhook is None else webhook.id)
    found = await call.server.broker.deliveries.find(query, by=call.principal)
    tabs = [(state, word, _address(asked | {"state": state})) for state, word in _STATES]
    return await shown(
        call,
        "deliveries",
        problem,
        items=[codec.builtins(deliveries.shown(job)) for job in found.items],
        webhook=None if webhook is None else _shown(webhook),
        tabs=tabs,
        asked=asked,
        more=None if found.next is None else _address(asked | {"after": found.next}),
    )


async def replay(call: Call) -> Reply:
    """Send one again, from the beginning."""
    need(call, Power.SUBSCRIBE)
    delivery_id = fields_of(call)("id")
    try:
        await call.server.broker.deliveries.replay(delivery_id, by=call.principal)
    except SaysoError as error:
        return await sent(call, error)
    kept = {name: call.one(name) or "" for name in ("webhook",)}
    return redirect(f"{_address(kept)}#{quote(delivery_id)}")


def _shown(webhook: Webhook) -> dict[str, Any]:
    """What a page is given of one: never its secrets."""
    return codec.builtins(msgspec.convert(webhook, Subscription, from_attributes=True))


def _address(query: dict[str, str]) -> str:
    text = urlencode({name: value for name, value in query.items() if value})
    return "/webhooks/deliveries" + (f"?{text}" if text else "")
