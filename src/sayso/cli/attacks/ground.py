"""What is attacked, with what was lent for it, and how a refusal is told from anything else."""

import secrets
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias, cast

import httpx2

MARK = "sayso-selftest"


MESSAGE = "Selftest of Sayso: nothing of this is real. Leave it alone; it is cancelled in a moment."


REQUESTS = "/api/v1/requests"


APPROVE = {"type": "approve"}


class NotTriedError(Exception):
    """What this attack needs was not given, or the server does not offer it."""


class Try(NamedTuple):
    """One try of an attack."""

    what: str
    refused: bool
    seen: str


Tries: TypeAlias = Iterator[Try]


class Ground:
    """The installation that is attacked, and what the operator lent us.

    Args:
        http: speaks to the server; follows no redirect, keeps no cookie.
        key: an agent's key; without one, the open local mode is tried.
        other_key: another agent's.
        token: a test person's bearer token.
        link_token: of a sign-in link of a test person, not used yet.
    """

    def __init__(
        self, http: httpx2.Client, *, key: str = "", other_key: str = "", token: str = "",
        link_token: str = "",
    ) -> None:  # fmt: skip
        self.http = http
        self.key = key
        self.other_key = other_key
        self.token = token
        self.link_token = link_token
        self.run = secrets.token_hex(4)
        self.made: list[str] = []
        self.accounts: dict[str, str] = {}
        """Of people, by name, where anybody may register."""
        self._paths: dict[str, Any] | None = None

    @property
    def agent(self) -> dict[str, str]:
        """The headers of the agent."""
        return {"authorization": f"Bearer {self.key}"} if self.key else {}

    @property
    def other(self) -> dict[str, str]:
        """The headers of another agent."""
        if not self.other_key:
            raise NotTriedError("needs the key of another agent: $SAYSO_OTHER_KEY")
        return {"authorization": f"Bearer {self.other_key}"}

    @property
    def person(self) -> dict[str, str]:
        """The headers of the test person."""
        if not self.token:
            raise NotTriedError("needs a test person: --link or $SAYSO_TOKEN")
        return {"authorization": f"Bearer {self.token}"}

    @property
    def paths(self) -> dict[str, Any]:
        """The routes that the server describes."""
        if self._paths is None:
            try:
                self._paths = self.http.get("/openapi.json").json()["paths"]
            except (httpx2.HTTPError, ValueError, KeyError, TypeError):
                self._paths = {}
        return cast("dict[str, Any]", self._paths)

    def send(
        self, method: str, path: str, headers: dict[str, str] | None = None, **content: Any
    ) -> httpx2.Response:
        """One request, and its whole reply."""
        return self.http.request(method, path, headers=headers or {}, **content)

    def draft(self, **more: Any) -> dict[str, Any]:
        """What a test request consists of; it expires by itself if we vanish."""
        return {
            "message": MESSAGE,
            "session_id": f"{MARK}-{self.run}",
            "client_id": MARK,
            "timeout_seconds": 600,
            "metadata": {MARK: self.run},
            **more,
        }

    def ask(self, **more: Any) -> str:
        """A new test request of the agent; its id."""
        reply = self.send("POST", REQUESTS, self.agent, json=self.draft(**more))
        if reply.status_code in (401, 403) and not self.key:
            raise NotTriedError("needs an agent's key: $SAYSO_API_KEY")
        if reply.status_code not in (200, 201):
            raise NotTriedError(f"no test request could be made: {answer_of(reply)}")
        return self.keep(reply)

    def action(self, **args: Any) -> str:
        """A new test request with an action; its id."""
        return self.ask(action=action_of(**args))

    def keep(self, reply: httpx2.Response) -> str:
        """Remember the request in a reply, to be cancelled at the end; its id."""
        request_id = field(reply, "id")
        if request_id:
            self.made.append(request_id)
        return request_id

    def status(self, request_id: str) -> str:
        """How a request stands."""
        reply = self.send("GET", f"{REQUESTS}/{request_id}", self.agent)
        return field(reply, "status") or f"unreadable ({reply.status_code})"

    def stands(self, what: str, request_id: str, reply: httpx2.Response) -> Try:
        """A try to decide: it was refused, and the request is still pending."""
        status = self.status(request_id)
        return Try(what, is_no(reply) and status == "pending", f"{answer_of(reply)}, then {status}")

    def clean(self) -> list[str]:
        """Cancel what was made, and shut accounts; what is left behind, by id or name."""
        left: list[str] = []
        for request_id in dict.fromkeys(self.made):
            try:
                path = f"{REQUESTS}/{request_id}/cancel"
                self.send("POST", path, self.agent, json={"reason": "End of the selftest."})
                if self.status(request_id) == "pending":
                    left.append(request_id)
            except httpx2.HTTPError:
                left.append(request_id)
        left += [
            f"the account {name}" for name, id_ in self.accounts.items() if not self._shut(id_)
        ]
        return left

    def _shut(self, user_id: str) -> bool:
        """Disable an account, if there is a test person, and they may."""
        if not self.token:
            return False
        headers = {"authorization": f"Bearer {self.token}"}
        try:
            path = f"/api/v1/users/{user_id}"
            return self.send("PATCH", path, headers, json={"disabled": True}).is_success
        except httpx2.HTTPError:
            return False


Attack: TypeAlias = Callable[[Ground], Tries]


def refusal(what: str, reply: httpx2.Response) -> Try:
    """A try that has to be refused, and was answered so."""
    return Try(what, is_no(reply), answer_of(reply))


def is_no(reply: httpx2.Response) -> bool:
    """Whether it was refused: 4xx, or sent to the page on which people sign in."""
    location = reply.headers.get("location", "")
    if reply.status_code in (302, 303) and location.partition("?")[0].endswith("/login"):
        return True
    return 400 <= reply.status_code < 500


def json_of(reply: httpx2.Response) -> dict[str, Any]:
    """The JSON object in a reply; empty if there is none."""
    try:
        found = reply.json()
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def field(reply: httpx2.Response, name: str) -> str:
    """A text in the JSON object of a reply; empty if there is none."""
    value = json_of(reply).get(name)
    return value if isinstance(value, str) else ""


def answer_of(reply: httpx2.Response) -> str:
    """A reply in two words: its status and its code."""
    code = field(reply, "code")
    return f"{reply.status_code} {code}".strip()


def short(path: str) -> str:
    """A path without the id in it."""
    return "/".join("{id}" if len(part) > 30 else part for part in path.split("/"))


def action_of(**args: Any) -> dict[str, Any]:
    """An action that no program carries out."""
    return {"tool_name": "sayso_selftest", "tool_args": args or {"amount": 1}}
