import codecs
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from served import ENVIRONMENT, Served
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


class Asking:
    """`sayso ask`, and the request that came of it."""

    def __init__(self, served: Served, person: Client, *words: str) -> None:
        before = {request.id for request in person.find()}
        self.process = warm.Process(["sayso.cli", "ask", *words], environment=served.environment())
        self.request = soon(
            lambda: next((r for r in person.find(limit=5) if r.id not in before), None)
        )

    def ends(self, said: str = "") -> tuple[int, str]:
        out, err = self.process.communicate(timeout=60)
        assert err == said
        return self.process.wait(), out


def soon(look: Callable[[], Request | None]) -> Request:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if (found := look()) is not None:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come")


def on_terminal(served: Served, *words: str) -> str:
    """What the command writes to a terminal."""
    return "".join(AtTerminal(served, *words))


class AtTerminal:
    """A command that writes to a terminal, part by part."""

    def __init__(self, served: Served, *words: str) -> None:
        self._master, slave = pty.openpty()
        environment = served.environment(TERM="xterm-256color")
        self.process = warm.Process(["sayso.cli", *words], environment=environment, output=slave)
        os.close(slave)

    def __iter__(self) -> Iterator[str]:
        """What it writes, until it ends."""
        decode = codecs.getincrementaldecoder("utf-8")().decode
        while True:
            try:
                yield decode(os.read(self._master, 65536))
            except OSError:  # the other end is closed
                break
        os.close(self._master)
        self.process.wait()


@pytest.mark.parametrize(
    ("words", "decision", "status", "said"),
    [
        ((), {"type": "approve"}, 0, "approved"),
        ((), {"type": "reject", "reason": "too risky"}, 1, "rejected: too risky"),
        ((), {"type": "ignore"}, 1, "rejected"),
        (("--option", "Yes", "--option", "No"), {"type": "respond", "option": "Yes"}, 0, "Yes"),
        (("--option", "Yes", "--option", "No"), {"type": "respond", "option": "No"}, 1, "No"),
        (("--input",), {"type": "respond", "content": "two\nlines"}, 0, "two\nlines"),
        (
            ("--tool", "deploy", "--args", '{"n": 6}', "--risk", "high", "--rationale", "due"),
            {"type": "edit", "args": {"n": 3}},
            0,
            '{"n": 3}',
        ),
    ],
)
def test_ask_prints_the_answer_and_says_yes_or_no_by_its_status(
    served: Served,
    person: Client,
    words: tuple[str, ...],
    decision: dict[str, str],
    status: int,
    said: str,
) -> None:
    asking = Asking(served, person, "Go on?", *words)
    person.decide(asking.request.id, **decision)
    assert asking.ends() == (status, f"{said}\n")


def test_ask_sends_everything_that_was_said(served: Served, person: Client, tmp_path: Path) -> None:
    form = tmp_path / "form.json"
    form.write_text('{"type": "object", "properties": {"day": {"type": "string"}}}')
    asking = Asking(
        served, person, "When?", "--schema", str(form), "--client", "ci", "--priority", "urgent",
        "--metadata", '{"build": 7}', "--timeout", "60",
    )  # fmt: skip
    request = asking.request
    assert (request.kind, request.client_id, request.priority) == ("input", "ci", "urgent")
    assert request.metadata == {"build": 7}
    assert request.deadline_at is not None
    assert (request.deadline_at - request.created_at).total_seconds() == 60
    decided = served.sayso(
        "requests", "decide", request.id, "respond", "--content", '{"day": "Monday"}'
    )
    assert decided.returncode == 0, decided.stderr
    assert asking.ends() == (0, '{"day": "Monday"}\n')


def test_silence_is_no(served: Served) -> None:
    expired = served.sayso("ask", "Anybody?", "--timeout", "0.3")
    assert expired.returncode == 1
    assert expired.stdout.startswith("expired")


def test_ask_as_json(served: Served) -> None:
    expired = served.sayso("ask", "Anybody?", "--timeout", "0.3", "--json")
    assert json.loads(expired.stdout)["status"] == "expired"


def test_ctrl_c_withdraws_the_question(served: Served, person: Client) -> None:
    terminal = AtTerminal(served, "ask", "Still there?", "--client", "fickle")
    written = ""
    for part in terminal:
        if "Waiting" not in written and "Waiting" in written + part:
            terminal.process.send_signal(signal.SIGINT)
        written += part
    assert "The question is withdrawn." in written
    assert terminal.process.wait() == 130
    (request,) = person.find(client_id="fickle")
    assert request.status == "cancelled"


def test_list_has_headings_and_columns_in_a_pipe_too(served: Served, person: Client) -> None:
    person.submit("list\tme\nnow", session_id=None, client_id="lister")
    person.submit("and me", client_id="lister")
    listed = served.sayso("requests", "list", "--client", "lister", "--status", "pending")
    rows = rows_of(listed.stdout)
    assert [row["MESSAGE"] for row in rows] == ["and me", r"list\tme\nnow"]
    assert all(row["STATUS"] == "pending" and row["CLIENT"] == "lister" for row in rows)
    assert {row["SESSION"] for row in rows} == {"-"}
    limited = served.sayso("requests", "list", "--client", "lister", "--limit", "1")
    assert len(rows_of(limited.stdout)) == 1
    none = served.sayso("requests", "list", "--client", "nobody")
    assert (none.returncode, none.stdout) == (0, "")
    assert none.stderr == "No request is like that: sayso requests list\n"


def test_every_json_parses(served: Served, person: Client) -> None:
    request = person.submit("json please", client_id="jason")
    listed = served.sayso("requests", "list", "--client", "jason", "--json")
    assert [each["id"] for each in json.loads(listed.stdout)["items"]] == [request.id]
    assert json.loads(served.sayso("requests", "show", request.id, "--json").stdout)[
        "message"
    ] == "json please"  # fmt: skip
    decided = served.sayso("requests", "decide", request.id, "approve", "--json")
    assert json.loads(decided.stdout)["status"] == "approved"
    link = served.sayso("login-link", "--port", str(served.port), "--json")
    assert json.loads(link.stdout)["link"].startswith(served.url)


def test_the_beginning_of_an_id_is_enough(served: Served, person: Client) -> None:
    request = person.submit("by its beginning")
    shown = served.sayso("requests", "show", request.id[:18].upper())
    assert "message: by its beginning" in shown.stdout
    decided = served.sayso("requests", "decide", request.id[:18], "reject", "--reason", "no")
    assert decided.stdout == f"{request.id}\trejected: no\n"


def test_an_ambiguous_beginning_lists_what_it_may_be(served: Served, person: Client) -> None:
    requests = [person.submit("twin"), person.submit("twin")]
    refused = served.sayso("requests", "cancel", requests[0].id[:6])
    assert refused.returncode == 2
    assert all(request.id in refused.stderr for request in requests[:1])


def test_cancel_and_decide_again_are_told_apart(served: Served, person: Client) -> None:
    request = person.submit("cancel me")
    cancelled = served.sayso("requests", "cancel", request.id, "--reason", "not needed")
    assert cancelled.stdout == f"{request.id}\tcancelled: not needed\n"
    late = served.sayso("requests", "decide", request.id, "approve")
    assert late.returncode == 2
    assert late.stderr.startswith("sayso: ")


def test_deciding_needs_a_person(served: Served, person: Client, tmp_path: Path) -> None:
    request = person.submit("?")
    refused = served.sayso("requests", "decide", request.id, "approve", "--data", str(tmp_path))
    assert refused.returncode == 2
    assert "SAYSO_TOKEN" in refused.stderr
    foreign = served.sayso("requests", "decide", request.id, "approve", SAYSO_TOKEN="nobody")
    assert foreign.returncode == 2
    assert person.get(request.id).status == "pending"


def test_a_login_link_signs_in(served: Served) -> None:
    printed = served.sayso("login-link", "--data", str(served.data), "--port", str(served.port))
    link = printed.stdout.removesuffix("\n")
    assert link.startswith(f"{served.url}/login?token=")
    with served.client() as client:
        assert client.sign_in(link.partition("=")[2]).id


def watching(served: Served, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "sayso.cli", "requests", "watch", "--client", "watched",
         "--after", "0", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=served.environment(),
    )  # fmt: skip


def test_watch_prints_a_line_for_each_event(served: Served, person: Client) -> None:
    with watching(served, "--json") as program, watching(served) as reader:
        assert program.stdout is not None
        assert reader.stdout is not None
        try:
            request = person.submit("watch me", client_id="watched")
            submitted = json.loads(program.stdout.readline())
            heading, line = (re.split("  +", reader.stdout.readline().rstrip()) for _ in range(2))
            person.decide(request.id, "approve")
            decided = json.loads(program.stdout.readline())
            for each in (program, reader):
                each.send_signal(signal.SIGINT)
            assert (program.wait(60), reader.wait(60)) == (130, 130)
        finally:
            program.kill()
            reader.kill()
    assert (submitted["type"], decided["type"]) == ("request.submitted", "request.decided")
    assert decided["request"]["status"] == "approved"
    told = dict(zip(heading, line, strict=True))
    assert (told["EVENT"], told["REQUEST"]) == ("request.submitted", request.id)
    assert (told["SESSION"], told["CLIENT"], told["MESSAGE"]) == ("-", "watched", "watch me")


def test_on_a_terminal_nothing_of_the_agent_steers(served: Served, person: Client) -> None:
    request = person.submit("[red]pay[/red] \u202e001\u200b", client_id="evil")
    for words in (("list", "--client", "evil"), ("show", request.id), ("list", "--json")):
        written = on_terminal(served, "requests", *words)
        assert "\u202e" not in written
        assert "\u200b" not in written
        assert r"\u202e001\u200b" in written
        assert "[red]pay[/red]" in written


def test_a_list_has_headings_on_a_terminal_and_in_a_pipe_and_colours_on_a_terminal_only(
    served: Served, person: Client
) -> None:
    person.submit("how do I look", client_id="viewer")
    assert "STATUS" in on_terminal(served, "requests", "list", "--client", "viewer")
    piped = served.sayso("requests", "list", "--client", "viewer").stdout
    assert "STATUS" in piped
    assert "\x1b" not in piped


def test_ask_on_a_terminal_says_where_to_decide(served: Served) -> None:
    written = on_terminal(served, "ask", "Where?", "--timeout", "0.5")
    assert served.url in written


def test_nobody_reading_is_no_error(served: Served, person: Client) -> None:
    person.submit("x" * 10_000)
    piped = subprocess.run(
        f"{sys.executable} -m sayso.cli requests list | head -c 1",
        shell=True, capture_output=True, text=True, env=served.environment(), check=False,
    )  # fmt: skip
    assert piped.stderr == ""


def test_the_banner_has_the_link_on_its_own_line_and_tells_where_the_data_is(
    tmp_path: Path,
) -> None:
    with Served(tmp_path / "data") as served:
        assert served.banner[-1] == f"{served.url}/login?token={served.link_token}"
        assert served.stop(signal.SIGINT) == 0


def test_a_port_in_use_is_told_in_words(served: Served, tmp_path: Path) -> None:
    failed = served.sayso("serve", "--port", str(served.port), "--data", str(tmp_path))
    assert failed.returncode == 2
    assert str(served.port) in failed.stderr
    assert "Traceback" not in failed.stderr


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_the_demo_asks_tells_how_fast_it_woke_and_stops_when_it_is_told(
    tmp_path: Path, by: signal.Signals
) -> None:
    with Served(tmp_path / "data", "demo") as served:
        with served.person() as person:
            request = soon(lambda: next(person.find(status="pending"), None))
            assert request.action is not None
            person.decide(request.id, "approve")
            lines = iter(served.said.readline, "")
            told = next(line for line in lines if "is told" in line)
            assert "approved" in told
            assert "ms after the decision" in told
            assert any("deploy-bot asks" in line for line in lines)
        assert served.stop(by) == 0


def test_without_a_terminal_output_is_not_coloured_though_the_terminal_is_good() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "sayso.cli", "requests", "--help"],
        capture_output=True, text=True, env={**ENVIRONMENT, "TERM": "xterm-256color"}, check=True,
    )  # fmt: skip
    assert "\x1b" not in shown.stdout
