"""The thread that writes: whoever logs only appends to a queue, and goes on."""

import atexit
import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from sayso.errors import StoreError
from sayso.telemetry.base import Sink

T = TypeVar("T")

LINGER_SECONDS = 0.05
"""How long an event may wait for others that are written together with it."""
MOST_QUEUED = 50_000
MOST_BYTES = 64 * 2**20
"""What may wait for the sink, twice: in the queue, and in the batch that is being tried."""
PATIENCE_SECONDS = 0.25
"""How long somebody who logs waits for room, once; after that events are lost until there is."""
CLOSE_SECONDS = 5.0
"""How long the last events are tried to be written when the sink fails at the end."""
_CHUNK = 2_000
_CHUNK_BYTES = 4 * 2**20
_LONGEST_PAUSE = 5.0

log = logging.getLogger("sayso.telemetry")


class Writer:
    """Writes lines to a sink in the background, in order, many in a transaction.

    Each process that was forked writes for itself, with a sink of its own.

    Args:
        make_sink: opens the sink, in the thread that will use it.
        lost_line: makes the line that stands where events were lost, of their number.

    Raises:
        ConfigurationError: the sink cannot be used.
        StoreError: it cannot be reached.
    """

    def __init__(self, make_sink: Callable[[], Sink], lost_line: Callable[[int], bytes]) -> None:
        self._make_sink = make_sink
        self._lost_line = lost_line
        self.errors = 0
        """How often the sink failed."""
        self.lost = 0
        """How many events were lost."""
        self._reset()
        opened: Future[None] = Future()
        self._start(opened)
        opened.result()

    def put(self, line: bytes) -> None:
        """Have it written; costs no more than an append, as long as there is room."""
        queue = self._queue
        if (len(queue) >= MOST_QUEUED or self._bytes >= MOST_BYTES) and not self._is_there_room():
            self._lose(1)
            return
        queue.append(line)
        self._bytes += len(line)
        if self._is_idle:
            self._ring()

    def fail(self, error: Exception) -> None:
        """An event could not even be made."""
        self.errors += 1
        log.error("an event is lost: %s", error)
        self._lose(1)

    def call(self, work: Callable[[Sink], T]) -> T:
        """What `work` makes of the sink, once all is written that was put before.

        Raises:
            StoreError: it is closed, or what was put before cannot be written.
        """
        future: Future[T] = Future()
        self._add_job(work, future)
        return future.result()

    def tell(self, work: Callable[[Sink], None]) -> None:
        """As `call`, but nobody waits for it, and it is not done if the sink fails.

        So it is done with the next batch, and does not wake the thread for itself.
        """
        self._add_job(work, None)

    def close(self, *, waits: bool = True) -> None:
        """Write what is queued, then let go of the sink; what comes later is lost.

        Args:
            waits: until that is done; else it is done in the background.
        """
        with self._lock:
            self._is_closing = True
            thread = self._thread
        self._bell.set()
        if waits and thread is not None and thread is not threading.current_thread():
            thread.join()

    def forget(self) -> None:
        """In a process that was forked: the thread, the queue and the sink are the parent's."""
        if not self._is_closing:
            self._reset()

    def _reset(self) -> None:
        self._queue: deque[bytes] = deque()
        self._jobs: deque[tuple[Callable[[Sink], Any], Future[Any] | None]] = deque()
        self._batch: list[bytes] = []
        self._bytes = 0
        self._bell = threading.Event()
        self._lock = threading.RLock()  # a logger may be collected while its thread holds it
        self._thread: threading.Thread | None = None
        self._pause = 0.0
        self._gap = 0
        self._is_idle = True
        self._is_awaited = False
        self._is_closing = False

    def _start(self, opened: Future[None] | None) -> None:
        _writers.add(self)
        self._thread = threading.Thread(
            target=self._run, args=(opened,), name="sayso-telemetry", daemon=True
        )
        self._thread.start()

    def _add_job(self, work: Callable[[Sink], Any], future: Future[Any] | None) -> None:
        self._is_awaited |= future is not None
        self._jobs.append((work, future))
        if future is not None or self._is_idle:
            self._ring()
        if self._is_closing and (self._thread is None or not self._thread.is_alive()):
            self._end_jobs(StoreError("The telemetry is closed.", hint="Make another."))

    def _ring(self) -> None:
        """Wake the thread; after a fork there is none, and after the end there will be none."""
        self._is_idle = False
        if self._thread is None or self._is_closing:
            with self._lock:
                if self._thread is None and not self._is_closing:
                    _flush_at_the_end_of_a_child()
                    self._start(None)
                elif self._thread is None:
                    self._is_idle = True
                    self._lose_what_is_left()
        self._bell.set()

    def _is_there_room(self) -> bool:
        """Wait for it, unless the sink fails or somebody has waited in vain just now."""
        if self._gap or self._pause or self._is_closing:
            return False
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            time.sleep(0.001)
            if len(self._queue) < MOST_QUEUED and self._bytes < MOST_BYTES:
                return True
        return False

    def _lose(self, count: int) -> None:
        with self._lock:
            self.lost += count
            self._gap += count
            is_first = self._gap == count
        if is_first:
            log.warning("events are lost: they come faster than they can be written")

    def _lose_what_is_left(self) -> None:
        count = len(self._batch)
        self._batch, self._bytes = [], 0
        while self._queue:
            self._queue.popleft()
            count += 1
        if count:
            self.lost += count
            log.error("%d events are lost: the telemetry is closed", count)

    def _run(self, opened: Future[None] | None) -> None:
        try:
            sink = self._make_sink()
        except BaseException as error:  # noqa: BLE001  whoever waits is told
            with self._lock:
                self._is_closing, self._thread = True, None
                _writers.discard(self)
                self.errors += 1
                self._is_idle = True
                self._lose_what_is_left()
            self._end_jobs(error)
            if opened is None:
                log.error("the trace cannot be opened: %s", error)
            else:
                opened.set_exception(error)
            return
        if opened is not None:
            opened.set_result(None)
        while not self._is_closing:
            self._rest()
            try:
                self._work(sink)
            except Exception:
                self.errors += 1
                log.exception("the telemetry failed, and goes on")
        self._finish(sink)

    def _rest(self) -> None:
        """Until there is something to do, and a moment longer, so that more is done at once."""
        if self._pause:
            self._bell.wait(self._pause)
            self._bell.clear()
            return
        self._is_idle = True
        if not (self._queue or self._jobs or self._is_closing):
            self._bell.wait()
        self._bell.clear()
        self._is_idle = False
        if not (self._is_awaited or self._is_closing):
            self._bell.wait(LINGER_SECONDS)
            self._bell.clear()
        self._is_awaited = False

    def _work(self, sink: Sink) -> None:
        jobs = [self._jobs.popleft() for _ in range(len(self._jobs))]
        failure = self._write(sink, len(self._queue))
        for work, future in jobs:
            try:
                if failure is not None:
                    raise failure
                result = work(sink)
            except BaseException as error:  # noqa: BLE001  whoever waits is told
                if future is not None:
                    future.set_exception(error)
            else:
                if future is not None:
                    future.set_result(result)

    def _write(self, sink: Sink, count: int) -> StoreError | None:
        """Write the batch that is left and so many of the queue; what hinders that."""
        while self._batch or count > 0:
            if not self._batch:
                count -= self._fill()
            try:
                sink.write(self._batch)
                self._batch = []
            except StoreError as error:
                if not self._pause:
                    log.error("the trace is not written now: %s", error)
                self.errors += 1
                self._pause = min(_LONGEST_PAUSE, 2 * self._pause or LINGER_SECONDS)
                return error
            except Exception:  # noqa: BLE001  as the port says
                self._write_each(sink)
            else:
                self._note_success()
        return None

    def _note_success(self) -> None:
        if self._pause:
            log.warning("the trace is written again")
            self._pause = 0.0
        if self._gap:
            self._tell_gap()

    def _fill(self) -> int:
        """Take a batch from the queue; how many events that is."""
        queue, batch, size = self._queue, self._batch, 0
        while queue and len(batch) < _CHUNK and size < _CHUNK_BYTES:
            line = queue.popleft()
            batch.append(line)
            size += len(line)
        self._bytes = max(0, self._bytes - size) if queue else 0  # threads add to it unguarded
        return len(batch)

    def _write_each(self, sink: Sink) -> None:
        """One of the batch cannot be kept; find out which, so that it is lost alone."""
        lines, self._batch = self._batch, []
        while lines:
            one = [lines[0]]
            try:
                sink.write(one)
            except StoreError:
                self._batch = lines
                return
            except Exception as error:  # noqa: BLE001  as the port says
                self.errors += 1
                self.lost += 1
                log.error("an event is lost: it cannot be kept: %s: %.200r", error, lines[0])
            del lines[0]

    def _tell_gap(self) -> None:
        with self._lock:
            gap, self._gap = self._gap, 0
        log.warning("%d events were lost; the trace tells where", gap)
        self._queue.append(self._lost_line(gap))

    def _finish(self, sink: Sink) -> None:
        until = time.monotonic() + CLOSE_SECONDS
        while True:
            self._work(sink)
            if not (self._queue or self._batch or self._jobs) or time.monotonic() > until:
                break
            if self._pause:
                time.sleep(0.1)
        with self._lock:
            self._thread, self._is_idle = None, True
            self._lose_what_is_left()
        self._end_jobs(StoreError("The telemetry is closed.", hint="Make another."))
        _writers.discard(self)
        try:
            sink.close()
        except Exception as error:  # noqa: BLE001  there is nobody to raise it to
            self.errors += 1
            log.error("the trace cannot be closed: %s", error)

    def _end_jobs(self, error: BaseException) -> None:
        while self._jobs:
            try:
                _, future = self._jobs.popleft()
            except IndexError:
                return
            if future is not None:
                future.set_exception(error)


_writers: set[Writer] = set()
"""Those that are not closed."""


def _close_all() -> None:
    for writer in tuple(_writers):
        writer.close()


def _forget_all() -> None:
    for writer in tuple(_writers):
        writer.forget()
    _writers.clear()


def _flush_at_the_end_of_a_child() -> None:
    """What multiprocessing has forked ends without the interpreter's own last steps."""
    util: Any = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.Finalize(None, _close_all, exitpriority=1)


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
