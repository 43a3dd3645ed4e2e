"""`sayso selftest` against our server, which refuses, and one that refuses nothing."""

import json
import re
import subprocess
from typing import Any

import pytest
from support import warm
from support.broken import BrokenServer
from support.credentials import Everybody
from support.person import Person
from support.server import RunningServer, clean_environment

from sayso.cli.attacks import ATTACKS

pytestmark = pytest.mark.timeout(300)
NAMES = [attack.__name__ for attack in ATTACKS]


def selftest(
    url: str, *words: str, **environment: str
) -> tuple[int, subprocess.CompletedProcess[str]]:
    told = clean_environment(**environment)
    done = warm.run("selftest", url, *words, environment=told, timeout=280)
    return done.returncode, done


def found(url: str, *words: str, **environment: str) -> tuple[int, dict[str, dict[str, Any]]]:
    status, done = selftest(url, *words, "--json", **environment)
    assert done.stderr == ""
    report = json.loads(done.stdout)
    assert report["left"] == []
    return status, {each["attack"]: each for each in report["findings"]}


def test_our_server_refuses_every_attack(server: RunningServer) -> None:
    status, findings = found(server.url, "--link", server.new_link())
    assert list(findings) == NAMES
    assert [each for each in findings.values() if each["result"] == "NOT REFUSED"] == []
    assert status == 0
    lacking = {name for name, each in findings.items() if each["result"] == "not tried"}
    assert all(
        findings[name]["seen"].startswith(("needs the key", "needs an agent's key", "not offered"))
        for name in lacking
    )


def test_with_keys_and_a_person_every_attack_is_tried(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    settings = {"SAYSO_REQUIRE_KEYS": "true", "SAYSO_REGISTRATION": "true"}
    server = RunningServer(tmp_path_factory.mktemp("keys"), environment=settings).start()
    try:
        everybody = Everybody(server)
        lent = {
            "SAYSO_API_KEY": everybody.key("agent", by="member"),
            "SAYSO_OTHER_KEY": everybody.key("agent", by="reviewer"),
            "SAYSO_TOKEN": everybody.headers["admin"]["Authorization"].removeprefix("Bearer "),
        }
        everybody.close()
        status, findings = found(server.url, "--link", server.new_link(), **lent)
    finally:
        server.stop()
    assert [each for each in findings.values() if each["result"] == "NOT REFUSED"] == []
    assert status == 0
    lacking = {each["attack"] for each in findings.values() if each["result"] == "not tried"}
    assert lacking <= {"forge_a_channels_callback"}


def test_what_is_left_behind_is_marked_and_not_pending(
    server: RunningServer, person: Person
) -> None:
    selftest(server.url, "--link", server.new_link())
    found = person.http.get(
        "/api/v1/requests", params={"client_id": "sayso-selftest", "limit": 200}
    )
    made = found.json()["items"]
    assert len(made) > 5
    assert {each["status"] for each in made} <= {"cancelled", "rejected", "approved", "expired"}
    assert all(each["metadata"]["sayso-selftest"] for each in made)
    assert all("nothing of this is real" in each["message"] or "<script>" in each["message"]
               for each in made)  # fmt: skip


def test_what_cannot_be_tried_is_said(server: RunningServer) -> None:
    status, done = selftest(
        server.url, "--only", "replay_a_sign_in_link", "--only", "decide_by_get"
    )
    assert status == 0
    rows = [re.split("  +", line) for line in done.stdout.splitlines()[:-1]]
    assert [row[:2] for row in rows] == [
        ["RESULT", "ATTACK"],
        ["refused", "decide_by_get"],
        ["not tried", "replay_a_sign_in_link"],
    ]
    assert "--link" in rows[2][3]
    assert done.stdout.splitlines()[-1] == "1 refused, 0 NOT REFUSED, 1 not tried."


@pytest.fixture(scope="module")
def broken() -> dict[str, dict[str, Any]]:
    """What the selftest finds at a server that refuses nothing."""
    lent = {"SAYSO_API_KEY": "one", "SAYSO_OTHER_KEY": "two"}
    with BrokenServer() as server:
        status, findings = found(server.url, "--link", "AAAAlink-token-of-nobody", **lent)
    assert status == 1
    return findings


# In the broken server everybody may list requests without a key, which is the open local mode.
OPEN = {"meddle_without_a_credential"}
PARTLY = {"decide_by_what_the_body_says", "send_too_much"}
"""Attacks of which the broken server lets through some tries only."""


@pytest.mark.parametrize("name", [name for name in NAMES if name not in OPEN])
def test_each_attack_notices_that_it_was_let_through(
    broken: dict[str, dict[str, Any]], name: str
) -> None:
    finding = broken[name]
    assert finding["result"] == "NOT REFUSED", finding
    assert not finding["seen"].startswith("the attack itself"), finding
    if name not in PARTLY:
        assert finding["let_through"] == finding["tries"], finding


def test_what_is_no_server_of_ours_is_an_error() -> None:
    status, done = selftest("http://127.0.0.1:9")
    assert status == 2
    assert "No Sayso server answers" in done.stderr


def test_an_unknown_attack_is_an_error(server: RunningServer) -> None:
    status, done = selftest(server.url, "--only", "nothing")
    assert status == 2
    assert "decide_by_get" in done.stderr
