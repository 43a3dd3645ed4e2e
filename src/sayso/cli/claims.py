"""`sayso claim`, `report` and `reopen`: an agent's part after the decision, for shell scripts."""

from typing import Annotated, Literal

from cyclopts import Parameter

from sayso.cli import terminal, views
from sayso.cli.ask import NO, YES
from sayso.cli.remote import Remote, full_id
from sayso.cli.terminal import AsJson, complain_of, parse_json, parse_object
from sayso.cli.waiting import wait_for
from sayso.client.running import check_approved
from sayso.domain.actions import digest_of
from sayso.errors import InvalidTransitionError, NotApprovedError

_HERE = Remote()


def claim(
    request_id: str,
    /,
    *,
    digest: str | None = None,
    facts: str | None = None,
    as_json: AsJson = False,
    remote: Remote = _HERE,
) -> int:
    """Take the grant of an approved request, to run its action once; print the arguments.

    They are one line of JSON: what was approved, a person's changes in it. Run exactly that, then
    tell how it ended with sayso report. The exit status is 1 if it was not approved.

    Args:
        request_id: Its id, or the first characters, at least six.
        digest: Of what will run, if you know it. Default: of the arguments that are printed.
        facts: What holds now, a JSON object, if facts were told when it was asked.
        as_json: Print the request instead.
        remote: Where the server is.
    """
    with remote.client() as server:
        request = server.get(full_id(server, request_id, status="approved"))
        try:
            arguments = check_approved(request)
            told = None if facts is None else parse_object(facts, "--facts")
            tool = "" if request.action is None else request.action.tool_name
            claimed = server.claim(request.id, digest or digest_of(tool, arguments), facts=told)
        except NotApprovedError as error:
            complain_of(error)
            return NO
        except InvalidTransitionError as error:
            if error.reason_code == "facts_changed" and error.request is not None:
                again = f"It is asked again, as {error.request['id']}: wait for that with"
                error.hint = f"{again} {terminal.program()} reopen {request.id} --wait"
            raise
    terminal.tell(claimed, terminal.json_text(arguments), as_json=as_json)
    return YES


def report(
    request_id: str,
    status: Literal["succeeded", "failed", "unknown"],
    /,
    *,
    result: str | None = None,
    error: str = "",
    as_json: AsJson = False,
    remote: Remote = _HERE,
) -> None:
    """Tell what became of a run, for whoever approved it to see.

    Args:
        request_id: Its id, or the first characters, at least six.
        status: How it ended; unknown if nobody can tell.
        result: What it gave back, as JSON.
        error: What went wrong.
        as_json: Print JSON.
        remote: Where the server is.
    """
    told = None if result is None else parse_json(result, "--result")
    with remote.client() as server:
        found = full_id(server, request_id, status="approved")
        request = server.report(found, status, result=told, error=error)
    terminal.tell(request, f"{request.id}\t{status}", as_json=as_json)


def reopen(
    request_id: str,
    /,
    *,
    facts: str | None = None,
    wait: Annotated[bool, Parameter(negative="")] = False,
    as_json: AsJson = False,
    remote: Remote = _HERE,
) -> int:
    """Ask again what expired, as a question or as a grant that nobody claimed.

    Asked again twice it is the same question. With --wait the exit status is 1 if it was not
    approved.

    Args:
        request_id: The id of what expired, or the first characters, at least six.
        facts: What holds now, a JSON object.
        wait: Wait for the decision; Ctrl-C withdraws the question.
        as_json: Print JSON.
        remote: Where the server is.
    """
    told = None if facts is None else parse_object(facts, "--facts")
    with remote.client() as server:
        request = server.reopen(full_id(server, request_id), facts=told)
        if wait:
            request = wait_for(server, request)
    terminal.tell(request, f"{request.id}\t{views.answer(request)}", as_json=as_json)
    return NO if wait and not request.approved else YES
