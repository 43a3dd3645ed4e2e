"""`sayso ask`: a question from a script, the answer on stdout, yes or no in the exit status."""

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from sayso.cli import terminal, views
from sayso.cli.remote import Remote
from sayso.cli.terminal import AsJson, parse_object, read_file
from sayso.cli.waiting import wait_for
from sayso.client import Submission
from sayso.errors import UsageError
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
    on_timeout: Literal["expire", "reject", "park"] | None = None,
    priority: Literal["low", "normal", "high", "urgent"] | None = None,
    metadata: str | None = None,
    facts: str | None = None,
    rule: str | None = None,
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
        on_timeout: What silence means. Default: it expires; park: it waits without a deadline.
        priority: How much it hurries.
        metadata: What to show beside it, a JSON object.
        facts: What holds now, a JSON object; compared with what holds when the grant is claimed.
        rule: How strictly to review it, at least: a JSON object, as {"approvals": 2}.
        as_json: Print JSON.
        remote: Where the server is.
    """
    if not message.strip():
        raise UsageError("The question is empty.", hint='Write it like: sayso ask "May I?"')
    fields: Submission = {
        "kind": "input" if input or schema else None,
        "options": option or None,
        "action": _action(tool, args, risk, rationale),
        "schema": parse_object(read_file(schema), "--schema") if schema else None,
        "session_id": session,
        "client_id": client,
        "on_timeout": on_timeout,
        "priority": priority,
        "metadata": parse_object(metadata, "--metadata") if metadata else None,
        "facts": parse_object(facts, "--facts") if facts else None,
        "rule": parse_object(rule, "--rule") if rule else None,
    }
    if timeout is not None:
        fields["timeout_seconds"] = timeout
    with remote.client() as server:
        request = wait_for(server, server.submit(message, **fields))
    if as_json:
        terminal.print_json(request)
    else:
        print(views.answer(request))
    return YES if request.approved else NO


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
    return {"tool_name": tool, "tool_args": parse_object(args or "{}", "--args"), **action}
