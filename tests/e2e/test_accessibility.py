"""Every page, at both widths and in both themes, against axe."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from e2e.conftest import Ask, OpenInbox
from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]

TRANSFER = {
    "tool_name": "wire_transfer",
    "tool_args": {"amount": 12500, "currency": "EUR", "to": "\u0435vil", "note": "x\u200by" * 300},
    "risk_class": "high",
    "rationale": "It is due.",
}


def serious(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [
        f"{v['id']}: {v['nodes'][0]['html']}"
        for v in found
        if v["impact"] in ("serious", "critical")
    ]


LOOKS = [(390, "light"), (1440, "dark"), (390, "dark"), (1440, "light")]


@pytest.mark.parametrize(
    ("path", "width", "theme"),
    [
        (path, *look)
        for path in ("/", "card", "/history", "/audit", "/docs", "/login")
        # It has thousands of elements, all alike: each width and each theme once.
        for look in (LOOKS[:2] if path == "/docs" else LOOKS)
    ],
)
def test_axe_finds_nothing_serious(
    open_inbox: OpenInbox, ask: Ask, path: str, width: int, theme: str
) -> None:
    request = ask("Pay?", action=TRANSFER, priority="urgent", metadata={"order": 7})
    ask("Which?", kind="choice", options=["One", "Two"])
    where = f"/requests/{request['id']}" if path == "card" else path
    page = open_inbox(where, width=width, theme=theme)
    assert serious(page) == []
    if path == "card":
        for key in ("a", "r", "e"):
            page.keyboard.press(key)
            page.locator(".panel").wait_for()
            assert serious(page) == []
            page.keyboard.press("Escape")
        page.keyboard.press("?")
        assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
