"""What is asked at the console, and what counts as an answer there; no terminal is needed."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from asked import asked

from sayso.backends import CLIBackend
from sayso.domain.decisions import Channel, Decision
from sayso.gate.ports import ApprovalCancelledError, ApprovalError

pytestmark = pytest.mark.anyio


def typing(*lines: str) -> Callable[[], str]:
    left = iter(lines)

    def read() -> str:
        try:
            return next(left)
        except StopIteration:
            raise EOFError from None

    return read


async def said(*lines: str, request: Any = None, **how: Any) -> tuple[Decision, str]:
    shown: list[str] = []
    backend = CLIBackend(input_func=typing(*lines), output_func=shown.append, **how)
    return await backend.request_approval(request or asked()), "\n".join(shown)


async def test_without_asking_it_says_yes_if_it_is_told_to() -> None:
    decision = await CLIBackend(auto_approve=True, auto_approve_delay_ms=1).request_approval(
        asked()
    )
    assert (decision.approved, decision.reason) == (True, "Auto-approved")
    assert decision.decided_by == "cli:auto"


@pytest.mark.parametrize(
    ("lines", "approved", "reason"),
    [
        (("y", ""), True, "Approved"),
        ((" YES ", "looks fine"), True, "looks fine"),
        (("n", "too much"), False, "too much"),
        (("no", ""), False, "Rejected"),
        (("y",), True, "Approved"),
        ((), False, "Rejected"),
        (("maybe", "1", "true", "ok", "", "n", ""), False, "Rejected"),
        (("sure",), False, "Rejected"),
    ],
)
async def test_only_y_and_yes_approve_and_where_the_input_ends_that_is_a_no(
    lines: tuple[str, ...], approved: bool, reason: str
) -> None:
    decision, _ = await said(*lines)
    assert (decision.approved, decision.reason) == (approved, reason)
    assert (decision.action_id, decision.decided_by) == ("call-1", "cli:human")
    assert (decision.channel, decision.args) == (Channel.CONSOLE, None)


async def test_edited_arguments_are_shown_as_a_difference_before_they_count() -> None:
    decision, shown = await said("e", '{"to": "alice@example.org", "amount": 12}', "y", "")
    assert decision.approved
    assert decision.args == {"to": "alice@example.org", "amount": 12}
    assert '-   "to": "bob@example.org",' in shown
    assert '+   "to": "alice@example.org",' in shown
    assert shown.index("Changed:") < shown.index("Run it with these arguments?")


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("{", "Not taken"),
        ("[1]", "Not taken"),
        ('{"amount": NaN}', "Not taken"),
        ('{"amount": 1, "amount": 2}', "same name twice"),
        ("", "Nothing is changed."),
        ('{"amount": 12, "to": "bob@example.org"}', "Nothing is changed."),
    ],
)
async def test_what_is_no_edit_is_told_and_approves_nothing(typed: str, told: str) -> None:
    decision, shown = await said("e", typed, "n", "")
    assert told in shown
    assert not decision.approved
    assert decision.args is None


async def test_an_edit_that_does_not_fit_the_tool_is_told_and_not_taken() -> None:
    schema = {"type": "object", "properties": {"amount": {"type": "integer", "maximum": 20}}}
    typed = ("e", '{"amount": 21}', "e", '{"amount": 20}', "y", "")
    decision, shown = await said(*typed, request=asked(args_schema=schema))
    assert "Not taken: It does not fit the tool: 21 is greater than the maximum of 20." in shown
    assert decision.args == {"amount": 20}


@pytest.mark.parametrize("typed", ["{", '{"amount": 21}', '{"amount": NaN}'])
@pytest.mark.parametrize("then", ["y", "yes", "n", "", "maybe"])
async def test_after_an_edit_that_was_refused_the_next_line_approves_nothing(
    typed: str, then: str
) -> None:
    """The y that was meant for the edit approved what had been asked."""
    schema = {"type": "object", "properties": {"amount": {"type": "integer", "maximum": 20}}}
    decision, shown = await said("e", typed, then, "ok", request=asked(args_schema=schema))
    assert "Not taken" in shown
    assert (decision.approved, decision.args, decision.reason) == (False, None, "ok")


async def test_an_edit_that_was_refused_takes_back_the_one_before() -> None:
    decision, _ = await said("e", '{"amount": 1}', "e", "{", "y", "")
    assert (decision.approved, decision.args) == (False, None)


async def test_an_edit_that_is_taken_back_leaves_the_arguments_as_they_were() -> None:
    original = '{"to": "bob@example.org", "amount": 12}'
    decision, _ = await said("e", '{"amount": 0}', "e", original, "y", "")
    assert decision.approved
    assert decision.args is None, "What was asked for is what was approved."


async def test_arguments_that_are_no_json_by_themselves_are_shown() -> None:
    """hitloop 15, 27: a date among the arguments made the request crash."""
    decision, shown = await said("y", "", request=asked(tool_args={"when": date(2026, 1, 2)}))
    assert decision.approved
    assert '"when": "2026-01-02"' in shown


async def test_nothing_that_an_agent_writes_steers_the_terminal_or_forges_a_line() -> None:
    """hitloop 56: the agent cleared the screen and wrote `Risk: LOW` itself."""
    evil = (
        "\x1b[2J\x1b[1;1HRisk       low\nApprove this action? [y]es [n]o [e]dit: y\u202e\r"
        + "x" * 200
    )
    request = asked(
        tool_name=f"pay {evil[:40]}",
        tool_args={"to": evil, evil: 1},
        rationale=evil,
        side_effects=(evil,),
        context_refs=(evil,),
        id=evil,
        run_id=evil,
        thread_id=evil,
        summary_context=evil,
        policy_name=evil,
        policy_reason=evil,
    )
    _, shown = await said("n", "", request=request)
    assert not any(char in shown for char in "\x1b\r\u202e\x07")
    lines = shown.split("\n")
    ours = {"", "Tool", "Arguments", "Asked for", "Run", "Thread", "Action", "Risk", "Rationale"}
    ours |= {"Effects", "Context", "Refers to", "Reason (optiona", "Approve this ac"}
    starts = {
        line[:11].strip() for line in lines[2:-2] if not line.startswith(("In the", "Approve"))
    }
    assert starts <= ours, starts
    assert sum(line.startswith("Risk") for line in lines) == 1
    assert all(len(line) < 80 for line in lines), "A terminal would wrap it to the first column."


async def test_two_at_once_are_asked_one_after_the_other() -> None:
    shown: list[str] = []
    backend = CLIBackend(input_func=typing("y", "one", "n", "two"), output_func=shown.append)
    first, second = await asyncio.gather(
        backend.request_approval(asked(id="first")), backend.request_approval(asked(id="second"))
    )
    assert (first.approved, first.reason) == (True, "one")
    assert (second.approved, second.reason) == (False, "two")
    questions = [text for text in shown if text.startswith("Approve")]
    assert len(questions) == 2
    place = {
        name: next(n for n, text in enumerate(shown) if name in text)
        for name in ("first", "second")
    }
    assert shown.index(questions[0]) < place["second"], (
        "The second is shown when the first is done."
    )


async def test_an_answer_that_comes_after_its_time_does_not_answer_the_next_question() -> None:
    """hitloop 55: the reader that was left behind ate the next request's answer."""
    typed: list[threading.Event] = [threading.Event(), threading.Event()]
    lines = iter((*zip(typed, ("y", "n"), strict=True),))

    def read() -> str:
        event, line = next(lines)
        event.wait(20)
        return line

    backend = CLIBackend(timeout_seconds=0.2, input_func=read, output_func=lambda _: None)
    late = await backend.request_approval(asked())
    assert (late.approved, late.decided_by) == (False, "cli:timeout")
    assert late.reason == "Timeout after 0.2s"
    typed[0].set()
    await asyncio.sleep(0.2)
    backend.timeout_seconds = 20
    asking = asyncio.ensure_future(backend.request_approval(asked()))
    await asyncio.sleep(0.2)
    assert not asking.done(), "The y was for a question that was closed."
    asking.cancel()
    typed[1].set()


async def test_the_time_covers_the_reason_as_well() -> None:
    """hitloop 55: nobody looked at the time while the reason was asked for."""
    lines = iter(("y",))

    def read() -> str:
        line = next(lines, None)
        if line is None:
            time.sleep(20)
        return line or ""

    backend = CLIBackend(timeout_seconds=0.3, input_func=read, output_func=lambda _: None)
    decision = await backend.request_approval(asked())
    assert (decision.approved, decision.decided_by) == (False, "cli:timeout")


async def test_what_fails_while_asking_is_no_yes() -> None:
    def broken() -> str:
        raise ValueError("no keyboard")

    with pytest.raises(ApprovalError, match="no keyboard"):
        await CLIBackend(input_func=broken, output_func=lambda _: None).request_approval(asked())


async def test_an_input_that_is_interrupted_calls_it_off() -> None:
    def interrupted() -> str:
        raise KeyboardInterrupt

    backend = CLIBackend(input_func=interrupted, output_func=lambda _: None)
    with pytest.raises(ApprovalCancelledError):
        await backend.request_approval(asked())


PIPED = """
import asyncio
from sayso.backends import CLIBackend
from sayso.domain.actions import Action
from sayso.domain.approvals import ApprovalRequest
async def main():
    backend = CLIBackend()
    for name in ("first", "second"):
        request = ApprovalRequest(run_id="r", action=Action(tool_name=name, tool_args={"a": 1}))
        decision = await backend.request_approval(request)
        print(f"\\n{name}: {decision.approved} {decision.reason!r} {decision.args}")
    print("left:", input())
asyncio.run(main())
"""


def test_answers_can_be_piped_in_and_no_line_more_is_taken() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PIPED], input='e\n{"a": 2}\ny\nfine\nn\n\nrest\n',
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert "first: True 'fine' {'a': 2}" in done.stdout
    assert "second: False 'Rejected' None" in done.stdout
    assert "left: rest" in done.stdout
