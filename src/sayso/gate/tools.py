"""A function as a tool: its arguments as reviewers see them, and back again as it takes them."""

import functools
import inspect
import typing
from collections.abc import Callable
from functools import partial
from pathlib import PurePath
from typing import Any, Literal, cast

import msgspec
from msgspec import Struct

from sayso.domain.actions import Action, RiskClass, canonical_json
from sayso.errors import NotApprovedError, UsageError
from sayso.types import JsonObject

_OPTIONS = frozenset(
    {
        "name",
        "risk",
        "side_effects",
        "rationale",
        "message",
        "preview",
        "facts",
        "hidden",
        "args_schema",
        "key",
        "on_reject",
        "session_id",
        "timeout",
    }
)
_ANY = inspect.Parameter.empty
LARGEST = 2**53
"""From here on a double does not hold each integer."""


class Call(Struct, frozen=True, kw_only=True):
    """One call of a tool."""

    action: Action
    execute: Callable[[JsonObject, bool], Any]
    key: str | None
    message: str
    fields: JsonObject


class Tool:
    """What is known of a function before it is called.

    Raises:
        UsageError: an option is unknown, or cannot be used.
    """

    def __init__(self, function: Callable[..., Any], options: JsonObject) -> None:
        unknown = sorted(set(options) - _OPTIONS)
        if unknown:
            raise UsageError(
                f"@gate.tool has no option {unknown[0]!r}.",
                hint=f"It takes: {', '.join(sorted(_OPTIONS))}.",
            )
        self.name: str = options.get("name") or getattr(function, "__name__", "tool")
        self.facts: Callable[[], Any] | None = options.get("facts")
        self.session_id: str | None = options.get("session_id")
        self.timeout: float | None = options.get("timeout")
        self.on_reject: Literal["raise", "return"] | None = options.get("on_reject")
        if self.on_reject not in (None, "raise", "return"):
            raise UsageError(
                f"on_reject={self.on_reject!r} means nothing.", hint='Say "raise" or "return".'
            )
        self._function = function
        self._options = options
        self._signature = inspect.signature(function)
        self._hints = _hints(function)
        self._hidden = frozenset(cast("list[str]", options.get("hidden", ())))
        strangers = sorted(self._hidden - set(self._signature.parameters))
        if strangers:
            raise UsageError(f"{self.name}() has no argument {strangers[0]!r} to hide.")
        self._parameters = [
            parameter
            for parameter in self._signature.parameters.values()
            if parameter.name not in self._hidden
        ]
        self.args_schema: JsonObject = options.get("args_schema") or self._schema()

    def call(self, args: tuple[Any, ...], kwargs: JsonObject) -> Call:
        """A call with these arguments.

        Raises:
            TypeError: they are not the function's.
            UsageError: one of them has no JSON form.
        """
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments
        options = self._options
        tool_args = self._shown(given)
        known = {name: value for name, value in given.items() if name not in self._hidden}
        risk = _said(options.get("risk"), known)
        action = Action(
            tool_name=self.name,
            tool_args=tool_args,
            args_schema=self.args_schema,
            risk_class=None if risk is None else RiskClass(risk),
            side_effects=tuple(options.get("side_effects", ())),
            rationale=options.get("rationale", ""),
        )
        preview = _said(options.get("preview"), known)
        return Call(
            action=action,
            execute=functools.partial(self._execute, given),
            key=_said(options.get("key"), known),
            message=_said(options.get("message"), known) or "",
            fields={} if preview is None else {"metadata": {"preview": preview}},
        )

    def _shown(self, given: JsonObject) -> JsonObject:
        """All arguments by name, as plain JSON."""
        shown: JsonObject = {}
        for parameter in self._parameters:
            value = _plain(self.name, parameter.name, given[parameter.name])
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                for name in shown.keys() & value.keys():
                    raise UsageError(f"Two arguments of {self.name}() are called {name!r}.")
                shown |= value
            else:
                shown[parameter.name] = value
        return shown

    def _execute(self, given: JsonObject, approved: JsonObject, asked: bool) -> Any:
        """Call the function with what was approved.

        That is what the caller gave, unless somebody edited it, or it was changed while they
        looked at it: then the arguments are made anew from what was approved.
        """
        if asked and canonical_json(approved) != canonical_json(self._shown(given)):
            given = self._read(given, approved)
            if canonical_json(approved) != canonical_json(self._shown(given)):
                raise NotApprovedError(
                    "What was approved means something else to the tool, so it does not run.",
                    hint="Compare how its arguments are written and read, such as their aliases.",
                )
        args: list[Any] = []
        kwargs: JsonObject = {}
        for parameter in self._signature.parameters.values():
            value = given[parameter.name]
            match parameter.kind:
                case inspect.Parameter.VAR_POSITIONAL:
                    args += value
                case inspect.Parameter.VAR_KEYWORD:
                    kwargs |= value
                case inspect.Parameter.KEYWORD_ONLY:
                    kwargs[parameter.name] = value
                case _:
                    args.append(value)
        return self._function(*args, **kwargs)

    def _read(self, given: JsonObject, approved: JsonObject) -> JsonObject:
        """The approved arguments as the function takes them, typed by its hints."""
        rest = dict(approved)
        read: JsonObject = {name: given[name] for name in self._hidden}
        extra: str | None = None
        for parameter in self._parameters:
            name, hint = parameter.name, self._hints.get(parameter.name, _ANY)
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                extra = name
            elif name in rest:
                value = rest.pop(name)
                if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                    read[name] = tuple(_typed(name, each, hint) for each in value)
                else:
                    read[name] = _typed(name, value, hint)
            elif parameter.default is not _ANY:
                read[name] = parameter.default
            elif parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                read[name] = ()
            else:
                raise _misfit(name, "it is missing")
        if extra is not None:
            hint = self._hints.get(extra, _ANY)
            read[extra] = {name: _typed(name, value, hint) for name, value in rest.items()}
        elif rest:
            raise _misfit(next(iter(rest)), "the tool has no such argument")
        return read

    def _schema(self) -> JsonObject:
        """A JSON Schema of the arguments, from the type hints; what has no schema may be anything.

        A default is part of it, so that reviewers see what is meant by leaving something out.
        """
        properties: JsonObject = {}
        required: list[str] = []
        definitions: JsonObject = {}
        is_open = False
        for parameter in self._parameters:
            hint = self._hints.get(parameter.name, _ANY)
            schema = _schema_of(hint, definitions)
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                is_open = True
                continue
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                schema = {"type": "array", "items": schema}
            elif parameter.default is _ANY:
                required.append(parameter.name)
            properties[parameter.name] = schema
        made: JsonObject = {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": is_open,
        }
        return made | ({"$defs": definitions} if definitions else {})


def wrapped(function: Callable[..., Any], run: Callable[..., Any]) -> Callable[..., Any]:
    """`run`, which passes for `function`: name, docstring, signature and type hints."""
    return functools.wraps(function)(run)


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception:  # noqa: BLE001  hints that cannot be resolved are no hints
        return {}


def _said(option: Any, known: JsonObject) -> Any:
    """An option as it is, or what its function makes of the arguments."""
    return option(**known) if callable(option) else option


def _plain(tool: str, name: str, value: Any) -> Any:
    try:
        return _small(msgspec.to_builtins(value, str_keys=True, enc_hook=_written))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise UsageError(
            f"The argument {name!r} of {tool}() cannot be shown to people: {error}.",
            hint=f'Hide it, if it is none of theirs: @gate.tool(hidden=["{name}"]).',
        ) from error


def _typed(name: str, value: Any, hint: Any) -> Any:
    if hint is _ANY:
        return value
    try:
        try:
            return msgspec.convert(value, hint, dec_hook=_read)
        except msgspec.ValidationError:  # a number that had to be written as a text
            return msgspec.convert(value, hint, strict=False, dec_hook=_read)
    except TypeError:  # a hint that says nothing of JSON
        return value
    except ValueError as error:
        raise _misfit(name, str(error)) from error


def _written(value: Any) -> Any:
    """What msgspec does not know how to write."""
    if hasattr(value, "model_dump"):  # pydantic
        return value.model_dump(mode="json", by_alias=True)
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _read(kind: Any, value: Any) -> Any:
    """And how to read."""
    if hasattr(kind, "model_validate"):
        return kind.model_validate(value)
    if isinstance(kind, type) and issubclass(kind, PurePath) and isinstance(value, str):
        return kind(value)
    if isinstance(value, kind):
        return value
    raise TypeError(f"{kind} has no JSON form")


def _small(value: Any) -> Any:
    """Integers that a double does not hold, as texts: else they would have no digest."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -LARGEST < value < LARGEST else str(value)
    if isinstance(value, dict):
        return {name: _small(each) for name, each in cast("JsonObject", value).items()}
    if isinstance(value, (list, tuple)):
        return [_small(each) for each in cast("list[Any]", value)]
    return value


def _misfit(name: str, why: str) -> NotApprovedError:
    return NotApprovedError(
        f"What was approved does not fit the tool, so it does not run: {name!r}: {why}.",
        hint="Ask again.",
    )


def _schema_of(hint: Any, definitions: JsonObject) -> JsonObject:
    if hint is _ANY:
        return {}
    try:
        (schema,), defined = msgspec.json.schema_components(
            [hint], ref_template="#/$defs/{name}", schema_hook=partial(_described, definitions)
        )
    except (TypeError, ValueError):
        return {}
    definitions |= defined
    return schema


def _described(definitions: JsonObject, kind: Any) -> JsonObject:
    """The schema of what msgspec does not know."""
    if hasattr(kind, "model_json_schema"):
        schema = kind.model_json_schema(ref_template="#/$defs/{model}")
        definitions |= schema.pop("$defs", {})
        return schema
    if isinstance(kind, type) and issubclass(kind, PurePath):
        return {"type": "string"}
    raise TypeError(f"{kind} has no JSON form")
