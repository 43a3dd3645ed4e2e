"""Users, groups and what their roles allow, over HTTP; and who must not get in."""

import asyncio
import json
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
import websockets
from support.accounts import PASSWORD, Account, add_account, ask, new_name
from support.feed import Feed
from support.problems import told
from support.server import RunningServer

USERS = "/api/v1/users"


@pytest.fixture(scope="module")
def nobody(server: RunningServer) -> Generator[httpx2.Client]:
    with server.http() as http:
        yield http


@pytest.fixture(scope="module")
def admin(server: RunningServer) -> Generator[Account]:
    with add_account(server, "admin") as account:
        yield account


@pytest.fixture
def member(server: RunningServer) -> Generator[Account]:
    with add_account(server) as account:
        yield account


def register(http: httpx2.Client, username: str, password: object = PASSWORD) -> httpx2.Response:
    body = {"username": username, "password": password}
    return http.post("/api/auth/register", json=body)


def log_in(http: httpx2.Client, username: str, password: str = PASSWORD) -> httpx2.Response:
    return http.post("/api/auth/login", json={"username": username, "password": password})


# Registering and signing in, as Loopgate has it


def test_somebody_registers_and_signs_in(nobody: httpx2.Client, server: RunningServer) -> None:
    name = new_name()
    registered = register(nobody, name)
    assert registered.status_code == 201
    assert set(registered.json()) == {"message", "user_id"}
    signed_in = log_in(nobody, name.upper())
    assert signed_in.status_code == 200
    assert set(signed_in.json()) == {"token", "user_id", "username"}
    assert signed_in.json()["user_id"] == registered.json()["user_id"]
    assert signed_in.json()["username"] == name
    with server.http(signed_in.json()["token"]) as http:
        me = http.get("/api/v1/me").json()
    assert (me["plane"], me["role"], me["strength"]) == ("person", "member", "login")
    assert me["powers"] == ["submit"]


def test_a_name_is_taken_whatever_its_case(nobody: httpx2.Client) -> None:
    name = new_name()
    assert register(nobody, name).status_code == 201
    assert told(register(nobody, name.capitalize()), 409)["code"] == "username_taken"


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "password123",
        "Password123",
        "x" * 1_025,
        "\u00e4" * 513,
        "12345678",
        "nul\0nul\0nul",
    ],
)
def test_a_weak_password_is_refused(nobody: httpx2.Client, password: str) -> None:
    assert told(register(nobody, new_name(), password), 400)["code"] == "weak_password"


def test_the_user_name_is_no_password(nobody: httpx2.Client) -> None:
    assert told(register(nobody, "longusername", "LongUserName"), 400)["code"] == "weak_password"


@pytest.mark.parametrize(
    "body", ["", "[]", "{}", '{"username": "a"}', '{"username": 1, "password": "longenough1"}']
)
@pytest.mark.parametrize("path", ["/api/auth/register", "/api/auth/login"])
def test_what_is_missing_is_told(nobody: httpx2.Client, path: str, body: str) -> None:
    told(nobody.post(path, content=body), 400)


@pytest.mark.parametrize("username", ["", " a", "a b", "a\n", "-a", "\u0430da", "a" * 129, "<b>"])
def test_a_strange_name_is_refused(nobody: httpx2.Client, username: str) -> None:
    told(register(nobody, username), 400)


def test_nobody_can_tell_an_unknown_name_from_a_wrong_password(
    nobody: httpx2.Client, member: Account, admin: Account
) -> None:
    disabled = new_name()
    added = admin.http.post(USERS, json={"username": disabled, "password": PASSWORD}).json()
    admin.http.patch(f"{USERS}/{added['id']}", json={"disabled": True})
    answers = [
        log_in(nobody, member.username, "not the password"),
        log_in(nobody, new_name(), "not the password"),
        log_in(nobody, disabled),
        log_in(nobody, member.username, "x" * 5_000),
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1
    assert answers[0].json()["code"] == "invalid_login"


@pytest.mark.anyio
async def test_what_is_tried_in_vain_is_on_record(
    nobody: httpx2.Client, member: Account, server: RunningServer, admin: Account
) -> None:
    bearer = f"Bearer {admin.token}"
    query = "?type=user.sign_in_refused"
    async with Feed(server.url, query, authorization=bearer) as feed:
        await asyncio.to_thread(log_in, nobody, member.username, "not the password")
        (refused,) = await feed.take()
    assert refused["data"]["user_id"] == member.id
    assert refused["data"]["address"] in ("127.0.0.1", "::1")
    assert "not the password" not in json.dumps(refused)


# Roles


def test_a_member_sees_their_own_agents_requests_and_no_others(
    server: RunningServer, member: Account, admin: Account
) -> None:
    with add_account(server) as other, member.agent() as mine, other.agent() as theirs:
        own, foreign = ask(mine), ask(theirs)
        assert member.http.get(f"/api/v1/requests/{own}").status_code == 200
        told(member.http.get(f"/api/v1/requests/{foreign}"), 404)
        told(mine.get(f"/api/v1/requests/{foreign}"), 404)
        told(member.http.post(f"/api/v1/requests/{foreign}/cancel", json={}), 404)
        listed = member.http.get("/api/v1/requests").json()["items"]
        assert [each["id"] for each in listed] == [own]
        assert admin.http.get(f"/api/v1/requests/{foreign}").status_code == 200


def test_no_key_decides(server: RunningServer, admin: Account) -> None:
    for scope in ("agent", "reader", "admin"):
        with admin.agent(scope=scope) as agent, admin.agent() as asking:
            request_id = ask(asking)
            decision = agent.post(
                f"/api/v1/requests/{request_id}/decision", json={"type": "approve"}
            )
            assert told(decision, 403)["code"] == "person_required"


@pytest.mark.parametrize("role", ["member", "viewer"])
def test_whoever_may_not_decide_does_not(server: RunningServer, admin: Account, role: str) -> None:
    with add_account(server, role) as account, admin.agent() as agent:
        request_id = ask(agent)
        decision = account.http.post(
            f"/api/v1/requests/{request_id}/decision", json={"type": "approve"}
        )
        assert told(decision, 403)["code"] == "power_required"


def test_a_reviewer_decides_as_themselves(server: RunningServer, admin: Account) -> None:
    with add_account(server, "reviewer", name="Grace") as reviewer, admin.agent() as agent:
        request_id = ask(agent)
        where = f"/api/v1/requests/{request_id}/decision"
        told(reviewer.http.post(where, json={"type": "approve", "by": {"id": "else"}}), 422)
        decided = reviewer.http.post(where, json={"type": "approve"})
        assert decided.status_code == 200, decided.text
        decision = decided.json()["decision"]
        assert (decision["by"]["id"], decision["by"]["name"]) == (reviewer.id, "Grace")
        assert decision["strength"] == "login"


@pytest.mark.parametrize("role", ["member", "viewer", "reviewer"])
def test_only_an_admin_manages(server: RunningServer, admin: Account, role: str) -> None:
    with add_account(server, role) as account:
        for method, path, body in (
            ("GET", USERS, None),
            ("POST", USERS, {"username": new_name(), "password": PASSWORD, "role": "admin"}),
            ("PATCH", f"{USERS}/{account.id}", {"role": "admin"}),
            ("GET", "/api/v1/groups", None),
            ("PUT", f"/api/v1/groups/finance/members/{account.id}", None),
            ("GET", "/api/v1/keys?all=true", None),
            ("GET", "/api/v1/logins?all=true", None),
        ):
            refused = account.http.request(method, path, json=body)
            assert told(refused, 403)["code"] == "power_required", path
        others = account.http.post(
            f"{USERS}/{admin.id}/password", json={"password": "another password"}
        )
        told(others, 404)


def test_a_key_makes_nobody_who_could_decide(server: RunningServer, admin: Account) -> None:
    with admin.agent(scope="admin") as automation:
        for role in ("reviewer", "admin"):
            body = {"username": new_name(), "password": PASSWORD, "role": role}
            assert told(automation.post(USERS, json=body), 403)["code"] == "person_required"
        body = {"username": new_name(), "password": PASSWORD}
        added = automation.post(USERS, json=body)
        assert added.status_code == 201
        where = f"{USERS}/{added.json()['id']}"
        raised = automation.patch(where, json={"role": "reviewer"})
        assert told(raised, 403)["code"] == "person_required"
        reset = automation.post(f"{USERS}/{admin.id}/password", json={"password": "mine now 123"})
        assert told(reset, 403)["code"] == "person_required"


def test_a_role_counts_at_once(server: RunningServer, admin: Account, member: Account) -> None:
    assert member.http.get(USERS).status_code == 403
    admin.http.patch(f"{USERS}/{member.username}", json={"role": "admin"})
    assert member.http.get(USERS).status_code == 200
    admin.http.patch(f"{USERS}/{member.id}", json={"role": "member"})
    assert member.http.get(USERS).status_code == 403


def test_the_last_admin_stays(fresh_server: RunningServer) -> None:
    with add_account(fresh_server, "admin") as only, add_account(fresh_server) as other:
        for change in ({"role": "viewer"}, {"disabled": True}):
            refused = only.http.patch(f"{USERS}/{only.id}", json=change)
            assert told(refused, 409)["code"] == "last_admin"
        only.http.patch(f"{USERS}/{other.id}", json={"role": "admin"})
        assert only.http.patch(f"{USERS}/{only.id}", json={"role": "viewer"}).status_code == 200


def test_an_unknown_field_is_refused(admin: Account, member: Account) -> None:
    told(admin.http.patch(f"{USERS}/{member.id}", json={"rol": "admin"}), 422)


# Groups


def test_a_group_is_there_while_somebody_is_in_it(admin: Account, member: Account) -> None:
    where = f"/api/v1/groups/finance-eu/members/{member.username}"
    assert admin.http.put(where).json()["members"] == [member.id]
    assert member.http.get("/api/v1/me").json()["groups"] == ["finance-eu"]
    listed = admin.http.get("/api/v1/groups").json()["items"]
    assert [each["members"] for each in listed if each["name"] == "finance-eu"] == [[member.id]]
    assert admin.http.delete(where).json()["members"] == []
    assert member.http.get("/api/v1/me").json()["groups"] == []
    told(admin.http.delete(where), 404)
    told(admin.http.put(f"/api/v1/groups/No%20Name/members/{member.id}"), 422)
    told(admin.http.put("/api/v1/groups/finance/members/nobody-there"), 404)


# Being let out


def test_whoever_is_disabled_is_out_at_once(
    server: RunningServer, admin: Account, member: Account
) -> None:
    with member.agent() as agent:
        ask(agent)
        admin.http.patch(f"{USERS}/{member.id}", json={"disabled": True})
        assert told(member.http.get("/api/v1/me"), 401)["code"] == "invalid_credential"
        told(agent.post("/api/v1/requests", json={"message": "Still?"}), 401)
        admin.http.patch(f"{USERS}/{member.id}", json={"disabled": False})
        told(member.http.get("/api/v1/me"), 401)  # their sessions have ended for good
        ask(agent)


@pytest.mark.anyio
async def test_a_disabled_users_open_socket_and_stream_end(
    server: RunningServer, admin: Account, member: Account
) -> None:
    url = f"ws://localhost:{server.port}/api/v1/stream"
    headers = {"Authorization": f"Bearer {member.token}"}
    async with (
        websockets.connect(url, additional_headers=headers, open_timeout=60) as socket,
        Feed(server.url, authorization=f"Bearer {member.token}") as feed,
    ):
        change = {"disabled": True}
        await asyncio.to_thread(admin.http.patch, f"{USERS}/{member.id}", json=change)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await asyncio.wait_for(socket.recv(), 60)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
        assert await feed.ends()


def test_a_new_password_ends_all_sessions(server: RunningServer, member: Account) -> None:
    where, new = f"{USERS}/{member.id}/password", "another good one"
    wrong = member.http.post(where, json={"password": new, "current": "not it"})
    assert told(wrong, 401)["code"] == "invalid_login"
    told(member.http.post(where, json={"password": new}), 401)
    told(member.http.post(where, json={"password": "short", "current": PASSWORD}), 422)
    changed = member.http.post(where, json={"password": new, "current": PASSWORD})
    assert changed.status_code == 200
    told(member.http.get("/api/v1/me"), 401)
    with server.http() as nobody:
        assert log_in(nobody, member.username).status_code == 401
        assert log_in(nobody, member.username, new).status_code == 200


def test_sessions_are_listed_and_ended(
    server: RunningServer, admin: Account, member: Account
) -> None:
    with Account(server, member.username) as second:
        mine = member.http.get("/api/v1/logins").json()["items"]
        assert [each["method"] for each in mine] == ["password", "password"]
        assert [each["is_this"] for each in mine] == [False, True]
        with add_account(server) as other:
            told(other.http.delete(f"/api/v1/logins/{mine[0]['id']}"), 404)
            told(other.http.delete("/api/v1/logins", params={"user_id": member.id}), 404)
        assert member.http.delete("/api/v1/logins").json() == {"ended": 1}
        told(second.http.get("/api/v1/me"), 401)
    assert member.http.get("/api/v1/me").status_code == 200
    ended = admin.http.delete("/api/v1/logins", params={"user_id": member.id}).json()
    assert ended == {"ended": 1}
    told(member.http.get("/api/v1/me"), 401)


def test_no_session_begun_with_the_old_password_outlives_it(
    server: RunningServer, admin: Account, member: Account
) -> None:
    """Checking a password takes long enough for another to be set meanwhile."""

    def sign_in(_: int) -> httpx2.Response:
        with server.http() as http:
            return log_in(http, member.username)

    new = {"password": "another good one"}
    with ThreadPoolExecutor(9) as threads:
        setting = threads.submit(admin.http.post, f"{USERS}/{member.id}/password", json=new)
        replies = list(threads.map(sign_in, range(8)))
        assert setting.result().status_code == 200
    for reply in replies:
        if reply.status_code == 200:
            with server.http(reply.json()["token"]) as http:
                assert told(http.get("/api/v1/me"), 401)["code"] == "invalid_credential"
        else:
            assert told(reply, 401)["code"] == "invalid_login"
    with server.http() as http:
        assert log_in(http, member.username, "another good one").status_code == 200


def test_two_admins_who_demote_each_other_at_once_leave_one(fresh_server: RunningServer) -> None:
    with (
        add_account(fresh_server, "admin") as ada,
        add_account(fresh_server, "admin") as eve,
        fresh_server.http(fresh_server.sign_in()) as operator,
        ThreadPoolExecutor(2) as threads,
    ):
        for _ in range(8):
            both = [
                threads.submit(one.http.patch, f"{USERS}/{other.id}", json={"role": "member"})
                for one, other in ((ada, eve), (eve, ada))
            ]
            assert 200 in [each.result().status_code for each in both]
            roles = [operator.get(f"{USERS}/{each.id}").json()["role"] for each in (ada, eve)]
            assert sorted(roles) == ["admin", "member"]
            for each in (ada, eve):
                operator.patch(f"{USERS}/{each.id}", json={"role": "admin"})
