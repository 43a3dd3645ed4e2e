"""What JSON Schemas are taken: forms that a page can draw, and nothing that is slow to check.

Schemas come from agents, and answers are checked against them while everybody waits.
"""

from typing import Any, cast

from sayso.errors import InvalidRequestError
from sayso.types import JsonObject

MAX_FIELDS = 100
MAX_CHOICES = 1_000
MAX_COST = 10_000
"""Subschemas that checking one value may come to at the most, references followed."""

_FORM_KEYS = frozenset(
    {"$schema", "type", "properties", "required", "title", "description", "additionalProperties"}
)
_FIELD_KEYS: dict[str, type | tuple[type, ...]] = {
    "type": str,
    "title": str,
    "description": str,
    "default": (str, int, float, bool, list, type(None)),
    "enum": list,
    "enumNames": list,
    "oneOf": list,
    "items": dict,
    "minLength": int,
    "maxLength": int,
    "pattern": str,
    "format": str,
    "minimum": (int, float),
    "maximum": (int, float),
    "exclusiveMinimum": (int, float),
    "exclusiveMaximum": (int, float),
    "multipleOf": (int, float),
    "minItems": int,
    "maxItems": int,
    "uniqueItems": bool,
}
_TYPES = ("string", "number", "integer", "boolean", "array")


def check_form(schema: JsonObject) -> None:
    """A form is a flat object, as in MCP elicitation: fields of simple types, by name.

    Raises:
        InvalidRequestError: it is not; the error says which field.
    """
    fields = schema.get("properties")
    if schema.get("type") != "object" or not isinstance(fields, dict) or not fields:
        raise _refused(
            "$.schema", 'A form is {"type": "object", "properties": {...}} with fields in it.'
        )
    for key in schema.keys() - _FORM_KEYS:
        raise _refused("$.schema", f"A form has no {key!r}.")
    names = cast("dict[str, Any]", fields)
    if len(names) > MAX_FIELDS:
        raise _refused("$.schema.properties", f"A form has {MAX_FIELDS} fields at the most.")
    for name, field in names.items():
        _check_field(field, f"$.schema.properties.{name}")


def check_cost(schema: JsonObject) -> None:
    """Refuse a schema that a small value could keep a validator busy with for ever.

    Raises:
        InvalidRequestError: its references go in a circle, or multiply.
    """
    _Cost(schema).of(schema)


class _Cost:
    """Counts subschemas with all references followed, each definition once."""

    def __init__(self, root: JsonObject) -> None:
        self._root = root
        self._known: dict[str, int] = {}
        self._open: set[str] = set()

    def of(self, node: Any) -> int:
        cost = 1
        if isinstance(node, dict):
            for key, inner in cast("JsonObject", node).items():
                if key in ("$ref", "$dynamicRef", "$recursiveRef") and isinstance(inner, str):
                    cost += self._of_reference(inner)
                elif key not in ("$defs", "definitions", "enum", "const", "default", "examples"):
                    cost += self.of(inner)
        elif isinstance(node, list):
            cost += sum(self.of(inner) for inner in cast("list[Any]", node))
        if cost > MAX_COST:
            raise _refused("$.action.args_schema", "The schema is too large to be checked quickly.")
        return cost

    def _of_reference(self, reference: str) -> int:
        if reference in self._open:
            raise _refused("$.action.args_schema", f"The reference {reference!r} goes in a circle.")
        if reference not in self._known:
            self._open.add(reference)
            self._known[reference] = self.of(self._find(reference))
            self._open.discard(reference)
        return self._known[reference]

    def _find(self, reference: str) -> Any:
        """What a reference within the document means; anchors and other documents are refused."""
        node: Any = self._root
        if reference not in ("#", ""):
            if not reference.startswith("#/"):
                raise _refused(
                    "$.action.args_schema",
                    f"The reference {reference!r} is not followed: only '#/...' is.",
                )
            for step in reference[2:].split("/"):
                name = step.replace("~1", "/").replace("~0", "~")
                node = cast("JsonObject", node).get(name) if isinstance(node, dict) else None
        return node


def _check_field(field: Any, at: str) -> None:
    if not isinstance(field, dict):
        raise _refused(at, "A field is an object with a `type`.")
    described = cast("JsonObject", field)
    for key, value in described.items():
        wanted = _FIELD_KEYS.get(key)
        if wanted is None:
            raise _refused(at, f"A field of a form has no {key!r}.")
        if not isinstance(value, wanted):
            raise _refused(f"{at}.{key}", "It has the wrong type.")
    kind = described.get("type")
    if "enum" not in described and "oneOf" not in described and kind not in _TYPES:
        raise _refused(at, f"A field's type is one of: {', '.join(_TYPES)}.")
    if kind == "array":
        _check_choices(described.get("items"), f"{at}.items")
        if not isinstance(described.get("default", []), list):
            raise _refused(f"{at}.default", "The default of a choice of several is a list.")
    else:
        if isinstance(described.get("default"), list):
            raise _refused(f"{at}.default", "Only a choice of several has a list as its default.")
        if "enum" in described or "oneOf" in described:
            _check_choices(described, at)


def _check_choices(field: Any, at: str) -> None:
    """`enum`, with names or without, or a list of `const` and `title`."""
    described = cast("JsonObject", field) if isinstance(field, dict) else {}
    values = described.get("enum")
    named = described.get("oneOf", described.get("anyOf"))
    names = described.get("enumNames", [])
    if isinstance(values, list):
        choices = cast("list[Any]", values)
        good = all(isinstance(v, str | int | float) for v in choices) and _are_texts(names)
    elif isinstance(named, list):
        choices = cast("list[Any]", named)
        good = all(_is_named(choice) for choice in choices)
    else:
        choices, good = [], False
    if not good or not 0 < len(choices) <= MAX_CHOICES:
        raise _refused(
            at, "A choice is `enum` with values, or `oneOf` with objects of `const` and `title`."
        )
    for key in described.keys() - _FIELD_KEYS.keys() - {"anyOf"}:
        raise _refused(at, f"A choice has no {key!r}.")


def _is_named(choice: Any) -> bool:
    if not isinstance(choice, dict):
        return False
    named = cast("JsonObject", choice)
    return (
        isinstance(named.get("const"), str | int | float)
        and isinstance(named.get("title", ""), str)
        and not named.keys() - {"const", "title", "description"}
    )


def _are_texts(names: Any) -> bool:
    return isinstance(names, list) and all(isinstance(n, str) for n in cast("list[Any]", names))


def _refused(at: str, message: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"{message} (at {at})",
        hint="Forms are described in the documentation; ask nested things one by one, or as text."
        if at.startswith("$.schema")
        else "Simplify the schema, or leave it out.",
        errors=({"at": at, "message": message},),
    )
