"""What a person signs after an edit, that nothing typed is lost, and texts as long as allowed."""

from collections.abc import Callable
from typing import Any

import pytest
from e2e.conftest import Ask, OpenInbox, hold
from playwright.sync_api import Page, expect
from support.person import Person

pytestmark = pytest.mark.browser

Outcome = Callable[[dict[str, Any]], dict[str, Any]]
TRANSFER = {
    "tool_name": "wire_transfer",
    "tool_args": {"amount": 12500, "currency": "EUR", "recipient": "Harbour Freight GmbH"},
    "risk_class": "high",
}
DEPLOY = {
    "tool_name": "deploy_service",
    "tool_args": {"service": "checkout", "replicas": 6},
    "args_schema": {
        "type": "object",
        "properties": {
            "service": {"type": "string", "pattern": "^[a-z]+$"},
            "replicas": {"type": "integer", "exclusiveMinimum": 0, "multipleOf": 2},
            "region": {"type": "string"},
            "dry_run": {"type": "boolean"},
        },
        "required": ["service"],
    },
}


def card(page: Page):
    return page.locator("#stage article")


def button(page: Page, name: str):
    return card(page).get_by_role("button", name=name, exact=True)


def edit(page: Page, name: str, value: str) -> None:
    button(page, "Approve with changes").click()
    page.locator(".editor").get_by_label(name).fill(value)


def test_high_risk_edited_is_signed_for_as_edited(
    open_inbox: OpenInbox, ask: Ask, outcome: Outcome
) -> None:
    request = ask("Pay?", action=TRANSFER)
    page = open_inbox(f"/requests/{request['id']}")
    edit(page, "amount", "1250")
    button(page, "Approve the edited ones").click()
    panel = card(page).get_by_role("region", name="Confirm a high-risk action")
    expect(panel.locator(".confirm-facts")).to_have_text("1,250 EUR · Harbour Freight GmbH")
    expect(panel.locator(".diff del")).to_have_text("12500")
    expect(panel.locator(".diff ins")).to_have_text("1250")
    expect(panel).to_contain_text("the server computes their digest")
    expect(panel).not_to_contain_text(request["action"]["digest"][7:11])
    expect(card(page).locator(".digest")).to_be_hidden()
    visible = card(page).inner_text()
    assert (visible.count("12500"), visible.count("12,500")) == (1, 0)
    expect(card(page).get_by_role("heading", name="Arguments, as edited")).to_be_visible()
    hold(button(page, "Hold to approve the edited ones"))
    expect(page.locator("#toasts")).to_contain_text("Approved with your changes.")
    assert outcome(request)["decision"]["args"]["amount"] == 1250


@pytest.mark.parametrize("script", [True, False])
def test_a_card_approved_with_changes_shows_what_was_approved(
    open_inbox: OpenInbox, ask: Ask, person: Person, script: bool
) -> None:
    request = ask("Pay?", action=TRANSFER)
    args = {**TRANSFER["tool_args"], "amount": 1250}  # type: ignore[dict-item]
    decided = person.decide(request["id"], "edit", args=args)
    page = open_inbox(f"/requests/{request['id']}", script=script)
    expect(card(page).locator(".facts")).to_contain_text("1,250 EUR")
    expect(card(page).locator(".args").last).to_contain_text("1250")
    result = card(page).get_by_role("region", name="Result")
    expect(result).to_contain_text("What was changed")
    expect(result.locator(".diff del")).to_have_text("12500")
    expect(result.locator(".diff ins")).to_have_text("1250")
    digest = decided["decision"]["digest"].removeprefix("sha256:")
    expect(card(page).locator("summary .digest")).to_contain_text(digest[:4])
    visible = card(page).inner_text()
    assert (visible.count("12500"), visible.count("12,500")) == (1, 0)


def test_back_from_the_confirmation_returns_to_what_was_typed(
    open_inbox: OpenInbox, ask: Ask
) -> None:
    request = ask("Pay?", action=TRANSFER)
    page = open_inbox(f"/requests/{request['id']}")
    edit(page, "amount", "1250")
    for leave in (lambda: button(page, "Back").click(), lambda: page.keyboard.press("Escape")):
        button(page, "Approve the edited ones").click()
        expect(button(page, "Hold to approve the edited ones")).to_be_visible()
        leave()
        expect(page.get_by_label("amount")).to_have_value("1250")
    button(page, "Back").click()
    button(page, "Approve with changes").click()
    expect(page.get_by_label("amount")).to_have_value("1250")


def test_a_refused_edit_returns_to_what_was_typed(
    open_inbox: OpenInbox, ask: Ask, outcome: Outcome
) -> None:
    request = ask("Deploy?", action={**DEPLOY, "risk_class": "high"})
    page = open_inbox(f"/requests/{request['id']}", may_fail=True)
    edit(page, "service", "Not This")
    button(page, "Approve the edited ones").click()
    hold(button(page, "Hold to approve the edited ones"))
    expect(card(page).get_by_role("alert").filter(has_text="Not decided.")).to_be_visible()
    expect(page.locator(".editor").get_by_label("service")).to_have_value("Not This")
    page.locator(".editor").get_by_label("service").fill("basket")
    button(page, "Approve the edited ones").click()
    hold(button(page, "Hold to approve the edited ones"))
    expect(page.locator("#toasts")).to_contain_text("Approved with your changes.")
    assert outcome(request)["decision"]["args"]["service"] == "basket"


def test_the_editor_knows_the_schema_and_what_was_left_out(
    open_inbox: OpenInbox, ask: Ask, outcome: Outcome
) -> None:
    request = ask("Deploy?", action=DEPLOY)
    page = open_inbox(f"/requests/{request['id']}")
    edit(page, "replicas", "0")
    expect(page.get_by_text("Must be more than 0.").first).to_be_visible()
    page.get_by_label("replicas").fill("3")
    expect(page.get_by_text("Must be a multiple of 2.").first).to_be_visible()
    expect(button(page, "Approve the edited ones")).to_be_disabled()
    page.get_by_label("replicas").fill("")
    expect(card(page).locator("div.changes")).to_contain_text("removed")
    page.get_by_label("region").fill("x")
    page.get_by_label("region").fill("")
    page.get_by_label("dry_run").select_option("true")
    page.get_by_label("dry_run").press("Control+Enter")
    expect(page.locator("#toasts")).to_contain_text("Approved with your changes.")
    assert outcome(request)["decision"]["args"] == {"service": "checkout", "dry_run": True}


def test_a_key_sends_what_was_typed_but_high_risk_is_still_confirmed(
    open_inbox: OpenInbox, ask: Ask, outcome: Outcome
) -> None:
    rejected, paid = ask("Deploy?", action=DEPLOY), ask("Pay?", action=TRANSFER)
    page = open_inbox(f"/requests/{paid['id']}")
    edit(page, "amount", "1250")
    page.get_by_label("amount").press("Control+Enter")
    expect(button(page, "Hold to approve the edited ones")).to_be_visible()
    assert outcome(paid)["status"] == "pending"
    page.goto(f"/requests/{rejected['id']}")
    button(page, "Reject").click()
    page.get_by_label("Why not?").fill("Not now")
    page.get_by_label("Why not?").press("Control+Enter")
    expect(page.locator("#toasts")).to_contain_text("Rejected.")
    assert outcome(rejected)["decision"]["reason"] == "Not now"


def test_what_was_typed_stays_when_somebody_is_faster(
    open_inbox: OpenInbox, ask: Ask, person: Person
) -> None:
    request = ask("Deploy?", action=DEPLOY)
    page = open_inbox(f"/requests/{request['id']}")
    button(page, "Reject").click()
    page.get_by_label("Why not?").fill("Typed with care")
    person.decide(request["id"], "approve")
    note = card(page).get_by_role("region", name="Result").locator(".lost")
    expect(note).to_contain_text("Somebody was faster.")
    expect(note).to_contain_text("Typed with care")


def test_what_came_before_is_asked_for_again(
    open_inbox: OpenInbox, ask: Ask, person: Person, agent: str
) -> None:
    first = ask("One", action=DEPLOY, session_id=agent)
    second = ask("Two", action=DEPLOY, session_id=agent)
    page = open_inbox(f"/requests/{second['id']}")
    expect(page.get_by_label("Context")).to_be_visible()
    expect(page.get_by_text("Earlier in this session")).to_have_count(0)
    person.decide(first["id"], "approve")
    expect(page.get_by_text("Earlier in this session")).to_be_visible()


def test_an_open_request_far_down_the_list_is_in_sight(open_inbox: OpenInbox, ask: Ask) -> None:
    oldest = ask("Deploy?", action=DEPLOY)
    for _ in range(60):
        ask("Deploy?", action=DEPLOY)
    page = open_inbox(f"/requests/{oldest['id']}")
    expect(page.locator(f"#rows [data-id='{oldest['id']}']")).to_be_in_viewport()


def test_without_script_a_high_risk_option_needs_a_tick(
    open_inbox: OpenInbox, ask: Ask, outcome: Outcome
) -> None:
    options = [
        {"label": "Pay it", "value": "yes", "approves": True},
        {"label": "Do not", "value": "no", "approves": False},
    ]
    request = ask("Pay?", action=TRANSFER, options=options)
    page = open_inbox(f"/requests/{request['id']}", script=False)
    card(page).get_by_role("button", name="Pay it").click()
    assert outcome(request)["status"] == "pending"
    card(page).locator(".options").get_by_label("I have read the arguments").check()
    card(page).get_by_role("button", name="Pay it").click()
    expect(card(page).get_by_role("region", name="Result")).to_contain_text("Approved")
    assert outcome(request)["decision"]["option"] == "yes"


def test_the_history_shows_the_answer(
    open_inbox: OpenInbox, ask: Ask, agent: str, person: Person
) -> None:
    request = ask("Where?", kind="input")
    person.write(request["id"], "Berlin, 3 pm")
    page = open_inbox(f"/history?q={agent}")
    expect(page.locator(".history li")).to_contain_text("Berlin, 3 pm")


def long(letter: str, size: int = 256) -> str:
    return letter * size


@pytest.mark.parametrize("script", [True, False])
@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("kind", ["approval", "options", "choice", "input", "decided"])
def test_the_longest_texts_do_not_widen_the_page(
    open_inbox: OpenInbox, ask: Ask, agent: str, person: Person, kind: str, width: int, script: bool
) -> None:
    nested: Any = {long("d"): long("D", 2000)}
    for letter in "cba":
        nested = {long(letter): nested, "list": [nested], "few": [long("l"), long("m")]}
    action = {
        "tool_name": long("t"),
        "tool_args": {
            "to": long("r", 120),
            "amount": 9007199254740991,
            "currency": "EURO-EUR",
            long("k"): long("v", 5000),
            "url": f"https://user{long('u')}@{long('h', 60)}.example.com/{long('p')}",
            "sql": f"select {long('s')} from {long('q')}",
            "deep": nested,
        },
        "risk_class": "high",
        "rationale": long("r", 4000),
        "side_effects": [long("e", 1024), long("f", 1024)],
    }
    given: dict[str, Any] = {
        "client_id": agent + long("c", 180),
        "session_id": long("s", 200),
        "metadata": {long("m"): long("M", 2000), "n": nested},
        "priority": "urgent",
    }
    options = [
        {"label": long("y", 200), "value": "y", "approves": True},
        {"label": long("n", 200), "value": "n", "approves": False},
    ]
    if kind in ("choice", "options"):
        given["options"] = options
    if kind == "input":
        field = {"type": "string", "title": long("T"), "description": long("D")}
        chosen = {"type": "string", "enum": [long("E"), long("F")]}
        several = {"type": "array", "items": {"type": "string", "enum": [long("G"), long("H")]}}
        given["schema"] = {
            "type": "object",
            "properties": {long("K"): field, "one": chosen, "many": several},
        }
    elif kind != "choice":
        given["action"] = action
    request = ask(
        long("M", 4000), **{"kind": kind if kind in ("choice", "input") else "approval", **given}
    )
    try:
        if kind == "decided":
            args = {**action["tool_args"], "to": long("z", 120), long("k"): long("w", 5000)}  # type: ignore[dict-item]
            person.decide(request["id"], "edit", args=args, reason=long("R", 4000))
        page = open_inbox(f"/requests/{request['id']}", width=width, script=script)
        expect(card(page)).to_be_visible()
        page.wait_for_timeout(300)
        fits(page, width)
        if script and kind == "approval":
            page.keyboard.press("d")
            fits(page, width)
            page.keyboard.press("e")
            page.locator(".editor").wait_for()
            page.locator(".editor textarea").first.fill(long("z", 120))
            fits(page, width)
            button(page, "Approve the edited ones").click()
            fits(page, width)
        if script and kind == "options":
            page.keyboard.press("1")
            page.locator(".confirm").wait_for()
            fits(page, width)
        page.goto("/history")
        fits(page, width)
        page.goto("/")
        fits(page, width)
    finally:
        person.http.post(f"/api/v1/requests/{request['id']}/cancel", json={})


def fits(page: Page, width: int) -> None:
    """Nothing is wider than the page, nor than the column that it stands in."""
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    wider = page.evaluate(
        """() => [document.querySelector('#stage'), ...document.querySelectorAll('#stage > *')]
            .filter(el => el && el.scrollWidth > el.clientWidth + 1 && el.clientWidth)
            .map(el => `${el.className}: ${el.scrollWidth} > ${el.clientWidth}`)"""
    )
    assert wider == []
