"""What each store promises to the ledger, as tests; used as `sayso.testing.contracts` is."""

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec

from sayso import codec
from sayso.domain import lifecycle
from sayso.domain.decisions import Answer, Channel, DecisionType
from sayso.domain.lifecycle import Decide
from sayso.domain.redaction import parse
from sayso.domain.requests import ActionDraft, Request
from sayso.ledger.binding import bind
from sayso.ledger.blocks import record_hash
from sayso.ledger.keys import Keys
from sayso.ledger.retention import redact, retire
from sayso.ledger.sealer import Sealer
from sayso.ledger.verify import verify_database
from sayso.stores.base import Stores
from sayso.testing.clock import FakeClock
from sayso.testing.factories import NOW, PERSON, make_change, make_draft

_KEYS = Keys(None, b"k" * 32)
_APPROVE = Decide(answer=Answer(type=DecisionType.APPROVE), by=PERSON, channel=Channel.WEB)


class LedgerContract:
    """What every `LedgerStore` promises."""

    async def test_the_log_is_read_as_it_is_stored(self, store: Stores) -> None:
        changes = [await _asked(store) for _ in range(5)]
        rows = await store.log(2, 2)
        assert [row.number for row in rows] == [3, 4]
        assert {row.tenant for row in rows} == {"default"}
        assert codec.decode_event(rows[0].record).request_id == changes[2].id
        assert await store.log(5, 10) == []

    async def test_requests_are_read_as_they_are_stored(self, store: Stores) -> None:
        asked = sorted([await _asked(store) for _ in range(5)], key=lambda request: request.id)
        first = await store.request_rows("", 3)
        rest = await store.request_rows(first[-1].id, 10)
        assert [row.id for row in (*first, *rest)] == [request.id for request in asked]
        assert first[0] == await store.request_row(asked[0].id)
        assert codec.decode_request(first[0].record) == asked[0]
        assert (first[0].tenant, first[0].status, first[0].version) == ("default", "pending", 1)
        assert await store.request_row("00000000-0000-7000-8000-ffffffffffff") is None

    async def test_a_block_is_kept_once_by_its_number(self, store: Stores) -> None:
        for _ in range(3):
            await _asked(store)
        sealers = [Sealer(store, _KEYS, FakeClock(NOW)) for _ in range(8)]
        await asyncio.gather(*(sealer.seal() for sealer in sealers))
        rows = await store.block_rows(0, 10)
        assert [row.number for row in rows] == [1]
        newest = await store.last_block()
        assert newest is not None
        assert newest == codec.decode_block(rows[0].record)
        assert not await store.add_block(msgspec.structs.replace(newest, last=9))
        assert await store.last_block() == newest

    async def test_an_event_is_found_in_its_block(self, store: Stores) -> None:
        sealer = Sealer(store, _KEYS, FakeClock(NOW))
        for _ in range(3):
            await _asked(store)
            await _asked(store)
            await sealer.seal()
        found = [await store.find_block(event) for event in (1, 2, 3, 6, 7)]
        assert [block and block.number for block in found] == [1, 1, 2, 3, None]

    async def test_what_is_committed_and_sealed_verifies(self, store: Stores) -> None:
        request = await _asked(store)
        await _decided(store, request)
        await Sealer(store, _KEYS, FakeClock(NOW)).seal()
        verdict = await verify_database(store)
        assert verdict.findings == []
        assert (verdict.events, verdict.requests, verdict.blocks) == (2, 1, 1)

    async def test_what_was_retired_is_gone_and_the_rest_verifies(self, store: Stores) -> None:
        clock = FakeClock(NOW)
        sealer = Sealer(store, _KEYS, clock)
        old = [await _decided(store, await _asked(store)) for _ in range(3)]
        waiting = await _asked(store)
        await sealer.seal()
        clock.advance(10 * 86_400)
        later = NOW + timedelta(days=10)
        young = await _asked(store, later)
        await sealer.seal()
        done = await retire(store, NOW + timedelta(days=5), keys=_KEYS, clock=clock)
        assert (done.events, done.requests, done.kept) == (7, 3, 1)
        assert [row.number for row in await store.log(0, 100)] == [8, 9]
        for request in old:
            assert await store.get("default", request.id) is None
        for request in (waiting, young):
            assert await store.get("default", request.id) == request
        await sealer.seal()
        verdict = await verify_database(store)
        assert verdict.findings == []
        assert (verdict.retired, verdict.requests, verdict.unbound) == (7, 2, 0)
        await _decided(store, waiting, NOW + timedelta(seconds=1))
        await sealer.seal()
        clock.advance(10 * 86_400)
        await _asked(store, later)
        await sealer.seal()
        await retire(store, NOW + timedelta(days=15), keys=_KEYS, clock=clock)
        assert await store.get("default", waiting.id) is None
        assert (await verify_database(store)).findings == []

    async def test_what_was_redacted_is_gone_and_the_rest_verifies(self, store: Stores) -> None:
        clock = FakeClock(NOW)
        sealer = Sealer(store, _KEYS, clock)
        args = {"card": {"number": "4242"}, "amount": 3}
        action = ActionDraft(tool_name="payments.pay", tool_args=args)
        request = await _decided(store, await _asked(store, action=action))
        await sealer.seal()
        rules = [parse("payments.*:card.number")]
        days = NOW + timedelta(days=1)
        assert await redact(store, days, rules, keys=_KEYS, clock=clock) == 1
        assert await redact(store, days, rules, keys=_KEYS, clock=clock) == 0
        row = await store.request_row(request.id)
        assert row is not None
        assert b"4242" not in row.record
        kept = await store.get("default", request.id)
        assert kept is not None
        assert kept.action is not None
        assert request.action is not None
        assert kept.action.tool_args == {"card": {"number": "[redacted]"}, "amount": 3}
        assert kept.action.digest == request.action.digest
        await sealer.seal()
        verdict = await verify_database(store)
        assert verdict.findings == []
        assert verdict.redacted == 1

    async def test_a_request_that_is_not_as_told_stays(self, store: Stores) -> None:
        request = await _asked(store)
        row = await store.request_row(request.id)
        assert row is not None
        await _decided(store, request)
        assert await store.retire(0, [row]) == 0
        assert record_hash(row.record) != record_hash(
            (await store.request_row(request.id) or row).record
        )


async def _asked(
    store: Stores, now: datetime = NOW, *, action: ActionDraft | None = None
) -> Request:
    draft = make_draft(action=action) if action is not None else make_draft()
    change = bind(make_change(draft, now=now.astimezone(UTC)))
    await store.commit(change)
    return change.request


async def _decided(store: Stores, request: Request, now: datetime = NOW) -> Request:
    change = bind(lifecycle.apply(request, _APPROVE, now))
    await store.commit(change)
    return change.request
