"""The inbox's pages: useful without script, and the shell of the live ones."""

from typing import Any

import msgspec

from sayso import codec
from sayso.domain.decisions import Answer, Channel
from sayso.domain.requests import Request, Status
from sayso.errors import InvalidAnswerError, SaysoError
from sayso.server import problems
from sayso.server.auth import Authenticator, SignedIn
from sayso.server.forms import Fields, fields_of
from sayso.server.http import Call, Header, Reply, redirect
from sayso.server.inbox import pages
from sayso.server.openapi import describe
from sayso.server.routes.accounts import Credentials, with_password
from sayso.server.routes.people import by_link
from sayso.server.routes.requests import query_of
from sayso.server.viewer import viewer
from sayso.stores.base import Query
from sayso.types import Json, JsonObject
from sayso.version import __version__

FIRST_PAGE = 50

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'"
)
_HEADERS: tuple[Header, ...] = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
)


def page(html: str, status: int = 200, *headers: Header) -> Reply:
    """A page, with the headers that keep other people's scripts out of it."""
    return Reply(status, html.encode(), (*_HEADERS, *headers))


async def inbox(call: Call) -> Reply:
    """What waits for a person."""
    return await _queue(call)


async def show(call: Call) -> Reply:
    """One request, with its card open."""
    request = await call.server.broker.get(call.params["id"], by=call.principal)
    return await _queue(call, selected=request)


async def decide(call: Call) -> Reply:
    """Decide by a plain form; the fields are those of the card."""
    request = await call.server.broker.get(call.params["id"], by=call.principal)
    try:
        answer = _answer(request, fields_of(call))
        await call.server.broker.decide(request.id, answer, by=call.principal, channel=Channel.WEB)
    except SaysoError as error:
        request = await call.server.broker.get(request.id, by=call.principal)
        return await _queue(call, selected=request, problem=problems.problem(error))
    return redirect(f"/requests/{request.id}")


async def cancel(call: Call) -> Reply:
    """Take a request back, by a plain form."""
    request_id = call.params["id"]
    try:
        await call.server.broker.cancel(
            request_id, by=call.principal, reason=fields_of(call)("reason")
        )
    except SaysoError as error:
        request = await call.server.broker.get(request_id, by=call.principal)
        return await _queue(call, selected=request, problem=problems.problem(error))
    return redirect("/")


async def history(call: Call) -> Reply:
    """What was asked before, with search."""
    query = query_of(call)
    if not query.status:
        closed = frozenset(Status) - {Status.PENDING}
        query = msgspec.structs.replace(query, status=closed)
    found = await call.server.broker.find(query)
    shown = {name: call.one(name) or "" for name in ("q", "status", "after")}
    listed = {"items": codec.builtins(found.items), "next": found.next}
    person = await viewer(call)
    return page(pages.history(listed, person=person, query=shown, version=__version__))


async def passkeys(call: Call) -> Reply:
    """A person's passkeys: seen without script, changed with it."""
    keys = call.server.passkeys
    found = await keys.find(by=call.principal)
    html = pages.passkeys(
        [codec.builtins(each) for each in found],
        party=keys.party,
        person=await viewer(call),
        version=__version__,
    )
    return page(html)


async def login(call: Call) -> Reply:
    """Sign in by a one-time link, or say what ways there are."""
    token = call.one("token")
    if token is None:
        return login_page(call)
    try:
        signed_in = await by_link(call, token, browser=True)
    except SaysoError as error:
        return login_page(call, error)
    return welcome(call, signed_in)


async def sign_in(call: Call) -> Reply:
    """Sign in with a user name and a password, by a plain form."""
    fields = fields_of(call)
    given = Credentials(username=fields("username").strip(), password=fields("password"))
    try:
        return welcome(call, await with_password(call, given, browser=True))
    except SaysoError as error:
        return login_page(call, error, username=given.username)


def welcome(call: Call, signed_in: SignedIn) -> Reply:
    """Into the inbox, with the session's cookie."""
    lifetime = signed_in.expires_at - call.server.broker.clock.now()
    return redirect("/", _cookie(call.server.auth, signed_in.token, int(lifetime.total_seconds())))


def login_page(call: Call, error: SaysoError | None = None, *, username: str = "") -> Reply:
    """The ways to sign in, and what went wrong."""
    html = pages.login(
        problem=None if error is None else error.detail,
        hint="" if error is None else error.hint,
        version=__version__,
        port=call.server.port,
        username=username,
        provider=call.server.oidc.name if call.server.oidc is not None else None,
    )
    if error is None:
        return page(html)
    return page(html, problems.status_of(error), *problems.told_with(error))


async def logout(call: Call) -> Reply:
    """End the session."""
    await call.server.auth.sign_out(call.headers)
    return redirect("/login", _cookie(call.server.auth, "", 0))


async def docs(call: Call) -> Reply:
    """The reference of the HTTP interface."""
    return page(pages.docs(describe(call.server.operations), version=__version__))


async def gallery(call: Call) -> Reply:
    """Every part of the inbox in every state; for whoever changes it."""
    return page(pages.gallery(version=__version__))


def sign_in_first(auth: Authenticator) -> Reply:
    """What a page answers to somebody who is not signed in."""
    return redirect("/login", _cookie(auth, "", 0))


def problem_page(error: SaysoError) -> Reply:
    """An error, for a person."""
    told = problems.problem(error)
    return page(pages.error(told, person=None, version=__version__), told["status"])


async def refused(call: Call, error: SaysoError) -> Reply:
    """An error, for the person who called, with the way to whatever is for them."""
    if not call.principal.is_person:
        return problem_page(error)
    try:
        person = await viewer(call)
    except SaysoError:  # such as a store that is away, which may be what `error` tells
        return problem_page(error)
    told = problems.problem(error)
    return page(pages.error(told, person=person, version=__version__), told["status"])


async def _queue(
    call: Call, *, selected: Request | None = None, problem: dict[str, Any] | None = None
) -> Reply:
    parked = call.flag("parked")
    found = await call.server.broker.find(
        Query(
            tenant=call.principal.tenant,
            seen_by=call.seen_by,
            status=frozenset({Status.PENDING}),
            is_parked=parked,
            limit=FIRST_PAGE,
            after=call.one("after"),
        )
    )
    shown = found.items if selected is None else (*found.items, selected)
    html = pages.queue(
        codec.builtins(found.items),
        person=await viewer(call, shown),
        next=found.next,
        version=__version__,
        selected=None if selected is None else codec.builtins(selected),
        problem=problem,
        parked=parked,
    )
    return page(html, 200 if problem is None else problem["status"])


def _cookie(auth: Authenticator, value: str, seconds: int) -> Header:
    cookie = f"{auth.cookie}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}"
    return b"set-cookie", (cookie + "; Secure" if auth.is_https else cookie).encode()


def _answer(request: Request, fields: Fields) -> Answer:
    given: JsonObject = {
        "type": fields("type"),
        "reason": fields("reason"),
        "digest": fields("digest") or None,
    }
    if given["type"] == "edit":
        given["args"] = codec.decode(dict[str, Any], fields("args"))
    if given["type"] == "respond":
        if fields("option"):
            given["option"] = fields("option")
        elif request.schema is not None:
            given["content"] = _filled_in(request.schema, fields)
        else:
            given["content"] = fields("content").replace("\r\n", "\n")
    try:
        return msgspec.convert(given, Answer)
    except msgspec.ValidationError as error:
        raise InvalidAnswerError(f"The form cannot be used: {error}.") from None


def _filled_in(schema: JsonObject, fields: Fields) -> JsonObject:
    """The form's texts as the types that its schema asks for; empty ones are left out."""
    content: JsonObject = {}
    for name, field in schema["properties"].items():
        texts = fields.all.get(f"content.{name}", [])
        kind = field.get("type", "string")
        if kind == "boolean":
            content[name] = bool(texts) and texts[-1] not in ("", "false", "off")
        elif kind == "array":
            content[name] = [text for text in texts if text]
        elif texts and texts[0]:
            content[name] = _typed(kind, texts[0])
    return content


def _typed(kind: str, text: str) -> Json:
    """A number if it is one; else the text, which the schema's check will refuse by name."""
    if kind in ("number", "integer"):
        try:
            return int(text) if kind == "integer" else float(text)
        except ValueError:
            return text
    return text.replace("\r\n", "\n")
