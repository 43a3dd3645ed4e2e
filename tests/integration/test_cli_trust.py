"""From the shell: run what was approved, claim and report; remembered decisions, rules, stops."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from served import Served
from support import warm
from support.columns import rows_of

from sayso.client import Client
from sayso.domain.requests import Request


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("cli") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def person(served: Served) -> Iterator[Client]:
    with served.person() as client:
        yield client


@pytest.fixture(scope="module")
def agent(served: Served) -> Iterator[Client]:
    with served.client() as client:
        yield client


class Running:
    """`sayso run`, and the request that came of it, found by a session of its own."""

    def __init__(
        self, served: Served, person: Client, session: str, *words: str, cwd: Path | None = None
    ) -> None:
        self.process = warm.Process(
            ["sayso.cli", "run", "--session", session, *words],
            environment=served.environment(),
            folder=cwd,
        )
        self.request = meet(person, session)

    def ends(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=60)
        return self.process.wait(), out, err


def meet(person: Client, session: str) -> Request:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if found := next(person.find(session_id=session, status="pending"), None):
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come")


def outcome(person: Client, request: Request) -> tuple[str, Any, str]:
    told = person.get(request.id).outcome
    assert told is not None
    return told.status.value, told.result, told.error


def pay(agent: Client, session: str, **more: Any) -> Request:
    action = {"tool_name": "pay", "tool_args": {"to": "Ann", "amount": 5}}
    return agent.submit("Pay?", action=action, session_id=session, **more)


def said(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_runs_is_the_command_that_was_approved_word_for_word(
    served: Served, person: Client, tmp_path: Path
) -> None:
    code = "import os, sys; print(os.getcwd(), sys.argv[1:])"
    words = [sys.executable, "-c", code, "$HOME; ls", "--", "two  words"]
    running = Running(served, person, "run", "--risk", "high", "--", *words, cwd=tmp_path)
    action = running.request.action
    assert action is not None
    assert action.tool_args == {"command": words, "directory": str(tmp_path)}
    assert (action.tool_name, action.risk_class) == ("run", "high")
    person.decide(running.request.id, "approve")
    assert running.ends() == (0, f"{tmp_path} {words[3:]}\n", "")
    assert outcome(person, running.request) == ("succeeded", {"exit_status": 0}, "")


def test_its_exit_status_is_passed_on_and_reported(served: Served, person: Client) -> None:
    running = Running(served, person, "fails", "--", sys.executable, "-c", "raise SystemExit(3)")
    person.decide(running.request.id, "approve")
    assert running.ends() == (3, "", "")
    assert outcome(person, running.request) == ("failed", None, "exit status 3")


def test_what_the_reviewer_changed_runs_as_changed(
    served: Served, person: Client, tmp_path: Path
) -> None:
    running = Running(served, person, "edited", "--", sys.executable, "-c", "print('first')")
    command = [sys.executable, "-c", "import os; print('second', os.getcwd())"]
    args = {"command": command, "directory": str(tmp_path)}
    person.decide(running.request.id, "edit", args=args)
    assert running.ends() == (0, f"second {tmp_path}\n", "")


@pytest.mark.parametrize("answer", ["reject", "respond", "cancel"])
def test_without_a_yes_nothing_runs_and_the_status_says_so(
    served: Served, person: Client, tmp_path: Path, answer: str
) -> None:
    mark = tmp_path / "it ran"
    code = f"open({str(mark)!r}, 'w')"
    running = Running(served, person, answer, "--", sys.executable, "-c", code)
    if answer == "cancel":
        person.cancel(running.request.id, "no")
    else:
        content = {"content": "no"} if answer == "respond" else {"reason": "no"}
        person.decide(running.request.id, answer, **content)
    status, out, err = running.ends()
    assert (status, out) == (77, "")
    assert err.startswith("sayso: Not run: ")
    assert not mark.exists()


def test_what_cannot_be_run_is_told_before_anybody_is_asked(served: Served, person: Client) -> None:
    before = len(list(person.find()))
    for words, status in (
        (("--", "no-such-program-here"), 127),
        (("--", "/etc/passwd"), 127),
        ((), 125),
        (("ls", "--no-such-option"), 125),
        (("--rule", "[]", "--", "ls"), 125),
    ):
        failed = served.sayso("run", *words)
        assert failed.returncode == status
        assert failed.stderr.startswith("sayso: ")
    unreachable = served.sayso("run", "--url", "http://127.0.0.1:9", "--", "ls")
    assert unreachable.returncode == 125
    assert len(list(person.find())) == before


def test_an_edit_that_cannot_be_run_is_reported_as_failed(served: Served, person: Client) -> None:
    running = Running(served, person, "gone", "--", sys.executable, "--version")
    args = {"command": ["no-such-program-here"], "directory": "/"}
    person.decide(running.request.id, "edit", args=args)
    status, out, err = running.ends()
    assert (status, out) == (127, "")
    assert "cannot be run" in err
    assert outcome(person, running.request)[0] == "failed"


def test_an_end_that_is_asked_for_is_passed_on_and_reported(served: Served, person: Client) -> None:
    code = "import sys, time; print('on', flush=True); time.sleep(150)"
    running = Running(served, person, "ends", "--", sys.executable, "-c", code)
    person.decide(running.request.id, "approve")
    assert running.process.said("on\n")
    running.process.terminate()
    assert running.ends()[0] == 128 + 15
    assert outcome(person, running.request) == ("failed", None, "ended by SIGTERM")


def test_a_script_claims_runs_and_reports(served: Served, agent: Client, person: Client) -> None:
    request = pay(agent, "script")
    early = served.sayso("claim", request.id)
    assert (early.returncode, early.stdout) == (1, "")
    assert "not approved" in early.stderr
    person.decide(request.id, "edit", args={"to": "Ann", "amount": 3})
    wrong = served.sayso("claim", request.id, "--digest", request.action.digest)
    assert wrong.returncode == 2
    assert json.loads(said(served.sayso("claim", request.id))) == {"to": "Ann", "amount": 3}
    again = served.sayso("claim", request.id)
    assert (again.returncode, again.stdout) == (2, "")
    told = served.sayso("report", request.id, "succeeded", "--result", '{"receipt": 7}')
    assert said(told) == f"{request.id}\tsucceeded\n"
    assert outcome(person, request) == ("succeeded", {"receipt": 7}, "")
    shown = said(served.sayso("requests", "show", request.id))
    assert 'outcome: succeeded: {"receipt": 7}\n' in shown
    assert "by agent:local\n" in shown


def test_what_changed_meanwhile_is_asked_again_and_can_be_waited_for(
    served: Served, agent: Client, person: Client
) -> None:
    request = pay(agent, "drift", facts={"balance": 100})
    person.decide(request.id, "approve")
    refused = served.sayso("claim", request.id, "--facts", '{"balance": 3}')
    assert refused.returncode == 2
    again = meet(person, "drift")
    assert f"asked again, as {again.id}" in refused.stderr
    shown = said(served.sayso("requests", "show", again.id))
    assert f"asks again: {request.id}\n" in shown
    assert 'changed since: {"balance": [100, 3]}\n' in shown
    person.decide(again.id, "reject", reason="too little is left")
    waited = served.sayso("reopen", request.id, "--wait")
    assert (waited.returncode, waited.stdout) == (1, f"{again.id}\trejected: too little is left\n")


def test_ask_sends_facts_and_a_rule(served: Served, person: Client) -> None:
    ended = served.sayso(
        "ask", "?", "--timeout", "0.3", "--tool", "pay", "--facts", '{"balance": 1}',
        "--rule", '{"approvals": 2}', "--json",
    )  # fmt: skip
    request = json.loads(ended.stdout)
    assert (request["facts"], request["rule"]["approvals"]) == ({"balance": 1}, 2)


def test_show_tells_the_rule_the_votes_and_what_is_proposed(served: Served, agent: Client) -> None:
    request = pay(agent, "quorum", rule={"approvals": 2, "min_strength": "link"})
    args = '{"to": "Ann", "amount": 4}'
    voted = served.sayso("requests", "decide", request.id, "edit", "--args", args)
    assert said(voted) == f"{request.id}\tpending\n"
    shown = said(served.sayso("requests", "show", request.id)).splitlines()
    assert "rule: 2 approvals" in shown
    assert "votes: edit by local reviewer (api, link)" in shown
    assert f"proposed arguments: {args}" in shown
    assert "asked by: local agent (agent:local)" in shown
    digest = request.action.digest
    assert f"digest: {digest}" not in shown
    stale = served.sayso("requests", "decide", request.id, "approve", "--digest", digest)
    assert stale.returncode == 2
    assert "changed the arguments" in stale.stderr


def test_a_decision_is_remembered_for_exactly_the_same(served: Served, agent: Client) -> None:
    request = pay(agent, "remember")
    said(served.sayso("requests", "decide", request.id, "approve", "--remember", "600"))
    assert pay(agent, "remember").approved
    action = {"tool_name": "pay", "tool_args": {"to": "Ann", "amount": 6}}
    other = agent.submit("Pay?", action=action, session_id="remember")
    assert other.status == "pending"
    refused = served.sayso("requests", "decide", other.id, "reject", "--remember", "60")
    assert refused.returncode == 2
    listed = said(served.sayso("grants", "list"))
    row = next(row for row in rows_of(listed) if row["TOOL"] == "pay")
    assert row["ARGUMENTS"] == 'to="Ann", amount=5'
    assert (row["STATE"], row["USES LEFT"]) == ("open", "any")
    assert said(served.sayso("grants", "revoke", row["ID"])) == f"{row['ID']}\trevoked\n"
    assert pay(agent, "remember").status == "pending"


def test_a_standing_grant_is_previewed_given_and_used(
    served: Served, person: Client, tmp_path: Path
) -> None:
    def mail(to: str, n: int) -> Request:
        action = {"tool_name": "mail", "tool_args": {"to": to, "n": n}}
        return person.submit("Mail?", action=action)

    yes, no = mail("a@x.example", 1), mail("b@x.example", 2)
    person.decide(yes.id, "approve")
    person.decide(no.id, "reject")
    options = ["--glob", "to=*@x.example", "--min", "n=1", "--max", "n=5", "--uses", "2"]
    previewed = said(served.sayso("grants", "preview", "mail", *options)).splitlines()
    assert previewed[1] == "People approved 1 of these, and rejected 1."
    assert previewed[2] == f"{no.id} was rejected"
    limits = ["--budget", "n=6", "--session", "s", "--note", "for a test"]
    given = json.loads(said(served.sayso("grants", "give", "mail", *options, *limits, "--json")))
    assert given["budget"] == {"argument": "n", "limit": 6.0}
    assert (given["uses_left"], given["session_id"], given["note"]) == (2, "s", "for a test")
    assert mail("a@x.example", 1).status == "pending", "not in that session"
    (tmp_path / "args.json").write_text('{"to": {"glob": "*@y.example"}}')
    file = ["--args", str(tmp_path / "args.json"), "--equals", "n=3"]
    (row,) = rows_of(said(served.sayso("grants", "give", "mail", *file)))
    assert row["ARGUMENTS"] == "to~*@y.example, n=3"
    assert mail("c@y.example", 3).approved
    for wrong in (["--glob", "to"], ["--min", "n=few"], ["--equals", "=1"]):
        failed = served.sayso("grants", "give", "mail", *wrong)
        assert failed.returncode == 2
        assert "Traceback" not in failed.stderr


def test_rules_are_put_from_options_and_files_listed_and_removed(
    served: Served, person: Client, tmp_path: Path
) -> None:
    put = served.sayso(
        "rules", "put", "--name", "deploys", "--tools", "deploy*", "--tools", "ship",
        "--risks", "high", "--approvals", "2", "--groups", "ops", "--people", "ada",
        "--four-eyes", "--no-veto", "--min-strength", "login", "--grant-seconds", "60",
    )  # fmt: skip
    assert "The group 'ops' has no members." in put.stderr
    assert "Nobody has the id 'ada'." in put.stderr
    told = "2 approvals; of ada, group ops; four eyes; no veto; by login at least; "
    assert rows_of(put.stdout) == [
        {
            "NAME": "deploys",
            "TOOLS": "deploy*,ship",
            "RISKS": "high",
            "NEEDS": f"{told}to be claimed within 60 s",
        }
    ]
    listed = said(served.sayso("rules", "list", "--json"))
    assert said(served.sayso("rules", "remove", "deploys")) == "deploys\tremoved\n"
    none = served.sayso("rules", "list")
    assert said(none) == ""
    assert "sayso rules put --name NAME" in none.stderr
    (tmp_path / "rules.json").write_text(listed)
    (kept,) = json.loads(
        served.sayso("rules", "put", str(tmp_path / "rules.json"), "--json").stdout
    )["items"]
    assert len(kept["warnings"]) == 3
    assert said(served.sayso("rules", "list", "--json")) == listed
    said(served.sayso("rules", "remove", "deploys"))
    never = served.sayso("rules", "put", "--name", "n", "--people", "ada", "--approvals", "2")
    assert never.returncode == 2
    assert "nothing could ever be approved" in never.stderr
    assert json.loads(said(served.sayso("rules", "list", "--json"))) == {"items": []}
    for wrong in ([], ["--approvals", "2"], ["x.json", "--name", "x"], ["--name", "a b"]):
        assert served.sayso("rules", "put", *wrong).returncode == 2


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("everything",), "everything"),
        (("agent", "local"), "agent:local"),
        (("client", "ci"), "client:ci"),
        (("session", "repo/main?"), "session:repo/main?"),
    ],
)
def test_what_is_stopped_is_not_run_until_the_stop_is_lifted(
    served: Served, agent: Client, words: tuple[str, ...], name: str
) -> None:
    request = pay(agent, "repo/main?", client_id="ci")
    assert said(served.sayso("stop", *words, "--reason", "on fire")) == f"{name}\tstopped\n"
    (row,) = rows_of(said(served.sayso("stop", "list")))
    assert (row["STOPPED"], row["BY"], row["REASON"]) == (name, "local reviewer", "on fire")
    refused = served.sayso("requests", "decide", request.id, "approve")
    assert refused.returncode == 2
    assert re.search(r"is stopped since 20\S+T\d\d:\d\d:\d\dZ: on fire", refused.stderr)
    assert said(served.sayso("stop", "lift", name)) == f"{name}\tlifted\n"
    assert said(served.sayso("stop", "list", "--json")) == '{"items": []}\n'
    said(served.sayso("requests", "decide", request.id, "approve"))


def test_a_list_of_nothing_that_is_parked_says_so(served: Served, agent: Client) -> None:
    agent.submit("Others wait?")
    none = served.sayso("requests", "list", "--parked")
    assert (none.returncode, none.stdout) == (0, "")
    assert none.stderr.startswith("Nothing is parked: ")


def test_what_a_terminal_cannot_show_is_escaped_and_a_full_disk_is_told(
    served: Served, agent: Client
) -> None:
    agent.submit("承認 é 😀?", session_id="ascii")
    words = [sys.executable, "-m", "sayso", "requests", "list", "--session", "ascii"]
    environment = served.environment() | {"PYTHONIOENCODING": "ascii"}

    def run(*more: str, **where: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*words, *more], env=environment, text=True, timeout=90, check=False, **where
        )

    assert r"\u627f\u8a8d \xe9 \U0001f600?" in said(run(capture_output=True))
    (item,) = json.loads(said(run("--json", capture_output=True)))["items"]
    assert item["message"] == "承認 é 😀?"
    with Path("/dev/full").open("w") as full:
        failed = run(stdout=full, stderr=subprocess.PIPE)
    assert failed.returncode == 2
    assert failed.stderr.splitlines()[0].startswith("sayso: This cannot be written: ")
    assert "Traceback" not in failed.stderr
    assert "Exception" not in failed.stderr


def test_only_people_remember_rule_and_stop(served: Served, tmp_path: Path) -> None:
    nobody = ["--data", str(tmp_path)]
    for words in (
        ("stop", "everything"),
        ("stop", "lift", "everything"),
        ("rules", "put", "--name", "x", "--approvals", "2"),
        ("rules", "remove", "x"),
        ("grants", "give", "mail"),
        ("grants", "preview", "mail"),
        ("grants", "revoke", "sg_1"),
    ):
        refused = served.sayso(*words, *nobody)
        assert refused.returncode == 2
        assert "SAYSO_TOKEN" in refused.stderr
