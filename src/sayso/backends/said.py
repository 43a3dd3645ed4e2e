"""What a callback brings, looked at before any of it is kept, since programs pass on anything."""

from typing import Any

import msgspec
from msgspec import Struct

from sayso.domain.decisions import Reviewer, reviewer
from sayso.errors import InvalidAnswerError


class _Said(Struct, frozen=True, kw_only=True):
    reason: str
    tags: tuple[str, ...]
    args: dict[str, Any] | None


def check_bool(approved: object) -> None:
    """Refuse what only looks like an answer, such as the text "false".

    Raises:
        InvalidAnswerError: it is no bool.
    """
    if not isinstance(approved, bool):
        raise InvalidAnswerError(
            f"`approved` is {approved!r}, which is neither true nor false.",
            hint="Send JSON's true or false, not a text or a number.",
        )


def checked(
    reason: object, decided_by: object, tags: object, args: object = None
) -> tuple[Reviewer, tuple[str, ...]]:
    """Who it was, and the tags; refused is whatever could be written and not be read again.

    Raises:
        InvalidAnswerError: one of them is not of its type, or no Unicode.
    """
    by = reviewer(decided_by)
    try:
        said = msgspec.convert({"reason": reason, "tags": tags, "args": args}, _Said)
        "".join((said.reason, *said.tags)).encode()
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        raise InvalidAnswerError(
            f"This answer cannot be kept: {error}.",
            hint="`reason` is a text, `tags` are a list of texts, `args` an object.",
        ) from error
    return by, said.tags
