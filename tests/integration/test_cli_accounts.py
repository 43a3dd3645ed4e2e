"""`sayso users`, `keys`, `groups`, `sessions` and `login`: beside a server, and without one."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from served import ENVIRONMENT, Served
from support import warm
from support.columns import rows_of

PASSWORD = "correct horse battery"


def sayso(
    data: Path, *words: str, given: str = PASSWORD, **environment: str
) -> subprocess.CompletedProcess[str]:
    told = {**ENVIRONMENT, "SAYSO_DATA": str(data), **environment}
    return warm.run(*words, environment=told, given=given + "\n", timeout=90)


def done(run: subprocess.CompletedProcess[str]) -> str:
    assert (run.returncode, run.stderr) == (0, ""), run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("cli") / "data") as running:
        yield running


def test_the_first_admin_is_made_before_the_first_start(tmp_path: Path) -> None:
    data = tmp_path / "data"
    added = json.loads(done(sayso(data, "users", "add", "ada", "--admin", "--json")))
    assert (added["username"], added["role"], added["has_password"]) == ("ada", "admin", True)
    again = sayso(data, "users", "add", "Ada")
    assert again.returncode == 2
    assert "taken" in again.stderr
    weak = sayso(data, "users", "add", "eve", given="short")
    assert weak.returncode == 2
    assert "8 characters" in weak.stderr
    with Served(data) as running:
        environment = {"SAYSO_URL": running.url}
        token = done(sayso(data, "login", "ada", **environment)).strip()
        own = {**environment, "SAYSO_TOKEN": token}
        (session,) = rows_of(done(sayso(data, "sessions", "list", "--mine", **own)))
        assert session["NAME"] == "ada"
        ended = done(sayso(data, "sessions", "end", "--user", "ada", **environment))
        assert ended == "1 ended\n"
        assert sayso(data, "users", "list", **own).returncode == 2


def test_accounts_are_managed_beside_a_running_server(served: Served) -> None:
    data, url = served.data, {"SAYSO_URL": served.url}
    done(sayso(data, "users", "add", "grace", "--role", "reviewer", "--name", "Grace H", **url))
    done(sayso(data, "users", "role", "grace", "admin", **url))
    done(sayso(data, "users", "password", "grace", given="another good one", **url))
    done(sayso(data, "groups", "add", "finance", "grace", **url))
    (row,) = rows_of(done(sayso(data, "groups", "list", **url)))
    assert (row["GROUP"], row["USER"]) == ("finance", "grace")
    done(sayso(data, "groups", "remove", "finance", "grace", **url))
    none = sayso(data, "groups", "list", **url)
    assert (none.returncode, none.stdout) == (0, "")
    assert "sayso groups add GROUP USERNAME" in none.stderr
    done(sayso(data, "users", "add", "ida", "--admin", **url))
    done(sayso(data, "users", "disable", "grace", **url))
    rows = rows_of(done(sayso(data, "users", "list", **url)))
    assert [(row["USER"], row["ROLE"], row["STATE"]) for row in rows] == [
        ("grace", "admin", "disabled"),
        ("ida", "admin", "active"),
    ]
    refused = sayso(data, "login", "grace", given="another good one", **url)
    assert refused.returncode == 2
    done(sayso(data, "users", "disable", "grace", "--undo", **url))
    assert done(sayso(data, "login", "grace", given="another good one", **url)).count(".") == 2


def test_keys_are_managed(served: Served) -> None:
    data, url = served.data, {"SAYSO_URL": served.url}
    sessions = done(sayso(data, "sessions", "list", "--mine", **url)).count("\n")
    key_id, key = done(sayso(data, "keys", "create", "--label", "bot", **url)).split()
    with served.client() as nobody:
        assert nobody.me().id == "local"
    new_id, new = done(sayso(data, "keys", "rotate", key_id, **url)).split()
    old = sayso(data, "requests", "list", SAYSO_API_KEY=key, **url)
    assert old.returncode == 2
    assert sayso(data, "requests", "list", SAYSO_API_KEY=new, **url).returncode == 0
    listed = rows_of(done(sayso(data, "keys", "list", **url)))
    rows = [row for row in listed if row["ID"] in (key_id, new_id)]
    assert [row["STATE"] for row in rows] == ["expired", "active"]
    assert {row["OWNER"] for row in rows} == {"local reviewer"}
    done(sayso(data, "keys", "revoke", new_id, **url))
    assert sayso(data, "requests", "list", SAYSO_API_KEY=new, **url).returncode == 2
    left = done(sayso(data, "sessions", "list", "--mine", **url)).count("\n")
    assert left == sessions, "Each command ends the session that it began."


def test_no_scope_is_offered_that_would_be_refused(tmp_path: Path) -> None:
    offered = done(sayso(tmp_path, "keys", "create", "--help"))
    assert "reader" in offered
    assert "local]" not in offered
    refused = sayso(tmp_path, "keys", "create", "--scope", "local")
    assert refused.returncode == 2
    assert "admin" in refused.stderr


def test_both_clients_manage_keys(served: Served) -> None:
    with served.person() as person:
        made = person.create_key(label="bot", client_id="ci")
        assert made.key.startswith(made.shown)
        new = person.rotate_key(made.id, overlap_seconds=60)
        assert new.replaces == made.id
        assert not person.revoke_key(new.id).is_active
        keys = person.keys()
        assert {made.id, new.id} <= {key.id for key in keys}
        assert person.me().plane == "person"
