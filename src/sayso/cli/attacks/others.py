"""Ways to what belongs to somebody else: requests, secrets, machines."""

import json

import httpx2

from sayso.cli.attacks.ground import (
    APPROVE,
    MARK,
    MESSAGE,
    REQUESTS,
    Ground,
    NotTriedError,
    Tries,
    Try,
    answer_of,
    is_no,
    json_of,
    short,
)


def meddle_with_anothers_request(ground: Ground) -> Tries:
    """See, find, wait for and cancel a request of another agent."""
    request_id = ground.ask(message=f"{MESSAGE} {ground.run}")
    other, path = ground.other, f"{REQUESTS}/{request_id}"
    if other == ground.agent:
        raise NotTriedError("the other agent's key is the same")
    yield _unseen("read it", ground.send("GET", path, other), request_id)
    yield _unseen("wait for it", ground.send("GET", f"{path}?wait=0.1", other), request_id)
    yield _unseen("find it", ground.send("GET", REQUESTS, other, params={"limit": 200}), request_id)
    query = {"q": ground.run, "session_id": f"{MARK}-{ground.run}"}
    yield _unseen("search for it", ground.send("GET", REQUESTS, other, params=query), request_id)
    polled = ground.send("GET", "/hitl/poll", other, params={"request_id": request_id})
    yield _unseen("poll it", polled, request_id)
    yield _unseen("list it", ground.send("GET", "/hitl/pending", other), request_id)
    for verb, body in (("cancel", {}), ("extend", {"timeout_seconds": 9}), ("decision", APPROVE)):
        reply = ground.send("POST", f"{path}/{verb}", other, json=body)
        yield ground.stands(verb, request_id, reply)


def meddle_without_a_credential(ground: Ground) -> Tries:
    """See and cancel requests with no credential at all."""
    if not ground.key:
        raise NotTriedError("needs an agent's key: $SAYSO_API_KEY")
    if ground.send("GET", REQUESTS).status_code == 200:
        raise NotTriedError("the server is in its open local mode, where this is allowed")
    request_id = ground.ask()
    path = f"{REQUESTS}/{request_id}"
    for address in (path, f"{path}?wait=0.1", REQUESTS, "/hitl/pending", "/api/v1/events"):
        yield _unseen(f"GET {short(address)}", ground.send("GET", address), request_id)
    for verb in ("cancel", "extend"):
        reply = ground.send("POST", f"{path}/{verb}", json={"timeout_seconds": 9})
        yield ground.stands(verb, request_id, reply)


def read_what_is_secret(ground: Ground) -> Tries:
    """Read secrets, other people's events and the files of the server as an agent."""
    ground.ask()
    for path in (
        "/api/v1/callback-secret", "/api/v1/keys", "/api/v1/users", "/.env", "/secret.key",
        "/static/../../settings.py", "/static/%2e%2e/%2e%2e/pages.py", "/static//etc/passwd",
    ):  # fmt: skip
        reply = ground.send("GET", path, ground.agent)
        yield Try(f"GET {path}", is_no(reply), answer_of(reply))


def send_callbacks_inside(ground: Ground) -> Tries:
    """Have the server call an address that only it can reach."""
    ground.ask()
    for url in (
        "http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "http://0.0.0.0:1/",
        "http://2852039166/latest/", "file:///etc/passwd", "gopher://127.0.0.1:6379/_x",
    ):  # fmt: skip
        reply = ground.send("POST", REQUESTS, ground.agent, json=ground.draft(callback_url=url))
        ground.keep(reply)
        yield Try(f"callback_url {url}", is_no(reply), answer_of(reply))


def forge_a_channels_callback(ground: Ground) -> Tries:
    """Send what only a chat service may send, without its signature."""
    request_id = ground.ask()
    words = ("telegram", "slack", "email", "inbound", "teams", "discord")
    roads = [
        path for path, item in ground.paths.items()
        if "post" in item and any(word in path.lower() for word in words)
    ]  # fmt: skip
    if not roads:
        raise NotTriedError("not offered: no channel of this server takes callbacks")
    press = {"callback_query": {"data": f"approve:{request_id}", "from": {"id": 1}}}
    payload = {"payload": json.dumps({"actions": [{"value": request_id}], "user": {"id": "U1"}})}
    forged = {"x-slack-signature": "v0=" + "0" * 64, "x-slack-request-timestamp": "0"}
    forged |= {"x-telegram-bot-api-secret-token": "0" * 32}
    for path in roads:
        address = path.replace("{id}", request_id)
        for headers in ({}, forged):
            for content in ({"json": press}, {"data": payload}):
                reply = ground.send("POST", address, headers, **content)
                yield ground.stands(f"POST {path}", request_id, reply)


def _unseen(what: str, reply: httpx2.Response, request_id: str) -> Try:
    refused = reply.status_code < 500 and f'"{request_id}"' not in reply.text.replace(" ", "")
    if reply.is_success and f"{request_id}" in json.dumps(json_of(reply)):
        refused = False
    return Try(what, refused, answer_of(reply))
