"""From the tree of a policy's text to its rules; all that is wrong is told with its place."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct

from sayso.domain.accounts import Strength
from sayso.domain.actions import RiskClass
from sayso.domain.rules import Rule
from sayso.policies.base import Effect, Verdict
from sayso.policies.rules.records import RISKS, SILENCES, Case, Defaults, Match, PolicyRule
from sayso.policies.rules.source import (
    Node,
    Problems,
    close_to,
    json_of,
    parse,
    place_within,
    scalar,
)
from sayso.types import JsonObject

MOST_RULES: Final = 1_000
MOST_CASES: Final = 1_000
VERSION: Final = 1
EXPECTED: Final = ("verdict", "rule", "approvals", "silence", "groups", "people")
_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}")
_DURATION: Final = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_MOST_SECONDS: Final = 31_622_400.0
_WHOM: Final = ("people", "groups")
_ASKING: Final = (
    "route",
    "approvals",
    "veto",
    "four_eyes",
    "min_strength",
    "deadline",
    "grant",
    "silence",
    "escalate_to",
)
"""Fields that only something that asks can have."""


class Text(Struct, frozen=True, kw_only=True):
    """What a policy's text says, with conditions not yet compiled."""

    name: str
    defaults: Defaults
    rules: tuple[PolicyRule, ...]
    conditions: dict[str, Node]
    """By the name of the rule."""
    cases: tuple[Case, ...]
    warns_of_default: int
    """The line of a default that lets through; 0: it does not."""


class _Table:
    """A mapping that is being read: whatever is not taken from it was misspelt."""

    def __init__(self, node: Node, problems: Problems, what: str) -> None:
        self.node = node
        self.what = what
        self.problems = problems
        self._known: list[str] = []
        self.fields = node.fields or {}
        if node.fields is None and not (node.is_plain and scalar(node.text or "") is None):
            self.wrong(node, f"{what} is a mapping, not {node.kind}.")

    def wrong(self, node: Node, message: str) -> None:
        self.problems.add(node.line, node.column, message)

    def take(self, key: str) -> Node | None:
        self._known.append(key)
        pair = self.fields.get(key)
        return None if pair is None else pair[1]

    def key_of(self, key: str) -> Node:
        return self.fields[key][0]

    def done(self) -> None:
        """Complain of every key that nobody has asked for."""
        for key, (node, _) in self.fields.items():
            if key not in self._known:
                close = close_to(key, self._known) or f" It has: {', '.join(self._known)}."
                self.wrong(node, f"{self.what} has no key {key!r}.{close}")

    def text(self, key: str, default: str = "") -> str:
        node = self.take(key)
        if node is None:
            return default
        if node.text is None:
            self.wrong(node, f"{key!r} is a text, not {node.kind}.")
            return default
        return node.text

    def texts(self, key: str, most: int = 64) -> tuple[str, ...]:
        """A list of texts; one text is a list of one."""
        node = self.take(key)
        if node is None:
            return ()
        nodes = [node] if node.items is None else node.items
        said: list[str] = []
        for each in nodes:
            if not each.text or len(each.text) > 256:
                self.wrong(each, f"{key!r} is a list of texts, each of 1 to 256 characters.")
            else:
                said.append(each.text)
        if not nodes or len(nodes) > most:
            self.wrong(node, f"{key!r} has 1 to {most} entries; leave it out for none.")
        return tuple(said)

    def choice(self, key: str, options: Iterable[str]) -> str:
        node = self.take(key)
        return "" if node is None else self.one_of(node, key, options)

    def one_of(self, node: Node, what: str, options: Iterable[str]) -> str:
        known = list(options)
        if node.text not in known:
            close = close_to(node.text or "", known)
            self.wrong(node, f"{what!r} is one of {', '.join(known)}.{close}")
            return ""
        return node.text

    def flag(self, key: str) -> bool | None:
        node = self.take(key)
        if node is None:
            return None
        if not node.is_plain or node.text not in ("true", "false"):
            self.wrong(node, f"{key!r} is true or false.")
            return None
        return node.text == "true"

    def number(self, key: str, least: float, most: float, *, whole: bool = False) -> float | None:
        node = self.take(key)
        if node is None:
            return None
        value: Any = scalar(node.text or "") if node.is_plain else None
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not least <= value <= most or (whole and value != int(value)):
            kind = "a whole number" if whole else "a number"
            self.wrong(node, f"{key!r} is {kind} from {least:g} to {most:g}.")
            return None
        return value

    def seconds(self, key: str) -> float | None:
        """A duration: `90s`, `15m`, `1h30m`, `2d`."""
        node = self.take(key)
        if node is None:
            return None
        found = _DURATION.fullmatch(node.text or "")
        parts = [int(part or 0) for part in found.groups()] if found else [0]
        total = sum(p * size for p, size in zip(parts, (86_400, 3_600, 60, 1), strict=False))
        if not 0 < total <= _MOST_SECONDS:
            self.wrong(node, f"{key!r} is a time of up to 366d, such as 90s, 15m, 1h30m or 2d.")
            return None
        return float(total)


def read(text: str, problems: Problems) -> Text:
    """What the text says.

    Raises:
        InvalidRequestError: it cannot be read; other problems are added to `problems`.
    """
    top = _Table(parse(text, problems), problems, "A policy")
    version = top.take("version")
    if version is not None and version.text != str(VERSION):
        top.wrong(version, f"This reads version {VERSION} of policies.")
    name = top.text("name")
    if name and not _NAME.fullmatch(name):
        top.wrong(top.fields["name"][1], _name_rule("A policy's name"))
    source = problems.source.replace("\\", "/").rpartition("/")[2].rpartition(".")[0]
    name = name or source or "policy"
    inherited: dict[str, Any] = {}
    effect, line, reason = Effect.ASK, 0, ""
    if (node := top.take("defaults")) is not None:
        table = _Table(node, problems, "`defaults`")
        effect = Effect(table.choice("verdict", Effect) or "ask")
        reason = table.text("reason")
        inherited = _asking(table, frozenset())
        _check_escalation(table, inherited, effect)
        line = table.key_of("verdict").line if "verdict" in table.fields else node.line
        table.done()
    defaults = _defaults(name, effect, reason, inherited)
    rules, conditions = _rules(top, problems, name, inherited)
    cases = _cases(top, problems)
    top.done()
    return Text(
        name=name,
        defaults=defaults,
        rules=rules,
        conditions=conditions,
        cases=cases,
        warns_of_default=line if effect is Effect.ALLOW else 0,
    )


def condition_place(node: Node, text: str, offset: int) -> tuple[int, int]:
    """Where a character of a condition stands in the file."""
    return place_within(node, text, offset)


def _list(top: _Table, key: str, most: int) -> list[Node]:
    node = top.take(key)
    if node is None or (node.is_plain and node.text == ""):
        return []
    if node.items is None:
        top.wrong(node, f"{key!r} is a list, not {node.kind}.")
        return []
    if len(node.items) > most:
        top.wrong(node, f"{key!r} has at most {most} entries.")
    return node.items


def _rules(
    top: _Table, problems: Problems, policy: str, inherited: Mapping[str, Any]
) -> tuple[tuple[PolicyRule, ...], dict[str, Node]]:
    if "rules" not in top.fields:
        top.wrong(top.node, "A policy has `rules`; an empty list is fine.")
    rules: dict[str, PolicyRule] = {}
    conditions: dict[str, Node] = {}
    for node in _list(top, "rules", MOST_RULES):
        table = _Table(node, problems, "A rule")
        name = table.text("name")
        if not _NAME.fullmatch(name):
            place = table.fields["name"][1] if "name" in table.fields else node
            table.wrong(place, _name_rule("A rule's name"))
        elif name in rules:
            place = table.fields["name"][1]
            table.wrong(place, f"There is a rule {name!r} already, in line {rules[name].line}.")
        key = name if name not in rules else f"{name} {len(rules)}"  # each condition is looked at
        match = _match(table, problems)
        condition = table.take("when")
        if condition is not None:
            if condition.text is None:
                table.wrong(condition, f"'when' is a condition in CEL, not {condition.kind}.")
            else:
                conditions[key] = condition
        rules[key] = _rule(table, name, policy, match, condition, inherited)
        table.done()
    return tuple(rules.values()), conditions


def _rule(
    table: _Table,
    name: str,
    policy: str,
    match: Match,
    condition: Node | None,
    inherited: Mapping[str, Any],
) -> PolicyRule:
    effect = Effect(table.choice("verdict", Effect) or "ask")
    if "verdict" not in table.fields and table.node.fields is not None:
        table.wrong(table.node, f"Rule {name!r} needs a verdict: allow, ask or deny.")
    reason = table.text("reason")
    sample = table.number("sample", 0, 1)
    if sample is not None and effect is not Effect.ALLOW:
        table.wrong(table.key_of("sample"), "Only what is allowed can be sampled.")
    said = _asking(table, match.risks)
    if effect is not Effect.ASK:
        for key in _ASKING:
            if key in table.fields:
                message = f"{key!r} says how people are asked, and this rule says {effect.value}."
                table.wrong(table.key_of(key), message)
        said = {}
    fields = {**inherited, **said}
    _check_escalation(table, fields, effect)
    told = f"Rule {name!r} of {policy!r}"
    text = f"{told}: {reason}" if reason else f"{told} says {effect.value}."
    doubt = f"{told} could not be evaluated, so a person decides"
    return PolicyRule(
        name=name,
        line=table.node.line,
        match=match,
        when="" if condition is None else condition.text or "",
        effect=effect,
        sample=sample or 0.0,
        verdicts=_verdicts(effect, text, policy, name, fields),
        doubts=_verdicts(Effect.ASK, doubt, policy, name, _doubtful(fields)),
    )


def _check_escalation(table: _Table, fields: Mapping[str, Any], effect: Effect) -> None:
    wants = "escalate" in fields.get("silence", {}).values()
    if effect is Effect.ASK and wants and "escalate_to" not in fields:
        place = table.key_of("silence") if "silence" in table.fields else table.node
        table.wrong(place, "To escalate, say to whom: escalate_to: {people: [...], groups: [...]}.")


def _defaults(name: str, effect: Effect, reason: str, said: Mapping[str, Any]) -> Defaults:
    text = f"No rule of {name!r} matches: {reason or f'by default it says {effect.value}'}."
    return Defaults(
        verdicts=_verdicts(effect, text, name, "", said, is_default=True),
        doubts=_verdicts(Effect.ASK, text, name, "", _doubtful(said)),
    )


def _doubtful(said: Mapping[str, Any]) -> dict[str, Any]:
    """The same for what is asked in doubt: silence never approves it."""
    silence = {
        risk: meaning for risk, meaning in said.get("silence", {}).items() if meaning != "approve"
    }
    return {**said, "silence": silence}


def _verdicts(
    effect: Effect,
    reason: str,
    policy: str,
    rule: str,
    said: Mapping[str, Any],
    *,
    is_default: bool = False,
) -> dict[str, Verdict]:
    """What is said, by risk."""
    plain = Verdict(effect=effect, reason=reason, policy=policy, rule=rule, is_default=is_default)
    if effect is not Effect.ASK:
        return dict.fromkeys(RISKS, plain)
    needs = {key: said[key] for key in ("approvals", "veto", "four_eyes", "min_strength")
             if key in said}  # fmt: skip
    needs |= said.get("route", {})
    if "grant" in said:
        needs["grant_seconds"] = said["grant"]
    names = (f"{policy}/{rule}" if rule else policy,)
    review = Rule(**needs, names=names) if needs else None
    plain = msgspec.structs.replace(
        plain, review=review, timeout_seconds=said.get("deadline", UNSET)
    )
    verdicts: dict[str, Verdict] = {}
    for risk in RISKS:
        silence = said.get("silence", {}).get(risk)
        escalated = None
        if silence == "escalate" and "escalate_to" in said:
            escalated = Rule(**{**needs, **said["escalate_to"]}, names=names)
        verdicts[risk] = msgspec.structs.replace(plain, on_timeout=silence, escalate_to=escalated)
    return verdicts


def _asking(table: _Table, risks: frozenset[str]) -> dict[str, Any]:
    """What is said of how people are asked; `risks` are those that the rule is for."""
    said: dict[str, Any] = {
        "approvals": table.number("approvals", 1, 20, whole=True),
        "veto": table.flag("veto"),
        "four_eyes": table.flag("four_eyes"),
        "deadline": table.seconds("deadline"),
        "grant": table.seconds("grant"),
        "route": _whom(table, "route"),
        "escalate_to": _whom(table, "escalate_to"),
        "silence": _silence(table, risks),
    }
    strength = table.choice("min_strength", Strength)
    if strength:
        said["min_strength"] = Strength(strength)
    if said["approvals"] is not None:
        said["approvals"] = int(said["approvals"])
    return {key: value for key, value in said.items() if value is not None}


def _whom(table: _Table, key: str) -> dict[str, Any] | None:
    node = table.take(key)
    if node is None:
        return None
    inner = _Table(node, table.problems, f"`{key}`")
    whom: dict[str, Any] = {name: inner.texts(name) for name in _WHOM}
    inner.done()
    if not any(whom.values()):
        table.wrong(node, f"{key!r} names people, groups, or both.")
    return whom


def _silence(table: _Table, risks: frozenset[str]) -> dict[str, str] | None:
    """What silence means, by risk; to approve has to be written out, for low risk alone."""
    node = table.take("silence")
    if node is None:
        return None
    if node.fields is None:
        meaning = table.one_of(node, "silence", SILENCES)
        if meaning == "approve" and risks != frozenset({"low"}):
            _refuse_approval(table, node)
        return dict.fromkeys(RISKS, meaning) if meaning else {}
    said: dict[str, str] = {}
    for risk, (key, value) in node.fields.items():
        if not table.one_of(key, "silence", RISKS):
            continue
        said[risk] = table.one_of(value, f"silence: {risk}", SILENCES)
        if said[risk] == "approve" and risk != "low":
            _refuse_approval(table, value)
    return said


def _refuse_approval(table: _Table, node: Node) -> None:
    table.wrong(
        node,
        "Silence approves nothing but low risk. Write silence: {low: approve}, or give the rule"
        " match: {risk: low}.",
    )


def _match(table: _Table, problems: Problems) -> Match:
    node = table.take("match")
    if node is None:
        return Match()
    inner = _Table(node, problems, "`match`")
    match = Match(
        tools=inner.texts("tools", 256),
        agents=inner.texts("agents", 256),
        sessions=inner.texts("sessions", 256),
        tenants=inner.texts("tenants", 256),
        risks=frozenset(inner.texts("risk")),
    )
    if not match.risks.issubset(RISKS):
        inner.wrong(inner.fields["risk"][1], f"'risk' is of: {', '.join(RISKS)}.")
    inner.done()
    return match


def _cases(top: _Table, problems: Problems) -> tuple[Case, ...]:
    cases: list[Case] = []
    for node in _list(top, "tests", MOST_CASES):
        table = _Table(node, problems, "A test")
        tool = table.text("tool")
        if not tool:
            table.wrong(node, "A test has a tool.")
        risk = table.choice("risk", RISKS)
        objects: dict[str, JsonObject] = {}
        for key in ("args", "state"):
            given = table.take(key)
            objects[key] = {}
            if given is not None and given.fields is None:
                table.wrong(given, f"{key!r} is a mapping, not {given.kind}.")
            elif given is not None:
                objects[key] = _json_object(table, given)
        cases.append(
            Case(
                name=table.text("name") or f"line {node.line}",
                line=node.line,
                tool=tool or "tool",
                args=objects["args"],
                risk=None if risk in ("", "unknown") else RiskClass(risk),
                agent=table.text("agent"),
                session=table.text("session"),
                tenant=table.text("tenant", "default"),
                run=table.text("run"),
                state=objects["state"],
                expect=_expected(table, problems),
            )
        )
        table.done()
    return tuple(cases)


def _json_object(table: _Table, node: Node) -> JsonObject:
    value: JsonObject = json_of(node)
    if not _is_finite(value):
        table.wrong(node, "JSON has no such number: write .nan and .inf as texts.")
        return {}
    return value


def _is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
    return not isinstance(value, list) or all(map(_is_finite, value))  # pyright: ignore[reportUnknownArgumentType]


def _expected(table: _Table, problems: Problems) -> dict[str, Any]:
    node = table.take("expect")
    if node is None:
        table.wrong(table.node, "A test says what it expects: expect: allow, ask or deny.")
        return {}
    if node.fields is None:
        verdict = table.one_of(node, "expect", Effect)
        return {"verdict": verdict} if verdict else {}
    inner = _Table(node, problems, "`expect`")
    said: dict[str, Any] = {
        "verdict": inner.choice("verdict", Effect) or None,
        "rule": inner.text("rule") if "rule" in inner.fields else None,
        "approvals": inner.number("approvals", 1, 20, whole=True),
        "silence": inner.choice("silence", SILENCES) or None,
        "people": inner.texts("people") or None,
        "groups": inner.texts("groups") or None,
    }
    inner.take("rule")
    inner.done()
    return {key: value for key, value in said.items() if value is not None}


def _name_rule(what: str) -> str:
    return f"{what} has 1 to 100 letters, digits, `_`, `.` and `-`."
