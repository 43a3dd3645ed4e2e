"""`sayso policy`: rules as data, in a file; check it, explain a verdict, run its tests.

It works on the file alone; no server is asked.
"""

from pathlib import Path
from typing import Any, Literal

from msgspec import UNSET
from rich.table import Table
from rich.text import Text

from sayso import codec
from sayso.cards import rule_text
from sayso.cli import terminal
from sayso.cli.listing import print_list
from sayso.cli.terminal import AsJson, parse_object, visible
from sayso.domain.actions import Action, RiskClass
from sayso.errors import InvalidRequestError
from sayso.policies import Context, Effect, Verdict
from sayso.policies.rules import Explanation, RuleSet, load_file, run_cases
from sayso.types import JsonObject

_FAILED = 1
_COLOURS = {Effect.ALLOW: "green", Effect.ASK: "yellow", Effect.DENY: "red"}
_SIGNS = {"matched": "=>", "failed": "!!", "passed over": "  "}
_NO_ARGS = "{}"
_TEST_COLUMNS = ("RESULT", "TEST", "TOOL", "VERDICT", "RULE", "OTHERWISE THAN EXPECTED")


def check_command(file: Path, /, *, as_json: AsJson = False) -> int:
    """Check a policy's file, and tell where it is wrong.

    It prints one line for each error and warning, as FILE:LINE:COLUMN: what is wrong. The exit
    status is 0 if there are no errors, else 1.

    Args:
        file: The policy, in YAML.
        as_json: Print JSON.
    """
    errors: list[dict[str, str]] = []
    warnings: list[dict[str, str]] = []
    policy = None
    try:
        policy = load_file(file)
        warnings = [{"at": each.at(str(file)), "message": each.message} for each in policy.warnings]
    except InvalidRequestError as error:
        errors = list(error.errors)
    if as_json:
        terminal.print_json({"ok": not errors, "errors": errors, "warnings": warnings})
        return _FAILED if errors else 0
    for each in errors:
        print(visible(f"{each['at']}: error: {each['message']}"))
    for each in warnings:
        print(visible(f"{each['at']}: warning: {each['message']}"))
    if policy is not None:
        name = visible(policy.name)
        print(f"{name}: {len(policy.rules)} rules and {len(policy.cases)} tests are well-formed.")
    return _FAILED if errors else 0


def explain_command(
    file: Path,
    /,
    *,
    tool: str,
    args: str = _NO_ARGS,
    risk: Literal["low", "medium", "high"] | None = None,
    agent: str | None = None,
    session: str | None = None,
    tenant: str = "default",
    state: str = _NO_ARGS,
    as_json: AsJson = False,
) -> int:
    """Tell what a policy says of a call, and why.

    It prints the verdict, then each rule that was tried, in order, and why it did or did not
    match. Nothing is drawn by sampling. The exit status is 0, or 1 if the policy is wrong.

    Args:
        file: The policy, in YAML.
        tool: The tool that would run.
        args: Its arguments, a JSON object.
        risk: How much damage it can do. Default: it does not tell.
        agent: Who asks, as rules match it.
        session: The session it belongs to, as one that its key is bound to.
        tenant: The tenant it belongs to.
        state: What the run has shown so far, a JSON object.
        as_json: Print JSON.
    """
    policy = _loaded(file)
    if policy is None:
        return _FAILED
    action = Action(
        tool_name=tool,
        tool_args=parse_object(args, "--args"),
        risk_class=None if risk is None else RiskClass(risk),
    )
    context = Context(
        client_id=agent,
        asked_by=agent or "",
        session_id=session,
        session_pattern=session,
        tenant=tenant,
        state=parse_object(state, "--state"),
    )
    told = policy.unsampled().explain(action, context)
    if as_json:
        terminal.print_json(_verdict(told.verdict) | {"steps": codec.builtins(told.steps)})
    else:
        _print_explanation(told)
    return 0


def test_command(file: Path, /, *, as_json: AsJson = False) -> int:
    """Run the tests that stand in a policy's file.

    Nothing is drawn by sampling meanwhile. The exit status is 0 if all pass, else 1.

    Args:
        file: The policy, in YAML, with `tests`.
        as_json: Print JSON.
    """
    policy = _loaded(file)
    if policy is None:
        return _FAILED
    results = run_cases(policy)
    failed = [result for result in results if not result.passed]
    if as_json:
        items = [
            {"name": r.case.name, "line": r.case.line, "passed": r.passed}
            | {"problems": list(r.problems), "verdict": _verdict(r.verdict)}
            for r in results
        ]
        terminal.print_json({"ok": not failed, "items": items})
        return _FAILED if failed else 0
    rows = [
        (
            "ok" if r.passed else "FAILED",
            *(r.case.name, r.case.tool, str(r.verdict.effect), r.verdict.rule),
            "; ".join(r.problems),
        )
        for r in results
    ]
    screen = terminal.console()
    if screen.is_terminal:
        grid = Table(*_TEST_COLUMNS, box=None, pad_edge=False, header_style="dim")
        for sign, *cells in rows:
            style = "green" if sign == "ok" else "bold red"
            grid.add_row(Text(sign, style), *(Text(visible(cell)) for cell in cells))
        screen.print(grid)
    else:
        print_list(_TEST_COLUMNS, rows)
    print(f"{len(results) - len(failed)} of {len(results)} tests pass.")
    return _FAILED if failed else 0


def _loaded(file: Path) -> RuleSet | None:
    """The policy; None once it was said on stderr what is wrong with it."""
    try:
        return load_file(file)
    except InvalidRequestError as error:
        for each in error.errors:
            terminal.complain(f"{each['at']}: {each['message']}")
        return None


def _verdict(verdict: Verdict) -> JsonObject:
    """A verdict as JSON."""
    found: dict[str, Any] = {
        "verdict": verdict.effect.value,
        "reason": verdict.reason,
        "policy": verdict.policy,
        "rule": verdict.rule or None,
        "review": codec.builtins(verdict.review),
        "silence": verdict.on_timeout,
        "escalate_to": codec.builtins(verdict.escalate_to),
    }
    if verdict.timeout_seconds is not UNSET:
        found["timeout_seconds"] = verdict.timeout_seconds
    return found


def _print_explanation(told: Explanation) -> None:
    screen, verdict = terminal.console(), told.verdict
    screen.print(Text(visible(verdict.effect.value), style=f"bold {_COLOURS[verdict.effect]}"))
    print(visible(verdict.reason))
    if verdict.review is not None:
        print(visible(f"It needs: {rule_text(verdict.review)}."))
    if isinstance(verdict.timeout_seconds, float):
        print(f"People have {verdict.timeout_seconds:g} seconds.")
    if verdict.on_timeout is not None:
        print(visible(f"Silence means: {verdict.on_timeout}."))
    for step in told.steps:
        line = f"{_SIGNS[step.outcome]} line {step.line}, {step.rule}: {step.outcome}; {step.why}"
        print(visible(line))
