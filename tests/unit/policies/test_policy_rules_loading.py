"""A policy's text is read whole or not at all, and what is wrong is told with its place."""

from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from sayso.domain.accounts import Strength
from sayso.errors import InvalidRequestError, UsageError
from sayso.policies import Effect
from sayso.policies.rules import load, load_file, matching
from sayso.policies.rules.source import MOST_TEXT

FULL = """\
version: 1
name: payments
defaults:
  deadline: 15m
  silence: {low: approve, high: reject}
  route: {groups: [finance]}
rules:
  - name: small-refunds
    match: {tools: refund*, risk: [low, medium]}
    when: args.amount <= 50
    verdict: allow
    reason: Small refunds pass.
  - name: large
    match:
      tools: [transfer, "pay_*"]
      agents: [agent:*]
      sessions: [s-*]
      tenants: [default]
    verdict: ask
    route: {people: [ada], groups: [board]}
    approvals: 2
    veto: false
    four_eyes: true
    min_strength: passkey
    deadline: 1h30m
    grant: 10m
    silence: escalate
    escalate_to: {people: [eve]}
  - name: no
    match: {tools: drop_*}
    verdict: deny
"""


def problems_of(text: str) -> list[str]:
    with pytest.raises(InvalidRequestError) as caught:
        load(text, "p.yaml")
    assert caught.value.reason_code == "invalid_policy"
    assert caught.value.detail.startswith(caught.value.errors[0]["at"])
    return [f"{each['at']}: {each['message']}" for each in caught.value.errors]


def rule(text: str) -> str:
    """A policy of one rule, whose fields begin in line 2, column 5."""
    return f"rules:\n  - {text}\n"


def test_what_a_rule_says_becomes_a_review_rule() -> None:
    policy = load(FULL)
    assert (policy.name, [each.name for each in policy.rules]) == (
        "payments",
        ["small-refunds", "large", "no"],
    )
    verdict = policy.rules[1].verdicts["high"]
    review = verdict.review
    assert review is not None
    assert verdict.effect is Effect.ASK
    assert (review.approvals, review.people, review.groups) == (2, ("ada",), ("board",))
    assert (review.veto, review.four_eyes, review.min_strength) == (False, True, Strength.PASSKEY)
    assert (review.grant_seconds, verdict.timeout_seconds) == (600.0, 5_400.0)
    assert verdict.on_timeout == "escalate"
    assert verdict.escalate_to is not None
    assert (verdict.escalate_to.people, verdict.escalate_to.groups) == (("eve",), ())
    assert verdict.escalate_to.approvals == 2
    assert review.names == ("payments/large",)


def test_what_a_rule_does_not_say_is_as_the_defaults_have_it() -> None:
    policy = load(
        "defaults: {deadline: 90s, route: {groups: [g]}}\n" + rule("{name: a, verdict: ask}")
    )
    verdict = policy.rules[0].verdicts["low"]
    assert verdict.timeout_seconds == 90.0
    assert verdict.review is not None
    assert verdict.review.groups == ("g",)


def test_the_name_of_a_policy_is_its_files_if_it_has_none(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("rules: []\n")
    assert load_file(tmp_path / "mine.yaml").name == "mine"
    assert load("rules: []").name == "policy"


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load_file(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"name: \xff")
    with pytest.raises(UsageError, match="cannot be read"):
        load_file(tmp_path / "latin.yaml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "p.yaml:1:1: There is nothing in it"),
        ("- 1", "p.yaml:1:1: A policy is a mapping, not a list"),
        ("rules: [\n", "p.yaml:2:1: This is not YAML"),
        ("a: 'x", "p.yaml:1:6: This is not YAML"),
        ("a: \x00", "This is not YAML"),
        ("--- {}\n--- {}\n", "p.yaml:2:1: This is not YAML"),
        ("name: x", "p.yaml:1:1: A policy has `rules`"),
        ("rules: []\nrules: []", "p.yaml:2:1: The key 'rules' is there twice, first in line 1"),
        ("rules: []\nrule: []", "p.yaml:2:1: A policy has no key 'rule'. Did you mean 'rules'?"),
        ("version: 2\nrules: []", "p.yaml:1:10: This reads version 1"),
        ("name: a b\nrules: []", "p.yaml:1:7: A policy's name has"),
        ("rules: {a: 1}", "p.yaml:1:8: 'rules' is a list, not a mapping"),
        ("rules: !!python/object:os.system x", "p.yaml:1:8: The tag"),
        ("rules: !x []", "The tag '!x' is not taken"),
        ("a: &a [1]\nb: *a", "p.yaml:2:4: Aliases are not taken"),
        ("a: " + "[" * 33 + "]" * 33, "deeper than 32"),
        ("a: " + "[" * 5_000, "deeper than 32"),
        ("a: [" + "1," * 120_000 + "]", "more than 50000 values"),
        ("a: " + "x" * MOST_TEXT, "more than 262144 characters"),
        ("rules: []\ndefaults: {verdict: perhaps}", "p.yaml:2:21: 'verdict' is one of allow, ask"),
        ("rules: []\ndefaults: {silence: approve}", "p.yaml:2:21: Silence approves nothing but"),
        ("rules: []\ndefaults: {silence: {high: approve}}", "p.yaml:2:28: Silence approves"),
        ("rules: []\ndefaults: {silence: escalate}", "p.yaml:2:12: To escalate, say to whom"),
        (rule("x"), "p.yaml:2:5: A rule is a mapping, not a text"),
        (rule("{verdict: deny}"), "p.yaml:2:5: A rule's name has"),
        (rule("{name: a}"), "p.yaml:2:5: Rule 'a' needs a verdict"),
        (rule("{name: a, verdict: alow}"), "p.yaml:2:24: 'verdict' is one of allow, ask, deny. Did you mean 'allow'?"),
        (rule("{name: a, verdict: deny, verdicts: x}"), "A rule has no key 'verdicts'. Did you mean 'verdict'?"),
        (rule("{name: a, verdict: deny, match: {tool: x}}"), "p.yaml:2:38: `match` has no key 'tool'. Did you mean 'tools'?"),
        (rule("{name: a, verdict: deny, match: {risk: huge}}"), "p.yaml:2:44: 'risk' is of: low, medium"),
        (rule("{name: a, verdict: deny, match: {tools: []}}"), "'tools' has 1 to 256 entries"),
        (rule("{name: a, verdict: deny, approvals: 2}"), "p.yaml:2:30: 'approvals' says how people are asked, and this rule says deny"),
        (rule("{name: a, verdict: ask, sample: 0.5}"), "p.yaml:2:29: Only what is allowed can be sampled"),
        (rule("{name: a, verdict: allow, sample: 2}"), "'sample' is a number from 0 to 1"),
        (rule("{name: a, verdict: allow, sample: .nan}"), "'sample' is a number from 0 to 1"),
        (rule("{name: a, verdict: ask, approvals: 21}"), "'approvals' is a whole number from 1 to 20"),
        (rule("{name: a, verdict: ask, approvals: '2'}"), "'approvals' is a whole number"),
        (rule("{name: a, verdict: ask, veto: no}"), "p.yaml:2:35: 'veto' is true or false"),
        (rule("{name: a, verdict: ask, deadline: 15}"), "'deadline' is a time of up to 366d, such as 90s"),
        (rule("{name: a, verdict: ask, deadline: 0s}"), "'deadline' is a time"),
        (rule("{name: a, verdict: ask, grant: 999d}"), "'grant' is a time"),
        (rule("{name: a, verdict: ask, route: {}}"), "'route' names people, groups, or both"),
        (rule("{name: a, verdict: ask, route: [bob]}"), "`route` is a mapping, not a list"),
        (rule("{name: a, verdict: ask, min_strength: password}"), "'min_strength' is one of link, chat"),
        (rule("{name: a, verdict: ask, silence: approve}"), "p.yaml:2:38: Silence approves nothing but low"),
        (rule("{name: a, verdict: ask, match: {risk: [low, high]}, silence: approve}"), "Silence approves nothing but low"),
        (rule("{name: a, verdict: ask, silence: shout}"), "'silence' is one of expire, reject"),
        (rule("{name: a, verdict: ask, silence: escalate}"), "p.yaml:2:29: To escalate, say to whom"),
        (rule("{name: a, verdict: ask, when: [x]}"), "'when' is a condition in CEL, not a list"),
        ("rules:\n- {name: a, verdict: deny, when: tool == 'x'}\n- {name: a, verdict: ask}", "p.yaml:3:10: There is a rule 'a' already, in line 2"),
        ("rules: []\ntests: [{tool: x}]", "p.yaml:2:9: A test says what it expects"),
        ("rules: []\ntests: [{tool: x, expect: {verdit: ask}}]", "Did you mean 'verdict'?"),
        ("rules: []\ntests: [{tool: x, args: [1], expect: ask}]", "'args' is a mapping, not a list"),
        ("rules: []\ntests: [{expect: ask}]", "A test has a tool"),
        ("? [a]\n: b", "A key is a text"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_line_and_column(text: str, said: str) -> None:
    assert any(said in problem for problem in problems_of(text)), problems_of(text)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_text() -> None:
    found = problems_of("nam: x\nrules:\n  - {name: a, verdict: ask, aprovals: 2}\n  - {name: b}\n")
    assert [each.split(":")[1] for each in found] == ["1", "3", "4"]


def test_silence_may_approve_low_risk_where_it_is_written_out() -> None:
    low = load(rule("{name: a, match: {risk: low}, verdict: ask, silence: approve}")).rules[0]
    by_risk = load(rule("{name: a, verdict: ask, silence: {low: approve, high: park}}")).rules[0]
    assert by_risk.verdicts["low"].on_timeout == "approve"
    assert by_risk.verdicts["high"].on_timeout == "park"
    assert by_risk.verdicts["unknown"].on_timeout is by_risk.verdicts["medium"].on_timeout is None
    assert low.doubts["low"].on_timeout is by_risk.doubts["low"].on_timeout is None


def test_words_that_old_yaml_takes_for_something_else_stay_words() -> None:
    policy = load(rule("{name: no, verdict: deny, match: {tools: [on, 1, null, 2024-01-01]}}"))
    assert policy.rules[0].name == "no"
    assert policy.rules[0].match.tools == ("on", "1", "null", "2024-01-01")


@pytest.mark.parametrize(
    "written",
    [
        "when: args.x > 1 && wrng",
        "when: 'args.x == \"it''s\" && wrng'",
        'when: "args.x > 1 && wrng"',
        "when: |\n      args.x > 1 &&\n        wrng",
        "when: >-\n      args.x > 1 &&\n      true && wrng",
        "when: args.x > 1 &&\n      true\n      && wrng",
        "reason: täglich ümläut\n    when: args.x == 'ü' && wrng",
    ],
)
def test_a_mistake_in_a_condition_is_told_where_it_stands_however_it_is_written(
    written: str,
) -> None:
    text = f"rules:\n  - name: a\n    verdict: deny\n    {written}\n"
    line = next(n for n, each in enumerate(text.splitlines(), 1) if "wrng" in each)
    column = text.splitlines()[line - 1].index("wrng") + 1
    assert problems_of(text)[0].startswith(f"p.yaml:{line}:{column}: There is no variable 'wrng'")


@pytest.mark.parametrize(
    ("earlier", "later", "warned"),
    [
        ("{}", "{tools: x}", True),
        ("{tools: '*'}", "{tools: x}", True),
        ("{tools: 'read_*'}", "{tools: read_file}", True),
        ("{tools: 'read_*'}", "{tools: 'read_f*'}", True),
        ("{tools: 'read_*'}", "{tools: [read_file, write_file]}", False),
        ("{tools: 'read_f*'}", "{tools: 'read_*'}", False),
        ("{tools: '*_x'}", "{tools: '*_xx'}", False),
        ("{tools: x, risk: low}", "{tools: x}", False),
        ("{risk: [low, medium, high]}", "{tools: x}", True),
        ("{tools: x}", "{tools: x, agents: a}", True),
        ("{tools: x, agents: a}", "{tools: x}", False),
    ],
)
def test_a_rule_that_can_never_match_is_warned_of(earlier: str, later: str, warned: bool) -> None:
    policy = load(
        f"rules:\n- {{name: a, verdict: deny, match: {earlier}}}\n"
        f"- {{name: b, verdict: ask, match: {later}}}\n"
    )
    assert [each.line for each in policy.warnings] == ([3] if warned else [])


def test_a_condition_leaves_the_rules_after_it_something() -> None:
    rules = "rules:\n- {name: a, verdict: deny, when: args.x > 1}\n- {name: b, verdict: ask}\n"
    assert not load(rules).warnings
    same = rules.replace("ask}", "ask, when: args.x  > 1}")
    assert load(same).warnings


def test_a_default_that_lets_everything_through_is_warned_of() -> None:
    assert (
        "without anybody being asked"
        in load("defaults: {verdict: allow}\nrules: []").warnings[0].message
    )


def test_a_large_sample_is_told_to_be_no_barrier() -> None:
    rule = "rules: [{{name: r, match: {{tools: pay}}, verdict: allow, sample: {}}}]"
    (warning,) = load(rule.format(0.9)).warnings
    assert "90.0%" in warning.message
    assert "asked again a little otherwise" in warning.message
    assert load(rule.format(0.05)).warnings == ()


@pytest.mark.parametrize("name", ["twice", "no name!"])
def test_each_condition_is_looked_at_even_if_rules_have_one_name(name: str) -> None:
    rule = '  - {{name: "{}", verdict: allow, when: "{}"}}\n'
    text = "rules:\n" + "".join(rule.format(name, wrong) for wrong in ("argz.a", "toool", "agnt"))
    with pytest.raises(InvalidRequestError) as caught:
        load(text)
    told = " ".join(each["message"] for each in caught.value.errors)
    assert all(wrong in told for wrong in ("argz", "toool", "agnt"))


def test_loading_does_not_compare_rules_with_each_other_and_warning_compares_so_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared = 0

    def counted(one: str, other: str) -> bool:
        nonlocal compared
        compared += 1
        return fnmatchcase(one, other)

    monkeypatch.setattr(matching, "fnmatchcase", counted)
    monkeypatch.setattr(matching, "MOST_COMPARED", 1_000)
    rules = "".join(
        f"- {{name: r{n}, verdict: deny, match: {{tools: [{', '.join(f't{n}_{m}_*' for m in range(9))},"
        f" x{n}]}}}}\n"
        for n in range(60)
    )
    policy = load(f"rules:\n{rules}- {{name: last, verdict: ask, match: {{tools: x1}}}}\n")
    assert compared == 0
    warned = policy.warnings
    assert compared <= 1_000
    assert "not looked at" in warned[-1].message
