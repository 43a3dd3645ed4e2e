"""The first rule that matches decides; what cannot be told has a person asked."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sayso.domain.actions import Action, RiskClass
from sayso.errors import InvalidRequestError
from sayso.policies import AllOf, Context, Effect, RiskBasedPolicy, judge
from sayso.policies.rules import load, run_cases
from sayso.policies.rules.expressions import MOST_CHARACTERS, compile_condition
from sayso.policies.rules.rule_set import MOST_VALUES

LOW, HIGH = RiskClass.LOW, RiskClass.HIGH


def call(tool: str = "pay", risk: RiskClass | None = LOW, **args: Any) -> Action:
    return Action(tool_name=tool, tool_args=args, risk_class=risk)


def policy_of(*rules: str, before: str = "") -> Any:
    return load(f"name: p\n{before}rules:\n" + "".join(f"  - {rule}\n" for rule in rules))


def said(policy: Any, action: Action, **context: Any) -> tuple[str, str]:
    verdict = policy.evaluate(action, Context(**context))
    return verdict.effect.value, verdict.rule


def test_the_first_rule_that_matches_decides() -> None:
    policy = policy_of(
        "{name: a, match: {tools: 'read_*'}, verdict: allow}",
        "{name: b, match: {tools: [read_secret, drop]}, verdict: deny}",
    )
    assert said(policy, call("read_secret")) == ("allow", "a")
    assert said(policy, call("drop")) == ("deny", "b")


def test_what_no_rule_matches_has_a_person_asked_unless_it_says_otherwise() -> None:
    verdict = policy_of("{name: a, match: {tools: x}, verdict: deny}").evaluate(call())
    assert (verdict.effect, verdict.rule, verdict.is_default) == (Effect.ASK, "", True)
    for effect in ("allow", "deny"):
        policy = policy_of(before=f"defaults: {{verdict: {effect}}}\n").evaluate(call())
        assert (policy.effect.value, policy.is_default) == (effect, True)


def test_every_verdict_names_its_rule() -> None:
    policy = policy_of("{name: a, verdict: deny, reason: Not today.}")
    assert policy.evaluate(call()).reason == "Rule 'a' of 'p': Not today."
    assert policy.evaluate(call()).policy == "p"


def test_a_rule_that_stops_knows_a_tool_in_any_spelling_and_one_that_lets_through_does_not() -> (
    None
):
    """hitloop 32."""
    policy = policy_of(
        "{name: never, match: {tools: drop_*}, verdict: deny}",
        "{name: reads, match: {tools: read_*}, verdict: allow}",
    )
    for tool in ("drop_db", "DROP_db", "\uff44rop_db", "dr\u200bop_db", "drop\U000e0100_db",
                 "drop\u2800_db", "drop\x00_db", "dr\u043ep_db", "DR\u041eP_db"):  # fmt: skip
        assert said(policy, call(tool)) == ("deny", "never")
    assert said(policy, call("read_file")) == ("allow", "reads")
    for tool in ("Read_file", "\uff52ead_file"):
        assert said(policy, call(tool)) == ("ask", "")


@pytest.mark.parametrize(
    "tool",
    ["read_us\u0435r", "r\u0435ad_user", "read_\uff55ser", "read_\u200buser", "read_user\x00",
     "read_\u0440\u043e\u0440", "read_user\u2010x", "re\u0301ad_x"],
)  # fmt: skip
def test_a_glob_lets_no_name_through_that_passes_for_another(tool: str) -> None:
    rules = "match: {tools: ['read_*', 're*', '\u0440*']}, verdict: allow"
    assert said(policy_of(f"{{name: reads, {rules}}}"), call(tool)) == ("ask", "")
    assert said(policy_of("{name: all, match: {tools: '*'}, verdict: allow}"), call(tool)) == (
        ("allow", "all")
    )
    literal = json.dumps(tool)
    named = policy_of(f"{{name: named, match: {{tools: [{literal}]}}, verdict: allow}}")
    assert said(named, call(tool)) == ("allow", "named")


def test_a_glob_lets_names_of_any_language_through() -> None:
    policy = policy_of("{name: all, match: {tools: ['*_x', 'x_*']}, verdict: allow}")
    for tool in ("r\u00e9ad_x", "\u043e\u0442\u043f\u0440\u0430\u0432\u0438\u0442\u044c_x",
                 "\u65e5\u672c\u8a9e_x", "x_Stra\u00dfe"):  # fmt: skip
        assert said(policy, call(tool)) == ("allow", "all")


@pytest.mark.parametrize(
    "value",
    [11, 9, -11, 10.5, "€ 1.000", "9", "five", "", True, None, [11], {"a": 11}, "1e400", "nan",
     "9" * 70, 2**53 - 1, 1e300],
)  # fmt: skip
@pytest.mark.parametrize("name", ["a", "odd name", "\u00e9"])
def test_an_amount_that_is_read_once_for_all_conditions_is_what_each_would_read(
    value: Any, name: str
) -> None:
    """Within a macro it is read by each call; by name, once for all."""
    action = call(**{name: value})
    for rest in ("> 10.0", "< 10.0", "!= 10.0", "> 10.0 || true", "> 10.0 && false"):
        once = f"has(args.a) && 1 < 0 || amount(args['{name}']) {rest} // amount(args.a)"
        each = f"[args['{name}']].exists(x, amount(x) {rest})"
        said_of = [
            policy_of(f"{{name: a, verdict: deny, when: {json.dumps(when)}}}").evaluate(action)
            for when in (once, each)
        ]
        assert said_of[0].effect is said_of[1].effect
        assert compile_condition(once).amounts == {name}


def test_an_amount_that_is_not_there_is_only_missed_where_it_is_looked_at() -> None:
    policy = policy_of("{name: a, verdict: deny, when: has(args.a) && amount(args.a) > 10.0}")
    assert said(policy, call()) == ("ask", "")
    assert said(policy, call(a=11)) == ("deny", "a")
    named = "args.l.exists(amount_of_61, amount(args.a) > amount_of_61)"
    policy = policy_of(f"{{name: a, verdict: deny, when: '{named}'}}")
    assert said(policy, call(a=11, l=[12.5])) == ("ask", "")
    assert said(policy, call(a=11, l=[9.5])) == ("deny", "a")


def test_a_condition_on_a_state_that_nobody_gave_is_evaluated() -> None:
    policy = policy_of("{name: a, when: '!has(state.x) && size(state) == 0', verdict: deny}")
    assert said(policy, call()) == ("deny", "a")


def test_an_action_of_unknown_risk_is_treated_as_of_high_risk() -> None:
    """hitloop 33."""
    policy = policy_of(
        "{name: low, match: {risk: low}, verdict: allow}",
        "{name: high, match: {risk: high}, verdict: deny}",
    )
    assert said(policy, call(risk=None)) == ("deny", "high")
    assert said(policy, call(risk=RiskClass.MEDIUM)) == ("ask", "")
    named = policy_of("{name: u, match: {risk: unknown}, verdict: deny}")
    assert said(named, call(risk=None)) == ("deny", "u")
    assert said(named, call(risk=HIGH)) == ("ask", "")


def test_what_lets_an_agent_through_does_not_believe_what_it_calls_itself() -> None:
    policy = policy_of(
        "{name: ours, match: {agents: trusted}, verdict: allow}",
        "{name: banned, match: {agents: rogue}, verdict: deny}",
    )
    assert said(policy, call(), client_id="trusted") == ("allow", "ours")
    assert said(policy, call(), client_id="trusted", asked_by="agent:7") == ("ask", "")
    assert said(policy, call(), asked_by="trusted", client_id="x") == ("allow", "ours")
    assert said(policy, call(), client_id="Rogue", asked_by="agent:7") == ("deny", "banned")


@pytest.mark.parametrize(
    ("pattern", "effect"),
    [
        (None, "deny"),  # any session: the name is the agent's own word
        ("*", "deny"),
        ("n*", "deny"),  # it could choose another one, too
        ("nightly-1", "allow"),
        ("nightly-*", "allow"),
    ],
)
def test_a_session_lets_through_only_whose_key_is_bound_to_it(
    pattern: str | None, effect: str
) -> None:
    policy = policy_of(
        "{name: night, match: {sessions: 'nightly-*'}, verdict: allow}",
        "{name: rest, verdict: deny}",
    )
    who: dict[str, Any] = {"asked_by": "agent:a", "session_id": "nightly-1"}
    assert said(policy, call(), **who, session_pattern=pattern)[0] == effect
    if effect == "deny":
        why = policy.explain(call(), Context(**who, session_pattern=pattern)).steps[0].why
        assert why == "the key of who asks is not bound to a session of: nightly-*"
    stops = policy_of("{name: night, match: {sessions: 'nightly-*'}, verdict: deny}")
    assert said(stops, call(), **who, session_pattern=pattern) == ("deny", "night")


def test_a_program_of_ones_own_says_itself_in_which_session_it_is() -> None:
    policy = policy_of("{name: night, match: {sessions: 'nightly-*'}, verdict: allow}")
    assert said(policy, call(), session_id="nightly-1") == ("allow", "night")
    assert said(policy, call(), session_id="daily") == ("ask", "")


def test_no_rule_is_called_idle_that_takes_the_sessions_nobody_is_bound_to() -> None:
    allow, deny = (
        f"{{name: {v}, match: {{sessions: s}}, verdict: {v}}}" for v in ("allow", "deny")
    )
    assert policy_of(allow, deny).warnings == ()
    assert len(policy_of(deny, allow).warnings) == 1


def test_sessions_and_tenants_are_matched() -> None:
    policy = policy_of("{name: a, match: {sessions: 's-*', tenants: acme}, verdict: deny}")
    assert said(policy, call(), session_id="s-1", tenant="acme") == ("deny", "a")
    assert said(policy, call(), session_id="s-1") == ("ask", "")
    assert said(policy, call(), tenant="acme") == ("ask", "")


@pytest.mark.parametrize(
    ("condition", "args", "holds"),
    [
        ("args.amount > 10", {"amount": 11}, True),
        ("args.amount > 10.5", {"amount": 11}, True),
        ("amount(args.amount) > 10.0", {"amount": "€ 1.000"}, True),
        ("amount(args.amount) > 10", {"amount": -11}, True),
        ("plain(args.to).endsWith('@evil.example')", {"to": "A@EVIL.example"}, True),
        ("mentions(args.to, '@Evil.example')", {"to": "A@\u0415VIL.ex\u200bample"}, True),
        (
            "mentions(args.to, '\u043f\u0430\u0440')",
            {"to": "\u041f\u0410\u0420\u041e\u041b\u042c"},
            True,
        ),
        ("mentions(args.to, '@evil.example')", {"to": "A@good.example"}, False),
        ("glob(args.path, '/tmp/*')", {"path": "/tmp/x"}, True),
        ("args['odd name'] == 1", {"odd name": 1}, True),
        ("has(args.to)", {}, False),
        ("has(args.to) && args.to == 'x'", {}, False),
        ("args.rows.exists(row, row.price > 5)", {"rows": [{"price": 6}]}, True),
        ("args.rows.all(row, row > 5)", {"rows": [6, 5]}, False),
        ("args.to.matches('^[a-z]+$')", {"to": "bob"}, True),
        ("size(args) == 2 && 'b' in args", {"a": 1, "b": 2}, True),
        ("tool == 'pay' && risk == 'low' && tenant == 'default'", {}, True),
        ("agent == 'agent:7' && client == 'c' && session == 's'", {}, True),
        ("run.rejections == 2 && run.id == 'r' && run.streak == 1", {}, True),
        ("state.mine == 3", {}, True),
        ("type(args.x) == string", {"x": "a"}, True),
    ],
)
def test_a_condition_looks_at_the_call_and_its_context(
    condition: str, args: dict[str, Any], holds: bool
) -> None:
    policy = policy_of(f'{{name: a, verdict: deny, when: "{condition}"}}')
    history = {"calls": 2, "approvals": 0, "rejections": 2, "denials": 0, "failures": 0}
    verdict = policy.evaluate(
        call(**args),
        Context(
            run_id="r",
            client_id="c",
            asked_by="agent:7",
            session_id="s",
            state={"mine": 3, "history": {**history, "tool": "x", "streak": 1}},
        ),
    )
    assert verdict.effect is (Effect.DENY if holds else Effect.ASK)
    assert (verdict.rule == "a") is holds


@pytest.mark.parametrize(
    ("condition", "args", "why"),
    [
        ("args.amount < 10", {}, "there is no 'amount'"),
        ("args.amount < 10", {"amount": "5"}, "another type"),
        ("args.amount < 10", {"amount": None}, "another type"),
        ("args.amount < 10", {"amount": [5]}, "another type"),
        ("amount(args.amount) < 10.0", {"amount": "five"}, "cannot be read"),
        ("amount(args.amount) != 10.0", {"amount": "nan"}, "cannot be read"),
        ("amount(args.amount) > 10.0 || true", {"amount": "x"}, "cannot be read"),
        ("plain(args.to) == 'x'", {"to": 3}, "plain"),
        ("mentions(args.to, 'x')", {"to": 3}, "mentions"),
        ("args.l[3] == 1", {"l": []}, "index out of bounds"),
        ("args.a / args.b == 1", {"a": 1, "b": 0}, "division by zero"),
        ("args.ok", {"ok": "yes"}, "it gives str"),
        ("state.mine == 1", {}, "there is no 'mine'"),
        ("args.rows.all(row, row.ok)", {"rows": [{}]}, "there is no 'ok'"),
    ],
)
def test_a_condition_that_fails_has_a_person_asked_and_names_its_rule(
    condition: str, args: dict[str, Any], why: str
) -> None:
    """hitloop 32: what cannot be read never passes for harmless."""
    policy = policy_of(
        f'{{name: cheap, verdict: allow, when: "{condition}"}}', "{name: rest, verdict: allow}"
    )
    verdict = policy.evaluate(call(**args))
    assert (verdict.effect, verdict.rule) == (Effect.ASK, "cheap")
    assert why in verdict.reason


def test_a_state_that_is_not_ours_has_a_person_asked() -> None:
    policy = policy_of("{name: a, verdict: allow, when: run.rejections < 3}")
    assert said(policy, call(), state={"history": "forged"}) == ("ask", "a")


def test_making_a_condition_fail_gets_nobody_more_than_the_rules_after_it_give() -> None:
    policy = policy_of(
        "{name: small, match: {tools: pay}, when: args.amount < 10, verdict: allow}",
        "{name: two, match: {tools: pay}, verdict: ask, approvals: 2, route: {groups: [board]}}",
    )
    verdict = policy.evaluate(call(amount="5,000"))
    assert verdict.effect is Effect.ASK
    assert verdict.review is not None
    assert (verdict.review.approvals, verdict.review.groups) == (2, ("board",))
    denied = policy_of(
        "{name: small, when: args.amount < 10, verdict: allow}", "{name: no, verdict: deny}"
    )
    assert said(denied, call(amount="5,000")) == ("deny", "no")


def test_a_failed_condition_keeps_the_review_that_its_own_rule_wants() -> None:
    policy = policy_of(
        "{name: large, when: args.amount > 10, verdict: ask, approvals: 3}",
        "{name: rest, verdict: allow}",
    )
    verdict = policy.evaluate(call(amount="5,000"))
    assert verdict.review is not None
    assert verdict.review.approvals == 3


def test_doubt_has_a_person_asked_where_the_default_would_deny_or_allow() -> None:
    for effect in ("deny", "allow"):
        policy = policy_of(
            "{name: a, when: args.amount < 10, verdict: allow}",
            before=f"defaults: {{verdict: {effect}}}\n",
        )
        assert said(policy, call()) == ("ask", "a")


def test_silence_never_approves_what_was_asked_in_doubt() -> None:
    policy = policy_of(
        "{name: a, match: {risk: low}, when: args.amount < 10, verdict: ask, silence: approve}",
        before="defaults: {silence: {low: approve}}\n",
    )
    assert policy.evaluate(call(amount=1)).on_timeout == "approve"
    assert policy.evaluate(call(amount="?")).on_timeout is None


def test_what_is_too_large_for_conditions_has_a_person_asked() -> None:
    policy = policy_of("{name: a, when: 'args.rows.all(x, x == 0)', verdict: allow}")
    assert said(policy, call(rows=[0] * 10)) == ("allow", "a")
    assert said(policy, call(rows=[0] * (MOST_VALUES + 1))) == ("ask", "a")
    assert said(policy, call(rows=["x" * 70_000])) == ("ask", "a")
    # What no condition looks at may be as large as it likes.
    other = policy_of("{name: a, when: args.amount < 10, verdict: allow}")
    assert said(other, call(amount=1, body="x" * 1_000_000)) == ("allow", "a")


def test_depth_breaks_nothing() -> None:
    deep: Any = 1
    for _ in range(200):
        deep = [deep]
    policy = policy_of("{name: a, when: args.x == 1, verdict: allow}")
    assert said(policy, call(x=deep)) == ("ask", "")


NESTED = "args.a.exists(x, x in args.b)"


@pytest.mark.parametrize(
    "condition",
    [
        " || ".join([NESTED] * 4),
        "args.a.exists(x, plain(args.t) == x)",
        "args.t.matches('[xy]*x[xy]{200}z')",
        "args.a.exists(x, x.matches('[^a]{90}'))",
        "[args.a, args.a, args.a].exists(x, x == args.b)",
        f"(args.a{' + args.a' * 9}).exists(x, args.b == x)",
    ],
)
def test_all_conditions_of_an_evaluation_share_a_number_of_steps_and_then_a_person_is_asked(
    condition: str,
) -> None:
    policy = policy_of(
        *(f'{{name: r{n}, verdict: deny, when: "{condition}"}}' for n in range(6)),
        "{name: cheap, when: args.n == 1, verdict: deny}",
    )
    few: dict[str, Any] = {"a": ["a"], "b": ["b"], "t": "xy", "n": 2}
    told = policy.explain(call(**few)).steps
    assert {step.outcome for step in told} == {"passed over"}
    many = {"a": [f"a{n}" for n in range(400)], "b": [f"b{n}" for n in range(400)]}
    told = policy.explain(call(**{**few, **many, "t": "xy" * 15_000})).steps
    assert told[5].outcome == "failed"
    assert told[5].why.startswith("there is too much to look at for what it does")
    assert told[6].outcome == "passed over"  # what takes little still counts
    verdict = policy.evaluate(call(**{**few, **many, "t": "xy" * 15_000}))
    assert verdict.effect is Effect.ASK


def test_a_policy_has_no_more_macros_and_regular_expressions_than_can_be_fast() -> None:
    for condition, count in ((NESTED, 101), ("args.x.matches('a')", 201)):
        with pytest.raises(InvalidRequestError, match="All conditions together have"):
            policy_of(*(f'{{name: r{n}, verdict: ask, when: "{condition}"}}' for n in range(count)))


def test_a_glob_of_the_agents_own_is_no_longer_than_one_that_is_written_out() -> None:
    policy = policy_of('{name: a, verdict: allow, when: "glob(args.x, args.y)"}')
    assert said(policy, call(x="abc", y="a*")) == ("allow", "a")
    assert said(policy, call(x="abc", y="*a" * 129)) == ("ask", "a")


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        (" || ".join([NESTED] * 60), "at most 4 macros"),
        (" || ".join(["args.x.matches('a')"] * 9), "at most 8 regular expressions"),
        (" || ".join(["args.x in args.y"] * 65), "at most 64 signs `in`"),
        ("size(args.x" + " + args.x" * 17 + ") > 1", "at most 16 signs `+`"),
        (r"args.x.matches(r'\\w{50}')", "too long to compile"),
        (r"args.x.matches('\\x5cw{50}')", "too long to compile"),
        (r"args.x.matches(r'([\\pL_]{6}){6}')", "too long to compile"),
        (r"args.x.matches(r'(?x) \\pL { 50 }')", "without `(?x)`"),
        ("args.x.map(y, y) == []", "'map' is not taken"),
        ("args.x.filter(y, true) == []", "'filter' is not taken"),
        ("args.x.all(a, args.y.exists(b, a == b))", "within another macro"),
        ("args.x.matches(args.y)", "written out"),
        ("args.x.matches('(')", "no regular expression"),
        ("args.x.all(args, true)", "The name 'args' is taken"),
        ("args.x.all(y, y > 1) && y > 1", "no variable 'y'"),
        ("args.x.exists(1, true)", "not CEL"),
        ("args.x.lowerAscii() == 'a'", "no function 'lowerAscii'"),
        ("lower(args.x) == 'a'", "no function 'lower'"),
        ("ammount(args.x) > 1.0", "Did you mean 'amount'?"),
        (".tool == 'x'", "without a dot"),
        ("true && .tool == 'x'", "without a dot"),
        ("cel.bind(x, 1, x > 0)", "no variable 'cel'"),
        ("tool", "it gives str"),
        ("1 + 1", "it gives int"),
        ("run.rejectons > 1", "Did you mean 'rejections'?"),
        ("(" * 100 + "true" + ")" * 100, "nested too deep"),
        ("true" + " || true" * 300, f"at most {MOST_CHARACTERS}"),
        ("args.x ==", "not CEL"),
    ],
)
def test_a_condition_that_cannot_work_or_might_take_long_is_refused(
    condition: str, why: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        load(f'rules: [{{name: a, verdict: deny, when: "{condition}"}}]')
    assert any(why in each["message"] for each in caught.value.errors), caught.value.errors


def test_names_in_texts_and_comments_of_a_condition_are_no_variables() -> None:
    policy = policy_of("{name: a, verdict: deny, when: \"args.x == 'map(wrng' // wrng\"}")
    assert said(policy, call(x="map(wrng")) == ("deny", "a")


def test_a_part_of_what_is_allowed_is_drawn_and_always_the_same_one() -> None:
    text = "name: p\nrules: [{name: a, verdict: allow, sample: 0.3}]\n"
    secret = b"sixteen bytes or more"
    one, other = load(text, secret=secret), load(text, secret=secret)
    calls = [call(n=n) for n in range(300)]
    asked = [one.evaluate(each).effect is Effect.ASK for each in calls]
    assert asked == [other.evaluate(each).effect is Effect.ASK for each in calls]
    assert 50 < sum(asked) < 140
    drawn = one.evaluate(calls[asked.index(True)])
    assert (drawn.rule, "drawn" in drawn.reason) == ("a", True)
    assert all(one.unsampled().evaluate(each).effect is Effect.ALLOW for each in calls)


def test_an_explanation_tells_of_each_rule_that_was_tried_and_why() -> None:
    policy = policy_of(
        "{name: a, match: {tools: x}, verdict: deny}",
        "{name: b, match: {risk: high}, verdict: deny}",
        "{name: c, match: {agents: z}, verdict: deny}",
        "{name: d, when: args.amount > 10, verdict: deny}",
        "{name: e, when: args.missing > 10, verdict: ask}",
        "{name: f, verdict: allow}",
        "{name: g, verdict: deny}",
    )
    told = policy.explain(call(amount=5))
    assert [(step.rule, step.outcome) for step in told.steps] == [
        ("a", "passed over"),
        ("b", "passed over"),
        ("c", "passed over"),
        ("d", "passed over"),
        ("e", "failed"),
        ("f", "matched"),
    ]
    assert [step.why for step in told.steps][:5] == [
        "the tool is none of: x",
        "the risk is low, not of: high",
        "the agent is none of: z",
        "false: args.amount > 10",
        "there is no 'missing': args.missing > 10",
    ]
    assert told.verdict == policy.evaluate(call(amount=5))


values = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.integers())
conditions = st.sampled_from(
    ["args.a > 1", "args.a == args.b", "has(args.b)", "amount(args.a) > 1.0", "args.a in args.b",
     "args.b.exists(x, x == args.a)", "risk == 'high'", "tool.startsWith('p')", "args.a"]
)  # fmt: skip
rules = st.builds(
    lambda tools, verdict, when, risk: (tools, verdict, when, risk),
    st.sampled_from(["pay", "p*", "read", "*"]),
    st.sampled_from(["allow", "ask", "deny"]),
    st.none() | conditions,
    st.sampled_from([None, "low", "high", "unknown"]),
)


@given(
    st.lists(rules, max_size=5),
    st.dictionaries(st.sampled_from(["a", "b", "c"]), values, max_size=3),
    st.sampled_from([None, *RiskClass]),
)
def test_it_is_pure_and_its_explanation_tells_the_same(
    drafted: list[Any], args: dict[str, Any], risk: RiskClass | None
) -> None:
    policy = policy_of(
        *(
            f"{{name: r{n}, verdict: {verdict}, match: {{tools: '{tools}'"
            + (f", risk: {of}" if of else "")
            + "}"
            + (f', when: "{when}"' if when else "")
            + "}"
            for n, (tools, verdict, when, of) in enumerate(drafted)
        )
    )
    try:
        action = call(risk=risk, **args)
    except InvalidRequestError:
        return  # an integer that JSON cannot hold
    verdict = policy.evaluate(action)
    assert policy.evaluate(action) == verdict
    assert policy.evaluate(call(risk=risk, **dict(reversed(args.items())))) == verdict
    told = policy.explain(action)
    assert told.verdict == verdict
    failed = [step for step in told.steps if step.outcome == "failed"]
    if failed:
        assert verdict.effect is not Effect.ALLOW
    elif told.steps and told.steps[-1].outcome == "matched":
        assert verdict.rule == told.steps[-1].rule
    else:
        assert verdict.is_default


def test_rules_and_other_policies_combine() -> None:
    both = AllOf(policy_of("{name: a, verdict: allow}"), RiskBasedPolicy())
    assert both.evaluate(call()).effect is Effect.ALLOW
    assert both.evaluate(call(risk=None)).effect is Effect.ASK
    assert judge(both, call()).because[0].rule == "a"


def test_the_tests_in_a_policy_are_run() -> None:
    policy = load(
        "name: p\nrules: [{name: a, match: {tools: pay}, when: args.amount > 10, verdict: ask,"
        " approvals: 2, route: {groups: [finance]}, silence: reject}]\n"
        "defaults: {verdict: allow}\n"
        "tests:\n"
        "- {name: large, tool: pay, args: {amount: 11}, expect: {verdict: ask, rule: a,"
        " approvals: 2, groups: [finance], silence: reject}}\n"
        "- {name: small, tool: pay, args: {amount: 1}, risk: low, expect: deny}\n"
        "- {name: other, tool: read, expect: {verdict: allow, rule: ''}}\n"
    )
    results = run_cases(policy)
    assert [result.passed for result in results] == [True, False, True]
    assert results[1].problems == ("verdict: allow, not deny",)
