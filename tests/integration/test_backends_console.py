"""The console at a real terminal: turns, time, Ctrl-C, the editor, and what is typed too early."""

import time
from pathlib import Path

import pytest
from support.terminal import TypedAt

BEGIN = """
import asyncio, os, sys, time
from sayso.backends import CLIBackend
from sayso.domain.actions import Action
from sayso.domain.approvals import ApprovalRequest
from sayso.gate.ports import ApprovalCancelledError

def asked(name, **fields):
    action = Action(tool_name=name, tool_args=fields.pop("args", {"to": "bob"}), **fields)
    return ApprovalRequest(run_id="r", action=action)

def told(decision):
    args = "" if decision.args is None else f" {decision.args}"
    print(f"<{decision.approved} {decision.reason} {decision.decided_by}{args}>", flush=True)

def may_go_on():
    while not os.path.exists(os.environ["GO"]):
        time.sleep(0.01)
"""
QUESTION = "[e]dit: "
REASON = "skip): "


@pytest.fixture
def go(tmp_path: Path) -> Path:
    """The file that lets a program go on which calls `may_go_on`; it is named by `$GO`."""
    return tmp_path / "go"


def test_somebody_at_the_terminal_approves_and_the_process_ends_at_once() -> None:
    program = BEGIN + "told(asyncio.run(CLIBackend().request_approval(asked('pay'))))"
    with TypedAt(program) as terminal:
        shown = terminal.until(QUESTION)
        assert "Tool       pay" in shown
        terminal.type("yes\n")
        terminal.until(REASON)
        terminal.type("it is due\n")
        assert "<True it is due cli:human>" in terminal.ended()


def test_ctrl_d_is_a_no() -> None:
    program = BEGIN + "told(asyncio.run(CLIBackend().request_approval(asked('pay'))))"
    with TypedAt(program) as terminal:
        terminal.until(QUESTION)
        terminal.type("\x04")
        assert "<False Rejected cli:human>" in terminal.ended()


def test_when_time_is_up_the_terminal_is_free_for_the_next_question(go: Path) -> None:
    """hitloop 55: the reader stayed, ate the next answer, and held up the end of the process."""
    program = (
        BEGIN
        + """
async def main():
    told(await CLIBackend(timeout_seconds=0.5).request_approval(asked("first")))
    may_go_on()
    told(await CLIBackend().request_approval(asked("second")))
    print("and", input("a word: "))
    await asyncio.sleep(0)
    told(await CLIBackend(timeout_seconds=0.2).request_approval(asked("third")))
asyncio.run(main())
"""
    )
    with TypedAt(program, GO=str(go)) as terminal:
        terminal.until(QUESTION)
        terminal.type("y")  # begun, and not finished
        terminal.until("<False Timeout after 0.5s cli:timeout>")
        go.touch()
        terminal.until(QUESTION)
        terminal.type("n\n")
        terminal.until(REASON)
        terminal.type("\n")
        terminal.until("<False Rejected cli:human>")
        terminal.until("a word: ")
        terminal.type("here\n")
        terminal.until("and here")
        assert "<False Timeout after 0.2s cli:timeout>" in terminal.ended()


def test_what_was_typed_before_the_question_was_shown_does_not_answer_it(go: Path) -> None:
    program = (
        BEGIN
        + """
print("working", flush=True)
sys.stdin.readline()
may_go_on()
told(asyncio.run(CLIBackend().request_approval(asked("pay"))))
"""
    )
    with TypedAt(program, GO=str(go)) as terminal:
        terminal.until("working\n")
        terminal.type("go\n")
        terminal.until("go\n")
        terminal.type("y\n\n")
        terminal.until("y\n\n")
        go.touch()
        terminal.until(QUESTION)
        terminal.type("n\n")
        terminal.until(REASON)
        terminal.type("\n")
        assert "<False Rejected cli:human>" in terminal.ended()


def test_two_backends_at_once_share_the_terminal_and_nothing_is_mixed() -> None:
    program = (
        BEGIN
        + """
async def one(name):
    told(await CLIBackend().request_approval(asked(name)))
async def main():
    await asyncio.gather(one("first"), one("second"))
asyncio.run(main())
"""
    )
    with TypedAt(program) as terminal:
        shown = terminal.until(QUESTION)
        assert "first" in shown
        assert "second" not in shown
        terminal.type("y\n")
        terminal.until(REASON)
        terminal.type("\n")
        shown = terminal.until(QUESTION)
        assert "second" in shown
        terminal.type("n\n")
        terminal.until(REASON)
        terminal.type("\n")
        terminal.ended()
        assert "<True Approved cli:human>" in terminal.all
        assert "<False Rejected cli:human>" in terminal.all


def test_ctrl_c_calls_off_what_is_asked_and_the_program_goes_on() -> None:
    program = (
        BEGIN
        + """
async def one(name):
    try:
        await CLIBackend().request_approval(asked(name))
    except ApprovalCancelledError as error:
        print(f"<{name}: {error}>", flush=True)
async def main():
    both = asyncio.gather(one("first"), one("second"))
    await asyncio.sleep(0.2)
    print("<both wait>", flush=True)
    await both
    told(await CLIBackend().request_approval(asked("third")))
    print("again", flush=True)
    await asyncio.sleep(150)
try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("<as usual>")
"""
    )
    with TypedAt(program) as terminal:
        terminal.until(QUESTION, "<both wait>")
        terminal.type("\x03")
        shown = terminal.until(QUESTION)
        assert "<first: User cancelled approval>" in shown
        assert "<second: User cancelled approval>" in shown
        terminal.type("y\n")
        terminal.until(REASON)
        terminal.type("\n")
        terminal.until("again")
        terminal.type("\x03")
        assert "<as usual>" in terminal.ended()


def test_ctrl_c_in_a_gate_without_an_event_loop_leaves_the_terminal() -> None:
    program = (
        BEGIN
        + """
from sayso.gate import Gate
from sayso.policies import HITLPolicy
class Ask(HITLPolicy):
    name = "ask"
    def should_request_approval(self, action, state):
        return True, "always"
try:
    Gate(Ask(), CLIBackend()).run_sync(asked("pay").action, lambda to: print("<ran>"))
except KeyboardInterrupt:
    print("<as usual>", flush=True)
print("word:", input())
"""
    )
    with TypedAt(program) as terminal:
        terminal.until(QUESTION)
        terminal.type("\x03")
        terminal.until("<as usual>")
        terminal.type("y\n")
        assert "word: y" in terminal.ended()
        assert "<ran>" not in terminal.all


def test_a_question_that_is_called_off_by_its_program_leaves_the_terminal(go: Path) -> None:
    program = (
        BEGIN
        + """
async def main():
    asking = asyncio.ensure_future(CLIBackend().request_approval(asked("first")))
    await asyncio.to_thread(may_go_on)
    asking.cancel()
    try:
        await asking
    except asyncio.CancelledError:
        print("<gone>", flush=True)
    print("word:", input())
asyncio.run(main())
"""
    )
    with TypedAt(program, GO=str(go)) as terminal:
        terminal.until(QUESTION)
        go.touch()
        terminal.until("<gone>")
        terminal.type("mine\n")
        assert "word: mine" in terminal.ended()


def test_a_program_of_which_a_thread_asks_ends_with_its_main_thread(go: Path) -> None:
    program = (
        BEGIN
        + """
import threading
ask = lambda: asyncio.run(CLIBackend().request_approval(asked("pay")))
threading.Thread(target=ask, daemon=True).start()
may_go_on()
print("<end>")
"""
    )
    with TypedAt(program, GO=str(go)) as terminal:
        terminal.until(QUESTION)
        go.touch()
        assert "<end>" in terminal.ended()


@pytest.fixture
def editor(tmp_path: Path) -> Path:
    """An editor that writes what `next.json` holds, and waits if there is `wait`."""
    script = tmp_path / "editor.sh"
    script.write_text(
        '#!/bin/sh\nhere=$(dirname "$0")\ncp "$1" "$here/seen.json"\n'
        'if [ -e "$here/wait" ]; then trap "" INT; echo EDITING; sleep 150; fi\n'
        'cp "$here/next.json" "$1"\n'
    )
    script.chmod(0o700)
    return script


def test_arguments_are_edited_in_an_editor_and_count_after_the_difference(editor: Path) -> None:
    (editor.parent / "next.json").write_text('{"to": "alice"}')
    program = BEGIN + (
        "told(asyncio.run(CLIBackend().request_approval("
        "asked('pay', args={'to': 'bob\\u202e\\x1b[2J'}))))"
    )
    with TypedAt(program, EDITOR=str(editor)) as terminal:
        terminal.until(QUESTION)
        terminal.type("e\n")
        shown = terminal.until("again: ")
        assert '-   "to": "bob\\u202e\\u001b[2J"' in shown
        assert '+   "to": "alice"' in shown
        assert "\\u202e" in (editor.parent / "seen.json").read_text()
        terminal.type("y\n")
        terminal.until(REASON)
        terminal.type("\n")
        assert "<True Approved cli:human {'to': 'alice'}>" in terminal.ended()


def test_what_was_typed_before_an_edit_was_refused_does_not_approve_what_was_asked() -> None:
    program = BEGIN + "told(asyncio.run(CLIBackend().request_approval(asked('pay'))))"
    with TypedAt(program) as terminal:
        terminal.until(QUESTION)
        terminal.type("e\n{\ny\nfine\n")
        terminal.until("Not taken")
        terminal.until("Approve this action? [y]es [n]o " + QUESTION)
        time.sleep(0.1)
        terminal.type("n\n")
        terminal.until(REASON)
        terminal.type("typed now\n")
        assert "<False typed now cli:human>" in terminal.ended()


def test_when_time_is_up_the_editor_is_ended_and_ctrl_c_in_it_is_its_own(
    editor: Path, go: Path
) -> None:
    (editor.parent / "wait").touch()
    program = (
        BEGIN
        + """
clock = time.monotonic
time.monotonic = lambda: clock() + 1000 * os.path.exists(os.environ["GO"])
told(asyncio.run(CLIBackend(timeout_seconds=500).request_approval(asked("pay"))))
"""
    )
    with TypedAt(program, EDITOR=str(editor), GO=str(go)) as terminal:
        terminal.until(QUESTION)
        terminal.type("e\n")
        terminal.until("EDITING")
        terminal.type("\x03")
        time.sleep(0.5)  # for it to do harm
        go.touch()  # as if so much time had passed
        assert "<False Timeout after 500s cli:timeout>" in terminal.ended()


def test_a_terminal_that_is_hung_up_is_a_no(tmp_path: Path) -> None:
    program = (
        BEGIN
        + """
import os, pathlib, signal
signal.signal(signal.SIGHUP, signal.SIG_IGN)
decision = None
try:
    decision = asyncio.run(CLIBackend().request_approval(asked("pay")))
except Exception as error:
    decision = error
pathlib.Path(os.environ["TOLD"]).write_text(f"{getattr(decision, 'approved', decision)}")
os._exit(0)
"""
    )
    told = tmp_path / "told"
    with TypedAt(program, TOLD=str(told)) as terminal:
        terminal.until(QUESTION)
        terminal.hang_up()
    assert told.read_text().startswith(("False", "Nobody could be asked"))
