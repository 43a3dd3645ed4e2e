"""From an approved request to a run: what is checked before it, and what is told after it."""

import logging
from typing import Any

import msgspec

from sayso.client.messages import post, read_request
from sayso.client.protocol import Protocol, new_key
from sayso.client.steps import Operation
from sayso.domain.actions import digest_of
from sayso.domain.requests import Request
from sayso.errors import InvalidTransitionError, NotApprovedError
from sayso.types import Json, JsonObject

LARGEST_RESULT = 65_536
"""Bytes of a result that is reported; of a larger one only its size is."""
LONGEST_ERROR = 8_192

log = logging.getLogger("sayso.client")


def check_approved(request: Request) -> JsonObject:
    """The arguments to run with.

    Raises:
        NotApprovedError: people said no, something else, or nothing; its `request` tells.
    """
    arguments = request.arguments
    if arguments is not None:
        return arguments
    why = f": {request.reason}" if request.reason else ""
    raise NotApprovedError(
        f"It was not approved, so it does not run. The request is {request.status.value}{why}",
        hint="Do not try the same again without asking.",
        request=msgspec.to_builtins(request),
    )


def claim(protocol: Protocol, request: Request, facts: JsonObject | None) -> Operation[Request]:
    """Take the grant for exactly what is about to run."""
    arguments = check_approved(request)
    assert request.action is not None  # noqa: S101  it has arguments
    digest = digest_of(request.action.tool_name, arguments)
    return (yield from claim_digest(protocol, request.id, digest, facts))


def claim_digest(
    protocol: Protocol, request_id: str, digest: str, facts: JsonObject | None
) -> Operation[Request]:
    """Take the grant; tried again under one key, so that a lost answer loses no grant."""
    body = {"digest": digest, "facts": facts, "key": new_key()}
    send = post(request_id, "claim", body)
    reply = yield from protocol.call(send, retry_seconds=protocol.retry_seconds)
    return read_request(reply)


def report(
    protocol: Protocol, request_id: str, status: str, result: Json = None, error: str = ""
) -> Operation[Request]:
    """Tell what became of it; the same report twice is one."""
    body = {"status": status, "result": result, "error": error}
    send = post(request_id, "outcome", body)
    reply = yield from protocol.call(send, retry_seconds=protocol.retry_seconds)
    return read_request(reply)


def reopen(protocol: Protocol, request_id: str, facts: JsonObject | None) -> Operation[Request]:
    """Ask again what expired."""
    reply = yield from protocol.call(
        post(request_id, "reopen", {"facts": facts}), retry_seconds=protocol.retry_seconds
    )
    return read_request(reply)


def asked_again(error: InvalidTransitionError) -> str:
    """The id of the request that is asked in place of one whose facts have changed.

    Raises:
        InvalidTransitionError: it was refused for another reason.
    """
    if error.reason_code != "facts_changed" or error.request is None:
        raise error
    return error.request["id"]


def succeeded(result: object) -> dict[str, Any]:
    """What to report of a run that went well: its result, if it is JSON and not too long."""
    try:
        told = msgspec.to_builtins(result)
        size = len(msgspec.json.encode(told))
    except (TypeError, ValueError, OverflowError, RecursionError):
        told, size = f"({type(result).__name__})", 0
    if size > LARGEST_RESULT:
        told = f"({size} bytes)"
    return {"status": "succeeded", "result": told}


def failed(error: BaseException) -> dict[str, Any]:
    """What to report of a run that raised."""
    return {"status": "failed", "error": f"{type(error).__name__}: {error}"[:LONGEST_ERROR]}


def unreported(request_id: str, error: Exception) -> None:
    """What it did is done, so its caller is not told that it failed; the log is."""
    log.error("the outcome of %s could not be reported: %s", request_id, error)
