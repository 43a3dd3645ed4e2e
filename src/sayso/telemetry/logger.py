"""`TelemetryLogger`: what happens in runs, as events in a file or database."""

import contextlib
import logging
import time
import weakref
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path

import msgspec
from msgspec import Struct

from sayso.domain.actions import Action, canonical_json
from sayso.domain.approvals import ApprovalRequest
from sayso.domain.decisions import Decision
from sayso.domain.traces import RunMetadata, ToolResult, TraceEvent, TraceEventType, runs_of
from sayso.errors import ConfigurationError
from sayso.telemetry import payloads
from sayso.telemetry.base import Sink
from sayso.telemetry.guard import never_raising
from sayso.telemetry.json_lines import JsonLinesSink
from sayso.telemetry.redaction import Quotes, Redactor
from sayso.telemetry.sqlite import IN_MEMORY, SqliteSink
from sayso.telemetry.writer import Writer
from sayso.types import JsonObject

_MOST_ASKED = 10_000
"""Questions whose beginning is remembered, to tell how long they were open."""

log = logging.getLogger("sayso.telemetry")
_new = datetime.now


class TelemetryLogger:
    """Keeps what happens in runs; a gate tells it, and so may a program.

    All `log_` methods return within microseconds and never raise: events are written by a thread
    in the background, a moment later, in order, and are all there when they are read, when it is
    closed and when the program ends. Only a signal that ends it on the spot takes the last moment
    with it. Any thread may use it. Several processes may write to one file, each with a logger of
    its own; a process that is forked gets its own by itself.

    What cannot be kept is counted and told by the log `sayso.telemetry`: `errors` is how often the
    sink failed, `lost` how many events were lost for good; the trace has an event where they were.

    Args:
        db_path: `:memory:`; a SQLite file, made when missing; `NAME.jsonl` for a text file with one
            event a line; or `postgresql://USER:PASSWORD@HOST/DATABASE`.
        redact: arguments whose values are not kept, as `payments.*:card.number` or `*:password`.

    Raises:
        ConfigurationError: the file is no trace, or a rule cannot be read.
        StoreError: the file or database cannot be opened.
        MissingExtraError: PostgreSQL needs the extra `postgres`.
    """

    def __init__(self, db_path: str | Path = IN_MEMORY, *, redact: Sequence[str] = ()) -> None:
        self.db_path = db_path
        self._redactor = Redactor(redact)
        self._quotes = Quotes()
        self._asked: dict[tuple[str, str], tuple[str, float]] = {}
        address = str(db_path)
        self._writer = Writer(lambda: _open(address), _lost_line)
        self._put = self._writer.put
        weakref.finalize(self, self._writer.close, waits=False).atexit = False

    @property
    def errors(self) -> int:
        """How often events could not be written when they should have been."""
        return self._writer.errors

    @property
    def lost(self) -> int:
        """How many events are lost for good."""
        return self._writer.lost

    @never_raising
    def log_run_start(self, metadata: RunMetadata) -> None:
        """A run begins."""
        now = _new(UTC)
        run_id = metadata.run_id
        self._log(
            now,
            run_id,
            TraceEventType.RUN_START,
            payloads.RunStart(
                scenario_id=metadata.scenario_id,
                condition_id=metadata.condition_id,
                agent_version=metadata.agent_version,
                model=metadata.model,
                seed=metadata.seed,
                started_at=metadata.started_at or now,
            ),
        )
        self._writer.tell(lambda sink: _warn_of_second_start(sink, run_id, now))

    @never_raising
    def log_run_end(
        self,
        run_id: str,
        success: bool,
        validation_details: JsonObject | None = None,
    ) -> None:
        """A run is over; its details lose what was taken out of any of its calls."""
        details = self._quotes.cut(run_id, "", validation_details or {})
        payload = payloads.RunEnd(task_success=success, validation_details=details)
        self._log(_new(UTC), run_id, TraceEventType.RUN_END, payload)
        self._writer.tell(lambda sink: _warn_of_unknown(sink, run_id))

    @never_raising
    def log_llm_call(
        self,
        run_id: str,
        prompt_hash: str | None = None,
        template_id: str | None = None,
        tokens_in: int | None = None,
        tokens_out: int | None = None,
        latency_ms: float | None = None,
        model: str | None = None,
    ) -> None:
        """A model was asked."""
        payload = payloads.LlmCall(
            prompt_hash=prompt_hash,
            template_id=template_id,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            latency_ms=latency_ms,
            model=model,
        )
        self._log(_new(UTC), run_id, TraceEventType.LLM_CALL, payload)

    @never_raising
    def log_action_proposed(
        self, run_id: str, action: Action, injected_error: bool = False
    ) -> None:
        """An agent wants to act.

        Args:
            run_id: the agent's run.
            action: with its arguments as they are now.
            injected_error: it is known to be wrong: somebody ought to notice.
        """
        now = _new(UTC)
        args, redacted = self._shown(run_id, action)
        cut = partial(self._quotes.cut, run_id, action.id)
        payload = payloads.ActionProposed(
            action_id=action.id,
            tool_name=action.tool_name,
            tool_args=args,
            redacted=redacted,
            args_hash=action.args_hash() if redacted else msgspec.UNSET,
            digest=action.digest,
            risk_class=action.risk_class,
            side_effects=cut(action.side_effects),
            rationale=cut(action.rationale),
            context_refs=cut(action.context_refs),
            injected_error=injected_error,
        )
        self._log(now, run_id, TraceEventType.ACTION_PROPOSED, payload)
        if injected_error:
            wrong = payloads.InjectedError(action_id=action.id, tool_name=action.tool_name)
            self._log(now, run_id, TraceEventType.INJECTED_ERROR, wrong)

    @never_raising
    def log_approval_requested(
        self, run_id: str, request: ApprovalRequest, channel: str = "unknown"
    ) -> None:
        """Somebody is asked."""
        now = _new(UTC)
        action = request.action
        asked = self._asked  # without a lock: a lost entry costs one `waited_ms`
        asked[run_id, action.id] = (action.tool_name, time.monotonic())
        if len(asked) > _MOST_ASKED:
            with contextlib.suppress(RuntimeError, StopIteration):
                asked.pop(next(iter(asked)), None)
        self._shown(run_id, action)
        payload = payloads.ApprovalRequested(
            action_id=action.id,
            request_id=request.request_id,
            thread_id=request.thread_id,
            channel=channel,
            policy_name=request.policy_name,
            policy_reason=self._quotes.cut(run_id, action.id, request.policy_reason),
            requested_at=now,
        )
        self._log(now, run_id, TraceEventType.APPROVAL_REQUESTED, payload)

    @never_raising
    def log_approval_decided(
        self, run_id: str, decision: Decision, channel: str = "unknown"
    ) -> None:
        """It was decided, by a person or by the policy."""
        now = _new(UTC)
        tool_name, since = self._asked.pop((run_id, decision.action_id), (None, None))
        args, redacted = decision.args, ()
        if args is not None:
            args, redacted = self._redactor.shown(tool_name, args)
            self._quotes.note(run_id, decision.action_id, decision.args or {}, redacted)
        cut = partial(self._quotes.cut, run_id, decision.action_id)
        payload = payloads.ApprovalDecided(
            action_id=decision.action_id,
            approved=decision.approved,
            type=decision.type,
            reason=cut(decision.reason),
            tags=cut(decision.tags),
            decided_by=decision.by.name,
            reviewer_id=decision.by.id,
            strength=decision.strength,
            standing_grant=decision.standing_grant,
            latency_ms=decision.latency_ms,
            waited_ms=None if since is None else (time.monotonic() - since) * 1000,
            channel=channel,
            tool_args=args,
            redacted=redacted,
            digest=decision.digest,
            decided_at=decision.decided_at or now,
        )
        self._log(now, run_id, TraceEventType.APPROVAL_DECIDED, payload)

    @never_raising
    def log_tool_execution_start(self, run_id: str, action: Action) -> None:
        """The tool begins, with exactly these arguments."""
        now = _new(UTC)
        args, redacted = self._shown(run_id, action)
        payload = payloads.ToolExecutionStart(
            action_id=action.id,
            tool_name=action.tool_name,
            tool_args=args,
            redacted=redacted,
            digest=action.digest,
            started_at=now,
        )
        self._log(now, run_id, TraceEventType.TOOL_EXECUTION_START, payload)

    @never_raising
    def log_tool_execution_end(self, run_id: str, result: ToolResult) -> None:
        """The tool is done, or failed. What it returned is not kept."""
        now = _new(UTC)
        payload = payloads.ToolExecutionEnd(
            action_id=result.action_id,
            success=result.success,
            error=self._quotes.cut(run_id, result.action_id, result.error),
            error_class=result.error_class,
            retry_count=result.retry_count,
            execution_time_ms=result.execution_time_ms(),
            finished_at=result.finished_at or now,
        )
        self._log(now, run_id, TraceEventType.TOOL_EXECUTION_END, payload)

    @never_raising
    def log_error(self, run_id: str, error: Exception, context: JsonObject | None = None) -> None:
        """Something failed that is not the tool."""
        cut = partial(self._quotes.cut, run_id, str((context or {}).get("action_id", "")))
        payload = payloads.ErrorHappened(
            error_type=type(error).__name__,
            error_message=cut(payloads.text_of(error)),
            context=cut(context or {}),
        )
        self._log(_new(UTC), run_id, TraceEventType.ERROR, payload)

    def get_events(
        self,
        run_id: str | None = None,
        event_type: TraceEventType | str | None = None,
        limit: int | None = None,
    ) -> list[TraceEvent]:
        """Events in the order in which they were logged, with all that was logged before.

        Args:
            run_id: of this run; None is all runs, the empty string a run of that name.
            event_type: of this type alone.
            limit: the first so many; 0 is none.

        Raises:
            ValueError: there is no such type, or the limit is negative.
            StoreError: they cannot be read, or it is closed.
        """
        types = () if event_type is None else (TraceEventType(event_type),)
        if limit is not None and limit < 0:
            raise ValueError("limit must not be negative")
        run_ids = None if run_id is None else (run_id,)
        events = self._writer.call(
            lambda sink: sink.events(run_ids=run_ids, types=types, limit=limit)
        )
        for event in events:
            _add_hash(event)
        return events

    def get_events_by_run(
        self, run_ids: Iterable[str] | None = None
    ) -> dict[str, list[TraceEvent]]:
        """All events of these runs, each run's in the order in which they were logged.

        It is one reading, however many runs there are, and all of it is in memory then.

        Args:
            run_ids: None is all runs, an empty list none; what is no run is left out.

        Returns:
            The runs in the order of their first events.

        Raises:
            TypeError: one id was given instead of several.
            StoreError: they cannot be read, or it is closed.
        """
        if isinstance(run_ids, str):
            raise TypeError("run_ids takes several ids, as a list, not one id")
        wanted = None if run_ids is None else tuple(run_ids)
        runs: dict[str, list[TraceEvent]] = {}
        for event in self._writer.call(lambda sink: sink.events(run_ids=wanted)):
            _add_hash(event)
            runs.setdefault(event.run_id, []).append(event)
        return runs

    def get_run_metadata(self, run_id: str) -> RunMetadata | None:
        """A run as its first start and its last end tell; None if it has neither.

        Raises:
            StoreError: it cannot be read, or it is closed.
        """
        runs = runs_of(self._writer.call(lambda sink: sink.events(run_ids=(run_id,), types=_RUN)))
        return runs[0] if runs else None

    def get_all_runs(self) -> list[RunMetadata]:
        """All runs, in the order of their starts.

        Raises:
            StoreError: they cannot be read, or it is closed.
        """
        return runs_of(self._writer.call(lambda sink: sink.events(types=_RUN)))

    def flush(self) -> None:
        """Return once all that was logged is written.

        Raises:
            StoreError: it cannot be written, or it is closed.
        """
        self._writer.call(lambda _: None)

    def close(self) -> None:
        """Write what is left, and let go of file or connection. Closing twice is harmless."""
        self._writer.close()

    def note_failure(self, error: Exception) -> None:
        """Count an event that could not be made, and tell of it."""
        self._writer.fail(error)

    def _shown(self, run_id: str, action: Action) -> tuple[JsonObject, tuple[str, ...]]:
        """The arguments without what is redacted, which texts about this call lose as well."""
        args, redacted = self._redactor.shown(action.tool_name, action.tool_args)
        if redacted:
            self._quotes.note(run_id, action.id, action.tool_args, redacted)
        return args, redacted

    def _log(self, now: datetime, run_id: str, event_type: TraceEventType, payload: Struct) -> None:
        self._put(payloads.line_of(payloads.Line(now, run_id, event_type, payload)))


_RUN = (TraceEventType.RUN_START, TraceEventType.RUN_END)


def _open(address: str) -> Sink:
    scheme, colon, _ = address.partition("://")
    if colon and scheme in ("postgres", "postgresql"):
        from sayso.telemetry.postgres import PostgresSink  # its driver is an extra

        return PostgresSink(address)
    if colon:
        raise ConfigurationError(
            f"There is no trace at addresses that begin with {scheme!r}.",
            hint="Name a SQLite file, a file NAME.jsonl, or postgresql://USER:PASSWORD@HOST/DATABASE.",
        )
    if address.endswith((".jsonl", ".ndjson")):
        return JsonLinesSink(address)
    return SqliteSink(address)


def _lost_line(count: int) -> bytes:
    payload = payloads.ErrorHappened(
        error_type="EventsLost",
        error_message=f"{count} events were lost before this one",
        context={"lost": count},
    )
    return payloads.line_of(payloads.Line(_new(UTC), "", TraceEventType.ERROR, payload))


def _warn_of_second_start(sink: Sink, run_id: str, at: datetime) -> None:
    first = sink.events(run_ids=(run_id,), types=(TraceEventType.RUN_START,), limit=1)
    if first and first[0].timestamp != at:
        log.warning("run %r was started again: both are kept, the first one counts", run_id)


def _warn_of_unknown(sink: Sink, run_id: str) -> None:
    if not sink.events(run_ids=(run_id,), types=(TraceEventType.RUN_START,), limit=1):
        log.warning("run %r was ended, but never started: its end is kept", run_id)


def _add_hash(event: TraceEvent) -> None:
    payload = event.payload
    if event.event_type is TraceEventType.ACTION_PROPOSED and "args_hash" not in payload:
        payload["args_hash"] = sha256(canonical_json(payload["tool_args"])).hexdigest()[:16]
