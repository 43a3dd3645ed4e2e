"""Ways to be somebody else, or to be led by somebody else's page."""

import base64
import hashlib
import hmac
import json
import re
import secrets
from typing import Any

from sayso.cli.attacks.ground import (
    APPROVE,
    MARK,
    REQUESTS,
    Ground,
    NotTriedError,
    Tries,
    Try,
    answer_of,
    field,
    is_no,
    json_of,
    short,
)

_EVIL = "https://evil.example"


def replay_a_sign_in_link(ground: Ground) -> Tries:
    """Use a sign-in link for the second time."""
    if not ground.link_token:
        raise NotTriedError("needs a sign-in link of a test person: --link")
    for times in ("second", "third"):
        reply = ground.send("POST", "/api/auth/link", json={"token": ground.link_token})
        yield Try(f"POST, the {times} time", is_no(reply), answer_of(reply))
        reply = ground.send("GET", "/login", params={"token": ground.link_token})
        refused = is_no(reply) and "set-cookie" not in reply.headers
        yield Try(f"GET, the {times} time", refused, answer_of(reply))


def forge_a_sign_in_link(ground: Ground) -> Tries:
    """Make up a sign-in link."""
    tokens = ["", "0" * 32, "AAAAAHQ" + "A" * 68, secrets.token_urlsafe(56)]
    if ground.link_token:
        tokens += [ground.link_token[:-4] + "AAAA", "A" + ground.link_token[1:]]
    for token in tokens:
        reply = ground.send("POST", "/api/auth/link", json={"token": token})
        yield Try(f"the token {token[:12]!r}", is_no(reply), answer_of(reply))


def forge_a_session(ground: Ground) -> Tries:
    """Sign oneself in: a JWT with `alg: none`, with weak secrets, or a made-up session."""
    request_id = ground.ask()
    weak = ("", "secret", "changeme", "your-secret-key", "your-secret-key-change-in-production")
    tokens = [
        ("alg " + alg, _jwt({"alg": alg, "typ": "JWT"}, None)) for alg in ("none", "None", "")
    ]
    tokens += [(f"the secret {s!r}", _jwt({"alg": "HS256", "typ": "JWT"}, s)) for s in weak]
    tokens += [("a key within", _jwt({"alg": "HS256", "jwk": {"kty": "oct", "k": ""}}, ""))]
    tokens += [("a file of zeros", _jwt({"alg": "HS256", "kid": "../../../dev/null"}, ""))]
    tokens += [("a made-up token", "sayso_" + secrets.token_urlsafe(32)), ("a word", "admin")]
    for name, token in tokens:
        headers = {"authorization": f"Bearer {token}"}
        reply = ground.send("GET", "/api/auth/me", headers)
        yield Try(f"{name}: who am I", is_no(reply), answer_of(reply))
        path = f"{REQUESTS}/{request_id}/decision"
        reply = ground.send("POST", path, headers, json=APPROVE)
        yield ground.stands(f"{name}: decide", request_id, reply)


def make_oneself_an_admin(ground: Ground) -> Tries:
    """Register as an administrator, or make a key that may do more."""
    roads = ["/api/auth/register", "/api/v1/users", "/api/v1/keys", "/auth/register", "/register",
             "/api/users", "/api/keys", "/signup"]  # fmt: skip
    words = ("user", "key", "register", "group", "role", "invite", "account", "standing", "rule")
    roads += [
        path for path, item in ground.paths.items()
        if "post" in item and any(word in path for word in words)
    ]  # fmt: skip
    name = f"{MARK}-{ground.run}"
    body = {
        "username": name, "password": f"{ground.run}-Str0ng-enough", "role": "admin", "name": name,
        "email": f"{name}@evil.example", "scope": "admin", "is_admin": True, "groups": ["admin"],
    }  # fmt: skip
    for path in dict.fromkeys(roads):
        address = path.replace("{id}", "me").replace("{name}", "admin")
        for who, headers in (("nobody", {}), ("the agent", ground.agent)):
            for sent in (body, {key: body[key] for key in ("username", "password", "role")}):
                reply = ground.send("POST", address, headers, json=sent)
                if reply.is_success and path.endswith("auth/register"):
                    yield from _with_account(ground, field(reply, "user_id"), body)
                    continue
                yield Try(f"POST {path} as {who}", is_no(reply), answer_of(reply))


def _with_account(ground: Ground, user_id: str, body: dict[str, Any]) -> Tries:
    """People may register here: whoever did so must have no power, and get none."""
    ground.accounts[body["username"]] = user_id
    credentials = {key: body[key] for key in ("username", "password")}
    token = field(ground.send("POST", "/api/auth/login", json=credentials), "token")
    headers = {"authorization": f"Bearer {token}"}
    reply = ground.send("GET", "/api/v1/me", headers)
    powers = json.dumps(json_of(reply).get("powers"))
    harmless = powers.startswith("[") and not re.search('"(decide|manage|read)"', powers)
    yield Try("register oneself with a role", harmless, f"{answer_of(reply)}: may {powers}")
    request_id = ground.ask()
    for method, path, sent in (
        ("PATCH", f"/api/v1/users/{user_id}", {"role": "admin"}),
        ("PATCH", "/api/v1/users/me", {"role": "admin"}),
        ("PUT", f"/api/v1/groups/admins/members/{user_id}", {}),
        ("POST", "/api/v1/keys", {"scope": "admin"}),
        ("POST", "/api/v1/keys", {"scope": "reader"}),
        ("GET", "/api/v1/users", None),
        ("GET", f"{REQUESTS}/{request_id}", None),
        ("POST", f"{REQUESTS}/{request_id}/decision", APPROVE),
        ("POST", f"{REQUESTS}/{request_id}/cancel", {}),
    ):
        reply = ground.send(method, path, headers, json=sent)
        yield Try(f"{method} {short(path)} by who registered", is_no(reply), answer_of(reply))
    yield ground.stands("and the request still waits", request_id, reply)


def call_from_a_foreign_page(ground: Ground) -> Tries:
    """Call as a page of another origin does in somebody's browser."""
    request_id = ground.ask()
    pages = [
        {"origin": _EVIL},
        {"origin": "null"},
        {"origin": f"{ground.http.base_url}.evil.example".replace("/.", ".")},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"},
    ]
    credentials = ground.person if ground.token else ground.agent
    for page in pages:
        name = next(iter(page.values()))
        reply = ground.send("POST", REQUESTS, {**ground.agent, **page}, json=ground.draft())
        ground.keep(reply)
        yield Try(f"submit from {name!r}", is_no(reply), answer_of(reply))
        path = f"{REQUESTS}/{request_id}/decision"
        reply = ground.send("POST", path, {**credentials, **page}, json=APPROVE)
        yield ground.stands(f"decide from {name!r}", request_id, reply)
    ask = {"origin": _EVIL, "access-control-request-method": "POST"}
    reply = ground.send("OPTIONS", REQUESTS, ask)
    allowed = reply.headers.get("access-control-allow-origin", "")
    yield Try("a preflight", not allowed, f"allowed: {allowed}" if allowed else answer_of(reply))


def call_by_an_unknown_host(ground: Ground) -> Tries:
    """Call the server by a name that is not its own (DNS rebinding)."""
    for host in (
        "evil.example",
        "localhost.evil.example",
        "evil.example:80",
        "[::2]",
        "x@localhost",
    ):
        reply = ground.send("GET", REQUESTS, {**ground.agent, "host": host})
        yield Try(f"GET as {host!r}", is_no(reply), answer_of(reply))
        body = ground.draft()
        reply = ground.send("POST", REQUESTS, {**ground.agent, "host": host}, json=body)
        ground.keep(reply)
        yield Try(f"POST as {host!r}", is_no(reply), answer_of(reply))


def _jwt(header: dict[str, Any], secret: str | None) -> str:
    """A token that says that an admin is signed in; without a secret, one without a signature."""
    claims = {
        "sub": "admin",
        "user_id": "admin",
        "role": "admin",
        "admin": True,
        "exp": 9_999_999_999,
    }
    parts = [_b64(json.dumps(each).encode()) for each in (header, claims)]
    if secret is None:
        return ".".join((*parts, ""))
    signed = hmac.digest(secret.encode(), ".".join(parts).encode(), hashlib.sha256)
    return ".".join((*parts, _b64(signed)))


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
