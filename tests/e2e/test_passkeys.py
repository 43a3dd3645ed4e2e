"""Passkeys in a real browser, with Chromium's virtual authenticator."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from e2e.conftest import Ask, OpenInbox
from playwright.sync_api import CDPSession, Page, expect
from support.person import Person
from support.server import RunningServer

from sayso.assertions import verify_decision
from sayso.codec import decode_request

pytestmark = pytest.mark.browser

TRANSFER = {
    "tool_name": "wire_transfer",
    "tool_args": {"amount": 500, "currency": "EUR", "recipient": "Harbour Freight GmbH"},
    "risk_class": "high",
}
STRICT = {"min_strength": "passkey"}
AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


class Device:
    """The virtual authenticator of a page."""

    def __init__(self, page: Page) -> None:
        self.cdp: CDPSession = page.context.new_cdp_session(page)
        self.cdp.send("WebAuthn.enable")
        made = self.cdp.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
        self.id = made["authenticatorId"]

    def credentials(self) -> list[dict[str, Any]]:
        found = self.cdp.send("WebAuthn.getCredentials", {"authenticatorId": self.id})
        return found["credentials"]

    def verifies(self, verified: bool) -> None:
        self.cdp.send(
            "WebAuthn.setUserVerified", {"authenticatorId": self.id, "isUserVerified": verified}
        )


@pytest.fixture
def server(fresh_server: RunningServer) -> RunningServer:
    """One for each test: whoever has a passkey needs it to add another."""
    return fresh_server


def opened(open_inbox: OpenInbox, path: str = "/passkeys", **how: Any) -> tuple[Page, Device]:
    page = open_inbox(path, **how)
    return page, Device(page)


def add(page: Page, name: str = "My laptop") -> None:
    page.get_by_role("textbox", name="passkey").fill(name)
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_role("list", name="Your passkeys")).to_contain_text(name)


def card(page: Page):
    return page.locator("#stage article")


def serious(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [v["id"] for v in found if v["impact"] in ("serious", "critical")]


def test_a_passkey_is_added_used_and_its_proof_verifies(
    open_inbox: OpenInbox, ask: Ask, server: RunningServer
) -> None:
    page, device = opened(open_inbox)
    add(page)
    assert len(device.credentials()) == 1
    request = ask("Pay?", action=TRANSFER, rule=STRICT)
    page.goto(f"/requests/{request['id']}")
    page.get_by_text("Live", exact=True).wait_for()
    card(page).get_by_role("button", name="Approve", exact=True).click()
    short = " ".join(request["action"]["digest"][7:23][at : at + 4] for at in range(0, 16, 4))
    expect(page.locator(".signing")).to_contain_text(short)
    page.get_by_role("button", name="Approve with a passkey").click()
    expect(page.locator("#toasts")).to_contain_text("Approved.")
    with server.http() as agent:
        kept = agent.get(f"/api/v1/requests/{request['id']}").content
    done = decode_request(kept)
    assert done.decision is not None
    assert done.decision.strength == "passkey"
    assert done.decision.digest == request["action"]["digest"]
    assert verify_decision(done) == 1
    page.goto(f"/requests/{request['id']}")
    expect(card(page)).to_contain_text("signed with a passkey")
    page.goto("/passkeys")
    expect(page.locator(".keys")).not_to_contain_text("not used yet")


def test_edited_arguments_are_signed(open_inbox: OpenInbox, ask: Ask, outcome: Any) -> None:
    page, _ = opened(open_inbox)
    add(page)
    request = ask("Pay?", action=TRANSFER, rule=STRICT)
    page.goto(f"/requests/{request['id']}")
    page.get_by_text("Live", exact=True).wait_for()
    page.keyboard.press("e")
    page.get_by_label("amount").fill("50")
    page.get_by_role("button", name="Approve the edited ones").click()
    expect(page.locator(".signing")).to_contain_text("the digest of the edited arguments")
    page.get_by_role("button", name="Approve with a passkey").click()
    expect(page.locator("#toasts")).to_contain_text("Approved with your changes.")
    done = outcome(request)
    assert done["decision"]["args"]["amount"] == 50
    assert f'"digest":"{done["decision"]["digest"]}"' in done["decision"]["assertion"]["text"]


def test_whoever_has_none_is_told_and_can_reject(
    open_inbox: OpenInbox, ask: Ask, outcome: Any
) -> None:
    request = ask("Pay?", action=TRANSFER, rule=STRICT)
    page, _ = opened(open_inbox, f"/requests/{request['id']}", may_fail=True)
    page.keyboard.press("a")
    expect(page.locator(".signing")).to_contain_text("You have no passkey yet.")
    expect(page.get_by_role("link", name="Add one")).to_have_attribute("href", "/passkeys")
    expect(page.get_by_role("button", name="Approve with a passkey")).to_be_disabled()
    page.keyboard.press("Escape")
    page.keyboard.press("r")
    page.locator(".panel").get_by_role("button", name="Reject", exact=True).click()
    expect(page.locator("#toasts")).to_contain_text("Rejected.")
    assert outcome(request)["status"] == "rejected"


def test_a_device_that_does_not_verify_the_person_signs_nothing(
    open_inbox: OpenInbox, ask: Ask, outcome: Any
) -> None:
    page, device = opened(open_inbox)
    add(page)
    device.verifies(False)
    request = ask("Pay?", action=TRANSFER, rule=STRICT)
    page.goto(f"/requests/{request['id']}")
    page.get_by_text("Live", exact=True).wait_for()
    page.keyboard.press("a")
    page.get_by_role("button", name="Approve with a passkey").click()
    expect(page.get_by_role("alert")).to_contain_text("Not signed, not decided.")
    assert outcome(request)["status"] == "pending"
    device.verifies(True)
    page.get_by_role("button", name="Approve with a passkey").click()
    expect(page.locator("#toasts")).to_contain_text("Approved.")


SIGN = """async ({id, first, then}) => {
  const post = async (id, verb, body) => {
    const method = 'POST', path = `/api/v1/requests/${id}/${verb}`
    return (await fetch(path, {method, body: JSON.stringify(body)})).json()
  }
  const asked = await post(id, 'challenge', first)
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(asked.options)
  const credential = (await navigator.credentials.get({publicKey})).toJSON()
  const assertion = {nonce: asked.nonce, credential}
  return post(then.id || id, 'decision', {...then.body, assertion})
}"""


def test_what_was_not_signed_is_refused(open_inbox: OpenInbox, ask: Ask, outcome: Any) -> None:
    page, _ = opened(open_inbox, may_fail=True)
    add(page)
    request, other = (ask("Pay?", action=TRANSFER, rule=STRICT) for _ in range(2))
    edit = {"type": "edit", "args": TRANSFER["tool_args"] | {"amount": 5000}}
    approve = {"type": "approve"}
    for then, code in (
        ({"body": edit}, "passkey_refused"),
        ({"body": {"type": "reject"}}, "passkey_refused"),
        ({"body": approve, "id": other["id"]}, "stale_challenge"),
    ):
        said = page.evaluate(SIGN, {"id": request["id"], "first": approve, "then": then})
        assert said["code"] == code
    assert outcome(request)["status"] == outcome(other)["status"] == "pending"
    then = {"body": approve}
    said = page.evaluate(SIGN, {"id": request["id"], "first": approve, "then": then})
    assert said["status"] == "approved"


def test_at_the_ip_address_it_says_where_to_go(
    open_inbox: OpenInbox, server: RunningServer, ask: Ask
) -> None:
    request = ask("Pay?", action=TRANSFER, rule=STRICT)
    page = open_inbox(signed_in=False)
    page.goto(server.new_link().replace("localhost", "127.0.0.1"))
    page.goto(f"http://127.0.0.1:{server.port}/passkeys")
    expect(page.locator("#notice")).to_contain_text("Passkeys do not work at 127.0.0.1.")
    there = page.locator("#notice a")
    expect(there).to_have_attribute("href", f"{server.url}/passkeys")
    page.goto(f"http://127.0.0.1:{server.port}/requests/{request['id']}")
    page.get_by_text("Live", exact=True).wait_for()
    page.keyboard.press("a")
    link = page.locator(".signing a")
    expect(link).to_have_attribute("href", f"{server.url}/requests/{request['id']}")


def test_a_second_one_is_confirmed_renamed_and_removed(open_inbox: OpenInbox) -> None:
    page, device = opened(open_inbox)
    add(page)
    device.cdp.send(
        "WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR | {"transport": "usb"}}
    )
    add(page, "My phone")
    row = page.locator(".keys li").filter(has_text="My laptop")
    row.get_by_role("button", name="Rename").click()
    page.get_by_label("New name of My laptop").fill("Old laptop")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".keys")).to_contain_text("Old laptop")
    row = page.locator(".keys li").filter(has_text="Old laptop")
    row.get_by_role("button", name="Remove").click()
    page.get_by_role("button", name="Remove it").click()
    expect(page.locator(".keys li")).to_have_count(1)
    expect(page.locator(".keys")).not_to_contain_text("Old laptop")


def test_without_script_a_yes_is_not_offered(
    open_inbox: OpenInbox, ask: Ask, person: Person
) -> None:
    request = ask("Pay?", action=TRANSFER, rule=STRICT)
    page = open_inbox(f"/requests/{request['id']}", script=False)
    expect(page.locator(".foot")).to_contain_text("takes your passkey")
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    page.locator("summary", has_text="Reject").click()
    page.get_by_role("button", name="Reject", exact=True).click()
    expect(card(page).get_by_role("region", name="Result")).to_contain_text("Rejected")
    assert person.http.get(f"/api/v1/requests/{request['id']}").json()["status"] == "rejected"


@pytest.mark.parametrize(("width", "theme"), [(390, "light"), (1440, "dark")])
def test_axe_finds_nothing_serious(open_inbox: OpenInbox, ask: Ask, width: int, theme: str) -> None:
    page, _ = opened(open_inbox, width=width, theme=theme)
    assert serious(page) == []
    add(page, "A key with a name that is rather long, so that it has to wrap on a phone")
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    request = ask("Pay?", action=TRANSFER, rule=STRICT)
    page.goto(f"/requests/{request['id']}")
    page.get_by_text("Live", exact=True).wait_for()
    page.keyboard.press("a")
    expect(page.get_by_role("button", name="Approve with a passkey")).to_be_enabled()
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
