"""Errors put in on purpose: known, real, and not to be told by anything but themselves."""

import math
import re
from decimal import Decimal
from random import Random
from typing import Any

import msgspec
import pytest

from sayso import Action, RiskClass
from sayso.lab import ErrorInjector, InjectionConfig, InjectionType
from sayso.lab.injection import inject

EMAIL = Action(
    id="call-1",
    tool_name="send_email",
    tool_args={"recipient": "alice@example.com", "subject": "Hi", "body": "Hello"},
    risk_class=RiskClass.MEDIUM,
    side_effects=("email_sent",),
    rationale="She asked for it",
    context_refs=("task",),
)
PAYMENT = Action(tool_name="pay", tool_args={"amount": 120, "account_id": "AC-17"})
ALWAYS = InjectionConfig(injection_rate=1.0)


def always(kind: InjectionType) -> InjectionConfig:
    return InjectionConfig(injection_rate=1.0, injection_types=[kind])


@pytest.mark.parametrize("kind", InjectionType)
def test_whatever_is_injected_nothing_but_the_fault_itself_is_changed(kind: InjectionType) -> None:
    """hitloop 43: injected actions were HIGH, with the side effect "INJECTED_ERROR"."""
    for action in (EMAIL, PAYMENT):
        for seed in range(50):
            made = inject(action, Random(seed), (kind,))
            if not made.injected:
                continue
            wrong = made.action
            same = {"tool_name", "tool_args", "digest"}
            kept = [name for name in msgspec.structs.asdict(action) if name not in same]
            assert all(getattr(wrong, name) == getattr(action, name) for name in kept)
            assert wrong.digest != action.digest
            assert (
                wrong.digest == Action(tool_name=wrong.tool_name, tool_args=wrong.tool_args).digest
            )
            text = f"{wrong.tool_name} {wrong.tool_args}".lower()
            assert not [word for word in ("inject", "error", "evil", "hack") if word in text]
            assert not any(name.startswith("_") for name in wrong.tool_args)


def test_a_wrong_person_and_a_wrong_record_look_as_the_right_ones_do() -> None:
    injector = ErrorInjector(ALWAYS, seed=1)
    for _ in range(100):
        wrong = injector.maybe_inject(EMAIL)
        assert wrong.injection_type is InjectionType.WRONG_RECIPIENT
        name, _, place = wrong.action.tool_args["recipient"].partition("@")
        assert (name.isalpha() and name.islower(), place) == (True, "example.com")
        assert wrong.injection_details["original_recipient"] == "alice@example.com"
        record = inject(PAYMENT, Random(7), (InjectionType.WRONG_RECORD_ID,)).action
        assert record.tool_args["account_id"][:4] == "AC-1"
        assert len(record.tool_args["account_id"]) == len("AC-17")


NOT_FITTING: list[tuple[InjectionType, dict[str, Any]]] = [
    (InjectionType.WRONG_RECIPIENT, {}),
    (InjectionType.WRONG_RECIPIENT, {"recipient": ""}),
    (InjectionType.WRONG_RECIPIENT, {"recipient": 7}),
    (InjectionType.WRONG_RECORD_ID, {"name": "x"}),
    (InjectionType.WRONG_RECORD_ID, {"id": "--"}),
    (InjectionType.WRONG_RECORD_ID, {"id": True}),
    (InjectionType.WRONG_AMOUNT, {"count": 3}),
    (InjectionType.WRONG_AMOUNT, {"amount": "three"}),
    (InjectionType.WRONG_AMOUNT, {"amount": True}),
    (InjectionType.MALFORMED_ARGS, {}),
]


@pytest.mark.parametrize(("kind", "args"), NOT_FITTING)
def test_what_does_not_fit_an_action_leaves_it_as_it_is_and_says_so(
    kind: InjectionType, args: dict[str, Any]
) -> None:
    """hitloop 44: it said injected=True with nothing changed, or put in an argument of its own."""
    injector = ErrorInjector(always(kind))
    action = Action(tool_name="tool", tool_args=args)
    result = injector.maybe_inject(action)
    assert (result.injected, result.modified_action, result.action) == (False, None, action)
    assert injector.get_stats() == {
        "total_actions": 1,
        "injected_count": 0,
        "actual_rate": 0.0,
        "configured_rate": 1.0,
        "not_fitting_count": 1,
    }


@pytest.mark.parametrize("amount", [0, 0.0, -5, 0.01, 2**52, 1 - 2**53, 1e300, 5e-324])
def test_an_amount_is_another_one_however_small_or_large_it_is(amount: float) -> None:
    """hitloop 44: an amount of 0, multiplied, was 0 again."""
    for seed in range(20):
        action = Action(tool_name="pay", tool_args={"amount": amount})
        result = inject(action, Random(seed), (InjectionType.WRONG_AMOUNT,))
        assert result.injected
        assert result.action.tool_args["amount"] != amount
        assert math.isfinite(result.action.tool_args["amount"])


def test_another_name_for_the_recipient_is_found_and_no_argument_is_made_up() -> None:
    """hitloop 44: WRONG_RECIPIENT on a tool with `to` added an argument `recipient`."""
    kind = (InjectionType.WRONG_RECIPIENT,)
    for args in ({"to": "bob@example.com"}, {"recipients": ["bob@example.com", "x@y.z"]}):
        wrong = inject(Action(tool_name="send", tool_args=args), Random(1), kind).action.tool_args
        assert set(wrong) == set(args)
        assert wrong != args
    assert inject(Action(tool_name="send", tool_args={"to": "Bob"}), Random(1), kind).injected


def test_without_wanted_types_it_is_what_the_arguments_offer_and_never_another_type() -> None:
    offered = {inject(PAYMENT, Random(seed)).injection_type for seed in range(50)}
    assert offered == {InjectionType.WRONG_RECORD_ID, InjectionType.WRONG_AMOUNT}
    plain = Action(tool_name="restart", tool_args={"host": "a"})
    assert not any(inject(plain, Random(seed)).injected for seed in range(50))
    every = tuple(InjectionType)
    assert {inject(plain, Random(seed), every).injection_type for seed in range(100)} == {
        InjectionType.INVALID_TOOL,
        InjectionType.SENSITIVE_DATA,
        InjectionType.MALFORMED_ARGS,
    }


PERSON = "(alice|bob|carol|dave|eve)"
SURNAME = "(meyer|ortiz|stone|novak|rossi|larsen|khan|dubois)"


@pytest.mark.parametrize(
    ("right", "shape"),
    [
        ("k.meyer@acme.com", rf"[abcde]\.{SURNAME}@acme\.com"),
        ("bob+work@acme.com", rf"{PERSON}\+work@acme\.com"),
        ("user4711@acme.com", r"user471[0-9]@acme\.com"),
        ("BOB@X.DE", "[A-Z]+@X.DE"),
        ("Bob Stone", "[A-Z][a-z]+ [A-Z][a-z]+"),
        ("Stone, Bob", f"(?i:{SURNAME}, {PERSON})"),
        ("Dr. Anna Meier <a.meier@x.de>", r"Dr\. [A-Z][a-z]+ [A-Z][a-z]+ <[abcde]\.[a-z]+@x\.de>"),
        ("+49 171 555 0100", r"\+49 171 555 010[0-9]"),
        ("12 High Street", r"1[0-9] High Street"),
        ("#general", "#[a-z]+"),
        ("@bob", "@[a-z]+"),
    ],
)
def test_a_wrong_recipient_has_the_shape_of_the_right_one(right: str, shape: str) -> None:
    kind = (InjectionType.WRONG_RECIPIENT,)
    for seed in range(40):
        one = inject(Action(tool_name="send", tool_args={"to": right}), Random(seed), kind).action
        assert one.tool_args["to"] != right
        assert re.fullmatch(shape, one.tool_args["to"]), one.tool_args
        both = Action(tool_name="send", tool_args={"to": ["eve@y.z", right]})
        other, last = inject(both, Random(seed), kind).action.tool_args["to"]
        assert (other == "eve@y.z") != (last == right), "one of them is another one"


def test_a_list_of_all_whom_we_know_has_nobody_twice() -> None:
    everybody = [f"{name}@x" for name in ("alice", "bob", "carol", "dave", "eve")]
    action = Action(tool_name="send", tool_args={"recipients": everybody})
    assert not inject(action, Random(1), (InjectionType.WRONG_RECIPIENT,)).injected


@pytest.mark.parametrize("right", ["19.99", "EUR 19.99", "1200 USD", 1834.57, 19, "$0.50"])
def test_a_wrong_amount_is_larger_or_smaller_with_as_many_decimals(right: Any) -> None:
    def number(value: Any) -> Decimal:
        return Decimal(re.sub(r"[^0-9.]", "", str(value)))

    seen: set[Decimal] = set()
    for seed in range(60):
        action = Action(tool_name="pay", tool_args={"order": {"price": right}, "n": 1})
        wrong = inject(action, Random(seed), (InjectionType.WRONG_AMOUNT,))
        other = wrong.action.tool_args["order"]["price"]
        assert type(other) is type(right)
        if isinstance(right, str):
            assert re.sub("[0-9]+", "9", other) == re.sub("[0-9]+", "9", right)
        assert -number(other).as_tuple().exponent <= -number(right).as_tuple().exponent or (
            other == int(other)
        )
        assert wrong.injection_details["argument"] == "order.price"
        seen.add(number(other) / number(right))
    assert {2, 10, 100} < seen
    assert any(factor < 1 for factor in seen)


def test_a_scenario_may_offer_wrong_values_of_its_own() -> None:
    def other(name: str, value: Any, random: Random) -> Any:
        return random.choice(("DE02", "DE03")) if name == "payee.account_id" else None

    injector = ErrorInjector(ALWAYS, seed=1, other_value=other)
    paying = Action(tool_name="pay", tool_args={"payee": {"account_id": "DE01", "name": "A"}})
    wrong = [injector.maybe_inject(paying).action.tool_args["payee"] for _ in range(20)]
    assert {each["account_id"] for each in wrong} == {"DE02", "DE03"}
    assert {each["name"] for each in wrong} == {"A"}
    assert injector.maybe_inject(PAYMENT).injected, "what it leaves is made as ever"


def test_the_same_seed_makes_the_same_choices_and_a_higher_rate_hits_the_same_and_more() -> None:
    """hitloop 47."""

    def hit(rate: float, seed: int) -> list[bool]:
        injector = ErrorInjector(InjectionConfig(injection_rate=rate, seed=seed))
        return [injector.maybe_inject(EMAIL).injected for _ in range(1)]

    few = [hit(0.2, seed) for seed in range(500)]
    many = [hit(0.6, seed) for seed in range(500)]
    assert few == [hit(0.2, seed) for seed in range(500)]
    assert all(more >= less for less, more in zip(few, many, strict=True))
    assert 60 <= sum(map(sum, few)) <= 140
    one, other = (ErrorInjector(ALWAYS, seed="s") for _ in range(2))
    assert [one.maybe_inject(EMAIL) for _ in range(9)] == [
        other.maybe_inject(EMAIL) for _ in range(9)
    ]


@pytest.mark.parametrize("rate", [-0.1, 1.1, math.nan, math.inf])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match=r"injection_rate must be between 0\.0 and 1\.0"):
        InjectionConfig(injection_rate=rate)
    with pytest.raises(ValueError, match="typo"):
        InjectionConfig(injection_types=["typo"])  # type: ignore[list-item]
