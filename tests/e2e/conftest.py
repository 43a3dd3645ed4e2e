"""A browser at the inbox of a real server, and an agent that asks over HTTP."""

import contextlib
import os
import re
import shutil
import uuid
from collections import defaultdict
from collections.abc import Callable, Generator
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Error,
    Locator,
    Page,
    expect,
    sync_playwright,
)
from support.person import Person
from support.server import RunningServer

CHROMIUM = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PASSWORD = "correct horse battery staple"
"""Of everybody whom `people` adds."""
PATIENCE_MS = 60_000
Ask = Callable[..., dict[str, Any]]
OpenInbox = Callable[..., Page]
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    """Not for longer than a module: while it is open an event loop runs in this thread."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=path, args=list(CHROMIUM), timeout=2 * PATIENCE_MS
        )
        yield running
        running.close()


class Pages:
    """The pages of one browser, lent to one test after another, emptied in between.

    A page in a new context costs four times what it costs to load ours into one that is there: it
    is a new process, which compiles all scripts again.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._idle: dict[tuple[str, bool], list[Page]] = defaultdict(list)

    @contextlib.contextmanager
    def lend(self, url: str, *, script: bool) -> Generator[Page]:
        """A page where nobody is signed in and nothing is kept, for a server at `url`."""
        idle = self._idle[url, script]
        page = idle.pop() if idle else self._new_page(url, script=script)
        yield page
        for another in page.context.pages:
            if another is not page:
                another.close()
        page.unroute_all()
        page.context.set_offline(False)
        page.context.clear_cookies()
        if page.url.startswith(url):
            page.evaluate("() => { localStorage.clear(); sessionStorage.clear(); }")
        page.mouse.move(0, 0)
        page.goto("about:blank")
        idle.append(page)

    def _new_page(self, url: str, *, script: bool) -> Page:
        context = self._browser.new_context(java_script_enabled=script, base_url=url)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        return page


def hold(button: Locator) -> None:
    """Press it down until it has had enough, and is gone: a time would be too short for some."""
    button.hover()
    button.page.mouse.down()
    expect(button).to_be_hidden()
    button.page.mouse.up()


@pytest.fixture(scope="module")
def pages(browser: Browser) -> Pages:
    return Pages(browser)


@pytest.fixture
def agent(server: RunningServer) -> Generator[str]:
    """A name that only this test's requests carry; what it leaves waiting is cancelled."""
    name = f"agent-{uuid.uuid4().hex[:8]}"
    yield name
    with server.http() as http:
        query = {"client_id": name, "status": "pending", "limit": 200}
        while items := http.get("/api/v1/requests", params=query).json()["items"]:
            for request in items:
                http.post(f"/api/v1/requests/{request['id']}/cancel", json={})


@pytest.fixture
def people(person: Person) -> dict[str, str]:
    """People with an account: their ids by their user names, which are new each time."""
    mark = uuid.uuid4().hex[:6]
    ids: dict[str, str] = {}
    for first in ("Grace", "Alan", "Vera", "Mia"):
        role = {"Vera": "viewer", "Mia": "member"}.get(first, "reviewer")
        body = {"username": f"{first.lower()}-{mark}", "name": f"{first} {mark}", "role": role}
        reply = person.http.post("/api/v1/users", json={**body, "password": PASSWORD})
        assert reply.status_code == 201, reply.text
        ids[body["username"]] = reply.json()["id"]
    return ids


@pytest.fixture
def ask(server: RunningServer, agent: str) -> Generator[Ask]:
    """Submit a request as an agent does."""
    with server.http() as http:

        def submit(message: str = "May I?", **given: Any) -> dict[str, Any]:
            body = {"message": message, "client_id": agent, "timeout_seconds": 600, **given}
            reply = http.post("/api/v1/requests", json=body)
            assert reply.status_code == 201, reply.text
            return reply.json()

        yield submit


@pytest.fixture
def outcome(server: RunningServer) -> Generator[Callable[[dict[str, Any]], dict[str, Any]]]:
    """What became of a request, as its agent reads it."""
    with server.http() as http:
        yield lambda request: http.get(f"/api/v1/requests/{request['id']}").json()


@pytest.fixture
def open_inbox(pages: Pages, server: RunningServer) -> Generator[OpenInbox]:
    """Open a page as a signed-in person; any error in the browser's console fails the test."""
    lent = contextlib.ExitStack()
    errors: list[str] = []

    def watch(page: Page) -> None:
        def on_error(error: Error) -> None:
            errors.append(str(error))

        def on_console(message: ConsoleMessage) -> None:
            if message.type == "error":
                errors.append(message.text)

        page.on("pageerror", on_error)
        page.on("console", on_console)
        lent.callback(page.remove_listener, "pageerror", on_error)
        lent.callback(page.remove_listener, "console", on_console)

    def open_page(
        path: str = "/",
        *,
        width: int = 1440,
        theme: str = "light",
        script: bool = True,
        signed_in: bool = True,
        user: str = "",
        may_fail: bool = False,
    ) -> Page:
        page = lent.enter_context(pages.lend(server.url, script=script))
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(
            color_scheme=theme,  # type: ignore[arg-type]  # one of the two that exist
            reduced_motion="reduce",
        )
        if not may_fail:
            watch(page)
        if user:
            page.goto("/login")
            page.get_by_label("User name").fill(user)
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Sign in", exact=True).first.click()
            page.wait_for_url(re.compile("/$"))
        elif signed_in:
            page.goto(server.new_link())
        if not signed_in or path != "/":
            page.goto(path)
        if script and signed_in and re.match(r"/$|/requests/", path):
            page.get_by_text("Live", exact=True).wait_for()
        return page

    with lent:
        yield open_page
    assert errors == []
