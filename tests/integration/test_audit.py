"""The ledger as it is used: real servers, killed and in twos; the command line; HTTP."""

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support import warm
from support.accounts import add_account
from support.person import Person
from support.programs import Beside
from support.server import RunningServer, clean_environment

from sayso.ledger.blocks import record_hash

SUBMIT = "/api/v1/requests"
TOOL = Path(__file__).parents[2] / "tools" / "verify_bundle.py"


def ask(server: RunningServer, **more: Any) -> str:
    with server.http() as agent:
        action = {"tool_name": "payments.pay", "tool_args": {"card": "4242", "amount": 3}}
        draft = {"message": "Pay?", "action": action, "timeout_seconds": None, **more}
        reply = agent.post(SUBMIT, json=draft)
        assert reply.status_code == 201, reply.text
        return reply.json()["id"]


def audit(*words: object, folder: Path | None = None, **environment: str) -> tuple[int, str, str]:
    """`sayso audit`: its exit status and what it printed."""
    told = clean_environment(**environment)
    done = warm.run("audit", *map(str, words), environment=told, folder=folder, timeout=90)
    return done.returncode, done.stdout, done.stderr


def verdict(*words: object, folder: Path | None = None, **environment: str) -> dict[str, Any]:
    status, out, err = audit("verify", *words, "--json", folder=folder, **environment)
    assert out, err
    told = json.loads(out)
    assert status == (0 if told["ok"] else 1)
    return told


def keys_of(server: RunningServer) -> dict[str, Any]:
    with server.http() as http:
        return http.get("/api/v1/audit/keys").json()


def until_signed(server: RunningServer, events: int, token: str) -> dict[str, Any]:
    """The last block, once it covers so many events."""
    with server.http(token) as http:
        after, until = 0, time.monotonic() + 60
        while time.monotonic() < until:
            wanted = {"limit": 100, "after": after}
            page = http.get("/api/v1/audit/blocks", params=wanted).json()
            if page["next"] is not None:
                after = page["next"]
            elif page["items"] and page["items"][-1]["last"] >= events:
                return page["items"][-1]
            else:
                time.sleep(0.05)
    raise AssertionError("it was not signed")


@pytest.fixture
def decided(fresh_server: RunningServer) -> str:
    """A request that was decided, and signed: events 1 and 3; 2 is the person's sign-in."""
    request_id = ask(fresh_server)
    person = Person(fresh_server)
    person.decide(request_id, "approve")
    until_signed(fresh_server, 3, person.token)
    person.close()
    return request_id


def test_a_running_servers_database_verifies(fresh_server: RunningServer, decided: str) -> None:
    status, out, err = audit("verify", "--data", fresh_server.data)
    assert (status, err) == (0, "")
    assert out.startswith("Everything fits.\nChecked: 3 events in ")
    assert verdict(fresh_server.database)["requests"] == 1


def test_a_changed_decision_is_named(fresh_server: RunningServer, decided: str) -> None:
    fresh_server.stop()
    with closing(sqlite3.connect(fresh_server.database)) as connection, connection:
        connection.execute(
            "UPDATE requests SET record ="
            " cast(replace(cast(record AS TEXT), '4242', '6666') AS BLOB)"
        )
    status, out, _ = audit("verify", fresh_server.database)
    assert status == 1
    assert out.startswith(f"IT DOES NOT FIT: request {decided}: it is not what event 3 tells")


def test_a_story_shows_its_events_and_blocks(fresh_server: RunningServer, decided: str) -> None:
    status, out, _ = audit("show", decided, "--data", fresh_server.data)
    assert status == 0
    assert "request.decided" in out
    assert "block 1: fits" in out
    assert out.rstrip().endswith("as its last event tells.")


def test_a_bundle_verifies_elsewhere_with_nothing_but_the_file(
    fresh_server: RunningServer, decided: str, tmp_path: Path
) -> None:
    bundle = tmp_path / "elsewhere" / "bundle.zip"
    bundle.parent.mkdir()
    status, out, err = audit("export", "-o", bundle, "--data", fresh_server.data)
    assert (status, err) == (0, "")
    assert "3 events, 1 requests" in out
    keys = keys_of(fresh_server)
    fresh_server.kill9()
    told = verdict(bundle.name, "--public-key", keys["current"], folder=bundle.parent)
    assert (told["ok"], told["events"], told["notes"]) == (True, 3, [])
    verifier = [sys.executable, str(TOOL), bundle.name, keys["current"]]
    second = subprocess.run(verifier, cwd=bundle.parent, capture_output=True, text=True, check=True)
    assert second.stdout == "Everything fits: 3 events, 1 requests.\n"
    bundle.write_bytes(bundle.read_bytes().replace(b"approved", b"rejected"))
    assert audit("verify", bundle)[0] != 0
    assert (
        subprocess.run(verifier, cwd=bundle.parent, capture_output=True, check=False).returncode
        != 0
    )
    assert verdict(fresh_server.database, "--public-key", "00" * 32)["findings"][0]["kind"] == "key"


def test_a_head_that_was_kept_is_held_against_an_older_database(
    fresh_server: RunningServer, decided: str, tmp_path: Path
) -> None:
    fresh_server.stop()
    old = tmp_path / "old.db"
    old.write_bytes(fresh_server.database.read_bytes())
    fresh_server.start()
    ask(fresh_server)
    token = fresh_server.sign_in()
    head = until_signed(fresh_server, 4, token)
    kept = tmp_path / "head.json"
    kept.write_text(json.dumps(head))
    assert verdict(fresh_server.database, "--against", kept)["ok"]
    assert verdict(old)["ok"]
    assert verdict(old, "--against", kept)["findings"][0]["kind"] == "head"


def test_a_rotation_is_taken_by_a_running_server(fresh_server: RunningServer, decided: str) -> None:
    before = keys_of(fresh_server)
    status, out, err = audit("rotate-key", "--data", fresh_server.data, "--json")
    assert (status, err) == (0, "")
    ask(fresh_server)
    until_signed(fresh_server, 4, fresh_server.sign_in())
    after = keys_of(fresh_server)
    assert after["current"] == json.loads(out)["key_id"]
    assert [key["id"] for key in after["items"]] == [before["current"], after["current"]]
    told = verdict(fresh_server.database, "--public-key", before["current"])
    assert (told["ok"], told["keys"]) == (True, [before["current"], after["current"]])


def test_killed_while_it_seals_it_goes_on_where_it_was(fresh_server: RunningServer) -> None:
    for round_ in range(3):
        for _ in range(20):
            ask(fresh_server)
        fresh_server.kill9()
        told = verdict(fresh_server.database)
        assert told["ok"]
        assert told["events"] == 20 * (round_ + 1)
        fresh_server.start()
    until_signed(fresh_server, 60, fresh_server.sign_in())
    fresh_server.stop()
    told = verdict(fresh_server.database)
    assert (told["ok"], told["unsigned"], told["events"]) == (True, 0, 61)


def test_what_came_last_is_signed_when_the_server_stops(fresh_server: RunningServer) -> None:
    ask(fresh_server)
    fresh_server.stop()
    assert verdict(fresh_server.database)["unsigned"] == 0


def rewrite(server: RunningServer, request_id: str) -> None:
    """Change a request and what the log tells of it, and drop the blocks that say otherwise."""
    with closing(sqlite3.connect(server.database)) as connection, connection:
        change = "cast(replace(cast(record AS TEXT), ?, ?) AS BLOB)"
        wanted = (request_id,)
        (old,) = connection.execute("SELECT record FROM requests WHERE id = ?", wanted).fetchone()
        new = old.replace(b"4242", b"6666")
        connection.execute("UPDATE requests SET record = ? WHERE id = ?", (new, request_id))
        hashes = (record_hash(old), record_hash(new))
        told = connection.execute(f"UPDATE events SET record = {change} WHERE id = 3", hashes)
        assert told.rowcount == 1
        connection.execute("DELETE FROM ledger_blocks")


def test_signed_history_that_was_rewritten_between_two_starts_is_not_signed_again(
    fresh_server: RunningServer, decided: str
) -> None:
    fresh_server.stop()
    head = fresh_server.data / "ledger.head"
    assert head.stat().st_mode & 0o777 == 0o600
    assert verdict(fresh_server.database)["kept"] == json.loads(head.read_bytes())["number"]
    rewrite(fresh_server, decided)
    fresh_server.start()
    fresh_server.until_it_says("the ledger cannot be signed: The ledger was at block")
    assert "sayso audit accept-rollback" in fresh_server.log
    ask(fresh_server)
    fresh_server.stop()
    for words in (("--data", fresh_server.data), (fresh_server.database,), ("--against", head)):
        place = () if words[0] != "--against" else ("--data", fresh_server.data)
        told = verdict(*words, *place)
        assert "head" in {each["kind"] for each in told["findings"]}
    status, out, err = audit("accept-rollback", "--data", fresh_server.data)
    assert (status, err) == (0, "")
    assert "goes on behind nothing" in out
    told = verdict(fresh_server.database)
    assert told["ok"], told["findings"]
    assert "accepted a rollback" in " ".join(told["notes"])
    status, out, _ = audit("accept-rollback", "--data", fresh_server.data)
    assert (status, out) == (0, "Nothing was rolled back: the ledger has the head that was kept.\n")


def test_another_ledger_of_the_same_length_is_not_gone_on_with(
    fresh_server: RunningServer, decided: str
) -> None:
    fresh_server.stop()
    head = fresh_server.data / "ledger.head"
    kept = json.loads(head.read_bytes())
    head.write_text(json.dumps(kept | {"number": 1, "head": "ab" * 32}))
    fresh_server.start()
    fresh_server.until_it_says("the ledger cannot be signed: Block 1 is another one than it was")
    assert verdict(fresh_server.database)["findings"][0] == {
        "kind": "head",
        "id": "1",
        "problem": "it is not the head that was kept elsewhere",
    }
    head.write_text("rubbish")
    assert "cannot be read" in verdict(fresh_server.database)["findings"][0]["problem"]


def test_where_no_head_can_be_kept_it_signs_and_says_so_once(
    tmp_path: Path,
) -> None:
    nowhere = {"SAYSO_LEDGER_KEY_FILE": "/proc/ledger.key"}
    server = RunningServer(tmp_path, environment=nowhere)
    server.start()
    for number in range(3):
        ask(server)
        until_signed(server, number + 1, server.sign_in())
    server.stop()
    assert server.log.count("newest head cannot be kept in '/proc/ledger-") == 1
    told = verdict("--data", server.data, **nowhere)
    assert (told["ok"], told["unsigned"], told["kept"]) == (True, 0, None)


def test_an_idle_servers_database_can_be_retired(fresh_server: RunningServer, decided: str) -> None:
    status, _, err = audit("retire", "--before", "2100-01-01", "--data", fresh_server.data)
    assert status == 2
    assert "Another Sayso server" in err
    fresh_server.stop()
    status, out, _ = audit("retire", "--before", "2100-01-01", "--data", fresh_server.data)
    assert status == 0
    assert "Deleted 1 requests" in out
    told = verdict(fresh_server.database)
    assert (told["ok"], told["requests"]) == (True, 0)
    assert told["retired"] >= 2
    fresh_server.start()
    ask(fresh_server)
    until_signed(fresh_server, told["retired"] + 2, fresh_server.sign_in())
    assert verdict(fresh_server.database)["ok"]


class TestReplicas:
    @pytest.fixture(params=["postgres_dsn", "redis_url"])
    def address(self, request: pytest.FixtureRequest) -> str:
        return request.getfixturevalue(request.param)

    @pytest.fixture
    def replicas(self, tmp_path: Path, address: str) -> Generator[list[RunningServer]]:
        secret = tmp_path / "secret.key"
        servers = [
            RunningServer(
                tmp_path / name,
                environment={"SAYSO_SECRET_FILE": str(secret)},
                arguments=["--database-url", address],
                secret=secret,
            )
            for name in ("a", "b")
        ]
        for server in servers:
            server.start()
        yield servers
        for server in servers:
            server.stop()

    def test_two_processes_seal_one_log(
        self, replicas: list[RunningServer], address: str, tmp_path: Path
    ) -> None:
        def work(server: RunningServer) -> None:
            for _ in range(60):
                ask(server)

        for beside in [Beside(partial(work, server)) for server in replicas]:
            beside.result()
        head = until_signed(replicas[0], 121, replicas[0].sign_in())
        environment = {"SAYSO_SECRET_FILE": str(tmp_path / "secret.key")}
        told = verdict("--database-url", address, **environment)
        assert told["ok"], told["findings"]
        assert (told["events"], told["unsigned"], told["unbound"]) == (121, 0, 0)
        assert head["number"] == told["blocks"]
        bundle = tmp_path / "bundle.zip"
        status, _, err = audit("export", "-o", bundle, "--database-url", address, **environment)
        assert (status, err) == (0, "")
        assert verdict(bundle)["events"] == 121
        assert "cannot be signed" not in replicas[0].log + replicas[1].log


class TestHttp:
    def test_agents_may_see_the_keys_and_people_the_rest(
        self, server: RunningServer, person: Person
    ) -> None:
        request_id = ask(server)
        person.decide(request_id, "approve")
        story = person.http.get(f"/api/v1/audit/requests/{request_id}").json()
        until_signed(server, story["events"][-1]["event"]["id"], person.token)
        assert keys_of(server)["items"]
        story = person.http.get(f"/api/v1/audit/requests/{request_id}").json()
        types = [told["event"]["type"] for told in story["events"]]
        assert types == ["request.submitted", "request.decided"]
        assert [told["fits"] for told in story["events"]] == [True, True]
        assert story["bound"]
        reply = person.http.post("/api/v1/audit/export", json={"request_id": request_id})
        assert reply.headers["content-type"] == "application/zip", reply.text
        assert reply.content.startswith(b"PK")

    def test_an_agent_cannot_have_a_bundle(self, server: RunningServer) -> None:
        with server.http() as http:
            reply = http.post("/api/v1/audit/export", json={})
        assert reply.status_code == 401

    def test_a_page_of_blocks_tells_where_to_go_on(
        self, server: RunningServer, person: Person
    ) -> None:
        ask(server)
        first = until_signed(server, 1, person.token)
        page = person.http.get("/api/v1/audit/blocks", params={"limit": 1}).json()
        assert page["items"][0]["number"] == 1
        assert "hashes" not in page["items"][0]
        assert page["next"] in (None, 1)
        assert first["last"] >= 1


def test_powers_that_somebody_gave_themselves_in_the_database_are_named(
    fresh_server: RunningServer,
) -> None:
    """After all that changes users, keys, groups, rules, grants and stops everything fits."""
    person = Person(fresh_server)
    http = person.http

    def did(method: str, path: str, **body: Any) -> dict[str, Any]:
        reply = http.request(method, f"/api/v1{path}", json=body or None)
        assert reply.is_success, f"{method} {path}: {reply.text}"
        return reply.json()

    with add_account(fresh_server, "reviewer") as ada:
        did("PATCH", f"/users/{ada.id}", role="viewer", name="Ada")
        did("PATCH", f"/users/{ada.id}", disabled=True)
        did("PATCH", f"/users/{ada.id}", disabled=False, role="member")
        for member in (ada.id, ada.id):
            did("PUT", f"/groups/finance/members/{member}")
        key = did("POST", "/keys", label="bot")
        did("POST", f"/keys/{key['id']}/rotate")
        did("DELETE", f"/keys/{did('POST', '/keys', label='other')['id']}")
        for name in ("stays", "goes"):
            did("POST", "/rules", name=name, rule={"approvals": 2})
        did("DELETE", "/rules/goes")
        did("POST", "/rules", name="stays", rule={"approvals": 1})
        grants = [did("POST", "/standing-grants", tool_name=tool) for tool in ("a", "b")]
        did("DELETE", f"/standing-grants/{grants[0]['id']}")
        did("POST", "/stops", kind="client", value="ci", reason="mad")
        did("POST", "/stops", kind="session", value="s")
        did("DELETE", "/stops/session:s")
        request_id = ask(fresh_server)
        same = {"card": {"equals": "4242"}, "amount": {"equals": 3}}
        bound = {"budget": {"argument": "amount", "limit": 10}, "asked_by": "agent:local"}
        remembered = {"tool_name": "payments.pay", "args": same, "uses": 3, "seconds": 60, **bound}
        person.decide(request_id, "approve", remember=remembered)
        ask(fresh_server)  # which the grant answers
        page = person.http.get("/audit", params={"request": request_id}).text
    person.close()
    fresh_server.kill9()
    fits = verdict(fresh_server.database)
    assert fits["ok"], fits["findings"]
    assert fits["records"] >= 9
    remembers = "payments.pay(card, amount); 3 uses; 10 of amount in all; agent local; until "
    assert f"Remembers {remembers}" in page
    assert f"remembers {remembers}" in audit("show", request_id, "--data", fresh_server.data)[1]
    with closing(sqlite3.connect(fresh_server.database)) as database, database:
        done = database.execute(
            "UPDATE records SET body = replace(body, '\"member\"', '\"admin\"')"
            " WHERE kind = 'user' AND id = ?",
            (ada.id,),
        )
        assert done.rowcount == 1
    (finding,) = verdict(fresh_server.database)["findings"]
    assert (finding["kind"], finding["id"]) == ("record", f"user {ada.id}")
    assert "its role is 'admin'" in finding["problem"]
