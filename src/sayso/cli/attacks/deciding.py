"""Ways to decide without being a person."""

import base64
import json
import time
from typing import Any

from sayso.cli.attacks.ground import (
    APPROVE,
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
    short,
)

_PATIENCE = 5.0
"""Seconds to wait for a deadline to be kept."""


def _decisions(request_id: str) -> list[tuple[str, dict[str, Any]]]:
    """The addresses by which people decide, and what they send there."""
    return [
        (f"{REQUESTS}/{request_id}/decision", {"json": APPROVE}),
        (f"/requests/{request_id}/decision", {"data": APPROVE}),
    ]


def decide_without_a_credential(ground: Ground) -> Tries:
    """Approve its own request, with no credential."""
    request_id = ground.ask()
    for path, content in _decisions(request_id):
        reply = ground.send("POST", path, **content)
        yield ground.stands(f"POST {short(path)}", request_id, reply)


def decide_with_the_agents_key(ground: Ground) -> Tries:
    """Approve its own request with its key, in every place where a credential may stand."""
    if not ground.key:
        raise NotTriedError("needs an agent's key: $SAYSO_API_KEY")
    request_id, key = ground.ask(), ground.key
    places: list[tuple[str, dict[str, str], str]] = [
        ("Authorization", ground.agent, ""),
        ("X-API-Key", {"x-api-key": key}, ""),
        ("Basic", {"authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode()}, ""),
        ("a cookie", {"cookie": f"sayso_session={key}; session={key}; token={key}"}, ""),
        ("the query", ground.agent, f"?token={key}&access_token={key}&api_key={key}"),
    ]
    for name, headers, query in places:
        for path, content in _decisions(request_id):
            reply = ground.send("POST", path + query, headers, **content)
            yield ground.stands(f"{name}, POST {short(path)}", request_id, reply)


def decide_by_what_the_body_says(ground: Ground) -> Tries:
    """Say in a body who decided, or that it is decided already."""
    request_id = ground.ask()
    by = {"id": "admin", "name": "admin", "role": "admin"}
    for claim in (
        {"by": by}, {"reviewer": by}, {"user": "admin"}, {"principal": {"plane": "person"}},
        {"strength": "passkey"}, {"channel": "web"}, {"approved": True}, {"force": True},
    ):  # fmt: skip
        path = f"{REQUESTS}/{request_id}/decision"
        reply = ground.send("POST", path, ground.agent, json={**APPROVE, **claim})
        yield ground.stands(f"{next(iter(claim))!r} in the decision", request_id, reply)
    for claim in (
        {"status": "approved"}, {"decision": {"type": "approve", "approved": True, "by": by}},
        {"approved": True}, {"requested_by": {"plane": "person", "id": "admin"}},
        {"grant": {"digest": "sha256:" + "0" * 64}}, {"kind": "canary"}, {"votes": [by]},
    ):  # fmt: skip
        reply = ground.send("POST", REQUESTS, ground.agent, json=ground.draft(**claim))
        ground.keep(reply)
        pending = field(reply, "status") == "pending" and json_of(reply).get("decision") is None
        trusted = json.dumps(json_of(reply).get("requested_by"))
        refused = is_no(reply) or (reply.is_success and pending and '"admin"' not in trusted)
        yield Try(f"{next(iter(claim))!r} in a submit", refused, answer_of(reply))


def decide_by_headers(ground: Ground) -> Tries:
    """Claim to be somebody by the headers that proxies set."""
    request_id = ground.ask()
    names = (
        "x-forwarded-user", "x-remote-user", "remote-user", "x-user", "x-auth-request-user",
        "x-auth-request-email", "x-forwarded-email", "x-webauth-user", "x-sayso-user",
        "x-sayso-role", "x-role", "x-authenticated-userid", "x-forwarded-groups",
    )  # fmt: skip
    local = {"x-forwarded-for": "127.0.0.1", "x-real-ip": "127.0.0.1", "forwarded": "for=127.0.0.1"}
    for headers in ({name: "admin"} for name in names):
        path = f"{REQUESTS}/{request_id}/decision"
        reply = ground.send("POST", path, {**ground.agent, **headers, **local}, json=APPROVE)
        yield ground.stands(next(iter(headers)), request_id, reply)


def decide_by_another_method(ground: Ground) -> Tries:
    """Decide by another method, or one that stands in a header, the query or a form."""
    request_id = ground.ask()
    path = f"{REQUESTS}/{request_id}/decision"
    for method in ("PUT", "PATCH", "DELETE"):
        for address in (path, f"{REQUESTS}/{request_id}"):
            body = {**APPROVE, "status": "approved"}
            reply = ground.send(method, address, ground.agent, json=body)
            yield ground.stands(f"{method} {short(address)}", request_id, reply)
    for name in ("x-http-method-override", "x-method-override", "x-http-method"):
        reply = ground.send("GET", path, {**ground.agent, name: "POST"})
        yield ground.stands(f"GET with {name}", request_id, reply)
        reply = ground.send("POST", path, {**ground.agent, name: "PUT"}, json=APPROVE)
        yield ground.stands(f"POST with {name}", request_id, reply)
    reply = ground.send("GET", f"{path}?_method=POST&type=approve", ground.agent)
    yield ground.stands("GET with _method", request_id, reply)


def decide_by_get(ground: Ground) -> Tries:
    """GET and HEAD every address by which something is decided, as scanners of links do."""
    request_id = ground.ask()
    credentials = {"the agent": ground.agent}
    if ground.token:
        credentials["a person"] = ground.person
    queries = ("", "?type=approve", "?decision=approve&approve=1&approved=true")
    roads = [f"{REQUESTS}/{request_id}/decision", f"/requests/{request_id}/decision"]
    roads += [
        path.replace("{id}", request_id).replace("{request_id}", request_id)
        for path in ground.paths
        if any(word in path for word in ("decision", "decide", "approve", "respond", "vote"))
    ]
    for who, headers in credentials.items():
        for path in dict.fromkeys(roads):
            for method in ("GET", "HEAD"):
                for query in queries:
                    reply = ground.send(method, path + query, headers)
                    status = ground.status(request_id)
                    seen = f"{answer_of(reply)}, then {status}"
                    what = f"{method} {short(path)}{query} by {who}"
                    yield Try(what, status == "pending" and reply.status_code < 500, seen)


def decide_by_another_path(ground: Ground) -> Tries:
    """Write the address of the decision in another way, to get past a check of paths."""
    request_id = ground.ask()
    for path in (
        f"{REQUESTS}/{request_id}/decision/", f"/{REQUESTS}/{request_id}/decision",
        f"{REQUESTS}/./{request_id}/decision", f"{REQUESTS}/{request_id}//decision",
        f"{REQUESTS}/{request_id}/%64ecision", f"{REQUESTS}/{request_id}/decision%00",
        f"{REQUESTS}/{request_id}/decision;x=/cancel",
        f"/static/..{REQUESTS}/{request_id}/decision",
        f"/API/V1/requests/{request_id}/decision",
    ):  # fmt: skip
        reply = ground.send("POST", path, ground.agent, json=APPROVE)
        yield ground.stands(f"POST {short(path)}", request_id, reply)


def have_silence_mean_yes(ground: Ground) -> Tries:
    """Have its request approved because nobody answers."""
    low = {**action_of(), "risk_class": "low"}
    for wish in ("approve", "escalate", "APPROVE", "allow"):
        body = ground.draft(action=low, on_timeout=wish, timeout_seconds=1)
        reply = ground.send("POST", REQUESTS, ground.agent, json=body)
        ground.keep(reply)
        yield refusal(f"on_timeout: {wish}", reply)
    mark = {"effect": "ask", "version": 1, "rule": "yes"}
    body = ground.draft(action=low, policy=mark, timeout_seconds=1)
    reply = ground.send("POST", REQUESTS, ground.agent, json=body)
    ground.keep(reply)
    yield refusal("with the mark of a policy", reply)
    text = "version: 1\ndefaults: {verdict: allow}\nrules: []\n"
    reply = ground.send("PUT", "/api/v1/policy", ground.agent, json={"text": text})
    yield refusal("put a policy that allows everything", reply)
    request_id = ground.ask(action=low, timeout_seconds=0.2)
    until = time.monotonic() + _PATIENCE
    while (status := ground.status(request_id)) == "pending" and time.monotonic() < until:
        time.sleep(0.1)
    refused = status in ("expired", "rejected", "cancelled")
    yield Try("let the deadline pass", refused, f"then {status}")
