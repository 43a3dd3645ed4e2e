"""Asks whoever sits at the terminal: yes, no, or yes with other arguments."""

import asyncio
import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from importlib import import_module
from pathlib import Path
from typing import Any

from sayso import codec
from sayso.backends.shown import Line, difference, lines, shown_args
from sayso.backends.terminal import (
    TERMINAL,
    DescriptorReader,
    FunctionReader,
    Reader,
    Stop,
    StoppedError,
    Turns,
    ctrl_c,
)
from sayso.domain.approvals import ApprovalRequest
from sayso.domain.decisions import Channel, Decision
from sayso.errors import InvalidAnswerError, SaysoError
from sayso.gate.ports import ApprovalBackend, ApprovalCancelledError, ApprovalError
from sayso.types import JsonObject
from sayso.visible import spelled

try:
    from rich.console import Console
    from rich.text import Text
except ImportError:  # the base install prints without colours
    Console = Text = None

_QUESTION = "Approve this action? [y]es [n]o [e]dit: "
_REASON = "Reason (optional, press Enter to skip): "
_ARGUMENTS = "All arguments as JSON, on one line (Enter leaves them as they are): "
_EDITED = "Run it with these arguments? [y]es [n]o [e]dit again: "
_REFUSED = "Nothing is approved. [e]dit again (anything else is a no): "
_END_SECONDS = 5.0


class CLIBackend(ApprovalBackend):
    """Asks at the terminal, or wherever the two functions lead.

    Answers may be piped in; where they end, that is a no. Several requests at once are asked one
    after the other. Ctrl-C calls off those that are asked.

    Args:
        auto_approve: say yes without asking.
        auto_approve_delay_ms: how long that takes.
        timeout_seconds: for the whole dialogue, from when the question is shown; 0: any.
        input_func: gives a line of input, or raises EOFError. Default: standard input.
        output_func: shows a text. Default: prints, in colours where rich is installed.
        editor: the command that edits arguments in a file. Default: `$VISUAL` or `$EDITOR`; without
            one, and without a terminal, they are typed as JSON.
        decided_by: who sits there, for the record.
    """

    def __init__(
        self,
        auto_approve: bool = False,
        auto_approve_delay_ms: float = 0.0,
        timeout_seconds: float = 0.0,
        input_func: Callable[[], str] | None = None,
        output_func: Callable[[str], None] | None = None,
        *,
        editor: str | None = None,
        decided_by: str = "cli:human",
    ) -> None:
        self.auto_approve = auto_approve
        self.auto_approve_delay_ms = auto_approve_delay_ms
        self.timeout_seconds = timeout_seconds
        self.decided_by = decided_by
        self._input = FunctionReader(input_func) if input_func is not None else None
        self._output = output_func
        self._editor = editor
        self._turns = TERMINAL if input_func is None else Turns()

    async def request_approval(self, request: ApprovalRequest) -> Decision:
        """What the person says; when time is up, no.

        Raises:
            ApprovalCancelledError: they pressed Ctrl-C.
            ApprovalError: nobody could be asked.
        """
        if self.auto_approve:
            if self.auto_approve_delay_ms > 0:
                await asyncio.sleep(self.auto_approve_delay_ms / 1000)
            return _decision(request, True, "Auto-approved", "cli:auto", 0.0)
        stop = Stop()
        said: Future[Decision] = Future()
        said.set_running_or_notify_cancel()  # ends when the dialogue does, not when it is cancelled
        work = (request, stop, said)
        thread = threading.Thread(
            target=self._in_thread, args=work, name="sayso-console", daemon=True
        )
        with ctrl_c(stop):
            thread.start()
            try:
                return await asyncio.wrap_future(said)
            except asyncio.CancelledError:
                stop.set("cancelled")
                raise
            finally:
                thread.join(_END_SECONDS)  # the terminal is free at once, for whoever is next
                if not thread.is_alive():
                    stop.close()

    def _in_thread(self, request: ApprovalRequest, stop: Stop, said: Future[Decision]) -> None:
        try:
            with self._turns.mine(stop):
                said.set_result(self._ask(request, stop))
        except StoppedError:
            said.set_exception(ApprovalCancelledError("User cancelled approval"))
        except Exception as error:  # noqa: BLE001  whatever it is, nobody said yes
            wrapped = ApprovalError(f"Nobody could be asked: {type(error).__name__}: {error}")
            wrapped.__cause__ = error
            said.set_exception(wrapped)

    def _ask(self, request: ApprovalRequest, stop: Stop) -> Decision:
        began = time.monotonic()
        deadline = began + self.timeout_seconds if self.timeout_seconds > 0 else None
        reader = self._input or _standard_input()
        talk = _Talk(reader, self._output, stop, deadline)
        reader.forget()
        try:
            talk.show(lines(request, talk.width))
            approved, args = self._choose(request, talk)
            reason = "" if talk.ended else (talk.ask(_REASON) or "").strip()
        except StoppedError as error:
            reader.forget()
            talk.show([("", "")])
            if error.why != "timeout":
                raise
            why = f"Timeout after {self.timeout_seconds}s"
            talk.show([(f"{why}: not approved.", "yellow")])
            return _decision(request, False, why, "cli:timeout", time.monotonic() - began)
        reason = reason or ("Approved" if approved else "Rejected")
        took = time.monotonic() - began
        return _decision(request, approved, reason, self.decided_by, took, args)

    def _choose(self, request: ApprovalRequest, talk: "_Talk") -> tuple[bool, JsonObject | None]:
        """Yes or no, and the arguments if they were changed."""
        before = request.action.tool_args
        args, question = before, _QUESTION
        while True:
            match (talk.ask(question) or "").strip().casefold() if not talk.ended else "n":
                case "e" | "edit":
                    edited = self._edited(request, args, talk)
                    args = before if edited is None else edited
                    if edited is None and not talk.reader.is_terminal:
                        question = _REFUSED  # the lines that wait there were meant for the edit
                    else:
                        question = _QUESTION if args is before else _EDITED
                case "y" | "yes" if question is not _REFUSED:
                    return True, None if args is before else args
                case said if said in ("n", "no") or question is _REFUSED:
                    return False, None
                case _:
                    if not talk.ended:
                        talk.show([("Please answer y, n or e.", "")])

    def _edited(
        self, request: ApprovalRequest, args: JsonObject, talk: "_Talk"
    ) -> JsonObject | None:
        """The arguments as the person wants them, shown against what was asked; None: no edit.

        What was typed before that was shown answers none of it.
        """
        before = request.action.tool_args
        try:
            text = self._typed(args, talk)
            new = codec.decode(dict[str, Any], text) if text.strip() else args
            same = request.action.with_args(new).digest == request.action.digest
            _check_fits(new, request.action.args_schema)
        except SaysoError as error:
            talk.show([(f"Not taken: {spelled(error.detail)}", "red")])
            talk.reader.forget()
            return None
        if same:
            talk.show([("Nothing is changed.", "")])
        else:
            talk.show([("Changed:", "bold"), *difference(before, new, talk.width)])
        talk.reader.forget()
        return before if same else new

    def _typed(self, args: JsonObject, talk: "_Talk") -> str:
        editor = self._editor or os.environ.get("VISUAL") or os.environ.get("EDITOR")
        reader = talk.reader
        if editor and isinstance(reader, DescriptorReader) and reader.is_terminal:
            return _in_editor(editor, shown_args(args), reader, talk)
        return talk.ask(_ARGUMENTS) or ""


class _Talk:
    """One dialogue: what is shown, and what is answered in time."""

    def __init__(
        self,
        reader: Reader,
        output: Callable[[str], None] | None,
        stop: Stop,
        deadline: float | None,
    ) -> None:
        self.reader = reader
        self.stop = stop
        self.deadline = deadline
        self.ended = False
        """Whether the input has ended."""
        self.width = shutil.get_terminal_size((80, 24)).columns - 1
        self._output = output

    def show(self, told: Sequence[Line]) -> None:
        if self._output is not None:
            self._output("\n".join(line for line, _ in told))
        elif Console is None or Text is None:
            print("\n".join(line for line, _ in told), flush=True)  # noqa: T201  it is a console
        else:
            console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
            for line, style in told:
                console.print(Text(line, style=style))

    def ask(self, question: str) -> str | None:
        if self._output is not None:
            self._output(question)
        else:
            print(question, end="", flush=True)  # noqa: T201  it is a console
        line = self.reader.line(self.stop, self.deadline)
        if self._output is None and not self.reader.is_terminal:  # nobody's Enter ends the line
            print(flush=True)  # noqa: T201  the same
        self.ended = self.ended or line is None
        return line


def _decision(
    request: ApprovalRequest,
    approved: bool,
    reason: str,
    decided_by: str,
    took: float,
    args: JsonObject | None = None,
) -> Decision:
    return Decision(
        action_id=request.action.id,
        approved=approved,
        args=args if approved else None,
        reason=reason,
        decided_by=decided_by,
        channel=Channel.CONSOLE,
        took_seconds=took,
    )


def _check_fits(args: JsonObject, schema: JsonObject | None) -> None:
    """Refuse an edit that whoever runs the action would refuse; they check it in any case.

    Raises:
        InvalidAnswerError: it does not fit the tool's schema.
    """
    if schema is None:
        return
    try:
        checks = import_module("jsonschema_rs")
    except ImportError:
        return
    error = next(iter(checks.validator_for(schema).iter_errors(args)), None)
    if error is not None:
        raise InvalidAnswerError(f"It does not fit the tool: {error.message}.")


def _standard_input() -> Reader:
    """Standard input; where that is no file, as in a notebook, whatever `input` is there."""
    try:
        return DescriptorReader(sys.stdin.fileno())
    except (OSError, ValueError, AttributeError):
        return FunctionReader(input)


def _in_editor(command: str, text: str, reader: DescriptorReader, talk: _Talk) -> str:
    """What an editor makes of `text`; the text itself if it fails.

    Raises:
        StoppedError: it was called off, or time is up; then the editor was ended.
    """
    with tempfile.TemporaryDirectory(prefix="sayso-") as folder, _kept_as_it_is(reader.descriptor):
        file = Path(folder, "arguments.json")
        file.write_text(f"{text}\n", encoding="utf-8")
        talk.stop.deaf = True
        try:
            words = [*shlex.split(command), str(file)]
            with subprocess.Popen(words, stdin=reader.descriptor) as editor:  # noqa: S603  theirs
                try:
                    while editor.poll() is None:
                        talk.stop.check(talk.deadline)
                        with contextlib.suppress(subprocess.TimeoutExpired):
                            editor.wait(0.05)
                except StoppedError:
                    editor.kill()
                    raise
        except OSError as error:
            talk.show([(f"The editor cannot be started: {error}", "red")])
            return talk.ask(_ARGUMENTS) or ""
        finally:
            talk.stop.deaf = False
        if editor.returncode != 0:
            talk.show([(f"The editor ended with status {editor.returncode}.", "red")])
            return text
        return file.read_text(encoding="utf-8", errors="replace")


@contextlib.contextmanager
def _kept_as_it_is(terminal: int) -> Generator[None]:
    """An editor that was killed may leave the terminal without echo."""
    before = termios.tcgetattr(terminal)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
