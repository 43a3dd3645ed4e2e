"""A record that somebody spoilt in the database might forbid anything: doubt blocks."""

import msgspec
import pytest

from sayso.broker import Broker
from sayso.domain.accounts import Plane, Principal, Role
from sayso.domain.records import Record
from sayso.domain.requests import OnTimeout, Status
from sayso.domain.rules import ReviewRule, Rule
from sayso.errors import RefusedError
from sayso.signals.memory import MemorySignal
from sayso.stores.memory import MemoryStore
from sayso.testing import AGENT, FakeClock, make_change, make_draft

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("kind", ["rule", "stop", "standing"])
@pytest.mark.parametrize("body", [b"xx", b"[]", b"\xff"])
async def test_while_a_record_cannot_be_read_submits_are_refused_and_the_log_names_it(
    kind: str, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker(MemoryStore(), MemorySignal(), FakeClock())
    await broker.store.put_records([Record(kind=kind, id="default/pay", body=body)])
    with pytest.raises(RefusedError, match=f"{kind} 'default/pay'") as caught:
        await broker.submit(make_draft(), by=AGENT)
    assert caught.value.reason_code == "unreadable_record"
    assert "sayso audit verify" in caught.value.hint
    assert f"The {kind} 'default/pay' in the database cannot be read" in caplog.text


async def test_a_rule_that_cannot_be_read_is_mended_by_putting_it_again() -> None:
    broker = Broker(MemoryStore(), MemorySignal(), FakeClock())
    await broker.store.put_records([Record(kind="rule", id="default/pay", body=b"{}")])
    admin = Principal(plane=Plane.PERSON, id="root", name="Root", role=Role.ADMIN)
    await broker.rules.put(ReviewRule(name="pay", rule=Rule(approvals=2)), by=admin)
    submitted = await broker.submit(make_draft(), by=AGENT)
    assert submitted.request.rule is not None


async def test_what_cannot_be_read_in_one_tenant_keeps_no_deadline_of_another_from_passing() -> (
    None
):
    clock = FakeClock()
    broker = Broker(MemoryStore(), MemorySignal(), clock)
    elsewhere = msgspec.structs.replace(AGENT, tenant="elsewhere")
    here = (await broker.submit(make_draft(timeout_seconds=60), by=AGENT)).request
    there = make_change(make_draft(timeout_seconds=60), now=clock.now(), by=elsewhere)
    yes = msgspec.structs.replace(there.request, on_timeout=OnTimeout.APPROVE)
    await broker.store.commit(msgspec.structs.replace(there, request=yes))
    spoilt = Record(kind="stop", id="elsewhere/everything", tenant="elsewhere", body=b"xx")
    await broker.store.put_records([spoilt])
    clock.advance(61)
    assert await broker.expire_due() == 1
    assert (await broker.get(here.id, by=AGENT)).status is Status.EXPIRED
    assert (await broker.get(yes.id, by=elsewhere)).status is Status.PENDING
