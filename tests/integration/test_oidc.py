"""Signing in at an OpenID provider, which is real but for its people, and lies on demand."""

import time
from collections.abc import Generator
from typing import Any

import httpx2
import pytest
from support.provider import CLIENT_ID, CLIENT_SECRET, Provider
from support.server import RunningServer

START = "/login/oidc"


@pytest.fixture(scope="module")
def provider() -> Generator[Provider]:
    with Provider() as running:
        yield running


@pytest.fixture(scope="module")
def server(
    provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Generator[RunningServer]:
    folder = tmp_path_factory.mktemp("oidc")
    (folder / "secret").write_text(CLIENT_SECRET + "\n")
    environment = {
        "SAYSO_OIDC_ISSUER": provider.url,
        "SAYSO_OIDC_CLIENT_ID": CLIENT_ID,
        "SAYSO_OIDC_CLIENT_SECRET_FILE": str(folder / "secret"),
        "SAYSO_OIDC_DOMAINS": "example.com,example.org",
        "SAYSO_OIDC_ROLE": "reviewer",
    }
    running = RunningServer(folder, environment=environment).start()
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def honest(provider: Provider) -> Generator[None]:
    yield
    provider.honest()


def answer_of(browser: httpx2.Client) -> str:
    """Leave for the provider; the address by which it sends the browser back."""
    left = browser.get(START)
    assert left.status_code == 303, left.text
    with httpx2.Client(verify=False, timeout=60) as there:
        return there.get(left.headers["location"]).headers["location"]


def signed_in(browser: httpx2.Client) -> dict[str, Any]:
    came_back = browser.get(answer_of(browser))
    assert (came_back.status_code, came_back.headers["location"]) == (303, "/"), came_back.text
    return browser.get("/api/v1/me").json()


def refused(browser: httpx2.Client, status: int = 401) -> str:
    came_back = browser.get(answer_of(browser))
    assert came_back.status_code == status, came_back.text
    assert browser.get("/api/v1/me").json()["plane"] == "agent"
    return came_back.text


def test_the_page_offers_it_and_somebody_comes_in(server: RunningServer) -> None:
    with server.http() as browser, server.http() as again:
        assert "Sign in with 127.0.0.1" in browser.get("/login").text
        me = signed_in(browser)
        assert (me["name"], me["role"], me["strength"]) == ("Grace", "reviewer", "login")
        assert signed_in(again)["id"] == me["id"]


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another"},
        {"aud": ["another", "third"]},
        {"aud": [CLIENT_ID, "another"]},
        {"azp": "another"},
        {"iss": "https://another.example"},
        {"exp": int(time.time()) - 3_600},
        {"exp": None},
        {"iat": int(time.time()) + 86_400},
        {"sub": ""},
    ],
)
def test_a_token_that_is_not_meant_for_this_is_refused(
    server: RunningServer, provider: Provider, claims: dict[str, Any]
) -> None:
    provider.claims = claims
    with server.http() as browser:
        assert "not meant for this sign-in" in refused(browser)


@pytest.mark.parametrize("how", ["unsigned", "signed_with_its_public_key", "signed_by_another"])
def test_a_token_that_the_provider_has_not_signed_is_refused(
    server: RunningServer, provider: Provider, how: str
) -> None:
    provider.sign = getattr(provider, how)
    with server.http() as browser:
        assert "not signed by it" in refused(browser)


def test_an_answer_is_good_once_and_for_the_browser_that_asked(server: RunningServer) -> None:
    with server.http() as browser, server.http() as thief:
        answer = answer_of(browser)
        cookies = dict(browser.cookies)
        assert thief.get(answer).status_code == 401
        answer_of(thief)
        assert thief.get(answer).status_code == 401
        assert browser.get(answer).status_code == 303
        thief.cookies.clear()
        for name, value in cookies.items():
            thief.cookies.set(name, value)
        assert thief.get(answer).status_code == 401
        assert browser.get(answer).status_code == 401


@pytest.mark.parametrize("query", ["", "?error=access_denied", "?state=a&code=b", "?code=b"])
def test_no_answer_signs_nobody_in(server: RunningServer, query: str) -> None:
    with server.http() as browser:
        browser.get(START)
        page = browser.get(f"{START}/callback{query}")
        assert page.status_code == 401
        assert "Sign in" in page.text


@pytest.mark.parametrize(
    "claims",
    [
        {"email": "eve@evil.example"},
        {"email": "eve@example.com.evil.example"},
        {"email_verified": False},
        {"email_verified": "true"},
        {"email": None},
    ],
)
def test_only_verified_addresses_of_our_domains_come_in(
    server: RunningServer, provider: Provider, claims: dict[str, Any]
) -> None:
    provider.claims = {"sub": "eve", **claims}
    with server.http() as browser:
        assert "verified address" in refused(browser, 403)


def test_an_account_that_somebody_holds_is_not_taken_over(
    server: RunningServer, provider: Provider
) -> None:
    admin = server.http(server.sign_in())
    held = {"username": "held@example.com", "password": "correct horse battery"}
    invited = {"username": "invited@example.org", "role": "viewer"}
    for body in (held, invited):
        assert admin.post("/api/v1/users", json=body).status_code == 201
    provider.claims = {"sub": "mallory", "email": "held@example.com"}
    with server.http() as browser:
        assert "somebody else" in refused(browser, 403)
    provider.claims = {"sub": "new", "email": "invited@example.org"}
    with server.http() as browser:
        assert signed_in(browser)["role"] == "viewer"
    provider.claims = {"sub": "third", "email": "invited@example.org"}
    with server.http() as browser:
        refused(browser, 403)
    admin.close()


def test_whoever_is_disabled_stays_out(server: RunningServer, provider: Provider) -> None:
    provider.claims = {"sub": "leaver", "email": "leaver@example.com"}
    admin = server.http(server.sign_in())
    with server.http() as browser:
        me = signed_in(browser)
        admin.patch(f"/api/v1/users/{me['id']}", json={"disabled": True})
        refused_page = browser.get(answer_of(browser))
        assert refused_page.status_code == 403
    admin.close()
