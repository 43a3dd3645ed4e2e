"""A small ledger to spoil: a SQLite file with several blocks, and a bundle of it."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec

from sayso.domain import lifecycle
from sayso.domain.accounts import Plane, Principal, Strength
from sayso.domain.blocks import Block
from sayso.domain.decisions import Answer, Channel, DecisionType
from sayso.domain.lifecycle import Decide
from sayso.domain.redaction import Redaction
from sayso.domain.requests import ActionDraft
from sayso.ledger import bundle
from sayso.ledger.binding import bind
from sayso.ledger.keys import Keys
from sayso.ledger.sealer import Sealer
from sayso.ledger.verify import Verdict, verify_database
from sayso.stores.sqlite import SqliteStore
from sayso.stores.sqlite_ledger import SqliteLedgerFile
from sayso.testing.clock import FakeClock
from sayso.testing.factories import AGENT, NOW, PERSON, make_change, make_draft

SECRET = b"s" * 32
KEYS = Keys(None, SECRET)
APPROVE = Decide(answer=Answer(type=DecisionType.APPROVE), by=PERSON, channel=Channel.WEB)
ELSEWHERE = Principal(plane=Plane.AGENT, id="agent-2", name="another", tenant="elsewhere")
ACTION = ActionDraft(tool_name="payments.pay", tool_args={"card": "4242 4242 4242", "amount": 3})


async def make_ledger(
    path: Path, keys: Keys = KEYS, *, blocks: int = 3, by_passkey: bool = False
) -> list[str]:
    """Blocks of 6 events each: three requests, two of them decided, one of another tenant."""
    store = SqliteStore(path)
    await store.open()
    sealer = Sealer(store, keys, FakeClock(NOW))
    asked: list[str] = []
    for _ in range(blocks):
        await add_events(store, asked, by_passkey=by_passkey)
        await sealer.seal()
    await store.close()
    return asked


async def add_events(store: SqliteStore, asked: list[str], *, by_passkey: bool = False) -> None:
    person = msgspec.structs.replace(PERSON, strength=Strength.PASSKEY) if by_passkey else PERSON
    approve = msgspec.structs.replace(APPROVE, by=person)
    for by in (AGENT, AGENT, ELSEWHERE):
        change = bind(make_change(make_draft(action=ACTION), by=by))
        await store.commit(change)
        await store.commit(bind(lifecycle.apply(change.request, approve, NOW)))
        asked.append(change.request.id)


async def verified(path: Path, trusted: str = "", heads: Sequence[Block] = ()) -> Verdict:
    reader = SqliteLedgerFile(path)
    await reader.open()
    try:
        return await verify_database(reader, trusted=trusted, heads=heads)
    finally:
        await reader.close()


async def exported(
    path: Path,
    *,
    request: str | None = None,
    rules: tuple[Redaction, ...] = (),
    keys: Keys = KEYS,
    tenant: str = "default",
) -> bytes:
    reader = SqliteLedgerFile(path)
    await reader.open()
    try:
        return await bundle.export(
            reader,
            bundle.Selection(request_id=request, tenant=tenant),
            key=keys.current(),
            clock=FakeClock(NOW),
            by="person:ada",
            rules=rules,
        )
    finally:
        await reader.close()


def execute(path: Path, statement: str, *parameters: object) -> None:
    """Change the database behind everybody's back."""
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute(statement, parameters).rowcount > 0


def read(path: Path, statement: str, *parameters: object) -> bytes:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement, parameters).fetchone()[0]
