"""The page of webhooks: added, tested, disabled, removed; what was sent, and sent again."""

import re
import uuid
from collections.abc import Generator

import pytest
from e2e.conftest import Ask, OpenInbox
from e2e.test_accessibility import serious
from e2e.test_settings_pages import entry, row_action
from playwright.sync_api import Page, expect
from support.person import Person
from support.server import RunningServer
from support.sink import TAKEN, Answer, Sink

pytestmark = pytest.mark.browser

SETTINGS = {"SAYSO_CALLBACK_NETWORKS": "127.0.0.0/8", "SAYSO_CALLBACK_RETRIES": "0.1"}
HOSTILE = "for \u202eevil\u202c <img src=x onerror='window.pwned = 1'>"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningServer]:
    """A server that may call this machine, and tries again once, soon."""
    running = RunningServer(tmp_path_factory.mktemp("server"), environment=SETTINGS).start()
    yield running
    running.stop()


@pytest.fixture
def sink() -> Generator[Sink]:
    with Sink() as running:
        yield running


@pytest.fixture
def path(person: Person) -> Generator[str]:
    """Where a test's webhook leads; all webhooks are removed after it."""
    yield f"/told-{uuid.uuid4().hex[:6]}"
    for each in listed(person):
        person.http.delete(f"/api/v1/webhooks/{each['id']}")


def fails_twice(number: int) -> Answer:
    return (500, {}, b"") if number <= 2 else TAKEN


def add(page: Page, url: str, description: str = "") -> str:
    """Its secret."""
    page.locator("summary", has_text="Add a webhook").click()
    page.get_by_label("URL").fill(url)
    page.get_by_label("What it is for").fill(description)
    page.get_by_role("button", name="Add the webhook").click()
    return page.locator("#made").inner_text()


@pytest.mark.parametrize("script", [True, False])
def test_a_webhook_is_added_shows_its_secret_once_and_is_removed(
    open_inbox: OpenInbox, person: Person, sink: Sink, path: str, script: bool
) -> None:
    page = open_inbox("/webhooks", script=script)
    page.locator("summary", has_text="Add a webhook").click()
    page.locator("summary", has_text="Only these events").click()
    page.get_by_label("request.decided").check()
    page.get_by_label("Only of the session").fill("nightly")
    page.get_by_label("URL").fill(sink.url + path)
    page.get_by_role("button", name="Add the webhook").click()
    secret = page.locator("#made").inner_text()
    assert secret.startswith("whsec_")
    expect(entry(page, path)).to_contain_text(
        "Told of request.decided, only of the session nightly"
    )
    (kept,) = [w for w in listed(person) if w["url"].endswith(path)]
    assert (kept["types"], kept["session_id"], kept["client_id"]) == (
        ["request.decided"],
        "nightly",
        None,
    )
    page.goto("/webhooks")
    expect(page.locator("#made")).to_have_count(0)
    row_action(page, path, "New secret", "Make a new secret")
    renewed = page.locator("#made").inner_text()
    assert renewed.startswith("whsec_")
    assert renewed != secret
    page.goto("/webhooks")
    assert secret not in page.content()
    assert renewed not in page.content()
    row_action(page, path, "Remove", "Remove it")
    expect(entry(page, path)).to_have_count(0)
    assert [w for w in listed(person) if w["url"].endswith(path)] == []


def test_loading_the_page_of_a_secret_again_makes_no_other_one(
    open_inbox: OpenInbox, person: Person, sink: Sink, path: str
) -> None:
    page = open_inbox("/webhooks", may_fail=True)
    add(page, sink.url + path)
    page.reload()
    expect(page.get_by_text("was sent before")).to_be_visible()
    expect(page.locator("#made")).to_have_count(0)
    assert len([w for w in listed(person) if str(w["url"]).endswith(path)]) == 1
    row_action(page, path, "New secret", "Make a new secret")
    expect(page.locator("#made")).to_be_visible()
    page.reload()
    expect(page.get_by_text("was sent before")).to_be_visible()
    expect(page.locator("#made")).to_have_count(0)


def listed(person: Person) -> list[dict[str, object]]:
    return person.http.get("/api/v1/webhooks").json()["items"]


def test_a_webhook_that_cannot_be_kept_says_why_and_keeps_what_was_typed(
    open_inbox: OpenInbox,
) -> None:
    page = open_inbox("/webhooks", script=False, may_fail=True)
    page.locator("summary", has_text="Add a webhook").click()
    page.get_by_label("URL").fill("http://10.0.0.1/told")
    page.get_by_label("What it is for").fill("the ledger")
    page.get_by_role("button", name="Add the webhook").click()
    expect(page.get_by_role("alert")).to_contain_text("SAYSO_CALLBACK_NETWORKS")
    expect(page.get_by_label("URL")).to_have_value("http://10.0.0.1/told")
    expect(page.get_by_label("What it is for")).to_have_value("the ledger")


def test_a_webhook_is_tested_disabled_and_enabled(
    open_inbox: OpenInbox, sink: Sink, path: str, ask: Ask
) -> None:
    page = open_inbox("/webhooks")
    add(page, sink.url + path)
    entry(page, path).get_by_role("button", name="Test").click()
    expect(entry(page, path)).to_contain_text("The test was taken, with the status 200.")
    assert b"webhook.test" in sink.meet(path)[0].body
    entry(page, path).get_by_role("button", name="Disable").click()
    expect(entry(page, path)).to_contain_text("Disabled: by ")
    ask("Not told?", session_id=path)
    entry(page, path).get_by_role("button", name="Enable").click()
    expect(entry(page, path).get_by_role("button", name="Disable")).to_be_visible()
    expect(entry(page, path)).not_to_contain_text("Disabled:")
    ask("Told?", session_id=path)
    bodies = [each.body for each in sink.meet(path, 2)]
    assert b"Told?" in bodies[1]
    assert not [body for body in bodies if b"Not told?" in body]


def test_what_was_given_up_shows_its_error_and_is_sent_again(
    open_inbox: OpenInbox, sink: Sink, path: str, ask: Ask
) -> None:
    sink.answers[path] = fails_twice
    page = open_inbox("/webhooks")
    add(page, sink.url + path)
    ask("Told?", session_id=path)
    sink.meet(path, 2)
    entry(page, path).get_by_role("link", name="what was sent").click()
    dead = page.get_by_role("link", name="Given up", exact=True)
    dead.click()
    while page.locator(".entry").count() == 0:
        page.reload()
    expect(page.locator(".entry")).to_contain_text("status 500")
    expect(page.locator(".entry")).to_contain_text("request.submitted")
    page.get_by_role("button", name="Send again").click()
    expect(page).to_have_url(re.compile("webhook=wh_"))
    sink.meet(path, 3)
    while "Taken" not in page.locator(".entry").inner_text():
        page.reload()
    dead.click()
    expect(page.get_by_text("Nothing here.")).to_be_visible()


def test_a_hostile_description_shows_as_text_and_names_stand_for_ids(
    open_inbox: OpenInbox, person: Person, server: RunningServer, sink: Sink, path: str
) -> None:
    made = person.http.post("/api/v1/keys", json={"label": f"Ops {path}", "scope": "admin"}).json()
    body = {"url": sink.url + path, "description": HOSTILE}
    with server.http(made["key"]) as http:
        assert http.post("/api/v1/webhooks", json=body).status_code == 201
    page = open_inbox("/webhooks")
    row = entry(page, path)
    expect(row).to_contain_text("<img src=x")
    expect(row.locator("mark.vis-bidi").first).to_have_text("RLO")
    assert "\u202e" not in row.inner_text()
    assert row.locator("img").count() == 0
    expect(row.get_by_text(f"Ops {path}", exact=True)).to_have_attribute("title", made["agent_id"])


def test_only_an_admin_comes_to_the_page_and_only_from_it(
    open_inbox: OpenInbox, people: dict[str, str], server: RunningServer, sink: Sink, path: str
) -> None:
    for name in people:
        page = open_inbox("/settings", user=name, may_fail=True)
        places = page.get_by_role("navigation", name="Settings")
        expect(places.get_by_role("link", name="Webhooks")).to_have_count(0)
        for place in ("/webhooks", "/webhooks/deliveries"):
            page.goto(place)
            expect(page.get_by_text("power_required")).to_be_visible()
        for verb in ("", "/rotate", "/enable", "/disable", "/test", "/remove", "/replay"):
            form = {"id": "wh_x", "url": sink.url + path}
            refused = page.request.post(
                f"/webhooks{verb}", form=form, headers={"Origin": server.url}
            )
            assert (refused.status, "power_required" in refused.text()) == (403, True), verb
    page = open_inbox("/webhooks")
    for verb in ("", "/rotate", "/enable", "/disable", "/test", "/remove", "/replay"):
        forged = page.request.post(
            f"/webhooks{verb}",
            form={"id": "wh_x", "url": sink.url + path},
            headers={"Origin": "https://evil.example"},
        )
        assert forged.status == 403, verb
    page.goto("/webhooks")
    expect(entry(page, path)).to_have_count(0)


@pytest.mark.parametrize(("width", "theme"), [(390, "light"), (1280, "dark")])
def test_axe_finds_nothing_serious_on_them(
    open_inbox: OpenInbox, person: Person, sink: Sink, path: str, ask: Ask, width: int, theme: str
) -> None:
    path = f"{path}?{'x' * 300}"
    sink.answers[path] = fails_twice
    long = {"url": sink.url + path, "description": HOSTILE + "y" * 120}
    assert person.http.post("/api/v1/webhooks", json=long).status_code == 201
    ask("Told?", session_id="s" * 120)
    sink.meet(path, 2)
    page = open_inbox("/webhooks", width=width, theme=theme)
    for place in ("/webhooks", "/webhooks/deliveries"):
        page.goto(place)
        for opener in page.locator("details.plain-form > summary, .raw-details > summary").all():
            if opener.is_visible():
                opener.click()
        assert serious(page) == [], place
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), place
