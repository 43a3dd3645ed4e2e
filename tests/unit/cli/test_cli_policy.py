"""`sayso policy`: a file checked, explained and tested, for people and for programs."""

import json
from pathlib import Path

import pytest

from sayso.cli.app import run

GOOD = """\
name: mail
rules:
  - name: inside
    match: {tools: send_email}
    when: plain(args.to).endsWith("@example.com")
    verdict: allow
  - name: never
    match: {tools: drop_*}
    verdict: deny
tests:
  - {name: a colleague, tool: send_email, args: {to: bob@example.com}, expect: allow}
  - {name: drop, tool: drop_db, expect: {verdict: deny, rule: never}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mail.yaml"
    path.write_text(GOOD)
    return path


def test_a_good_file_is_told_to_be_good(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["policy", "check", str(file)]) == 0
    assert capsys.readouterr().out == "mail: 2 rules and 2 tests are well-formed.\n"


def test_what_is_wrong_is_told_with_its_place_and_status_1(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(GOOD.replace("args.to", "arg.to").replace("verdict: deny\n", "verdct: deny\n"))
    assert run(["policy", "check", str(file)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{file}:5:17: error: There is no variable 'arg'. Did you mean 'args'?"
    assert lines[-1].startswith(f"{file}:9:5: error: A rule has no key 'verdct'")
    assert run(["policy", "check", str(file), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False
    assert told["errors"][0]["at"] == f"{file}:5:17"
    for command in (["test", str(file)], ["explain", str(file), "--tool", "x"]):
        assert run(["policy", *command]) == 1
        assert f"{file}:5:17" in capsys.readouterr().err


def test_a_warning_is_no_error(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(
        GOOD.replace("tests:", "  - {name: b, match: {tools: drop_db}, verdict: ask}\ntests:")
    )
    assert run(["policy", "check", str(file)]) == 0
    assert f"{file}:10:1: warning: Rule 'b' can never match" in capsys.readouterr().out


def test_a_file_that_is_not_there_is_told_with_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["policy", "check", str(tmp_path / "none.yaml")]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_a_verdict_is_explained(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["policy", "explain", str(file), "--tool", "send_email"]
    assert run([*words, "--args", '{"to": 3}', "--risk", "low"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("ask\nRule 'inside' of 'mail' could not be evaluated")
    assert "!! line 3, inside: failed; plain: it takes one text" in out
    assert run([*words, "--args", '{"to": "Bob@Example.com"}', "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["verdict"], told["rule"]) == ("allow", "inside")
    assert told["steps"][0]["outcome"] == "matched"


def test_what_an_agent_wrote_cannot_steer_the_terminal(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text("rules: [{name: a, verdict: deny, when: 'args.m[args.k] == 1'}]\n")
    args = '{"m": {}, "k": "\\u001b[2J"}'
    assert run(["policy", "explain", str(file), "--tool", "t", "--args", args]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_the_tests_in_a_file_are_run(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["policy", "test", str(file)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "2 of 2 tests pass."
    file.write_text(GOOD.replace("expect: allow", "expect: deny"))
    assert run(["policy", "test", str(file)]) == 1
    out = capsys.readouterr().out
    assert out.splitlines()[:3] == [
        "RESULT  TEST         TOOL        VERDICT  RULE    OTHERWISE THAN EXPECTED",
        "FAILED  a colleague  send_email  allow    inside  verdict: allow, not deny",
        "ok      drop         drop_db     deny     never   -",
    ]
    assert run(["policy", "test", str(file), "--json"]) == 1
    assert [each["passed"] for each in json.loads(capsys.readouterr().out)["items"]] == [
        False,
        True,
    ]
