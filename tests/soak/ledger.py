"""What clients were told: everything that a server has acknowledged."""

import time
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self, TypeAlias

import msgspec
from msgspec import Struct

Json: TypeAlias = dict[str, Any]


class _Note(Struct, frozen=True, tag_field="note", tag=True):
    pass


class Submitted(_Note, frozen=True):
    """A request was taken."""

    request_id: str
    sent: Json


class Decided(_Note, frozen=True):
    """A person was told that their decision stands."""

    request_id: str
    mark: str
    """The decision's reason, which nobody else gave."""
    decision: Json
    sent_at: float
    told_at: float
    first_try: bool
    """Whether this was the answer to the first try, so that nothing is uncertain."""


class TooLate(_Note, frozen=True):
    """A person or an agent was told that somebody else came first."""

    request_id: str
    mark: str
    code: str
    first_try: bool


class Cancelled(_Note, frozen=True):
    """An agent was told that its request is taken back."""

    request_id: str
    mark: str
    """The reason, which nobody else gave."""


class Extended(_Note, frozen=True):
    """An agent was told that people have time until then."""

    request_id: str
    deadline_at: str


class Waited(_Note, frozen=True):
    """One held wait has ended."""

    request_id: str
    server: str
    seconds: float
    began_at: float
    ended_at: float
    status: str
    """As told; nothing if the line broke."""
    decision: Json | None


Answered: TypeAlias = Literal["taken", "failed", "later", "hung", "reset"]


class Delivered(_Note, frozen=True):
    """A `callback_url` was told how its request ended, and what it answered."""

    request_id: str
    webhook_id: str
    type: str
    request: Json
    answer: Answered


class Paused(_Note, frozen=True):
    """A server stood still, from and to, and with it all that it held."""

    server: str
    began_at: float
    ended_at: float


class Seen(_Note, frozen=True):
    """A stream has told of an event."""

    stream: str
    id: int
    type: str
    request_id: str | None


class Unexpected(_Note, frozen=True):
    """Somebody was told what cannot be."""

    what: str


class Unfinished(_Note, frozen=True):
    """Something had not ended long after all was well again."""

    what: str


class Outage(_Note, frozen=True):
    """A client had to try again for so long."""

    call: str
    seconds: float


class Broken(_Note, frozen=True):
    """Something was broken, and after so many seconds all was ready again."""

    fault: str
    recovered_after: float


Note: TypeAlias = (
    Submitted
    | Decided
    | TooLate
    | Cancelled
    | Extended
    | Waited
    | Delivered
    | Paused
    | Seen
    | Unexpected
    | Unfinished
    | Outage
    | Broken
)


class Ledger:
    """All notes, by kind; with a path, each is written to that file, too.

    Attributes:
        begun: the messages of all that was asked, acknowledged or not.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.began_at = time.monotonic()
        self.begun: set[str] = set()
        self.waiting = 0
        self.most_waiting = 0
        self.submitted: list[Submitted] = []
        self.decided: list[Decided] = []
        self.too_late: list[TooLate] = []
        self.cancelled: list[Cancelled] = []
        self.extended: list[Extended] = []
        self.waited: list[Waited] = []
        self.delivered: list[Delivered] = []
        self.paused: list[Paused] = []
        self.seen: dict[str, list[Seen]] = {}
        self.unexpected: list[Unexpected] = []
        self.unfinished: list[Unfinished] = []
        self.outages: list[Outage] = []
        self.broken: list[Broken] = []
        self._file: IO[bytes] | None = None if path is None else path.open("ab")

    def note(self, note: Note) -> None:
        """Write it down."""
        match note:
            case Submitted():
                self.submitted.append(note)
            case Decided():
                self.decided.append(note)
            case TooLate():
                self.too_late.append(note)
            case Cancelled():
                self.cancelled.append(note)
            case Extended():
                self.extended.append(note)
            case Waited():
                self.waited.append(note)
            case Delivered():
                self.delivered.append(note)
            case Paused():
                self.paused.append(note)
            case Seen():
                self.seen.setdefault(note.stream, []).append(note)
            case Unexpected():
                self.unexpected.append(note)
            case Unfinished():
                self.unfinished.append(note)
            case Outage():
                self.outages.append(note)
            case Broken():
                self.broken.append(note)
        if self._file is not None:
            self._file.write(msgspec.json.encode(note) + b"\n")

    def hold(self, more: int) -> None:
        """So many more waits are held."""
        self.waiting += more
        self.most_waiting = max(self.most_waiting, self.waiting)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
