"""Ways to run what was not approved, or to run it twice."""

import secrets
from typing import Any, cast

import httpx2

from sayso.cli.attacks.ground import (
    APPROVE,
    MARK,
    REQUESTS,
    Ground,
    NotTriedError,
    Tries,
    Try,
    action_of,
    answer_of,
    field,
    is_no,
    json_of,
    refusal,
)


def decide_twice(ground: Ground) -> Tries:
    """Change a decision that was made."""
    request_id = ground.action()
    _decide(ground, request_id, {"type": "reject", "reason": "Selftest."})
    path = f"{REQUESTS}/{request_id}/decision"
    reply = ground.send("POST", path, ground.person, json=APPROVE)
    status = ground.status(request_id)
    refused = is_no(reply) and status == "rejected"
    yield Try("approve after a rejection", refused, f"{answer_of(reply)}, then {status}")


def submit_a_wrong_digest(ground: Ground) -> Tries:
    """Have people sign another digest than that of what they see."""
    ground.ask()
    wrong = "sha256:" + "0" * 64
    body = ground.draft(action={**action_of(), "digest": wrong})
    reply = ground.send("POST", REQUESTS, ground.agent, json=body)
    ground.keep(reply)
    taken = cast("dict[str, Any]", json_of(reply).get("action") or {}).get("digest") == wrong
    yield Try("submit it", is_no(reply) and not taken, answer_of(reply))
    if ground.token:
        request_id = ground.action()
        path = f"{REQUESTS}/{request_id}/decision"
        reply = ground.send("POST", path, ground.person, json={**APPROVE, "digest": wrong})
        yield ground.stands("approve it", request_id, reply)


def claim_before_a_decision(ground: Ground) -> Tries:
    """Claim a grant that nobody gave."""
    request_id = ground.action()
    reply = _claim(ground, request_id, _digest(ground, request_id))
    yield ground.stands("claim while it is pending", request_id, reply)


def claim_after_a_rejection(ground: Ground) -> Tries:
    """Claim a grant that was refused."""
    request_id = ground.action()
    digest = _digest(ground, request_id)
    _decide(ground, request_id, {"type": "reject", "reason": "Selftest."})
    yield refusal("claim after a rejection", _claim(ground, request_id, digest))


def claim_after_a_cancellation(ground: Ground) -> Tries:
    """Claim a grant of a question that was taken back."""
    request_id = ground.action()
    digest = _digest(ground, request_id)
    ground.send("POST", f"{REQUESTS}/{request_id}/cancel", ground.agent, json={})
    yield refusal("claim after a cancellation", _claim(ground, request_id, digest))


def claim_another_digest(ground: Ground) -> Tries:
    """Have one action approved, and claim another."""
    request_id = ground.action(amount=1)
    _decide(ground, request_id, APPROVE)
    other = _digest(ground, ground.action(amount=1_000_000))
    for digest in (other, "sha256:" + "0" * 64, "", None):
        reply = _claim(ground, request_id, digest)
        yield refusal(f"claim {str(digest)[:14]!r}", reply)


def claim_by_another_agent(ground: Ground) -> Tries:
    """Claim what was approved for another agent."""
    other = ground.other
    request_id = ground.action()
    digest = _digest(ground, request_id)
    _decide(ground, request_id, APPROVE)
    yield refusal("claim as another agent", _claim(ground, request_id, digest, other))
    path = f"{REQUESTS}/{request_id}/outcome"
    reply = ground.send("POST", path, other, json={"status": "succeeded"})
    yield refusal("report as another agent", reply)


def claim_twice(ground: Ground) -> Tries:
    """Use one approval for two runs."""
    request_id = ground.action()
    digest = _digest(ground, request_id)
    _decide(ground, request_id, APPROVE)
    first = _claim(ground, request_id, digest)
    if not first.is_success:
        raise NotTriedError(f"the first claim failed: {answer_of(first)}")
    for times in ("second", "third"):
        yield refusal(f"claim for the {times} time", _claim(ground, request_id, digest))


def rebind_an_idempotency_key(ground: Ground) -> Tries:
    """Have one action approved, and submit another by the same key."""
    ground.ask()
    key = {"idempotency-key": f"{MARK}-{secrets.token_hex(8)}"}
    drafts = [ground.draft(action=action_of(amount=amount)) for amount in (1, 1_000_000)]
    first, second = (
        ground.send("POST", REQUESTS, {**ground.agent, **key}, json=draft) for draft in drafts
    )
    ground.keep(first)
    ground.keep(second)
    yield refusal("another action by the same key", second)
    if ground.other_key:
        reply = ground.send("POST", REQUESTS, {**ground.other, **key}, json=drafts[0])
        taken = field(reply, "id") == field(first, "id")
        yield Try("another agent's key", not taken and reply.status_code < 500, answer_of(reply))


def _decide(ground: Ground, request_id: str, answer: dict[str, str]) -> None:
    path = f"{REQUESTS}/{request_id}/decision"
    reply = ground.send("POST", path, ground.person, json=answer)
    if not reply.is_success:
        raise NotTriedError(f"the test person could not decide: {answer_of(reply)}")


def _digest(ground: Ground, request_id: str) -> str:
    reply = ground.send("GET", f"{REQUESTS}/{request_id}", ground.agent)
    return cast("dict[str, Any]", json_of(reply).get("action") or {}).get("digest") or ""


def _claim(
    ground: Ground, request_id: str, digest: str | None, headers: dict[str, str] | None = None
) -> httpx2.Response:
    path = f"{REQUESTS}/{request_id}/claim"
    who = ground.agent if headers is None else headers
    reply = ground.send("POST", path, who, json={"digest": digest})
    offered = f"{REQUESTS}/{{id}}/claim" in ground.paths
    if reply.status_code in (404, 405) and not offered:
        raise NotTriedError("not offered: this server has no grants to claim")
    return reply
