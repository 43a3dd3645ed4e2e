"""What is tried too often is slowed down, and nobody is locked out by somebody else."""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from support.accounts import PASSWORD, Account, add_account
from support.problems import told
from support.server import RunningServer


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningServer]:
    """It believes a proxy on this machine, so that a test can come from anywhere."""
    environment = {"SAYSO_TRUSTED_PROXIES": "127.0.0.0/8,::1"}
    running = RunningServer(tmp_path_factory.mktemp("throttle"), environment=environment).start()
    yield running
    running.stop()


def log_in(
    server: RunningServer, username: str, password: str, address: str = "192.0.2.1"
) -> httpx2.Response:
    with server.http() as http:
        body = {"username": username, "password": password}
        return http.post("/api/auth/login", json=body, headers={"X-Forwarded-For": address})


def test_wrong_passwords_stop_their_sender_and_not_the_person(server: RunningServer) -> None:
    with add_account(server) as victim:
        answers = [log_in(server, victim.username, "wrong password") for _ in range(11)]
        assert [each.status_code for each in answers] == [401] * 10 + [429]
        assert told(answers[-1], 429)["code"] == "rate_limited"
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 300
        assert log_in(server, victim.username.upper(), PASSWORD).status_code == 429
        assert log_in(server, victim.username, PASSWORD, "192.0.2.2").status_code == 200
        assert victim.http.get("/api/v1/me").status_code == 200
        with add_account(server) as other:
            assert log_in(server, other.username, PASSWORD).status_code == 200


def test_an_address_that_was_made_up_does_not_help(server: RunningServer) -> None:
    """The proxy adds the address that it saw; what stands before that is anybody's word."""
    answers = [
        log_in(server, "somebody", "wrong password", f"10.0.0.{number}, 192.0.2.7")
        for number in range(11)
    ]
    assert answers[-1].status_code == 429


def test_a_network_of_ipv6_counts_as_one(server: RunningServer) -> None:
    answers = [
        log_in(server, "somebody", "wrong password", f"2001:db8::{number:x}")
        for number in range(1, 12)
    ]
    assert answers[-1].status_code == 429


def test_many_keys_that_are_none_stop_nobodys_key(server: RunningServer) -> None:
    with add_account(server) as account:
        key = account.key()["key"]
        with server.http() as http:
            wrong = {"X-API-Key": f"lk_pub_{0:064}"}
            answers = [http.get("/api/v1/me", headers=wrong).status_code for _ in range(61)]
            assert answers == [401] * 60 + [429]
            assert http.get("/api/v1/me", headers={"X-API-Key": key}).status_code == 200


def test_registering_is_limited(server: RunningServer) -> None:
    with server.http() as http:
        body = {"username": "first", "password": "short"}
        answers = [http.post("/api/auth/register", json=body).status_code for _ in range(31)]
    assert answers == [400] * 30 + [429]


def test_the_page_says_it_plainly(server: RunningServer) -> None:
    form = {"username": "somebody", "password": "wrong password"}
    with server.http() as http:
        pages = [http.post("/login", data=form) for _ in range(11)]
    assert [page.status_code for page in pages] == [401] * 10 + [429]
    assert "Try again in" in pages[-1].text
    assert "retry-after" in pages[-1].headers
    assert 'value="somebody"' in pages[0].text
    assert "wrong password" not in pages[0].text


def test_without_a_trusted_proxy_nobody_says_where_they_come_from(
    fresh_server: RunningServer,
) -> None:
    answers = [
        log_in(fresh_server, "somebody", "wrong password", f"192.0.2.{number}")
        for number in range(11)
    ]
    assert answers[-1].status_code == 429


def test_a_flood_of_sign_ins_leaves_the_others_alone(server: RunningServer) -> None:
    with add_account(server) as account:
        flood = [log_in(server, account.username, "wrong", f"198.51.100.{n}") for n in range(5)]
        assert {each.status_code for each in flood} == {401}
        assert isinstance(Account(server, account.username).token, str)


def test_strangers_at_the_same_address_slow_somebody_down_and_do_not_lock_them_out(
    server: RunningServer,
) -> None:
    with add_account(server) as account, ThreadPoolExecutor(8) as threads:
        invented = [f"nobody{number}" for number in range(64)]
        failed = threads.map(lambda name: log_in(server, name, "wrong password"), invented)
        assert {each.status_code for each in failed} == {401}
        assert log_in(server, account.username, PASSWORD).status_code == 200


def test_signing_in_often_is_no_failure(server: RunningServer) -> None:
    with add_account(server) as account:
        assert {log_in(server, account.username, PASSWORD).status_code for _ in range(12)} == {200}


def test_tries_at_once_count_as_many_as_one_after_the_other(server: RunningServer) -> None:
    with ThreadPoolExecutor(16) as threads:
        tries = [threads.submit(log_in, server, "somebody", "wrong password") for _ in range(16)]
        codes = [each.result().status_code for each in tries]
    assert sorted(codes) == [401] * 10 + [429] * 6
