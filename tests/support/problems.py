"""What every error reply has."""

from typing import Any

import httpx2

MEMBERS = {"type", "title", "status", "code", "detail", "hint", "errors", "request"}


def told(reply: httpx2.Response, status: int, code: str = "") -> dict[str, Any]:
    """The problem document of a refusal, checked; `code` when it matters."""
    assert reply.status_code == status, f"{reply.status_code} {reply.text[:500]}"
    assert reply.headers["content-type"] == "application/problem+json"
    return checked(reply.json(), status, code)


def checked(problem: dict[str, Any], status: int, code: str = "") -> dict[str, Any]:
    """A problem document with a status, a code, a title and a sentence."""
    assert problem["status"] == status, problem
    assert set(problem) <= MEMBERS | {"success", "error"}
    assert problem["title"]
    assert problem["code"] == problem["type"].partition("#error-")[2]
    assert problem["detail"].endswith((".", "!", "?", ")")), problem["detail"]
    if code:
        assert problem["code"] == code, problem
    return problem
