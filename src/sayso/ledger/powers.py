"""What people and programs may do, as the log tells it, beside what the database says now.

Of users, keys, groups, rules, standing grants and stops the log tells when they come, when they go
and what decides over powers. It does not tell what a rule says, names, passwords, and when somebody
or a key was here last: of these a change is not seen.
"""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from sayso import codec
from sayso.domain.accounts import Plane
from sayso.domain.keys import ApiKey
from sayso.domain.records import Record
from sayso.domain.rules import ReviewRule
from sayso.domain.standing import StandingGrant, StandingLimits
from sayso.domain.stops import Stop
from sayso.domain.users import Group, User
from sayso.types import JsonObject

_RECORDS: dict[str, type[msgspec.Struct]] = {
    "user": User,
    "key": ApiKey,
    "group": Group,
    "rule": ReviewRule,
    "standing": StandingGrant,
    "stop": Stop,
}
KINDS = tuple(_RECORDS)
"""The records that are compared."""

_UNREADABLE = (*codec.UNREADABLE, TypeError, RecursionError)
"""What comes of a body that somebody spoilt: it may not even be bytes."""
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder(order="sorted").encode


class Told(msgspec.Struct):
    """One of them, as the last event that tells of it left it."""

    number: int
    facts: JsonObject = {}
    members: dict[str, bool] = {}
    """Of a group: of whom events tell, and whether they were put in or taken out last."""
    is_gone: bool = False
    may_go: bool = False
    """It may be forgotten without a word, as a standing grant is once it is over."""


class Powers:
    """Follows the log, event by event."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], Told] = {}

    def hear(self, number: int, kind: str, tenant: str, actor: str, raw: msgspec.Raw) -> None:
        """The next event.

        Args:
            number: the event's.
            kind: its type.
            tenant: its tenant.
            actor: whose doing it was, as `person:ID`.
            raw: its data.

        Raises:
            MsgspecError: it cannot be read.
        """
        follow = _FOLLOW.get(kind)
        if follow is None:
            return
        try:
            of, name, facts, is_gone = follow(_decode(raw), tenant)
            if kind == "standing.given":
                facts["given_by"] = actor
            told = self._told.get((of, name))
            if told is None or told.is_gone:
                told = self._told[of, name] = Told(number)
            for change, is_in in (("added", True), ("removed", False)):
                if (member := facts.pop(change, None)) is not None:
                    told.members = told.members | {member: is_in}
        except (KeyError, TypeError) as error:
            raise msgspec.DecodeError(f"It is no event {kind}.") from error
        told.facts = told.facts | facts | {"tenant": tenant}
        told.number, told.is_gone = number, is_gone
        told.may_go = of == "standing"

    def differences(self, records: Iterable[Record], *, is_whole: bool) -> list[tuple[str, str]]:
        """What differs: `user ID`, and how.

        Args:
            records: all of these kinds as they are now; read after the events.
            is_whole: the log begins with its first event: what it does not tell of was put in past
                it, and nobody is in a group of whom it does not tell that. Else only what it tells
                counts.
        """
        found: list[tuple[str, str]] = []
        seen: set[tuple[str, str]] = set()
        for record in records:
            key = (record.kind, record.id)
            seen.add(key)
            told = self._told.get(key)
            try:
                problems = _compared(record, told, is_whole=is_whole)
            except _UNREADABLE as error:
                problems = [f"it cannot be read: {error}"]
            found += [(_name(key), problem) for problem in problems]
        found += [
            (_name(key), f"it is gone; event {told.number} tells of it")
            for key, told in self._told.items()
            if key not in seen and not told.may_go and _is_there(key[0], told, is_whole=is_whole)
        ]
        return found


def _compared(record: Record, told: Told | None, *, is_whole: bool) -> list[str]:
    """What is wrong with one that is there.

    Raises:
        _UNREADABLE: it is none of its kind.
    """
    value: Any = msgspec.json.decode(record.body, type=_RECORDS[record.kind])
    now: JsonObject = msgspec.to_builtins(value)
    tenant = now.get("tenant", record.tenant)  # a rule does not tell it
    of = value.name if record.kind in ("rule", "stop") else value.id
    inside = {"tenant": tenant, "id": f"{tenant}/{of}" if record.kind in ("rule", "stop") else of}
    found = [
        f"its {name} beside the record is another than in it"
        for name, which in inside.items()
        if getattr(record, name) != which
    ]
    if told is None:
        return found + ["no event tells of it: it was put in past the log"] * is_whole
    if told.is_gone or (is_whole and not _is_there(record.kind, told, is_whole=True)):
        return [*found, f"it is there, though event {told.number} tells that it went"]
    now |= {"tenant": record.tenant, "is_revoked": now.get("revoked_at") is not None}
    facts = told.facts
    if record.kind == "standing":
        now["given_by"] = f"{Plane.PERSON}:{value.given_by.id}"
    if record.kind == "group":
        now["members"] = sorted(set(value.members))
        facts = facts | {"members": _members(told, now["members"], is_whole=is_whole)}
    return found + [
        f"its {fact} is {now.get(fact)!r}; event {told.number} left {was!r}"
        for fact, was in facts.items()
        if not _fits(fact, now.get(fact), was)
    ]


def _fits(fact: str, now: Any, was: Any) -> bool:
    """Whether it is as it was left; of a grant that is in use, less may be left by now."""
    if fact == "uses_left":
        return was is None or (now is not None and now <= was)
    if fact == "spent":
        return now >= was
    return _encode(now) == _encode(was)  # true is not 1


def _members(told: Told, now: Iterable[str], *, is_whole: bool) -> list[str]:
    """Who should be in a group: of whom events tell it, and of whom none tells anything."""
    told_in = {member for member, is_in in told.members.items() if is_in}
    unknown = () if is_whole else (each for each in now if each not in told.members)
    return sorted(told_in.union(unknown))


def _is_there(kind: str, told: Told, *, is_whole: bool) -> bool:
    """Whether it has to be there: a group goes with the last of its members."""
    if kind == "group":
        return bool(_members(told, (), is_whole=is_whole))
    return not told.is_gone


def _name(key: tuple[str, str]) -> str:
    return f"{key[0]} {key[1]}"


def _some(data: JsonObject, *names: str) -> JsonObject:
    return {name: data[name] for name in names if name in data}


def _limits(data: JsonObject) -> JsonObject:
    """How far a grant goes, as its record has it, whichever version has written the event."""
    told: JsonObject = msgspec.to_builtins(msgspec.convert(data, StandingLimits))
    unspent: JsonObject = {} if told.get("budget") is None else {"spent": 0}
    return {"uses_left": told.pop("uses")} | told | unspent


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
        "standing", d["standing_grant"],
        {"is_revoked": False} | _limits(d) | _some(d, "strength"), False,
    ),
    "standing.used": lambda d, _: (
        "standing", d["standing_grant"], {"uses_left": d["left"]} | _some(d, "spent"), False,
    ),
    "standing.revoked": lambda d, _: (
        "standing", d["standing_grant"], {"is_revoked": True}, False,
    ),
    "stop.set": lambda d, t: ("stop", f"{t}/{d['stop']}", _some(d, "reason"), False),
    "stop.lifted": lambda d, t: ("stop", f"{t}/{d['stop']}", {}, True),
}  # fmt: skip
