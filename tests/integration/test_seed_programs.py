"""Programs written for Loopgate, as its documents print them, run unmodified but for the port.

The texts are in `programs/`. What they lack is given from outside: names that they import
elsewhere, and shorter pauses between two polls.
"""

import io
import json
import subprocess
import time
import types
from collections.abc import Callable, Generator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import requests
from support.person import Person
from support.programs import Beside
from support.server import RunningServer

PROGRAMS = Path(__file__).parent / "programs"
Python = Callable[..., dict[str, Any]]


def text_of(name: str, server: RunningServer) -> str:
    text = (PROGRAMS / name).read_text()
    assert "localhost:8080" in text or "self.base_url" in text or "self.send_request" in text
    return text.replace("localhost:8080", f"localhost:{server.port}")


@pytest.fixture
def python(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> Python:
    """Runs programs in one namespace and returns it; what they print is in `printed`."""
    nap = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: nap(seconds / 100))

    def run(*names: str, after: str = "", **given: Any) -> dict[str, Any]:
        space: dict[str, Any] = {"requests": requests, "time": time, **given}
        printed = io.StringIO()
        with redirect_stdout(printed):
            for name in names:
                exec(compile(text_of(name, server), name, "exec"), space)
            exec(after, space)
        return space | {"printed": printed.getvalue()}

    return run


@pytest.fixture
def registered(server: RunningServer) -> Callable[..., None]:
    def register(*sessions: str) -> None:
        for name in sessions:
            reply = requests.post(
                f"{server.url}/hitl/register",
                json={"session_id": name, "client_id": "tests", "telegram_id": 123456789},
            )
            assert reply.status_code == 200

    return register


@pytest.fixture
def javascript(node: str, server: RunningServer, tmp_path: Path) -> Callable[..., Any]:
    """Runs a program by Node.js; the JSON that its last line prints."""
    packages = Path(__file__).parents[2] / ".tools/node/node_modules"
    before = f"""
        import {{ createRequire }} from 'node:module';
        const require = createRequire({json.dumps(str(packages / "x.js"))});
        const later = globalThis.setTimeout;
        globalThis.setTimeout = (call, ms, ...rest) => later(call, ms / 100, ...rest);
        """

    def run(name: str, *, prefix: str = "", suffix: str = "") -> Any:
        program = tmp_path / "program.mjs"
        program.write_text(f"{before}\n{prefix}\n{text_of(name, server)}\n{suffix}\n")
        done = subprocess.run(
            [node, str(program)], capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


@pytest.fixture
def shell(curl: str, server: RunningServer) -> Callable[[str], list[dict[str, Any]]]:
    """Runs curl lines by bash; the JSON documents that they print."""

    def run(name: str) -> list[dict[str, Any]]:
        done = subprocess.run(
            ["bash", "-e"],
            input=text_of(name, server).replace("curl -X", f"{curl} -sS -X"),
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        decoder, rest, replies = json.JSONDecoder(), done.stdout, []
        while rest.strip():
            document, end = decoder.raw_decode(rest.strip())
            replies.append(document)
            rest = rest.strip()[end:]
        return replies

    return run


@pytest.fixture(autouse=True)
def nothing_left(server: RunningServer) -> Generator[None]:
    yield
    for item in requests.get(f"{server.url}/hitl/pending").json()["pending_requests"]:
        requests.post(f"{server.url}/hitl/cancel", json={"request_id": item["id"]})


# The read-me: shell and Python


def test_the_curl_line_registers_a_session(shell: Any, server: RunningServer) -> None:
    (reply,) = shell("readme_register.sh")
    assert reply["success"] is True
    status = requests.get(f"{server.url}/hitl/status?session_id={reply['session_id']}").json()
    assert status["client_id"] == "ci-cd-pipeline"
    assert status["telegram_id"] == 123456789


def test_the_curl_lines_submit_a_request(shell: Any, person: Person) -> None:
    registered, submitted = shell("readme_manual_testing.sh")
    assert registered["success"] is True
    assert submitted["success"] is True
    assert submitted["status"] == "pending"
    assert person.meet(session_id="test")["message"] == "Test message"


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("🚀 Deploy", "🎉 Deployment approved! Proceeding..."),
        ("⏸️ Hold", "🛑 Deployment denied: ⏸️ Hold"),
    ],
)
def test_the_quick_start_goes_on_as_the_person_said(
    python: Python, registered: Any, person: Person, option: str, line: str
) -> None:
    registered("production-deploy-bot")
    program = Beside(lambda: python("readme_quick_start.py.txt"))
    asked = person.meet(session_id="production-deploy-bot")
    assert [each["label"] for each in asked["options"]] == [
        "🚀 Deploy",
        "⏸️ Hold",
        "🔍 Review First",
    ]
    assert asked["metadata"]["tests_passed"] == 847
    person.choose(asked["id"], option)
    printed = program.result()["printed"].splitlines()
    assert printed[0].startswith("✅ Request submitted: ")
    assert printed[-1] == line


@pytest.mark.parametrize(("option", "approved"), [("Yes", True), ("No", False)])
def test_the_python_client_returns_the_decision(
    python: Python, person: Person, option: str, approved: bool
) -> None:
    program = Beside(lambda: python("readme_client.py.txt"))
    person.choose(person.meet(session_id="my-session")["id"], option)
    result = program.result()["result"]
    assert result["completed"] is True
    assert result["status"] == "completed"
    assert result["approved"] is approved
    assert result["response"] == option


@pytest.mark.parametrize(
    ("option", "approved"), [("Deploy", True), ("Cancel", False), ("Deploy to Staging First", True)]
)
def test_the_production_example_asks_with_its_options(
    python: Python, registered: Any, person: Person, option: str, approved: bool
) -> None:
    registered("deploy-agent")
    submitted = python("readme_production.py.txt")["response"].json()
    decided = person.choose(submitted["request_id"], option)
    assert decided["decision"]["approved"] is approved


def test_the_moderation_example_asks_with_its_facts(
    python: Python, registered: Any, person: Person
) -> None:
    registered("content-mod")
    submitted = python("readme_moderation.py.txt")["response"].json()
    assert submitted["status"] == "pending"
    asked = person.meet(session_id="content-mod")
    assert asked["metadata"] == {"content_type": "image", "ai_confidence": 0.75}


def test_the_function_for_openai_returns_the_decision(
    python: Python, registered: Any, person: Person
) -> None:
    registered("openai-session")
    call = "said = request_human_approval('Drop the table?', ['Drop it', 'Stop'], {'rows': 12})"
    program = Beside(lambda: python("readme_openai_function.py.txt", after=call))
    person.choose(person.meet(session_id="openai-session")["id"], "Stop")
    said = program.result()["said"]
    assert said["approved"] is False
    assert said["response"] == "Stop"


def test_the_function_for_openai_takes_words_when_it_has_no_options(
    python: Python, registered: Any, person: Person
) -> None:
    registered("openai-session")
    call = "said = request_human_approval('Which table?')"
    program = Beside(lambda: python("readme_openai_function.py.txt", after=call))
    person.write(person.meet(session_id="openai-session")["id"], "The old one")
    said = program.result()["said"]
    assert said["approved"] is True
    assert said["response"] == "The old one"


# The read-me: JavaScript


@pytest.mark.node
@pytest.mark.parametrize(("option", "approved"), [("Yes", True), ("No", False)])
def test_the_node_client_returns_the_decision(
    javascript: Any, person: Person, option: str, approved: bool
) -> None:
    say = "console.log(JSON.stringify(result));"
    program = Beside(lambda: javascript("readme_client.js", suffix=say))
    person.choose(person.meet(session_id="my-session")["id"], option)
    result = program.result(120)
    assert result["approved"] is approved
    assert result["response"] == option


@pytest.mark.node
def test_the_tool_for_vercel_returns_the_decision(javascript: Any, person: Person) -> None:
    call = """
        const said = await tool.execute({
            message: 'Deploy the new version?', options: ['Deploy', 'Hold'], metadata: { build: 7 }
        });
        console.log(JSON.stringify(said));
        """
    program = Beside(
        lambda: javascript(
            "readme_vercel_execute.js", prefix="const tool = {", suffix="};\n" + call
        )
    )
    person.choose(person.meet(session_id="vercel-ai-session")["id"], "Deploy")
    said = program.result(120)
    assert said["approved"] == "Deploy"  # that program takes the response for it
    assert said["metadata"] == {"build": 7}
    assert said["timestamp"].endswith("Z")


@pytest.mark.node
def test_the_trading_example_submits_by_fetch(
    javascript: Any, registered: Any, person: Person
) -> None:
    registered("trading-bot")
    say = "console.log(JSON.stringify(await response.json()));"
    submitted = javascript("readme_trading.js", suffix=say)
    assert submitted["success"] is True
    asked = person.meet(session_id="trading-bot")
    assert asked["metadata"]["value"] == "$1,502,500"
    assert person.choose(asked["id"], "Execute")["decision"]["approved"] is True


# The usage guide


@pytest.mark.parametrize("option", ["Yes", "No"])
def test_the_simple_approval_prints_the_decision(
    python: Python, person: Person, option: str
) -> None:
    program = Beside(lambda: python("guide_simple_approval.py.txt"))
    person.choose(person.meet(session_id="approval-bot")["id"], option)
    assert program.result()["printed"] == f"Decision: {option}\n"


@pytest.mark.parametrize(
    ("name", "session", "kind", "options"),
    [
        ("guide_input.py.txt", "input-bot", "input", []),
        ("guide_choice.py.txt", "choice-bot", "choice", ["Development", "Staging", "Production"]),
        ("guide_metadata.py.txt", "deploy-bot", "choice", ["Deploy", "Cancel", "Review"]),
        (
            "guide_timeout.py.txt",
            "urgent-bot",
            "choice",
            ["Investigate", "Auto-scale", "Ignore"],
        ),
    ],
)
def test_the_patterns_of_the_guide_are_taken(
    python: Python,
    registered: Any,
    person: Person,
    name: str,
    session: str,
    kind: str,
    options: list[str],
) -> None:
    registered(session)
    submitted = python(name)["response"]
    assert submitted.status_code == 200
    asked = person.meet(session_id=session)
    assert asked["id"] == submitted.json()["request_id"]
    assert asked["kind"] == kind
    assert [option["label"] for option in asked["options"]] == options


def test_the_sessions_of_the_guide_are_all_registered(
    python: Python, server: RunningServer
) -> None:
    for session in python("guide_sessions.py.txt")["sessions"]:
        status = requests.get(f"{server.url}/hitl/status?session_id={session['session_id']}").json()
        assert status["active"] is True
        assert status["telegram_id"] == session["telegram_id"]


@pytest.mark.parametrize(
    ("option", "approved", "line"),
    [
        ("Deploy", True, "Deployment approved, proceeding..."),
        ("Cancel", False, "Deployment denied: Cancel"),
    ],
)
def test_the_deployment_approver_returns_the_decision(
    python: Python,
    registered: Any,
    person: Person,
    server: RunningServer,
    option: str,
    approved: bool,
    line: str,
) -> None:
    registered("cicd-pipeline")
    program = Beside(lambda: python("guide_deployment_approver.py.txt"))
    asked = person.meet(session_id="cicd-pipeline")
    assert asked["message"] == "Deploy v2.1.0 to production?"
    assert asked["metadata"]["build_time"] == "3m 24s"
    person.choose(asked["id"], option)
    done = program.result()
    assert done["result"] == {"approved": approved, "response": option, "request_id": asked["id"]}
    assert done["printed"].strip() == line


def test_the_trading_approver_is_told_to_wait(
    python: Python, registered: Any, person: Person, server: RunningServer
) -> None:
    registered("trading-bot")
    space = python("guide_trading_approver.py.txt")
    lender = types.SimpleNamespace(requests=requests, time=time)
    exec(text_of("guide_deployment_approver.py.txt", server).partition("# Usage")[0], vars(lender))
    approver = _with_sender(space["TradingApprover"](), lender.DeploymentApprover(server.url))
    approver.calculate_risk = lambda trade: trade["risk"]
    trade = {"action": "BUY", "symbol": "A", "quantity": 1, "price": 2, "total_value": 2}
    assert approver.request_trade_approval(trade | {"risk": "low"})["auto_approved"] is True
    program = Beside(lambda: approver.request_trade_approval(trade | {"risk": "high"}))
    person.choose(person.meet(session_id="trading-bot")["id"], "Wait for Better Price")
    assert program.result()["approved"] is False


def test_the_content_moderator_escalates(
    python: Python, registered: Any, person: Person, server: RunningServer
) -> None:
    registered("content-mod")
    space = python("guide_content_moderator.py.txt")
    lender = types.SimpleNamespace(requests=requests, time=time)
    exec(text_of("guide_deployment_approver.py.txt", server).partition("# Usage")[0], vars(lender))
    moderator = _with_sender(space["ContentModerator"](), lender.DeploymentApprover(server.url))
    analysis = {"confidence": 0.5, "recommendation": "Remove", "categories": ["spam"]}
    program = Beside(lambda: moderator.escalate_to_human({"type": "image", "id": "c1"}, analysis))
    asked = person.meet(session_id="content-mod")
    assert asked["message"] == "Review flagged content (AI confidence: 50.0%)"
    person.choose(asked["id"], "Remove")
    assert program.result()["response"] == "Remove"


def _with_sender(approver: Any, sender: Any) -> Any:
    """The guide prints `send_request` once, in the first of its three classes."""
    sender.session_id, sender.client_id = approver.session_id, approver.client_id
    approver.send_request = sender.send_request
    return approver


# The guide's error handling


def test_an_unknown_session_is_an_http_error(python: Python) -> None:
    data = {"session_id": "nobody", "client_id": "x", "message": "Hello?"}
    assert python("guide_http_errors.py.txt", data=data)["printed"] == "HTTP error: 404\n"


def test_a_body_without_a_message_is_an_http_error(python: Python, registered: Any) -> None:
    registered("somebody")
    data = {"session_id": "somebody", "client_id": "x"}
    assert python("guide_http_errors.py.txt", data=data)["printed"] == "HTTP error: 400\n"


def test_a_good_request_is_no_http_error(python: Python, registered: Any) -> None:
    registered("somebody")
    data = {"session_id": "somebody", "client_id": "x", "message": "Hello?"}
    done = python("guide_http_errors.py.txt", data=data)
    assert done["printed"] == ""
    assert done["result"]["success"] is True


def test_ensure_session_active_tells_the_three_cases_apart(
    python: Python, registered: Any, server: RunningServer
) -> None:
    ask = "active = ensure_session_active(session_id)"
    name = "guide_ensure_session_active.py.txt"
    done = python(name, after=ask, session_id="come-and-gone")
    assert (done["active"], "not found" in done["printed"]) == (False, True)
    registered("come-and-gone")
    assert python(name, after=ask, session_id="come-and-gone")["active"] is True
    requests.post(f"{server.url}/hitl/deactivate", json={"session_id": "come-and-gone"})
    done = python(name, after=ask, session_id="come-and-gone")
    assert (done["active"], "inactive" in done["printed"]) == (False, True)


def test_poll_with_timeout_returns_what_was_decided(
    python: Python, registered: Any, person: Person
) -> None:
    registered("somebody")
    asked = _asked(python)
    program = Beside(
        lambda: python(
            "guide_poll_with_timeout.py.txt",
            after="status = poll_with_timeout(request_id)",
            request_id=asked,
        )
    )
    person.choose(asked, "Go")
    assert program.result()["status"]["approved"] is True


def test_poll_with_timeout_cancels_when_it_gives_up(
    python: Python, registered: Any, person: Person, server: RunningServer
) -> None:
    registered("somebody")
    asked = _asked(python)
    with pytest.raises(TimeoutError, match=r"timed out after 0\.2 seconds"):
        python(
            "guide_poll_with_timeout.py.txt",
            after="poll_with_timeout(request_id, max_wait=0.2)",
            request_id=asked,
        )
    status = requests.get(f"{server.url}/hitl/poll?request_id={asked}").json()
    assert (status["status"], status["approved"]) == ("canceled", False)
    assert person.try_to_decide(asked, "respond", option="Go").status_code == 409


def _asked(python: Python) -> str:
    data = {"session_id": "somebody", "client_id": "x", "message": "Go?", "options": ["Go", "No"]}
    return python("guide_http_errors.py.txt", data=data)["result"]["request_id"]
