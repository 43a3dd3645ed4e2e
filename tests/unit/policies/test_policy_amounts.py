"""No spelling of an amount is read as less than it is."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sayso.domain.actions import Action, RiskClass
from sayso.policies import Effect, RiskBasedPolicy
from sayso.policies.amounts import is_amount_name, magnitude

LIMIT = 1_000
POLICY = RiskBasedPolicy(max_amount_without_approval=LIMIT)


def asks(**args: Any) -> bool:
    action = Action(tool_name="pay", tool_args=args, risk_class=RiskClass.LOW)
    return POLICY.evaluate(action).effect is Effect.ASK


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("5,000", 5_000),
        ("5.000", 5_000),
        ("5.000,00", 5_000),
        ("1.234.567,8", 1_234_567.8),
        ("1,234,567.8", 1_234_567.8),
        ("$9999", 9_999),
        ("$ 9,999.50", 9_999.5),
        ("9999 €", 9_999),
        ("USD 5000", 5_000),
        ("5000 eur", 5_000),
        ("-5000", 5_000),
        ("\u22125000", 5_000),
        ("(5000)", 5_000),
        ("1e6", 1_000_000),
        ("1E6", 1_000_000),
        ("1.5e3", 1_500),
        ("1e999", float("inf")),
        ("5 000", 5_000),
        ("5\u202f000", 5_000),
        ("5'000", 5_000),
        ("5\u2019000", 5_000),
        ("5_000", 5_000),
        ("\uff15\uff10\uff10\uff10", 5_000),
        ("5\u200b000", 5_000),
        ("5,00", 500),
        ("12.50", 12.5),
        ("0.125", 0.125),
        (-5_000, 5_000),
        (12.5, 12.5),
    ],
)
def test_an_amount_is_read_and_what_could_be_two_is_the_larger(text: Any, size: float) -> None:
    assert magnitude(text) == size


@pytest.mark.parametrize(
    "text",
    ["nan", "inf", "-Infinity", "", " ", "five thousand", "5k", "5 mln", "0x1388", "1/2", "50%",
     "\u0665\u0660\u0660\u0660", ">5000", "1.5 million", "5000" * 20, True, None, float("nan"),
     {}, []],
)  # fmt: skip
def test_what_is_no_number_is_not_guessed(text: Any) -> None:
    assert magnitude(text) is None


@pytest.mark.parametrize(
    "args",
    [
        {"amount": "5,000"},
        {"amount": "$9999"},
        {"amount": "nan"},
        {"amount": "1e6"},
        {"amount": -5_000},
        {"amount": [5_000]},
        {"amount": [10, "5,000"]},
        {"payment": {"amount": 5_000}},
        {"steps": [{"pay": {"sum": 5_000}}]},
        {"Amount": 5_000},
        {"AMOUNT": 5_000},
        {"\uff41mount": 5_000},
        {"amo\u200bunt": 5_000},
        {"amount_usd": 5_000},
        {"amountUSD": 5_000},
        {"total_price": 5_000},
        {"orderTotal": 5_000},
        {"amount": {"units": "5000", "currency_code": "USD"}},
        {"amount": {"value": "five", "currency": "EUR"}},
        {"amount": {}},
        {"amount": []},
        {"amount": None},
        {"amount": True},
        {"amount": ""},
        {"amount": "[5000]"},
        {"order": '{"amount": 5000}'},
        {"order": ' {"lines": [{"price": "5,000"}]}'},
        {"amount": {"currency": "5000 USD"}},
        {"am\U000e0100ount": 5_000},
        {"\u0430mount": 5_000},
        {"usd": 5_000},
        {"EUR": "5000"},
        {"money": 5_000},
        {"deposit": 5_000},
        {"initialDeposit": 5_000},
        {"refund": 5_000},
        {"refund_usd": 5_000},
        {"tips": [5_000]},
        {"fee": 5_000},
        {"feeCents": 500_000},
        {"max_budget": 5_000},
        {"BUDGET_2026": 5_000},
        {"monthly-salary": 5_000},
    ],
)
def test_an_amount_above_the_limit_is_asked_about_however_it_is_sent(args: dict[str, Any]) -> None:
    """hitloop 32."""
    assert asks(**args)


@pytest.mark.parametrize(
    "args",
    [
        {"amount": 1_000},
        {"amount": "999.99"},
        {"amount": {"value": 50, "currency": "EUR"}},
        {"amount": {"value": 50, "currency": "€"}},
        {"payment": [{"amount": "$ 10"}, {"amount": 20}]},
        {"note": "5,000 words", "evaluation": "5000"},
        {"refund_reason": "damaged", "deposit_account": "DE12", "budget_id": 5_001},
        {"try": 5_000, "max_try": 5_000, "cad": "house.dwg", "euros_left": True},
        {},
    ],
)
def test_a_small_amount_passes(args: dict[str, Any]) -> None:
    assert not asks(**args)


def test_names_of_amounts_can_be_told() -> None:
    policy = RiskBasedPolicy(max_amount_without_approval=LIMIT, amount_args=["Credits"])
    low = RiskClass.LOW
    spends = Action(tool_name="spend", tool_args={"credits": 5_000}, risk_class=low)
    other = Action(tool_name="spend", tool_args={"price_id": "p_1"}, risk_class=low)
    assert policy.evaluate(spends).effect is Effect.ASK
    assert policy.evaluate(other).effect is Effect.ALLOW
    assert is_amount_name("price_id")


amounts_above = st.decimals(
    min_value=Decimal("1000.01"), max_value=Decimal(10**12), places=2, allow_nan=False
)
groupings = st.sampled_from(["", ",", " ", "'", "_", "\u202f", "\u2019"])
around = st.sampled_from(["{}", "${}", "{} €", "USD {}", "-{}", "({})", " {} ", "£{}", "+{}"])
containers = st.sampled_from(
    [
        lambda value: {"amount": value},
        lambda value: {"Total": [value]},
        lambda value: {"order": {"price_usd": {"value": value, "currency": "USD"}}},
        lambda value: {"items": [{"cost": 1}, {"COST": value}]},
    ]
)


@given(amounts_above, groupings, around, containers, st.booleans())
def test_no_spelling_of_an_amount_above_the_limit_passes(
    amount: Decimal, grouping: str, frame: str, contain: Any, comma: bool
) -> None:
    """hitloop 32."""
    text = f"{amount:,.2f}".replace(",", "G").replace(".", "D")
    point = "," if comma and grouping != "," else "."
    written = frame.format(text.replace("G", grouping).replace("D", point))
    assert asks(**contain(written)), written


@given(st.text(max_size=20))
def test_no_text_is_read_as_less_than_python_reads_it(text: str) -> None:
    try:
        number = abs(float(text))
    except ValueError:
        return
    size = magnitude(text)
    assert size is None or size >= number
