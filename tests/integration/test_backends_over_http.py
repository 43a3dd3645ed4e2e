"""The example's server as it is shown, and the POST of `SimpleHTTPWebhookBackend`."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from standardwebhooks import Webhook
from support.server import clean_environment
from support.servers import port_to_come_back_to
from support.sink import Sink

from sayso import verify_webhook
from sayso.backends import SimpleHTTPWebhookBackend
from sayso.domain.actions import Action, RiskClass
from sayso.domain.approvals import ApprovalRequest
from sayso.gate.ports import ApprovalError

ROOT = Path(__file__).parents[2]


def post(url: str, **more: Any) -> httpx2.Response:
    return httpx2.post(url, timeout=60, **more)


class Example:
    """`uvicorn examples.webhook_server:app`, and what its console shows."""

    def __init__(self, port: int) -> None:
        self.url = f"http://localhost:{port}"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "examples.webhook_server:app", "--port", str(port)],
            cwd=ROOT, env=clean_environment(), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.until("Uvicorn running on")

    def until(self, text: str) -> str:
        """The line that has this text."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if text in line:
                return line.strip()
        raise AssertionError(f"The console did not show {text!r}.")

    def asks(self) -> str:
        """Has it ask, and returns the address that the console shows, at the port of the test."""
        reply = post(f"{self.url}/test/request-approval")
        assert reply.json()["status"] == "pending"
        shown = self.until("Answer to: ").removeprefix("Answer to: ")
        return shown.replace("http://localhost:8000", self.url)

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="module")
def example() -> Generator[Example]:
    running = Example(port_to_come_back_to())
    yield running
    running.stop()


def test_the_address_on_the_console_works_with_curl(example: Example, curl: str) -> None:
    url = example.asks()
    done = subprocess.run(
        [curl, "-sS", "-X", "POST", "-H", "content-type: application/json",
         "-d", '{"approved": true, "reason": "fine", "user": "alice"}', url],
        capture_output=True, text=True, check=True, timeout=90,
    )  # fmt: skip
    assert json.loads(done.stdout) == {"status": "ok", "approved": True}
    assert example.until("Approved by") == "Approved by webhook:alice: fine"
    again = post(url, json={"approved": False})
    assert (again.status_code, again.json()) == (
        404,
        {"detail": "Callback ID not found or expired"},
    )


@pytest.mark.parametrize("approved", ["false", "true", 1, None])
def test_what_is_no_bool_answers_nothing(example: Example, approved: Any) -> None:
    url = example.asks()
    assert post(url, json={"approved": approved}).status_code == 422
    assert post(url, json={"approved": False}).json() == {"status": "ok", "approved": False}


def test_a_listed_id_alone_answers_nothing(example: Example) -> None:
    """hitloop 57: GET /pending gave ids to anyone, and whoever had one could approve."""
    url = example.asks()
    listed = httpx2.get(f"{example.url}/pending", timeout=60).json()
    assert listed["count"] == len(listed["pending"]) >= 1
    [mine] = [each for each in listed["pending"] if each["callback_id"] in url]
    assert (mine["tool"], mine["risk"]) == ("send_email", "high")
    bare = f"{example.url}/callback/{mine['callback_id']}"
    later = re.sub(r"expires=(\d+)", lambda found: f"expires={int(found[1]) + 999}", url)
    for forged in (bare, f"{bare}?expires=0&signature=", later, url[:-1]):
        assert post(forged, json={"approved": True}).status_code == 403
    assert post(url, json={"approved": False}).status_code == 200


def asked(**fields: Any) -> ApprovalRequest:
    action = Action(
        id="call-1", tool_name="pay", tool_args={"to": "bob"}, risk_class=RiskClass.HIGH,
        side_effects=("Money leaves.",), rationale="It is due.",
    )  # fmt: skip
    return ApprovalRequest(run_id="run-1", action=action, summary_context="They talked.", **fields)


@pytest.mark.anyio
async def test_a_request_is_posted_signed_and_the_callback_answers_it() -> None:
    """hitloop 57: what was sent carried no signature, and left the side effects out."""
    with Sink() as sink:
        backend = SimpleHTTPWebhookBackend(
            f"{sink.url}/ask", "https://app.example/back", 120, headers={"x-team": "payments"}
        )
        task = asyncio.ensure_future(backend.request_approval(asked(policy_name="p")))
        [sent] = await asyncio.to_thread(sink.meet, "/ask")
        told = sent.told
        assert Webhook(backend.secret).verify(sent.body, dict(sent.headers))
        assert verify_webhook(sent.body, sent.headers, backend.secret).type == "approval.requested"
        assert sent.headers["x-team"] == "payments"
        assert told["callback_url"].startswith(
            f"https://app.example/back/{told['callback_id']}?expires="
        )
        assert told["action"]["tool_args"] == {"to": "bob"}
        assert told["action"]["side_effects"] == ["Money leaves."]
        assert told["action"]["summary"] == '[HIGH] pay({"to":"bob"})'
        assert (told["run_id"], told["context"], told["policy_name"]) == (
            "run-1", "They talked.", "p",
        )  # fmt: skip
        assert await backend.handle_callback(told["callback_id"], True)
        assert (await task).approved


@pytest.mark.anyio
@pytest.mark.parametrize("status", [302, 400, 404, 500])
async def test_a_post_that_is_not_taken_is_an_error_and_a_redirect_is_not_followed(
    status: int,
) -> None:
    with Sink() as sink:
        sink.answers["/ask"] = lambda _: (status, {"location": f"{sink.url}/other"}, b"")
        with pytest.raises(ApprovalError, match=f"Failed to send webhook: {status}"):
            await SimpleHTTPWebhookBackend(f"{sink.url}/ask").request_approval(asked())
        assert sink.at("/other") == []


@pytest.mark.anyio
async def test_an_address_where_nobody_listens_is_an_error() -> None:
    with pytest.raises(ApprovalError, match="could not be sent"):
        await SimpleHTTPWebhookBackend("http://127.0.0.1:9/ask").request_approval(asked())
