"""Keys, and who is calling, as a client asks for them: no I/O."""

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

KEYS = "/api/v1/keys"
KeyScope: TypeAlias = Literal["agent", "reader", "admin"]


class KeyWishes(TypedDict, total=False):
    """What a key is for; each may be left out."""

    label: str
    """For people."""
    scope: KeyScope
    """Default: `agent`, which asks and waits. None of them decides."""
    client_id: str | None
    """It is good for this client id only."""
    session_pattern: str | None
    """It is good for sessions that match this glob only."""
    expires_at: datetime | None


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A key; `key` is its text, which is there when it was just made."""

    id: str
    agent_id: str
    label: str = ""
    shown: str = ""
    """How it begins."""
    scope: str
    owner: str = ""
    client_id: str | None = None
    session_pattern: str | None = None
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
    replaces: str | None = None
    is_active: bool
    key: str = ""


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """Who is calling, and what they may do."""

    plane: str
    """`agent` or `person`."""
    id: str
    name: str
    role: str
    tenant: str = "default"
    powers: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    strength: str | None = None
    owner: str = ""
    client_id: str | None = None
    session_pattern: str | None = None


class _KeyList(msgspec.Struct, frozen=True):
    items: Sequence[Key]


def me(protocol: Protocol) -> Operation[Me]:
    """Who is calling."""
    return messages.decode((yield from protocol.call(Send(method="GET", path="/api/v1/me"))), Me)


def create(protocol: Protocol, wishes: JsonObject) -> Operation[Key]:
    """Make one."""
    body = {name: value for name, value in wishes.items() if value is not None}
    send = Send(method="POST", path=KEYS, content=messages.encode(body))
    return messages.decode((yield from protocol.call(send)), Key)


def find(protocol: Protocol) -> Operation[tuple[Key, ...]]:
    """One's own."""
    reply = yield from protocol.call(Send(method="GET", path=KEYS))
    return tuple(messages.decode(reply, _KeyList).items)


def revoke(protocol: Protocol, key_id: str) -> Operation[Key]:
    """Let one open nothing any more."""
    reply = yield from protocol.call(Send(method="DELETE", path=_path(key_id)))
    return messages.decode(reply, Key)


def rotate(protocol: Protocol, key_id: str, overlap_seconds: float) -> Operation[Key]:
    """Make one in another's place."""
    content = messages.encode({"overlap_seconds": overlap_seconds})
    send = Send(method="POST", path=f"{_path(key_id)}/rotate", content=content)
    return messages.decode((yield from protocol.call(send)), Key)


def _path(key_id: str) -> str:
    if not key_id:
        raise InvalidRequestError(f"{key_id!r} is not an id.")
    return f"{KEYS}/{quote(key_id, safe='')}"
