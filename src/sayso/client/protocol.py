"""The client's side of the wire protocol, without I/O.

Every operation is a generator: it yields a `Send` or a `Sleep`, is sent what came of it, and
returns its result. What to send, what an answer means, whether and when to try again: all of
that is decided here. `sync` and `aio` only carry it out.
"""

import itertools
import math
import os
import random
import re
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from sayso.client import messages
from sayso.client.messages import DecisionType, Health, Page, Person, SignedIn
from sayso.client.problems import error_of, error_of_lost
from sayso.client.retrying import Retrying
from sayso.client.steps import Lost, Operation, Reply, Send, Sleep
from sayso.domain.patterns import StandingDraft
from sayso.domain.requests import Request
from sayso.errors import ConfigurationError
from sayso.types import Json, JsonObject

DEFAULT_URL = "http://localhost:8080"
_URL_CHARACTERS = re.compile(r"[!-~]+")
LONGEST_WAIT = 60.0  # seconds that the server holds one wait


class Protocol:
    """Where the server is, who asks, how long to try, and every operation.

    Args:
        base_url: the server's address. Default: `$SAYSO_URL`, else `http://localhost:8080`.
        token: a key, or a person's bearer token. Default: `$SAYSO_API_KEY`, else none.
        retry_seconds: how long a first contact and a submit are tried while no server answers.
        clock: monotonic seconds.
        chance: a random number in [0, 1).

    Attributes:
        address: where to send; may have the name and password for a proxy in it.
        base_url: the same without them, to be told.

    Raises:
        ConfigurationError: the address or the token cannot be used.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        token: str | None = None,
        retry_seconds: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.address = _checked_url(base_url or os.environ.get("SAYSO_URL") or DEFAULT_URL)
        self.base_url = _shown(self.address)
        self.token = _checked_token(token or os.environ.get("SAYSO_API_KEY") or None)
        self.retry_seconds = retry_seconds
        self.clock = clock
        self.retrying = Retrying(chance=chance)

    def submit(
        self, message: str, *, idempotency_key: str | None = None, **fields: Any
    ) -> Operation[Request]:
        """Ask; tried again under one key, so that a lost answer never asks twice."""
        send = messages.submit(message, idempotency_key or new_key(), fields)
        reply = yield from self.call(send, retry_seconds=self.retry_seconds)
        return messages.read_request(reply)

    def ask(
        self, message: str, *, timeout: float | None = None, **fields: Any
    ) -> Operation[Request]:
        """Submit, then wait for at most `timeout` seconds."""
        request = yield from self.submit(message, **fields)
        if request.is_terminal:
            return request
        return (yield from self.wait(request.id, timeout=timeout, latest=request))

    def get(self, request_id: str) -> Operation[Request]:
        """The request as it is now."""
        reply = yield from self.call(messages.get(request_id))
        return messages.read_request(reply)

    def recall(self, idempotency_key: str) -> Operation[Request | None]:
        """The request that this caller asked under the key."""
        send = messages.page(None, {"idempotency_key": idempotency_key})
        reply = yield from self.call(send, retry_seconds=self.retry_seconds)
        return next(iter(messages.read_page(reply).items), None)

    def wait(
        self, request_id: str, *, timeout: float | None = None, latest: Request | None = None
    ) -> Operation[Request]:
        """Long polls, until it is terminal or `timeout` seconds have passed.

        What passes by itself (no connection, a server that is busy or restarts) is waited out;
        `latest` is what is returned if the time is up before the server has answered once.
        """
        end = self.clock() + (math.inf if timeout is None else max(timeout, 0.0))
        failures = 0
        while True:
            asked_at = self.clock()
            seconds = min(LONGEST_WAIT, max(end - asked_at, 0.0))
            answer = yield from _deliver(messages.get(request_id, wait=seconds))
            pause = self.retrying.pause(answer, failures)
            if pause is None:
                latest = messages.read_request(self.accept(answer))
                if latest.is_terminal:
                    return latest
                # Answered early: the server is about to stop, or does not wait at all.
                early = self.clock() - asked_at < seconds / 2
                pause = self.retrying.backoff(failures) if early else 0.0
            failures = failures + 1 if pause else 0
            left = end - self.clock()
            if left <= 0:
                return latest or messages.read_request(self.accept(answer))
            if pause:
                yield Sleep(min(pause, left))

    def cancel(self, request_id: str, reason: str = "") -> Operation[Request]:
        """Withdraw the question."""
        reply = yield from self.call(messages.post(request_id, "cancel", {"reason": reason}))
        return messages.read_request(reply)

    def extend(self, request_id: str, timeout_seconds: float | None) -> Operation[Request]:
        """Give people more time."""
        body = {"timeout_seconds": timeout_seconds}
        reply = yield from self.call(messages.post(request_id, "extend", body))
        return messages.read_request(reply)

    def decide(
        self,
        request_id: str,
        type: DecisionType,  # noqa: A002  the wire's word
        *,
        args: JsonObject | None = None,
        content: Json = None,
        option: str | None = None,
        reason: str = "",
        digest: str | None = None,
        remember: StandingDraft | JsonObject | None = None,
    ) -> Operation[Request]:
        """Answer it, as the person whose token this is."""
        body = {
            "type": type,
            "args": args,
            "content": content,
            "option": option,
            "reason": reason,
            "digest": digest,
            "remember": remember,
        }
        given = {name: value for name, value in body.items() if value is not None}
        reply = yield from self.call(messages.post(request_id, "decision", given))
        return messages.read_request(reply)

    def page(
        self,
        *,
        status: str | Sequence[str] | None = None,
        session_id: str | None = None,
        client_id: str | None = None,
        q: str | None = None,
        parked: bool = False,
        limit: int | None = None,
        after: str | None = None,
    ) -> Operation[Page]:
        """One page of the list."""
        params = {
            "session_id": session_id,
            "client_id": client_id,
            "parked": "true" if parked else None,
            "q": q,
            "limit": limit,
            "after": after,
        }
        reply = yield from self.call(messages.page(status, params))
        return messages.read_page(reply)

    def sign_in(self, link_token: str) -> Operation[Person]:
        """Exchange a one-time token for a bearer token, and use that from now on."""
        body = messages.encode({"token": link_token})
        reply = yield from self.call(Send(method="POST", path="/api/auth/link", content=body))
        signed_in = messages.decode(reply, SignedIn)
        self.token = signed_in.token
        return signed_in.user

    def health(self) -> Operation[Health]:
        """What the server says about itself."""
        reply = yield from self.call(Send(method="GET", path="/health"))
        return messages.decode(reply, Health)

    def headers(self, send: Send) -> dict[str, str]:
        """The headers of one HTTP request, with the credential as it is now."""
        headers = {"Accept": "application/json", **dict(send.headers)}
        if send.content is not None:
            headers["Content-Type"] = "application/json"
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        return headers

    def accept(self, answer: Reply | Lost) -> Reply:
        """The answer, if it is one.

        Raises:
            SaysoError: it is a problem, or none came.
        """
        if isinstance(answer, Lost):
            raise error_of_lost(answer, self.base_url) from answer.error
        if answer.status >= 300:
            raise error_of(answer)
        return answer

    def call(self, send: Send, *, retry_seconds: float = 0.0) -> Operation[Reply]:
        """One request, tried again for so many seconds while that may help."""
        give_up_at = self.clock() + retry_seconds
        for failures in itertools.count():
            answer = yield from _deliver(send)
            pause = self.retrying.pause(answer, failures)
            if pause is None or self.clock() + pause > give_up_at:
                return self.accept(answer)
            yield Sleep(pause)
        raise AssertionError  # pragma: no cover  the count does not end


def new_key() -> str:
    """A key of its own for each question; rising with time, which spares the server's index."""
    return f"{time.time_ns():x}-{secrets.token_hex(8)}"


def _deliver(send: Send) -> Operation[Reply | Lost]:
    answer = yield send
    if answer is None:
        raise TypeError("A Send is answered by a Reply or a Lost.")
    return answer


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # half an IPv6 address, a port that is no number
        good = False
    if not good or not _URL_CHARACTERS.fullmatch(url):
        raise ConfigurationError(
            f"The server address {_shown(url)!r} is not an http or https URL.",
            hint=f"Write it like {DEFAULT_URL}.",
        )
    return url.rstrip("/")


def _shown(url: str) -> str:
    return re.sub(r"//[^/?#]*@", "//", url)


def _checked_token(token: str | None) -> str | None:
    if token is not None and not (token.isascii() and token.isprintable()):
        raise ConfigurationError(
            "The token has characters that no HTTP header can carry.",
            hint="Is there a line break or a quotation mark from copying it?",
        )
    return token
