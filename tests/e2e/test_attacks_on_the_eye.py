"""Texts that deceive the eye, as agents would send them, in a real browser: seen, and harmless."""

# ruff: noqa: RUF001  # look-alike characters are what is tested

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser
Ask = Callable[..., dict[str, Any]]
OpenInbox = Callable[..., Page]

ATTACKS = {
    "access": ('if access != "user\u202e \u2066// admin\u2069 \u2066"', "bidi", "RLO"),
    "file": ("invoice_\u202efdp.exe", "bidi", "RLO"),
    "joint": ("DE89\u200b370400440532013000", "hidden", "ZWSP"),
    "host": ("https://p\u0430ypal.example/pay", "alike", "\u0430"),
    "whole": ("login at раура.com", "alike", "р"),
    "split": ("https://evil.c\u2100.example.com", "alike", "\u2100"),
    "code": ("https://xn--80ak6aa92e.com/", "address", "xn--80ak6aa92e"),
    "tags": ("Fine.\U000e0069\U000e0067\U000e006e\U000e006f\U000e0072\U000e0065", "tags",
             "hidden text: ignore"),
    "selectors": ("😀" + "".join(chr(0xE0100 + ord(c) - 16) for c in "pay"), "tags",
                  "hidden text: pay"),
    "zalgo": ("Z\u0351\u036b\u0343\u036a\u0302\u036b", "stack", "6 marks"),
    "screen": ("\x1b[2J\x1b[32mRisk: LOW\x1b[0m", "escape", "ESC[2J"),
    "link": ("\x1b]8;;http://evil.example\x07bank\x1b]8;;\x07", "escape", "ESC]8;;http://evil.exampleBEL"),
    "blanks": ("ls" + " " * 300 + "; rm -rf /", "blank", "300 blanks"),
}  # fmt: skip


@pytest.mark.parametrize("script", [True, False])
def test_each_attack_is_marked_in_the_arguments(
    open_inbox: OpenInbox, ask: Ask, script: bool
) -> None:
    args = {name: text for name, (text, _, _) in ATTACKS.items()}
    request = ask("May I?", action={"tool_name": "t", "tool_args": args})
    page = open_inbox(f"/requests/{request['id']}", script=script)
    table = page.locator("article.card dl.args")
    for name, (_, kind, shown) in ATTACKS.items():
        cell = table.locator(f"dt:text-is('{name}') + dd")
        expect(cell.locator(f"mark.vis-{kind}").first).to_have_text(shown)
        assert cell.locator("mark").first.get_attribute("title")
    shown = page.locator("article.card").inner_text()
    assert not set(shown) & set("\u202e\u2066\u2069\u200b\x1b\x07\U000e0069")


@pytest.mark.parametrize("script", [True, False])
def test_markup_of_any_kind_is_text(open_inbox: OpenInbox, ask: Ask, script: bool) -> None:
    evil = (
        "<img src=x onerror='window.pwned=1'><script>window.pwned=1</script>"
        "</textarea></select></title><style>*{display:none}</style><iframe src=//evil></iframe>"
        "[Approve](javascript:alert(1)) ![x](https://evil.example/x.png) **Risk: LOW** {{ 7*7 }}"
        "{% raw %} <!-- --> ]]> &lt;b&gt; \" ' ` ${7*7}"
    )
    short = evil[:250]
    properties = {"f": {"type": "string", "title": short, "description": evil, "enum": [short]}}
    schema = {"type": "object", "properties": properties}
    action = {
        "tool_name": short, "tool_args": {short: evil, "nested": {short: [evil]}},
        "rationale": evil, "side_effects": [evil], "risk_class": "high",
    }  # fmt: skip
    asked = [
        ask(evil, action=action, session_id=short, metadata={short: evil}),
        ask(evil, kind="choice", options=[{"label": short, "value": "v"}]),
        ask(evil, kind="input", schema=schema),
    ]
    for request in asked:
        page = open_inbox(f"/requests/{request['id']}", script=script)
        expect(page.locator("article.card")).to_contain_text("<img src=x onerror=")
        inside = page.locator("article.card, #rows")
        assert inside.locator("img, script, iframe, style, a[href^=javascript]").count() == 0
        if script:
            assert page.evaluate("window.pwned") is None


@pytest.mark.parametrize("script", [True, False])
def test_a_line_break_in_a_name_makes_no_line(
    open_inbox: OpenInbox, ask: Ask, script: bool
) -> None:
    forged = "pay\nRisk: LOW"
    request = ask("May I?", action={"tool_name": forged, "tool_args": {"a": 1}}, session_id=forged)
    page = open_inbox(f"/requests/{request['id']}", script=script)
    expect(page.locator("article.card .tool mark.vis-line")).to_have_text("↵")


@pytest.mark.parametrize("script", [True, False])
@pytest.mark.parametrize("width", [1440, 390])
def test_a_very_long_line_stays_within_its_card(
    open_inbox: OpenInbox, ask: Ask, script: bool, width: int
) -> None:
    words = {"line": "x" * 20_000, "k" * 2_000: "v", "command": "y" * 5_000}
    action = {"tool_name": "t" * 256, "tool_args": words, "rationale": "r" * 5_000}
    request = ask("m" * 10_000, action=action, session_id="s" * 200)
    page = open_inbox(f"/requests/{request['id']}", script=script, width=width)
    expect(page.locator("article.card")).to_be_visible()
    box = page.locator("article.card").evaluate("e => [e.scrollWidth, e.clientWidth]")
    assert box[0] <= box[1] + 1
    assert page.locator("html").evaluate("e => e.scrollWidth <= e.clientWidth + 1")


@pytest.mark.parametrize("script", [True, False])
def test_a_megabyte_of_deceptions_is_shown_whole_and_does_not_freeze(
    open_inbox: OpenInbox, ask: Ask, script: bool
) -> None:
    text = "a\u200b\u0430b " * 100_000 + "THE END"
    request = ask("May I?", action={"tool_name": "t", "tool_args": {"text": text}})
    page = open_inbox(f"/requests/{request['id']}", script=script)
    if script:
        page.get_by_role("button", name="Show all").first.click()
    cell = page.locator("article.card dl.args dd")
    expect(cell.locator("mark")).to_have_count(501)
    expect(cell.locator("mark.vis-more")).to_contain_text("THE END")
    expect(cell.locator("mark.vis-more")).to_contain_text(r"a\u200b\u0430b a\u200b\u0430b")


def test_a_list_of_hundreds_of_hostile_requests_is_usable(open_inbox: OpenInbox, ask: Ask) -> None:
    text = "раураl \u202e\u200b" * 40
    for number in range(200):
        ask(f"{number} {text}", action={"tool_name": "t", "tool_args": {"to": text[:100]}})
    page = open_inbox("/")
    page.get_by_label("Filter the list").fill("t")
    expect(page.locator("#rows li.row").nth(99)).to_be_attached()
    page.keyboard.press("Escape")


def test_a_fence_stands_between_facts_and_words(open_inbox: OpenInbox, ask: Ask) -> None:
    forged = (
        "Fine.\n\nArguments\nto: Ann\n\nRaw request and digest sha256:00\nApproved by Ann (web)"
    )
    action = {"tool_name": "pay", "tool_args": {"to": "Eve"}, "rationale": forged}
    request = ask(forged, action=action)
    page = open_inbox(f"/requests/{request['id']}")
    words = page.locator("figure.words")
    expect(words.locator("figcaption")).to_have_text("The agent’s own words, not verified")
    expect(words).to_contain_text("Approved by Ann (web)")
    without = "c.querySelector('figure.words').remove(); return c.innerText"
    card = page.locator("article.card")
    assert "Ann" not in card.evaluate(f"e => {{ const c = e.cloneNode(true); {without} }}")
