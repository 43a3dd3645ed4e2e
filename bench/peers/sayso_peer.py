"""The product over HTTP: the same callers, each with connections of its own to a running server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.client import Connection, Wire, connect, id_of
from bench.peers.driving import Job, main


class Sayso:
    """Asks by a submit, answers by a person's decision.

    Args:
        held: whether a wait is held meanwhile; else the agent asks once it has been decided.
    """

    def __init__(self, port: int, bearer: str, *, held: bool) -> None:
        self._port = port
        self._wire = Wire(port, bearer)
        self._held = held
        self._free: list[Connection] = []

    async def ask(self, number: int) -> tuple[bytes, "asyncio.Future[bytes] | None"]:
        """Submit; the reply comes when it is on the disk. Then hold a wait."""
        connection = await self._connection()
        request_id = id_of(await self._say(connection, self._wire.submits[number % 64]))
        if not self._held:
            self._free.append(connection)
            return request_id, None
        return request_id, self._say(connection, self._wire.wait(request_id), free=True)

    async def answer(self, key: tuple[bytes, "asyncio.Future[bytes] | None"]) -> None:
        """Decide; the one who waits is told, or asks."""
        request_id, released = key
        connection = await self._connection()
        await self._say(connection, self._wire.decide(request_id))
        if released is None:
            released = self._say(connection, self._wire.wait(request_id))
        told = await released
        self._free.append(connection)
        if b'"status":"approved"' not in told:
            raise RuntimeError(f"not approved: {told[:300]!r}")

    async def _connection(self) -> Connection:
        if self._free:
            return self._free.pop()
        return (await connect(self._port, 1))[0]

    def _say(
        self, connection: Connection, request: bytes, *, free: bool = False
    ) -> "asyncio.Future[bytes]":
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def replied(status: int, body: bytes) -> None:
            if free:
                self._free.append(connection)
            if 200 <= status < 300:
                future.set_result(body)
            else:
                future.set_exception(RuntimeError(f"{status} {body[:300]!r}"))

        connection.ask(request, replied)
        return future


@asynccontextmanager
async def opened(job: Job) -> AsyncIterator[Sayso]:
    """At the server whose port the address is."""
    yield Sayso(int(job["address"]), job["bearer"], held=job["shape"] == "wait")


if __name__ == "__main__":
    main(opened)
