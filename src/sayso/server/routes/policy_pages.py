"""The pages of the tenant's policy: what is in force, its versions, the editor, suggestions."""

import difflib
import re
from typing import Any

import msgspec

from sayso import codec
from sayso.domain.accounts import Power
from sayso.domain.drafts import refuse_control_characters
from sayso.domain.policies import PolicyDraft, PolicyVersion, text_digest
from sayso.errors import InvalidRequestError, SaysoError
from sayso.policies.backtest import Count, Tally
from sayso.server.forms import fields_of
from sayso.server.http import Call, Reply, redirect
from sayso.server.routes.settings_pages import shown
from sayso.server.viewer import need

_MOST_TOOLS = 12
_MOST_LINES = 2_000
"""Lines of a difference that are shown."""
_PLACE = re.compile(r":(\d+):(\d+)$")
_PAGE = 50


async def policy(call: Call, problem: SaysoError | None = None) -> Reply:
    """What is in force, or another version, and all versions."""
    need(call, Power.READ)
    policies, by = call.server.broker.policies, call.principal
    active = await policies.active(by=by)
    asked = call.count("version", 0, low=0, high=2**31) if call.one("version") else 0
    is_other = asked and (active is None or asked != active.number)
    looked_at = await policies.version(asked, by=by) if is_other else active
    before = call.count("before", 1, low=1, high=2**31) if call.one("before") else None
    versions = await policies.versions(by=by, before=before, limit=_PAGE)
    more = versions[-1].number if len(versions) == _PAGE and versions[-1].number > 1 else None
    return await shown(
        call,
        "policy",
        problem,
        active=codec.builtins(active),
        looked_at=codec.builtins(looked_at),
        versions=codec.builtins(versions),
        more=more,
    )


async def editor(call: Call) -> Reply:
    """A form with the text: of what is in force, or of another version."""
    need(call, Power.MANAGE)
    active = await call.server.broker.policies.active(by=call.principal)
    text = "" if active is None else active.text
    if call.one("version"):
        number = call.count("version", 0, low=0, high=2**31)
        text = (await call.server.broker.policies.version(number, by=call.principal)).text
    return await _editor(call, active, text)


async def preview(call: Call) -> Reply:
    """What a text would change, or what is wrong with it; nothing is kept."""
    need(call, Power.MANAGE)
    fields = fields_of(call)
    text, note = _plain(fields("text")), fields("note").strip()
    active = await call.server.broker.policies.active(by=call.principal)
    return await _previewed(call, active, text, note)


async def put(call: Call) -> Reply:
    """Put a text in force that was previewed as it is."""
    need(call, Power.MANAGE)
    fields = fields_of(call)
    text, note = _plain(fields("text")), fields("note").strip()
    policies, by = call.server.broker.policies, call.principal
    active = await policies.active(by=by)
    if fields("previewed") != text_digest(text):  # it was changed since: look once more
        return await _previewed(call, active, text, note)
    try:
        refuse_control_characters((("text", text), ("note", note)))
        said = {"text": text, "note": note, "replaces": int(fields.number("replaces") or 0)}
        await policies.put(msgspec.convert(said, PolicyDraft), by=by)
    except msgspec.ValidationError as error:
        problem = InvalidRequestError(f"The policy cannot be kept: {error}.")
        return await _editor(call, active, text, note=note, problem=problem)
    except SaysoError as error:
        return await _editor(call, active, text, note=note, problem=error)
    return redirect("/policy")


async def activate(call: Call) -> Reply:
    """Go back to an older version."""
    need(call, Power.MANAGE)
    try:
        fields = fields_of(call)
        number, replaces = int(fields.number("number") or 0), int(fields.number("replaces") or 0)
        await call.server.broker.policies.activate(number, by=call.principal, replaces=replaces)
    except SaysoError as error:
        return await policy(call, error)
    return redirect("/policy")


async def remove(call: Call) -> Reply:
    """Have none from now on."""
    need(call, Power.MANAGE)
    try:
        replaces = int(fields_of(call).number("replaces") or 0)
        await call.server.broker.policies.remove(by=call.principal, replaces=replaces)
    except SaysoError as error:
        return await policy(call, error)
    return redirect("/policy")


async def suggestions(call: Call) -> Reply:
    """Rules that the record speaks for."""
    need(call, Power.READ)
    found, text, history = await call.server.broker.policies.suggestions(by=call.principal)
    items = [codec.builtins(each) | {"error_bound": each.error_bound} for each in found]
    active = await call.server.broker.policies.active(by=call.principal)
    return await shown(
        call,
        "policy_suggestions",
        items=items,
        text=text,
        looked_at=history.looked_at,
        days=history.days,
        is_all=history.is_all,
        has_policy=active is not None,
    )


async def _previewed(call: Call, active: PolicyVersion | None, text: str, note: str) -> Reply:
    try:
        refuse_control_characters((("text", text), ("note", note)))
        if not text.strip():
            raise InvalidRequestError("There is no text.", hint="Write at least one rule.")
        found, history = await call.server.broker.policies.preview(text, by=call.principal)
    except SaysoError as error:
        return await _editor(call, active, text, note=note, problem=error)
    total = found.total
    tools = sorted(found.by_tool.items(), key=_worst_first)
    seen = {
        "looked_at": history.looked_at,
        "days": history.days,
        "is_all": history.is_all,
        "before": total.prompts_before,
        "after": total.prompts_after,
        "requests": total.requests,
        "counts": _counts(total),
        "is_safe": found.is_safe,
        "tools": [
            {"name": tool, "requests": tally.requests, "counts": _counts(tally)}
            for tool, tally in tools[:_MOST_TOOLS]
        ],
        "more_tools": max(0, len(tools) - _MOST_TOOLS),
    }
    lines = _difference("" if active is None else active.text, text)
    return await _editor(call, active, text, note=note, seen=seen, lines=lines)


async def _editor(
    call: Call,
    active: PolicyVersion | None,
    text: str,
    *,
    note: str = "",
    problem: SaysoError | None = None,
    seen: dict[str, Any] | None = None,
    lines: list[tuple[str, str]] | None = None,
) -> Reply:
    replaces = 0 if active is None else active.number
    return await shown(
        call,
        "policy_edit",
        problem,
        text=text,
        why=note,
        replaces=replaces,
        places=[] if problem is None else _places(problem, text),
        seen=seen,
        lines=lines or [],
        digest=text_digest(text) if seen is not None else "",
    )


def _places(problem: SaysoError, text: str) -> list[dict[str, Any]]:
    """Each thing that is wrong, with the line of the text that it is in."""
    lines = text.split("\n")
    found: list[dict[str, Any]] = []
    for error in problem.errors:
        place = _PLACE.search(str(error.get("at", "")))
        line, column = (int(place[1]), int(place[2])) if place else (0, 0)
        source = lines[line - 1] if 0 < line <= len(lines) else ""
        found.append(
            {"line": line, "column": column, "message": error.get("message", ""), "text": source}
        )
    return found


def _worst_first(named: tuple[str, Tally]) -> tuple[int, int, int, str]:
    """What would have run against people's word first, then what is called most."""
    tool, tally = named
    return -tally.misses.n, -tally.unedited.n, -tally.requests, tool


def _counts(tally: Tally) -> list[dict[str, Any]]:
    def told(word: str, count: Count, meaning: str, *, bad: bool = False) -> dict[str, Any]:
        is_bad = bad and count.n > 0
        return {
            "word": word, "n": count.n, "examples": count.examples, "meaning": meaning,
            "is_bad": is_bad,
        }  # fmt: skip

    return [
        told("Misses", tally.misses, "People said no, and it would have run.", bad=True),
        told(
            "Unedited", tally.unedited, "People changed it, and it would have run as it was.",
            bad=True,
        ),
        told("Denied now", tally.denied, "Refused at once, and were not."),
        told("Denied, approved", tally.denied_approved, "Of these, people had approved.", bad=True),
        told("Prompts removed", tally.removed, "People would not be asked any more."),
        told("Prompts added", tally.added, "People would be asked, and were not."),
    ]  # fmt: skip


def _difference(old: str, new: str) -> list[tuple[str, str]]:
    """Lines with what became of each: `+`, `-`, a blank, or `@` where some are left out."""
    found = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=3)
    return [
        ("@", "") if line.startswith("@@") else (line[0], line[1:])
        for line in list(found)[2 : _MOST_LINES + 2]
    ]


def _plain(text: str) -> str:
    """As it was written: browsers send line ends of their own."""
    return text.replace("\r\n", "\n").replace("\r", "\n")
