"""What an agent wants to do, and the digest that says exactly what."""

import re
from enum import StrEnum
from hashlib import sha256
from typing import Annotated

import msgspec
import rfc8785
from msgspec import Meta, Struct

from sayso.errors import InvalidRequestError
from sayso.types import JsonObject

# Where compact JSON with sorted keys may differ from RFC 8785: escapes of control characters,
# floats, integers that a double does not hold, and nulls, as which the encoder writes NaN.
_NEEDS_CARE = re.compile(rb"\\u|[:,\[](?:-?(?:\d+[.eE]|\d{16,})|null)")
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_sorted = msgspec.json.Encoder(order="sorted")


class RiskClass(StrEnum):
    """How much damage the action can do, as the agent's side classifies it."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Action(Struct, frozen=True, kw_only=True):
    """A tool call that an agent wants to make.

    Raises:
        InvalidRequestError: the arguments have no canonical JSON (a number too large for a
            double, a lone surrogate).
    """

    tool_name: Annotated[str, Meta(min_length=1, max_length=256, description="The tool's name.")]
    tool_args: Annotated[JsonObject, Meta(description="The arguments by name, in full.")] = {}
    args_schema: Annotated[
        JsonObject | None,
        Meta(description="JSON Schema of the arguments; what a person edits must fit it."),
    ] = None
    risk_class: RiskClass | None = None
    side_effects: Annotated[
        tuple[Annotated[str, Meta(max_length=1024)], ...],
        Meta(max_length=64, description="What else it changes, in the agent's words."),
    ] = ()
    rationale: Annotated[
        str, Meta(max_length=16_384, description="Why the agent wants to do it, in its words.")
    ] = ""
    digest: Annotated[
        str, Meta(description="`sha256:` and 64 hex digits over tool name and arguments.")
    ] = ""

    def __post_init__(self) -> None:
        if not self.digest:
            digest = digest_of(self.tool_name, self.tool_args)
            msgspec.structs.force_setattr(self, "digest", digest)

    def with_args(self, tool_args: JsonObject) -> "Action":
        """The same action with other arguments, and so with another digest."""
        return msgspec.structs.replace(self, tool_args=tool_args, digest="")


def canonical_json(value: JsonObject) -> bytes:
    """`value` as RFC 8785 canonical JSON.

    Most values come out of the ordinary encoder in canonical form already (a property test
    compares them); the rest goes through the RFC's own algorithm, which is 40 times slower.

    Raises:
        InvalidRequestError: the value has no canonical form.
    """
    try:
        plain = _sorted.encode(value)
        if plain.isascii() and not _needs_care(plain):
            return plain
        return rfc8785.dumps(msgspec.to_builtins(value, str_keys=True))
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidRequestError(
            f"The action has no canonical form: {error}.",
            hint="Send numbers beyond 2^53, NaN and infinities as strings.",
            errors=({"at": "$.action.tool_args", "message": str(error)},),
        ) from error


def _needs_care(plain: bytes) -> bool:
    """Whether the RFC may write it otherwise; most hits are only in a string, and do not count."""
    if _NEEDS_CARE.search(plain) is None:
        return False
    return b"\\u" in plain or _NEEDS_CARE.search(_STRING.sub(b'""', plain)) is not None


def digest_of(tool_name: str, tool_args: JsonObject) -> str:
    """The SHA-256 of the canonical JSON of tool name and arguments, as `sha256:<hex>`."""
    canonical = canonical_json({"tool_args": tool_args, "tool_name": tool_name})
    return f"sha256:{sha256(canonical).hexdigest()}"
