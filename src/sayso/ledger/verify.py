"""What does not fit, and where: one check for a database and for a bundle.

The check is fed blocks with their events, then requests, and names what does not fit. It trusts
nothing but signatures: where two things contradict each other, the one that a signature covers is
taken for true, and the other is named.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import msgspec
from msgspec import Struct

from sayso import codec
from sayso.assertions import verify_decision
from sayso.clock import Clock, SystemClock
from sayso.domain.blocks import MAX_BLOCK, Block, KeyIntroduction
from sayso.domain.records import Record
from sayso.errors import LedgerError, NotPermittedError
from sayso.ledger.blocks import (
    GENESIS,
    HASH_BYTES,
    block_statement,
    chained,
    introduction_statement,
    key_id_of,
    leaf_of,
    record_hash,
)
from sayso.ledger.kept import KeptHead
from sayso.ledger.keys import fits
from sayso.ledger.powers import KINDS, Powers
from sayso.ledger.statements import Redacted, Retired, read
from sayso.stores.base import LedgerReader, LogRow, RecordQuery, RequestRow

MAX_FINDINGS = 100
REDACTED = "[redacted]"
_BY_PASSKEY = (b'"strength":"passkey"', b'"assertion":{')
_PAGE = 1_000
_BLOCKS = 64
_ROUNDS = 5
_CLOCK = SystemClock()
_NOWHERE = KeptHead(None)
SIGNED_WITHIN = timedelta(minutes=1)
"""A server signs within a second: what is older and unsigned has a reason."""
_NO_SEALER = "no server signs what is logged, or blocks were deleted"

Progress = Callable[[int, int], None]
"""Told how many events of how many are checked."""


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that does not fit."""

    kind: str
    """`event`, `block`, `key`, `request`, `record`, `head`, `member`, `manifest` or `bundle`,"""
    id: str
    """and which one."""
    problem: str

    def __str__(self) -> str:
        """In one line."""
        return f"{self.kind} {self.id}: {self.problem}"


class Verdict(Struct, kw_only=True):
    """What was checked, and what was found."""

    findings: list[Finding] = []
    events: int = 0
    """Events that were hashed; others of other tenants are told by their hash."""
    hashes: int = 0
    requests: int = 0
    records: int = 0
    """Users, keys, groups, rules, standing grants and stops that were compared with the log."""
    blocks: int = 0
    signatures: int = 0
    passkeys: int = 0
    """Decisions and votes that people's passkeys have signed."""
    unsigned: int = 0
    """Events at the end of the log that no block covers yet."""
    unbound: int = 0
    """Requests whose hash no event tells."""
    retired: int = 0
    """Events that were deleted, as a signed statement tells."""
    redacted: int = 0
    """Requests in which values are missing, as rules allow."""
    keys: list[str] = []
    head: Block | None = None
    kept: int | None = None
    """The block whose head was found kept beside the server's key."""
    trusted: str = ""
    """The key from outside that all of it hangs on; empty: the ledger's own word."""
    notes: list[str] = []

    @property
    def ok(self) -> bool:
        """Whether everything fits."""
        return not self.findings


class Entry(Struct, frozen=True):
    """An event of a block: its hash, and what is known of it."""

    number: int
    leaf: bytes
    record: bytes | None = None
    tenant: str | None = None


class _Told(Struct):
    """As much of an event as matters here."""

    type: str
    request_id: str | None = None
    tenant: str = "default"
    at: datetime | None = None
    actor: str = ""
    data: msgspec.Raw = msgspec.Raw(b"{}")


class _Data(Struct):
    record: str | None = None


_event = msgspec.json.Decoder(_Told).decode
_data = msgspec.json.Decoder(_Data).decode


class _Columns(Struct):
    id: str
    tenant: str
    status: str
    version: int


_columns = msgspec.json.Decoder(_Columns).decode


class LogAndRecords(LedgerReader, Protocol):
    """What is checked of a database."""

    async def find_records(self, query: RecordQuery) -> Sequence[Record]:
        """Records of a kind, by id."""
        ...


class Check:
    """Takes in a ledger piece by piece, in order.

    Args:
        trusted: a public key or a key's id from outside; empty to take the ledger's own.
        heads: blocks that somebody kept elsewhere: the ledger must still have them.
        in_part: it is a part of a ledger, which may begin anywhere.
    """

    def __init__(
        self, *, trusted: str = "", heads: Sequence[Block] = (), in_part: bool = False
    ) -> None:
        self.verdict = Verdict(trusted=trusted)
        self.told: dict[str, tuple[int, str]] = {}
        """By request: the last event that tells its hash, and the hash."""
        self._trusted = trusted
        self._heads: dict[int, set[str]] = {}
        for block in heads:
            self._heads.setdefault(block.number, set()).add(block.head)
        self._in_part = in_part
        self._keys: dict[str, str] = {}
        self._order: list[str] = []
        self._vouched: set[str] = set()
        self._last: Block | None = None
        self._retirements: list[Retired] = []
        self._redactions: dict[str, Redacted] = {}
        self.powers = Powers()
        self._is_binding = False
        self._older: set[str] = set()
        """Requests that events tell of from before events told hashes."""
        self._unsigned_from: tuple[int, datetime] | None = None
        self._newest: datetime | None = None

    def find(self, kind: str, which: object, problem: str) -> None:
        """Name something that does not fit."""
        if len(self.verdict.findings) < MAX_FINDINGS:
            self.verdict.findings.append(Finding(kind=kind, id=str(which), problem=problem))

    def block(self, block: Block, entries: Sequence[Entry] | None) -> None:
        """The next block.

        Args:
            block: as kept.
            entries: its events, as far as there are any; None: they are not to be seen, because
                they were retired, or are not in this bundle.
        """
        self.verdict.blocks += 1
        self._check_place(block)
        self.introduce(block.keys)
        is_signed = self._check_signature(block)
        if entries is not None and _is_hash(block.previous):
            self._check_entries(block, entries, is_signed=is_signed)
        elif not is_signed:
            self.find("block", block.number, "its signature does not fit")
        if self._heads.pop(block.number, {block.head}) != {block.head}:
            self.find("head", block.number, "it is not the head that was kept elsewhere")
        self._last = msgspec.structs.replace(block, hashes=b"")
        self.verdict.head = self._last

    def unsigned(self, rows: Sequence[LogRow]) -> None:
        """Events behind the last block."""
        number = self._last.last if self._last is not None else 0
        number += self.verdict.unsigned
        for row in rows:
            number += 1
            if row.number != number:
                self.find("event", number, "it is missing in the log")
                number = row.number
            event = self._event(Entry(row.number, b"", row.record, row.tenant))
            if event is not None and event.at is not None:
                self._unsigned_from = self._unsigned_from or (number, event.at)
                self._newest = event.at
        self.verdict.unsigned += len(rows)

    def waiting(self, now: datetime) -> None:
        """Name what no block covers though it should: a crash leaves a second's events, not more.

        To be asked when the log was read once, behind the last block: what comes later is new.
        """
        if self._unsigned_from is None:
            return
        number, at = self._unsigned_from
        if self._last is None:
            if abs(now - at) > SIGNED_WITHIN:
                key = f" with the key {self._trusted}" if self._trusted else ""
                self.find("event", number, f"nothing is signed{key} since {at}: {_NO_SEALER}")
        elif self._newest is not None and self._newest - at > SIGNED_WITHIN:
            self.find("event", number, f"it is not signed since {at}: {_NO_SEALER}")

    def request(self, row: RequestRow) -> None:
        """A request as it is stored now."""
        self.verdict.requests += 1
        found = record_hash(row.record)
        told = self.told.get(row.id)
        if told is None:
            self._unbound(row.id)
        elif told[1] != found:
            self.find("request", row.id, f"it is not what event {told[0]} tells that it was")
            return
        try:
            inside = _columns(row.record)
        except codec.UNREADABLE:
            self.find("request", row.id, "it cannot be read")
            return
        for name in ("id", "tenant", "status", "version"):
            if getattr(inside, name) != getattr(row, name):
                self.find("request", row.id, f"its {name} beside the record is another than in it")
        if row.id in self._redactions:
            self._check_redacted(row.id, row.record, self._redactions[row.id].paths)
        self._check_passkeys(row.id, row.record)

    def redacted(self, request_id: str, record: bytes, hashed: str, paths: Sequence[str]) -> None:
        """A request that is shown with values taken out; its hash is that of the whole one."""
        self.verdict.requests += 1
        told = self.told.get(request_id)
        if told is None:
            self._unbound(request_id)
        elif told[1] != hashed:
            self.find("request", request_id, f"it is not what event {told[0]} tells that it was")
            return
        self._check_redacted(request_id, record, paths)
        self._check_passkeys(request_id, record)

    def missing(self, request_id: str) -> None:
        """A request that events tell of is not there."""
        number = self.told[request_id][0]
        if any(number <= each.upto for each in self._retirements):
            return  # its events are on their way out, too
        self.find("request", request_id, f"it is gone; event {number} tells of it")

    def finish(self, first_event: int | None = None) -> Verdict:
        """What came of it.

        Args:
            first_event: the number of the first event that is there, where the log should begin
                with 1; None for a bundle, and where there is none.
        """
        verdict = self.verdict
        verdict.keys = self._order
        for number in self._heads:
            self.find("head", number, "the ledger does not reach the head that was kept elsewhere")
        if first_event is not None and first_event > 1:
            self._check_retired(first_event - 1)
        if self._last is not None and first_event is None and not self._in_part:
            self.find(
                "event",
                f"1 to {self._last.last}",
                "the whole log is missing; of a log that is retired the newest event stays",
            )
        self._check_trust()
        if verdict.unsigned:
            verdict.notes.append(f"{verdict.unsigned} events at the end are not signed yet.")
        if verdict.unbound:
            verdict.notes.append(
                f"The log does not tell the hash of {verdict.unbound} requests: nothing proves"
                " that they are what they were."
            )
        return verdict

    def _check_place(self, block: Block) -> None:
        last = self._last
        if last is None:
            expected = (1, 1, GENESIS.hex())
            is_free = self._in_part and block.number != 1
        else:
            expected, is_free = (last.number + 1, last.last + 1, last.head), False
        if is_free:
            return
        if block.number != expected[0]:
            self.find("block", expected[0], "it is missing")
            return
        if block.first != expected[1]:
            self.find("block", block.number, f"it begins with event {block.first}")
        if block.previous != expected[2]:
            self.find("block", block.number, "it does not follow the block before it")

    def introduce(self, introductions: Sequence[KeyIntroduction]) -> None:
        """The next keys, in their order."""
        for introduction in introductions:
            try:
                key_id = key_id_of(introduction.public)
            except ValueError:
                self.find("key", introduction.public[:32], "it is no key")
                continue
            self.verdict.signatures += 1
            signer = introduction.public
            if introduction.by:
                signer = self._keys.get(introduction.by, "")
                if self._order and introduction.by != self._order[-1]:
                    self.find("key", key_id, "it is not introduced by the key before it")
            elif self._order:
                is_known = self._trusted in (key_id, introduction.public)
                if not is_known:
                    self.find("key", key_id, "it replaces another without that one's signature")
            if not fits(signer, introduction.signature, introduction_statement(introduction)):
                self.find("key", key_id, "the signature of its introduction does not fit")
            if self._trusted in (key_id, introduction.public) or introduction.by in self._vouched:
                self._vouched.add(key_id)
            self._keys[key_id] = introduction.public
            self._order.append(key_id)

    def public(self, key_id: str) -> str:
        """The public key of this id; an empty string, which no signature fits, for another."""
        return self._keys.get(key_id, "")

    def _check_signature(self, block: Block) -> bool:
        if not self._order or block.key_id != self._order[-1]:
            self.find(
                "block",
                block.number,
                f"it names the key {block.key_id[:64]}, not the one of its time",
            )
            return False
        self.verdict.signatures += 1
        return fits(self._keys[block.key_id], block.signature, block_statement(block))

    def _check_entries(self, block: Block, entries: Sequence[Entry], *, is_signed: bool) -> None:
        numbers = {entry.number for entry in entries}
        gone = next((n for n in range(block.first, block.last + 1) if n not in numbers), None)
        if gone is not None:
            self.find("event", gone, f"it is missing; block {block.number} covers it")
        hashes = chained(bytes.fromhex(block.previous), (entry.leaf for entry in entries))
        head = hashes[-HASH_BYTES:].hex()
        if gone is None and head != block.head:
            self._name_wrong(block, entries, hashes, is_signed=is_signed)
        elif not is_signed:
            self.find("block", block.number, "its signature does not fit")
        elif gone is None and block.hashes != hashes and (block.hashes or not self._in_part):
            self.find("block", block.number, "its list of hashes is not that of its events")
        for entry in entries:
            self._event(entry)

    def _name_wrong(
        self, block: Block, entries: Sequence[Entry], hashes: bytes, *, is_signed: bool
    ) -> None:
        """The events do not lead to the head: which of all is it?"""
        right = msgspec.structs.replace(block, head=hashes[-HASH_BYTES:].hex())
        public = self._keys.get(block.key_id, "")
        if not is_signed and fits(public, block.signature, block_statement(right)):
            self.find("block", block.number, "its head is not the one that was signed")
            return
        for place, entry in enumerate(entries):
            here = slice(HASH_BYTES * place, HASH_BYTES * (place + 1))
            if block.hashes and hashes[here] != block.hashes[here]:
                self.find(
                    "event", entry.number, f"it is not the one that block {block.number} signed"
                )
                return
        span = f"{block.first} to {block.last}"
        self.find(
            "block", block.number, f"one of its events, {span}, is not the one that was signed"
        )

    def _unbound(self, request_id: str) -> None:
        """Of an upgraded database it is told; in a bundle the manifest is signed over it."""
        self.verdict.unbound += 1
        if not self._in_part and request_id not in self._older:
            self.find("request", request_id, "no event tells of it: it was put in past the log")

    def _event(self, entry: Entry) -> _Told | None:
        self.verdict.hashes += 1
        if entry.record is None:
            return None
        self.verdict.events += 1
        try:
            event = _event(entry.record)
            if entry.tenant is not None and event.tenant != entry.tenant:
                self.find("event", entry.number, "it is filed under another tenant")
            self.powers.hear(entry.number, event.type, event.tenant, event.actor, event.data)
            if event.type == "ledger.rollback_accepted":
                self.verdict.notes.append(
                    f"Event {entry.number} tells that somebody accepted a rollback of the ledger."
                )
            elif event.type in ("ledger.redacted", "ledger.retired"):
                self._statement(entry.number, event)
            elif event.request_id is not None:
                told = _data(event.data).record
                if told is not None:
                    self._is_binding = True
                    self.told[event.request_id] = (entry.number, told)
                elif not self._is_binding:
                    self._older.add(event.request_id)
        except codec.UNREADABLE:
            self.find("event", entry.number, "it cannot be read")
            return None
        return event

    def _statement(self, number: int, event: _Told) -> None:
        self.verdict.signatures += 1
        statement = read(msgspec.json.decode(event.data), self._keys)
        if isinstance(statement, Retired):
            self._retirements.append(statement)
            for request_id, told in statement.kept.items():
                if request_id not in self.told or self.told[request_id][0] <= statement.upto:
                    self.told[request_id] = (number, told)
            for request_id in statement.gone:
                self.told.pop(request_id, None)
        elif isinstance(statement, Redacted) and statement.request_id == event.request_id:
            before = self.told.get(statement.request_id)
            if before is not None and before[1] != statement.before:
                self.find("request", statement.request_id, "it was changed before it was redacted")
            self.told[statement.request_id] = (number, statement.after)
            self._redactions[statement.request_id] = statement
        else:
            self.find("event", number, "its signature does not fit")

    def _check_redacted(self, request_id: str, record: bytes, paths: Sequence[str]) -> None:
        self.verdict.redacted += 1
        whole = msgspec.json.decode(record)
        for path in paths:
            if _at(whole, path) != REDACTED:
                self.find("request", request_id, f"{path} should be redacted, and is not")

    def _check_passkeys(self, request_id: str, record: bytes) -> None:
        """What people's own keys have signed holds against whoever has the server's key, too."""
        if not any(mark in record for mark in _BY_PASSKEY):
            return
        try:
            self.verdict.passkeys += verify_decision(codec.decode_request(record))
        except codec.UNREADABLE:
            self.find("request", request_id, "it cannot be read")
        except NotPermittedError as error:
            self.find("request", request_id, error.detail)

    def _check_retired(self, upto: int) -> None:
        self.verdict.retired = upto
        if not any(each.upto >= upto for each in self._retirements):
            self.find("event", f"1 to {upto}", "they are missing, and no statement retires them")

    def _check_trust(self) -> None:
        if not self._order:
            if self.verdict.unsigned:
                self.verdict.notes.append("Nothing in this log is signed: there is no block.")
            return
        if not self._trusted:
            self.verdict.notes.append(
                f"No key was given from outside: the key {self._order[0]} is taken on the ledger's"
                " own word."
            )
        elif self._order[-1] not in self._vouched:
            self.find("key", self._order[-1], f"it does not come from the key {self._trusted}")


def _is_hash(text: str) -> bool:
    try:
        return len(bytes.fromhex(text)) == HASH_BYTES
    except ValueError:
        return False


def _at(value: object, pointer: str) -> object:
    """What a JSON pointer leads to; None if nothing."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, Mapping):
            value = value.get(name)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):  # pyright: ignore[reportUnknownArgumentType]
            value = value[int(name)]  # pyright: ignore[reportUnknownVariableType]
        else:
            return None
    return value  # pyright: ignore[reportUnknownVariableType]


async def verify_database(
    store: LogAndRecords,
    *,
    trusted: str = "",
    heads: Sequence[Block] = (),
    kept: KeptHead = _NOWHERE,
    progress: Progress = lambda _done, _all: None,
    clock: Clock = _CLOCK,
) -> Verdict:
    """Check the whole log, its blocks and the requests as they are stored now.

    It may run while servers write: what changes meanwhile is looked at again.

    Args:
        store: an open store.
        trusted: a public key or a key's id from outside; empty to take the ledger's own.
        heads: blocks that somebody kept elsewhere: the ledger must still have them.
        kept: where the server keeps its newest head; the ledger must have that, too.
        progress: is told how far it is.
        clock: what time it is.

    Raises:
        StoreError: the database cannot be read.
    """
    unreadable: LedgerError | None = None
    head: Block | None = None
    try:
        head = kept.read()  # before the blocks are: while a server runs it is never ahead of them
    except LedgerError as error:
        unreadable = error
    check = Check(trusted=trusted, heads=heads if head is None else [*heads, head])
    if unreadable is not None:
        check.find("head", kept.path, unreadable.detail)
    if head is not None:
        check.verdict.kept = head.number
        check.verdict.notes.append(
            f"Block {head.number} is the newest whose head is kept beside the key, in {kept.path}."
        )
    start = await store.log(0, 1)
    first_event = start[0].number if start else None
    total = await _signed(store)
    number = 0
    while blocks := await store.block_rows(number, _BLOCKS):
        for each in blocks:
            number = each.number
            try:
                block = codec.decode_block(each.record)
            except codec.UNREADABLE:
                check.find("block", number, "it cannot be read")
                continue
            if first_event is None or block.last < first_event:
                check.block(block, None)
            else:
                size = max(1, min(block.last - block.first + 1, MAX_BLOCK))
                rows = await store.log(block.first - 1, size)
                check.block(block, [_entry(r) for r in rows if r.number <= block.last])
            progress(min(block.last, total), total)
            await asyncio.sleep(0)
    after = check.verdict.head.last if check.verdict.head is not None else 0
    after = max(after, (first_event or 1) - 1)
    after = await _rest(store, check, after)
    check.waiting(clock.now())
    after = await _requests(store, check, after)
    await _records(store, check, after, is_whole=first_event == 1)
    return check.finish(first_event)


async def _records(store: LogAndRecords, check: Check, after: int, *, is_whole: bool) -> None:
    """What powers rest on; what does not fit may have changed since the log was read."""
    records: list[Record] = []
    differences: list[tuple[str, str]] = []
    for left in reversed(range(_ROUNDS)):
        records = []
        for kind in KINDS:
            query = RecordQuery(kind=kind, tenant=None, limit=_PAGE)
            while page := await store.find_records(query):
                records += page
                if len(page) < _PAGE:
                    break
                query = msgspec.structs.replace(query, after=page[-1].id)
        differences = check.powers.differences(records, is_whole=is_whole)
        reached = await _rest(store, check, after)
        if reached == after or not differences or not left:
            break
        after = reached
    check.verdict.records = len(records)
    for which, problem in differences:
        check.find("record", which, problem)


async def _requests(store: LedgerReader, check: Check, after: int) -> int:
    """All requests; one that does not fit may have changed since the log was read.

    Returns:
        How far the log was read.
    """
    doubtful: list[str] = []
    seen: set[str] = set()
    last = ""
    while rows := await store.request_rows(last, _PAGE):
        for row in rows:
            seen.add(row.id)
            told = check.told.get(row.id)
            if told is not None and told[1] == record_hash(row.record):
                check.request(row)
            else:
                doubtful.append(row.id)
        last = rows[-1].id
    doubtful += [request_id for request_id in check.told if request_id not in seen]
    for left in reversed(range(_ROUNDS)):
        doubtful = await _look_again(store, check, doubtful, is_last=left == 0)
        if not doubtful:
            break
        reached = await _rest(store, check, after)
        if reached == after:  # nothing has happened: it stays as it is
            await _look_again(store, check, doubtful, is_last=True)
            break
        after = reached
    return after


async def _look_again(
    store: LedgerReader, check: Check, doubtful: Sequence[str], *, is_last: bool
) -> list[str]:
    still: list[str] = []
    for request_id in doubtful:
        row = await store.request_row(request_id)
        told = check.told.get(request_id)
        fits_now = row is not None and (told is not None and told[1] == record_hash(row.record))
        if fits_now or is_last:
            if row is None:
                check.missing(request_id)
            else:
                check.request(row)
        else:
            still.append(request_id)
    return still


async def _rest(store: LedgerReader, check: Check, after: int) -> int:
    while rows := await store.log(after, _PAGE):
        check.unsigned(rows)
        after = rows[-1].number
    return after


def _entry(row: LogRow) -> Entry:
    return Entry(row.number, leaf_of(row.record), row.record, row.tenant)


async def _signed(store: LedgerReader) -> int:
    """How many events there are to check; 0 if that cannot be read, which will be named."""
    try:
        newest = await store.last_block()
    except codec.UNREADABLE:
        return 0
    return newest.last if newest is not None else 0
