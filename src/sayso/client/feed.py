"""Following the server's events across broken connections, without I/O."""

import math

import msgspec

from sayso.client.messages import Event, unreadable
from sayso.client.protocol import Protocol
from sayso.client.steps import Lost, Reply, Send, Sleep
from sayso.errors import ServerError
from sayso.types import JsonObject

SILENCE = 45.0  # seconds; the server says something every 15, so the connection is dead after this


class Feed:
    """One stream of events, resumed after the last one that was seen.

    Args:
        protocol: where and as whom.
        after: the number of the event before the first one wanted. Default: from now on.
        topics: which events.
    """

    def __init__(self, protocol: Protocol, after: int | None, topics: JsonObject) -> None:
        self._protocol = protocol
        self._last = None if after is None else str(after)
        self._params = tuple((name, str(value)) for name, value in topics.items() if value)
        self._failures = 0
        self._give_up_at: float | None = protocol.clock() + protocol.retry_seconds

    def send(self) -> Send:
        """The request that opens the stream, or opens it again."""
        headers = (("Accept", "text/event-stream"), ("Cache-Control", "no-store"))
        if self._last is not None:
            headers += (("Last-Event-ID", self._last),)
        return Send(
            method="GET",
            path="/api/v1/events",
            params=self._params,
            headers=headers,
            patience=SILENCE,
        )

    def opened(self) -> None:
        """The stream has begun: from now on it is resumed as often as need be."""
        self._failures = 0
        self._give_up_at = None

    def receive(self, event_id: str, data: str) -> Event | None:
        """One server-sent event; None if it only tells the position in the stream."""
        if event_id:
            self._last = event_id
        if not data:
            return None
        try:
            return msgspec.json.decode(data, type=Event)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise unreadable() from error

    def pause(self, answer: Reply | Lost | None) -> Sleep:
        """How long to wait before it is opened again; None: it had begun, and ended.

        Raises:
            SaysoError: another attempt would not help, or no server was found in time.
        """
        if answer is None:
            seconds = self._protocol.retrying.backoff(self._failures)
        else:
            wanted = self._protocol.retrying.pause(answer, self._failures)
            late = self._give_up_at is not None and self._protocol.clock() >= self._give_up_at
            if wanted is None or late:
                self._protocol.accept(answer)
                raise ServerError("The server does not send events.")  # a 2xx that is no stream
            left = (
                math.inf if self._give_up_at is None else self._give_up_at - self._protocol.clock()
            )
            seconds = min(wanted, left)
        self._failures += 1
        return Sleep(seconds)
