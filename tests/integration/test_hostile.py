"""What one hostile client on this machine must not be able to do to everybody else."""

import json

import httpx2
import pytest
from support.feed import Feed
from support.person import Person
from support.problems import told
from support.raw import exchange, head
from support.server import RunningServer
from websockets.asyncio.client import connect

pytestmark = pytest.mark.anyio
KIB = 1_024


def ask(server: RunningServer, **body: object) -> httpx2.Response:
    with server.http() as http:
        return http.post("/api/v1/requests", json={"message": "May I?", **body})


def bomb(levels: int) -> dict[str, object]:
    """A schema that doubles with each level."""
    definitions: dict[str, object] = {
        f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}, {"$ref": f"#/$defs/d{n + 1}"}]}
        for n in range(levels)
    }
    definitions[f"d{levels}"] = {"const": "never"}
    return {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/d0"}},
        "$defs": definitions,
    }


def test_a_schema_that_multiplies_is_refused_before_anybody_answers(server: RunningServer) -> None:
    action = {"tool_name": "t", "tool_args": {"a": "x"}, "args_schema": bomb(24)}
    told(ask(server, action=action), 422)
    told(ask(server, kind="input", schema=bomb(24)), 422)
    assert ask(server, action={**action, "args_schema": bomb(8)}).status_code == 201


def test_a_schema_that_refers_to_itself_is_refused(server: RunningServer) -> None:
    schema = {"properties": {"a": {"$ref": "#"}}}
    action = {"tool_name": "t", "tool_args": {}, "args_schema": schema}
    told(ask(server, action=action), 422)


@pytest.mark.parametrize(
    "field",
    [
        {"type": "array", "items": {"type": "string", "enum": ["a"]}, "default": 5},
        {"type": "string", "oneOf": [True]},
        {"type": "string", "enum": ["x"], "enumNames": 5},
        {"type": "string", "enum": []},
        {"type": "string", "title": 7},
        {"type": "string", "$ref": "#/x"},
        {"type": "string", "anyOf": [{"const": "a"}]},
    ],
)
def test_a_form_that_no_page_could_draw_is_refused(
    server: RunningServer, field: dict[str, object]
) -> None:
    schema = {"type": "object", "properties": {"f": field}}
    told(ask(server, kind="input", schema=schema), 422)


@pytest.mark.parametrize("kind", ["input", "choice"])
def test_answering_a_question_never_approves_an_action(server: RunningServer, kind: str) -> None:
    action = {"tool_name": "wire_transfer", "tool_args": {"amount": 1_000_000}}
    options = ["blue"] if kind == "choice" else []
    told(ask(server, kind=kind, action=action, options=options), 422)


async def test_a_decision_stands_and_is_told_even_if_its_socket_breaks(
    server: RunningServer, person: Person
) -> None:
    headers = {"Authorization": f"Bearer {person.token}"}
    url = f"ws://localhost:{server.port}/api/v1/stream"
    async with httpx2.AsyncClient(base_url=server.url, verify=False, timeout=90) as http:
        for _ in range(20):
            request_id = ask(server).json()["id"]
            socket = await connect(url, additional_headers=headers, proxy=None, open_timeout=60)
            frame = {"op": "decide", "request_id": request_id, "body": {"type": "approve"}}
            await socket.send(json.dumps(frame))
            socket.transport.abort()
            waited = await http.get(f"/api/v1/requests/{request_id}", params={"wait": 1})
            if waited.json()["status"] == "pending":  # the frame never arrived: it can be decided
                decided = person.try_to_decide(request_id, "approve")
                if decided.status_code != 200:  # it has arrived meanwhile
                    assert told(decided, 409, "already_decided")["request"]["status"] == "approved"
            else:
                assert waited.json()["status"] == "approved"


async def test_a_filtered_stream_passes_hundreds_of_foreign_events_at_once(
    server: RunningServer,
) -> None:
    for _ in range(450):
        ask(server)
    wanted = ask(server).json()["id"]
    async with Feed(server.url, f"?after=0&request_id={wanted}") as feed:
        (event,) = await feed.take(1)
    assert (event["request_id"], feed.pings) == (wanted, 0), "It waited on the way."


@pytest.mark.parametrize(
    "others", ['prefs={"a":1}; ', "a b=c; ", "user@x=1; ", "noequals; ", "path=/; ", 'x="\\\\"; ']
)
def test_other_programs_cookies_do_not_sign_a_person_out(
    server: RunningServer, others: str
) -> None:
    with httpx2.Client(base_url=server.url, verify=False, timeout=60) as http:
        reply = http.get(server.new_link().partition(server.url)[2])
    ours = reply.headers["set-cookie"].partition(";")[0]
    with server.http() as http:
        me = http.get("/api/auth/me", headers={"Cookie": others + ours})
        assert me.status_code == 200, me.text


def test_a_browsers_cookie_is_no_bearer_token(server: RunningServer) -> None:
    with httpx2.Client(base_url=server.url, verify=False, timeout=60) as http:
        reply = http.get(server.new_link().partition(server.url)[2])
    value = reply.headers["set-cookie"].partition(";")[0].partition("=")[2]
    for headers in ({"Authorization": f"Bearer {value}"}, {"X-API-Key": value}):
        with server.http() as http:
            told(http.get("/api/auth/me", headers=headers), 401)


def test_a_head_without_an_end_is_cut_off(server: RunningServer) -> None:
    sent = head("GET", "/health", server.port)[:-2] + b"X-Long: " + b"a" * 8_000 * KIB
    status, _ = exchange(server.address, sent)
    assert status in (0, 400, 431)
    assert server.is_healthy()


def test_a_cookie_of_backslashes_costs_nothing(server: RunningServer) -> None:
    cookie = f'sayso_session_{server.port}="' + "\\" * 50_000
    before = server.work()
    with server.http() as http:
        told(http.get("/api/v1/requests", headers={"Cookie": cookie}), 401)
    assert server.work() - before < 5


def test_json_of_very_many_values_is_refused_but_a_text_of_commas_is_not(
    server: RunningServer,
) -> None:
    told(ask(server, metadata={"a": [[]] * 200_000}), 422)
    assert ask(server, metadata={"csv": "1,2," * 100_000}).status_code == 201


def test_a_page_of_large_requests_ends_early_and_goes_on(fresh_server: RunningServer) -> None:
    for _ in range(12):
        assert ask(fresh_server, metadata={"a": "x" * 900 * KIB}).status_code == 201
    found: list[str] = []
    query: dict[str, object] = {"limit": 200}
    with fresh_server.http() as http:
        while True:
            page = http.get("/api/v1/requests", params=query)
            assert len(page.content) < 8_000 * KIB
            found += [request["id"] for request in page.json()["items"]]
            if page.json()["next"] is None:
                break
            query["after"] = page.json()["next"]
    assert len(found) == len(set(found)) == 12
