"""What a person wants remembered: which tool, and what each of its arguments may be."""

from fnmatch import fnmatchcase
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from sayso.types import Json

MAX_DAYS = 366
Name = Annotated[str, Meta(min_length=1, max_length=256)]


class Pattern(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one argument may be: all that is said holds at once."""

    equals: Annotated[Json | UnsetType, Meta(description="Exactly this.")] = UNSET
    glob: Annotated[
        Name | None, Meta(description="A text that matches, upper and lower case apart.")
    ] = None
    min: Annotated[float | None, Meta(description="A number, not below.")] = None
    max: Annotated[float | None, Meta(description="A number, not above.")] = None
    any: Annotated[bool, Meta(description="Whatever it is.")] = False

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing at all."""
        says = (self.glob, self.min, self.max)
        return self.equals is UNSET and not self.any and says == (None, None, None)

    def matches(self, value: Json) -> bool:
        """Whether `value` is within it."""
        if self.is_empty or (self.equals is not UNSET and not _same(value, self.equals)):
            return False
        if self.glob is not None and not (isinstance(value, str) and fnmatchcase(value, self.glob)):
            return False
        if self.min is None and self.max is None:
            return True
        if not is_number(value):
            return False
        number: Any = value
        return (self.min is None or number >= self.min) and (self.max is None or number <= self.max)


class Budget(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much of a numeric argument may be used up, over all uses."""

    argument: Name
    limit: Annotated[float, Meta(gt=0)]


class StandingDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person wants remembered."""

    tool_name: Name
    args: Annotated[
        dict[Name, Pattern],
        Meta(max_length=64, description="Each argument that may be there, and what it may be."),
    ] = {}
    uses: Annotated[
        Annotated[int, Meta(ge=1, le=1_000_000)] | None,
        Meta(description="How often. Null: as often as comes until it expires."),
    ] = None
    budget: Budget | None = None
    seconds: Annotated[float, Meta(gt=0, le=MAX_DAYS * 86_400, description="How long.")] = 86_400
    session_id: Annotated[Name | None, Meta(description="In this session only.")] = None
    client_id: Annotated[Name | None, Meta(description="For this client only.")] = None
    asked_by: Annotated[Name | None, Meta(description="For this agent only, as in `agent:ID`.")] = (
        None
    )
    note: Annotated[str, Meta(max_length=1_024)] = ""


def _same(value: Json, other: Json) -> bool:
    """Equal, and of one kind: true is not 1."""
    return msgspec.json.encode(value, order="sorted") == msgspec.json.encode(other, order="sorted")


def is_number(value: object) -> bool:
    """Whether it can be reckoned with; true and false cannot."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
