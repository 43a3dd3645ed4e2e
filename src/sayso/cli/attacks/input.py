"""Ways to break what reads, or to deceive who reads."""

import httpx2

from sayso.cli.attacks.ground import (
    REQUESTS,
    Ground,
    Tries,
    Try,
    action_of,
    answer_of,
    refusal,
    short,
)


def give_a_name_twice(ground: Ground) -> Tries:
    """Give one name two values, so that people are shown the one and the other runs."""
    ground.ask()
    args = b'{"to": "Ann", "to": "Eve"}'
    for name, body in (
        ("an argument", b'{"message": "x", "action": {"tool_name": "t", "tool_args": %b}}' % args),
        ("a field", b'{"message": "safe", "message": "not safe"}'),
        ("an escaped one", b'{"message": "safe", "m\\u0065ssage": "not safe"}'),
    ):
        yield _malformed(ground, name, body)


def send_what_is_not_json(ground: Ground) -> Tries:
    """Send bodies that parsers read differently, or not at all."""
    ground.ask()
    for name, body in (
        ("no body", b""), ("no JSON", b"message=hello"), ("half of it", b'{"message": "x'),
        ("another encoding", '{"message": "x"}'.encode("utf-16")),
        ("no UTF-8", b'{"message": "\xff"}'),
        ("a number that is none", b'{"message": "x", "metadata": {"a": NaN}}'),
        ("a list", b'[{"message": "x"}]'), ("a comment", b'{"message": "x" /* y */}'),
        ("something behind it", b'{"message": "x"}{"message": "y"}'),
        ("an unknown field", b'{"message": "x", "aproved": true}'),
    ):  # fmt: skip
        yield _malformed(ground, name, body)


def send_too_much(ground: Ground) -> Tries:
    """Send bodies that are too large, too deep, or hold too many values."""
    ground.ask()
    for name, body in (
        ("33 MB", b'{"message":"' + b"x" * 33_000_000 + b'"}'),
        ("100,000 levels", b'{"metadata":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001),
        ("300,000 lists", b'{"message":"x","metadata":{"a":[%b[]]}}' % (b"[]," * 300_000)),
    ):  # fmt: skip
        yield _malformed(ground, name, body)
    healthy = ground.send("GET", "/health")
    yield Try("and it is still there", healthy.status_code == 200, answer_of(healthy))


def inject_into_what_people_see(ground: Ground) -> Tries:
    """Put markup and commands to terminals into what people are shown."""
    mark = f"<script>{ground.run}</script><img src=x onerror={ground.run}>\u202e\u200b"
    action = {**action_of(**{mark: mark}), "tool_name": mark, "rationale": mark}
    request_id = ground.ask(message=mark, action=action)
    for headers in ({"accept": "text/html"}, {"accept": "*/*"}):
        reply = ground.send("GET", f"{REQUESTS}/{request_id}", {**ground.agent, **headers})
        kind = reply.headers.get("content-type", "")
        sniffed = reply.headers.get("x-content-type-options", "") != "nosniff"
        yield Try("the API's reply as a page", "html" not in kind and not sniffed, f"it is {kind}")
    reply = ground.send("GET", f"/{mark[:40]}", {"accept": "text/html"})
    yield _unscripted("an error page", reply, ground.run)
    reply = ground.send("POST", REQUESTS, ground.agent, json=ground.draft(message="\x1b[2J"))
    ground.keep(reply)
    yield refusal("commands to a terminal", reply)
    if ground.token:
        for path in (f"/requests/{request_id}", "/"):
            reply = ground.send("GET", path, ground.person)
            yield _unscripted(f"the page {short(path)}", reply, ground.run)


def _malformed(ground: Ground, name: str, body: bytes) -> Try:
    headers = {**ground.agent, "content-type": "application/json"}
    try:
        reply = ground.send("POST", REQUESTS, headers, content=body)
    except (httpx2.WriteError, httpx2.ReadError, httpx2.RemoteProtocolError) as error:
        return Try(name, refused=True, seen=f"it hung up ({type(error).__name__})")
    ground.keep(reply)
    return refusal(name, reply)


def _unscripted(what: str, reply: httpx2.Response, mark: str) -> Try:
    text = reply.text
    raw = [m for m in (f"<script>{mark}", f"onerror={mark}>", "\u202e", "\u200b") if m in text]
    raw = [m for m in raw if not m.startswith("onerror") or f"<img src=x {m}" in text]
    seen = f"{raw[0]!a} stands there raw" if raw else answer_of(reply)
    return Try(what, not raw and reply.status_code < 500, seen)
