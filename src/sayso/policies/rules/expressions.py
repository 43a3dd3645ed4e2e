"""Conditions in CEL: checked when a policy is loaded, so that little can go wrong when it counts.

The library has no limits of its own, and holds the interpreter while it evaluates. So a condition
is short, of the macros it has those that answer yes or no (`all`, `exists`, `exists_one`), none
within another, and regular expressions are written out. What it can cost is counted here
(`costs`); `rule_set` bounds what goes in, and what all conditions of an evaluation cost together.
"""

import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any, Final

from msgspec import Struct

from sayso.domain.plain import plain, spellings
from sayso.errors import MissingExtraError
from sayso.policies.amounts import magnitude
from sayso.policies.history import COUNTS
from sayso.policies.rules.costs import MOST_STATES, Cost, Work, no_cost, size_of
from sayso.policies.rules.source import close_to

try:
    import cel
except ModuleNotFoundError as error:
    raise MissingExtraError("common-expression-language", "rules") from error

MOST_CHARACTERS: Final = 2_000
"""A longer condition could overflow the stack of a thread."""
MOST_OF: Final = {"macros": 4, "regular expressions": 8, "signs `in`": 64, "signs `+`": 16}
"""In one condition;"""
MOST_TOGETHER: Final = {"macros": 100, "regular expressions": 200}
"""and in all conditions of a policy."""
_AMOUNT_OF: Final = "amount_of_"
_LONGEST_GLOB: Final = 256
VARIABLES: Final = ("args", "tool", "risk", "agent", "client", "session", "tenant", "run", "state")
RUN_FIELDS: Final = ("id", *COUNTS)
OWN: Final = ("amount", "plain", "mentions", "glob")
"""Functions that we add."""
_FUNCTIONS: Final = frozenset(
    {"size", "int", "uint", "double", "string", "bytes", "type", "dyn", "timestamp", "duration"}
    | {"has", *OWN}
)
_METHODS: Final = frozenset(
    {"size", "contains", "startsWith", "endsWith", "matches"}
    | {"getFullYear", "getMonth", "getDayOfYear", "getDayOfMonth", "getDate", "getDayOfWeek"}
    | {"getHours", "getMinutes", "getSeconds", "getMilliseconds"}
)
_MACROS: Final = frozenset({"all", "exists", "exists_one"})
_TYPES: Final = frozenset({"int", "uint", "double", "string", "bytes", "bool", "list", "map"})
_WORDS: Final = frozenset({"true", "false", "null", "in"})
_TOKEN: Final = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
    |(?P<text>[bB]?[rR](?:\"{3}.*?\"{3}|'{3}.*?'{3}|"[^"\n]*"|'[^'\n]*')
        |[bB]?(?:\"{3}(?:\\.|[^\\])*?\"{3}|'{3}(?:\\.|[^\\])*?'{3}
            |"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
    |(?P<number>0[xX][0-9a-fA-F]+[uU]?|[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?[uU]?)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>.)""",
    re.VERBOSE | re.DOTALL,
)
_PLACE: Final = re.compile(r"ERROR: <input>:(\d+):(\d+): ([^\n]*)")
_SIMPLE_TEXT: Final = re.compile(r"""(?:"([^"\\]*)"|'([^'\\]*)')\Z""")
_VERBOSE: Final = re.compile(r"\(\?[a-zA-Z]*x[a-zA-Z-]*[:)]")
_SAMPLES: Final[tuple[Any, ...]] = (1, 1.5, "a", True, ["a"], {"a": 1}, None)


class Fault(Exception):  # noqa: N818  told as a Problem, once its place is known
    """A condition is wrong at an offset in its text."""

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(message)
        self.offset = offset
        self.message = message


class Condition(Struct, frozen=True, kw_only=True):
    """A compiled condition, and what of a call it looks at."""

    text: str
    execute: Callable[[Any], Any]
    amounts: frozenset[str]
    """Which arguments it takes by `amount(args.NAME)`."""
    with_amounts: Callable[[Any], Any]
    """The same as `execute`, with variables for these (`amount_variable`), which is much quicker.
    For when all of them are there and can be read."""
    variables: frozenset[str]
    args: frozenset[str] | None
    """Which arguments it names; None: it may look at any."""
    functions: frozenset[str]
    """Which of ours it calls."""
    cost: Cost
    """What it can take."""
    counts: dict[str, int]
    """How many it has of what can be slow."""


class _Token(Struct, frozen=True):
    kind: str
    text: str
    offset: int


def compile_condition(text: str) -> Condition:
    """`text` compiled, checked and tried out.

    Raises:
        Fault: it cannot work, or might take too long.
    """
    if len(text) > MOST_CHARACTERS:
        raise Fault(0, f"A condition has at most {MOST_CHARACTERS} characters; make it two rules.")
    if not text.strip():
        raise Fault(0, "There is no condition; leave `when` out if it is always true.")
    try:
        program: Any = cel.compile(text)
    except ValueError as error:
        raise _syntax_fault(text, str(error)) from None
    tokens = [
        _Token(found.lastgroup or "", found.group(), found.start())
        for found in _TOKEN.finditer(text)
        if found.lastgroup != "space"
    ]
    counts = _check_counts(tokens)
    bound = _check_macros(tokens)
    variables, args, functions = _check_names(tokens, bound)
    _check_references(program, variables | {each[0] for each in bound}, functions)
    quicker, amounts = _with_amounts(text, tokens)
    condition = Condition(
        text=text,
        execute=program.execute,
        amounts=amounts,
        with_amounts=cel.compile(quicker).execute if amounts else program.execute,
        variables=frozenset(variables),
        args=args,
        functions=frozenset(functions.intersection(OWN)),
        cost=_cost(tokens, bound),
        counts=counts,
    )
    _try_out(condition)
    return condition


def amount_variable(argument: str) -> str:
    """The variable that holds what `amount(args.NAME)` is; no condition can name it itself."""
    return f"{_AMOUNT_OF}{argument.encode().hex()}"


def _with_amounts(text: str, tokens: list[_Token]) -> tuple[str, frozenset[str]]:
    """The condition with a variable for each `amount(args.NAME)`, and these names."""
    if _AMOUNT_OF in text:
        return text, frozenset()
    parts: list[str] = []
    names: set[str] = set()
    done = 0
    for at, token in enumerate(tokens):
        words = [each.text for each in tokens[at : at + 3]]
        if words != ["amount", "(", "args"] or (name := _field(tokens, at + 2)) is None:
            continue
        end = at + (5 if tokens[at + 3].text == "." else 6)
        if end < len(tokens) and tokens[end].text == ")":
            parts += [text[done : token.offset], f" {amount_variable(name)} "]
            done = tokens[end].offset + 1
            names.add(name)
    return "".join([*parts, text[done:]]), frozenset(names)


def _syntax_fault(text: str, message: str) -> Fault:
    found = _PLACE.search(message)
    if found is None:
        return Fault(0, f"This is not CEL: {message[:200]}")
    line, column, why = int(found[1]), int(found[2]), found[3]
    lines = text.split("\n")
    offset = sum(len(each) + 1 for each in lines[: line - 1]) + column - 1
    why = why.removeprefix("Syntax error: ")
    if "Recursion limit" in why:
        why = "it is nested too deep"
    return Fault(min(offset, len(text)), f"This is not CEL: {why[:200]}.")


def check_together(conditions: Iterable[Condition]) -> str:
    """What all conditions of a policy have too many of, as a sentence; empty: of nothing."""
    together = dict.fromkeys(MOST_TOGETHER, 0)
    for condition in conditions:
        for what in together:
            together[what] += condition.counts[what]
    for what, count in together.items():
        if count > MOST_TOGETHER[what]:
            return f"All conditions together have {count} {what}, of {MOST_TOGETHER[what]} at most."
    return ""


def _check_counts(tokens: list[_Token]) -> dict[str, int]:
    """How many there are of what can be slow.

    Raises:
        Fault: more than are taken.
    """
    counts = dict.fromkeys(MOST_OF, 0)
    for at, token in enumerate(tokens):
        what = _slow(tokens, at)
        if what:
            counts[what] += 1
            if counts[what] > MOST_OF[what]:
                raise Fault(
                    token.offset,
                    f"A condition has at most {MOST_OF[what]} {what}; make it two rules.",
                )
    return counts


def _slow(tokens: list[_Token], at: int) -> str:
    """Under what a token is counted; empty: under nothing."""
    token = tokens[at]
    if token.kind == "sign":
        return "signs `+`" if token.text == "+" else ""
    if token.kind != "name":
        return ""
    if _is_method(tokens, at):
        if token.text in _MACROS:
            return "macros"
        return "regular expressions" if token.text == "matches" else ""
    return "signs `in`" if token.text == "in" else ""


def _cost(tokens: list[_Token], bound: list[tuple[str, int, int]]) -> Cost:
    """What the condition can take: whatever is no sign for order goes through values once.

    A list that is put together has more elements than what it is made of, and each `+` copies
    what those before it have made.
    """
    cost = no_cost()
    pluses = sum(token.text == "+" and token.kind == "sign" for token in tokens)
    parts = [cost.once] * len(tokens)
    inside = [Work() for _ in bound]
    for work, (_, start, end) in zip(inside, bound, strict=True):
        parts[start + 1 : end] = [work] * (end - start - 1)
    for at, (token, work) in enumerate(zip(tokens, parts, strict=True)):
        if token.kind == "sign" and token.text in ".,()[]{}":
            continue
        work.reads += 1 + (pluses if token.text == "+" else 0)
        if token.kind == "name" and token.text in OWN:
            work.own += 3 if token.text == "mentions" else 1
        if token.text == "matches" and _is_method(tokens, at):
            work.matches(cel.evaluate(tokens[at + 2].text))
    for work, (_, start, end) in zip(inside, bound, strict=True):
        times = 1
        if tokens[start - 2].kind != "name":
            times += pluses + sum(token.text == "," for token in tokens[:start])
        is_nested = any(
            token.kind == "name" and token.text in VARIABLES and tokens[at - 1].text != "."
            for at, token in enumerate(tokens[start:end], start)
        )
        if is_nested:
            cost.nested.add(work, times)
        else:
            cost.each.add(work, times)
            cost.once.add(work.shared(), times)
    return cost


def _check_macros(tokens: list[_Token]) -> list[tuple[str, int, int]]:
    """The variables that macros bind, each with the tokens between which it is known."""
    bound: list[tuple[str, int, int]] = []
    for at, token in enumerate(tokens):
        if not _is_method(tokens, at):
            continue
        if token.text in ("map", "filter"):
            raise Fault(
                token.offset,
                f"{token.text!r} is not taken, for it can take long; ask with `exists` or `all`.",
            )
        if token.text == "matches" and not _is_written_out(tokens, at):
            raise Fault(token.offset, "A regular expression is written out: .matches('...').")
        if token.text in _MACROS:
            end = _closing(tokens, at + 1)
            if any(start < at < stop for _, start, stop in bound):
                raise Fault(token.offset, f"{token.text!r} within another macro can take long.")
            name = tokens[at + 2]
            if name.kind != "name" or tokens[at + 3].text != ",":
                raise Fault(name.offset, f"{token.text!r} takes a name, a comma and a condition.")
            if name.text in (*VARIABLES, *_TYPES, *_WORDS):
                raise Fault(name.offset, f"The name {name.text!r} is taken; use another one.")
            bound.append((name.text, at, end))
    return bound


def _check_names(
    tokens: list[_Token], bound: list[tuple[str, int, int]]
) -> tuple[set[str], frozenset[str] | None, set[str]]:
    """The variables, the arguments (None: any) and the functions that are used."""
    variables: set[str] = set()
    functions: set[str] = set()
    args: set[str] | None = set()
    for at, token in enumerate(tokens):
        if token.text == "." and (at == 0 or _begins(tokens[at - 1])):
            raise Fault(token.offset, "Write names without a dot before them.")
        if token.kind != "name" or token.text in _WORDS:
            continue
        if at and tokens[at - 1].text == ".":
            if _is_call(tokens, at) and token.text not in _METHODS | _MACROS:
                raise _unknown(token, "function", _METHODS | _MACROS)
            functions.update([token.text] if _is_call(tokens, at) else [])
        elif _is_call(tokens, at):
            if token.text not in _FUNCTIONS:
                raise _unknown(token, "function", _FUNCTIONS | _METHODS)
            functions.add(token.text)
        elif token.text in VARIABLES:
            variables.add(token.text)
            field = _field(tokens, at)
            if token.text == "run" and field is not None and field not in RUN_FIELDS:
                close = close_to(field, RUN_FIELDS)
                raise Fault(tokens[at + 2].offset, f"A run has no {field!r}.{close}")
            if token.text == "args" and args is not None:
                args = None if field is None else args | {field}
        elif token.text not in _TYPES and not any(
            name == token.text and start < at < stop for name, start, stop in bound
        ):
            raise _unknown(token, "variable", VARIABLES)
    return variables, None if args is None else frozenset(args), functions


def _check_references(program: Any, names: set[str], functions: set[str]) -> None:
    """What the compiler itself has found has to be what was checked."""
    known = names | _TYPES | {"@result"}
    for name in program.variables():
        if name not in known:
            raise Fault(0, f"There is no variable {name!r}.{close_to(name, VARIABLES)}")
    for name in program.functions():
        if name.isidentifier() and name not in functions and not name.startswith("_"):
            raise Fault(0, f"The function {name!r} cannot be used here.")


def _try_out(condition: Condition) -> None:
    """Evaluate it with values of each kind: one at least has to end in yes or no."""
    said: set[str] = set()
    for sample in _SAMPLES:
        args = dict.fromkeys(condition.args or (), sample)
        variables: dict[str, Any] = dict.fromkeys(VARIABLES, "a") | {
            "args": args,
            "state": {},
            "run": {"id": "a", **dict.fromkeys(COUNTS, 0)},
        }
        try:
            value = condition.execute(cel.Context(variables=variables, functions=Calls().mapping))
        except Exception:  # noqa: BLE001, S112  arguments of that kind do not fit
            continue
        if isinstance(value, bool):
            return
        said.add(type(value).__name__)
    if said:
        kinds = ", ".join(sorted(said))
        raise Fault(0, f"It is no condition: it gives {kinds}, and not true or false.")


class Calls:
    """Our functions for one evaluation; what fails in them is kept, as CEL might forget it."""

    def __init__(self) -> None:
        self.failed: list[str] = []
        self._read: dict[tuple[type, Any], float | None] = {}
        self.mapping: dict[str, Callable[..., Any]] = {
            "amount": self.amount,
            "plain": self.plain,
            "mentions": self.mentions,
            "glob": self.glob,
        }

    def amount(self, *values: Any) -> Any:
        """How much it is, without its sign, the larger where two could be meant."""
        value = values[0] if len(values) == 1 else None
        if not isinstance(value, (str, int, float)):
            return self._no("amount: it takes one number, or a text with one")
        key = (value.__class__, value)
        if key not in self._read:  # many rules ask for the same
            self._read[key] = magnitude(value)
        size = self._read[key]
        return self._no("amount: it cannot be read as a number") if size is None else size

    def plain(self, *values: Any) -> Any:
        """A text without case, in one Unicode form."""
        if len(values) != 1 or not isinstance(values[0], str):
            return self._no("plain: it takes one text")
        return plain(values[0])

    def mentions(self, *values: Any) -> Any:
        """Whether a text contains another in any spelling, or looks as if it did."""
        if len(values) != 2 or not all(isinstance(value, str) for value in values):
            return self._no("mentions: it takes a text, and one to look for in it")
        wanted = plain(values[1])
        return any(wanted in spelling for spelling in spellings(values[0]))

    def glob(self, *values: Any) -> Any:
        """Whether a text matches a glob, upper and lower case apart."""
        if len(values) != 2 or not all(isinstance(value, str) for value in values):
            return self._no("glob: it takes a text and a glob")
        if len(values[1]) > _LONGEST_GLOB:
            return self._no(f"glob: a glob has at most {_LONGEST_GLOB} characters")
        return fnmatchcase(values[0], values[1])

    def _no(self, why: str) -> None:
        self.failed.append(why)


def context_of(variables: dict[str, Any], functions: Iterable[str], calls: Calls) -> Any:
    """What conditions are evaluated with; once for all of them."""
    return cel.Context(
        variables=variables, functions={name: calls.mapping[name] for name in functions}
    )


def _is_method(tokens: list[_Token], at: int) -> bool:
    return (
        at > 0 and tokens[at].kind == "name" and tokens[at - 1].text == "." and _is_call(tokens, at)
    )


def _is_call(tokens: list[_Token], at: int) -> bool:
    return at + 1 < len(tokens) and tokens[at + 1].text == "("


def _is_written_out(tokens: list[_Token], at: int) -> bool:
    """Whether a call has one argument, which is a text; it is tried out, too."""
    if at + 3 >= len(tokens) or tokens[at + 2].kind != "text" or tokens[at + 3].text != ")":
        return False
    try:
        cel.evaluate(f"''.matches({tokens[at + 2].text})")
    except (RuntimeError, ValueError) as error:
        why = " ".join(str(error).split("\n")[0].split())[:120]
        raise Fault(tokens[at + 2].offset, f"This is no regular expression: {why}") from None
    pattern: str = cel.evaluate(tokens[at + 2].text)
    if _VERBOSE.search(pattern):
        raise Fault(tokens[at + 2].offset, "A regular expression is written without `(?x)`.")
    if size_of(pattern).states > MOST_STATES:
        raise Fault(
            tokens[at + 2].offset,
            "This regular expression takes too long to compile: repeat fewer times, and write"
            " [a-z] rather than \\w or \\p{L}.",
        )
    return True


def _closing(tokens: list[_Token], opening: int) -> int:
    depth = 0
    for at in range(opening, len(tokens)):
        depth += {"(": 1, ")": -1}.get(tokens[at].text, 0)
        if depth == 0:
            return at
    return len(tokens)


def _begins(before: _Token) -> bool:
    """Whether a new value begins behind this token."""
    return before.text in _WORDS - {"true", "false", "null"} or (
        before.kind == "sign" and before.text not in ")]}"
    )


def _field(tokens: list[_Token], at: int) -> str | None:
    """The name in `x.name` or `x["name"]`; None if it is looked at in another way."""
    following = [token.text for token in tokens[at + 1 : at + 4]]
    if following[:1] == ["."] and len(following) > 1 and not _is_call(tokens, at + 2):
        return following[1]
    if following[:1] == ["["] and following[2:3] == ["]"]:
        found = _SIMPLE_TEXT.match(following[1])
        if found:
            return found[1] if found[1] is not None else found[2]
    return None


def _unknown(token: _Token, what: str, known: Iterable[str]) -> Fault:
    close = close_to(token.text, known)
    hint = close or f" There are: {', '.join(sorted(known))}."
    return Fault(token.offset, f"There is no {what} {token.text!r}.{hint}")
