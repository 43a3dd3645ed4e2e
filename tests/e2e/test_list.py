"""The list by itself: what a browser fetches for it, keys before a card is there, the parked."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from e2e.conftest import Ask, OpenInbox
from e2e.test_accessibility import serious
from playwright.sync_api import Page, Route, expect
from support.server import RunningServer

pytestmark = pytest.mark.browser

Outcome = Callable[[dict[str, Any]], dict[str, Any]]
DEPLOY = {"tool_name": "deploy_service", "tool_args": {"service": "checkout"}}
MOST_BYTES = 30 * 1024
"""Of the document, the styles and the scripts, as they are sent, with their headers."""
OF_THE_CARD = re.compile(
    r"/static/(desk|card|args|diff|visible|tables|review|editor|forms|remember|signing|passkey)\."
)


class Fetched:
    """What a page fetches, by address, with how many bytes came over the wire."""

    def __init__(self, page: Page) -> None:
        self.bytes: dict[str, int] = {}
        self._page = page
        names: dict[str, str] = {}
        kinds = {"Document", "Stylesheet", "Script"}

        def begun(event: dict[str, Any]) -> None:
            if event["type"] in kinds:
                names[event["requestId"]] = event["response"]["url"]

        def ended(event: dict[str, Any]) -> None:
            if event["requestId"] in names:
                self.bytes[names[event["requestId"]]] = event["encodedDataLength"]

        self.wire = page.context.new_cdp_session(page)
        self.wire.on("Network.responseReceived", begun)
        self.wire.on("Network.loadingFinished", ended)
        self.wire.send("Network.enable")
        self.wire.send("Network.setCacheDisabled", {"cacheDisabled": True})

    @property
    def first(self) -> dict[str, int]:
        """Without what is only for cards."""
        return {url: size for url, size in self.bytes.items() if not OF_THE_CARD.search(url)}

    def stop(self) -> None:
        """Leave the page as it was."""
        self.wire.send("Network.setCacheDisabled", {"cacheDisabled": False})
        self.wire.detach()


def hold(page: Page, what: str | re.Pattern[str]) -> list[Route]:
    """Keep what matches from coming, until it is let go."""
    held: list[Route] = []

    def keep(route: Route) -> None:
        held.append(route)

    page.route(what, keep)
    return held


def let_go(page: Page, held: list[Route]) -> None:
    """Let it come, as soon as it was asked for."""
    while not held:
        page.wait_for_timeout(20)
    while held:
        held.pop().continue_()


def test_the_first_load_of_the_list_stays_below_its_goal(open_inbox: OpenInbox, ask: Ask) -> None:
    """Whatever the list takes until it is live, with an empty cache.

    What belongs to a card is fetched afterwards, while nobody waits. Here it never comes: a list
    that needed any of it would not be drawn.
    """
    for n in range(3):
        ask("Deploy?", action={**DEPLOY, "tool_args": {"service": "M\u00fcller", "replicas": n}})
    page = open_inbox("/history", width=390)
    held = hold(page, OF_THE_CARD)
    fetched = Fetched(page)
    page.goto("/")
    page.get_by_text("Live", exact=True).wait_for()
    expect(page.locator("#rows .row").first).to_contain_text("Deploy service \u00b7 M\u00fcller")
    let_go(page, held)
    fetched.stop()
    names = {urlsplit(url).path.rpartition("/")[2] for url in fetched.first}
    assert {"", "app.css", "main.js", "fence.js"} <= names
    assert sum(fetched.first.values()) < MOST_BYTES, fetched.first


def test_keys_pressed_before_the_card_is_there_are_not_lost(
    open_inbox: OpenInbox, ask: Ask, outcome: Outcome
) -> None:
    request = ask("Deploy?", action=DEPLOY)
    page = open_inbox("/history", width=390)
    held = hold(page, "**/static/desk.js")
    page.goto("/")
    expect(page.locator(f'[data-id="{request["id"]}"]')).to_be_visible()
    page.get_by_text("Live", exact=True).wait_for()
    page.keyboard.press("j")
    page.keyboard.press("r")
    expect(page).to_have_url(re.compile("/requests/"))
    expect(page.locator("#stage .skeleton")).to_be_visible()
    let_go(page, held)
    expect(page.get_by_label("Why not?")).to_be_focused()
    assert outcome(request)["status"] == "pending"


def test_a_key_that_would_decide_is_not_taken_for_a_card_that_nobody_saw(
    open_inbox: OpenInbox, ask: Ask, outcome: Outcome
) -> None:
    request = ask("Deploy?", action=DEPLOY)
    page = open_inbox("/history", width=390)
    held = hold(page, "**/static/desk.js")
    page.goto("/")
    page.get_by_text("Live", exact=True).wait_for()
    page.keyboard.press("j")
    page.keyboard.press("a")
    let_go(page, held)
    expect(page.locator("#toasts")).to_contain_text("Not decided")
    expect(page.locator("#stage article h2")).to_be_focused()
    assert outcome(request)["status"] == "pending"
    page.keyboard.press("a")
    expect(page.locator("#toasts")).to_contain_text("Approved.")


def test_a_card_that_cannot_be_fetched_says_so_and_opens_when_it_can(
    open_inbox: OpenInbox, ask: Ask
) -> None:
    ask("Deploy?", action=DEPLOY)
    page = open_inbox("/history", width=390, may_fail=True)
    page.route("**/static/desk.js", lambda route: route.abort())
    page.goto("/")
    page.get_by_text("Live", exact=True).wait_for()
    page.keyboard.press("j")
    expect(page.get_by_text("The request could not be opened.")).to_be_visible()
    page.get_by_role("button", name="Back to the inbox").click()
    page.unroute("**/static/desk.js")
    page.locator("#rows a").first.click()
    expect(page.locator("#stage article")).to_be_visible()


def test_hostile_text_in_the_list_is_marked_as_soon_as_what_marks_it_is_there(
    open_inbox: OpenInbox, ask: Ask, agent: str
) -> None:
    tool = {"tool_name": "fetch_file", "tool_args": {"file": "invoice_\u202efdp.exe"}}
    page = open_inbox("/history", width=390)
    held = hold(page, "**/static/visible.js")
    page.goto("/")
    page.get_by_text("Live", exact=True).wait_for()
    ask("Fetch?", action=tool)
    row = page.locator("#rows .row").filter(has_text=agent)
    expect(row).to_contain_text("invoice_\\u202efdp.exe")
    assert "\u202e" not in row.inner_text()
    let_go(page, held)
    expect(row.locator("mark.vis-bidi")).to_have_text("RLO")


@pytest.mark.parametrize("script", [True, False])
def test_the_list_is_narrowed_to_what_is_parked(
    open_inbox: OpenInbox, ask: Ask, agent: str, outcome: Outcome, script: bool
) -> None:
    parked = ask("Nobody?", action=DEPLOY, timeout_seconds=1, on_timeout="park")
    waiting = ask("Deploy?", action={**DEPLOY, "tool_name": "water_plants"})
    page = open_inbox("/", script=script)
    rows = page.locator("#rows .row").filter(has_text=agent)
    expect(rows).to_have_count(2)
    tabs = page.get_by_role("navigation", name="Which of them")
    while outcome(parked)["parked_at"] is None:
        page.wait_for_timeout(100)
    tabs.get_by_role("link", name="Parked").click()
    expect(page).to_have_url(re.compile(r"\?parked=true$"))
    expect(tabs.get_by_role("link", name="Parked")).to_have_attribute("aria-current", "true")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("Deploy service")
    page.reload()
    expect(rows).to_have_count(1)
    tabs.get_by_role("link", name="All").click()
    expect(rows).to_have_count(2)
    if script:
        page.get_by_label("Filter the list").fill("is:parked")
        expect(page.locator(f'#rows [data-id="{waiting["id"]}"]')).to_have_count(0)
        expect(page.locator(f'#rows [data-id="{parked["id"]}"]')).to_be_visible()


@pytest.mark.parametrize(("width", "theme"), [(390, "dark"), (1440, "light")])
def test_nothing_parked_has_words_of_its_own(
    open_inbox: OpenInbox, ask: Ask, width: int, theme: str
) -> None:
    ask("Deploy?", action=DEPLOY)
    page = open_inbox("/history", width=width, theme=theme)
    page.goto("/?parked=true")
    expect(page.get_by_text("Nothing is parked.")).to_be_visible()
    expect(page.get_by_text("Nothing needs you.")).to_have_count(0)
    page.get_by_text("Live", exact=True).wait_for()
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_parked_filter_that_makes_no_sense_is_refused(open_inbox: OpenInbox) -> None:
    page = open_inbox("/history", may_fail=True)
    reply = page.goto("/?parked=maybe")
    assert reply is not None
    assert reply.status == 422


def test_whose_agent_asks_is_told_by_name_also_when_it_asks_later(
    open_inbox: OpenInbox, people: dict[str, str], server: RunningServer
) -> None:
    grace = next(iter(people))
    page = open_inbox("/")
    theirs = open_inbox("/keys", user=grace, may_fail=True)
    theirs.locator("summary", has_text="Make a key").click()
    theirs.get_by_label("Label").fill("Night bot")
    theirs.get_by_role("button", name="Make the key").click()
    with server.http(theirs.locator("#made").inner_text()) as agent:
        asked = agent.post("/api/v1/requests", json={"message": "May I?", "action": DEPLOY}).json()
    page.locator(f'#rows [data-id="{asked["id"]}"] a').click()
    who = page.get_by_role("complementary", name="Context").locator("dd")
    expect(who.nth(0)).to_have_text("Night bot")
    expect(who.nth(0)).to_have_attribute("title", asked["requested_by"]["id"])
    expect(who.nth(1)).to_have_text(grace.capitalize().replace("-", " "))
    expect(who.nth(1).locator("span")).to_have_attribute("title", people[grace])
