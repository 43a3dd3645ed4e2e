"""`sayso audit`: check the signed log, show it, hand it on, keep it in bounds.

It works on the database itself, which may be in use, or on a bundle; no server is asked.
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from sayso import cards, codec, settings
from sayso.cli import terminal
from sayso.cli.serve import Data
from sayso.cli.terminal import AsJson, visible
from sayso.clock import SystemClock
from sayso.domain.accounts import DEFAULT_TENANT
from sayso.domain.blocks import Block
from sayso.domain.events import EventType
from sayso.errors import ConfigurationError, MissingExtraError, UsageError
from sayso.links import load_secret
from sayso.settings import Settings

try:
    from sayso.ledger import bundle, kept, keys, retention, stories, verify
    from sayso.ledger.sealer import Sealer
    from sayso.wiring import (
        DATABASE_FILE,
        OpenReader,
        make_kept_head,
        make_keys,
        make_reader,
        make_redactions,
        make_store,
    )
except ModuleNotFoundError as error:
    package = (error.name or "").partition(".")[0]
    if package in {"", "sayso"}:
        raise
    raise MissingExtraError(package, "server") from error

_FAILED = 1
_MOST_SHOWN = 10
_SQLITE = b"SQLite format 3\0"
_ZIP = b"PK\x03\x04"


@Parameter(name="*")
@dataclass(frozen=True)
class Place:
    """Where the ledger is."""

    data: Data = None
    """The server's data folder. Default: $SAYSO_DATA, else ./sayso-data."""
    database_url: Annotated[str | None, Parameter(show_default=False)] = None
    """The database's address. Default: $SAYSO_DATABASE_URL, else SQLite in the data folder."""

    def settings(self) -> Settings:
        """The server's settings, as far as they matter here."""
        return settings.load(data=self.data, database_url=self.database_url)


_HERE = Place()


class _Blocks(msgspec.Struct):
    items: tuple[Block, ...]


def verify_command(
    file: Path | None = None,
    *,
    public_key: Annotated[str | None, Parameter(show_default=False)] = None,
    against: Annotated[Path | None, Parameter(show_default=False)] = None,
    as_json: AsJson = False,
    place: Place = _HERE,
) -> int:
    """Check every event, block, signature and request; name what does not fit.

    It only reads, also while a server runs, and needs no network for a file. The exit status is 0
    if everything fits, else 1.

    Args:
        file: A bundle, or the file of a SQLite database. Default: the server's database.
        public_key: The public key or key id that you know from elsewhere, or a file with it.
            Without it the key in the ledger is believed.
        against: An older bundle, or blocks as the server gave them: the ledger must still hold
            their heads. The head that a server keeps beside its key is checked by itself.
        as_json: Print JSON.
        place: Where the ledger is, if no file is named.
    """
    trusted = _trusted(public_key)
    heads = [] if against is None else _heads(against)
    with _bar() as progress:
        content = None if file is None else _start_of(file)
        if file is not None and content == _ZIP[:2]:
            verdict = bundle.verify_bundle(
                _bytes(file), trusted=trusted, heads=heads, progress=progress
            )
        else:
            chosen = place.settings()
            if file is not None:
                chosen = settings.load(database_url=f"sqlite:{file}")
                beside = file.resolve().parent
                if (
                    file.resolve() == beside / DATABASE_FILE
                    and not chosen.ledger_head_path.exists()
                ):
                    chosen = settings.load(data=beside, database_url="")
            verdict = asyncio.run(_verify(chosen, trusted, heads, progress))
    if as_json:
        terminal.print_json({"ok": verdict.ok} | codec.builtins(verdict))
    else:
        _print_verdict(verdict)
    return 0 if verdict.ok else _FAILED


def show_command(
    request_id: str,
    *,
    tenant: str = DEFAULT_TENANT,
    as_json: AsJson = False,
    place: Place = _HERE,
) -> int:
    """Show what happened to a request, with hashes, blocks and signatures.

    Args:
        request_id: The request, in full.
        tenant: Whose it is.
        as_json: Print JSON.
        place: Where the ledger is.
    """

    async def show() -> stories.Story:
        async with _opened(place.settings()) as store:
            return await stories.story_of(store, tenant, request_id)

    story = asyncio.run(show())
    if as_json:
        terminal.print_json(codec.builtins(story))
    else:
        _print_story(story)
    is_right = story.bound and all(told.fits is not False for told in story.events)
    return 0 if is_right else _FAILED


def export_command(
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    since: datetime | None = None,
    until: datetime | None = None,
    request: str | None = None,
    tenant: str = DEFAULT_TENANT,
    as_json: AsJson = False,
    place: Place = _HERE,
) -> None:
    """Put evidence into a zip file that `sayso audit verify` checks by itself.

    Arguments that the setting `redactions` names are not in it.

    Args:
        output: The file to write.
        since: Only what happened from then, as 2026-11-01 or 2026-11-01T12:00:00 (UTC).
        until: Only what happened before then.
        request: Only this request.
        tenant: Whose: what is another's is told by its hash alone.
        as_json: Print JSON.
        place: Where the ledger is.
    """
    chosen = place.settings()
    selection = bundle.Selection(
        tenant=tenant, since=_utc(since), until=_utc(until), request_id=request
    )

    async def export() -> bytes:
        async with _opened(chosen) as store:
            return await bundle.export(
                store,
                selection,
                key=_keys(chosen).current(),
                clock=SystemClock(),
                by="operator",
                rules=make_redactions(chosen),
            )

    content = asyncio.run(export())
    output.write_bytes(content)
    verdict = bundle.verify_bundle(content)
    told = {
        "file": str(output),
        "events": verdict.events,
        "requests": verdict.requests,
        "ok": verdict.ok,
    }
    if as_json:
        terminal.print_json(told)
        return
    print(f"Wrote {output}: {verdict.events} events, {verdict.requests} requests.")
    print(f"Check it anywhere: {terminal.program()} audit verify {output}")
    if not verdict.ok:
        print(f"It does not verify: {visible(str(verdict.findings[0]))}", file=sys.stderr)


def rotate_key_command(
    *,
    lost: Annotated[bool, Parameter(negative="")] = False,
    as_json: AsJson = False,
    place: Place = _HERE,
) -> None:
    """Make a new key, signed by the old one, and sign with it from now on.

    A running server takes it by itself. Servers on other machines need a copy of the file.

    Args:
        lost: The old key is gone: the new one stands by itself, and verification says so.
        as_json: Print JSON.
        place: Where the server's data is.
    """
    chosen = place.settings()
    path = chosen.ledger_key_path
    old = _keys(chosen).current() if not lost else keys.derived(b"")
    new = keys.rotate(path, old, datetime.now(UTC), lost=lost)
    if as_json:
        terminal.print_json({"key_id": new.key_id, "public": new.public, "file": str(path)})
        return
    print(f"The ledger's key is {new.key_id} now, in {path}.")
    print(f"Public key: {new.public}")


def retire_command(
    *,
    before: datetime,
    as_json: AsJson = False,
    place: Place = _HERE,
) -> None:
    """Delete requests that were closed before a day, and the events that were signed before it.

    What is left still verifies, and tells what was deleted. A SQLite database must not be in use:
    stop the server, or let it do this by the setting `retain_days`.

    Args:
        before: The day, as 2026-11-01 (UTC).
        as_json: Print JSON.
        place: Where the ledger is.
    """
    chosen = place.settings()
    moment = _utc(before)
    if moment is None:
        raise UsageError("--before needs a day.")
    done = asyncio.run(_retire(chosen, moment))
    if as_json:
        terminal.print_json(codec.builtins(done))
    elif done.events:
        print(
            f"Deleted {done.requests} requests and the log up to event {done.events};"
            f" {done.kept} older requests stay."
        )
    else:
        print("Nothing is that old.")


def accept_rollback_command(*, as_json: AsJson = False, place: Place = _HERE) -> None:
    """Go on with a ledger that does not have the newest head any more that the server has kept.

    For a database that was restored from a backup on purpose: until then nothing is signed. Stop
    the servers first. The log tells that it was accepted, and which head is gone.

    Args:
        as_json: Print JSON.
        place: Where the ledger is.
    """
    done = asyncio.run(_accept(place.settings()))
    if as_json:
        terminal.print_json({"accepted": done is not None} | (codec.builtins(done) if done else {}))
    elif done is None:
        print("Nothing was rolled back: the ledger has the head that was kept.")
    else:
        was = "an unreadable head" if done.kept is None else f"block {done.kept.number}"
        now = "nothing" if done.found is None else f"block {done.found.number}"
        print(f"Accepted: the ledger was at {was}, and goes on behind {now}. The log tells it.")


async def _verify(
    chosen: Settings, trusted: str, heads: Sequence[Block], progress: Callable[[int, int], None]
) -> verify.Verdict:
    async with _opened(chosen) as store:
        return await verify.verify_database(
            store,
            trusted=trusted,
            heads=heads,
            kept=make_kept_head(chosen),
            progress=progress,
        )


async def _retire(chosen: Settings, before: datetime) -> retention.Retirement:
    store, clock = make_store(chosen)
    held = _keys(chosen)
    try:
        await store.open()
        sealer = Sealer(store, held, clock, make_kept_head(chosen))
        while await sealer.seal():
            pass
        done = await retention.retire(store, before, keys=held, clock=clock, actor="operator")
        while await sealer.seal():
            pass
        await sealer.keep(at_once=True)
        return done
    finally:
        await store.close()


async def _accept(chosen: Settings) -> kept.Rollback | None:
    store, clock = make_store(chosen)
    held, head = _keys(chosen), make_kept_head(chosen)
    try:
        await store.open()
        accepted = await kept.accept_rollback(store, head, clock)
        if accepted is not None:
            sealer = Sealer(store, held, clock, head)
            while await sealer.seal():
                pass
            await sealer.keep(at_once=True)
        return accepted
    finally:
        await store.close()


@contextlib.asynccontextmanager
async def _opened(chosen: Settings) -> AsyncGenerator[OpenReader]:
    store = make_reader(chosen)
    try:
        await store.open()
        yield store
    finally:
        await store.close()


def _keys(chosen: Settings) -> keys.Keys:
    return make_keys(chosen, load_secret(chosen.secret_path, create=False))


def _trusted(given: str | None) -> str:
    """A public key or a key id, or what stands in the file of this name."""
    if given is None:
        return ""
    text = given
    if not _is_hex(given):
        text = _bytes(Path(given)).decode(errors="replace").strip()
        with contextlib.suppress(ValueError, KeyError, TypeError):
            text = str(json.loads(text)["current"])
    if not _is_hex(text):
        raise UsageError(
            f"{given!r} is no public key.",
            hint="Give 64 hexadecimal digits, a key id of 32, or a file with one of them.",
        )
    return text.lower()


def _is_hex(text: str) -> bool:
    return len(text) in (32, 64) and all(c in "0123456789abcdefABCDEF" for c in text)


def _heads(path: Path) -> list[Block]:
    content = _bytes(path)
    if content.startswith(_ZIP[:2]):
        return bundle.heads_of(content)
    try:
        if b'"items"' in content:
            return list(msgspec.json.decode(content, type=_Blocks).items)
        return [msgspec.json.decode(content, type=Block)]
    except msgspec.MsgspecError as error:
        raise UsageError(
            f"{str(path)!r} holds no blocks: {error}.",
            hint="Give an older bundle, or what GET /api/v1/audit/blocks answered.",
        ) from None


def _start_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            start = file.read(len(_SQLITE))
    except OSError as error:
        raise ConfigurationError(f"{str(path)!r} cannot be read: {error.strerror}.") from error
    if start == _SQLITE:
        return start
    return start[:2]


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{str(path)!r} cannot be read: {error.strerror}.") from error


def _utc(moment: datetime | None) -> datetime | None:
    """Without a zone it is UTC."""
    if moment is None or moment.tzinfo is not None:
        return moment
    return moment.replace(tzinfo=UTC)


@contextlib.contextmanager
def _bar() -> Generator[Callable[[int, int], None]]:
    """A bar on the terminal; nothing into a pipe."""
    if not sys.stderr.isatty():
        yield lambda _done, _all: None
        return
    columns = (TextColumn("Checking"), BarColumn(), MofNCompleteColumn(), TextColumn("events"))
    with Progress(*columns, console=terminal.error_console(), transient=True) as progress:
        task = progress.add_task("events", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _print_verdict(verdict: verify.Verdict) -> None:
    if verdict.ok:
        print("Everything fits.")
    else:
        print(f"IT DOES NOT FIT: {visible(str(verdict.findings[0]))}")
        for finding in verdict.findings[1:_MOST_SHOWN]:
            print(f"  also: {visible(str(finding))}")
        if len(verdict.findings) > _MOST_SHOWN:
            print(f"  and {len(verdict.findings) - _MOST_SHOWN} more (--json shows up to 100)")
    print(
        f"Checked: {verdict.events} events in {verdict.blocks} blocks, {verdict.requests}"
        f" requests, {verdict.signatures} signatures."
    )
    if verdict.passkeys:
        print(f"Passkeys: {verdict.passkeys} decisions and votes are signed by people's own keys.")
    if verdict.retired:
        print(f"Retired: events 1 to {verdict.retired}.")
    if verdict.redacted:
        print(f"Redacted: values are missing in {verdict.redacted} requests, as rules allow.")
    if verdict.head is not None:
        print(
            f"Head: block {verdict.head.number}, event {verdict.head.last},"
            f" {visible(verdict.head.head)}"
        )
    for note in verdict.notes:
        print(f"Note: {visible(note)}")


def _print_story(story: stories.Story) -> None:
    print(f"Request {visible(story.request_id)}")
    for told in story.events:
        event = told.event
        state = {True: "fits", False: "DOES NOT FIT", None: "not signed yet"}[told.fits]
        where = f"block {told.block}" if told.block is not None else "no block"
        print(
            f"{event.id:>8}  {event.at:%Y-%m-%d %H:%M:%S}  {event.type.value:<20}"
            f"  {visible(event.actor)}"
        )
        print(f"          hash {told.hash}  {where}: {state}")
        if event.type is EventType.STANDING_GIVEN:
            print(f"          remembers {visible(cards.standing_text(event.data))}")
    for block in story.blocks:
        print(f"Block {block.number}: events {block.first} to {block.last}, head {block.head}")
        print(f"          key {block.key_id}  signature {block.signature}")
    is_it = "as its last event tells" if story.bound else "NOT WHAT ITS LAST EVENT TELLS"
    print(f"The request is now {story.record}: {is_it}.")
