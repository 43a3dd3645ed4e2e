"""Errors put in on purpose: known, real, and not to be told by anything but themselves."""

import math
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


def test_without_wanted_types_it_is_what_the_arguments_offer_else_any_that_fits() -> None:
    offered = {inject(PAYMENT, Random(seed)).injection_type for seed in range(50)}
    assert offered == {InjectionType.WRONG_RECORD_ID, InjectionType.WRONG_AMOUNT}
    plain = Action(tool_name="restart", tool_args={"host": "a"})
    anything = {inject(plain, Random(seed)).injection_type for seed in range(100)}
    assert anything == {
        InjectionType.INVALID_TOOL,
        InjectionType.SENSITIVE_DATA,
        InjectionType.MALFORMED_ARGS,
    }


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
