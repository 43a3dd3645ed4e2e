"""What every store promises of records and of sign-ins; a part of `StoreContract`."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

import msgspec

from sayso.domain import lifecycle
from sayso.domain.accounts import DEFAULT_TENANT
from sayso.domain.decisions import Answer, Channel, DecisionType
from sayso.domain.events import Event, EventType
from sayso.domain.lifecycle import Change, Decide
from sayso.domain.records import Record
from sayso.errors import ConflictError
from sayso.stores.base import EventQuery, JobQuery, Login, RecordQuery, Stores
from sayso.testing.factories import NOW, PERSON, make_change, make_job, make_record

_APPROVE = Decide(answer=Answer(type=DecisionType.APPROVE), by=PERSON, channel=Channel.WEB)
_TOLD = Event(type=EventType.SESSION_REGISTERED, at=NOW, session_id="s", actor=PERSON.actor)


def _next(record: Record, **fields: Any) -> Record:
    return msgspec.structs.replace(record, version=record.version + 1, **fields)


def _forgotten(record: Record) -> Record:
    return _next(record, body=b"")


def _login(token_hash: str, person_id: str = "ada", **fields: Any) -> Login:
    told: dict[str, Any] = {"name": "Ada", "strength": "link", "created_at": NOW, **fields}
    told.setdefault("expires_at", NOW + timedelta(hours=1))
    return Login(token_hash=token_hash, person_id=person_id, **told)


async def _is_refused(write: Awaitable[None]) -> bool:
    try:
        await write
    except ConflictError:
        return True
    return False


async def _numbers_told(store: Stores) -> list[int]:
    events, _ = await store.events(EventQuery(tenant=None, limit=1000))
    return [event.id for event in events]


async def _ids(store: Stores, **filters: Any) -> list[str]:
    """The ids of all pages of two."""
    found: list[str] = []
    query = RecordQuery(kind="user", limit=2)
    query = msgspec.structs.replace(query, **filters)
    while True:
        page = await store.find_records(query)
        found += [record.id for record in page]
        if len(page) < query.limit:
            return found
        query = msgspec.structs.replace(query, after=page[-1].id)


class RecordContract:
    """Records, by themselves and with a change. The fixture `store` gives an open, empty one."""

    async def test_a_record_comes_back_as_it_was(self, store: Stores) -> None:
        body = bytes(range(256)) + '{"n": 12345678901234567890, "é": " \\u0000"}'.encode()
        record = make_record(
            "a b:c/ü%2F*",
            kind="k:1 ü",
            owner="o:% ö",
            handle="h: '\"\\%é\n",
            tenant="t:x %",
            body=body,
        )
        await store.put_records([record])
        assert await store.get_record(record.kind, record.id) == record
        assert await store.find_handle(record.kind, record.handle) == record
        query = RecordQuery(kind=record.kind, tenant=record.tenant, owner=record.owner)
        assert list(await store.find_records(query)) == [record]

    async def test_there_is_no_record_where_none_was_kept(self, store: Stores) -> None:
        await store.put_records([make_record("a", handle="h")])
        assert await store.get_record("user", "b") is None
        assert await store.get_record("key", "a") is None
        assert await store.find_handle("user", "a") is None
        assert await store.find_handle("key", "h") is None
        assert list(await store.find_records(RecordQuery(kind="key"))) == []
        for name in ("\0", "a\0b"):
            assert await store.get_record("user", name) is None
            assert await store.get_record(name, "a") is None
            assert await store.find_handle("user", name) is None
            assert list(await store.find_records(RecordQuery(kind=name))) == []
            assert list(await store.find_records(RecordQuery(kind="user", owner=name))) == []

    async def test_nothing_is_found_under_the_empty_handle(self, store: Stores) -> None:
        first, second = make_record("a"), make_record("b")
        await store.put_records([first, second])
        await store.put_records([_next(first)])
        assert await store.find_handle("user", "") is None

    async def test_records_are_found_by_tenant_and_owner_in_pages(self, store: Stores) -> None:
        rows = [
            (f"{number:02}", tenant, owner)
            for number, (tenant, owner) in enumerate(
                [(tenant, owner) for owner in ("", "ada", "bob") for tenant in ("t1", "t2")] * 2
            )
        ]
        records = [make_record(i, tenant=tenant, owner=owner) for i, tenant, owner in rows]
        others = [make_record(i, kind="key", tenant="t1", owner="ada") for i in ("00", "zz")]
        await store.put_records([*reversed(records), *others])
        for tenant in ("t1", "t2", "t3", None):
            for owner in ("", "ada", "bob", "eve", None):
                expected = [
                    i for i, of, whose in rows if tenant in (None, of) and owner in (None, whose)
                ]
                assert await _ids(store, tenant=tenant, owner=owner) == expected, (tenant, owner)
        assert await _ids(store, tenant="t1", after="06") == ["08", "10"]
        assert [len(await store.find_records(RecordQuery(kind="user", tenant=None, limit=n)))
                for n in (1, 12, 13)] == [1, 12, 12]  # fmt: skip

    async def test_records_of_other_tenants_are_not_found(self, store: Stores) -> None:
        await store.put_records([make_record("a"), make_record("b", tenant="elsewhere", owner="o")])
        assert await _ids(store) == ["a"]
        assert await _ids(store, owner="o") == []
        assert await _ids(store, tenant="elsewhere") == ["b"]
        assert await _ids(store, tenant=None) == ["a", "b"]

    async def test_a_record_that_moves_is_found_where_it_is_and_nowhere_else(
        self, store: Stores
    ) -> None:
        first = make_record("a", owner="ada", handle="h1")
        await store.put_records([first])
        moved = _next(first, tenant="elsewhere", owner="bob", handle="h2", body=b"[]")
        await store.put_records([moved])
        assert await store.get_record("user", "a") == moved
        assert await store.find_handle("user", "h2") == moved
        assert await store.find_handle("user", "h1") is None
        for filters in ({}, {"owner": "ada"}, {"tenant": None, "owner": "ada"}):
            assert await _ids(store, **filters) == [], filters
        for filters in ({}, {"owner": "bob"}):
            assert await _ids(store, tenant="elsewhere", **filters) == ["a"], filters
        assert await _ids(store, tenant=None, owner="bob") == ["a"]

    async def test_a_record_is_changed_only_from_the_version_before(self, store: Stores) -> None:
        first = make_record("a")
        assert await _is_refused(store.put_records([_next(first)])), "there is nothing yet"
        await store.put_records([first])
        assert await _is_refused(store.put_records([first])), "it is there already"
        second = _next(first, body=b"2")
        await store.put_records([second])
        for stale in (first, second, _forgotten(first), _next(_next(second))):
            assert await _is_refused(store.put_records([stale]))
        assert await store.get_record("user", "a") == second

    async def test_of_many_who_change_a_record_one_does(self, store: Stores) -> None:
        first = make_record("a", body=b"0")
        await store.put_records([first])
        others = [_next(first, body=b"%d" % number) for number in range(10)]
        others += [_next(first, body=b"the same")] * 5 + [_forgotten(first)] * 5
        refused = await asyncio.gather(
            *(_is_refused(store.put_records([each], [_TOLD])) for each in others)
        )
        assert refused.count(False) == 1
        kept = others[refused.index(False)]
        assert await store.get_record("user", "a") == (kept if kept.body else None)
        assert await _numbers_told(store) == [1]

    async def test_of_many_who_make_a_record_one_does(self, store: Stores) -> None:
        records = [make_record("a", body=b"%d" % number) for number in range(10)]
        refused = await asyncio.gather(*(_is_refused(store.put_records([r])) for r in records))
        assert refused.count(False) == 1
        assert await store.get_record("user", "a") == records[refused.index(False)]

    async def test_a_handle_has_one_holder_in_its_kind(self, store: Stores) -> None:
        await store.put_records([make_record("a", handle="h")])
        await store.put_records([make_record("a", kind="key", handle="h")])
        assert await _is_refused(store.put_records([make_record("b", handle="h")]))
        elsewhere = make_record("b", handle="h", tenant="elsewhere")
        assert await _is_refused(store.put_records([elsewhere])), "handles are of all tenants"
        refused = await asyncio.gather(
            *(_is_refused(store.put_records([make_record(f"c{n}", handle="i")])) for n in range(9))
        )
        assert refused.count(False) == 1
        holder = await store.find_handle("user", "i")
        assert holder is not None
        assert holder.id == f"c{refused.index(False)}"

    async def test_a_handle_that_was_given_up_is_free(self, store: Stores) -> None:
        first, second = make_record("a", handle="h"), make_record("b", handle="i")
        await store.put_records([first, second])
        await store.put_records([_next(first, handle="j"), _forgotten(second)])
        third, fourth = make_record("c", handle="h"), make_record("d", handle="i")
        await store.put_records([third, fourth])
        assert await store.find_handle("user", "h") == third
        assert await store.find_handle("user", "i") == fourth

    async def test_handles_are_handed_over_within_one_write(self, store: Stores) -> None:
        first, second = make_record("a", handle="h"), make_record("b", handle="i")
        await store.put_records([first, second])
        first, second = _next(first, handle="i"), _next(second, handle="h")
        await store.put_records([first, second])
        assert await store.find_handle("user", "h") == second
        assert await store.find_handle("user", "i") == first
        heir = make_record("c", handle="h")
        await store.put_records([heir, _forgotten(second)])
        assert await store.find_handle("user", "h") == heir
        assert await store.get_record("user", "b") is None

    async def test_what_contradicts_itself_is_refused(self, store: Stores) -> None:
        first = make_record("a", handle="h")
        for records in (
            [first, first],
            [first, _next(first)],
            [first, make_record("b", handle="h")],
        ):
            assert await _is_refused(store.put_records(records, [_TOLD])), records
        assert await _ids(store) == []
        assert await _numbers_told(store) == []

    async def test_several_are_kept_with_what_goes_with_them_or_none(self, store: Stores) -> None:
        first, second = make_record("a", handle="h"), make_record("b", kind="key")
        change = make_change()
        job, late = make_job(change.request, "a"), make_job(change.request, "b")
        await store.put_records([first, second], [_TOLD, _TOLD], [job])
        assert await _numbers_told(store) == [1, 2]
        assert await store.get_job(DEFAULT_TENANT, job.id) == job
        for bad in (first, make_record("c", handle="h"), _next(_next(second))):
            good = make_record("d", handle="i")
            for records in ([good, bad], [bad, good], [_forgotten(second), bad, good]):
                assert await _is_refused(store.put_records(records, [_TOLD], [late])), records
        assert await _ids(store) == ["a"]
        assert await store.find_handle("user", "i") is None
        assert await store.get_record("key", "b") == second
        assert await store.get_job(DEFAULT_TENANT, late.id) is None
        assert await _numbers_told(store) == [1, 2]

    async def test_a_refused_write_does_not_spoil_its_neighbours(self, store: Stores) -> None:
        taken = make_record("a")
        await store.put_records([taken])
        good = [make_record(f"g{number:02}") for number in range(20)]
        changes = [_with(make_change(), make_record(f"c{number:02}")) for number in range(20)]
        results = await asyncio.gather(
            *(
                _is_refused(write)
                for record, change in zip(good, changes, strict=True)
                for write in (
                    store.put_records([record]),
                    store.put_records([taken]),
                    store.commit(change),
                    store.commit(_with(make_change(), taken)),
                    store.commit(make_change()),
                )
            )
        )
        assert results == [False, True, False, True, False] * 20
        expected = [r.id for r in [taken, *(c.records[0] for c in changes), *good]]
        assert await _ids(store) == expected

    async def test_what_is_forgotten_is_gone_and_may_begin_again(self, store: Stores) -> None:
        first = make_record("a", owner="ada", handle="h")
        await store.put_records([first])
        await store.put_records([_forgotten(first)], [_TOLD])
        assert await store.get_record("user", "a") is None
        assert await store.find_handle("user", "h") is None
        for filters in ({}, {"owner": "ada"}, {"tenant": None}, {"tenant": None, "owner": "ada"}):
            assert await _ids(store, **filters) == [], filters
        assert await _is_refused(store.put_records([_forgotten(first)], [_TOLD]))
        assert await _numbers_told(store) == [1]
        await store.put_records([make_record("b", body=b"")], [_TOLD])
        await store.put_records([], [_TOLD])
        assert await _numbers_told(store) == [1, 2, 3]
        await store.put_records([first])
        assert await _ids(store) == ["a"]

    async def test_a_change_is_kept_with_its_records(self, store: Stores) -> None:
        grant = make_record("g", kind="grant", handle="h")
        change = _with(make_change(key="k", fingerprint="f"), grant)
        job = make_job(change.request, "a")
        await store.commit(msgspec.structs.replace(change, jobs=(job,)))
        assert await store.get(DEFAULT_TENANT, change.request.id) == change.request
        assert await store.get_record("grant", "g") == grant
        assert await store.find_handle("grant", "h") == grant
        assert await store.get_job(DEFAULT_TENANT, job.id) == job
        assert await store.replay(DEFAULT_TENANT, "k") is not None
        decided = lifecycle.apply(change.request, _APPROVE, NOW)
        decided = _with(decided, _forgotten(grant), make_record("n"))
        await store.commit(decided)
        assert await store.get(DEFAULT_TENANT, change.request.id) == decided.request
        assert await store.get_record("grant", "g") is None
        assert await _ids(store) == ["n"]
        assert await _numbers_told(store) == [1, 2]

    async def test_a_change_whose_record_is_refused_leaves_nothing(self, store: Stores) -> None:
        kept = make_record("a", handle="h")
        await store.put_records([kept])
        for bad in (
            kept,
            make_record("b", handle="h"),
            _next(_next(kept)),
            _next(make_record("c")),
        ):
            change = _with(make_change(key="k", fingerprint="f"), make_record("d"), bad)
            job = make_job(change.request, "a")
            assert await _is_refused(store.commit(msgspec.structs.replace(change, jobs=(job,))))
            assert await store.get(DEFAULT_TENANT, change.request.id) is None
            assert await store.get_job(DEFAULT_TENANT, job.id) is None
        assert await store.replay(DEFAULT_TENANT, "k") is None
        assert await _ids(store) == ["a"]
        assert await _numbers_told(store) == []
        await store.commit(make_change(key="k", fingerprint="f"))

    async def test_a_change_that_is_refused_leaves_its_records(self, store: Stores) -> None:
        first = make_change(key="k", fingerprint="f")
        await store.commit(first)
        await store.commit(lifecycle.apply(first.request, _APPROVE, NOW))
        kept = make_record("a")
        await store.put_records([kept])
        for refused in (
            make_change(key="k", fingerprint="g"),  # the key is taken
            lifecycle.apply(first.request, _APPROVE, NOW),  # it was decided
            first,  # it was submitted
        ):
            change = _with(refused, _next(kept), make_record("b"))
            job = make_job(first.request, "z")
            assert await _is_refused(store.commit(msgspec.structs.replace(change, jobs=(job,))))
        assert await store.get_record("user", "a") == kept
        assert await _ids(store) == ["a"]
        assert (await store.find_jobs(JobQuery())).items == ()
        assert await _numbers_told(store) == [1, 2]

    async def test_of_many_changes_that_use_a_record_up_one_is_kept(self, store: Stores) -> None:
        """Each is of a request of its own, such as of those who all use one grant."""
        grant = make_record("g", kind="grant")
        await store.put_records([grant])
        changes = [_with(make_change(), used) for used in [_next(grant), _forgotten(grant)] * 10]
        refused = await asyncio.gather(*(_is_refused(store.commit(c)) for c in changes))
        assert refused.count(False) == 1
        for change, was_refused in zip(changes, refused, strict=True):
            found = await store.get(DEFAULT_TENANT, change.request.id)
            assert (found is None) == was_refused
        assert await _numbers_told(store) == [1]

    async def test_of_many_changes_of_a_request_one_keeps_its_record(self, store: Stores) -> None:
        change = make_change()
        await store.commit(change)
        decided = lifecycle.apply(change.request, _APPROVE, NOW)
        changes = [_with(decided, make_record(f"{number:02}")) for number in range(10)]
        refused = await asyncio.gather(
            *(_is_refused(store.commit(each)) for each in (*changes, decided))
        )
        assert refused.count(False) == 1
        kept = [record.id for record in (*changes, decided)[refused.index(False)].records]
        assert await _ids(store) == kept
        assert await _numbers_told(store) == [1, 2]

    async def test_closing_finishes_the_records_that_were_begun(self, store: Stores) -> None:
        writes = [
            asyncio.ensure_future(write)
            for number in range(30)
            for write in (
                store.put_records([make_record(f"{number}")]),
                store.commit(_with(make_change(), make_record(f"with {number}"))),
            )
        ]
        await asyncio.sleep(0)
        await store.close()
        assert await asyncio.gather(*writes) == [None] * 60


class LoginContract:
    """Sign-ins by person. The fixture `store` gives an open, empty one."""

    async def test_logins_of_a_person_are_found_newest_first(self, store: Stores) -> None:
        logins = [
            _login(f"h{n}", created_at=NOW + timedelta(minutes=n), id=f"l{n}", method="password")
            for n in (2, 0, 3, 1)
        ]
        agent = "Mozilla/5.0 (X11; Linux) \u00fc"
        ended = _login("old", expires_at=NOW, id="old", agent=agent, created_at=NOW)
        others = [_login("x", "bob"), _login("y", tenant="elsewhere"), _login("z", "ada:"),
                  _login("w", "")]  # fmt: skip
        for login in (*logins, *others):
            await store.put_login(login)
        newest = sorted(logins, key=lambda login: login.created_at, reverse=True)
        assert list(await store.get_logins(DEFAULT_TENANT, "ada")) == newest
        assert list(await store.get_logins("elsewhere", "ada")) == [others[1]]
        assert list(await store.get_logins(DEFAULT_TENANT, "")) == [others[3]]
        await store.put_login(ended)
        assert (await store.get_logins(DEFAULT_TENANT, "ada"))[-1] in (ended, logins[1])
        assert len(await store.get_logins(DEFAULT_TENANT, "ada")) == 5
        for nobody in ("eve", "\0", "a\0b"):
            assert list(await store.get_logins(DEFAULT_TENANT, nobody)) == []

    async def test_all_logins_of_a_person_are_ended_and_of_nobody_else(self, store: Stores) -> None:
        mine = [_login("h1"), _login("h2")]
        others = [_login("x", "bob"), _login("y", tenant="elsewhere")]
        for login in (*mine, *others):
            await store.put_login(login)
        for _ in range(2):
            await store.end_logins(DEFAULT_TENANT, "ada")
        await store.end_logins(DEFAULT_TENANT, "eve")
        await store.end_logins(DEFAULT_TENANT, "a\0b")
        assert [await store.get_login(login.token_hash) for login in mine] == [None, None]
        assert list(await store.get_logins(DEFAULT_TENANT, "ada")) == []
        for login in others:
            assert await store.get_login(login.token_hash) == login
            assert list(await store.get_logins(login.tenant, login.person_id)) == [login]
        await store.put_login(mine[0])
        assert list(await store.get_logins(DEFAULT_TENANT, "ada")) == mine[:1]

    async def test_a_login_that_is_ended_or_replaced_is_not_found_by_its_person(
        self, store: Stores
    ) -> None:
        first, second = _login("h1"), _login("h2", created_at=NOW + timedelta(minutes=1))
        await store.put_login(first)
        await store.put_login(second)
        await store.end_login("h1")
        assert list(await store.get_logins(DEFAULT_TENANT, "ada")) == [second]
        replaced = msgspec.structs.replace(second, person_id="bob", tenant="elsewhere")
        await store.put_login(replaced)
        assert list(await store.get_logins(DEFAULT_TENANT, "ada")) == []
        assert list(await store.get_logins("elsewhere", "bob")) == [replaced]


def _with(change: Change, *records: Record) -> Change:
    return msgspec.structs.replace(change, records=records)
