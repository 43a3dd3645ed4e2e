"""The event stream, read without a library for it."""

import asyncio
import json
from typing import Any, Self

import httpx2


class Feed:
    """An open `GET /api/v1/events`; `take(n)` reads the next n events.

    Attributes:
        place: the id from which to resume when nothing has come yet.
        pings: how often the server had waited for so long that it said that it is there.
    """

    def __init__(self, url: str, query: str = "", **headers: str) -> None:
        self._http = httpx2.AsyncClient(base_url=url, timeout=90, verify=False)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.place = ""
        self.pings = 0
        self._opening = self._http.stream("GET", f"/api/v1/events{query}", headers=named)

    async def __aenter__(self) -> Self:
        reply = await self._opening.__aenter__()
        assert reply.status_code == 200
        assert reply.headers["content-type"] == "text/event-stream"
        self._lines = reply.aiter_lines()
        assert await anext(self._lines) == "retry: 1000"
        name, _, self.place = (await anext(self._lines)).partition(": ")
        assert name == "id"
        assert await anext(self._lines) == ": connected"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._lines.aclose()
        await self._opening.__aexit__(None, None, None)
        await self._http.aclose()

    async def take(self, count: int = 1, seconds: float = 60) -> list[dict[str, Any]]:
        """The next events."""
        events: list[dict[str, Any]] = []
        async with asyncio.timeout(seconds):
            while len(events) < count:
                events.append(await self._event())
        return events

    async def ends(self, seconds: float = 60) -> bool:
        """Whether the server hangs up in an orderly way."""
        async with asyncio.timeout(seconds):
            async for _ in self._lines:
                pass
        return True

    async def _event(self) -> dict[str, Any]:
        fields: dict[str, str] = {}
        async for line in self._lines:
            name, _, value = line.partition(": ")
            if name:
                fields[name] = value
            elif value == "ping":
                self.pings += 1
            elif "data" in fields:
                break
        else:
            raise AssertionError("The stream has ended.")
        data: dict[str, Any] = json.loads(fields["data"])
        assert fields == {"id": str(data["id"]), "event": data["type"], "data": fields["data"]}
        return data
