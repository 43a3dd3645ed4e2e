"""Names for plain types, nothing else."""

from typing import Any, TypeAlias

Json: TypeAlias = Any
"""A JSON value: object, array, string, number, boolean or null."""

JsonObject: TypeAlias = dict[str, Any]
"""A JSON object."""
