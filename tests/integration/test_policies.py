"""The tenant's policy over HTTP and on the command line: put, applied, taken back, tried out."""

import contextlib
import html
import io
import json
import re
import sqlite3
import subprocess
import time
import zipfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from support import warm
from support.columns import rows_of
from support.person import Person
from support.problems import told
from support.server import RunningServer, clean_environment

REQUESTS, POLICY = "/api/v1/requests", "/api/v1/policy"
TEXT = """\
version: 1
defaults:
  verdict: ask
rules:
  - name: small
    match: {tools: [pay], risk: [low]}
    when: amount(args.amount) <= 50.0
    verdict: allow
    reason: Small amounts are fine.
  - name: never
    match: {tools: ["drop_*"]}
    verdict: deny
    reason: Nothing is dropped here.
  - name: silent
    match: {tools: [tidy], risk: [low]}
    verdict: ask
    deadline: 1s
    silence: approve
  - name: mails
    match: {tools: [mail]}
    when: args.n > 10
    verdict: deny
    reason: Too many at once.
"""


@pytest.fixture(autouse=True)
def no_policy(person: Person) -> Generator[None]:
    """Each test begins and ends without one."""
    person.http.delete(POLICY)
    yield
    person.http.delete(POLICY)


@pytest.fixture
def agent(server: RunningServer) -> Generator[httpx2.Client]:
    with server.http() as http:
        yield http


def put(person: Person, text: str = TEXT, **more: Any) -> dict[str, Any]:
    reply = person.http.put(POLICY, json={"text": text, **more})
    assert reply.status_code == 200, reply.text
    return reply.json()


def ask(agent: httpx2.Client, tool: str, risk: str | None = "low", **args: Any) -> dict[str, Any]:
    action = {"tool_name": tool, "tool_args": args, "risk_class": risk}
    reply = agent.post(REQUESTS, json={"message": "May I?", "action": action})
    assert reply.status_code == 201, reply.text
    return reply.json()


def test_it_allows_denies_and_asks_and_what_it_allows_runs_once(
    agent: httpx2.Client, person: Person
) -> None:
    version = put(person)["number"]
    allowed = ask(agent, "pay", amount=49)
    assert (allowed["status"], allowed["decision"]["channel"]) == ("approved", "policy")
    assert allowed["policy"]["version"] == version
    assert allowed["policy"]["rule"] == allowed["decision"]["by"]["name"] == "small"
    claim = f"{REQUESTS}/{allowed['id']}/claim"
    digest = allowed["action"]["digest"]
    told(agent.post(claim, json={"digest": "sha256:" + "0" * 64}), 409, "digest_mismatch")
    assert agent.post(claim, json={"digest": digest}).status_code == 200
    told(agent.post(claim, json={"digest": digest}), 409, "already_claimed")
    denied = ask(agent, "drop_table", name="users")
    assert (denied["status"], denied["grant"]) == ("rejected", None)
    assert "Nothing is dropped here." in denied["decision"]["reason"]
    for risk, amount in (("low", 51), ("high", 1), (None, 1), ("low", "lots")):
        assert ask(agent, "pay", risk, amount=amount)["status"] == "pending"


def test_silence_approves_only_what_the_rule_of_the_server_says(
    agent: httpx2.Client, person: Person
) -> None:
    put(person)
    tidy = ask(agent, "tidy")
    body = {"message": "?", "action": {"tool_name": "tidy", "risk_class": "low"}}
    hurried = agent.post(REQUESTS, json={**body, "timeout_seconds": 0.2}).json()
    body["action"]["risk_class"] = "high"
    other = agent.post(REQUESTS, json={**body, "timeout_seconds": 1}).json()
    told(agent.post(REQUESTS, json={**body, "on_timeout": "approve"}), 422, "invalid_request")
    asked = {each["id"]: each["on_timeout"] for each in (tidy, other, hurried)}
    assert list(asked.values()) == ["approve", "expire", "expire"]
    ended = [agent.get(f"{REQUESTS}/{each}?wait=60").json() for each in asked]
    assert [each["status"] for each in ended] == ["approved", "expired", "expired"]
    assert ended[0]["decision"]["by"] == {"id": "policy", "name": "silent"}
    assert ended[0]["grant"]["digest"] == tidy["action"]["digest"]


def test_what_is_parked_goes_on_waiting_and_can_be_decided(
    agent: httpx2.Client, person: Person
) -> None:
    body = {"message": "?", "timeout_seconds": 0.2, "on_timeout": "park"}
    request = agent.post(REQUESTS, json=body).json()
    until = time.monotonic() + 60
    while request["parked_at"] is None and time.monotonic() < until:
        time.sleep(0.02)
        request = agent.get(f"{REQUESTS}/{request['id']}").json()
    assert (request["status"], request["deadline_at"]) == ("pending", None)
    assert person.decide(request["id"], "approve")["status"] == "approved"


def test_an_edit_is_looked_at_by_the_policy_once_more(agent: httpx2.Client, person: Person) -> None:
    put(person)
    request = ask(agent, "mail", n=1)
    refused = person.try_to_decide(request["id"], "edit", args={"n": 11})
    assert "Too many at once." in told(refused, 409, "policy_denied")["detail"]
    assert person.decide(request["id"], "edit", args={"n": 10})["status"] == "approved"


def test_a_text_that_is_no_policy_is_refused_with_every_place(person: Person) -> None:
    wrong = TEXT.replace("verdict: deny", "verdict: denied").replace("args.amount", "arg.amount")
    problem = told(person.http.put(POLICY, json={"text": wrong}), 422, "invalid_policy")
    places = [each["at"] for each in problem["errors"]]
    assert places == ["policy:7:18", "policy:12:14", "policy:22:14"]
    told(person.http.get(POLICY), 404, "not_found")


def test_it_is_put_as_yaml_too(person: Person) -> None:
    headers = {"content-type": "text/yaml; charset=utf-8"}
    road = f"{POLICY}?note=first"
    kept = person.http.put(road, content=TEXT, headers=headers).json()
    assert (kept["text"], kept["note"], kept["by"]) == (TEXT, "first", "person:local")
    stale = person.http.put(f"{POLICY}?replaces=0", content=TEXT, headers=headers)
    told(stale, 409, "policy_changed")
    told(person.http.put(POLICY, content=b"\xff", headers=headers), 422, "invalid_request")
    told(person.http.put(POLICY, content=b"", headers=headers), 422, "invalid_request")
    told(person.http.put(POLICY, content=b"a: \x07", headers=headers), 422, "invalid_request")


def test_what_is_parked_is_found_among_what_waits(
    agent: httpx2.Client, person: Person, server: RunningServer
) -> None:
    put(person, TEXT.replace("silence: approve", "silence: park"))
    ask(agent, "tidy", n=1)
    parked = ask(agent, "tidy", n=2)
    ask(agent, "mail", n=1)
    person.decide(parked["id"], "approve")
    until = time.monotonic() + 60
    while not (found := person.http.get(f"{REQUESTS}?parked=true").json()["items"]):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert [(each["action"]["tool_args"], each["status"]) for each in found] == [
        ({"n": 1}, "pending")
    ]
    told(person.http.get(f"{REQUESTS}?parked=true&status=approved"), 422, "invalid_request")
    told(person.http.get(f"{REQUESTS}?parked=yes"), 422, "invalid_request")
    environment = clean_environment(SAYSO_URL=server.url, SAYSO_TOKEN=person.token)
    listed = warm.run("requests", "list", "--parked", environment=environment)
    assert listed.returncode == 0, listed.stderr
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["ID", found[0]["id"]]


def test_to_go_back_or_remove_is_refused_once_another_version_is_in_force(
    person: Person, sayso: "Sayso"
) -> None:
    first = put(person)["number"]
    second = put(person, "version: 1\nrules: []\n")["number"]
    stale = {"number": first, "replaces": first}
    told(person.http.post(f"{POLICY}/activate", json=stale), 409, "policy_changed")
    told(person.http.delete(f"{POLICY}?replaces={first}"), 409, "policy_changed")
    told(person.http.delete(f"{POLICY}?replaces=x"), 422, "invalid_request")
    for words in (("activate", str(first)), ("remove",)):
        refused = sayso(*words, "--replaces", str(first))
        assert refused.returncode != 0
        assert f"in force is version {second}" in refused.stderr
    assert person.http.get(POLICY).json()["number"] == second
    assert sayso("activate", str(first), "--replaces", str(second)).returncode == 0
    assert person.http.delete(f"{POLICY}?replaces={second + 1}").status_code == 200


def test_every_version_is_kept_and_an_older_one_comes_back_as_a_new_one(person: Person) -> None:
    first = put(person, note="one")["number"]
    put(person, "version: 1\nrules: []\n")
    back = person.http.post(f"{POLICY}/activate", json={"number": first, "note": "back"}).json()
    assert (back["number"], back["activates"], back["text"]) == (first + 2, first, TEXT)
    person.http.delete(f"{POLICY}?note=enough")
    told(person.http.get(POLICY), 404, "not_found")
    page = person.http.get(f"{POLICY}/versions?limit=2").json()
    assert [each["number"] for each in page["items"]] == [first + 3, first + 2]
    assert (page["items"][0]["is_removed"], page["items"][0]["note"]) == (True, "enough")
    older = person.http.get(f"{POLICY}/versions?limit=2&before={page['next']}").json()
    assert [each["number"] for each in older["items"]] == [first + 1, first]
    one = person.http.get(f"{POLICY}/versions/{first}").json()
    assert (one["text"], one["note"]) == (TEXT, "one")
    for number in ("0", "99999", "x", "1e3", "9" * 30):
        told(person.http.get(f"{POLICY}/versions/{number}"), 404, "not_found")
    told(person.http.post(f"{POLICY}/activate", json={"number": 9_999}), 404, "not_found")


def test_it_survives_a_restart(fresh_server: RunningServer) -> None:
    person = Person(fresh_server)
    put(person)
    person.close()
    fresh_server.kill9()
    fresh_server.start()
    with fresh_server.http() as agent:
        assert ask(agent, "drop_all")["status"] == "rejected"


def test_evidence_has_the_version_that_decided_and_verifies(
    agent: httpx2.Client, person: Person, tmp_path: Path
) -> None:
    version = put(person)
    request = ask(agent, "pay", amount=1)
    until, reply = time.monotonic() + 60, None
    while (reply is None or not reply.is_success) and time.monotonic() < until:
        time.sleep(0.05)  # until the ledger is signed so far
        reply = person.http.post("/api/v1/audit/export", json={"request_id": request["id"]})
    assert reply is not None
    assert reply.is_success, reply.text
    with zipfile.ZipFile(io.BytesIO(reply.content)) as bundle:
        kept, records = (bundle.read(f"{name}.jsonl").decode() for name in ("requests", "records"))
    mark = f'"policy":{{"version":{version["number"]},"effect":"allow","rule":"small"'
    assert mark in kept.replace("\\", "")
    assert version["digest"] in records
    file = tmp_path / "evidence.zip"
    file.write_bytes(reply.content)
    verified = warm.run("audit", "verify", str(file), environment=clean_environment())
    assert (verified.returncode, verified.stdout.splitlines()[0]) == (0, "Everything fits.")


class Sayso:
    """The command line, at a server, as a person."""

    def __init__(self, server: RunningServer, token: str) -> None:
        self._environment = clean_environment(SAYSO_URL=server.url, SAYSO_TOKEN=token)

    def __call__(self, *words: str, piped: str = "") -> subprocess.CompletedProcess[str]:
        return warm.run("policy", *words, environment=self._environment, given=piped)


@pytest.fixture
def sayso(server: RunningServer, person: Person) -> Sayso:
    return Sayso(server, person.token)


def test_the_command_line_pushes_shows_and_goes_back(sayso: Sayso, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(TEXT)
    pushed = sayso("push", str(file), "--note", "from a file")
    assert pushed.returncode == 0, pushed.stderr
    (row,) = rows_of(pushed.stdout)
    number = row["VERSION"]
    assert sayso("show").stdout == TEXT
    file.write_text("version: 1\nrules:\n  - name: x\n")
    wrong = sayso("push", str(file))
    assert wrong.returncode == 2
    assert "policy:3:5" in wrong.stderr
    file.write_text("version: 1\nrules: []\n")
    assert sayso("push", str(file)).returncode == 0
    assert sayso("activate", number).returncode == 0
    assert sayso("show").stdout == TEXT
    removed = sayso("remove", "--note", "no more")
    assert rows_of(removed.stdout)[0]["WHAT"] == "removed"
    assert sayso("show").returncode == 2
    rows = rows_of(sayso("versions").stdout)
    assert [row["WHAT"] for row in rows[:4]] == ["removed", f"as {number}", "put", "put"]
    assert rows[3]["NOTE"] == "from a file"
    assert sayso("show", number).stdout == TEXT


def test_a_policy_is_pushed_from_the_standard_input(sayso: Sayso) -> None:
    pushed = sayso("push", "-", "--note", "piped", piped=TEXT)
    assert pushed.returncode == 0, pushed.stderr
    assert rows_of(pushed.stdout)[0]["NOTE"] == "piped"
    assert sayso("show").stdout == TEXT
    mistyped = sayso("push", "--nota", "-", piped=TEXT)
    assert mistyped.returncode == 2
    assert "--nota" in mistyped.stderr


def test_diff_tells_what_a_new_policy_would_have_changed(
    fresh_server: RunningServer, tmp_path: Path
) -> None:
    person = Person(fresh_server)
    sayso = Sayso(fresh_server, person.token)
    with fresh_server.http() as agent:
        for amount, said in ((1, "approve"), (2, "approve"), (40, "reject"), (45, "edit")):
            request = ask(agent, "pay", amount=amount)
            more = {"args": {"amount": 4}} if said == "edit" else {}
            person.decide(request["id"], said, **more)
        person.decide(ask(agent, "drop_it")["id"], "approve")
    person.close()
    file = tmp_path / "new.yaml"
    file.write_text(TEXT)
    done = sayso("diff", str(file), "--since", "1h", "--json")
    total = json.loads(done.stdout)["total"]
    assert done.returncode == 0, done.stderr
    assert (total["requests"], total["prompts_before"], total["prompts_after"]) == (5, 5, 0)
    counts = {name: total[name]["n"] for name in ("removed", "denied", "misses", "unedited")}
    assert counts == {"removed": 5, "denied": 1, "misses": 1, "unedited": 1}
    assert total["denied_approved"]["n"] == 1
    strict = sayso("diff", str(file), "--fail-on-misses")
    assert strict.returncode == 1
    assert "5 requests. People asked: 5 before, 0 with the new policy." in strict.stdout
    tables = [re.split("  +", line) for line in strict.stdout.splitlines()]
    assert ["TOOL", "REQUESTS", "PROMPTS ADDED", "PROMPTS REMOVED"] in [row[:4] for row in tables]
    assert ["pay", "4", "0", "4"] in [row[:4] for row in tables]
    assert sayso("diff", str(file), "--against", str(file), "--fail-on-misses").returncode == 1
    file.write_text(TEXT.replace("50.0", "5.0"))
    assert sayso("diff", str(file), "--fail-on-misses").returncode == 0
    assert sayso("diff", str(file), "--since", "soon").returncode == 2


def test_suggest_prints_a_policy_that_can_be_pushed(
    fresh_server: RunningServer, tmp_path: Path
) -> None:
    person = Person(fresh_server)
    sayso = Sayso(fresh_server, person.token)
    with fresh_server.http() as agent:
        for amount in range(12):
            person.decide(ask(agent, "pay", amount=amount)["id"], "approve")
        person.decide(ask(agent, "pay", amount=100)["id"], "reject")
        nothing = sayso("suggest")
        assert (nothing.returncode, nothing.stdout) == (0, "")
        assert "30 approvals" in nothing.stderr
        found = sayso("suggest", "--least", "10")
        assert "12 approvals, no refusal" in found.stdout
        file = tmp_path / "suggested.yaml"
        file.write_text(found.stdout)
        assert sayso("diff", str(file), "--fail-on-misses").returncode == 0
        assert sayso("push", str(file)).returncode == 0
        assert ask(agent, "pay", amount=7)["status"] == "approved"
        assert ask(agent, "pay", amount=12)["status"] == "pending"
        assert ask(agent, "pay", amount=7, to="eve")["status"] == "pending"
    person.close()


def test_a_kept_policy_that_cannot_be_used_any_more_is_told_at_the_start_and_wherever_it_is_shown(
    fresh_server: RunningServer,
) -> None:
    person = Person(fresh_server)
    put(person)
    person.close()
    fresh_server.stop()
    with contextlib.closing(sqlite3.connect(fresh_server.database)) as database:  # it was allowed
        database.execute(
            "UPDATE records SET body = CAST(replace(CAST(body AS TEXT), 'args.n', 'count.n')"
            " AS BLOB) WHERE kind IN ('policy', 'policy_version')"
        )
        database.commit()
    fresh_server.start()
    fresh_server.until_it_says("people are asked about everything.*\n")
    person = Person(fresh_server)
    page = html.unescape(person.http.get("/policy").text)
    shown = Sayso(fresh_server, person.token)("show")
    said = person.http.get(POLICY).json()["problem"]
    for text in (fresh_server.log, page, shown.stderr, said):
        assert "no variable 'count'" in text
        assert "sayso policy activate" in text
    assert (shown.returncode, "count.n" in shown.stdout) == (0, True)
    put(person, TEXT + "# mended\n")
    assert "cannot be used" not in person.http.get("/policy").text
    person.close()
