"""One process that is killed, stopped and paused, and that somebody always starts again."""

import asyncio
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import httpx2
from support.server import RunningServer

from soak.ledger import Ledger, Paused, Unexpected

T = TypeVar("T")
START_SECONDS = 300.0
"""Over all tries: a server does not start while its database is away."""
STOP_SECONDS = 30.0


class Watched:
    """A server under watch, as by systemd.

    Args:
        name: how it is called in what is told.
        server: not started yet, on a port to come back to.
        ledger: where it is noted if it does not end as it should.
    """

    def __init__(self, name: str, server: RunningServer, ledger: Ledger) -> None:
        self.name = name
        self.server = server
        self._ledger = ledger
        self._lock = asyncio.Lock()
        # A process that is tied to us ends with the thread that started it: so it has its own.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server.port}"

    async def start(self) -> None:
        """Start it, again and again until it runs."""
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                await self._in_thread(self.server.start)
            except AssertionError:
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(0.2)
            else:
                return

    async def kill(self) -> None:
        """End it as a power cut would, and start it again."""
        async with self._lock:
            await self._in_thread(self.server.kill9)
            await self.start()

    async def restart(self) -> None:
        """Stop it in good order, and start it again."""
        async with self._lock:
            await self._stop()
            await self.start()

    async def pause(self, seconds: float) -> None:
        """Let it stand still, as a machine that is swapped out; its leases may run out."""
        async with self._lock:
            assert self.server.process is not None
            began_at = time.monotonic()
            self.server.process.send_signal(signal.SIGSTOP)
            try:
                await asyncio.sleep(seconds)
            finally:
                self.server.process.send_signal(signal.SIGCONT)
            self._ledger.note(Paused(self.url, began_at, time.monotonic()))

    async def close(self) -> None:
        """Stop it for good."""
        async with self._lock:
            if self.server.process is not None:
                await self._stop()
        self._thread.shutdown()

    def abandon(self) -> None:
        """Kill it, whatever it does; it may be gone already."""
        if self.server.process is not None:
            self.server.kill9()
        self._thread.shutdown(wait=False)

    async def is_ready(self, http: httpx2.AsyncClient) -> bool:
        """Whether it takes work: it runs, and its database is there."""
        try:
            return (await http.get(f"{self.url}/ready", timeout=5)).status_code == 200
        except httpx2.RequestError:
            return False

    async def _stop(self) -> None:
        try:
            await self._in_thread(lambda: self.server.stop(STOP_SECONDS))
        except AssertionError as error:
            self._ledger.note(Unexpected(f"{self.name}: {error}"))
            return
        assert self.server.process is not None
        if self.server.process.returncode != 0:
            status = self.server.process.returncode
            self._ledger.note(Unexpected(f"{self.name} was stopped and ended with {status}"))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
