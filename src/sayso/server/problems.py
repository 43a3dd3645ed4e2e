"""Errors as RFC 9457 problem details: a code, a sentence, and the way out."""

from http import HTTPStatus
from typing import Any

from sayso import codec
from sayso.errors import (
    HTTP_STATUS,
    BusyError,
    InvalidRequestError,
    RateLimitedError,
    RefusedError,
    SaysoError,
    StoreError,
)
from sayso.server.http import Header, Reply

_HEADERS: tuple[Header, ...] = (
    (b"content-type", b"application/problem+json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)


def status_of(error: SaysoError) -> int:
    """The HTTP status of an error: its class's, or that of the nearest class above it."""
    for kind in type(error).__mro__:
        if kind in HTTP_STATUS:
            return HTTP_STATUS[kind]
    return 500


def problem(error: SaysoError) -> dict[str, Any]:
    """An error as it is sent."""
    status = status_of(error)
    body: dict[str, Any] = {
        "type": f"/docs#error-{error.reason_code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": error.reason_code,
        "detail": error.detail,
    }
    if error.hint:
        body["hint"] = error.hint
    if error.errors:
        body["errors"] = error.errors
    if error.request is not None:
        body["request"] = error.request
    return body


def internal() -> SaysoError:
    """What is said of a mistake of ours; the log tells the rest."""
    return SaysoError(
        "The server made a mistake.",
        hint="It is in its log. Nothing that was not confirmed has happened.",
        code="internal",
    )


def problem_reply(error: SaysoError) -> Reply:
    """An error as a reply."""
    body = problem(error)
    return Reply(body["status"], codec.encode(body), (*_HEADERS, *told_with(error)))


def loopgate_reply(error: SaysoError) -> Reply:
    """An error as Loopgate's programs know it: 400 for what cannot be read, and `error`."""
    body = problem(error)
    if isinstance(error, InvalidRequestError) and body["status"] == 422:
        body["status"] = 400
    if isinstance(error, RefusedError) and error.reason_code == "session_inactive":
        body["status"] = 400
    body |= {"title": HTTPStatus(body["status"]).phrase, "success": False, "error": error.detail}
    return Reply(body["status"], codec.encode(body), (*_HEADERS, *told_with(error)))


def told_with(error: SaysoError) -> list[Header]:
    """Further headers of an error."""
    if isinstance(error, RateLimitedError):
        return [(b"retry-after", b"%d" % error.retry_after)]
    if isinstance(error, BusyError | StoreError):
        return [(b"retry-after", b"1")]
    if status_of(error) == HTTPStatus.UNAUTHORIZED:
        return [(b"www-authenticate", b'Bearer realm="sayso"')]
    return []
