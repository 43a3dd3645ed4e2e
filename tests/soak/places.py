"""The servers of one store: started, broken in all the ways that we know, looked into, stopped."""

import asyncio
import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import ClassVar

import asyncpg
import httpx2
from support.server import RunningServer, RunningWorker, port_to_come_back_to
from support.servers import PostgresServer, tied

from sayso.broker.dispatch import LEASE
from soak import kept
from soak.kept import Kept, Left
from soak.ledger import Ledger
from soak.watched import Watched

REPLICAS = 3
READY_SECONDS = 120.0

Fault = Callable[[Random], Awaitable[None]]
"""Breaks something and mends it again, as far as that is not the servers' own business."""


class Place(ABC):
    """Servers on one store.

    Args:
        folder: where all data and logs go.
        ledger: where a process is noted that does not end as it should.
        environment: settings of the servers.

    Attributes:
        watched: the servers, each under watch.
        workers: processes that only carry out deliveries and keep deadlines.
        faults: what can be broken here, by its name.
        long_faults: what takes a minute or more, besides.
    """

    name: ClassVar[str]
    faults: dict[str, Fault]
    long_faults: dict[str, Fault]

    def __init__(self, folder: Path, ledger: Ledger, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._ledger = ledger
        self._environment = environment
        self.watched: Sequence[Watched] = ()
        self.workers: Sequence[Watched] = ()
        self.faults, self.long_faults = {}, {}

    @property
    def urls(self) -> list[str]:
        """Where the servers are."""
        return [each.url for each in self.watched]

    @property
    def servers(self) -> list[RunningServer]:
        """The servers."""
        return [each.server for each in self.watched]

    @abstractmethod
    async def start(self) -> None:
        """Start everything."""

    @abstractmethod
    async def left(self) -> Left:
        """What is still to be done."""

    @abstractmethod
    async def kept(self) -> Kept:
        """What is in the database, now that no server runs."""

    async def close(self) -> None:
        """Stop the servers in good order; the database can still be read."""
        await asyncio.gather(*(each.close() for each in (*self.watched, *self.workers)))

    def abandon(self) -> None:
        """End all processes, whatever they do."""
        for each in (*self.watched, *self.workers):
            each.abandon()

    async def all_ready(self) -> bool:
        """Whether all servers take work, as soon as they do, but not later than READY_SECONDS."""
        until = time.monotonic() + READY_SECONDS
        async with httpx2.AsyncClient(verify=False, trust_env=False) as http:
            while not all([await each.is_ready(http) for each in self.watched]):
                if time.monotonic() > until:
                    return False
                await asyncio.sleep(0.05)
        return True

    def _process(
        self,
        kind: type[RunningServer],
        name: str,
        *arguments: str,
        secret: Path | None = None,
    ) -> Watched:
        server = kind(
            self._folder / name,
            port=port_to_come_back_to(),
            environment=self._environment,
            arguments=arguments,
            secret=secret,
            before=tied(),
        )
        return Watched(name, server, self._ledger)


class SqlitePlace(Place):
    """One server on one file."""

    name = "sqlite"

    async def start(self) -> None:
        """Start the server."""
        self.watched = [self._process(RunningServer, "server")]
        (server,) = self.watched
        self.faults = {
            "server killed": lambda _: server.kill(),
            "server restarted": lambda _: server.restart(),
            "server paused": lambda chance: server.pause(chance.uniform(0.5, 3)),
        }
        await server.start()

    async def left(self) -> Left:
        """Look into the file."""
        return await asyncio.to_thread(kept.left_in_sqlite, self.servers[0].database)

    async def kept(self) -> Kept:
        """Read the file."""
        return await asyncio.to_thread(kept.from_sqlite, self.servers[0].database)


class PostgresPlace(Place):
    """Some replicas and a worker on one PostgreSQL; one replica alone does its work as well."""

    name = "postgres"

    async def start(self) -> None:
        """Start PostgreSQL, and the replicas at once."""
        (self._folder / "database").mkdir(parents=True)
        self._postgres = await asyncio.to_thread(PostgresServer(self._folder / "database").start)
        self._dsn = await asyncio.to_thread(self._postgres.create_database)
        secret = self._folder / "secret.key"
        self._environment = {**self._environment, "SAYSO_SECRET_FILE": str(secret)}
        words = ("--database-url", self._dsn)
        self.watched = [
            self._process(
                RunningServer,
                f"replica {number}",
                *words,
                "--worker" if number == 1 else "--no-worker",
                secret=secret,
            )
            for number in range(1, REPLICAS + 1)
        ]
        worker = self._process(RunningWorker, "worker", *words, secret=secret)
        self.workers = [worker]
        self.faults = {
            "replica killed": lambda chance: chance.choice(self.watched).kill(),
            "replica restarted": lambda chance: chance.choice(self.watched).restart(),
            "replica paused": lambda chance: chance.choice(self.watched).pause(
                chance.uniform(1, 8)
            ),
            "worker killed": lambda _: worker.kill(),
            "worker restarted": lambda _: worker.restart(),
            "worker paused": lambda chance: worker.pause(chance.uniform(1, 8)),
            "PostgreSQL killed": lambda chance: self._away(self._postgres.kill9, _while(chance)),
            "PostgreSQL restarted": lambda chance: self._away(self._postgres.stop, _while(chance)),
            "connections cut": lambda _: self._cut(),
        }
        self.long_faults = {
            "worker paused past its leases": lambda _: worker.pause(LEASE.total_seconds() + 5),
            "replica paused past its leases": lambda chance: chance.choice(self.watched).pause(
                LEASE.total_seconds() + 5
            ),
        }
        await self.watched[0].start()  # makes the secret that the others share
        await asyncio.gather(*(each.start() for each in (*self.watched[1:], worker)))

    async def left(self) -> Left:
        """Look into the database."""
        return await kept.left_in_postgres(self._dsn)

    async def kept(self) -> Kept:
        """Read the database."""
        return await kept.from_postgres(self._dsn)

    def abandon(self) -> None:
        """End all processes, PostgreSQL's too."""
        super().abandon()
        with contextlib.suppress(AttributeError):  # it never started
            self._postgres.kill9()

    async def _away(self, end: Callable[[], None], seconds: float) -> None:
        await asyncio.to_thread(end)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(self._postgres.start)

    async def _cut(self) -> None:
        """Break every connection to the database, over and over for a moment."""
        with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            connection = await asyncpg.connect(self._dsn, timeout=5)
            try:
                for _ in range(5):
                    await connection.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
                    await asyncio.sleep(0.1)
            finally:
                await connection.close(timeout=5)


def _while(chance: Random) -> float:
    """How long the database is away: mostly calls wait for it, after some seconds they fail."""
    return chance.choice((0, 0, 1, 5))


PLACES: Mapping[str, type[Place]] = {kind.name: kind for kind in (SqlitePlace, PostgresPlace)}
