"""Accounts that several servers share, and the first admin of a server that others can reach."""

import asyncio
import time
from collections.abc import Generator
from pathlib import Path

import pytest
from support.accounts import PASSWORD, Account, add_account, ask
from support.feed import Feed
from support.problems import told
from support.server import RunningServer, port_to_come_back_to


@pytest.fixture(params=["postgres_dsn", "redis_url"])
def replicas(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Generator[tuple[RunningServer, RunningServer]]:
    environment = {"SAYSO_DATABASE_URL": request.getfixturevalue(request.param)}
    first = RunningServer(tmp_path / "first", environment=environment).start()
    shared = {**environment, "SAYSO_SECRET_FILE": str(first.secret)}
    second = RunningServer(tmp_path / "second", environment=shared, secret=first.secret).start()
    yield first, second
    first.stop()
    second.stop()


@pytest.mark.anyio
async def test_what_ends_at_one_server_ends_at_the_other(
    replicas: tuple[RunningServer, RunningServer],
) -> None:
    first, second = replicas
    account = await asyncio.to_thread(add_account, first)
    key = account.key()
    with account, second.http(key["key"]) as agent, second.http(account.token) as member:
        ask(agent)
        assert member.get("/api/v1/me").json()["id"] == account.id
        bearer = f"Bearer {account.token}"
        async with Feed(second.url, authorization=bearer) as feed:
            account.http.delete(f"/api/v1/keys/{key['id']}")
            until = time.monotonic() + 60
            while agent.get("/api/v1/me").status_code == 200:
                assert time.monotonic() < until
                await asyncio.sleep(0.05)
            account.http.delete("/api/v1/logins/this")
            assert await feed.ends()
        told(member.get("/api/v1/me"), 401)
    with Account(second, account.username) as again:
        assert again.id == account.id


def test_the_settings_make_the_first_admin(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(PASSWORD + "\n")
    environment = {
        "SAYSO_HOST": "0.0.0.0",
        "SAYSO_ADMIN_USER": "ada",
        "SAYSO_ADMIN_PASSWORD_FILE": str(tmp_path / "password"),
    }
    port = port_to_come_back_to()
    server = RunningServer(tmp_path / "server", port=port, environment=environment).start()
    try:
        with Account(server, "ada") as ada, server.http() as nobody:
            assert ada.http.get("/api/v1/me").json()["role"] == "admin"
            told(nobody.get("/api/v1/requests"), 401)
            registering = {"username": "eve", "password": PASSWORD}
            told(nobody.post("/api/auth/register", json=registering), 403)
            change = {"password": "another good one", "current": PASSWORD}
            ada.http.post(f"/api/v1/users/{ada.id}/password", json=change)
        server.restart()
        with Account(server, "ada", "another good one") as ada:
            assert len(ada.http.get("/api/v1/users").json()["items"]) == 1
    finally:
        server.stop()
