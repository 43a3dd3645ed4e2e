"""The signed log: keys and heads to keep, the proof of one request, evidence to hand on."""

from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import parse_qs

import msgspec
from msgspec import Meta, Struct

from sayso import codec
from sayso.domain.accounts import Power
from sayso.domain.blocks import Block
from sayso.domain.redaction import parse
from sayso.errors import InvalidRequestError, NotPermittedError, SaysoError
from sayso.ledger import bundle
from sayso.ledger.blocks import block_statement, key_id_of
from sayso.ledger.keys import fits
from sayso.ledger.stories import Story, story_of
from sayso.server import problems
from sayso.server.http import Call, Reply, json_reply
from sayso.server.inbox import pages
from sayso.server.openapi import Parameter
from sayso.server.routes.pages import page as html_page
from sayso.server.viewer import viewer
from sayso.stores.base import EventQuery
from sayso.version import __version__

BLOCKS = (
    Parameter("after", "Begin behind the block of this number.", "integer"),
    Parameter("limit", "1 to 100; 50 if absent.", "integer"),
)
_Moment = Annotated[datetime, Meta(tz=True)]
_MAX_PAGE = 100
_MOST = 2**53


class Key(Struct, frozen=True, kw_only=True):
    """A key that has signed the ledger, or does."""

    id: str
    public: str
    """Ed25519, 32 bytes in hexadecimal."""
    by: str
    """The id of the key that introduced it; empty for the first."""
    at: int
    """When, in microseconds since 1970, UTC."""
    signature: str
    """The introduction's, in hexadecimal."""


class KeyList(Struct, frozen=True, kw_only=True):
    """The ledger's keys, first to present."""

    current: str
    items: tuple[Key, ...]


class BlockPage(Struct, frozen=True, kw_only=True):
    """Heads of blocks, in order; `next` is the `after` of the following page."""

    items: tuple[Block, ...]
    next: int | None


class Export(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a bundle is to be about."""

    since: Annotated[_Moment | None, Meta(description="From then on.")] = None
    until: Annotated[_Moment | None, Meta(description="Before then.")] = None
    request_id: Annotated[
        Annotated[str, Meta(max_length=256)] | None, Meta(description="Only this request.")
    ] = None


async def keys(call: Call) -> Reply:
    """The public keys that sign the ledger."""
    key = call.server.keys.current()
    items = tuple(
        Key(id=key_id_of(i.public), public=i.public, by=i.by, at=i.at, signature=i.signature)
        for i in key.introductions
    )
    return json_reply(200, KeyList(current=key.key_id, items=items))


async def blocks(call: Call) -> Reply:
    """Heads of the ledger's blocks: keep them elsewhere."""
    _need_read(call)
    after = call.count("after", 0, low=0, high=_MOST)
    limit = call.count("limit", 50, low=1, high=_MAX_PAGE)
    rows = await call.server.broker.store.block_rows(after, limit + 1)
    items = tuple(_head(codec.decode_block(row.record)) for row in rows[:limit])
    more = items[-1].number if len(rows) > limit else None
    return json_reply(200, BlockPage(items=items, next=more))


async def story(call: Call) -> Reply:
    """The proof of one request: its events, hashes, blocks and signatures."""
    return json_reply(200, await _story(call, call.params["id"]))


async def export(call: Call) -> Reply:
    """Evidence as a zip file that is checked without this server."""
    asked = call.decode(Export)
    return await _bundle(call, asked)


async def page(call: Call) -> Reply:
    """How far the log is signed, one request's proof, evidence to download."""
    asked = (call.one("request") or "").strip()
    told, problem = None, None
    if asked:
        try:
            told = await _story(call, asked)
        except SaysoError as error:
            problem = problems.problem(error)
    return html_page(
        await _rendered(call, asked, told, problem), 200 if problem is None else problem["status"]
    )


async def download(call: Call) -> Reply:
    """The same as a plain form asks for it."""
    try:
        given = parse_qs(call.body.decode("utf-8"), max_num_fields=20)
        fields = {name: values[0].strip() for name, values in given.items()}
        asked = Export(
            request_id=fields.get("request") or None,
            since=_day(fields.get("since")),
            until=_day(fields.get("until")),
        )
    except ValueError as error:
        raise InvalidRequestError(f"The form cannot be read: {error}.") from None
    try:
        return await _bundle(call, asked)
    except SaysoError as error:
        problem = problems.problem(error)
        html = await _rendered(call, asked.request_id or "", None, problem)
        return html_page(html, problem["status"])


async def _bundle(call: Call, asked: Export) -> Reply:
    rules = tuple(parse(text) for text in call.server.settings.redactions)
    content = await bundle.export(
        call.server.broker.store,
        bundle.Selection(
            tenant=call.principal.tenant,
            since=asked.since,
            until=asked.until,
            request_id=asked.request_id,
        ),
        key=call.server.keys.current(),
        clock=call.server.broker.clock,
        by=call.principal.actor,
        rules=rules,
    )
    name = f"sayso-{call.server.broker.clock.now():%Y-%m-%d-%H%M%S}.zip"
    headers = (
        (b"content-type", b"application/zip"),
        (b"content-disposition", f'attachment; filename="{name}"'.encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    )
    return Reply(200, content, headers)


async def _story(call: Call, request_id: str) -> Story:
    request = await call.server.broker.get(request_id, by=call.principal)  # if it may be seen
    return await story_of(call.server.broker.store, request.tenant, request.id)


async def _rendered(
    call: Call, asked: str, told: Story | None, problem: dict[str, object] | None
) -> str:
    seen = call.principal.may(Power.READ)
    ledger: dict[str, object] = {
        "seen": seen,
        "asked": asked,
        "may_export": call.principal.may(Power.MANAGE),
        "events": 0,
        "block": None,
    }
    if seen:
        _, ledger["events"] = await call.server.broker.store.events(EventQuery(limit=0))
        block = await call.server.broker.store.last_block()
        if block is not None:
            ledger["block"] = codec.builtins(_head(block))
            ledger["fits"] = _fits(call, block)
            at = datetime.fromtimestamp(block.at / 1_000_000, UTC)
            ledger["signed_at"] = at.isoformat().replace("+00:00", "Z")
    return pages.audit(
        ledger,
        story=None if told is None else codec.builtins(told),
        problem=problem,
        person=await viewer(call),
        version=__version__,
    )


def _fits(call: Call, block: Block) -> bool:
    introductions = (*call.server.keys.current().introductions, *block.keys)
    public = {key_id_of(each.public): each.public for each in introductions}
    return fits(public.get(block.key_id, ""), block.signature, block_statement(block))


def _head(block: Block) -> Block:
    return msgspec.structs.replace(block, hashes=b"")


def _day(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).replace(tzinfo=UTC) if text else None


def _need_read(call: Call) -> None:
    if not call.principal.may(Power.READ):
        raise NotPermittedError(
            f"{call.principal.name!r} does not have the power to read everything.",
            code="power_required",
        )
