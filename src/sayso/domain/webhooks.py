"""Subscriptions: whom to tell of which events, over HTTP."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from sayso.domain.accounts import DEFAULT_TENANT
from sayso.domain.events import Event, EventType
from sayso.domain.requests import CallbackUrl, Label


class WebhookDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A subscription as asked for; without `types` it is told of every event."""

    url: CallbackUrl
    types: Annotated[
        list[EventType], Meta(max_length=32, description="Only these events. Empty: all of them.")
    ] = msgspec.field(default_factory=list[EventType])
    session_id: Label | None = None
    client_id: Label | None = None
    description: Annotated[str, Meta(max_length=256)] = ""


class Webhook(Struct, frozen=True, kw_only=True):
    """A subscription as kept; the secrets are shown once, when they are made."""

    id: str
    url: str
    types: tuple[EventType, ...] = ()
    session_id: str | None = None
    client_id: str | None = None
    description: str = ""
    secret: str
    """Signs what is sent: `whsec_` and base64 (Standard Webhooks)."""
    old_secret: str = ""
    """The one before, which signs as well until `old_until`."""
    old_until: datetime | None = None
    active: bool = True
    disabled_reason: str = ""
    created_at: datetime
    created_by: str
    """`agent:ID` or `person:ID`."""
    tenant: str = DEFAULT_TENANT

    def wants(self, event: Event) -> bool:
        """Whether this subscription is told of `event`."""
        return (
            self.active
            and self.tenant == event.tenant
            and (not self.types or event.type in self.types)
            and (self.session_id is None or self.session_id == event.session_id)
            and (self.client_id is None or self.client_id == event.client_id)
        )

    def secrets(self, now: datetime) -> tuple[str, ...]:
        """The secrets that sign at `now`: while one is being changed, both."""
        if self.old_secret and self.old_until is not None and now < self.old_until:
            return self.secret, self.old_secret
        return (self.secret,)
