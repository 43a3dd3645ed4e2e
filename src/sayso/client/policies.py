"""The tenant's policy on the server: put, looked at, taken back. No I/O."""

from urllib.parse import urlencode

import msgspec

from sayso.client import messages
from sayso.client.protocol import Protocol
from sayso.client.steps import Operation, Send
from sayso.domain.policies import PolicyVersion
from sayso.errors import NotFoundError
from sayso.types import JsonObject

POLICY = "/api/v1/policy"
_PAGE = 100


class _Versions(msgspec.Struct, frozen=True):
    items: tuple[PolicyVersion, ...]
    next: int | None = None


def get(protocol: Protocol, number: int | None) -> Operation[PolicyVersion | None]:
    """A version with its text; without a number the one in force, None if there is none."""
    path = POLICY if number is None else f"{POLICY}/versions/{number}"
    try:
        reply = yield from protocol.call(Send(method="GET", path=path))
    except NotFoundError:
        if number is not None:
            raise
        return None
    return messages.decode(reply, PolicyVersion)


def versions(protocol: Protocol) -> Operation[tuple[PolicyVersion, ...]]:
    """All of them without their texts, newest first."""
    found: list[PolicyVersion] = []
    before: int | None = None
    while True:
        query = {"limit": _PAGE} | ({} if before is None else {"before": before})
        path = f"{POLICY}/versions?{urlencode(query)}"
        reply = yield from protocol.call(Send(method="GET", path=path))
        page = messages.decode(reply, _Versions)
        found += page.items
        before = page.next
        if before is None:
            return tuple(found)


def put(protocol: Protocol, text: str, note: str, replaces: int | None) -> Operation[PolicyVersion]:
    """Keep a new version."""
    said: JsonObject = {"text": text, "note": note, "replaces": replaces}
    send = Send(method="PUT", path=POLICY, content=messages.encode(said))
    return messages.decode((yield from protocol.call(send)), PolicyVersion)


def activate(
    protocol: Protocol, number: int, note: str, replaces: int | None
) -> Operation[PolicyVersion]:
    """Go back to an older one."""
    said: JsonObject = {"number": number, "note": note}
    if replaces is not None:
        said["replaces"] = replaces
    path = f"{POLICY}/activate"
    send = Send(method="POST", path=path, content=messages.encode(said))
    return messages.decode((yield from protocol.call(send)), PolicyVersion)


def remove(protocol: Protocol, note: str, replaces: int | None) -> Operation[PolicyVersion]:
    """Have none."""
    query = ({"note": note} if note else {}) | ({} if replaces is None else {"replaces": replaces})
    path = POLICY + (f"?{urlencode(query)}" if query else "")
    reply = yield from protocol.call(Send(method="DELETE", path=path))
    return messages.decode(reply, PolicyVersion)
