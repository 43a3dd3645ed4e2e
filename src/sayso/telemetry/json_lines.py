"""A trace as a text file: one event a line, only ever appended to, by several processes at once."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from sayso.domain.traces import TraceEvent, TraceEventType
from sayso.errors import StoreError

_decode = msgspec.json.Decoder(TraceEvent).decode


class JsonLinesSink:
    """Events as lines of JSON.

    A batch is one `write` to a file opened for appending, so the lines of several processes do not
    get mixed. A line that was torn by a crash or a full disk is ended before the next one.

    Raises:
        StoreError: the file cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            size = os.fstat(self._file).st_size
            self._is_torn = size > 0 and os.pread(self._file, 1, size - 1) != b"\n"
        except OSError as error:
            raise self._failed("opened", error) from error

    def write(self, lines: list[bytes]) -> None:
        """Append them; of a batch that does not fit on the disk, the part that does."""
        left = b"\n" * self._is_torn + b"\n".join(lines) + b"\n"
        before = self._is_torn
        written = 0
        try:
            while written < len(left):
                written += os.write(self._file, left[written:])
        except OSError as error:
            kept = left[:written]
            if kept:
                self._is_torn = not kept.endswith(b"\n")
                del lines[: kept.count(b"\n") - before]
            raise self._failed("written", error) from error
        self._is_torn = False

    def events(
        self,
        *,
        run_ids: Sequence[str] | None = None,
        types: Sequence[TraceEventType] = (),
        limit: int | None = None,
    ) -> list[TraceEvent]:
        """By reading the whole file; what is no event, such as a torn line, is passed over."""
        try:
            data = Path(self._path).read_bytes()
        except OSError as error:
            raise self._failed("read", error) from error
        wanted = None if run_ids is None else frozenset(run_ids)
        sign = b"" if wanted is None or len(wanted) != 1 else msgspec.json.encode(*wanted)
        found: list[TraceEvent] = []
        for line in _lines_with(sign, data):
            if limit is not None and len(found) >= limit:
                break
            try:
                event = _decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue
            if wanted is not None and event.run_id not in wanted:
                continue
            if not types or event.event_type in types:
                found.append(event)
        return found

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def _failed(self, what: str, error: OSError) -> StoreError:
        return StoreError(
            f"The trace {self._path!r} cannot be {what}: {error.strerror}.",
            hint="Check the folder, the permissions, and the space on the disk.",
        )


def _lines_with(sign: bytes, data: bytes) -> Iterator[bytes]:
    """The lines in which it stands, without a look at the others."""
    end = 0
    while (place := data.find(sign, end)) >= 0 and end < len(data):
        begin = data.rfind(b"\n", end, place) + 1 or end
        end = data.find(b"\n", place) + 1 or len(data)
        yield data[begin:end]
