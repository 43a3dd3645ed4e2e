"""The tenant's policy: put, looked at, taken back; and all its versions."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from sayso.broker.policies import MOST_VERSIONS
from sayso.domain.drafts import refuse_control_characters
from sayso.domain.policies import PolicyDraft, PolicyVersion
from sayso.errors import InvalidRequestError, NotFoundError
from sayso.server.http import Call, Reply, bad_parameter, json_reply
from sayso.server.openapi import Parameter
from sayso.types import JsonObject

PUT = (
    Parameter("note", "With a body of `text/yaml`: why, in a sentence."),
    Parameter("replaces", "With a body of `text/yaml`: the version it was made from.", "integer"),
)
REMOVE = (
    Parameter("note", "Why, in a sentence."),
    Parameter("replaces", "The version in force: refused if another is by now.", "integer"),
)
VERSIONS = (
    Parameter("before", "Only versions older than this one: the `next` of a page.", "integer"),
    Parameter("limit", "1 to 100; 50 if absent.", "integer"),
)
_YAML = ("text/yaml", "application/yaml", "application/x-yaml", "text/x-yaml", "text/plain")
_MOST = 2**31


class Activation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which older version to go back to."""

    number: Annotated[int, Meta(ge=1)]
    note: Annotated[str, Meta(max_length=1_024)] = ""
    replaces: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(
            description="The version in force when it was chosen (0: none): refused if another is"
            " by now. Null: whatever is."
        ),
    ] = None


class PolicyVersionPage(Struct, frozen=True, kw_only=True):
    """Versions without their texts, newest first; `next` is the `before` of the following page."""

    items: tuple[PolicyVersion, ...]
    next: int | None


async def get(call: Call) -> Reply:
    """Show the policy in force."""
    return json_reply(200, await call.server.broker.policies.get(by=call.principal))


async def put(call: Call) -> Reply:
    """Keep a new version of the policy, as JSON or as the text itself; it holds from now on."""
    draft = _draft(call)
    refuse_control_characters((("$.text", draft.text), ("$.note", draft.note)))
    return json_reply(200, await call.server.broker.policies.put(draft, by=call.principal))


async def activate(call: Call) -> Reply:
    """Go back to an older version: its text becomes a new one."""
    wish = call.decode(Activation)
    refuse_control_characters((("$.note", wish.note),))
    version = await call.server.broker.policies.activate(
        wish.number, note=wish.note, by=call.principal, replaces=wish.replaces
    )
    return json_reply(200, version)


async def remove(call: Call) -> Reply:
    """Have no policy from now on; its versions stay."""
    removed = await call.server.broker.policies.remove(
        note=_note(call), by=call.principal, replaces=_replaces(call)
    )
    return json_reply(200, removed)


async def versions(call: Call) -> Reply:
    """List the versions of the policy, newest first."""
    limit = call.count("limit", 50, low=1, high=MOST_VERSIONS)
    before = None
    if call.one("before") is not None:
        before = call.count("before", 0, low=1, high=_MOST)
    found = await call.server.broker.policies.versions(
        by=call.principal, before=before, limit=limit
    )
    last = found[-1].number if len(found) == limit else None
    page = PolicyVersionPage(items=found, next=last if last != 1 else None)
    return json_reply(200, page)


async def version(call: Call) -> Reply:
    """Show one version of the policy, with its text."""
    text = call.params["number"]
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise NotFoundError(
            f"There is no version {text[:20]!r} of the policy.",
            hint="They are numbered from 1.",
        )
    found = await call.server.broker.policies.version(int(text), by=call.principal)
    return json_reply(200, found)


def _draft(call: Call) -> PolicyDraft:
    kind = call.headers.get(b"content-type", b"").partition(b";")[0].strip().decode("latin-1")
    if kind.lower() not in _YAML:
        return call.decode(PolicyDraft)
    try:
        said: JsonObject = {"text": call.body.decode(), "note": _note(call)}
        said["replaces"] = _replaces(call)
        return msgspec.convert(said, PolicyDraft)
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"The text is not UTF-8: {error}.") from None
    except msgspec.ValidationError as error:
        raise InvalidRequestError(f"This cannot be a policy: {error}.") from None


def _replaces(call: Call) -> int | None:
    if call.one("replaces") is None:
        return None
    return call.count("replaces", 0, low=0, high=_MOST)


def _note(call: Call) -> str:
    note = call.one("note") or ""
    if len(note) > 1_024:
        raise bad_parameter("note", "It is longer than 1024 characters.")
    refuse_control_characters((("?note", note),))
    return note
