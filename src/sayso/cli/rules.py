"""`sayso rules`: how strictly requests are reviewed; list, put, remove."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from sayso.cli import terminal, views
from sayso.cli.listing import print_list
from sayso.cli.remote import Desk, Remote
from sayso.cli.terminal import AsJson, parse_object, read_file
from sayso.cli.views import tabbed
from sayso.domain.rules import KeptRule
from sayso.errors import UsageError
from sayso.types import JsonObject

_HERE = Remote()
_DESK = Desk()
_Many = Annotated[list[str] | None, Parameter(negative="")]


def list_command(*, as_json: AsJson = False, remote: Remote = _HERE) -> None:
    """List review rules.

    Args:
        as_json: Print JSON, which put takes.
        remote: Where the server is.
    """
    with remote.client() as server:
        found = server.rules()
    if as_json:
        terminal.print_json({"items": found})
    else:
        _warn_of(found)
        _print_rules(found)


def put_command(
    file: Path | None = None,
    /,
    *,
    name: str | None = None,
    tools: _Many = None,
    risks: Annotated[list[Literal["low", "medium", "high"]] | None, Parameter(negative="")] = None,
    approvals: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    people: _Many = None,
    groups: _Many = None,
    four_eyes: Annotated[bool, Parameter(negative="")] = False,
    no_veto: Annotated[bool, Parameter(negative="")] = False,
    min_strength: Literal["link", "chat", "login", "passkey"] | None = None,
    grant_seconds: Annotated[float | None, Parameter(validator=Number(gt=0))] = None,
    as_json: AsJson = False,
    desk: Desk = _DESK,
) -> None:
    """Keep a rule, in place of one of the same name; it holds for requests from now on.

    All rules that match a request count, together with what the agent asks for itself. The rule
    comes from a file, or from the options.

    Args:
        file: A file with one rule, or with many as list --json prints them.
        name: Its name.
        tools: A glob of tool names it is for; several times. Default: every request.
        risks: A risk class it is for; several times. Default: any, and none.
        approvals: How many different people have to approve.
        people: The id of somebody who may decide; several times. Default: anybody.
        groups: A group whose members may decide; several times.
        four_eyes: Whoever owns the agent that asks may not approve.
        no_veto: It takes as many to reject as to approve. Default: one rejection ends it.
        min_strength: How strongly whoever approves has to be identified.
        grant_seconds: How long an approval can be claimed. Default: an hour.
        as_json: Print JSON.
        desk: Where the server is, and who you are.
    """
    needs: dict[str, Any] = {
        "approvals": approvals,
        "people": people,
        "groups": groups,
        "four_eyes": four_eyes or None,
        "veto": False if no_veto else None,
        "min_strength": min_strength,
        "grant_seconds": grant_seconds,
    }
    rule = {key: value for key, value in needs.items() if value is not None}
    matches: dict[str, Any] = {"name": name, "tools": tools, "risks": risks}
    said = {key: value for key, value in matches.items() if value is not None}
    if (file is None) is not bool(name) or (file is not None and (said or rule)):
        raise UsageError(
            "Which rule?", hint="Name a file, or give --name and what a decision shall need."
        )
    drafts = [{**said, "rule": rule}] if file is None else _rules_in(file)
    with desk.manager() as server:
        kept = [server.put_rule(draft) for draft in drafts]
    _warn_of(kept)
    if as_json:
        terminal.print_json({"items": kept})
    else:
        _print_rules(kept)


def remove_command(name: str, /, *, as_json: AsJson = False, desk: Desk = _DESK) -> None:
    """Forget a rule; requests that were made under it keep it.

    Args:
        name: Its name.
        as_json: Print JSON.
        desk: Where the server is, and who you are.
    """
    with desk.manager() as server:
        removed = server.remove_rule(name)
    terminal.tell(removed, tabbed(removed.name, "removed"), as_json=as_json)


def _rules_in(file: Path) -> list[JsonObject]:
    found = parse_object(read_file(file), str(file))
    return found["items"] if isinstance(found.get("items"), list) else [found]


def _warn_of(rules: Sequence[KeptRule]) -> None:
    for each in rules:
        for text in each.warnings:
            terminal.warn(f"The rule {each.name!r} cannot be satisfied as it is now: {text}")


def _print_rules(rules: Sequence[KeptRule]) -> None:
    empty = "No review rules, so one approval is enough: rules put --name NAME --approvals 2"
    print_list(("NAME", "TOOLS", "RISKS", "NEEDS"), [_row(each) for each in rules], empty)


def _row(each: KeptRule) -> tuple[str, ...]:
    tools = ",".join(each.tools) or "all"
    risks = ",".join(sorted(risk.value for risk in each.risks)) or "any"
    return each.name, tools, risks, views.rule_text(each.rule, each.names)
