"""Followers of the events, who resume where they were, at whichever server answers."""

import asyncio
import contextlib
import random
from collections.abc import Sequence

import httpx2
import msgspec

from soak.ledger import Ledger, Seen

SILENCE_SECONDS = 20.0
"""The server says something every 15 seconds; after this the line counts as broken."""
_PAUSE_SECONDS = 0.2


class Follower:
    """One reader of the event stream, from the first event on.

    Args:
        name: in the ledger.
        urls: the servers; each connection goes to one of them by chance.
        ledger: where what it sees is noted.
        only: this type of event; all of them, if empty.

    Attributes:
        connections: how often it connected.
    """

    def __init__(self, name: str, urls: Sequence[str], ledger: Ledger, only: str = "") -> None:
        self.name = name
        self.only = only
        self.connections = 0
        self._urls = urls
        self._ledger = ledger
        self._last = "0"
        ledger.seen[name] = []

    async def run(self) -> None:
        """Follow until cancelled."""
        timeout = httpx2.Timeout(5.0, read=SILENCE_SECONDS, pool=None)
        async with httpx2.AsyncClient(verify=False, trust_env=False, timeout=timeout) as http:
            while True:
                with contextlib.suppress(httpx2.RequestError):
                    await self._follow(http)
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _follow(self, http: httpx2.AsyncClient) -> None:
        query = {"type": self.only} if self.only else {}
        headers = {"Last-Event-ID": self._last}
        url = f"{random.choice(self._urls)}/api/v1/events"
        async with http.stream("GET", url, params=query, headers=headers) as response:
            if response.status_code != 200:
                return
            self.connections += 1
            async for sent in httpx2.EventSource(response, None):
                if sent.id:
                    self._last = sent.id
                if sent.data:
                    told = msgspec.json.decode(sent.data)
                    self._ledger.note(Seen(self.name, told["id"], told["type"], told["request_id"]))
