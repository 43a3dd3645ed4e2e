"""Whatever is changed behind the ledger's back is found, and the right thing is named."""

import contextlib
import io
import random
import shutil
import zipfile
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
import small_ledger as small

from sayso import codec
from sayso.domain.blocks import Block
from sayso.domain.redaction import parse
from sayso.errors import InvalidRequestError, LedgerError
from sayso.ledger import bundle
from sayso.ledger.binding import bind
from sayso.ledger.keys import Keys, derived, rotate
from sayso.ledger.retention import retire
from sayso.ledger.sealer import Sealer
from sayso.ledger.verify import Verdict
from sayso.stores.sqlite import SqliteStore
from sayso.testing.clock import FakeClock
from sayso.testing.factories import NOW, make_change, make_draft

pytestmark = pytest.mark.anyio

ROUNDS = 60
"""Random bits that are tried of each kind."""


@pytest.fixture
async def ledger(tmp_path: Path) -> Path:
    await small.make_ledger(tmp_path / "sayso.db")
    return tmp_path / "sayso.db"


def flipped(content: bytes, dice: random.Random) -> bytes:
    spoilt = bytearray(content)
    spoilt[dice.randrange(len(spoilt))] ^= 1 << dice.randrange(8)
    return bytes(spoilt)


def first(verdict: Verdict) -> tuple[str, str]:
    assert not verdict.ok
    return verdict.findings[0].kind, verdict.findings[0].id


async def test_a_ledger_that_nobody_touched_fits(ledger: Path) -> None:
    verdict = await small.verified(ledger)
    assert verdict.findings == []
    assert (verdict.events, verdict.blocks, verdict.requests) == (18, 3, 9)
    assert verdict.signatures == 4


async def test_any_bit_of_any_event_is_found_and_the_event_is_named(ledger: Path) -> None:
    dice = random.Random(1)
    for _ in range(ROUNDS):
        number = dice.randint(1, 18)
        record = small.read(ledger, "SELECT record FROM events WHERE id = ?", number)
        update = "UPDATE events SET record = ? WHERE id = ?"
        small.execute(ledger, update, flipped(record, dice), number)
        assert first(await small.verified(ledger)) == ("event", str(number))
        small.execute(ledger, update, record, number)


async def test_any_bit_of_any_block_is_found_and_the_block_is_named(ledger: Path) -> None:
    """Of what it says, that is: in the text around it a bit may change nothing that is said."""
    dice = random.Random(2)
    for _ in range(4 * ROUNDS):
        number = dice.randint(1, 3)
        record = small.read(ledger, "SELECT record FROM ledger_blocks WHERE number = ?", number)
        spoilt = flipped(record, dice)
        if said(spoilt) == said(record):
            continue
        update = "UPDATE ledger_blocks SET record = ? WHERE number = ?"
        small.execute(ledger, update, spoilt, number)
        kind, name = first(await small.verified(ledger))
        assert (kind == "key" and number == 1) or (kind, name) == ("block", str(number))
        small.execute(ledger, update, record, number)


def said(record: bytes) -> Block | None:
    try:
        return codec.decode_block(record)
    except codec.UNREADABLE:
        return None


async def test_any_bit_of_any_request_is_found_and_the_request_is_named(ledger: Path) -> None:
    dice = random.Random(3)
    for request_id in [row[0] for row in rows_of(ledger)]:
        record = small.read(ledger, "SELECT record FROM requests WHERE id = ?", request_id)
        update = "UPDATE requests SET record = ? WHERE id = ?"
        for _ in range(ROUNDS // 6):
            small.execute(ledger, update, flipped(record, dice), request_id)
            assert first(await small.verified(ledger)) == ("request", request_id)
        small.execute(ledger, update, record, request_id)


def rows_of(path: Path) -> list[tuple[str]]:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT id FROM requests").fetchall()


@pytest.mark.parametrize("column", ["tenant", "status", "version"])
async def test_what_stands_beside_a_request_has_to_be_what_is_in_it(
    ledger: Path, column: str
) -> None:
    request_id = rows_of(ledger)[4][0]
    small.execute(ledger, f"UPDATE requests SET {column} = 7 WHERE id = ?", request_id)
    assert first(await small.verified(ledger)) == ("request", request_id)


async def test_an_event_that_is_filed_under_another_tenant_is_named(ledger: Path) -> None:
    small.execute(ledger, "UPDATE events SET tenant = 'elsewhere' WHERE id = 3")
    assert first(await small.verified(ledger)) == ("event", "3")


@pytest.mark.parametrize("number", [1, 6, 9, 18])
async def test_a_deleted_event_is_named(ledger: Path, number: int) -> None:
    small.execute(ledger, "DELETE FROM events WHERE id = ?", number)
    kind, name = first(await small.verified(ledger))
    assert kind == "event"
    assert name == str(number) or (number == 1 and name == "1")


async def test_two_events_that_were_swapped_are_found(ledger: Path) -> None:
    small.execute(ledger, "UPDATE events SET id = -1 WHERE id = 8")
    small.execute(ledger, "UPDATE events SET id = 8 WHERE id = 10")
    small.execute(ledger, "UPDATE events SET id = 10 WHERE id = -1")
    assert first(await small.verified(ledger)) == ("event", "8")


async def test_a_tail_that_was_cut_off_behind_a_block_is_found(ledger: Path) -> None:
    small.execute(ledger, "DELETE FROM events WHERE id > 15")
    assert first(await small.verified(ledger)) == ("event", "16")


async def test_a_deleted_block_is_named(ledger: Path) -> None:
    small.execute(ledger, "DELETE FROM ledger_blocks WHERE number = 2")
    assert first(await small.verified(ledger)) == ("block", "2")


async def test_a_deleted_request_is_named(ledger: Path) -> None:
    request_id = rows_of(ledger)[2][0]
    small.execute(ledger, "DELETE FROM requests WHERE id = ?", request_id)
    assert first(await small.verified(ledger)) == ("request", request_id)


async def test_a_request_that_was_put_in_past_the_log_is_named(ledger: Path) -> None:
    small.execute(
        ledger,
        "INSERT INTO requests (id, tenant, status, version, record) SELECT"
        " '00000000-0000-7000-8000-0000000000ff', tenant, status, version,"
        " cast(replace(cast(record AS TEXT), id, '00000000-0000-7000-8000-0000000000ff') AS BLOB)"
        " FROM requests LIMIT 1",
    )
    verdict = await small.verified(ledger)
    assert first(verdict) == ("request", "00000000-0000-7000-8000-0000000000ff")
    assert verdict.unbound == 1


async def test_requests_from_before_the_ledger_are_a_note(tmp_path: Path) -> None:
    """Events told no hashes then; what they tell of is told apart from what was put in."""
    path = tmp_path / "sayso.db"
    store = SqliteStore(path)
    await store.open()
    older = make_change(make_draft())
    await store.commit(older)
    clock = FakeClock(NOW)
    sealer = Sealer(store, small.KEYS, clock)
    await small.add_events(store, [])
    await sealer.seal()
    verdict = await small.verified(path)
    assert (verdict.findings, verdict.unbound) == ([], 1)
    assert "hash of 1 requests" in verdict.notes[-1]
    clock.advance(86_400)
    await small.add_events(store, [])
    await sealer.seal()
    await retire(store, NOW + timedelta(hours=1), keys=small.KEYS, clock=clock)
    await sealer.seal()
    await store.close()
    verdict = await small.verified(path)
    assert (verdict.findings, verdict.unbound, verdict.retired) == ([], 0, 7)


@pytest.mark.parametrize("also", [(), ("requests",), ("requests", "records")])
async def test_a_log_that_is_gone_as_a_whole_is_a_finding(
    ledger: Path, also: tuple[str, ...]
) -> None:
    for table in ("events", *also):
        with contextlib.suppress(AssertionError):  # there may be nothing in it
            small.execute(ledger, f"DELETE FROM {table}")
    verdict = await small.verified(ledger, small.KEYS.current().public)
    assert ("event", "1 to 18") in {(each.kind, each.id) for each in verdict.findings}


async def test_all_requests_that_are_gone_are_named(ledger: Path) -> None:
    small.execute(ledger, "DELETE FROM requests")
    verdict = await small.verified(ledger)
    assert [each.kind for each in verdict.findings] == ["request"] * 9


@pytest.mark.parametrize("trusted", ["", small.KEYS.current().public])
async def test_a_ledger_without_blocks_is_a_finding(ledger: Path, trusted: str) -> None:
    small.execute(ledger, "DELETE FROM ledger_blocks")
    verdict = await small.verified(ledger, trusted)
    assert first(verdict) == ("event", "1")
    assert "no server signs" in verdict.findings[0].problem
    assert "Nothing in this log is signed: there is no block." in verdict.notes


async def test_a_fresh_database_fits_whatever_key_is_trusted(tmp_path: Path) -> None:
    await small.make_ledger(tmp_path / "sayso.db", blocks=0)
    assert (await small.verified(tmp_path / "sayso.db", small.KEYS.current().public)).ok


async def test_blocks_that_were_cut_off_long_before_the_end_are_a_finding(tmp_path: Path) -> None:
    path = tmp_path / "sayso.db"
    await small.make_ledger(path)
    store = SqliteStore(path)
    await store.open()
    await store.commit(bind(make_change(make_draft(), now=NOW + timedelta(hours=1))))
    await Sealer(store, small.KEYS, FakeClock(NOW)).seal()
    await store.close()
    assert (await small.verified(path)).ok
    small.execute(path, "DELETE FROM ledger_blocks WHERE number > 2")
    assert first(await small.verified(path)) == ("event", "13")


async def test_an_older_database_does_not_reach_a_head_that_was_kept(tmp_path: Path) -> None:
    path = tmp_path / "sayso.db"
    await small.make_ledger(path, blocks=2)
    old = tmp_path / "old.db"
    shutil.copy(path, old)
    store = SqliteStore(path)
    await store.open()
    await small.add_events(store, [])
    await Sealer(store, small.KEYS, FakeClock(NOW)).seal()
    head = await store.last_block()
    await store.close()
    assert head is not None
    assert (await small.verified(path, heads=[head])).ok
    assert (await small.verified(old)).ok
    assert first(await small.verified(old, heads=[head])) == ("head", "3")


async def test_a_ledger_of_another_key_is_not_taken_for_ours(ledger: Path) -> None:
    assert (await small.verified(ledger, small.KEYS.current().key_id)).ok
    assert (await small.verified(ledger, small.KEYS.current().public)).ok
    other = derived(b"o" * 32)
    assert first(await small.verified(ledger, other.key_id))[0] == "key"


async def test_a_thief_who_introduces_our_key_is_not_taken_for_us(tmp_path: Path) -> None:
    thief, ours = tmp_path / "thief.key", small.KEYS.current()
    rotate(thief, derived(b"t" * 32), NOW)
    await small.make_ledger(tmp_path / "sayso.db", Keys(thief, b"t" * 32))
    assert first(await small.verified(tmp_path / "sayso.db", ours.public))[0] == "key"


async def test_a_rotated_key_goes_on_with_the_ledger(tmp_path: Path) -> None:
    path, file = tmp_path / "sayso.db", tmp_path / "ledger.key"
    keys = Keys(file, small.SECRET)
    old = keys.current()
    await small.make_ledger(path, keys, blocks=2)
    rotate(file, old, NOW)
    assert file.stat().st_mode & 0o777 == 0o600
    new = rotate(file, keys.current(), NOW)
    assert keys.current().key_id == new.key_id
    store = SqliteStore(path)
    await store.open()
    await small.add_events(store, [])
    await Sealer(store, keys, FakeClock(NOW)).seal()
    await small.add_events(store, [])
    with pytest.raises(LedgerError, match="does not follow"):
        await Sealer(store, small.KEYS, FakeClock(NOW)).seal()
    await store.close()
    verdict = await small.verified(path, old.public)
    assert verdict.findings == []
    assert verdict.keys[0] == old.key_id
    assert verdict.keys[-1] == new.key_id
    assert len(verdict.keys) == 3
    assert bundle.verify_bundle(await small.exported(path, keys=keys), trusted=old.key_id).ok


async def test_a_lost_key_is_told_of_until_the_new_one_is_known(tmp_path: Path) -> None:
    path, file = tmp_path / "sayso.db", tmp_path / "ledger.key"
    await small.make_ledger(path)
    new = rotate(file, derived(b""), NOW, lost=True)
    store = SqliteStore(path)
    await store.open()
    await small.add_events(store, [])
    await Sealer(store, Keys(file, b""), FakeClock(NOW)).seal()
    await store.close()
    assert first(await small.verified(path)) == ("key", new.key_id)
    assert (await small.verified(path, new.key_id)).ok


async def test_nothing_is_signed_on_top_of_what_was_changed(ledger: Path) -> None:
    record = small.read(ledger, "SELECT record FROM ledger_blocks WHERE number = 3")
    block = msgspec.structs.replace(codec.decode_block(record), head="00" * 32)
    small.execute(
        ledger, "UPDATE ledger_blocks SET record = ? WHERE number = 3", codec.encode(block)
    )
    store = SqliteStore(ledger)
    await store.open()
    with pytest.raises(LedgerError, match="signature of block 3"):
        await Sealer(store, small.KEYS, FakeClock(NOW)).seal()
    await store.close()


async def test_a_statement_that_nobody_signed_does_not_excuse_anything(ledger: Path) -> None:
    """Whoever can write to the database can append an event, but not a retirement."""
    small.execute(
        ledger,
        "INSERT INTO events (id, tenant, record) VALUES (19, 'default', ?)",
        b'{"type":"ledger.retired","at":"2026-01-01T00:00:00Z","actor":"system","tenant":"default",'
        b'"data":{"statement":"{\\"kind\\":\\"retired\\",\\"upto\\":6,\\"head\\":\\"\\",'
        b'\\"before\\":\\"\\",\\"requests\\":3}","key_id":"x","signature":"00"}}',
    )
    small.execute(ledger, "DELETE FROM events WHERE id <= 6")
    kinds = {(each.kind, each.id) for each in (await small.verified(ledger)).findings}
    assert ("event", "19") in kinds
    assert ("event", "1 to 6") in kinds


class TestBundle:
    async def test_it_verifies_with_nothing_but_itself(self, ledger: Path) -> None:
        verdict = bundle.verify_bundle(await small.exported(ledger))
        assert verdict.findings == []
        assert (verdict.events, verdict.hashes, verdict.requests) == (12, 18, 6)

    async def test_another_tenants_events_are_hashes_only(self, ledger: Path) -> None:
        content = members(await small.exported(ledger, tenant="elsewhere"))
        assert b'"tenant\\":\\"default' not in content["events.jsonl"]
        assert b'"tenant":"default"' not in content["requests.jsonl"]

    async def test_one_request_is_proved_by_itself(self, ledger: Path) -> None:
        request_id = sorted(row[0] for row in rows_of(ledger))[4]
        content = await small.exported(ledger, request=request_id)
        verdict = bundle.verify_bundle(content)
        assert verdict.findings == []
        assert (verdict.events, verdict.hashes, verdict.blocks, verdict.requests) == (2, 6, 1, 1)

    async def test_any_bit_of_the_file_is_found(self, ledger: Path) -> None:
        content, dice = await small.exported(ledger), random.Random(4)
        for _ in range(4 * ROUNDS):
            try:
                verdict = bundle.verify_bundle(flipped(content, dice))
            except InvalidRequestError:
                continue
            assert not verdict.ok

    @pytest.mark.parametrize("name", bundle.MEMBERS)
    async def test_a_changed_member_is_named(self, ledger: Path, name: str) -> None:
        contents = members(await small.exported(ledger))
        contents[name] = contents[name] + b" "
        assert first(bundle.verify_bundle(zipped(contents))) == ("member", name)

    @pytest.mark.parametrize("name", bundle.MEMBERS)
    async def test_a_missing_member_is_named(self, ledger: Path, name: str) -> None:
        contents = members(await small.exported(ledger))
        del contents[name]
        assert first(bundle.verify_bundle(zipped(contents))) == ("member", name)

    async def test_a_member_that_was_added_is_named(self, ledger: Path) -> None:
        contents = members(await small.exported(ledger)) | {"more.txt": b"believe this"}
        assert first(bundle.verify_bundle(zipped(contents))) == ("member", "more.txt")

    async def test_a_manifest_that_was_made_to_fit_is_not_signed(self, ledger: Path) -> None:
        contents = members(await small.exported(ledger))
        contents["manifest.json"] = contents["manifest.json"].replace(b"person:ada", b"person:eve")
        assert first(bundle.verify_bundle(zipped(contents))) == ("manifest", "manifest.json")

    async def test_it_is_no_bundle(self) -> None:
        with pytest.raises(InvalidRequestError, match="not a bundle"):
            bundle.verify_bundle(b"no")

    async def test_a_later_ledger_still_has_its_heads(self, ledger: Path) -> None:
        heads = bundle.heads_of(await small.exported(ledger))
        assert (await small.verified(ledger, heads=heads)).ok
        wrong = [msgspec.structs.replace(heads[0], head="ab" * 32)]
        assert first(await small.verified(ledger, heads=wrong)) == ("head", "1")

    async def test_what_rules_name_is_not_in_it_and_it_verifies(self, ledger: Path) -> None:
        rules = (parse("payments.*:card"),)
        content = await small.exported(ledger, rules=rules)
        assert b"4242 4242" not in b"".join(members(content).values())
        verdict = bundle.verify_bundle(content)
        assert verdict.findings == []
        assert verdict.redacted == 6


def members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(contents: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return out.getvalue()


async def test_whoever_has_the_servers_key_still_forges_no_passkey(tmp_path: Path) -> None:
    path = tmp_path / "sayso.db"
    (request_id, *_) = await small.make_ledger(path, by_passkey=True)
    verdict = await small.verified(path)
    assert first(verdict) == ("request", request_id)
    assert "proof is missing" in verdict.findings[0].problem
