"""One of each: everybody who may call a server with accounts, and what they call it with."""

import uuid
from typing import Any

import httpx2
from support.server import RunningServer

REQUESTS = "/api/v1/requests"
PASSWORD = "correct-Horse-battery-9"
Headers = dict[str, str]


class Everybody:
    """Credentials at a server that takes no calls without one.

    Attributes:
        headers: of `nobody`, of the keys `agent` (of the member's), `other` (of another person's),
            `reader` and `manager` (scope admin), and of the people `member`, `viewer`, `reviewer`
            and `admin`.
        ids: of the people.
    """

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.http = server.http()
        self.headers: dict[str, Headers] = {"nobody": {}}
        self.ids: dict[str, str] = {}
        root = bearer(server.sign_in())
        for role in ("member", "viewer", "reviewer", "admin"):
            self.headers[role], self.ids[role] = self.person(role, by=root)
        self.headers["agent"] = bearer(self.key("agent", by="member"))
        self.headers["other"] = bearer(self.key("agent", by="reviewer"))
        self.headers["reader"] = bearer(self.key("reader", by="admin"))
        self.headers["manager"] = bearer(self.key("admin", by="admin"))

    def person(self, role: str, *, by: Headers) -> tuple[Headers, str]:
        """A new person of this role, signed in."""
        name = f"{role}-{uuid.uuid4().hex[:8]}"
        user = self.did("POST", "/api/v1/users", by, username=name, password=PASSWORD, role=role)
        given = {"username": name, "password": PASSWORD}
        token = self.did("POST", "/api/auth/login", {}, **given)["token"]
        return bearer(token), user["id"]

    def key(self, scope: str, *, by: str) -> str:
        """The text of a new key."""
        return self.did("POST", "/api/v1/keys", self.headers[by], scope=scope)["key"]

    def ask(self, **more: Any) -> dict[str, Any]:
        """A new request of the agent."""
        return self.did("POST", REQUESTS, self.headers["agent"], **{"message": "May I?", **more})

    def granted(self) -> dict[str, Any]:
        """A new request of the agent, approved."""
        asked = self.ask(action={"tool_name": "pay", "tool_args": {"to": "Ann"}})
        decision = f"{REQUESTS}/{asked['id']}/decision"
        return self.did("POST", decision, self.headers["admin"], type="approve")

    def did(self, method: str, path: str, headers: Headers, **body: Any) -> dict[str, Any]:
        """A call that succeeds."""
        reply = self.http.request(method, path, headers=headers, json=body or None)
        assert reply.is_success, f"{method} {path}: {reply.status_code} {reply.text[:300]}"
        return reply.json()

    def call(self, who: str, method: str, path: str, **content: Any) -> httpx2.Response:
        """A call, and what came of it; of a stream only how it begins."""
        headers = {**self.headers[who], **content.pop("headers", {})}
        with self.http.stream(method, path, headers=headers, **content) as reply:
            if "event-stream" not in reply.headers.get("content-type", ""):
                reply.read()
            return reply

    def close(self) -> None:
        self.http.close()


def bearer(token: str) -> Headers:
    """The header of a credential."""
    return {"Authorization": f"Bearer {token}"}
