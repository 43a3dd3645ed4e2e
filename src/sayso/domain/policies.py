"""A tenant's policy as it is kept: a text, version after version, each with its author and time."""

from datetime import datetime
from hashlib import sha256
from typing import Annotated

from msgspec import Meta, Struct

MAX_TEXT = 200_000
"""Characters of one policy."""


class PolicyDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A policy to be kept."""

    text: Annotated[str, Meta(min_length=1, max_length=MAX_TEXT, description="The rules, as YAML.")]
    note: Annotated[str, Meta(max_length=1_024, description="Why, in a sentence.")] = ""
    replaces: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(
            description="The version that it was made from (0: none): refused if another is"
            " active meanwhile. Null: whatever is active."
        ),
    ] = None


class PolicyVersion(Struct, frozen=True, kw_only=True):
    """One version of a tenant's policy. None ever changes; the highest number is in force."""

    number: int
    digest: str
    """`sha256:` and 64 hex digits over the text."""
    note: str = ""
    by: str
    """The actor that put it,"""
    by_name: str = ""
    at: datetime
    is_removed: bool = False
    """From here on there is no policy."""
    activates: int | None = None
    """The older version whose text it is."""
    text: str = ""
    """Empty in lists, and in one that removes."""
    problem: str = ""
    """Of the one in force: why it cannot be used, so that people are asked about everything; and
    the way out. It is not kept."""


def text_digest(text: str) -> str:
    """What names a text: equal for equal texts only."""
    return f"sha256:{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"
