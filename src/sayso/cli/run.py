"""`sayso run`: ask, wait, claim, run a command, report; the shell's `client.run`."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from sayso.cli import terminal, views
from sayso.cli.remote import Remote
from sayso.cli.terminal import AsJson, complain, parse_object, visible
from sayso.cli.waiting import wait_for
from sayso.client import Submission
from sayso.domain.actions import digest_of
from sayso.errors import SaysoError, UsageError
from sayso.types import JsonObject

NOT_APPROVED = 77  # EX_NOPERM of sysexits.h
NOT_EXECUTABLE, NOT_FOUND = 126, 127  # as shells have it
_REPORT_SECONDS = 30.0
_LONGEST_MESSAGE = 200
_SCHEMA: JsonObject = {
    "type": "object",
    "properties": {
        "command": {"type": "array", "items": {"type": "string"}, "minItems": 1},
        "directory": {"type": "string", "minLength": 1},
    },
    "required": ["command", "directory"],
    "additionalProperties": False,
}
_HERE = Remote()


def run(
    *command: str,
    message: str | None = None,
    tool: str = "run",
    risk: Literal["low", "medium", "high"] | None = None,
    rationale: str = "",
    timeout: Annotated[float | None, Parameter(validator=Number(gt=0))] = None,
    session: str | None = None,
    client: str | None = None,
    priority: Literal["low", "normal", "high", "urgent"] | None = None,
    rule: str | None = None,
    as_json: AsJson = False,
    remote: Remote = _HERE,
) -> int:
    """Ask a person, then run a command: exactly what was approved, once.

    The words of the command and the directory are what is approved; a person may change both,
    and then that runs. No shell is between. The exit status is the command's, or 77 if it was
    not approved, 125 if something went wrong before it ran, 126 or 127 if it cannot be run.

    Args:
        command: What to run, after --, as in: sayso run -- git push origin main
        message: The question. Default: the command.
        tool: The tool's name, by which review rules find it.
        risk: How much damage it can do.
        rationale: Why it should run.
        timeout: Seconds after which the question expires. Default: the server's, 300.
        session: The session it belongs to.
        client: Who asks.
        priority: How much it hurries.
        rule: How strictly to review it, at least: a JSON object, as {"approvals": 2}.
        as_json: Print the request as JSON on stderr when it is over.
        remote: Where the server is.
    """
    if not command:
        raise UsageError("Which command?", hint="Write it like: sayso run -- git push")
    arguments: JsonObject = {"command": list(command), "directory": str(Path.cwd())}
    if not _is_there(arguments):
        complain(f"There is no program {command[0]!r}, so nobody was asked.")
        return NOT_FOUND
    action: JsonObject = {
        "tool_name": tool,
        "tool_args": arguments,
        "args_schema": _SCHEMA,
        "rationale": rationale,
        "risk_class": risk,
    }
    fields: Submission = {
        "action": action,
        "session_id": session,
        "client_id": client,
        "priority": priority,
        "rule": parse_object(rule, "--rule") if rule else None,
    }
    if timeout is not None:
        fields["timeout_seconds"] = timeout
    with remote.client() as server:
        asked = server.submit(message or f"Run {_shown(command)}?", **fields)
        request = wait_for(server, asked)
        approved = request.arguments
        if approved is None:
            complain(f"Not run: {views.answer(request)}")
            status = NOT_APPROVED
        else:
            if approved != arguments and sys.stderr.isatty():
                complain(f"Changed by the reviewer: {terminal.json_text(approved)}")
            server.claim(request.id, digest_of(tool, approved))
            status, outcome = _execute(approved)
            _report(remote, request.id, outcome)
        if as_json:
            print(terminal.json_text(server.get(request.id)), file=sys.stderr)
    return status


def _execute(arguments: JsonObject) -> tuple[int, dict[str, Any]]:
    """Run it to its end; its exit status, and what to report of it."""
    try:
        with _signals() as children:
            child = subprocess.Popen(arguments["command"], cwd=arguments["directory"])  # noqa: S603  approved
            children.append(child)
            ended = child.wait()
    except (OSError, ValueError) as error:
        complain(f"It cannot be run: {error}.")
        status = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
        return status, {"status": "failed", "error": f"It cannot be run: {error}."}
    if ended == 0:
        return 0, {"status": "succeeded", "result": {"exit_status": 0}}
    if ended < 0:
        name = signal.Signals(-ended).name
        return 128 - ended, {"status": "failed", "error": f"ended by {name}"}
    return ended, {"status": "failed", "error": f"exit status {ended}"}


@contextmanager
def _signals() -> Generator[list[subprocess.Popen[bytes]]]:
    """Live as long as the children do, to report how they ended.

    A terminal's Ctrl-C comes to them by itself; what is sent to us alone is passed on.
    """
    children: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, _: FrameType | None) -> None:
        for child in children:
            child.send_signal(number)

    def leave_it(number: int, _: FrameType | None) -> None:
        pass

    wanted = {signal.SIGINT: leave_it, signal.SIGTERM: pass_on, signal.SIGHUP: pass_on}
    before = {number: signal.getsignal(number) for number in wanted}
    for number, handler in wanted.items():
        if before[number] is not signal.SIG_IGN:
            signal.signal(number, handler)
    try:
        yield children
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _report(remote: Remote, request_id: str, outcome: dict[str, Any]) -> None:
    """Tell what became of it; if that fails, what was done is done all the same."""
    try:
        with remote.client(retry_seconds=_REPORT_SECONDS) as server:
            server.report(request_id, **outcome)
    except SaysoError as error:
        complain(
            f"It has run, but its outcome could not be told: {error.detail}",
            f"Tell it with: {terminal.program()} report {request_id} {outcome['status']}",
        )


def _is_there(arguments: JsonObject) -> bool:
    program = str(arguments["command"][0])
    if os.sep in program:
        program = str(Path(arguments["directory"], program))
    return shutil.which(program) is not None


def _shown(command: tuple[str, ...]) -> str:
    text = visible(shlex.join(command))
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]} ..."
