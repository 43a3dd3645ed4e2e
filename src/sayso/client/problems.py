"""Problem details (RFC 9457) and lost connections, read back into the one error tree."""

import ssl
from typing import Any

import msgspec

from sayso.client.steps import Lost, Reply
from sayso.errors import (
    HTTP_STATUS,
    PRECISE_CODES,
    RefusedError,
    SaysoError,
    ServerError,
)

NO_SERVER_HINT = "Start one with: sayso serve, or name the address of yours in SAYSO_URL."


class Problem(msgspec.Struct, frozen=True):
    """The members of a problem document that Sayso servers send; others are ignored."""

    code: str = ""
    title: str = ""
    detail: str = ""
    hint: str = ""
    errors: tuple[dict[str, str], ...] = ()
    request: dict[str, Any] | None = None


def error_of(reply: Reply) -> SaysoError:
    """The error that the server meant: by the problem's code first, then by the status."""
    try:
        problem = msgspec.json.decode(reply.content, type=Problem)
    except (
        msgspec.MsgspecError,
        RecursionError,
    ):  # not from a Sayso server: a proxy's page, for example
        problem = Problem()
    cls = _by_code().get(problem.code) or _by_status(reply.status)
    error = cls.__new__(cls)  # some classes take other arguments than the members of a problem
    SaysoError.__init__(
        error,
        problem.detail or problem.title or f"The server answered with HTTP {reply.status}.",
        hint=problem.hint,
        code=problem.code,
        errors=problem.errors,
        request=problem.request,
    )
    return error


def error_of_lost(lost: Lost, base_url: str) -> ServerError:
    """The error for an answer that never came."""
    if isinstance(_first_cause(lost.error), ssl.SSLCertVerificationError):
        return ServerError(
            f"The certificate of {base_url} is not trusted ({lost.error}).",
            hint="Name the file of the authority that issued it in SSL_CERT_FILE.",
        )
    if lost.why == "refused":
        return ServerError(f"No Sayso server answers at {base_url}.", hint=NO_SERVER_HINT)
    reason = str(lost.error) or type(lost.error).__name__
    what = "took too long to answer" if lost.why == "slow" else "closed the connection"
    return ServerError(
        f"The Sayso server at {base_url} {what} ({reason}).",
        hint="It may have done what was asked: look before you ask again.",
    )


def _first_cause(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


def _by_code() -> dict[str, type[SaysoError]]:
    precise = {code: cls for code, (cls, _) in PRECISE_CODES.items()}
    return precise | {cls.code: cls for cls in HTTP_STATUS}


def _by_status(status: int) -> type[SaysoError]:
    if status >= 500:
        return ServerError
    for cls, its_status in HTTP_STATUS.items():
        if its_status == status:
            return cls
    return RefusedError
