"""What backends need to be installed, and how the process ends that has one."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.server import clean_environment

LIGHT = """
import sys
for extra in ("rich", "cyclopts", "jsonschema_rs", "aiohttp", "starlette", "asyncpg", "redis"):
    sys.modules[extra] = None
import asyncio
from sayso.backends import AutoApproveBackend, CLIBackend, RetryConfig, ScriptedBackend
from sayso.backends import SimpleHTTPWebhookBackend, WebhookBackend
from sayso.domain.actions import Action
from sayso.domain.approvals import ApprovalRequest
from sayso.errors import MissingExtraError
request = ApprovalRequest(run_id="r", action=Action(tool_name="pay", tool_args={"to": "bob"}))
async def yes(request, callback_id, url):
    await webhook.handle_callback(callback_id, True)
webhook = WebhookBackend(yes)
SimpleHTTPWebhookBackend("http://localhost")
for backend in (webhook, AutoApproveBackend(), ScriptedBackend(), CLIBackend()):
    print(asyncio.run(backend.request_approval(request)).approved)
"""


def ran(program: str, *words: str, typed: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *words],
        input=typed, capture_output=True, text=True, timeout=120, check=False,
        env=clean_environment(),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_all_but_the_persistent_ones_work_with_the_base_install() -> None:
    shown = ran(LIGHT, typed="y\n\n")
    assert shown.split("\n")[:3] == ["True"] * 3
    assert shown.rstrip().endswith("True")


def test_the_persistent_ones_name_the_extra_that_they_need() -> None:
    program = f"""{LIGHT.partition("webhook = ")[0]}
try:
    from sayso.backends import PersistentWebhookBackend
except MissingExtraError as error:
    print(error)
"""
    assert "sayso[server]" in ran(program)


FORGETFUL = """
import asyncio, sys
from sayso.backends import *
from sayso.backends import PendingApprovalRecord
stores = [SQLiteApprovalStore, PostgresApprovalStore, RedisApprovalStore]
make = dict(zip(["sqlite", "postgres", "redis"], stores))
store = InMemoryApprovalStore() if len(sys.argv) < 2 else make[sys.argv[1]](sys.argv[2])
record = asyncio.run(store.put(PendingApprovalRecord(run_id="r", tool_name="pay")))
async def wait():
    asyncio.ensure_future(store.wait(record.callback_id))
    await asyncio.sleep(0.1)
    print(len(await store.list_pending()))
asyncio.run(wait())
"""


@pytest.mark.parametrize("kind", ["memory", "sqlite", "postgres", "redis"])
def test_a_program_that_forgets_to_close_its_store_ends_all_the_same(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    addresses = {"sqlite": lambda: str(tmp_path / "a.db")}
    addresses["postgres"] = lambda: request.getfixturevalue("postgres_dsn")
    addresses["redis"] = lambda: request.getfixturevalue("redis_url")
    words = [kind, addresses[kind]()] if kind in addresses else []
    assert ran(FORGETFUL, *words) == "1\n"
