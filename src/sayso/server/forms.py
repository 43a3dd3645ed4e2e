"""What a plain form sent: its fields, and a remembered decision put together from them."""

from urllib.parse import parse_qs

import msgspec

from sayso.domain.patterns import Pattern, StandingDraft
from sayso.domain.requests import Request
from sayso.errors import InvalidRequestError
from sayso.server.http import Call
from sayso.types import Json, JsonObject

MAX_FIELDS = 500


class Fields:
    """The fields of a posted form.

    Raises:
        InvalidRequestError: it is no form, or has too many fields.
    """

    def __init__(self, body: bytes) -> None:
        try:
            self.all = parse_qs(
                body.decode("utf-8"),
                keep_blank_values=True,
                errors="strict",
                max_num_fields=MAX_FIELDS,
            )
        except ValueError as error:
            raise InvalidRequestError(f"The form cannot be read: {error}.") from None

    def __call__(self, name: str) -> str:
        """The first value of a field; empty if it is not there."""
        return self.all.get(name, [""])[0]

    def lines(self, name: str) -> tuple[str, ...]:
        """A field's values, one a line or one a box; blank ones are left out."""
        lines = (line.strip() for text in self.all.get(name, []) for line in text.splitlines())
        return tuple(dict.fromkeys(line for line in lines if line))

    def number(self, name: str) -> float | None:
        """A number, or None if the field is blank.

        Raises:
            InvalidRequestError: it is something else.
        """
        text = self(name).strip()
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if value != value or abs(value) == float("inf"):
            raise InvalidRequestError(f"{text[:40]!r} is not a number (in the field {name!r}).")
        return int(value) if value == int(value) else value


def fields_of(call: Call) -> Fields:
    """The fields of the form that was posted."""
    return Fields(call.body)


def remembered(request: Request, fields: Fields) -> StandingDraft:
    """What is to be remembered of a request, as the form says.

    Raises:
        InvalidRequestError: it is not complete.
    """
    if request.action is None:
        raise InvalidRequestError("There is no action in this request, so nothing to remember.")
    given: JsonObject = {
        "tool_name": request.action.tool_name,
        "args": {
            name: _pattern(name, value, fields) for name, value in request.action.tool_args.items()
        },
        "uses": fields.number("uses"),
        "seconds": fields.number("seconds") or 86_400,
    }
    if fields("session_id"):
        given["session_id"] = request.session_id
    if fields("client_id"):
        given["client_id"] = request.client_id
    if fields("asked_by"):
        given["asked_by"] = request.requested_by.actor
    try:
        return msgspec.convert(given, StandingDraft)
    except msgspec.ValidationError as error:
        raise InvalidRequestError(f"The form cannot be used: {error}.") from None


def _pattern(name: str, value: Json, fields: Fields) -> Pattern:
    match fields(f"how.{name}"):
        case "any":
            return Pattern(any=True)
        case "glob":
            return Pattern(glob=fields(f"glob.{name}"))
        case "range":
            return Pattern(min=fields.number(f"min.{name}"), max=fields.number(f"max.{name}"))
        case _:
            return Pattern(equals=value)
