"""Every store, by what the ledger needs of it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sayso.stores.memory import MemoryStore
from sayso.stores.postgres import PostgresStore
from sayso.stores.redis import RedisStore
from sayso.stores.sqlite import SqliteStore
from sayso.testing.ledger_contract import LedgerContract

pytestmark = pytest.mark.anyio


class TestMemoryLedger(LedgerContract):
    @pytest.fixture
    async def store(self) -> MemoryStore:
        return MemoryStore()


class TestSqliteLedger(LedgerContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[SqliteStore]:
        store = SqliteStore(tmp_path / "sayso.db")
        await store.open()
        yield store
        await store.close()


class TestPostgresLedger(LedgerContract):
    @pytest.fixture
    async def store(self, postgres_dsn: str) -> AsyncIterator[PostgresStore]:
        store = PostgresStore(postgres_dsn)
        await store.open()
        yield store
        await store.close()


class TestRedisLedger(LedgerContract):
    @pytest.fixture
    async def store(self, redis_url: str) -> AsyncIterator[RedisStore]:
        store = RedisStore(redis_url)
        await store.open()
        yield store
        await store.close()
