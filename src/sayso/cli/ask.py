"""`sayso ask`: a question from a script, the answer on stdout, yes or no in the exit status."""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from cyclopts import Parameter
from cyclopts.validators import Number

from sayso.cli import terminal, views
from sayso.cli.remote import Remote
from sayso.cli.terminal import AsJson, parse_json
from sayso.client import Client, Submission
from sayso.domain.requests import Request
from sayso.errors import BackendError, RefusedError, UsageError
from sayso.types import JsonObject

YES, NO = 0, 1
_HERE = Remote()


def ask(
    message: str,
    /,
    *,
    option: Annotated[list[str] | None, Parameter(negative="")] = None,
    input: Annotated[bool, Parameter(negative="")] = False,  # noqa: A002
    tool: str | None = None,
    args: str | None = None,
    risk: Literal["low", "medium", "high"] | None = None,
    rationale: str | None = None,
    schema: Path | None = None,
    timeout: Annotated[float | None, Parameter(validator=Number(gt=0))] = None,
    session: str | None = None,
    client: str | None = None,
    priority: Literal["low", "normal", "high", "urgent"] | None = None,
    metadata: str | None = None,
    as_json: AsJson = False,
    remote: Remote = _HERE,
) -> int:
    """Ask a person, wait, print the answer.

    The exit status is 0 if it was approved, 1 if not (rejected, expired, cancelled, an option
    that refuses), 2 if something went wrong. Ctrl-C withdraws the question.

    Args:
        message: The question.
        option: An answer to choose from; give it several times.
        input: Ask for words instead of a yes.
        tool: The tool that will run.
        args: Its arguments, a JSON object.
        risk: How much damage it can do.
        rationale: Why it should run.
        schema: A file with a flat JSON Schema: ask for a form.
        timeout: Seconds after which the question expires. Default: the server's, 300.
        session: The session it belongs to.
        client: Who asks.
        priority: How much it hurries.
        metadata: Facts to show beside it, a JSON object.
        as_json: Print JSON.
        remote: Where the server is.
    """
    if not message.strip():
        raise UsageError("The question is empty.", hint='Write it like: sayso ask "May I?"')
    fields: Submission = {
        "kind": "input" if input or schema else None,
        "options": option or None,
        "action": _action(tool, args, risk, rationale),
        "schema": _object(_read(schema), "--schema") if schema else None,
        "session_id": session,
        "client_id": client,
        "priority": priority,
        "metadata": _object(metadata, "--metadata") if metadata else None,
    }
    if timeout is not None:
        fields["timeout_seconds"] = timeout
    with remote.client() as server:
        request = _wait(server, server.submit(message, **fields))
    if as_json:
        terminal.print_json(request)
    else:
        print(views.answer(request))
    return YES if request.approved else NO


def _wait(server: Client, request: Request) -> Request:
    try:
        if not sys.stderr.isatty():
            return server.wait(request.id)
        screen = terminal.error_console()
        screen.print(f"Decide at {server.base_url}/requests/{request.id}", soft_wrap=True)
        with screen.status("Waiting for a decision; Ctrl-C withdraws the question"):
            return server.wait(request.id)
    except KeyboardInterrupt:
        print(_withdrawn(server, request), file=sys.stderr)
        raise


def _withdrawn(server: Client, request: Request) -> str:
    """Take the question back, and say what became of it."""
    try:
        server.cancel(request.id, "The one who asked no longer waits.")
    except RefusedError:
        return "It was decided in this moment."
    except BackendError:
        return f"The server cannot be reached: the question {request.id} may still be open."
    return "The question is withdrawn."


def _action(
    tool: str | None, args: str | None, risk: str | None, rationale: str | None
) -> JsonObject | None:
    if tool is None:
        if args is not None or risk is not None or rationale is not None:
            raise UsageError(
                "--args, --risk and --rationale describe a tool, and none is named.",
                hint="Name it with: --tool NAME",
            )
        return None
    given: dict[str, Any] = {"risk_class": risk, "rationale": rationale}
    action = {name: value for name, value in given.items() if value is not None}
    return {"tool_name": tool, "tool_args": _object(args or "{}", "--args"), **action}


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{str(path)!r} cannot be read: {error}.") from error


def _object(text: str, option: str) -> JsonObject:
    value = parse_json(text, option)
    if not isinstance(value, dict):
        raise UsageError(f"{option} is not a JSON object.", hint='Write it like {"name": 1}.')
    return cast("JsonObject", value)
