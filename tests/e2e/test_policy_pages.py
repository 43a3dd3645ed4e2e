"""The policy's pages: written, checked, tried out, put in force and taken back; script or not."""

import pytest
from e2e.conftest import Ask, OpenInbox
from e2e.test_accessibility import serious
from playwright.sync_api import Page, expect
from support.person import Person

pytestmark = pytest.mark.browser

TEXT = """version: 1
rules:
  - name: small
    match: {tools: [pay], risk: [low]}
    when: args.amount <= 50
    verdict: allow
"""
WIDTHS_AND_THEMES = [(390, "light"), (390, "dark"), (1440, "light"), (1440, "dark")]


def pay(ask: Ask, amount: int) -> dict[str, object]:
    action = {"tool_name": "pay", "tool_args": {"amount": amount}, "risk_class": "low"}
    return ask("Pay?", action=action)


def write(page: Page, text: str, button: str) -> None:
    page.get_by_label("Rules, as YAML").fill(text)
    page.get_by_role("button", name=button).click()


@pytest.mark.parametrize("script", [True, False])
def test_a_policy_is_checked_tried_out_put_in_force_and_taken_back(
    open_inbox: OpenInbox, ask: Ask, person: Person, script: bool
) -> None:
    person.http.delete("/api/v1/policy")
    refused = pay(ask, 40)
    person.decide(str(refused["id"]), "reject")
    page = open_inbox("/policy", script=script, may_fail=True)
    page.get_by_role("link", name="Write a policy").click()
    write(page, TEXT.replace("verdict: allow", "verdict: allowed"), "Preview")
    expect(page.locator(".wrong")).to_contain_text("Line 6, column 14")
    expect(page.locator(".wrong .code")).to_have_text("    verdict: allowed")
    expect(page.get_by_role("button", name="Put it in force")).to_have_count(0)
    write(page, TEXT, "Preview")
    misses = page.locator(".counts > div").filter(has_text="Misses")
    expect(misses).to_have_class("bad")
    expect(misses.get_by_role("link", name=str(refused["id"])[-6:])).to_be_visible()
    expect(page.locator(".patch .plus")).to_have_count(len(TEXT.splitlines()))
    narrower = TEXT.replace("50", "10")
    write(page, narrower, "Put it in force")  # changed since: it is shown once more
    expect(page.locator(".counts .bad")).to_have_count(0)
    page.get_by_label("Why").fill("Small ones")
    page.get_by_role("button", name="Put it in force").click()
    expect(page.get_by_role("heading", name="In force: version")).to_be_visible()
    assert (pay(ask, 10)["status"], pay(ask, 11)["status"]) == ("approved", "pending")
    versions = page.locator(".entry")
    expect(versions.first).to_contain_text("Small ones")
    versions.first.locator("summary", has_text="Remove").click()
    versions.first.get_by_role("button", name="Remove it").click()
    expect(page.locator("body")).to_contain_text("No policy.")
    assert pay(ask, 10)["status"] == "pending"
    versions.nth(1).locator("summary", has_text="Go back").click()
    versions.nth(1).get_by_role("button", name="Put it in force").click()
    expect(versions.first).to_contain_text("the text of version")
    assert pay(ask, 10)["status"] == "approved"
    versions.nth(1).get_by_role("link", name="Version").click()
    expect(page.locator("body")).to_contain_text("From here on there was none.")


def test_who_saves_over_anothers_version_is_told_and_loses_nothing(
    open_inbox: OpenInbox, person: Person
) -> None:
    page = open_inbox("/policy/edit", script=False, may_fail=True)
    write(page, TEXT, "Preview")
    person.http.put("/api/v1/policy", json={"text": "version: 1\nrules: []\n"})
    page.get_by_role("button", name="Put it in force").click()
    expect(page.get_by_role("alert")).to_contain_text("The policy was changed meanwhile")
    expect(page.get_by_label("Rules, as YAML")).to_have_value(TEXT)


@pytest.mark.parametrize(
    ("label", "button"), [("Remove", "Remove it"), ("Go back", "Put it in force")]
)
def test_who_takes_back_what_somebody_else_has_changed_meanwhile_is_told(
    open_inbox: OpenInbox, person: Person, label: str, button: str
) -> None:
    for _ in range(2):
        person.http.put("/api/v1/policy", json={"text": TEXT})
    page = open_inbox("/policy", script=False, may_fail=True)
    another = person.http.put("/api/v1/policy", json={"text": TEXT.replace("50", "5")}).json()
    page.locator("summary", has_text=label).first.click()
    page.get_by_role("button", name=button).first.click()
    expect(page.get_by_role("alert")).to_contain_text("The policy was changed meanwhile")
    assert person.http.get("/api/v1/policy").json()["number"] == another["number"]


@pytest.mark.parametrize("width", [390, 1440])
def test_what_would_run_against_peoples_word_is_seen_first_and_without_scrolling(
    open_inbox: OpenInbox, ask: Ask, person: Person, width: int
) -> None:
    person.http.delete("/api/v1/policy")
    tools = (f"a_tool_called_often_{width}", f"send_a_message_to_all_customers_{width}")
    for tool, said in ((tools[0], "approve"), (tools[0], "approve"), (tools[1], "reject")):
        request = ask("May I?", action={"tool_name": tool, "risk_class": "low"})
        person.decide(str(request["id"]), said)
    page = open_inbox("/policy/edit", width=width)
    rule = f"{{name: all, match: {{tools: [{', '.join(tools)}]}}, verdict: allow}}"
    write(page, f"version: 1\nrules:\n  - {rule}\n", "Preview")
    rows = page.locator(".by-tool tbody tr")
    expect(rows.first.get_by_role("rowheader")).to_have_text(tools[1])
    expect(rows.first.locator("td")).to_have_text(["1", "0", "0", "0", "1", "0", "1"])
    often = rows.filter(has_text=tools[0])
    expect(often.locator("td")).to_have_text(["0", "0", "0", "0", "2", "0", "2"])
    expect(page.locator(".by-tool thead th").nth(1)).to_have_text("Misses")
    for number in range(rows.count()):
        for cell in rows.nth(number).locator("td").all():
            box = cell.bounding_box()
            assert box is not None
            assert box["x"] + box["width"] <= width
    if width == 390:
        word = "getComputedStyle(document.querySelector('.by-tool .bad'), '::before').content"
        assert page.evaluate(word) == '"Misses"'
    assert serious(page) == []


@pytest.mark.parametrize(("width", "theme"), WIDTHS_AND_THEMES)
def test_axe_finds_nothing_serious_on_them(
    open_inbox: OpenInbox, ask: Ask, person: Person, width: int, theme: str
) -> None:
    for amount in range(32):
        person.decide(str(pay(ask, 60 + amount)["id"]), "approve")
    person.decide(str(pay(ask, 55)["id"]), "reject")
    person.http.put("/api/v1/policy", json={"text": TEXT, "note": "x" * 300})
    page = open_inbox("/policy", width=width, theme=theme, may_fail=True)

    def check() -> None:
        assert serious(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    check()
    page.goto("/policy/suggestions")
    expect(page.get_by_role("heading", name="As a policy")).to_be_visible()
    check()
    page.get_by_role("button", name="Open in the editor").click()
    expect(page.get_by_label("Rules, as YAML")).to_be_visible()
    check()
    write(page, TEXT.replace("50", "70"), "Preview again")
    expect(page.locator(".counts .bad")).not_to_have_count(0)
    check()
    write(page, TEXT.replace("verdict", "vredict"), "Preview again")
    expect(page.locator(".wrong")).to_be_visible()
    check()
