"""The pages of the settings: what each does, and who may."""

import re
import uuid

import pytest
from e2e.conftest import PASSWORD, Ask, OpenInbox
from e2e.test_accessibility import serious
from playwright.sync_api import Page, expect
from support.person import Person
from support.server import RunningServer

pytestmark = pytest.mark.browser

PLACES = (
    "/grants",
    "/rules",
    "/rules/edit",
    "/policy",
    "/policy/edit",
    "/policy/suggestions",
    "/stops",
    "/users",
    "/groups",
    "/keys",
    "/sessions",
)


def entry(page: Page, text: str):
    return page.locator(".entry").filter(has_text=text)


def row_action(page: Page, text: str, label: str, button: str) -> None:
    entry(page, text).locator("summary", has_text=label).click()
    entry(page, text).get_by_role("button", name=button).click()


@pytest.mark.parametrize("script", [True, False])
def test_a_rule_is_added_edited_and_removed(
    open_inbox: OpenInbox, ask: Ask, people: dict[str, str], script: bool
) -> None:
    name = f"deploys-{uuid.uuid4().hex[:6]}"
    tool = f"tool_{uuid.uuid4().hex[:6]}"
    page = open_inbox("/rules", script=script, may_fail=True)
    page.get_by_role("link", name="Add a rule").click()
    page.get_by_label("Name").fill(name)
    page.get_by_label("Tools").fill(f"{tool}\nother.*")
    page.get_by_label("How many different people").fill("2")
    first, second, third, _ = (name.capitalize().replace("-", " ") for name in people)
    page.get_by_label(first).check()
    page.get_by_role("button", name="Add the rule").click()
    expect(page.get_by_role("alert")).to_contain_text("nothing could ever be approved")
    for name_ in (second, third):
        page.get_by_label(name_).check()
    page.get_by_label("Four eyes").check()
    page.get_by_role("button", name="Add the rule").click()
    expect(entry(page, name)).to_contain_text("It takes 2 different people.")
    expect(entry(page, name)).to_contain_text("Only Grace")
    expect(entry(page, name)).to_contain_text(f"{third} may not decide.")
    request = ask("May I?", action={"tool_name": tool, "tool_args": {}})
    assert request["rule"]["names"] == [name]
    entry(page, name).get_by_role("link", name="Edit").click()
    expect(page.get_by_label("Tools")).to_have_value(f"{tool}\nother.*")
    page.get_by_label("How many different people").fill("3")
    page.get_by_role("button", name="Keep the changes").click()
    expect(entry(page, name)).to_contain_text("It takes 3 different people.")
    expect(entry(page, name)).to_contain_text("2 can approve today")  # the third only looks
    row_action(page, name, "Remove", "Remove it")
    expect(entry(page, name)).to_have_count(0)


def test_a_rule_that_cannot_be_kept_says_why_and_keeps_what_was_typed(
    open_inbox: OpenInbox,
) -> None:
    page = open_inbox("/rules/edit", script=False, may_fail=True)
    page.get_by_label("Name").fill("fine")
    page.get_by_label("Tools").fill("payments.*")
    page.get_by_label("Seconds that an approval can be used").fill("600")
    page.get_by_label("How many different people").evaluate("input => input.type = 'text'")
    page.get_by_label("How many different people").fill("many")
    page.get_by_role("button", name="Add the rule").click()
    expect(page.get_by_role("alert")).to_contain_text("is not a number")
    expect(page.get_by_label("Tools")).to_have_value("payments.*")
    expect(page.get_by_label("Name")).to_have_value("fine")


def test_a_standing_grant_is_listed_and_revoked(open_inbox: OpenInbox, person: Person) -> None:
    tool = f"water_{uuid.uuid4().hex[:6]}"
    body = {"tool_name": tool, "args": {"litres": {"max": 3}, "plant": {"glob": "ficus*"}}}
    assert person.http.post("/api/v1/standing-grants", json=body).status_code == 201
    page = open_inbox("/grants")
    expect(entry(page, tool)).to_contain_text("3 or less")
    expect(entry(page, tool)).to_contain_text("matches ficus*")
    row_action(page, tool, "Revoke", "Revoke it")
    expect(entry(page, tool)).to_contain_text("revoked")
    expect(entry(page, tool).locator("summary")).to_have_count(0)


def test_a_user_is_added_with_a_good_password_and_let_out(open_inbox: OpenInbox) -> None:
    name = f"hedy-{uuid.uuid4().hex[:6]}"
    page = open_inbox("/users", may_fail=True)
    page.locator("summary", has_text="Add a user").click()
    page.locator("#username").fill(name)
    page.locator("#new-password").fill("short")
    page.get_by_role("button", name="Add the user").click()
    expect(page.get_by_role("alert")).to_contain_text("Not done.")
    expect(page.locator("#username")).to_have_value(name)
    page.locator("#new-password").fill(PASSWORD)
    page.get_by_role("button", name="Add the user").click()
    expect(entry(page, name)).to_contain_text("reviewer")
    hedy = open_inbox("/sessions", user=name, may_fail=True)
    expect(entry(hedy, "this one")).to_contain_text("By password")
    entry(page, name).locator("summary", has_text="Change").click()
    entry(page, name).get_by_label("Disabled").check()
    entry(page, name).get_by_role("button", name="Keep the changes").click()
    expect(entry(page, name)).to_contain_text("disabled")
    hedy.goto("/")
    expect(hedy).to_have_url(re.compile("/login"))


def test_a_group_is_made_and_emptied(open_inbox: OpenInbox, people: dict[str, str]) -> None:
    group = f"payments-{uuid.uuid4().hex[:6]}"
    grace, alan, *_ = people
    page = open_inbox("/groups")
    page.get_by_label("Group", exact=True).fill(group)
    page.get_by_label("Person", exact=True).select_option(people[grace])
    page.get_by_role("button", name="Add").first.click()
    expect(entry(page, group).locator(".members li")).to_have_count(1)
    page.get_by_label(f"Who comes into {group}").select_option(people[alan])
    entry(page, group).get_by_role("button", name="Add").click()
    expect(entry(page, group).locator(".members li")).to_have_count(2)
    for left in (1, 0):
        entry(page, group).get_by_role("button", name=re.compile("^Take")).first.click()
        expect(entry(page, group).locator(".members li")).to_have_count(left)


def test_a_key_is_shown_once_works_and_is_revoked(
    open_inbox: OpenInbox, server: RunningServer
) -> None:
    label = f"bot-{uuid.uuid4().hex[:6]}"
    page = open_inbox("/keys")
    page.locator("summary", has_text="Make a key").click()
    page.get_by_label("Label").fill(label)
    page.get_by_role("button", name="Make the key").click()
    key = page.locator("#made").inner_text()
    expect(page.get_by_role("button", name="Copy")).to_be_visible()
    with server.http(key) as http:
        assert http.post("/api/v1/requests", json={"message": "May I?"}).status_code == 201
    page.goto("/keys")
    expect(page.locator("#made")).to_have_count(0)
    assert key not in page.content()
    row_action(page, label, "Revoke", "Revoke it")
    expect(entry(page, label)).to_contain_text("revoked")
    with server.http(key) as http:
        assert http.post("/api/v1/requests", json={"message": "May I?"}).status_code == 401


def test_another_session_is_ended(open_inbox: OpenInbox, people: dict[str, str]) -> None:
    name = next(iter(people))
    other = open_inbox("/sessions", user=name, may_fail=True)
    page = open_inbox("/sessions", user=name)
    expect(page.locator(".entry")).to_have_count(2)
    page.locator(".entry").filter(has_not_text="this one").locator("summary").click()
    page.get_by_role("button", name="End the session").click()
    expect(page.locator(".entry")).to_have_count(1)
    other.goto("/")
    expect(other).to_have_url(re.compile("/login"))


def test_everybody_sees_the_pages_that_are_for_them(
    open_inbox: OpenInbox, people: dict[str, str]
) -> None:
    grace, _, viewer, member = people
    words = {
        grace: ["Standing grants", "Review rules", "Stops", "Keys", "Sessions"],
        viewer: ["Standing grants", "Review rules", "Stops", "Keys", "Sessions"],
        member: ["Keys", "Sessions"],
    }
    for name, places in words.items():
        page = open_inbox("/settings", user=name, may_fail=True)
        shown = page.get_by_role("navigation", name="Settings").get_by_role("link")
        texts = shown.all_inner_texts()
        assert [text for text in texts if text in words[grace]] == places
        assert not {"Users", "Groups"} & set(texts)
        page.goto("/users")
        expect(page.get_by_text("power_required")).to_be_visible()
        pages = page.get_by_role("navigation", name="Pages")
        expect(pages.get_by_role("link", name="Settings")).to_be_visible()
    page = open_inbox("/stops", user=viewer)
    expect(page.get_by_role("button", name="Stop it now")).to_have_count(0)
    page.goto("/rules")
    expect(page.get_by_role("link", name="Add a rule")).to_have_count(0)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("width", "theme"), [(390, "light"), (1280, "dark")])
def test_axe_finds_nothing_serious_on_any_of_them(
    open_inbox: OpenInbox, person: Person, people: dict[str, str], width: int, theme: str
) -> None:
    long = f"a-very-long-session-{'x' * 120}"
    group = f"g-{uuid.uuid4().hex[:6]}"
    for member in people.values():
        person.http.put(f"/api/v1/groups/{group}/members/{member}")
    person.http.post("/api/v1/keys", json={"label": "Bot", "session_pattern": long})
    person.http.post("/api/v1/stops", json={"kind": "session", "value": long, "reason": "x" * 300})
    tool = {"tool_name": "t" * 120, "args": {"a" * 60: {"equals": "v" * 300}}, "session_id": long}
    person.http.post("/api/v1/standing-grants", json=tool)
    rule = {"name": "r" * 90, "tools": ["never" * 20], "rule": {"approvals": 2, "groups": [group]}}
    person.http.post("/api/v1/rules", json=rule)
    try:
        page = open_inbox("/settings", width=width, theme=theme)
        for path in PLACES:
            page.goto(path)
            for opener in page.locator("details.plain-form > summary").all()[:3]:
                opener.click()
            assert serious(page) == [], path
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    finally:
        person.http.request("DELETE", f"/api/v1/stops/session:{long}")
