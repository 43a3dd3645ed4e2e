"""What an agent wants to do, and the digest that says exactly what."""

from collections.abc import Callable
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Any

import msgspec
import rfc8785
from msgspec import Meta, Struct

from sayso.errors import InvalidRequestError
from sayso.types import JsonObject

_SAFE = 2**53
"""Beyond it a double does not hold every integer."""
_sorted = msgspec.json.Encoder(order="sorted")
_kind_of: Callable[[Any], object] = type


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
        ValueError: `risk_class` is a text, and not one of the classes.
    """

    tool_name: Annotated[str, Meta(min_length=1, max_length=256, description="The tool's name.")]
    tool_args: Annotated[JsonObject, Meta(description="The arguments by name, in full.")] = {}
    id: Annotated[
        str,
        Meta(
            max_length=256,
            description="The call's id in the agent's program. Default: 32 hex digits of `digest`.",
        ),
    ] = ""
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
    context_refs: Annotated[
        tuple[Annotated[str, Meta(max_length=1024)], ...],
        Meta(max_length=64, description="What it was concluded from, or what was noticed of it."),
    ] = ()
    digest: Annotated[
        str, Meta(description="`sha256:` and 64 hex digits over tool name and arguments.")
    ] = ""

    def __post_init__(self) -> None:
        if type(self.risk_class) is str:
            msgspec.structs.force_setattr(self, "risk_class", RiskClass(self.risk_class))
        if not self.digest:
            digest = digest_of(self.tool_name, self.tool_args)
            msgspec.structs.force_setattr(self, "digest", digest)
        if not self.id:
            msgspec.structs.force_setattr(self, "id", id_of(self.digest))
        for name in ("side_effects", "context_refs"):
            if type(getattr(self, name)) is not tuple:
                msgspec.structs.force_setattr(self, name, tuple(getattr(self, name)))

    def with_args(self, tool_args: JsonObject) -> "Action":
        """The same call with other arguments, and so with another digest."""
        return msgspec.structs.replace(self, tool_args=tool_args, digest="")

    def args_hash(self) -> str:
        """16 hex digits of the SHA-256 of the arguments' canonical JSON, to tell them apart."""
        return sha256(canonical_json(self.tool_args)).hexdigest()[:16]

    def summary(self, max_args_length: int = 100) -> str:
        """It in one line, as `[HIGH] send_email({"to":"bob"})`; longer arguments are cut."""
        risk = "UNKNOWN" if self.risk_class is None else self.risk_class.value.upper()
        args = msgspec.json.encode(self.tool_args).decode()
        if len(args) > max_args_length:
            args = args[: max(0, max_args_length - 3)] + "..."
        return f"[{risk}] {self.tool_name}({args})"


def canonical_json(value: JsonObject) -> bytes:
    """`value` as RFC 8785 canonical JSON.

    Most values come out of the ordinary encoder in canonical form already (a property test
    compares them); the rest goes through the RFC's own algorithm, which is 40 times slower.

    Raises:
        InvalidRequestError: the value has no canonical form.
    """
    try:
        plain = _sorted.encode(value)
        if plain.isascii() and b"\\u" not in plain and _is_plain(value):
            return plain
        return rfc8785.dumps(msgspec.to_builtins(value, str_keys=True))
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidRequestError(
            f"The action has no canonical form: {error}.",
            hint="Send numbers beyond 2^53, NaN and infinities as strings.",
            errors=({"at": "$.action.tool_args", "message": str(error)},),
        ) from error


def _is_plain(value: Any) -> bool:
    """Whether compact JSON with sorted keys is canonical, if it is ASCII without hex escapes.

    What is left to differ are floats, integers that a double does not hold, and what is not
    JSON by itself.
    """
    kind = _kind_of(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        return -_SAFE < value < _SAFE
    if kind is dict:
        for key, inner in value.items():
            if type(key) is not str or not (type(inner) is str or _is_plain(inner)):
                return False
        return True
    if kind is list:
        return all(map(_is_plain, value))
    return False


def id_of(digest: str) -> str:
    """The id of a call that was given none: the same call has the same."""
    return digest[7:39]


def digest_of(tool_name: str, tool_args: JsonObject) -> str:
    """The SHA-256 of the canonical JSON of tool name and arguments, as `sha256:<hex>`."""
    canonical = canonical_json({"tool_args": tool_args, "tool_name": tool_name})
    return f"sha256:{sha256(canonical).hexdigest()}"
