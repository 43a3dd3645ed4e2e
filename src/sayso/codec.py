"""Records to JSON and back, once: for stores, the wire and the client."""

import re
from collections.abc import Callable
from typing import Any, TypeVar, cast

import msgspec

from sayso.domain.blocks import Block
from sayso.domain.events import Event
from sayso.domain.jobs import Job
from sayso.domain.requests import Request
from sayso.domain.sessions import Session
from sayso.domain.webhooks import Webhook
from sayso.errors import InvalidRequestError
from sayso.types import Json

T = TypeVar("T")

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError)
"""What the decoders below raise for bytes that are no such record."""

MAX_DEPTH = 32
"""How deep the JSON that is sent to us may be nested."""

MAX_NODES = 100_000
"""How many values it may hold: each costs many times its bytes once it is read."""

_encoder = msgspec.json.Encoder()
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {
    record: msgspec.json.Decoder(record)
    for record in (Request, Event, Session, Job, Webhook, Block)
}
_decode = msgspec.json.Decoder().decode
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_TOKEN = re.compile(_STRING.pattern + rb"|[\[{]|[\]}]", re.DOTALL)
_COLONS = (b'":', b" :", b"\t:", b"\n:", b"\r:")
_PLACE = re.compile(r" - at `(?P<at>[^`]+)`$")

encode = _encoder.encode
"""A record, or plain data, as JSON bytes."""

decode_request = _decoders[Request].decode
"""A request from JSON; fields that this version does not know are ignored."""

decode_event = _decoders[Event].decode
"""An event from JSON."""

decode_session = _decoders[Session].decode
"""A session from JSON."""

decode_job = _decoders[Job].decode
"""A job from JSON."""

decode_webhook = _decoders[Webhook].decode
"""A subscription from JSON."""

decode_block = _decoders[Block].decode
"""A block of the ledger from JSON."""


def encode_request(request: Request) -> bytes:
    """A request as JSON bytes, made once however often it is kept and sent."""
    encoded: bytes | None = vars(request).get("encoded")
    if encoded is None:
        encoded = vars(request)["encoded"] = encode(request)
    return encoded


def decode(record: type[T], body: bytes | str) -> T:
    """What somebody sent, as a `record`.

    Raises:
        InvalidRequestError: it is not JSON, is nested too deep, or does not fit; the error tells
            where (`$.action.tool_name`) and what was expected.
    """
    return _decoded(body, lambda _, value: msgspec.convert(value, record))


def decode_frame(frame: type[T], body: bytes | str) -> T:
    """The same, of a record that keeps a part as it was sent (`msgspec.Raw`)."""
    return _decoded(body, lambda raw, _: msgspec.json.decode(raw, type=frame))


def _decoded(body: bytes | str, read: Callable[[bytes, Any], T]) -> T:
    check_shape(body)
    raw = body.encode(errors="surrogatepass") if isinstance(body, str) else body
    try:
        value = _decode(raw)
        decoded = read(raw, value)
        _check_names(raw, value)
    except msgspec.ValidationError as error:
        raise _does_not_fit(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequestError(
            f"This is not JSON: {error}." if body else "A JSON body is missing.",
            hint="Send one JSON object, in UTF-8.",
            code="not_json",
        ) from None
    return decoded


def builtins(record: Any) -> Json:
    """A record as plain dictionaries, lists and strings, in its wire form."""
    return msgspec.to_builtins(record)


def check_shape(body: bytes | str) -> None:
    """Refuse what is nested deeper than `MAX_DEPTH`, or holds more values than `MAX_NODES`.

    Raises:
        InvalidRequestError: before anything recurses into it.
    """
    raw = body.encode(errors="surrogatepass") if isinstance(body, str) else body
    opened = raw.count(b"{") + raw.count(b"[")
    if opened > MAX_DEPTH:
        _check_depth(raw)
    if (
        len(raw) > MAX_NODES
        and opened + raw.count(b",") > MAX_NODES
        and _separators(raw) > MAX_NODES
    ):
        raise InvalidRequestError(
            f"The JSON holds more than {MAX_NODES} values.",
            hint="Send a link to what is large, or the data as one string.",
            code="too_many_values",
        )


def _check_names(raw: bytes, value: Any) -> None:
    """Refuse an object that has a name twice: of its values, people may be shown the other one.

    What was read has each name once, so text that is the same when it is written again has none
    twice; nor has text without escapes that has no more quotes than what is written then.

    Else there are as many colons outside of strings as names in the text, and fewer names are left
    once it is read if two were the same. Before such a colon there is a quote or a blank; only if
    the numbers differ, which colons in strings may cause, are strings cut out.
    """
    written = encode(value)
    if written == raw or (b"\\" not in raw and raw.count(b'"') == written.count(b'"')):
        return
    names = _names(value)
    colons = sum(map(raw.count, _COLONS))
    if colons != names and _STRING.sub(b"", raw).count(b":") != names:
        raise InvalidRequestError(
            "An object in the JSON has the same name twice.",
            hint="Programs differ in which of the values they take; send one.",
            code="duplicate_name",
        )


def _names(value: Any) -> int:
    count, left = 0, [value]
    while left:
        each = left.pop()
        if type(each) is dict:
            inner = cast("dict[str, Any]", each)
            count += len(inner)
            left += inner.values()
        elif type(each) is list:
            left += cast("list[Any]", each)
    return count


def _separators(raw: bytes) -> int:
    """Commas and brackets outside of strings."""
    return sum(len(part) for part in re.findall(rb"[,\[{]+", _STRING.sub(b"", raw)))


def _check_depth(raw: bytes) -> None:
    depth = 0
    for token in _TOKEN.finditer(raw):
        first = token.group()[:1]
        if first in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise InvalidRequestError(
                    f"The JSON is nested more than {MAX_DEPTH} levels deep.",
                    hint="Flatten it, or send the inner part as a string.",
                    code="too_deep",
                )
        elif first in b"]}":
            depth -= 1


def _does_not_fit(message: str) -> InvalidRequestError:
    place = _PLACE.search(message)
    at = place.group("at") if place else "$"
    what = _PLACE.sub("", message)
    return InvalidRequestError(
        f"{what} (at {at}).",
        hint="The fields are described at /docs.",
        errors=({"at": at, "message": what},),
    )
