"""What lets an action run: once, unchanged, and not for ever; and what became of it."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from sayso.types import Json


class Grant(Struct, frozen=True, kw_only=True):
    """The permission to run the exact digest that was approved: claimed once, before it expires."""

    digest: str
    expires_at: datetime
    claimed_at: datetime | None = None
    claimed_by: str = ""
    """The actor that holds it."""
    claim_mark: str = ""
    """The SHA-256 of the claimer's own word for this claim. Who knows the word may repeat a claim
    whose answer was lost; who reads the request does not know it."""


class OutcomeStatus(StrEnum):
    """How the run ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """It was begun, and nobody knows how it ended."""


class OutcomeDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of a granted action, as its agent reports it."""

    status: OutcomeStatus
    result: Annotated[Json, Meta(description="What it gave back, for the reviewer to see.")] = None
    error: Annotated[str, Meta(max_length=8_192, description="What went wrong.")] = ""


class Outcome(Struct, frozen=True, kw_only=True):
    """What became of a granted action."""

    status: OutcomeStatus
    result: Json = None
    error: str = ""
    reported_at: datetime
    reported_by: str
