"""Where requests want to be told of their end: it takes it, or fails in all the usual ways."""

import asyncio
import contextlib
from random import Random
from types import TracebackType
from typing import Self

import msgspec
from standardwebhooks import Webhook, WebhookVerificationError

from soak.ledger import Answered, Delivered, Ledger, Unexpected

ANSWERS: dict[Answered, tuple[int, bytes]] = {
    "taken": (70, b"204 No Content"),
    "failed": (8, b"500 Internal Server Error"),
    "later": (8, b"429 Too Many Requests\r\nretry-after: 1"),
    "hung": (6, b""),
    "reset": (8, b""),
}
"""Of a hundred deliveries so many are answered so."""
HANG_SECONDS = 4.0
"""Longer than a try of a delivery may take."""


class Sink:
    """A target for deliveries on a free port of the loopback.

    Args:
        ledger: where what comes is noted.
        seed: of how it is answered.

    Attributes:
        url: where it is.
        secret: with which what comes must be signed.
    """

    def __init__(self, ledger: Ledger, seed: int) -> None:
        self.url = ""
        self.secret = ""
        self._ledger = ledger
        self._chance = Random(f"sink {seed}")
        self._is_calm = False
        self._is_away = False
        self._open: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        await self._server.wait_closed()

    def calm_down(self) -> None:
        """From now on take everything."""
        self._is_calm = True

    async def stay_away(self, seconds: float) -> None:
        """For so long, hang up on everybody."""
        self._is_away = True
        await asyncio.sleep(seconds)
        self._is_away = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._answer(reader, writer):
                    await writer.drain()
        finally:
            self._open.discard(task)
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one delivery; whether there may be another on this line."""
        top = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        pairs = (line.partition(":") for line in top.split("\r\n")[1:])
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        body = await reader.readexactly(int(headers["content-length"]))
        kinds = list(ANSWERS)
        weights = [weight for weight, _ in ANSWERS.values()]
        (answer,) = self._chance.choices(kinds, weights) if not self._is_calm else ("taken",)
        answer = "reset" if self._is_away else answer
        self._note(headers, body, answer)
        if answer == "hung":
            await asyncio.sleep(HANG_SECONDS)
        if answer in ("hung", "reset"):
            return False
        writer.write(b"HTTP/1.1 %s\r\ncontent-length: 0\r\n\r\n" % ANSWERS[answer][1])
        return True

    def _note(self, headers: dict[str, str], body: bytes, answer: Answered) -> None:
        try:
            Webhook(self.secret).verify(body, headers)
        except WebhookVerificationError as error:
            self._ledger.note(Unexpected(f"a delivery is not signed as it should be: {error}"))
        told = msgspec.json.decode(body)
        request = told["data"]["request"]
        self._ledger.note(
            Delivered(request["id"], headers["webhook-id"], told["type"], request, answer)
        )
