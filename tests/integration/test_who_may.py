"""Who may do what: every route of the OpenAPI document, tried with every credential.

The routes are read from a running server, so that a new one cannot be forgotten: one without a row
in `TABLE` fails.
"""

import time
import uuid
from collections.abc import Callable, Generator
from typing import Any, NamedTuple

import httpx2
import pytest
from support.credentials import REQUESTS, Everybody
from support.server import RunningServer

WHO = ("nobody", "agent", "other", "reader", "manager", "member", "viewer", "reviewer", "admin")
# fmt: off
TABLE = {
    # The columns are those of WHO: nobody, four keys, four people.
    "POST /api/v1/requests":                                "s + + x x  + x + +",
    "GET /api/v1/requests":                                 "s + + + +  + + + +",
    "GET /api/v1/requests/{id}":                            "s + - + +  + + + +",
    "POST /api/v1/requests/{id}/decision":                  "s p p p p  x x + +",
    "POST /api/v1/requests/{id}/cancel":                    "s + - x x  + x + +",
    "POST /api/v1/requests/{id}/extend":                    "s + - x x  + x + +",
    "POST /api/v1/requests/{id}/claim":                     "s + - x x  x x x x",
    "POST /api/v1/requests/{id}/outcome":                   "s + - x x  x x x x",
    "POST /api/v1/requests/{id}/reopen":                    "s + - x x  + x + +",
    "GET /api/v1/standing-grants":                          "s x x + +  x + + +",
    "POST /api/v1/standing-grants":                         "s p p p p  x x + +",
    "POST /api/v1/standing-grants/preview":                 "s p p p p  x x + +",
    "DELETE /api/v1/standing-grants/{id}":                  "s p p p p  x x + +",
    "GET /api/v1/rules":                                    "s x x + +  x + + +",
    "POST /api/v1/rules":                                   "s p p p p  x x x +",
    "DELETE /api/v1/rules/{name}":                          "s p p p p  x x x +",
    "GET /api/v1/policy":                                   "s x x + +  x + + +",
    "PUT /api/v1/policy":                                   "s p p p p  x x x +",
    "DELETE /api/v1/policy":                                "s p p p p  x x x +",
    "POST /api/v1/policy/activate":                         "s p p p p  x x x +",
    "GET /api/v1/policy/versions":                          "s x x + +  x + + +",
    "GET /api/v1/policy/versions/{number}":                 "s x x + +  x + + +",
    "GET /api/v1/stops":                                    "s x x + +  x + + +",
    "POST /api/v1/stops":                                   "s x x x +  x x + +",
    "DELETE /api/v1/stops/{name}":                          "s p p p p  x x x +",
    "GET /api/v1/events":                                   "s + + + +  + + + +",
    "POST /api/v1/webhooks":                                "s x x x +  x x x +",
    "GET /api/v1/webhooks":                                 "s x x x +  x x x +",
    "GET /api/v1/webhooks/{id}":                            "s x x x -  x x x +",
    "DELETE /api/v1/webhooks/{id}":                         "s x x x -  x x x +",
    "POST /api/v1/webhooks/{id}/rotate":                    "s x x x -  x x x +",
    "POST /api/v1/webhooks/{id}/enable":                    "s x x x -  x x x +",
    "POST /api/v1/webhooks/{id}/disable":                   "s x x x -  x x x +",
    "POST /api/v1/webhooks/{id}/test":                      "s x x x -  x x x +",
    "GET /api/v1/webhooks/{id}/deliveries":                 "s x x x -  x x x +",
    "GET /api/v1/deliveries":                               "s x x x +  x x x +",
    "POST /api/v1/deliveries/{id}/replay":                  "s x x x -  x x x +",
    "GET /api/v1/callback-secret":                          "s x x x +  x x x +",
    "GET /api/v1/users":                                    "s x x x +  x x x +",
    "POST /api/v1/users":                                   "s x x x +  x x x +",
    "GET /api/v1/users/{id}":                               "s x x x +  x x x +",
    "PATCH /api/v1/users/{id}":                             "s x x x p  x x x +",
    "POST /api/v1/users/{id}/password":                     "s p p p p  - - - +",
    "GET /api/v1/groups":                                   "s x x x +  x x x +",
    "PUT /api/v1/groups/{name}/members/{id}":               "s x x x +  x x x +",
    "DELETE /api/v1/groups/{name}/members/{id}":            "s x x x +  x x x +",
    "POST /api/v1/keys":                                    "s p p p +  x x x +",
    "GET /api/v1/keys":                                     "s x x x +  + + + +",
    "DELETE /api/v1/keys/{id}":                             "s - - - +  + - - +",
    "POST /api/v1/keys/{id}/rotate":                        "s - - - x  + - - x",
    "GET /api/v1/logins":                                   "s p p p p  + + + +",
    "DELETE /api/v1/logins":                                "s p p p p  - - - +",
    "DELETE /api/v1/logins/{id}":                           "s p p p p  - - - +",
    "GET /api/v1/names":                                    "s x x + +  x + + +",
    "GET /api/v1/me":                                       "s + + + +  + + + +",
    "POST /api/auth/link":                                  "+ + + + +  + + + +",
    "GET /api/auth/me":                                     "s p p p p  + + + +",
    "GET /health":                                          "+ + + + +  + + + +",
    "GET /ready":                                           "+ + + + +  + + + +",
    "GET /openapi.json":                                    "+ + + + +  + + + +",
    "POST /api/auth/register":                              "+ + + + +  + + + +",
    "POST /api/auth/login":                                 "l l l l l  l l l l",
    "POST /api/user/apikeys":                               "s p p p p  + x + +",
    "GET /api/user/apikeys":                                "s p p p p  + + + +",
    "DELETE /api/user/apikeys/{id}":                        "s p p p p  + - - -",
    "POST /hitl/register":                                  "s + + x x  + x + +",
    "POST /sessions/register":                              "s + + x x  + x + +",
    "POST /hitl/request":                                   "s + - x x  + x + +",
    "GET /hitl/poll":                                       "s + - + +  + + + +",
    "GET /hitl/status":                                     "s + - + +  + + + +",
    "POST /hitl/deactivate":                                "s + - x x  + x + +",
    "GET /hitl/pending":                                    "s + + + +  + + + +",
    "POST /hitl/cancel":                                    "s + - x x  + x + +",
    "POST /api/v1/requests/{id}/challenge":                 "s p p p p  x x + +",
    "GET /api/v1/passkeys":                                 "s p p p p  + + + +",
    "POST /api/v1/passkeys":                                "s p p p p  + + + +",
    "POST /api/v1/passkeys/options":                        "s p p p p  + + + +",
    "POST /api/v1/passkeys/{id}/rename":                    "s p p p p  + + + +",
    "POST /api/v1/passkeys/{id}/challenge":                 "s p p p p  - - - -",
    "POST /api/v1/passkeys/{id}/remove":                    "s p p p p  - - - -",
    "GET /api/v1/audit/keys":                               "+ + + + +  + + + +",
    "GET /api/v1/audit/blocks":                             "s x x + +  x + + +",
    "GET /api/v1/audit/requests/{id}":                      "s + - + +  + + + +",
    "POST /api/v1/audit/export":                            "s x x x +  x x x +",
}
# fmt: on
"""For each route what becomes of each caller's try:

`+` it is done (or refused for what was asked, not for who asks); `s` sign in first; `p` people
only; `x` their role or key does not go so far; `-` it is not theirs, so there is nothing there;
`l` no such login.
"""
SETTINGS = {
    "SAYSO_REQUIRE_KEYS": "true",
    "SAYSO_CALLBACK_NETWORKS": "127.0.0.0/8",
    "SAYSO_REGISTRATION": "true",
}


class Try(NamedTuple):
    """What is sent to a route."""

    path: str
    body: Any = None


Maker = Callable[[Everybody], Try]


def requested(verb: str = "", body: Any = None) -> Maker:
    """At a fresh request of the agent's."""
    return lambda all_: Try(f"{REQUESTS}/{all_.ask()['id']}{verb}", body)


def claimed(all_: Everybody) -> Try:
    request = all_.granted()
    body = {"digest": request["action"]["digest"]}
    return Try(f"{REQUESTS}/{request['id']}/claim", body)


def reported(all_: Everybody) -> Try:
    at = claimed(all_)
    all_.did("POST", at.path, all_.headers["agent"], **at.body)
    return Try(at.path.replace("/claim", "/outcome"), {"status": "succeeded"})


def reopened(all_: Everybody) -> Try:
    return Try(f"{REQUESTS}/{all_.granted()['id']}/reopen", {"facts": {"balance": 1}})


def hooked(verb: str = "") -> Maker:
    def make(all_: Everybody) -> Try:
        hook = all_.did(
            "POST", "/api/v1/webhooks", all_.headers["admin"], url="http://127.0.0.1:9/"
        )
        return Try(f"/api/v1/webhooks/{hook['id']}{verb}")

    return make


def delivered(all_: Everybody) -> Try:
    """To a subscription of the admin's, whatever others there are."""
    admin = all_.headers["admin"]
    hook = all_.did("POST", "/api/v1/webhooks", admin, url="http://127.0.0.1:9/")
    asked = all_.ask()
    query = f"/api/v1/deliveries?request_id={asked['id']}&webhook_id={hook['id']}"
    (job,) = all_.did("GET", query, admin)["items"]
    return Try(f"/api/v1/deliveries/{job['id']}/replay")


def standing(all_: Everybody) -> Try:
    body = {"tool_name": f"t-{uuid.uuid4().hex}", "uses": 1}
    given = all_.did("POST", "/api/v1/standing-grants", all_.headers["admin"], **body)
    return Try(f"/api/v1/standing-grants/{given['id']}")


def ruled(all_: Everybody) -> Try:
    name = f"r-{uuid.uuid4().hex[:8]}"
    body = {"name": name, "tools": ["nothing"], "rule": {"approvals": 2}}
    all_.did("POST", "/api/v1/rules", all_.headers["admin"], **body)
    return Try(f"/api/v1/rules/{name}")


def stopped(all_: Everybody) -> Try:
    body = {"kind": "session", "value": uuid.uuid4().hex}
    all_.did("POST", "/api/v1/stops", all_.headers["admin"], **body)
    return Try(f"/api/v1/stops/session:{body['value']}")


POLICY = "version: 1\nrules: []\n"


def governed(path: str = "/api/v1/policy", body: Any = None) -> Maker:
    def make(all_: Everybody) -> Try:
        all_.did("PUT", "/api/v1/policy", all_.headers["admin"], text=POLICY)
        return Try(path, body)

    return make


def somebody(verb: str = "", body: Any = None) -> Maker:
    def make(all_: Everybody) -> Try:
        new = {"username": f"u-{uuid.uuid4().hex[:8]}"}
        user = all_.did("POST", "/api/v1/users", all_.headers["admin"], **new)
        return Try(f"/api/v1/users/{user['id']}{verb}", body)

    return make


def grouped(all_: Everybody) -> Try:
    path = f"/api/v1/groups/ops/members/{all_.ids['viewer']}"
    all_.did("PUT", path, all_.headers["admin"])
    return Try(path)


def keyed(road: str, verb: str = "") -> Maker:
    def make(all_: Everybody) -> Try:
        key = all_.did("POST", "/api/v1/keys", all_.headers["member"], scope="agent")
        return Try(f"{road}/{key['id']}{verb}")

    return make


def signed_in(all_: Everybody) -> Try:
    all_.server.sign_in()
    found = all_.did("GET", "/api/v1/logins?all=true", all_.headers["admin"])["items"]
    mine = next(each for each in found if each["user_id"] == "local")
    return Try(f"/api/v1/logins/{mine['id']}")


def registered(all_: Everybody) -> Try:
    body = {"username": f"r-{uuid.uuid4().hex[:8]}", "password": "correct-Horse-battery-9"}
    return Try("/api/auth/register", body)


def linked(all_: Everybody) -> Try:
    return Try("/api/auth/link", {"token": all_.server.new_link().partition("token=")[2]})


def logged_in(all_: Everybody) -> Try:
    return Try("/api/auth/login", {"username": "nobody", "password": "nothing at all"})


def session(road: str, **body: Any) -> Maker:
    def make(all_: Everybody) -> Try:
        name = uuid.uuid4().hex
        named = {"session_id": name, "client_id": "c"}
        all_.did("POST", "/hitl/register", all_.headers["agent"], **named)
        return Try(
            f"{road}?session_id={name}" if body.get("get") else road, {"session_id": name, **body}
        )

    return make


def polled(all_: Everybody) -> Try:
    return Try(f"/hitl/poll?request_id={all_.ask()['id']}")


def cancelled(all_: Everybody) -> Try:
    return Try("/hitl/cancel", {"request_id": all_.ask()["id"]})


def fresh_session(road: str) -> Maker:
    return lambda _: Try(road, {"session_id": uuid.uuid4().hex, "client_id": "c"})


def plain(path: str, body: Any = None) -> Maker:
    return lambda _: Try(path, body)


HOW: dict[str, Maker] = {
    "GET /api/v1/audit/requests/{id}": lambda all_: Try(
        f"/api/v1/audit/requests/{all_.ask()['id']}"
    ),
    "POST /api/v1/requests/{id}/challenge": requested("/challenge", {"type": "approve"}),
    "POST /api/v1/audit/export": plain("/api/v1/audit/export", {}),
    "POST /api/v1/requests": plain(REQUESTS, {"message": "May I?"}),
    "GET /api/v1/requests/{id}": requested(),
    "POST /api/v1/requests/{id}/decision": requested("/decision", {"type": "approve"}),
    "POST /api/v1/requests/{id}/cancel": requested("/cancel", {}),
    "POST /api/v1/requests/{id}/extend": requested("/extend", {"timeout_seconds": 9_000}),
    "POST /api/v1/requests/{id}/claim": claimed,
    "POST /api/v1/requests/{id}/outcome": reported,
    "POST /api/v1/requests/{id}/reopen": reopened,
    "POST /api/v1/standing-grants": plain("/api/v1/standing-grants", {"tool_name": "t", "uses": 1}),
    "POST /api/v1/standing-grants/preview": plain(
        "/api/v1/standing-grants/preview", {"tool_name": "t"}
    ),
    "DELETE /api/v1/standing-grants/{id}": standing,
    "POST /api/v1/rules": plain(
        "/api/v1/rules", {"name": "r", "tools": ["none"], "rule": {"approvals": 2}}
    ),
    "DELETE /api/v1/rules/{name}": ruled,
    "GET /api/v1/policy": governed(),
    "PUT /api/v1/policy": plain("/api/v1/policy", {"text": POLICY}),
    "DELETE /api/v1/policy": governed(),
    "POST /api/v1/policy/activate": governed("/api/v1/policy/activate", {"number": 1}),
    "GET /api/v1/policy/versions/{number}": governed("/api/v1/policy/versions/1"),
    "POST /api/v1/stops": plain("/api/v1/stops", {"kind": "session", "value": "nothing"}),
    "DELETE /api/v1/stops/{name}": stopped,
    "POST /api/v1/webhooks": plain("/api/v1/webhooks", {"url": "http://127.0.0.1:9/"}),
    "GET /api/v1/webhooks/{id}": hooked(),
    "DELETE /api/v1/webhooks/{id}": hooked(),
    "POST /api/v1/webhooks/{id}/rotate": hooked("/rotate"),
    "POST /api/v1/webhooks/{id}/enable": hooked("/enable"),
    "POST /api/v1/webhooks/{id}/disable": hooked("/disable"),
    "POST /api/v1/webhooks/{id}/test": hooked("/test"),
    "GET /api/v1/webhooks/{id}/deliveries": hooked("/deliveries"),
    "POST /api/v1/deliveries/{id}/replay": delivered,
    "GET /api/v1/names": plain("/api/v1/names?id=local"),
    "POST /api/v1/users": lambda _: Try("/api/v1/users", {"username": f"n-{uuid.uuid4().hex[:8]}"}),
    "GET /api/v1/users/{id}": somebody(),
    "PATCH /api/v1/users/{id}": somebody("", {"role": "admin"}),
    "POST /api/v1/users/{id}/password": somebody(
        "/password", {"password": "correct-Horse-9-battery"}
    ),
    "PUT /api/v1/groups/{name}/members/{id}": grouped,
    "DELETE /api/v1/groups/{name}/members/{id}": grouped,
    "POST /api/v1/keys": plain("/api/v1/keys", {"scope": "admin"}),
    "DELETE /api/v1/keys/{id}": keyed("/api/v1/keys"),
    "POST /api/v1/keys/{id}/rotate": keyed("/api/v1/keys", "/rotate"),
    "DELETE /api/v1/logins": lambda all_: Try(f"/api/v1/logins?user_id={all_.ids['viewer']}x"),
    "DELETE /api/v1/logins/{id}": signed_in,
    "POST /api/auth/register": registered,
    "POST /api/auth/link": linked,
    "POST /api/auth/login": logged_in,
    "POST /api/user/apikeys": plain("/api/user/apikeys", {"label": "x"}),
    "DELETE /api/user/apikeys/{id}": keyed("/api/user/apikeys"),
    "POST /hitl/register": fresh_session("/hitl/register"),
    "POST /sessions/register": fresh_session("/sessions/register"),
    "POST /hitl/request": session("/hitl/request", message="May I?", client_id="c"),
    "GET /hitl/poll": polled,
    "GET /hitl/status": session("/hitl/status", get=True),
    "POST /hitl/deactivate": session("/hitl/deactivate"),
    "POST /hitl/cancel": cancelled,
}
"""What is sent to a route that takes more than its address."""


@pytest.fixture(scope="module")
def everybody(tmp_path_factory: pytest.TempPathFactory) -> Generator[Everybody]:
    server = RunningServer(tmp_path_factory.mktemp("server"), environment=SETTINGS).start()
    all_ = Everybody(server)
    until = time.monotonic() + 60
    while not all_.call("admin", "GET", "/api/v1/audit/blocks").json()["items"]:
        assert time.monotonic() < until, "nothing was signed, so that there is nothing to export"
        time.sleep(0.05)
    yield all_
    all_.close()
    server.stop()


def word(reply: httpx2.Response) -> str:
    """What came of a call, in one letter; what is refused for another reason came in, too."""
    if reply.is_success or reply.status_code in (409, 422):
        return "+"
    code = reply.json().get("code", "")
    return {
        (401, "sign_in_required"): "s",
        (401, "invalid_login"): "l",
        (403, "person_required"): "p",
        (403, "power_required"): "x",
        (403, "not_yours"): "x",
        (404, "not_found"): "-",
        (404, "unknown_session"): "-",
    }.get((reply.status_code, code), f"[{reply.status_code} {code}]")


def tried(everybody: Everybody, route: str, who: str) -> str:
    method, _, template = route.partition(" ")
    sent = HOW.get(route, plain(template))(everybody)
    content = {} if method in ("GET", "DELETE") or sent.body is None else {"json": sent.body}
    return word(everybody.call(who, method, sent.path, **content))


def routes(everybody: Everybody) -> list[str]:
    paths = everybody.http.get("/openapi.json").json()["paths"]
    return [f"{method.upper()} {path}" for path, item in paths.items() for method in item]


def test_every_route_has_a_row(everybody: Everybody) -> None:
    assert set(routes(everybody)) == set(TABLE)


@pytest.mark.parametrize("route", TABLE)
def test_each_credential_may_do_what_the_table_says(everybody: Everybody, route: str) -> None:
    found = {who: tried(everybody, route, who) for who in WHO}
    assert found == dict(zip(WHO, TABLE[route].split(), strict=True))


def test_no_key_decides_by_any_route(everybody: Everybody) -> None:
    """Each route is called with each key on one request, which waits as it did before."""
    request_id = everybody.ask()["id"]
    body = {"type": "approve", "request_id": request_id, "approved": True, "status": "approved"}
    for route in routes(everybody):
        method, _, path = route.partition(" ")
        if "cancel" in path or path == "/api/v1/stops":
            continue
        path = path.replace("{id}", request_id).replace("{name}", "x")
        for who in ("nobody", "agent", "other", "reader", "manager"):
            everybody.call(who, method, path, json=body)
    read = everybody.call("agent", "GET", f"{REQUESTS}/{request_id}").json()
    assert (read["status"], read["decision"]) == ("pending", None)


@pytest.mark.parametrize("role", ["reviewer", "admin"])
def test_a_key_makes_nobody_who_decides(everybody: Everybody, role: str) -> None:
    """Or it could sign in as them."""
    name = f"x-{uuid.uuid4().hex[:8]}"
    body = {"username": name, "password": "correct-Horse-battery-9", "role": role}
    for who in ("agent", "reader", "manager"):
        assert not everybody.call(who, "POST", "/api/v1/users", json=body).is_success
    login = everybody.call("nobody", "POST", "/api/auth/login", json=body)
    assert word(login) == "l"


def test_what_belongs_to_others_is_in_no_list(everybody: Everybody) -> None:
    mark = uuid.uuid4().hex
    request_id = everybody.ask(message=mark, session_id=mark)["id"]
    roads = (f"{REQUESTS}?limit=200", f"{REQUESTS}?q={mark}", "/hitl/pending")
    for road in roads:
        assert request_id in everybody.call("agent", "GET", road).text
        assert request_id not in everybody.call("other", "GET", road).text
    status = f"/hitl/status?session_id={mark}"
    assert request_id not in everybody.call("other", "GET", status).text
