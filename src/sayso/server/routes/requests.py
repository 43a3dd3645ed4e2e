"""The native API: submit, find, wait, decide, cancel, extend."""

import re
from typing import Annotated

from msgspec import Meta, Struct

from sayso.domain.decisions import Answer, Channel
from sayso.domain.passkeys import Assertion
from sayso.domain.requests import Draft, Request, Status
from sayso.errors import InvalidRequestError
from sayso.server.http import Call, Reply, bad_parameter, json_reply
from sayso.stores.base import Query

MAX_PAGE = 200
MAX_KEY = 256
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_CURSOR = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class RequestPage(Struct, frozen=True, kw_only=True):
    """Requests, newest first; pass `next` as `after` to go on, until it is null."""

    items: tuple[Request, ...]
    next: str | None


class Cancellation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a question is taken back."""

    reason: str = ""


class SignedAnswer(Answer, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person sends to decide a request, and what their passkey signed for it."""

    assertion: Annotated[
        Assertion | None,
        Meta(description="Needed where the rule asks for a passkey; made from a `challenge`."),
    ] = None

    def plain(self) -> Answer:
        """The answer by itself, which is what was signed."""
        fields = {name: getattr(self, name) for name in Answer.__struct_fields__}
        return Answer(**fields)


class Extension(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much time people get."""

    timeout_seconds: Annotated[
        Annotated[float, Meta(gt=0, le=31_622_400)] | None,
        Meta(description="From now on. Null: any time they need."),
    ]


async def submit(call: Call) -> Reply:
    """Ask people. Returns at once, with the request as kept."""
    key = call.headers.get(b"idempotency-key")
    if key is not None and not 0 < len(key) <= MAX_KEY:
        raise InvalidRequestError("An Idempotency-Key has 1 to 256 characters.")
    if key is not None and _CONTROL.search(key):  # over a socket it may hold any
        raise InvalidRequestError("An Idempotency-Key has no control characters.")
    done = await call.server.broker.submit(
        call.decode(Draft),
        by=call.principal,
        key=None if key is None else key.decode("latin-1"),
        traceparent=call.traceparent,
    )
    return json_reply(200 if done.replayed else 201, done.request)


async def find(call: Call) -> Reply:
    """Find requests, newest first; with `idempotency_key` the one that was asked under it."""
    key = call.one("idempotency_key")
    if key is not None:
        asked = await call.server.broker.recall(key, by=call.principal)
        return json_reply(200, RequestPage(items=() if asked is None else (asked,), next=None))
    page = await call.server.broker.find(query_of(call))
    return json_reply(200, RequestPage(items=page.items, next=page.next))


async def get(call: Call) -> Reply:
    """Read one request; with `wait`, when it is decided or the seconds have passed."""
    request_id, seconds = call.params["id"], 0.0
    if call.query_string:
        seconds = call.number("wait", 0, low=0, high=60)
    if seconds <= 0:
        return json_reply(200, await call.server.broker.get(request_id, by=call.principal))
    server = call.server
    with call.given_up_when_gone():
        server.hold(call, request_id)
        try:
            request = await server.broker.wait(request_id, seconds=seconds, by=call.principal)
            by = server.auth.peek(call.headers) or await server.auth.principal(call.headers)
            if by != call.principal:  # their role may have changed meanwhile
                request = await server.broker.get(request_id, by=by)
        finally:
            server.let_go(call)
    return json_reply(200, request)


async def decide(call: Call) -> Reply:
    """Decide a request, as a person; the first decision stands."""
    said = call.decode(SignedAnswer)
    request = await call.server.signing.decide(
        call.params["id"],
        said if said.assertion is None else said.plain(),
        said.assertion,
        by=call.principal,
        channel=Channel.API if call.server.auth.is_bearer(call.headers) else Channel.WEB,
    )
    return json_reply(200, request)


async def cancel(call: Call) -> Reply:
    """Take a question back."""
    body = call.decode(Cancellation) if call.body.strip() else Cancellation()
    request = await call.server.broker.cancel(
        call.params["id"], by=call.principal, reason=body.reason[:8192]
    )
    return json_reply(200, request)


async def extend(call: Call) -> Reply:
    """Give people more time."""
    request = await call.server.broker.extend(
        call.params["id"], call.decode(Extension).timeout_seconds, by=call.principal
    )
    return json_reply(200, request)


def query_of(call: Call) -> Query:
    """The filters of a listing.

    Raises:
        InvalidRequestError: one of them cannot be used.
    """
    words = [w for value in call.query.get("status", []) for w in value.split(",") if w]
    unknown = [word for word in words if word not in list(Status)]
    if unknown:
        raise bad_parameter("status", f"{unknown[0][:40]!r} is not one of {', '.join(Status)}.")
    after = call.one("after")
    if after is not None and not _CURSOR.fullmatch(after):
        raise bad_parameter("after", "It is not the `next` of a page.")
    is_parked = call.flag("parked")
    if is_parked:
        if words and Status.PENDING not in words:
            raise bad_parameter("parked", "What is parked is pending; leave `status` out.")
        words = [Status.PENDING]
    return Query(
        tenant=call.principal.tenant,
        seen_by=call.seen_by,
        status=frozenset(Status(word) for word in words),
        is_parked=is_parked,
        session_id=call.one("session_id"),
        client_id=call.one("client_id"),
        text=(call.one("q") or "").strip(),
        limit=call.count("limit", 50, low=1, high=MAX_PAGE),
        after=after,
    )
