"""Several people and one request; and what becomes of it after it was approved."""

from collections.abc import Callable
from typing import Any

import pytest
from e2e.conftest import Ask, OpenInbox
from e2e.test_accessibility import serious
from playwright.sync_api import Page, expect
from support.person import Person
from support.server import RunningServer

pytestmark = pytest.mark.browser

Outcome = Callable[[dict[str, Any]], dict[str, Any]]
DEPLOY: dict[str, Any] = {
    "tool_name": "deploy_service",
    "tool_args": {"service": "checkout", "version": "v2.1.0", "replicas": 6},
    "risk_class": "medium",
}


def card(page: Page):
    return page.locator("#stage article")


def button(page: Page, name: str):
    return card(page).get_by_role("button", name=name, exact=True)


def more(page: Page, name: str) -> None:
    card(page).locator("summary", has_text="More").click()
    card(page).locator(".menu-list").get_by_text(name).click()


def claim(server: RunningServer, request: dict[str, Any], **given: Any) -> dict[str, Any]:
    with server.http() as http:
        body = {"digest": request["action"]["digest"], **given}
        reply = http.post(f"/api/v1/requests/{request['id']}/claim", json=body)
        return reply.json()


def two(people: dict[str, str]) -> tuple[str, str]:
    grace, alan, *_ = people
    return grace, alan


def test_of_two_who_decide_at_once_one_wins_and_the_other_is_told_who(
    open_inbox: OpenInbox, ask: Ask, people: dict[str, str], outcome: Outcome
) -> None:
    request = ask("Deploy?", action=DEPLOY)
    first, second = two(people)
    grace = open_inbox(f"/requests/{request['id']}", user=first, may_fail=True)
    alan = open_inbox(f"/requests/{request['id']}", user=second, may_fail=True)
    press = "document.querySelector('#stage .actions .primary').click()"
    for page in (grace, alan):
        page.evaluate(f"setTimeout(() => {press}, 50)")
    decided = None
    for page in (grace, alan):
        result = card(page).get_by_role("region", name="Result")
        page.goto(f"/requests/{request['id']}")
        expect(result).to_contain_text("Approved by")
        decided = outcome(request)["decision"]
        expect(result).to_contain_text(decided["by"]["name"])
    assert decided is not None
    assert decided["by"]["id"] in people.values()


def test_whoever_comes_second_keeps_the_card_and_reads_who_was_faster(
    open_inbox: OpenInbox, ask: Ask, people: dict[str, str]
) -> None:
    request = ask("Deploy?", action=DEPLOY)
    first, second = two(people)
    alan = open_inbox(user=second, may_fail=True)
    alan.route("**/api/v1/events", lambda route: route.abort())
    alan.goto(f"/requests/{request['id']}")
    button(alan, "Approve").wait_for()
    grace = open_inbox(f"/requests/{request['id']}", user=first)
    button(grace, "Reject").click()
    grace.get_by_label("Why not?").fill("Not today")
    button(grace, "Reject").click()
    expect(grace.locator("#toasts")).to_contain_text("Rejected.")
    button(alan, "Approve").click()
    expect(card(alan)).to_contain_text("Somebody was faster.")
    result = card(alan).get_by_role("region", name="Result")
    expect(result).to_contain_text(
        f"Rejected by {first.replace('grace', 'Grace').replace('-', ' ')}"
    )
    expect(result).to_contain_text("Not today")


def test_it_takes_two_people_from_two_browsers(
    open_inbox: OpenInbox, ask: Ask, people: dict[str, str], outcome: Outcome
) -> None:
    rule = {"approvals": 2, "people": list(people.values())[:2], "min_strength": "login"}
    request = ask("Deploy?", action=DEPLOY, rule=rule)
    first, second = two(people)
    grace = open_inbox(f"/requests/{request['id']}", user=first)
    alan = open_inbox(f"/requests/{request['id']}", user=second)
    expect(card(grace)).to_contain_text("It takes 2 different people.")
    expect(card(grace)).to_contain_text("signed in with a password")
    expect(card(grace).get_by_text("0 of 2 approved")).to_be_attached()
    button(grace, "Approve").click()
    expect(grace.locator("#toasts")).to_contain_text("Counted: 1 of 2. It takes 1 more.")
    expect(card(alan)).to_contain_text("Votes: 1 of 2")
    expect(card(alan).locator(".votes")).to_contain_text("approved in the inbox, signed in")
    assert outcome(request)["status"] == "pending"
    grace.goto(f"/requests/{request['id']}")
    expect(card(grace)).to_contain_text("You have approved it.")
    expect(button(grace, "Approve")).to_have_count(0)
    button(alan, "Approve").click()
    expect(card(grace).get_by_role("region", name="Result")).to_contain_text("Approved by")
    expect(card(grace)).to_contain_text("Votes: 2 of 2")
    assert outcome(request)["status"] == "approved"


@pytest.mark.parametrize("script", [True, False])
def test_whoever_is_not_asked_is_told_so_and_given_no_button(
    open_inbox: OpenInbox, ask: Ask, people: dict[str, str], script: bool
) -> None:
    first, second = two(people)
    asked = ask("Deploy?", action=DEPLOY, rule={"people": [people[first]]})
    strong = ask("Deploy?", action=DEPLOY, rule={"min_strength": "login"})
    alan = open_inbox(f"/requests/{asked['id']}", user=second, script=script)
    expect(card(alan).locator(".barred")).to_have_text(
        "Others are asked for this, so you cannot decide it."
    )
    for name in ("Approve", "Reject", "Answer"):
        expect(card(alan).get_by_role("button", name=name)).to_have_count(0)
    if script:
        card(alan).locator("details.menu summary").click()
    for name in ("Cancel the request", "Stop this agent"):
        offered = card(alan).locator("button, summary, a").filter(has_text=name)
        expect(offered.first).to_be_visible()
    by_link = open_inbox(f"/requests/{strong['id']}", script=script)
    expect(card(by_link).locator(".barred")).to_contain_text("sign in with your user name")
    expect(card(by_link).get_by_role("button", name="Approve")).to_have_count(0)
    rejecting = card(by_link).locator("button, summary").filter(has_text="Reject")
    expect(rejecting.first).to_be_visible()
    grace = open_inbox(f"/requests/{asked['id']}", user=first, script=script)
    expect(card(grace).get_by_role("button", name="Approve").first).to_be_visible()


def test_arguments_that_somebody_changed_move_the_card_on_and_are_not_approved_unseen(
    open_inbox: OpenInbox, ask: Ask, people: dict[str, str], outcome: Outcome
) -> None:
    request = ask("Deploy?", action=DEPLOY, rule={"approvals": 2})
    first, second = two(people)
    alan = open_inbox(f"/requests/{request['id']}", user=second)
    button(alan, "Reject").click()
    alan.get_by_label("Why not?").fill("half a thought")
    grace = open_inbox(f"/requests/{request['id']}", user=first)
    button(grace, "Approve with changes").click()
    grace.get_by_label("replicas").fill("2")
    button(grace, "Approve the edited ones").click()
    expect(grace.locator("#toasts")).to_contain_text("Counted: 1 of 2.")
    expect(card(alan).locator(".stale")).to_contain_text("changed the arguments while you looked")
    expect(card(alan).locator(".stale")).to_contain_text("half a thought")
    expect(card(alan)).to_contain_text("Arguments, as proposed")
    expect(card(alan).locator(".diff del")).to_have_text("6")
    expect(card(alan).locator(".diff ins")).to_have_text("2")
    button(alan, "Approve").click()
    expect(alan.locator("#toasts")).to_contain_text("Approved.")
    assert outcome(request)["decision"]["args"]["replicas"] == 2


def test_an_approval_of_what_was_changed_unseen_is_refused(
    open_inbox: OpenInbox, ask: Ask, people: dict[str, str], person: Person, outcome: Outcome
) -> None:
    request = ask("Deploy?", action=DEPLOY, rule={"approvals": 2})
    page = open_inbox(user=next(iter(people)), may_fail=True)
    page.route("**/api/v1/events", lambda route: route.abort())
    page.goto(f"/requests/{request['id']}")
    button(page, "Approve").wait_for()
    args = {**DEPLOY["tool_args"], "replicas": 1}
    person.decide(request["id"], "edit", args=args)
    button(page, "Approve").click()
    expect(page.locator("#toasts")).to_contain_text("Not decided: the arguments were changed.")
    expect(card(page).locator(".stale")).to_contain_text("Read it again.")
    assert outcome(request)["status"] == "pending"


@pytest.mark.parametrize("script", [True, False])
def test_the_card_tells_of_the_claim_and_the_outcome(
    open_inbox: OpenInbox, ask: Ask, person: Person, server: RunningServer, script: bool
) -> None:
    request = ask("Deploy?", action=DEPLOY)
    person.decide(request["id"], "approve")
    page = open_inbox(f"/requests/{request['id']}", script=script)
    run = card(page).get_by_role("region", name="The run")
    expect(run).to_contain_text("Waiting to be claimed")
    claim(server, request)
    if not script:
        page.reload()
    expect(run).to_contain_text("Claimed by local agent")
    with server.http() as http:
        path = f"/api/v1/requests/{request['id']}/outcome"
        body = {"status": "failed", "error": "No quota left"}
        assert http.post(path, json=body).status_code == 200
    if not script:
        page.reload()
    expect(run).to_contain_text("Failed")
    expect(run).to_contain_text("No quota left")
    page.goto("/history")
    expect(page.locator(".history li").first).to_contain_text("failed")


@pytest.mark.parametrize("script", [True, False])
def test_a_request_that_was_asked_again_shows_which_facts_differ(
    open_inbox: OpenInbox, ask: Ask, person: Person, server: RunningServer, script: bool
) -> None:
    request = ask("Deploy?", action=DEPLOY, facts={"version": "v2.0.9", "balance": 120})
    person.decide(request["id"], "approve")
    again = claim(server, request, facts={"version": "v2.0.10", "balance": 120})["request"]
    page = open_inbox(f"/requests/{again['id']}", script=script)
    note = card(page).locator(".reopened")
    expect(note).to_contain_text("1 fact changed since")
    expect(note.locator("del")).to_have_text("v2.0.9")
    expect(note.locator("ins")).to_have_text("v2.0.10")
    expect(card(page)).to_contain_text("What holds, as the agent tells it")
    note.get_by_role("link").click()
    expect(page).to_have_url(f"{server.url}/requests/{request['id']}")
    expect(card(page)).to_contain_text("Expired unclaimed")


def test_a_decision_is_remembered_with_limits_that_were_previewed(
    open_inbox: OpenInbox, ask: Ask, person: Person, outcome: Outcome
) -> None:
    action = {**DEPLOY, "tool_name": "remember_me"}
    old = ask("Deploy?", action=action)
    person.decide(old["id"], "reject")
    request = ask("Deploy?", action={**action, "tool_args": {**action["tool_args"], "replicas": 4}})
    page = open_inbox(f"/requests/{request['id']}")
    more(page, "Approve and remember")
    page.get_by_label("replicas", exact=True).select_option("range")
    page.get_by_label("replicas, at most").fill("8")
    expect(card(page).locator(".preview")).to_contain_text("1 of them was rejected")
    page.get_by_label("replicas, at most").fill("5")
    expect(card(page).locator(".preview")).to_contain_text("Would have matched 0 of")
    page.get_by_label("How often").fill("1")
    button(page, "Approve and remember").click()
    expect(page.locator("#toasts")).to_contain_text("Approved.")
    args = {**action["tool_args"], "replicas": 5}
    assert ask("Deploy?", action={**action, "tool_args": args})["status"] == "approved"
    assert ask("Deploy?", action={**action, "tool_args": args})["status"] == "pending"
    page.goto("/grants")
    entry = page.locator(".entry").first
    expect(entry).to_contain_text("from 4 to 5")
    expect(entry).to_contain_text("used up")


def test_a_decision_is_remembered_without_script(
    open_inbox: OpenInbox, ask: Ask, outcome: Outcome
) -> None:
    action = {**DEPLOY, "tool_name": "remember_me_plainly"}
    request = ask("Deploy?", action=action)
    page = open_inbox(f"/requests/{request['id']}", script=False)
    page.get_by_role("link", name="Approve and remember").click()
    page.locator("[name='how.version'][value=glob]").check()
    page.get_by_label("version matches").fill("v2.*")
    page.get_by_role("button", name="See what it would have let through").click()
    expect(page.get_by_role("status").filter(has_text="Would have matched")).to_be_visible()
    assert outcome(request)["status"] == "pending"
    page.get_by_role("button", name="Approve and remember").click()
    expect(card(page).get_by_role("region", name="Result")).to_contain_text("Approved")
    args = {**action["tool_args"], "version": "v2.2.0"}
    assert ask("Deploy?", action={**action, "tool_args": args})["status"] == "approved"


def test_high_risk_is_not_offered_to_be_remembered(open_inbox: OpenInbox, ask: Ask) -> None:
    request = ask("Deploy?", action={**DEPLOY, "risk_class": "high"})
    page = open_inbox(f"/requests/{request['id']}", may_fail=True)
    card(page).locator("summary", has_text="More").click()
    expect(card(page).locator(".menu-list")).not_to_contain_text("Approve and remember")
    page.goto(f"/requests/{request['id']}/remember")
    expect(page.get_by_text("cannot be remembered")).to_be_visible()


def test_a_viewer_has_no_buttons_and_a_member_sees_only_what_is_theirs(
    open_inbox: OpenInbox, ask: Ask, people: dict[str, str]
) -> None:
    request = ask("Deploy?", action=DEPLOY)
    viewer, member = list(people)[2:]
    for script in (True, False):
        page = open_inbox(f"/requests/{request['id']}", user=viewer, script=script)
        expect(card(page)).to_contain_text("Only reviewers decide this.")
        expect(card(page).locator(".foot button")).to_have_count(0)
    page = open_inbox("/", user=member, may_fail=True)
    expect(page.locator("#rows .row")).to_have_count(0)
    page.goto(f"/requests/{request['id']}")
    expect(page.get_by_text("There is no request")).to_be_visible()


def test_a_stop_is_set_from_the_card_shown_to_all_and_lifted(
    open_inbox: OpenInbox, ask: Ask, outcome: Outcome
) -> None:
    request = ask("Deploy?", action=DEPLOY, session_id="to-be-stopped")
    page = open_inbox(f"/requests/{request['id']}", may_fail=True)
    other = open_inbox(f"/requests/{request['id']}", may_fail=True)
    more(page, "Stop this agent")
    expect(page.get_by_label("Its id")).to_have_value("local")
    page.get_by_label("one session").check()
    page.get_by_label("Its id").fill("to-be-stopped")
    page.get_by_label("Why").fill("It goes in circles")
    page.get_by_role("button", name="Stop it now").click()
    expect(page.locator(".stopped-entry")).to_contain_text("It goes in circles")
    expect(other.locator("#stops")).to_contain_text("to-be-stopped is stopped.")
    expect(card(other).locator(".stopped")).to_contain_text("The session is stopped.")
    button(other, "Approve").click()
    expect(card(other)).to_contain_text("Not decided.")
    assert outcome(request)["status"] == "pending"
    page.locator(".stopped-entry summary").click()
    page.get_by_role("button", name="Lift the stop").click()
    expect(page.get_by_text("Nothing is stopped.")).to_be_visible()
    expect(other.locator("#stops")).to_be_empty()
    button(other, "Approve").click()
    expect(other.locator("#toasts")).to_contain_text("Approved.")


@pytest.mark.parametrize(("width", "theme"), [(390, "light"), (1280, "dark")])
def test_axe_finds_nothing_serious_on_cards_that_several_people_see(
    open_inbox: OpenInbox, ask: Ask, person: Person, server: RunningServer, width: int, theme: str
) -> None:
    changed = ask("Deploy?", action=DEPLOY, rule={"approvals": 2, "four_eyes": False})
    person.decide(changed["id"], "edit", args={**DEPLOY["tool_args"], "version": "v" * 200})
    ran = ask("Deploy?", action=DEPLOY, facts={"version": "v2.0.9"})
    person.decide(ran["id"], "approve")
    again = claim(server, ran, facts={"version": "v" * 200})["request"]
    done = ask("Deploy?", action=DEPLOY)
    person.decide(done["id"], "approve")
    claim(server, done)
    stop = {"kind": "session", "value": f"axe-{width}-{theme}", "reason": "x" * 200}
    stopped = ask("Deploy?", action=DEPLOY, session_id=stop["value"])
    person.http.post("/api/v1/stops", json=stop)
    page = open_inbox(width=width, theme=theme)
    for request in (changed, again, done, stopped):
        page.goto(f"/requests/{request['id']}")
        card(page).wait_for()
        assert serious(page) == [], request["id"]
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    more(page, "Approve and remember")
    expect(card(page).locator(".preview")).to_contain_text("of the last 30 days")
    assert serious(page) == []
    person.http.delete(f"/api/v1/stops/session:{stop['value']}")
