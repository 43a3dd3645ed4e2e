"""What powers rest on is compared with the log: a row that somebody changed past it is named."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
import small_ledger as small

from sayso.domain.accounts import Role, Scope, Strength
from sayso.domain.decisions import Reviewer
from sayso.domain.events import Event, EventType
from sayso.domain.keys import ApiKey
from sayso.domain.patterns import Budget, Pattern
from sayso.domain.records import Record
from sayso.domain.rules import ReviewRule, Rule
from sayso.domain.standing import StandingGrant
from sayso.domain.stops import Stop, StopKind
from sayso.domain.users import Group, User
from sayso.ledger.sealer import Sealer
from sayso.stores.sqlite import SqliteStore
from sayso.testing.clock import FakeClock
from sayso.testing.factories import NOW
from sayso.types import JsonObject

pytestmark = pytest.mark.anyio

USER = User(id="u1", username="ada", name="Ada", role=Role.REVIEWER, created_at=NOW)
KEY = ApiKey(
    id="k1", agent_id="a1", label="bot", prefix="lk", key_hash="0" * 64, owner="u1", created_at=NOW
)
GROUP = Group(name="finance", members=("u1",))
RULE = ReviewRule(name="pay", rule=Rule(approvals=2))
STOP = Stop(kind=StopKind.CLIENT, value="ci", reason="mad", set_by="person:u1", set_at=NOW)
GRANT = StandingGrant(
    id="sg",
    tool_name="pay",
    args={"amount": Pattern(max=9), "sure": Pattern(equals=True)},
    uses_left=2,
    budget=Budget(argument="amount", limit=100),
    spent=7.5,
    expires_at=NOW,
    session_id="s1",
    given_by=Reviewer(id="u1", name="Ada"),
    strength=Strength.LOGIN,
    given_at=NOW,
)
VALUES = {
    "user": USER, "key": KEY, "group": GROUP, "rule": RULE, "stop": STOP, "standing": GRANT,
}  # fmt: skip


def event(kind: EventType, data: JsonObject) -> Event:
    return Event(type=kind, at=NOW, actor="person:u1", data=data)


def record(kind: str, record_id: str, value: msgspec.Struct, version: int = 1) -> Record:
    return Record(kind=kind, id=record_id, version=version, body=msgspec.json.encode(value))


TOLD: list[tuple[Record, EventType, JsonObject]] = [
    (
        record("user", "u1", USER),
        EventType.USER_ADDED,
        {"user_id": "u1", "username": "ada", "role": "reviewer"},
    ),
    (
        record("key", "k1", KEY),
        EventType.KEY_ADDED,
        {"key_id": "k1", "agent_id": "a1", "label": "bot", "owner": "u1", "scope": "agent"},
    ),
    (
        record("group", "default/finance", GROUP),
        EventType.GROUP_CHANGED,
        {"group": "finance", "added": "u1"},
    ),
    (record("rule", "default/pay", RULE), EventType.RULE_CHANGED, {"rule": "pay", "is_new": True}),
    (
        record("stop", "default/client:ci", STOP),
        EventType.STOP_SET,
        {"stop": "client:ci", "reason": "mad"},
    ),
    (
        record("standing", "sg", GRANT),
        EventType.STANDING_GIVEN,
        {"standing_grant": "sg", "strength": "login"}
        | msgspec.to_builtins(GRANT.limits)
        | {"uses": 3},
    ),
]
UNUSED = msgspec.structs.replace(GRANT, id="sg2", uses_left=3, spent=0.0)


@pytest.fixture
async def ledger(tmp_path: Path) -> Path:
    path = tmp_path / "sayso.db"
    store = SqliteStore(path)
    await store.open()
    for kept, kind, data in TOLD:
        await store.put_records((kept,), (event(kind, data),))
    used = {"standing_grant": "sg", "used": 1, "left": 2, "spent": 7.5}
    await store.put_records((), (event(EventType.STANDING_USED, used),))
    await Sealer(store, small.KEYS, FakeClock(NOW)).seal()
    await store.close()
    return path


async def test_what_is_as_the_log_tells_fits(ledger: Path) -> None:
    verdict = await small.verified(ledger)
    assert verdict.findings == []
    assert verdict.records == 6


@pytest.mark.parametrize(
    ("kind", "changed", "named"),
    [
        ("user", {"role": Role.ADMIN}, "user u1: its role is 'admin'; event 1 left 'reviewer'"),
        ("user", {"disabled": True}, "user u1: its disabled is True; event 1 left False"),
        ("key", {"scope": Scope.ADMIN}, "key k1: its scope is 'admin'; event 2 left 'agent'"),
        ("key", {"owner": "u9"}, "key k1: its owner is 'u9'; event 2 left 'u1'"),
        ("key", {"revoked_at": NOW}, "key k1: its is_revoked is True; event 2 left False"),
        ("group", {"members": ("u1", "u9")}, "group default/finance: its members is ['u1', 'u9']"),
        ("stop", {"reason": "fine"}, "stop default/client:ci: its reason is 'fine'"),
        ("standing", {"uses_left": 3}, "standing sg: its uses_left is 3; event 7 left 2"),
        ("standing", {"uses_left": None}, "standing sg: its uses_left is None; event 7 left 2"),
        ("standing", {"spent": 0.0}, "standing sg: its spent is 0.0; event 7 left 7.5"),
        ("standing", {"budget": None}, "standing sg: its budget is None; event 7 left {'argument'"),
        (
            "standing",
            {"session_id": None},
            "standing sg: its session_id is None; event 7 left",
        ),
        ("standing", {"client_id": "ci"}, "standing sg: its client_id is 'ci'; event 7 left None"),
        ("standing", {"asked_by": "agent:x"}, "standing sg: its asked_by is 'agent:x'; event 7"),
        (
            "standing",
            {"strength": Strength.PASSKEY},
            "standing sg: its strength is 'passkey'; event 7 left 'login'",
        ),
        (
            "standing",
            {"given_by": Reviewer(id="u9", name="Ada")},
            "standing sg: its given_by is 'person:u9'; event 7 left 'person:u1'",
        ),
        ("standing", {"args": {}}, "standing sg: its args is {}; event 7 left {'amount'"),
        (
            "standing",
            {"args": GRANT.args | {"sure": Pattern(equals=1)}},
            "standing sg: its args is {'amount'",
        ),
        (
            "standing",
            {"expires_at": NOW + timedelta(days=9)},
            "standing sg: its expires_at is '2026-01-10T00:00:00Z'; event 7 left",
        ),
        ("rule", None, "rule default/pay: it is gone; event 4 tells of it"),
        ("stop", None, "stop default/client:ci: it is gone; event 5 tells of it"),
    ],
)
async def test_a_row_that_somebody_changed_past_the_log_is_named(
    ledger: Path, kind: str, changed: JsonObject | None, named: str
) -> None:
    with closing(sqlite3.connect(ledger)) as database, database:
        if changed is None:
            done = database.execute("DELETE FROM records WHERE kind = ?", (kind,))
        else:
            body = msgspec.json.encode(msgspec.structs.replace(VALUES[kind], **changed))
            done = database.execute("UPDATE records SET body = ? WHERE kind = ?", (body, kind))
        assert done.rowcount == 1
    (finding,) = (await small.verified(ledger)).findings
    assert str(finding).startswith(f"record {named}")


async def test_a_budget_of_which_nothing_was_used_is_not_below_nothing(tmp_path: Path) -> None:
    path = tmp_path / "sayso.db"
    store = SqliteStore(path)
    await store.open()
    told = {"standing_grant": "sg2"} | msgspec.to_builtins(UNUSED.limits)  # without the strength
    given = event(EventType.STANDING_GIVEN, told)
    await store.put_records((record("standing", "sg2", UNUSED),), (given,))
    await Sealer(store, small.KEYS, FakeClock(NOW)).seal()
    await store.close()
    assert (await small.verified(path)).findings == []
    spoilt = msgspec.json.encode(msgspec.structs.replace(UNUSED, spent=-1e6))
    small.execute(path, "UPDATE records SET body = ? WHERE kind = 'standing'", spoilt)
    (finding,) = (await small.verified(path)).findings
    assert str(finding) == "record standing sg2: its spent is -1000000.0; event 1 left 0"


async def test_a_grant_whose_limits_an_older_log_does_not_tell_fits(tmp_path: Path) -> None:
    path = tmp_path / "sayso.db"
    store = SqliteStore(path)
    await store.open()
    told = msgspec.to_builtins(GRANT.limits)
    told = {name: told[name] for name in ("tool_name", "args", "uses", "expires_at")}
    given = event(EventType.STANDING_GIVEN, {"standing_grant": "sg"} | told)
    used = event(EventType.STANDING_USED, {"standing_grant": "sg", "used": 1, "left": 2})
    await store.put_records((record("standing", "sg", GRANT),), (given, used))
    await Sealer(store, small.KEYS, FakeClock(NOW)).seal()
    await store.close()
    assert (await small.verified(path)).findings == []


async def test_a_row_of_which_no_event_tells_is_named(ledger: Path) -> None:
    store = SqliteStore(ledger)
    await store.open()
    intruder = msgspec.structs.replace(USER, id="u2", username="eve", role=Role.ADMIN)
    await store.put_records((record("user", "u2", intruder),))
    await store.close()
    (finding,) = (await small.verified(ledger)).findings
    assert str(finding) == "record user u2: no event tells of it: it was put in past the log"


async def test_what_came_and_went_as_the_log_tells_fits(ledger: Path) -> None:
    store = SqliteStore(ledger)
    await store.open()
    gone = [
        ("stop", "default/client:ci", EventType.STOP_LIFTED, {"stop": "client:ci"}),
        ("rule", "default/pay", EventType.RULE_CHANGED, {"rule": "pay", "is_removed": True}),
        (
            "group",
            "default/finance",
            EventType.GROUP_CHANGED,
            {"group": "finance", "removed": "u1"},
        ),
    ]
    for kind, record_id, told, data in gone:
        forgotten = Record(kind=kind, id=record_id, version=2, body=b"")
        await store.put_records((forgotten,), (event(told, data),))
    await store.close()
    assert (await small.verified(ledger)).findings == []


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("what", ["column", "body", "both"])
async def test_what_was_moved_to_another_tenant_is_named(
    ledger: Path, kind: str, what: str
) -> None:
    column = "tenant = 'other'"
    body = """body = replace(body, '"tenant":"default"', '"tenant":"other"')"""
    changed = {"column": column, "body": body, "both": f"{column}, {body}"}[what]
    small.execute(ledger, f"UPDATE records SET {changed} WHERE kind = ?", kind)
    found = (await small.verified(ledger)).findings
    if (kind, what) == ("rule", "body"):  # it does not tell its tenant
        assert found == []
        return
    assert found
    assert {each.id.partition(" ")[0] for each in found} == {kind}
    assert all("its tenant " in each.problem or "its id " in each.problem for each in found)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("group", '{"name":"finance","members":5}'),
        ("group", '{"name":"finance","members":[5]}'),
        ("user", '{"id":"u1","username":"ada","name":"Ada","role":"god"}'),
        *[("rule", body) for body in ("xx", "[]", "", "{}", 5, b"\xff", "[" * 100_000)],
    ],
)
async def test_a_record_that_cannot_be_read_is_named_and_hides_nothing(
    ledger: Path, kind: str, body: str | bytes | int
) -> None:
    small.execute(ledger, "UPDATE records SET body = ? WHERE kind = ?", body, kind)
    small.execute(ledger, "DELETE FROM records WHERE kind = 'stop'")
    spoilt, gone = (await small.verified(ledger)).findings
    assert spoilt.id.startswith(f"{kind} ")
    assert spoilt.problem.startswith("it cannot be read: ")
    assert gone.id == "stop default/client:ci"
