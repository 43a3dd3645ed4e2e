"""Evidence in a file: a zip that is checked on another machine with nothing but itself.

    manifest.json     what is in it, with the SHA-256 of each member
    manifest.sig      the signature over it
    keys.json         the keys' introductions, from the ledger's first
    blocks.jsonl      heads of blocks, without a gap from the first to the last that is needed
    events.jsonl      events of those blocks: whole, or the hash alone if they are not the reader's
    requests.jsonl    requests as they are kept, with arguments, decisions and assertions
    records.jsonl     the rules in force when it was made

Records stand in there as text, so that each byte is what was hashed.
"""

import hashlib
import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from sayso import codec
from sayso.clock import Clock
from sayso.domain.blocks import Block, KeyIntroduction
from sayso.domain.records import Record
from sayso.domain.redaction import Redaction, redacted
from sayso.errors import InvalidRequestError, LedgerError, NotFoundError
from sayso.ledger.blocks import leaf_of, manifest_statement, record_hash
from sayso.ledger.keys import SigningKey, fits
from sayso.ledger.verify import Check, Entry, Progress, Verdict
from sayso.ledger.walk import block_pages, log_pages
from sayso.stores.base import LedgerReader, LogRow, RecordQuery, RequestRow

FORMAT = "sayso-bundle-1"
MEMBERS = ("keys.json", "blocks.jsonl", "events.jsonl", "requests.jsonl", "records.jsonl")
KINDS_IN_FORCE = ("policy_version", "rule", "standing", "stop", "group", "passkey")
"""The records that say how is decided, and with which keys."""
MAX_BYTES = 1_073_741_824
"""What a bundle may unpack to: more is a bomb."""
_PAGE = 1_000


class BundleStore(LedgerReader, Protocol):
    """What an export reads."""

    async def find_records(self, query: RecordQuery) -> Sequence[Record]:
        """Records of a kind, by id."""
        ...


class Selection(Struct, frozen=True, kw_only=True):
    """What a bundle is about: all filters at once."""

    tenant: str = "default"
    since: datetime | None = None
    until: datetime | None = None
    """Before then."""
    request_id: str | None = None


class Member(Struct, frozen=True, kw_only=True):
    """A file in the bundle."""

    sha256: str
    size: int


class Manifest(Struct, frozen=True, kw_only=True):
    """What is in a bundle."""

    format: str
    made_at: datetime
    made_by: str
    """The actor."""
    selection: Selection
    events: int
    """Whole ones."""
    requests: int
    key_id: str
    members: dict[str, Member]
    unsettled: tuple[str, ...] = ()
    """Requests that are left out, because they were just changed: the event that tells it is not
    signed yet."""


class _Keys(Struct):
    introductions: tuple[KeyIntroduction, ...]
    """Before the first block that is in here; those that begin with one stand in it,"""
    later: tuple[KeyIntroduction, ...] = ()
    """and those behind the last here again, up to the key that signed the manifest."""


class _Event(Struct, omit_defaults=True):
    number: int
    event: str | None = None
    hash: str | None = None


class _Request(Struct, omit_defaults=True):
    id: str
    tenant: str
    status: str
    version: int
    request: str
    hash: str | None = None
    redacted: tuple[str, ...] = ()


class _Kept(Struct):
    kind: str
    id: str
    version: int
    record: str


class _Data(Struct):
    record: str | None = None


class _About(Struct):
    at: datetime
    request_id: str | None = None
    tenant: str = "default"
    data: _Data = msgspec.field(default_factory=_Data)


_about = msgspec.json.Decoder(_About).decode


async def export(
    store: BundleStore,
    selection: Selection,
    *,
    key: SigningKey,
    clock: Clock,
    by: str,
    rules: Sequence[Redaction] = (),
) -> bytes:
    """A bundle, as bytes.

    Args:
        store: an open store.
        selection: what it is about.
        key: signs its manifest.
        clock: what time it is.
        by: the actor who asked for it.
        rules: which arguments not to show.

    Raises:
        NotFoundError: nothing signed is about that.
        LedgerError: a block cannot be read, or a part of the log is missing.
    """
    gathered = await _gathered(store, selection)
    if not gathered.events:
        raise NotFoundError(
            "Nothing in the signed log is about that.",
            hint="What was just done is signed within a second; then ask again.",
        )
    tail = await _told_behind(store, gathered.last)
    requests: list[_Request] = []
    unsettled: list[str] = []
    for request_id in sorted(gathered.requests):
        row = await store.request_row(request_id)
        if row is None or row.tenant != selection.tenant:
            continue
        if record_hash(row.record) in tail.get(request_id, ()):
            unsettled.append(request_id)
        else:
            requests.append(_request(row, rules))
    records = await _in_force(store, selection.tenant)
    contents = {
        "keys.json": codec.encode(
            _Keys(tuple(gathered.keys), (*gathered.later, *key.since(gathered.key_id)))
        ),
        "blocks.jsonl": _lines(gathered.blocks),
        "events.jsonl": _lines(gathered.lines),
        "requests.jsonl": _lines(requests),
        "records.jsonl": _lines(records),
    }
    manifest = codec.encode(
        Manifest(
            format=FORMAT,
            made_at=clock.now(),
            made_by=by,
            selection=selection,
            events=gathered.events,
            requests=len(requests),
            key_id=key.key_id,
            members={
                name: Member(sha256=hashlib.sha256(content).hexdigest(), size=len(content))
                for name, content in contents.items()
            },
            unsettled=tuple(unsettled),
        )
    )
    contents["manifest.json"] = manifest
    contents["manifest.sig"] = key.sign(manifest_statement(manifest)).encode() + b"\n"
    return _zipped(contents)


class _Gathered:
    """What a bundle needs of the ledger."""

    def __init__(self, requests: set[str]) -> None:
        self.requests = requests
        self.keys: list[KeyIntroduction] = []
        self.later: list[KeyIntroduction] = []
        self.key_id: str | None = None
        self.blocks: list[Block] = []
        self.lines: list[_Event] = []
        self.events = 0
        self.last = 0


async def _gathered(store: LedgerReader, selection: Selection) -> _Gathered:
    """Blocks from the first to the last one with such an event, and the events of those.

    A story is told whole: whatever request is meant, all its events are.
    """
    gathered = _Gathered(await _concerned(store, selection))
    pending = list[Block]()
    async for rows in block_pages(store):
        for each in rows:
            try:
                block = codec.decode_block(each.record)
            except codec.UNREADABLE:
                raise LedgerError(f"Block {each.number} of the ledger cannot be read.") from None
            gathered.last, gathered.key_id = block.last, block.key_id
            lines, found = await _selected(store, block, selection, gathered.requests)
            head = msgspec.structs.replace(block, hashes=b"")
            if found:
                gathered.blocks += [*pending, head]
                gathered.lines += lines
                gathered.events += found
                pending.clear()
            elif gathered.blocks:
                pending.append(head)
            else:
                gathered.keys += block.keys
    gathered.later = [introduction for block in pending for introduction in block.keys]
    return gathered


async def _concerned(store: LedgerReader, selection: Selection) -> set[str]:
    """The requests that are meant."""
    if selection.request_id is not None:
        return {selection.request_id}
    found: set[str] = set()
    async for rows in log_pages(store):
        for row in rows:
            about = _about_of(row)
            if about is not None and about.request_id is not None and _is_meant(about, selection):
                found.add(about.request_id)
    return found


async def _told_behind(store: LedgerReader, after: int) -> dict[str, set[str]]:
    """The hashes that events which are not signed yet tell, by request."""
    told: dict[str, set[str]] = {}
    async for rows in log_pages(store, after):
        for row in rows:
            about = _about_of(row)
            if about is not None and about.request_id is not None and about.data.record:
                told.setdefault(about.request_id, set()).add(about.data.record)
    return told


async def _selected(
    store: LedgerReader, block: Block, selection: Selection, requests: set[str]
) -> tuple[list[_Event], int]:
    """The events of a block, and how many of them are whole; none if none is meant."""
    rows = await store.log(block.first - 1, block.last - block.first + 1)
    rows = [row for row in rows if row.number <= block.last]
    chosen: set[int] = set()
    for row in rows:
        about = _about_of(row)
        if about is None or about.tenant != selection.tenant:
            continue
        by_itself = selection.request_id is None and _is_meant(about, selection)
        if by_itself or about.request_id in requests:
            chosen.add(row.number)
    if not chosen:
        return [], 0
    if len(rows) < block.last - block.first + 1:
        raise LedgerError(f"Events of block {block.number} are missing in the log.")
    lines = [
        _Event(row.number, event=row.record.decode())
        if row.number in chosen
        else _Event(row.number, hash=leaf_of(row.record).hex())
        for row in rows
    ]
    return lines, len(chosen)


def _about_of(row: LogRow) -> _About | None:
    try:
        return _about(row.record)
    except codec.UNREADABLE:
        return None


def _is_meant(about: _About, selection: Selection) -> bool:
    return (
        about.tenant == selection.tenant
        and (selection.since is None or about.at >= selection.since)
        and (selection.until is None or about.at < selection.until)
    )


def _request(row: RequestRow, rules: Sequence[Redaction]) -> _Request:
    record, hashed, paths = row.record, None, ()
    if rules:
        shown, paths = redacted(codec.decode_request(row.record), rules)
        if paths:
            record, hashed = codec.encode(shown), record_hash(row.record)
    return _Request(
        id=row.id,
        tenant=row.tenant,
        status=row.status,
        version=row.version,
        request=record.decode(),
        hash=hashed,
        redacted=paths,
    )


async def _in_force(store: BundleStore, tenant: str) -> list[_Kept]:
    kept: list[_Kept] = []
    for kind in KINDS_IN_FORCE:
        found = await store.find_records(RecordQuery(kind=kind, tenant=tenant))
        kept += [_Kept(r.kind, r.id, r.version, r.body.decode()) for r in found]
    return kept


def _lines(records: Sequence[Any]) -> bytes:
    return b"".join(codec.encode(record) + b"\n" for record in records)


def _zipped(contents: Mapping[str, bytes]) -> bytes:
    """A zip file; the same contents make the same bytes everywhere."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(contents.items()):
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, 0o600 << 16
            archive.writestr(info, content)
    return out.getvalue()


def verify_bundle(
    content: bytes,
    *,
    trusted: str = "",
    heads: Sequence[Block] = (),
    progress: Progress = lambda _done, _all: None,
) -> Verdict:
    """Check a bundle by itself.

    Raises:
        InvalidRequestError: it is no bundle, or of a newer version.
    """
    return _BundleCheck(content, trusted=trusted, heads=heads, progress=progress).run()


def heads_of(content: bytes) -> list[Block]:
    """The heads of blocks in a bundle, to hold a ledger against.

    Raises:
        InvalidRequestError: it is no bundle.
    """
    check = _BundleCheck(content)
    return check.decoded("blocks.jsonl", Block)


class _BundleCheck:
    def __init__(
        self,
        content: bytes,
        *,
        trusted: str = "",
        heads: Sequence[Block] = (),
        progress: Progress = lambda _done, _all: None,
    ) -> None:
        self._check = Check(trusted=trusted, heads=heads, in_part=True)
        self._progress = progress
        self._whole = content
        self._contents: dict[str, bytes] = {}
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                self._unpack(archive)
        except (zipfile.BadZipFile, EOFError, NotImplementedError, ValueError, OSError) as error:
            raise InvalidRequestError(
                f"This is not a bundle: {error}.",
                hint="A bundle is a zip file that `sayso audit export` made; this one may be"
                " damaged.",
            ) from None

    def run(self) -> Verdict:
        """All of it."""
        find = self._check.find
        manifest = self._manifest()
        if manifest is None:
            return self._check.finish()
        for name in sorted(set(manifest.members) | set(MEMBERS) | set(self._contents)):
            if name in ("manifest.json", "manifest.sig"):
                continue
            told, content = manifest.members.get(name), self._contents.get(name)
            if content is None:
                find("member", name, "it is missing, or damaged")
            elif told is None:
                find("member", name, "the manifest does not tell of it")
            elif hashlib.sha256(content).hexdigest() != told.sha256:
                find("member", name, "it is not the one that the manifest tells of")
        self._blocks()
        self._requests()
        self._signed(manifest)
        verdict = self._check.finish()
        if verdict.ok and _zipped(self._contents) != self._whole:
            find("bundle", "file", "it is not as it was written, though what is in it fits")
        if manifest.events != verdict.events:
            find(
                "manifest",
                "events",
                f"it tells of {manifest.events}, and there are {verdict.events}",
            )
        return verdict

    def decoded(self, name: str, kind: type[Struct]) -> list[Any]:
        """The lines of a member; what cannot be read is named."""
        decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(kind)
        found: list[Any] = []
        for number, line in enumerate(self._contents.get(name, b"").splitlines(), start=1):
            try:
                found.append(decoder.decode(line))
            except codec.UNREADABLE:
                self._check.find("member", name, f"line {number} cannot be read")
        return found

    def _unpack(self, archive: zipfile.ZipFile) -> None:
        if sum(info.file_size for info in archive.infolist()) > MAX_BYTES:
            raise ValueError(f"it unpacks to more than {MAX_BYTES} bytes")
        names = archive.namelist()
        if "manifest.json" not in names:
            raise ValueError("it has no manifest.json")
        for name in names:
            try:
                self._contents[name] = archive.read(name)
            except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError):
                self._check.find("member", name, "it is damaged")

    def _manifest(self) -> Manifest | None:
        try:
            manifest = msgspec.json.decode(self._contents.get("manifest.json", b""), type=Manifest)
        except codec.UNREADABLE:
            self._check.find("manifest", "manifest.json", "it cannot be read")
            return None
        if manifest.format != FORMAT:
            raise InvalidRequestError(
                f"The bundle is of the format {manifest.format[:40]!r}; this one knows {FORMAT!r}.",
                hint="Use a newer Sayso.",
            )
        return manifest

    def _blocks(self) -> None:
        events: dict[int, _Event] = {
            event.number: event for event in self.decoded("events.jsonl", _Event)
        }
        blocks: list[Block] = self.decoded("blocks.jsonl", Block)
        later: tuple[KeyIntroduction, ...] = ()
        try:
            keys = msgspec.json.decode(self._contents.get("keys.json", b""), type=_Keys)
            self._check.introduce(keys.introductions)
            later = keys.later
        except codec.UNREADABLE:
            self._check.find("member", "keys.json", "it cannot be read")
        for block in blocks:
            span = range(block.first, min(block.last, block.first + _PAGE) + 1)
            entries = [_entry(events.pop(n)) for n in span if n in events]
            self._check.block(block, entries or None)
            self._progress(block.last, blocks[-1].last)
        self._check.introduce(later)
        for number in events:
            self._check.find("event", number, "no block in here covers it")

    def _requests(self) -> None:
        for each in self.decoded("requests.jsonl", _Request):
            record = each.request.encode(errors="surrogatepass")
            if each.hash is not None:
                self._check.redacted(each.id, record, each.hash, each.redacted)
            else:
                row = RequestRow(each.id, each.tenant, each.status, each.version, record)
                self._check.request(row)

    def _signed(self, manifest: Manifest) -> None:
        signature = self._contents.get("manifest.sig", b"").decode(errors="replace").strip()
        public = self._check.public(manifest.key_id)
        self._check.verdict.signatures += 1
        if not fits(public, signature, manifest_statement(self._contents["manifest.json"])):
            self._check.find("manifest", "manifest.json", "its signature does not fit")


def _entry(event: _Event) -> Entry:
    if event.event is None:
        try:
            return Entry(event.number, bytes.fromhex(event.hash or ""))
        except ValueError:
            return Entry(event.number, b"")
    record = event.event.encode(errors="surrogatepass")
    return Entry(event.number, leaf_of(record), record)
