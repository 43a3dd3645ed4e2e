"""Texts that steer a terminal or deceive the eye, as agents would send them, on the screen."""

# ruff: noqa: RUF001  # look-alike characters are what is tested

import json
import os
import pty
import re
from typing import Any

import pytest
from support import warm
from support.agents import ask
from support.server import RunningServer, clean_environment

EVIL = (
    "Fine.\x9b2J\u202egnp.exe\u200b \U000e0069\U000e0067 p\u0430ypal.com\u2028"
    "Z\u0351\u036b\u0343\u036a\u0302\u036b [red]markup[/red] :smile:"
)
FORGED = "Fine.\nrisk  low\ndigest  sha256:00\ndecision  approve\nby  Ann (web)"
ESCAPES = (
    "\x1b[2J\x1b[H\x1b[32mRisk: LOW\x1b[0m \x1b]8;;http://evil\x07bank\x1b]8;;\x07 \x1b]0;t\x07"
)
FORBIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x80-\x9f\u200b-\u202e\u2066-\u2069\U000e0000-\U000e007f]"
)
OURS = re.compile(r"\x1b\[[0-9;]*m")
"""Colours, which are the only escapes that we send."""


@pytest.fixture(scope="module")
def asked(server: RunningServer) -> str:
    action = {
        "tool_name": "pay\tnow", "tool_args": {EVIL: EVIL, "escapes": ESCAPES, "to": ["Eve"]},
        "rationale": FORGED, "side_effects": [FORGED, EVIL.replace("\x9b", "")],
        "risk_class": "high",
    }  # fmt: skip
    return ask(server, message=FORGED, action=action, metadata={EVIL: EVIL, "e": ESCAPES},
               session_id="s\nrisk: low", client_id="раураl", timeout_seconds=86_400)  # fmt: skip


def on_a_terminal(server: RunningServer, *words: str) -> str:
    """What a terminal of 100 columns is sent."""
    ours, theirs = pty.openpty()
    environment = clean_environment(SAYSO_URL=server.url, COLUMNS="100", TERM="xterm-256color")
    environment.pop("NO_COLOR")
    process = warm.Process(["sayso.cli", *words], environment=environment, output=theirs)
    os.close(theirs)
    sent = b""
    try:
        while part := os.read(ours, 65_536):
            sent += part
    except OSError:  # how a pseudo-terminal ends
        pass
    os.close(ours)
    assert process.wait(60) == 0, sent
    return sent.decode().replace("\r\n", "\n")


def in_a_pipe(server: RunningServer, *words: str) -> str:
    done = warm.run(*words, environment=clean_environment(SAYSO_URL=server.url))
    assert done.returncode == 0, done.stderr
    return done.stdout


COMMANDS: list[tuple[str, ...]] = [
    ("requests", "list"),
    ("requests", "show", "{id}"),
    ("requests", "list", "--json"),
    ("requests", "show", "{id}", "--json"),
]


@pytest.mark.parametrize("words", COMMANDS)
def test_nothing_of_an_agent_reaches_the_terminal_raw(
    server: RunningServer, asked: str, words: tuple[str, ...]
) -> None:
    words = tuple(word.format(id=asked) for word in words)
    for shown in (on_a_terminal(server, *words), in_a_pipe(server, *words)):
        assert not FORBIDDEN.search(shown), shown
        assert "\x1b" not in OURS.sub("", shown)
        assert "\u0430" not in shown
        assert "Risk: LOW" not in shown.splitlines()


def test_no_line_of_an_agent_can_pass_for_one_of_ours(server: RunningServer, asked: str) -> None:
    shown = OURS.sub("", on_a_terminal(server, "requests", "show", asked)).splitlines()
    label = next(at for at, line in enumerate(shown) if "In the agent's own words" in line)
    assert [line for line in shown[:label] if "sha256:00" in line] == []
    forged = [line for line in shown if "sha256:00" in line or "by  Ann (web)" in line]
    assert forged
    assert all("│ " in line for line in forged)
    names = [line.split("  ", 1)[0] for line in shown if line and line[0] != " "]
    assert len(names) == len(set(names))


def test_one_fact_stands_on_one_line(server: RunningServer, asked: str) -> None:
    lines = in_a_pipe(server, "requests", "show", asked).splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "id", "status", "kind", "priority", "session", "client", "asked by", "asked",
        "deadline", "tool",
        "arguments", "digest", "message", "risk", "rationale", "side effects", "metadata",
    ]  # fmt: skip


def test_arguments_are_shown_whole_and_read_back_the_same(
    server: RunningServer, asked: str
) -> None:
    lines = in_a_pipe(server, "requests", "show", asked).splitlines()
    (line,) = (line for line in lines if line.startswith("arguments: "))
    arguments: dict[str, Any] = json.loads(line.partition(": ")[2])
    assert arguments == {EVIL: EVIL, "escapes": ESCAPES, "to": ["Eve"]}
