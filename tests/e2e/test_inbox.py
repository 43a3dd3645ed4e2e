"""The inbox in a real browser: what a person sees, does, and cannot do by accident."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from e2e.conftest import Ask, OpenInbox, hold
from playwright.sync_api import Page, expect
from support.person import Person
from support.server import RunningServer

pytestmark = pytest.mark.browser

Outcome = Callable[[dict[str, Any]], dict[str, Any]]
DEPLOY = {
    "tool_name": "deploy_service",
    "tool_args": {"service": "checkout", "version": "v2.1.0", "replicas": 6},
    "risk_class": "medium",
}
TRANSFER = {
    "tool_name": "wire_transfer",
    "tool_args": {"amount": 12500, "currency": "EUR", "recipient": "Harbour Freight GmbH"},
    "risk_class": "high",
}
REGIONS = [
    {"label": "Frankfurt", "value": "eu", "approves": True},
    {"label": "Nowhere", "value": "none", "approves": False},
]
FORM = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "title": "Full name", "minLength": 2},
        "email": {"type": "string", "format": "email", "title": "E-mail"},
        "guests": {"type": "integer", "minimum": 1, "maximum": 12, "default": 2},
        "room": {"type": "string", "enum": ["quiet", "garden"]},
        "invoice": {"type": "boolean", "title": "Send an invoice"},
    },
    "required": ["name", "email", "guests", "room"],
}


HOLDING = re.compile("holding")
SHORT_PRESS = """button => {
    for (const type of ['pointerdown', 'pointerup']) button.dispatchEvent(new PointerEvent(type))
}"""
"""Too short for any machine that stalls in between."""


def card(page: Page):
    return page.locator("#stage article")


def button(page: Page, name: str):
    return card(page).get_by_role("button", name=name, exact=True)


def toast(page: Page, text: str) -> None:
    expect(page.locator("#toasts")).to_contain_text(text)


def test_the_link_signs_in_and_shows_the_inbox(open_inbox: OpenInbox) -> None:
    page = open_inbox()
    expect(page.get_by_role("heading", name="Waiting")).to_be_visible()
    assert "token" not in page.url


def test_without_signing_in_the_inbox_tells_how_to(open_inbox: OpenInbox) -> None:
    page = open_inbox(signed_in=False)
    expect(page.get_by_text("sayso login-link")).to_be_visible()


def test_a_used_link_says_how_to_get_another(open_inbox: OpenInbox, server: RunningServer) -> None:
    link = server.new_link()
    page = open_inbox(signed_in=False, may_fail=True)
    page.goto(link)
    page.context.clear_cookies()
    page.goto(link)
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_text("sayso login-link").first).to_be_visible()


def test_approve(open_inbox: OpenInbox, ask: Ask, outcome: Outcome) -> None:
    request = ask("Deploy?", action=DEPLOY)
    page = open_inbox(f"/requests/{request['id']}")
    expect(card(page).get_by_role("heading", name="Deploy service")).to_be_visible()
    button(page, "Approve").click()
    toast(page, "Approved. The agent goes on.")
    assert outcome(request)["decision"]["approved"] is True


def test_reject_with_a_reason(open_inbox: OpenInbox, ask: Ask, outcome: Outcome) -> None:
    request = ask("Deploy?", action=DEPLOY)
    page = open_inbox(f"/requests/{request['id']}")
    button(page, "Reject").click()
    expect(page.get_by_text("The agent will read this.")).to_be_visible()
    page.get_by_label("Why not?").fill("It is Friday")
    button(page, "Wrong target").click()
    button(page, "Reject").click()
    toast(page, "Rejected.")
    assert outcome(request)["decision"]["reason"] == "It is Friday. Wrong target"


def test_edited_arguments_show_their_difference_and_reach_the_agent(
    open_inbox: OpenInbox, ask: Ask, outcome: Outcome
) -> None:
    request = ask("Deploy?", action=DEPLOY)
    page = open_inbox(f"/requests/{request['id']}")
    button(page, "Approve with changes").click()
    expect(button(page, "Approve the edited ones")).to_be_disabled()
    page.get_by_label("replicas").fill("2")
    expect(page.locator(".changes del")).to_have_text("6")
    expect(page.locator(".changes ins")).to_have_text("2")
    button(page, "Approve the edited ones").click()
    toast(page, "Approved with your changes.")
    assert outcome(request)["decision"]["args"] == {**DEPLOY["tool_args"], "replicas": 2}  # type: ignore[dict-item]


def test_broken_json_cannot_be_approved_and_says_where_it_breaks(
    open_inbox: OpenInbox, ask: Ask
) -> None:
    request = ask("Deploy?", action=DEPLOY)
    page = open_inbox(f"/requests/{request['id']}")
    button(page, "Approve with changes").click()
    button(page, "Edit as JSON").click()
    page.get_by_label("Arguments as JSON").fill('{"service": "checkout",\n "version": }')
    expect(page.get_by_text("Line 2, column")).to_be_visible()
    expect(button(page, "Approve the edited ones")).to_be_disabled()


def test_numbers_stay_as_they_were_written_when_something_else_is_edited(
    open_inbox: OpenInbox, ask: Ask, outcome: Outcome
) -> None:
    args = {"rate": 5.0, "limit": 9007199254740991, "note": "old"}
    request = ask("Pay?", action={"tool_name": "pay", "tool_args": args})
    page = open_inbox(f"/requests/{request['id']}")
    expect(card(page).locator(".args")).to_contain_text("5.0")
    button(page, "Approve with changes").click()
    page.get_by_label("note").fill("new")
    button(page, "Approve the edited ones").click()
    toast(page, "Approved with your changes.")
    assert repr(outcome(request)["decision"]["args"]) == repr({**args, "note": "new"})


def test_answer_a_question(open_inbox: OpenInbox, ask: Ask, outcome: Outcome) -> None:
    request = ask("Where shall we meet?", kind="input")
    page = open_inbox(f"/requests/{request['id']}")
    page.get_by_role("textbox", name="Your answer").fill("Berlin, 3 pm")
    button(page, "Send answer").click()
    toast(page, "Answered.")
    assert outcome(request)["decision"]["content"] == "Berlin, 3 pm"


def test_answer_instead_of_running_a_tool(
    open_inbox: OpenInbox, ask: Ask, outcome: Outcome
) -> None:
    request = ask("Deploy?", action=DEPLOY)
    page = open_inbox(f"/requests/{request['id']}")
    button(page, "Answer").click()
    page.get_by_label("Answer instead of running it.").fill("Use staging")
    button(page, "Send answer").click()
    toast(page, "Answered.")
    assert outcome(request)["status"] == "answered"


def test_fill_in_a_form(open_inbox: OpenInbox, ask: Ask, outcome: Outcome) -> None:
    request = ask("I need details.", kind="input", schema=FORM)
    page = open_inbox(f"/requests/{request['id']}")
    button(page, "Send answers").click()
    expect(page.get_by_label("Full name")).to_be_focused()
    page.get_by_label("Full name").fill("Ada")
    page.get_by_label("E-mail").fill("nonsense")
    page.get_by_label("quiet").check()
    button(page, "Send answers").click()
    expect(page.get_by_text("Must be an e-mail address.")).to_be_visible()
    page.get_by_label("E-mail").fill("ada@example.com")
    button(page, "Send answers").click()
    toast(page, "Answered.")
    assert outcome(request)["decision"]["content"] == {
        "name": "Ada",
        "email": "ada@example.com",
        "guests": 2,
        "room": "quiet",
        "invoice": False,
    }


def test_choose_an_option(open_inbox: OpenInbox, ask: Ask, outcome: Outcome) -> None:
    request = ask("Which region?", kind="choice", options=REGIONS)
    page = open_inbox(f"/requests/{request['id']}")
    card(page).get_by_role("button", name="Frankfurt").click()
    toast(page, "Answered with a yes.")
    assert outcome(request)["decision"]["option"] == "eu"


def test_high_risk_is_held_for_a_second(open_inbox: OpenInbox, ask: Ask, outcome: Outcome) -> None:
    request = ask("Pay?", action=TRANSFER)
    page = open_inbox(f"/requests/{request['id']}")
    expect(card(page).locator(".facts")).to_contain_text("12,500 EUR")
    page.keyboard.press("a")
    press = button(page, "Hold to approve")
    press.evaluate(SHORT_PRESS)
    expect(press).not_to_have_class(HOLDING)
    assert outcome(request)["status"] == "pending"
    hold(press)
    toast(page, "Approved.")


def test_high_risk_can_be_confirmed_without_holding(
    open_inbox: OpenInbox, ask: Ask, outcome: Outcome
) -> None:
    request = ask("Pay?", action=TRANSFER)
    page = open_inbox(f"/requests/{request['id']}")
    button(page, "Approve").click()
    button(page, "Confirm in two presses").click()
    assert outcome(request)["status"] == "pending"
    button(page, "Press again to confirm").click()
    toast(page, "Approved.")


def test_a_request_decided_elsewhere_turns_into_its_result_without_reload(
    open_inbox: OpenInbox, ask: Ask, person: Person
) -> None:
    request = ask("Deploy?", action=DEPLOY)
    page = open_inbox(f"/requests/{request['id']}")
    person.decide(request["id"], "reject", reason="Not like this")
    result = card(page).get_by_role("region", name="Result")
    expect(result).to_contain_text("Rejected by")
    expect(result).to_contain_text("through the API")
    expect(result).to_contain_text("Not like this")
    expect(button(page, "Approve")).to_have_count(0)


def test_a_decision_that_comes_too_late_says_who_was_faster(
    open_inbox: OpenInbox, ask: Ask, person: Person
) -> None:
    request = ask("Deploy?", action=DEPLOY)
    page = open_inbox(may_fail=True)
    page.route("**/api/v1/events", lambda route: route.abort())
    page.goto(f"/requests/{request['id']}")
    person.decide(request["id"], "reject")
    button(page, "Approve").click()
    expect(card(page)).to_contain_text("Somebody was faster.")
    expect(card(page).get_by_role("region", name="Result")).to_contain_text("Rejected by")


def test_a_new_request_appears_without_reload(open_inbox: OpenInbox, ask: Ask, agent: str) -> None:
    page = open_inbox()
    ask("Deploy?", action=DEPLOY)
    expect(page.locator("#rows")).to_contain_text(agent)
    expect(page.locator("#announce")).to_contain_text("New request: Deploy service")


def test_a_request_that_expires_while_open_says_so(open_inbox: OpenInbox, ask: Ask) -> None:
    request = ask("Quick?", action=DEPLOY, timeout_seconds=2)
    page = open_inbox(f"/requests/{request['id']}")
    expect(card(page)).to_contain_text("nobody answered in time")


def test_the_history_finds_what_was_decided(
    open_inbox: OpenInbox, ask: Ask, agent: str, person: Person
) -> None:
    request = ask("Water the ficus?", action=DEPLOY)
    person.decide(request["id"], "reject", reason="It is plastic")
    page = open_inbox("/history")
    page.get_by_label("Search the history").fill(agent)
    page.get_by_role("button", name="Search").click()
    row = page.locator(".history li")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("It is plastic")
    page.get_by_role("link", name="Approved", exact=True).click()
    expect(page.get_by_text("Nothing found.")).to_be_visible()


def test_keys_move_and_decide_but_never_while_typing(
    open_inbox: OpenInbox, ask: Ask, agent: str, outcome: Outcome
) -> None:
    older, newer = ask("One", action=DEPLOY), ask("Two", action=DEPLOY)
    page = open_inbox(f"/requests/{newer['id']}")
    page.keyboard.press("/")
    page.keyboard.type(agent)
    page.keyboard.press("a")
    page.keyboard.press("Backspace")
    page.keyboard.press("Escape")
    assert outcome(newer)["status"] == "pending"
    expect(page.locator("#rows .row")).to_have_count(2)
    page.keyboard.press("j")
    expect(page).to_have_url(f"{page.url.partition('/requests')[0]}/requests/{older['id']}")
    page.keyboard.press("Control+a")
    assert outcome(older)["status"] == "pending"
    page.keyboard.press("k")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("r")
    expect(page.get_by_label("Why not?")).to_be_focused()
    page.keyboard.type("a")
    page.keyboard.press("Escape")
    assert outcome(newer)["status"] == "pending"
    page.keyboard.press("a")
    toast(page, "Approved.")
    assert (outcome(newer)["status"], outcome(older)["status"]) == ("approved", "pending")


def test_the_next_request_is_not_decided_by_a_second_press(
    open_inbox: OpenInbox, ask: Ask, outcome: Outcome
) -> None:
    older, newer = ask("One", action=DEPLOY), ask("Two", action=DEPLOY)
    page = open_inbox(f"/requests/{newer['id']}")
    page.evaluate(PRESS_AGAIN)
    page.keyboard.press("a")
    toast(page, "Approved.")
    page.wait_for_function("window.pressed")
    page.evaluate("() => fetch('/api/v1/me').then(reply => reply.text())")  # after what it sent
    assert outcome(older)["status"] == "pending"


PRESS_AGAIN = """() => {
    const again = () => {
        if (!document.querySelector('#toasts').textContent.includes('Approved.')) return
        told.disconnect()
        document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'a', bubbles: true}))
        window.pressed = true
    }
    const told = new MutationObserver(again)
    told.observe(document.querySelector('#toasts'), {childList: true, subtree: true})
}"""
"""By the page itself, as soon as it tells of the first: from here it might come a second later."""


def test_a_plain_form_decides_without_script(
    open_inbox: OpenInbox, ask: Ask, outcome: Outcome
) -> None:
    request = ask("Deploy?", action=DEPLOY)
    page = open_inbox(f"/requests/{request['id']}", script=False)
    button(page, "Approve").click()
    expect(card(page).get_by_role("region", name="Result")).to_contain_text("Approved")
    assert outcome(request)["decision"]["channel"] == "web"


def test_a_plain_form_fills_in_a_form_without_script(
    open_inbox: OpenInbox, ask: Ask, outcome: Outcome
) -> None:
    request = ask("I need details.", kind="input", schema=FORM)
    page = open_inbox(f"/requests/{request['id']}", script=False)
    page.get_by_label("Full name").fill("Ada")
    page.get_by_label("E-mail").fill("ada@example.com")
    page.get_by_label("room").select_option("garden")
    button(page, "Send answer").click()
    expect(card(page).get_by_role("region", name="Result")).to_contain_text("Answered")
    assert outcome(request)["decision"]["content"]["guests"] == 2


@pytest.mark.parametrize("script", [True, False])
def test_hostile_text_shows_as_text_and_its_tricks_are_visible(
    open_inbox: OpenInbox, ask: Ask, script: bool
) -> None:
    args = {
        "file": "invoice_\u202efdp.exe",
        "to": "ceo@\u0435xample.com",
        "note": "<script>window.pwned = 1</script><img src=x onerror='window.pwned = 1'>\u200b",
    }
    request = ask("</script><b>bold</b>", action={"tool_name": "fetch_file", "tool_args": args})
    page = open_inbox(f"/requests/{request['id']}", script=script)
    expect(card(page)).to_contain_text("</script><b>bold</b>")
    expect(card(page)).to_contain_text("<script>window.pwned = 1</script>")
    expect(card(page).locator("mark.vis-bidi").first).to_have_text("RLO")
    expect(card(page).locator("mark.vis-hidden").first).to_have_text("ZWSP")
    expect(card(page).locator("mark.vis-alike").first).to_have_text("\u0435")
    expect(card(page)).to_contain_text("looks like the Latin letter e, but is Cyrillic")
    assert "\u202e" not in card(page).inner_text()
    assert card(page).locator("img, script, blockquote b").count() == 0
    if script:
        assert page.evaluate("window.pwned") is None


def test_a_decision_that_could_not_be_sent_is_kept_and_sent_again(
    open_inbox: OpenInbox, ask: Ask, outcome: Outcome
) -> None:
    request = ask("Deploy?", action=DEPLOY)
    page = open_inbox(f"/requests/{request['id']}", may_fail=True)
    page.context.set_offline(True)
    expect(page.get_by_text("The server cannot be reached.")).to_be_visible()
    button(page, "Reject").click()
    page.get_by_label("Why not?").fill("Typed with care")
    button(page, "Reject").click()
    expect(card(page)).to_contain_text("Not sent.")
    expect(card(page).locator(".unsent")).to_contain_text("Typed with care")
    page.context.set_offline(False)
    expect(page.get_by_text("The server cannot be reached.")).to_be_hidden()
    expect(card(page).locator(".unsent")).to_contain_text("Back online. Send it now?")
    assert outcome(request)["status"] == "pending"
    button(page, "Send again").click()
    toast(page, "Rejected.")
    assert outcome(request)["decision"]["reason"] == "Typed with care"


def test_an_ended_sign_in_keeps_the_decision_and_says_the_way_back(
    open_inbox: OpenInbox, ask: Ask, server: RunningServer
) -> None:
    request = ask("Deploy?", action=DEPLOY)
    page = open_inbox(f"/requests/{request['id']}", may_fail=True)
    page.context.clear_cookies()
    button(page, "Approve").click()
    expect(page.locator("#banner")).to_contain_text(f"sayso login-link --port {server.port}")
    expect(card(page)).to_contain_text("Not sent.")
    page.context.new_page().goto(server.new_link())
    page.get_by_role("button", name="I have signed in").click()
    expect(page.locator("#banner")).to_be_empty()
    button(page, "Send again").click()
    toast(page, "Approved.")


def test_a_phone_shows_list_or_card_and_goes_back_to_the_list(
    open_inbox: OpenInbox, ask: Ask, agent: str
) -> None:
    ask("Deploy?", action=DEPLOY)
    page = open_inbox(width=390)
    expect(card(page)).to_be_hidden()
    page.locator("#rows a", has_text=agent).click()
    expect(page.locator("#rows")).to_be_hidden()
    expect(button(page, "Approve")).to_be_visible()
    box = button(page, "Approve").bounding_box()
    assert box is not None
    assert box["height"] >= 44
    assert box["y"] + box["height"] <= 900
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    button(page, "Approve").click()
    expect(page.locator("#rows")).to_be_attached()
    toast(page, "Approved.")
    expect(card(page)).to_be_hidden()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_thousand_pending_requests_stay_usable(
    open_inbox: OpenInbox, ask: Ask, agent: str
) -> None:
    for number in range(1000):
        ask(f"Deploy number {number}?", action=DEPLOY, session_id=f"run-{number:04}")
    page = open_inbox()
    rows = page.locator("#rows .row")
    expect(rows).to_have_count(1000)
    milliseconds = page.evaluate(
        """async () => {
            let fastest = Infinity
            for (let press = 0; press < 10 || (fastest >= 200 && press < 100); press++) {
                const began = performance.now()
                document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'j', bubbles: true}))
                await new Promise(resolve => requestAnimationFrame(() => setTimeout(resolve)))
                fastest = Math.min(fastest, performance.now() - began)
            }
            return fastest
        }"""
    )
    assert milliseconds < 200, f"one step took {milliseconds:.0f} ms"
    page.get_by_label("Filter the list").fill("run-0777")
    expect(rows).to_have_count(1)


def test_more_time_and_a_reminder_show_at_once_and_leave_what_is_typed(
    open_inbox: OpenInbox, ask: Ask, server: RunningServer
) -> None:
    request = ask("Deploy?", action=DEPLOY, timeout_seconds=119, remind_every_seconds=1)
    page = open_inbox(f"/requests/{request['id']}")
    expect(card(page).locator(".left").first).to_contain_text("1:")
    button(page, "Reject").click()
    card(page).get_by_role("textbox").last.fill("not on a Friday")
    with server.http() as http:
        path = f"/api/v1/requests/{request['id']}/extend"
        assert http.post(path, json={"timeout_seconds": 8_400}).status_code == 200
    expect(card(page).locator(".left").first).to_contain_text("2 h")
    expect(page.locator(".row.open")).to_contain_text("reminded")
    expect(card(page).get_by_role("textbox").last).to_have_value("not on a Friday")
    with server.http() as http:
        assert http.post(path, json={"timeout_seconds": None}).status_code == 200
    expect(card(page)).to_contain_text("It has no deadline")
    expect(card(page).locator(".fuse")).to_have_count(0)
    expect(card(page).get_by_role("textbox").last).to_have_value("not on a Friday")
