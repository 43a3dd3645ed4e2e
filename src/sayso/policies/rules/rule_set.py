"""A policy that was read from a text: evaluated quickly, and explained at length."""

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any, Final

import msgspec
from msgspec import Struct

from sayso.domain.actions import Action
from sayso.domain.plain import LONGEST_NAME
from sayso.policies.amounts import magnitude
from sayso.policies.base import NO_CONTEXT, Context, Effect, Policy, Verdict
from sayso.policies.combined import strictest
from sayso.policies.history import COUNTS, history_of, streak_with
from sayso.policies.rules.costs import MOST_STEPS, Cost, no_cost
from sayso.policies.rules.expressions import Calls, Condition, amount_variable, context_of
from sayso.policies.rules.matching import agents_of, for_risk, may_be_in, names
from sayso.policies.rules.records import RISKS, Case, Defaults, PolicyRule, risk_of
from sayso.policies.rules.source import Problem
from sayso.policies.sampling import Sampler
from sayso.types import Json

MOST_VALUES: Final = 1_000
"""Of what conditions look at; with more, they count as failed."""
MOST_CHARACTERS: Final = 65_536
"""The same for its texts together."""
_OF_AMOUNTS: Final[frozenset[object]] = frozenset({str, int, float})
_MOST_KEPT: Final = 1_024


class Step(Struct, frozen=True, kw_only=True):
    """One rule that was tried."""

    rule: str
    line: int
    outcome: str
    """`matched`, `passed over` or `failed`."""
    why: str


class Explanation(Struct, frozen=True, kw_only=True):
    """A verdict, and how it came about."""

    verdict: Verdict
    steps: tuple[Step, ...]
    """The rules that were tried, in order; after one that matched none is."""


class _Compiled(Struct, frozen=True, kw_only=True):
    """A rule as it is evaluated."""

    rule: PolicyRule
    condition: Condition | None
    is_exact: bool
    tools: Any
    agents: Any
    sessions: Any
    tenants: Any
    names_whom: bool

    def is_for(self, tool: str, risk: str) -> bool:
        """Whether tool and risk fit."""
        return for_risk(self.rule.match, risk) and (self.tools is None or self.tools(tool))

    def unfit(self, context: Context) -> str:
        """Which part of `match` keeps it from being for this caller; empty if none does."""
        if self.agents is not None and not any(
            map(self.agents, agents_of(context, exact=self.is_exact))
        ):
            return "agents"
        if self.sessions is not None and not (
            self.sessions(context.session_id or "")
            and may_be_in(self.rule.match.sessions, context, exact=self.is_exact)
        ):
            return "sessions"
        if self.tenants is not None and not self.tenants(context.tenant):
            return "tenants"
        return ""


class _Plan(Struct, frozen=True, kw_only=True):
    """The rules that can be for a tool of a risk, and what their conditions look at."""

    rules: tuple[_Compiled, ...]
    variables: frozenset[str]
    args: frozenset[str] | None
    functions: frozenset[str]
    amounts: frozenset[str]
    cost: Cost
    """Of all conditions together."""


class _Values:
    """What the conditions of one evaluation look at, made once, when the first one needs it."""

    def __init__(self, plan: _Plan, action: Action, context: Context) -> None:
        self._plan = plan
        self._action = action
        self._context = context
        self._calls = Calls()
        self._made: Any = None
        self._unfit = ""
        self._variables: dict[str, Json] = {}
        self._sizes: dict[str, tuple[int, int]] = {}
        self._amounts: frozenset[str] = frozenset()
        """Arguments whose amounts are known."""
        self._left: int | None = None
        """Of the steps that may be taken; None: there are enough for all conditions."""

    def ask(self, condition: Condition) -> bool | str:
        """Whether it holds; or why it could not be evaluated."""
        if self._made is None and not self._unfit:
            self._make()
        if self._unfit:
            return self._unfit
        if self._left is not None:
            steps = condition.cost.steps(*self._size(condition))
            if steps > self._left:
                return "there is too much to look at for what it does"
            self._left -= steps
        is_known = condition.amounts <= self._amounts
        try:
            said: object = (condition.with_amounts if is_known else condition.execute)(self._made)
        except BaseException as error:
            if not _is_of_cel(error):
                raise
            why = _why(error)
        else:
            if isinstance(said, bool) and not self._calls.failed:
                return said
            why = f"it gives {type(said).__name__}, and not true or false"
        if self._calls.failed:
            why = self._calls.failed[0]
            self._calls.failed.clear()
        return why

    def _make(self) -> None:
        plan = self._plan
        try:
            variables = self._variables = self._looked_at()
            values, characters = _size(variables)
            if values > MOST_VALUES or characters > MOST_CHARACTERS:
                self._unfit = (
                    f"what it looks at has more than {MOST_VALUES} values"
                    f" or {MOST_CHARACTERS} characters"
                )
                return
            if plan.cost.steps(values, characters) > MOST_STEPS:
                self._left = MOST_STEPS
            amounts = self._read_amounts()
            self._amounts = frozenset(amounts)
            known = {amount_variable(name): amount for name, amount in amounts.items()}
            self._made = context_of(variables | known, plan.functions, self._calls)
        except BaseException as error:
            if not _is_of_cel(error):
                raise
            self._unfit = _why(error)

    def _read_amounts(self) -> dict[str, float]:
        """The amounts that conditions take, each read once; without those that are none."""
        args, found = self._action.tool_args, dict[str, float]()
        for name in self._plan.amounts:
            value = args.get(name)
            if value.__class__ in _OF_AMOUNTS and (size := magnitude(value)) is not None:
                found[name] = size
        return found

    def _size(self, condition: Condition) -> tuple[int, int]:
        """How many values and characters a condition looks at."""
        values = characters = 0
        for name in condition.variables:
            value = self._variables[name]
            parts: dict[str, Json] = {name: value}
            if name == "args" and condition.args is not None and isinstance(value, dict):
                parts = {f"args.{key}": value[key] for key in condition.args if key in value}
            for key, part in parts.items():
                if key not in self._sizes:
                    self._sizes[key] = _size(part)
                more, longer = self._sizes[key]
                values, characters = values + more, characters + longer
        return values, characters

    def _looked_at(self) -> dict[str, Json]:
        action, context = self._action, self._context
        variables: dict[str, Json] = {}
        for name in self._plan.variables:
            if name == "args":
                named, args = self._plan.args, action.tool_args
                variables[name] = (
                    args if named is None else {key: args[key] for key in named if key in args}
                )
            elif name == "tool":
                variables[name] = action.tool_name
            elif name == "risk":
                variables[name] = risk_of(action.risk_class)
            elif name == "agent":
                variables[name] = context.asked_by or context.client_id or ""
            elif name == "client":
                variables[name] = context.client_id or ""
            elif name == "session":
                variables[name] = context.session_id or ""
            elif name == "tenant":
                variables[name] = context.tenant
            elif name == "state":
                variables[name] = context.state
            else:
                history = history_of(context.state)
                variables[name] = {
                    "id": context.run_id,
                    **{count: history[count] for count in COUNTS},
                    "streak": streak_with(history, action),
                }
        return variables


class RuleSet(Policy):
    """Rules in order: the first that matches decides; a rule that fails has a person asked.

    A condition that fails does not pass for false. Its rule counts as asking, and the rules after
    it are tried as well: what they ask for, or deny, is added, so that nobody gets more by sending
    arguments that make a condition fail.

    Attributes:
        source: where the text comes from, for messages.
        text: the text.
        rules: in order.
        cases: the tests that stand in it.
    """

    def __init__(
        self,
        *,
        name: str,
        source: str,
        text: str,
        rules: Sequence[PolicyRule],
        conditions: dict[str, Condition],
        defaults: Defaults,
        cases: Sequence[Case] = (),
        warnings: Callable[[], Sequence[Problem]] = tuple,
        sampler: Sampler | None = None,
    ) -> None:
        self._name = name
        self.source = source
        self.text = text
        self.rules = tuple(rules)
        self.cases = tuple(cases)
        self._warnings = warnings
        self._defaults = defaults
        self._sampler = sampler
        self._compiled = tuple(_compiled(rule, conditions.get(rule.name)) for rule in rules)
        self._plans: dict[tuple[str, str], _Plan] = {}

    @property
    def name(self) -> str:
        """As the text says, or its file's."""
        return self._name

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is not wrong, and hardly meant; looked for each time, which can take seconds."""
        return tuple(self._warnings())

    def evaluate(self, action: Action, context: Context = NO_CONTEXT) -> Verdict:
        """What the first rule that matches says; if none does, what holds by default."""
        risk = risk_of(action.risk_class)
        plan = self._plans.get((action.tool_name, risk)) or self._planned(action.tool_name, risk)
        values: _Values | None = None
        failed: list[Verdict] = []
        for each in plan.rules:
            if each.names_whom and each.unfit(context):
                continue
            if each.condition is not None:
                if values is None:
                    values = _Values(plan, action, context)
                said = values.ask(each.condition)
                if said is False:
                    continue
                if said is not True:
                    failed.append(_doubt(each.rule, risk, said))
                    continue
            verdict = self._said(each.rule, risk, action, context)
            return strictest([*failed, verdict]) if failed else verdict
        if not failed:
            return self._defaults.verdicts[risk]
        if self._defaults.verdicts[risk].effect is Effect.ASK:
            failed.append(self._defaults.doubts[risk])
        return strictest(failed)

    def explain(self, action: Action, context: Context = NO_CONTEXT) -> Explanation:
        """The verdict, with each rule that was tried and why it did or did not match."""
        risk = risk_of(action.risk_class)
        plan = self._planned(action.tool_name, risk)
        values = _Values(plan, action, context)
        steps: list[Step] = []
        for each in self._compiled:
            outcome, why = _tried(each, action, context, values)
            if outcome == "matched" and each.rule.sample:
                why += f"; {each.rule.sample:.1%} of such calls are drawn and asked about"
            steps.append(Step(rule=each.rule.name, line=each.rule.line, outcome=outcome, why=why))
            if outcome == "matched":
                break
        return Explanation(verdict=self.evaluate(action, context), steps=tuple(steps))

    def unsampled(self) -> "RuleSet":
        """The same without drawing any calls, so that tests are not a matter of luck."""
        other = copy(self)
        other._sampler = None
        return other

    def _said(self, rule: PolicyRule, risk: str, action: Action, context: Context) -> Verdict:
        if (
            rule.sample
            and self._sampler is not None
            and self._sampler.draws(rule.sample, context.run_id, action)
        ):
            reason = f"Rule {rule.name!r} of {self._name!r}: drawn for a look, as {rule.sample:.1%}"
            return msgspec.structs.replace(
                rule.doubts[risk], reason=f"{reason} of what it allows are."
            )
        return rule.verdicts[risk]

    def _planned(self, tool: str, risk: str) -> _Plan:
        rules = tuple(each for each in self._compiled if each.is_for(tool, risk))
        conditions = [each.condition for each in rules if each.condition is not None]
        args: frozenset[str] | None = frozenset()
        cost = no_cost()
        for condition in conditions:
            args = None if args is None or condition.args is None else args | condition.args
            cost.add(condition.cost)
        plan = _Plan(
            rules=rules,
            variables=frozenset[str]().union(*(each.variables for each in conditions)),
            args=args,
            functions=frozenset[str]().union(*(each.functions for each in conditions)),
            amounts=frozenset[str]().union(*(each.amounts for each in conditions)),
            cost=cost,
        )
        if len(self._plans) >= _MOST_KEPT:
            self._plans.clear()
        if len(tool) <= LONGEST_NAME:
            self._plans[(tool, risk)] = plan
        return plan


def _compiled(rule: PolicyRule, condition: Condition | None) -> _Compiled:
    exact = rule.effect is Effect.ALLOW
    match = rule.match
    return _Compiled(
        rule=rule,
        condition=condition,
        is_exact=exact,
        tools=names(match.tools, exact=exact),
        agents=names(match.agents, exact=exact),
        sessions=names(match.sessions, exact=exact),
        tenants=names(match.tenants, exact=exact),
        names_whom=bool(match.agents or match.sessions or match.tenants),
    )


def _tried(each: _Compiled, action: Action, context: Context, values: _Values) -> tuple[str, str]:
    """Whether a rule matched, was passed over or failed; and why."""
    rule, risk = each.rule, risk_of(action.risk_class)
    if each.tools is not None and not each.tools(action.tool_name):
        return "passed over", f"the tool is none of: {', '.join(rule.match.tools)}"
    if not for_risk(rule.match, risk):
        kinds = ", ".join(name for name in RISKS if name in rule.match.risks)
        return "passed over", f"the risk is {risk}, not of: {kinds}"
    unfit = each.unfit(context)
    if unfit:
        globs = ", ".join(getattr(rule.match, unfit))
        if unfit == "sessions" and each.sessions(context.session_id or ""):
            return "passed over", f"the key of who asks is not bound to a session of: {globs}"
        return "passed over", f"the {unfit[:-1]} is none of: {globs}"
    if each.condition is None:
        return "matched", "it is for this call, and has no condition"
    said = values.ask(each.condition)
    text = " ".join(rule.when.split())
    if said is True:
        return "matched", f"true: {text}"
    return ("passed over", f"false: {text}") if said is False else ("failed", f"{said}: {text}")


def _doubt(rule: PolicyRule, risk: str, why: str) -> Verdict:
    verdict = rule.doubts[risk]
    return msgspec.structs.replace(verdict, reason=f"{verdict.reason}: {why}.", is_doubtful=True)


def _size(whole: Json) -> tuple[int, int]:
    """How many values and characters it has; beyond what is taken it is not counted further."""
    left: list[Json] = [whole]
    count = characters = 0
    while left and count + len(left) <= MOST_VALUES + 1 and characters <= MOST_CHARACTERS:
        value = left.pop()
        kind: object = value.__class__
        count += 1
        if kind is str:
            characters += len(value)
        elif kind is dict:
            left.extend(value.values())
            characters += sum(map(len, value))
        elif kind is list or kind is tuple:
            left.extend(value)
    return count + len(left), characters


def _is_of_cel(error: BaseException) -> bool:
    """Whether it came out of an evaluation: what Rust calls a panic is no Exception in Python."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def _why(error: BaseException) -> str:
    text = str(error)
    if isinstance(error, KeyError):
        return f"there is no {text[:100]}"
    if isinstance(error, TypeError) and "overload" in text:
        return "a value is of another type than it expects"
    return f"{type(error).__name__}: {' '.join(text.split())[:160]}".rstrip(".")
