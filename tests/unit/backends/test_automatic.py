"""Backends that ask nobody."""

import pytest
from asked import asked

from sayso.backends import AutoApproveBackend, AutoRejectBackend, ScriptedBackend

pytestmark = pytest.mark.anyio


async def test_one_says_yes_and_one_says_no_each_after_the_time_it_was_told() -> None:
    yes = await AutoApproveBackend(delay_ms=20).request_approval(asked())
    no = await AutoRejectBackend().request_approval(asked())
    assert (yes.approved, yes.reason, yes.decided_by) == (
        True, "Auto-approved (no human in loop)", "auto",
    )  # fmt: skip
    assert (no.approved, no.reason, no.decided_by) == (
        False,
        "Auto-rejected (testing mode)",
        "auto",
    )
    assert yes.action_id == no.action_id == "call-1"
    assert yes.latency_ms >= 20


async def test_a_script_is_followed_then_the_default_and_again_after_a_reset() -> None:
    backend = ScriptedBackend([True, False], default_approve=False)
    said = [await backend.request_approval(asked()) for _ in range(3)]
    assert [each.approved for each in said] == [True, False, False]
    assert [each.reason for each in said] == [f"Scripted decision #{n}" for n in range(3)]
    assert {each.decided_by for each in said} == {"scripted"}
    backend.reset()
    assert (await backend.request_approval(asked())).approved
    assert (await ScriptedBackend().request_approval(asked())).approved
