"""What people and programs may do, as the log tells it, beside what the database says now.

Of users, keys, groups, rules, standing grants and stops the log tells when they come, when they go
and what decides over powers. It does not tell what a rule says, names, passwords, and when
somebody or a key was here last: of these a change is not seen.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from sayso.domain.records import Record
from sayso.types import JsonObject

KINDS = ("user", "key", "group", "rule", "standing", "stop")
"""The records that are compared."""

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Told(msgspec.Struct):
    """One of them, as the last event that tells of it left it."""

    number: int
    facts: JsonObject = {}
    is_gone: bool = False
    may_go: bool = False
    """It may be forgotten without a word, as a standing grant is once it is over."""


class Powers:
    """Follows the log, event by event."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], Told] = {}

    def hear(self, number: int, kind: str, tenant: str, raw: msgspec.Raw) -> None:
        """The next event.

        Raises:
            MsgspecError: it cannot be read.
        """
        follow = _FOLLOW.get(kind)
        if follow is None:
            return
        try:
            of, name, facts, is_gone = follow(_decode(raw), tenant)
        except (KeyError, TypeError) as error:
            raise msgspec.DecodeError(f"It is no event {kind}.") from error
        told = self._told.get((of, name))
        if told is None or told.is_gone:
            told = self._told[of, name] = Told(number)
        members = _members(told.facts, facts)
        told.facts = told.facts | facts | members
        told.number, told.is_gone = number, is_gone or members.get("members") == []
        told.may_go = of == "standing"

    def differences(self, records: Iterable[Record], *, is_whole: bool) -> list[tuple[str, str]]:
        """What differs: `user ID`, and how.

        Args:
            records: all of these kinds as they are now.
            is_whole: the log begins with its first event, so what it does not tell of was put in
                past it.
        """
        found: list[tuple[str, str]] = []
        seen: set[tuple[str, str]] = set()
        for record in records:
            key = (record.kind, record.id)
            seen.add(key)
            name, told = " ".join(key), self._told.get(key)
            if told is None:
                if is_whole:
                    found.append((name, "no event tells of it: it was put in past the log"))
            elif told.is_gone:
                found.append((name, f"it is there, though event {told.number} tells that it went"))
            else:
                now = _now(record)
                found += [
                    (name, f"its {fact} is {now.get(fact)!r}; event {told.number} left {was!r}")
                    for fact, was in told.facts.items()
                    if now.get(fact) != was and not (fact == "members" and not is_whole)
                ]
        found += [
            (" ".join(key), f"it is gone; event {told.number} tells of it")
            for key, told in self._told.items()
            if key not in seen and not told.is_gone and not told.may_go
        ]
        return found


def _members(before: Mapping[str, Any], told: JsonObject) -> JsonObject:
    """Of a group: who is in it after somebody was added or removed."""
    members = set(before.get("members", ()))
    if (added := told.pop("added", None)) is not None:
        members.add(added)
    elif (removed := told.pop("removed", None)) is not None:
        members.discard(removed)
    else:
        return {}
    return {"members": sorted(members)}


def _now(record: Record) -> JsonObject:
    """What a record says, in the words of `Told.facts`."""
    try:
        body = _decode(record.body)
    except msgspec.MsgspecError:
        return {}
    return body | {
        "disabled": body.get("disabled", False),
        "is_revoked": body.get("revoked_at") is not None,
        "members": sorted(body.get("members") or ()),
    }


def _some(data: JsonObject, *names: str) -> JsonObject:
    return {name: data[name] for name in names if name in data}


_Follow = Callable[[JsonObject, str], tuple[str, str, JsonObject, bool]]
"""From an event's data and tenant: the kind, the id, what it tells, and whether it is gone."""
_FOLLOW: dict[str, _Follow] = {
    "user.added": lambda d, _: (
        "user", d["user_id"], {"disabled": False} | _some(d, "username", "role"), False,
    ),
    "user.changed": lambda d, _: (
        "user", d["user_id"], _some(d, "username", "role", "disabled"), False,
    ),
    "key.added": lambda d, _: (
        "key", d["key_id"],
        {"is_revoked": False} | _some(d, "agent_id", "label", "owner", "scope", "replaces"), False,
    ),
    "key.revoked": lambda d, _: ("key", d["key_id"], {"is_revoked": True}, False),
    "group.changed": lambda d, t: (
        "group", f"{t}/{d['group']}", _some(d, "added", "removed"), False,
    ),
    "rule.changed": lambda d, t: (
        "rule", f"{t}/{d['rule']}", {}, bool(d.get("is_removed")),
    ),
    "standing.given": lambda d, _: (
        "standing", d["standing_grant"], {"is_revoked": False} | _some(d, "tool_name"), False,
    ),
    "standing.revoked": lambda d, _: (
        "standing", d["standing_grant"], {"is_revoked": True}, False,
    ),
    "stop.set": lambda d, t: ("stop", f"{t}/{d['stop']}", _some(d, "reason"), False),
    "stop.lifted": lambda d, t: ("stop", f"{t}/{d['stop']}", {}, True),
}  # fmt: skip
