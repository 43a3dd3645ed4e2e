"""The store ports: what a backend keeps, and what it promises.

A store never decides what is legal (`sayso.domain.lifecycle` does); it keeps what a change says,
all of it or nothing, and once an awaited write has returned it survives `kill -9`.
`sayso.testing.contracts` is the suite that each backend passes.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from sayso.domain.accounts import DEFAULT_TENANT, Principal
from sayso.domain.blocks import Block
from sayso.domain.events import Event, EventType
from sayso.domain.jobs import Job, JobKind, JobState
from sayso.domain.lifecycle import Change
from sayso.domain.records import Record
from sayso.domain.requests import Request, Status
from sayso.domain.sessions import Session
from sayso.domain.webhooks import Webhook
from sayso.errors import ConflictError

SCAN_LIMIT = 20_000
"""How many requests one `find` may look at; past that it returns what it has and a cursor, so that
a rare word in a long history costs several short reads and not one long."""


PAGE_BYTES = 4_194_304
"""After how many bytes of records a page ends before its `limit`."""


class Query(Struct, frozen=True, kw_only=True):
    """Which requests to find: newest first, all filters at once."""

    tenant: str = DEFAULT_TENANT
    status: frozenset[Status] = frozenset()
    session_id: str | None = None
    client_id: str | None = None
    seen_by: Principal | None = None
    """Only what this caller may see."""
    is_parked: bool = False
    """Only what waits beyond its deadline; to be asked with the status `pending`, which is what is
    looked through for it."""
    text: str = ""
    """Words of the message, tool, arguments, answer or ids, in any case."""
    limit: int = 50
    after: str | None = None
    """The id of the last request already seen."""

    def matches(self, request: Request) -> bool:
        """Whether `request` is asked for; the one definition for every backend."""
        return (
            request.tenant == self.tenant
            and (not self.status or request.status in self.status)
            and (self.session_id is None or request.session_id == self.session_id)
            and (self.client_id is None or request.client_id == self.client_id)
            and (self.seen_by is None or is_shown(request, self.seen_by))
            and (not self.is_parked or request.parked_at is not None)
            and (not self.text or self.text.casefold() in searchable(request))
        )


class Page(Struct, frozen=True, kw_only=True):
    """One page of requests; `next` is the cursor of the following one, None at the end."""

    items: tuple[Request, ...]
    next: str | None


class EventQuery(Struct, frozen=True, kw_only=True):
    """Which events to read: in order, after `after`."""

    tenant: str | None = DEFAULT_TENANT
    """None: of all tenants."""
    after: int = 0
    types: frozenset[EventType] = frozenset()
    request_id: str | None = None
    session_id: str | None = None
    client_id: str | None = None
    seen_by: Principal | None = None
    """Only what this caller may see."""
    limit: int = 200

    def matches(self, event: Event) -> bool:
        """Whether `event` is asked for."""
        return (
            (self.tenant is None or event.tenant == self.tenant)
            and (not self.types or event.type in self.types)
            and (self.request_id is None or event.request_id == self.request_id)
            and (self.session_id is None or event.session_id == self.session_id)
            and (self.client_id is None or event.client_id == self.client_id)
            and (self.seen_by is None or _is_told(event, self.seen_by))
        )


class Replay(Struct, frozen=True, kw_only=True):
    """What an idempotency key stands for."""

    request: Request
    fingerprint: str


class Login(Struct, frozen=True, kw_only=True):
    """A signed-in person's session, kept under the hash of its token."""

    token_hash: str
    person_id: str
    name: str
    strength: str
    created_at: datetime
    expires_at: datetime
    tenant: str = DEFAULT_TENANT
    id: str = ""
    """A name for it that may be shown, by which its person ends it; nobody signs in with it."""
    agent: str = ""
    """The User-Agent that it was begun with, its first 256 characters."""
    method: str = ""
    """The way in which the person signed in."""
    epoch: int = 0
    """Their account's, when it was looked at to sign them in."""


class JobQuery(Struct, frozen=True, kw_only=True):
    """Which jobs to find: newest first, all filters at once."""

    tenant: str = DEFAULT_TENANT
    state: JobState | None = None
    request_id: str | None = None
    webhook_id: str | None = None
    reminders: bool = True
    """Whether reminders count, or deliveries only."""
    limit: int = 50
    after: str | None = None
    """The id of the last job already seen."""

    def matches(self, job: Job) -> bool:
        """Whether `job` is asked for."""
        return (
            job.tenant == self.tenant
            and (self.state is None or job.state is self.state)
            and (self.request_id is None or job.request_id == self.request_id)
            and (self.webhook_id is None or job.webhook_id == self.webhook_id)
            and (self.reminders or job.kind is not JobKind.REMIND)
        )


class JobPage(Struct, frozen=True, kw_only=True):
    """One page of jobs; `next` is the cursor of the following one, None at the end."""

    items: tuple[Job, ...]
    next: str | None


class RecordQuery(Struct, frozen=True, kw_only=True):
    """Which records to find: by kind and id, all filters at once."""

    kind: str
    tenant: str | None = DEFAULT_TENANT
    """None: of all tenants."""
    owner: str | None = None
    limit: int = 1_000
    after: str = ""
    """The id of the last record already seen."""


class LogRow(Struct, frozen=True):
    """An event exactly as it is stored."""

    number: int
    tenant: str
    record: bytes


class BlockRow(Struct, frozen=True):
    """A block exactly as it is stored."""

    number: int
    record: bytes


class RequestRow(Struct, frozen=True):
    """A request exactly as it is stored, and what is stored beside it to find it by."""

    id: str
    tenant: str
    status: str
    version: int
    record: bytes


class Store(Protocol):
    """Requests and events.

    Every method raises `StoreError` when the backend fails; then nothing was written, unless its
    `reason_code` is `database_away`: a connection that is lost in the middle does not tell.
    """

    async def open(self) -> None:
        """Connect, and bring the schema up to date; refuse one that is newer than this code."""
        ...

    async def close(self) -> None:
        """Finish what was begun, then let go. Closing twice is harmless."""
        ...

    async def commit(self, change: Change) -> None:
        """Keep the request, its events, its jobs and its records in one transaction.

        Raises:
            ConflictError: the request is not at `expected_version` any more, the idempotency
                key is taken, or a record cannot be kept; nothing was written.
        """
        ...

    async def get(self, tenant: str, request_id: str) -> Request | None:
        """The request as last committed; None if there is none in this tenant."""
        ...

    async def replay(self, tenant: str, key: str) -> Replay | None:
        """The request that was submitted with this idempotency key."""
        ...

    async def find(self, query: Query) -> Page:
        """Requests, newest first. A page may hold fewer than `limit` and still have a `next`."""
        ...

    async def due(self, now: datetime, limit: int) -> Sequence[Request]:
        """Pending requests of all tenants whose deadline has come, earliest deadline first."""
        ...

    async def events(self, query: EventQuery) -> tuple[Sequence[Event], int]:
        """Events after `query.after`, in order, and how far the log was read.

        The second value is what to pass as `after` next: it moves past events that the filters
        left out. With `limit=0` it is the end of the log.
        """
        ...


class SessionStore(Protocol):
    """Agents' sessions."""

    async def put_session(self, session: Session, event: Event, jobs: Sequence[Job] = ()) -> None:
        """Keep the session, replacing one of the same id, its event, and what that causes."""
        ...

    async def get_session(self, tenant: str, session_id: str) -> Session | None:
        """The session, or None."""
        ...


class LoginStore(Protocol):
    """People's sign-ins."""

    async def use_link(self, name: str, expires_at: datetime) -> bool:
        """Remember that a one-time link was used; False if it had been used before."""
        ...

    async def put_login(self, login: Login) -> None:
        """Keep a signed-in session."""
        ...

    async def get_login(self, token_hash: str) -> Login | None:
        """The session of this token, or None; the caller checks its expiry."""
        ...

    async def end_login(self, token_hash: str) -> None:
        """Forget it; one that is not there is no error."""
        ...

    async def get_logins(self, tenant: str, person_id: str) -> Sequence[Login]:
        """All sessions of a person, newest first; ended by time or not, as far as they are kept."""
        ...

    async def end_logins(self, tenant: str, person_id: str) -> None:
        """Forget all sessions of a person; that there are none is no error."""
        ...

    async def agree(self, name: str, value: str) -> str:
        """The value that all processes on this store have for `name`: the first one given."""
        ...


class JobStore(Protocol):
    """What is to be done, and by whom it is being done."""

    async def claim(self, now: datetime, until: datetime, limit: int) -> Sequence[Job]:
        """Take due jobs for this caller alone, longest due first.

        Each comes back `running`, with `attempt` one higher and `due_at` at `until`; when that
        time comes and it was not settled, it is due again. Jobs that others are claiming in the
        same moment are passed over.
        """
        ...

    async def settle(self, jobs: Sequence[Job]) -> None:
        """Keep what became of claimed jobs.

        One whose `attempt` is not the stored one any more is left alone: its lease ran out, and
        somebody else has it. A job that is waiting again is due at its `due_at`.
        """
        ...

    async def get_job(self, tenant: str, job_id: str) -> Job | None:
        """The job, or None."""
        ...

    async def find_jobs(self, query: JobQuery) -> JobPage:
        """Jobs, newest first by id. A page may hold fewer than `limit` and still have a `next`."""
        ...

    async def forget_jobs(self, before: datetime, limit: int) -> int:
        """Delete jobs that were done before then; how many, at most `limit`. The dead stay."""
        ...


class WebhookStore(Protocol):
    """Subscriptions to events."""

    async def add_webhook(self, webhook: Webhook, limit: int) -> bool:
        """Keep a new subscription; False if its tenant has `limit` of them or more already.

        However many are added at once, there are never more. One of the same id is left as it is.
        """
        ...

    async def change_webhook(self, old: Webhook, new: Webhook) -> bool:
        """Keep `new` in place of `old`, which has the same id.

        False if what is kept is not exactly `old` any more, or is gone; then nothing was changed.
        """
        ...

    async def get_webhooks(self, tenant: str) -> Sequence[Webhook]:
        """All subscriptions of a tenant, oldest first."""
        ...

    async def delete_webhook(self, tenant: str, webhook_id: str) -> bool:
        """Forget it; False if there was none."""
        ...


class RecordStore(Protocol):
    """Small things that change seldom, each changed only from the version it was read at."""

    async def put_records(
        self, records: Sequence[Record], events: Sequence[Event] = (), jobs: Sequence[Job] = ()
    ) -> None:
        """Keep or forget all of them, with the events that tell of it, in one transaction.

        A handle that one of them gives up is free for another of them. To forget what is not
        there, at version 1, changes nothing.

        Raises:
            ConflictError: one is not at `version - 1` any more, or is told twice, or another has
                its handle; nothing was written.
        """
        ...

    async def get_record(self, kind: str, record_id: str) -> Record | None:
        """The record, or None."""
        ...

    async def find_handle(self, kind: str, handle: str) -> Record | None:
        """The record that has this handle, or None; nothing has the empty one."""
        ...

    async def find_records(self, query: RecordQuery) -> Sequence[Record]:
        """Records of a kind after `query.after`, by id; fewer than `limit` only at the end."""
        ...


class LedgerReader(Protocol):
    """The log and the ledger over it, raw: what verification reads."""

    async def log(self, after: int, limit: int) -> Sequence[LogRow]:
        """Events of all tenants behind number `after`, in order, as their bytes."""
        ...

    async def block_rows(self, after: int, limit: int) -> Sequence[BlockRow]:
        """Blocks behind number `after`, in order, as their bytes."""
        ...

    async def last_block(self) -> Block | None:
        """The newest block."""
        ...

    async def find_block(self, event: int) -> Block | None:
        """The block that an event is in; None if it is not signed yet."""
        ...

    async def request_rows(self, after: str, limit: int) -> Sequence[RequestRow]:
        """Requests of all tenants behind the id `after`, by id, as their bytes."""
        ...

    async def request_row(self, request_id: str) -> RequestRow | None:
        """One request, of whatever tenant, as its bytes."""
        ...


class LedgerStore(LedgerReader, Protocol):
    """The ledger as the sealer writes it."""

    async def add_block(self, block: Block) -> bool:
        """Keep a block; False if there is one of its number already, which stays."""
        ...

    async def retire(self, upto: int, requests: Sequence[RequestRow]) -> int:
        """Delete the events up to number `upto`, and these requests; how many requests were.

        A request that is not exactly as told any more stays. The newest event always stays, so
        that numbers go on.
        """
        ...


class Stores(
    Store, SessionStore, LoginStore, JobStore, WebhookStore, RecordStore, LedgerStore, Protocol
):
    """All that one backend keeps."""


def newest_first(logins: Iterable[Login]) -> Sequence[Login]:
    """A person's sessions in the order in which `LoginStore.get_logins` gives them."""
    return sorted(logins, key=lambda login: (login.created_at, login.id), reverse=True)


def check_records(records: Sequence[Record]) -> None:
    """Refuse records that cannot all be kept, whatever is there already.

    Raises:
        ConflictError: one is told twice, or two have one handle.
    """
    ids = {(record.kind, record.id) for record in records}
    handled = [(record.kind, record.handle) for record in records if record.body and record.handle]
    if len(ids) < len(records) or len(set(handled)) < len(handled):
        raise ConflictError


def is_shown(request: Request, viewer: Principal) -> bool:
    """Whether they may see it."""
    asked = request.requested_by
    return request.tenant == viewer.tenant and viewer.sees(asked.actor, asked.owner)


def _is_told(event: Event, viewer: Principal) -> bool:
    """What is not about a request is for those alone who may read everything."""
    return viewer.sees(event.asked_by or "", event.owner or "")


def searchable(request: Request) -> str:
    """What a text search looks at, casefolded."""
    parts: list[str] = [request.id, request.message]
    parts += [request.session_id or "", request.client_id or ""]
    if request.action is not None:
        parts += [request.action.tool_name, request.action.rationale]
        parts += _strings(request.action.tool_args)
    parts += _strings(request.metadata)
    if request.decision is not None:
        parts += [request.decision.reason, request.decision.by.name]
        parts += _strings(request.decision.args)
        parts += _strings(request.answer)
    return "\n".join(parts).casefold()


def _strings(value: object) -> list[str]:
    """All keys and scalar values in a JSON value, as text; it is not nested deep (codec)."""
    match value:
        case dict():
            items: dict[str, object] = value  # pyright: ignore[reportUnknownVariableType]
            return [s for k, v in items.items() for s in (k, *_strings(v))]
        case list() | tuple():
            values: list[object] = list(value)  # pyright: ignore[reportUnknownArgumentType]
            return [s for v in values for s in _strings(v)]
        case None:
            return []
        case _:
            return [str(value)]
