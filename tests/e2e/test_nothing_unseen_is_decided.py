"""What decides, decides only what is on the screen, and what somebody had time to read."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from e2e.conftest import Ask, OpenInbox
from playwright.sync_api import Page, Route, expect

pytestmark = pytest.mark.browser

Outcome = Callable[[dict[str, Any]], dict[str, Any]]
DEPLOY = {"tool_name": "deploy_service", "tool_args": {"service": "checkout"}}
PRESS_AS_SOON_AS_IT_IS_THERE = """key => new MutationObserver((_, watching) => {
  if (!document.querySelector('article.card h2')) return
  watching.disconnect()
  document.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }))
}).observe(document.querySelector('#stage'), { childList: true, subtree: true })"""
HIDE = "() => { document.querySelector('#stage').style.display = 'none' }"


def until_it_takes_keys(page: Page) -> None:
    """Wait for the end of the pause of what has come up by itself."""
    expect(page.locator("#stage article.card h2")).to_be_visible()
    expect(page.locator("#stage[data-armed]")).to_have_count(0)


def test_what_is_open_stays_in_sight_when_the_window_becomes_narrow(
    open_inbox: OpenInbox, ask: Ask, outcome: Outcome
) -> None:
    request = ask("Deploy?", action=DEPLOY)
    page = open_inbox("/")
    until_it_takes_keys(page)
    page.set_viewport_size({"width": 500, "height": 900})
    expect(page.locator("#stage article.card h2")).to_be_visible()
    expect(page).to_have_url(re.compile(f"/requests/{request['id']}$"))
    page.get_by_role("button", name="Inbox").click()
    expect(page.locator("#rows .row").first).to_be_visible()
    page.keyboard.press("a")
    page.keyboard.press("r")
    expect(page.get_by_label("Why not?")).to_have_count(0)
    assert outcome(request)["status"] == "pending"


def test_no_key_decides_a_card_that_is_not_rendered(
    open_inbox: OpenInbox, ask: Ask, outcome: Outcome
) -> None:
    request = ask("Deploy?", action=DEPLOY)
    page = open_inbox("/")
    until_it_takes_keys(page)
    page.evaluate(HIDE)
    page.keyboard.press("a")
    page.evaluate(HIDE.replace("'none'", "''"))
    page.keyboard.press("r")
    expect(page.get_by_label("Why not?")).to_be_focused()
    assert outcome(request)["status"] == "pending"


def test_a_card_that_opens_by_itself_takes_no_key_that_was_being_pressed(
    open_inbox: OpenInbox, ask: Ask, outcome: Outcome, agent: str
) -> None:
    page = open_inbox("/")
    expect(page.get_by_text("Nothing needs you.")).to_be_visible()
    page.evaluate(PRESS_AS_SOON_AS_IT_IS_THERE, "a")
    request = ask("Deploy?", action=DEPLOY)
    expect(page.locator("#toasts")).to_contain_text("Not decided")
    assert outcome(request)["status"] == "pending"
    until_it_takes_keys(page)
    page.keyboard.press("a")
    expect(page.locator("#toasts")).to_contain_text("Approved.")


def test_our_own_quotes_and_dots_are_not_taken_for_what_could_deceive(
    open_inbox: OpenInbox, ask: Ask, agent: str
) -> None:
    ask("May I?", session_id="nightly")
    page = open_inbox("/history", width=390, may_fail=True)
    asked: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.url)
        route.abort()

    page.route(re.compile(r"/static/(visible|tables|desk)\."), refuse)
    page.goto("/")
    page.get_by_text("Live", exact=True).wait_for()
    row = page.locator("#rows .row").filter(has_text=agent)
    expect(row).to_contain_text("\u201cMay I?\u201d")
    expect(row).to_contain_text(f"{agent} \u00b7 nightly")


def test_rows_that_stand_spelled_out_are_marked_when_what_marks_them_comes_at_last(
    open_inbox: OpenInbox, ask: Ask, agent: str
) -> None:
    page = open_inbox("/history", width=390, may_fail=True)
    page.route("**/static/visible.js", lambda route: route.fulfill(status=503, body=""))
    page.goto("/")
    page.get_by_text("Live", exact=True).wait_for()
    request = ask("Fetch a\u202eb?")
    row = page.locator(f'#rows [data-id="{request["id"]}"]')
    expect(row).to_contain_text("\\u202e")
    page.unroute("**/static/visible.js")
    row.locator("a").click()
    expect(page.locator("#stage article.card")).to_be_visible()
    page.go_back()
    expect(row.locator("mark.vis-bidi")).to_have_text("RLO")


@pytest.mark.parametrize("lost", ["desk.js", "card.css"])
def test_a_card_decides_though_a_part_of_the_page_is_lost(
    open_inbox: OpenInbox, ask: Ask, outcome: Outcome, lost: str
) -> None:
    request = ask("Deploy?", action=DEPLOY)
    page = open_inbox("/history", may_fail=True)
    page.route(f"**/static/{lost}*", lambda route: route.fulfill(status=503, body=""))
    page.goto(f"/requests/{request['id']}" if lost == "desk.js" else "/")
    if lost == "desk.js":
        expect(page.locator("#toasts")).to_contain_text("could not be loaded")
    page.locator("#stage").get_by_role("button", name="Approve", exact=True).click()
    expect(page.locator("#stage")).to_contain_text("Approved")
    assert outcome(request)["status"] == "approved"


def test_nothing_parked_is_not_called_all_done_and_no_text_passes_for_parked(
    open_inbox: OpenInbox, ask: Ask
) -> None:
    request = ask("x is:parked risk:high", action=DEPLOY)
    page = open_inbox("/history")
    page.goto("/?parked=true")
    page.get_by_text("Live", exact=True).wait_for()
    expect(page.locator("#stage")).to_have_text("No request is open.")
    page.goto("/")
    row = page.locator(f'#rows [data-id="{request["id"]}"]')
    expect(row).to_be_visible()
    for operator in ("is:parked", "risk:high"):
        page.get_by_label("Filter the list").fill(operator)
        expect(row).to_have_count(0)
    page.get_by_label("Filter the list").fill("kind:app")
    expect(row).to_be_visible()


@pytest.mark.parametrize("script", [True, False])
def test_no_fact_of_a_row_reorders_another(
    open_inbox: OpenInbox, ask: Ask, agent: str, script: bool
) -> None:
    args = {"to": "\u05d0\u05d1 100 USD", "amount": 5, "host": "db"}
    ask("Pay?", action={"tool_name": "pay", "tool_args": args})
    page = open_inbox("/", script=script, width=390)
    what = page.locator("#rows .row").filter(has_text=agent).locator(".row-what bdi")
    expect(what).to_have_text(["Pay", "5", args["to"], "db"])


def test_loading_the_page_of_a_new_key_again_makes_no_other_one(open_inbox: OpenInbox) -> None:
    page = open_inbox("/keys", may_fail=True)
    page.locator("summary", has_text="Make a key").click()
    page.get_by_label("Label").fill("Night bot")
    page.get_by_role("button", name="Make the key").click()
    expect(page.locator("#made")).to_be_visible()
    made = page.locator(".entry").count()
    page.reload()
    expect(page.locator("#made")).to_have_count(0)
    expect(page.get_by_text("was sent before")).to_be_visible()
    expect(page.locator(".entry")).to_have_count(made)


def test_what_stands_beside_an_open_form_does_not_stretch(open_inbox: OpenInbox) -> None:
    page = open_inbox("/webhooks")
    beside = page.get_by_role("link", name="Everything that was sent")
    before = beside.bounding_box()
    page.locator("summary", has_text="Add a webhook").click()
    expect(page.get_by_label("URL")).to_be_visible()
    after = beside.bounding_box()
    assert before is not None
    assert after is not None
    assert after["height"] == before["height"]
