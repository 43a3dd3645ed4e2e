"""Rules as data: a policy in YAML, with conditions in CEL; docs/policies.md tells what it may say.

source        the text as a tree that knows its places; limits
reading       from the tree to rules; what is wrong, and where
records       what is read: rules, defaults, tests
expressions   conditions: checked, compiled, tried out
costs         what a condition can take, in steps
matching      globs; which rule leaves another one nothing
rule_set      the policy: evaluates and explains
cases         runs the tests that stand in a policy
"""

from functools import partial
from pathlib import Path

from sayso.errors import UsageError
from sayso.policies.rules.cases import Result, run_cases
from sayso.policies.rules.expressions import Condition, Fault, check_together, compile_condition
from sayso.policies.rules.matching import Covering, only_in_other_spellings
from sayso.policies.rules.reading import Text, condition_place, read
from sayso.policies.rules.rule_set import Explanation, RuleSet, Step
from sayso.policies.rules.source import Problem, Problems
from sayso.policies.sampling import Sampler

__all__ = [
    "Explanation",
    "Problem",
    "Result",
    "RuleSet",
    "Step",
    "load",
    "load_file",
    "run_cases",
]

LARGE_SAMPLE = 0.5
"""From here on a sample looks as if it were meant to have people asked."""


def load(text: str, source: str = "policy.yaml", *, secret: bytes | None = None) -> RuleSet:
    """The policy that a text describes.

    Args:
        text: YAML.
        source: where it comes from, for messages; without a `name` in it, the file's stem is one.
        secret: at least 16 bytes from which `sample` draws; the same in all processes that are to
            draw the same calls. Default: random, this policy's own.

    Raises:
        InvalidRequestError: `invalid_policy`; `errors` has all places, each with a sentence.
        ValueError: the secret is too short.
    """
    problems = Problems(source)
    said = read(text, problems)
    conditions: dict[str, Condition] = {}
    for name, node in said.conditions.items():
        try:
            conditions[name] = compile_condition(node.text or "")
        except Fault as fault:
            line, column = condition_place(node, text, fault.offset)
            problems.add(line, column, fault.message)
    too_many = check_together(conditions.values())
    if too_many:
        problems.add(1, 1, f"{too_many} Make it fewer.")
    problems.check()
    return RuleSet(
        name=said.name,
        source=source,
        text=text,
        rules=said.rules,
        conditions=conditions,
        defaults=said.defaults,
        cases=said.cases,
        warnings=partial(_warnings, said),
        sampler=Sampler(secret) if any(rule.sample for rule in said.rules) else None,
    )


def load_file(path: str | Path, *, secret: bytes | None = None) -> RuleSet:
    """The policy in a file, of UTF-8; otherwise like `load`.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{str(path)!r} cannot be read: {error}.") from error
    return load(text, str(path), secret=secret)


def _warnings(said: Text) -> list[Problem]:
    found: list[Problem] = []
    if said.warns_of_default:
        message = "What no rule matches runs without anybody being asked."
        found.append(Problem(line=said.warns_of_default, column=1, message=message))
    covering = Covering()
    for index, later in enumerate(said.rules):
        if later.sample >= LARGE_SAMPLE:
            message = (
                f"Rule {later.name!r} has {later.sample:.1%} looked at, which stops nobody: a call"
                " that is drawn can be asked again a little otherwise. Let it ask instead."
            )
            found.append(Problem(line=later.line, column=1, message=message))
        earlier = covering.first(said.rules[:index], later)
        if covering.left <= 0:
            message = "From here on it was not looked at which rules can never match: too many."
            found.append(Problem(line=later.line, column=1, message=message))
            break
        if earlier is not None:
            how = "can never match"
            if only_in_other_spellings(earlier, later):
                how = "matches only names in another spelling"
            message = (
                f"Rule {later.name!r} {how}: rule {earlier.name!r} in line {earlier.line}"
                " comes first, and takes what it is for."
            )
            found.append(Problem(line=later.line, column=1, message=message))
    return found
