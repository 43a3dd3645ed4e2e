"""Subscriptions: registered, looked up with each change, tested; and the jobs a change causes."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from sayso import codec
from sayso.broker.lookups import LookUps
from sayso.channels.addresses import AddressGuard
from sayso.channels.base import Courier, Parcel, Receipt
from sayso.clock import Clock, RequestIds
from sayso.domain.accounts import Principal
from sayso.domain.drafts import refuse_control_characters
from sayso.domain.jobs import Job, deliveries_of, reminder_of, subject_of
from sayso.domain.lifecycle import Change
from sayso.domain.webhooks import Webhook, WebhookDraft
from sayso.errors import ConflictError, NotFoundError, RefusedError
from sayso.signatures import new_secret
from sayso.stores.base import WebhookStore

MAX_WEBHOOKS = 100
"""Of one tenant: each costs something with each event."""
MAX_ROUNDS = 10
"""How often a change is tried anew when others change the same subscription."""
OLD_SECRET_LIFETIME = timedelta(hours=24)
"""How long the secret before a rotation goes on signing."""


class Webhooks:
    """Registers, finds, tests and removes subscriptions.

    An agent sees and changes what it registered itself, a person all of the tenant's.

    Args:
        store: where they are kept.
        clock: what time it is.
        guard: which URLs are taken.
    """

    def __init__(self, store: WebhookStore, clock: Clock, guard: AddressGuard) -> None:
        self.guard = guard
        self._store = store
        self._clock = clock
        self._ids = RequestIds(clock)
        self._known = LookUps(store.get_webhooks, clock)

    async def register(self, draft: WebhookDraft, *, by: Principal) -> Webhook:
        """Keep a new subscription, with a secret of its own.

        Raises:
            InvalidRequestError: its URL leads to where it may not, or there are control
                characters in it.
            RefusedError: the tenant has too many already (`too_many_webhooks`).
        """
        self.guard.check_url(draft.url, "$.url")
        texts = {
            "$.session_id": draft.session_id or "",
            "$.client_id": draft.client_id or "",
            "$.description": draft.description,
        }
        refuse_control_characters(texts.items())
        webhook = Webhook(
            id=f"wh_{self._ids.next()}",
            url=draft.url,
            types=tuple(draft.types),
            session_id=draft.session_id,
            client_id=draft.client_id,
            description=draft.description,
            secret=new_secret(),
            created_at=self._clock.now(),
            created_by=by.actor,
            tenant=by.tenant,
        )
        if not await self._store.add_webhook(webhook, MAX_WEBHOOKS):
            raise RefusedError(
                f"There are {MAX_WEBHOOKS} subscriptions already.",
                hint="Remove one that is not needed any more.",
                code="too_many_webhooks",
            )
        self._changed(webhook.tenant)
        return webhook

    async def find(self, *, by: Principal) -> tuple[Webhook, ...]:
        """All that `by` may see, oldest first."""
        return tuple(w for w in await self._store.get_webhooks(by.tenant) if _may_see(w, by))

    async def get(self, webhook_id: str, *, by: Principal) -> Webhook:
        """One subscription.

        Raises:
            NotFoundError: there is none, or not for `by`.
        """
        webhook = _with_id(webhook_id, await self.find(by=by))
        if webhook is None:
            raise NotFoundError(
                f"There is no subscription {webhook_id!r}.",
                hint="List them: sayso webhooks, or GET /api/v1/webhooks.",
            )
        return webhook

    async def delete(self, webhook_id: str, *, by: Principal) -> Webhook:
        """Forget it; what is still to be delivered to it is given up. Raises as `get` does."""
        webhook = await self.get(webhook_id, by=by)
        await self._store.delete_webhook(webhook.tenant, webhook.id)
        self._changed(webhook.tenant)
        return webhook

    async def rotate(self, webhook_id: str, *, by: Principal) -> Webhook:
        """Give it a new secret; the old one signs as well for a day.

        Raises:
            NotFoundError: there is none, or not for `by`.
            ConflictError: others changed it again and again.
        """
        for _ in range(MAX_ROUNDS):
            webhook = await self.get(webhook_id, by=by)
            rotated = msgspec.structs.replace(
                webhook,
                secret=new_secret(),
                old_secret=webhook.secret,
                old_until=self._clock.now() + OLD_SECRET_LIFETIME,
            )
            if await self._change(webhook, rotated):
                return rotated
        raise _again_and_again()

    async def enable(self, webhook_id: str, *, by: Principal) -> Webhook:
        """Send it what happens from now on; what it missed stays given up, to be replayed.

        Raises:
            NotFoundError: there is none, or not for `by`.
            InvalidRequestError: its URL leads to where it may not, by now.
            ConflictError: others changed it again and again.
        """
        for _ in range(MAX_ROUNDS):
            webhook = await self.get(webhook_id, by=by)
            if webhook.active:
                return webhook
            self.guard.check_url(webhook.url, "$.url")
            enabled = msgspec.structs.replace(webhook, active=True, disabled_reason="")
            if await self._change(webhook, enabled):
                return enabled
        raise _again_and_again()

    async def disable(self, webhook: Webhook, reason: str) -> Webhook | None:
        """Send it nothing any more, and keep it to be seen; one that was removed stays removed.

        Returns:
            It as it is kept now, or None if it was removed.

        Raises:
            ConflictError: others changed it again and again.
        """
        for _ in range(MAX_ROUNDS):
            kept = _with_id(webhook.id, await self._store.get_webhooks(webhook.tenant))
            if kept is None:
                return None
            disabled = msgspec.structs.replace(kept, active=False, disabled_reason=reason)
            if await self._change(kept, disabled):
                return disabled
        raise _again_and_again()

    async def test(self, webhook_id: str, *, by: Principal, courier: Courier) -> Receipt:
        """Send it a `webhook.test` now, once, and tell what came of it. Raises as `get` does."""
        webhook = await self.get(webhook_id, by=by)
        now = self._clock.now()
        body = {"type": "webhook.test", "timestamp": now, "data": {"webhook_id": webhook.id}}
        return await courier.deliver(
            Parcel(
                id=f"{self._ids.next()}_{webhook.id}",
                url=webhook.url,
                secrets=webhook.secrets(now),
                body=codec.encode(body),
                at=now,
            )
        )

    def peek(self, tenant: str, now: datetime) -> Sequence[Webhook] | None:
        """The tenant's subscriptions, if they were read in the last second."""
        return self._known.peek(tenant, now)

    async def of(self, tenant: str) -> Sequence[Webhook]:
        """The tenant's subscriptions, as they were at most a second ago; local changes at once."""
        known = self._known.peek(tenant)
        return await self._known.get(tenant) if known is None else known

    async def one(self, tenant: str, webhook_id: str) -> Webhook | None:
        """A subscription as it was at most a second ago, also one that is younger; or None."""
        found = _with_id(webhook_id, await self.of(tenant))
        return found or _with_id(webhook_id, await self._store.get_webhooks(tenant))

    async def _change(self, old: Webhook, new: Webhook) -> bool:
        is_changed = await self._store.change_webhook(old, new)
        self._changed(old.tenant)
        return is_changed

    def _changed(self, tenant: str) -> None:
        self._known.forget(tenant)


def with_jobs(change: Change, webhooks: Sequence[Webhook]) -> Change:
    """The change with the deliveries and the reminder that it causes; as it was, without any."""
    request = change.request
    jobs: list[Job] = []
    if webhooks or (request.is_terminal and request.callback_url is not None):
        subject = subject_of(request)
        for earlier, event in enumerate(reversed(change.events)):
            name = f"{subject}e{earlier}" if earlier else subject
            jobs += deliveries_of(event, name, webhooks, request)
    reminder = reminder_of(request, change.events[-1].at)
    if reminder is not None:
        jobs.append(reminder)
    return msgspec.structs.replace(change, jobs=tuple(jobs)) if jobs else change


def _again_and_again() -> ConflictError:
    return ConflictError("Others changed the subscription again and again.", hint="Try again.")


def _with_id(webhook_id: str, webhooks: Iterable[Webhook]) -> Webhook | None:
    return next((webhook for webhook in webhooks if webhook.id == webhook_id), None)


def _may_see(webhook: Webhook, by: Principal) -> bool:
    return by.is_person or webhook.created_by == by.actor
