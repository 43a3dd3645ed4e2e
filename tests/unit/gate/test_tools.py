"""Functions as tools: what reviewers see of them, and what they are called with."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from doubles import Person, Says, edits, no, yes
from pydantic import BaseModel, Field

from sayso.domain.actions import RiskClass
from sayso.domain.approvals import ApprovalRequest
from sayso.errors import NotApprovedError, UsageError
from sayso.gate import Gate, LocalApprover
from sayso.policies import Effect

ASK = Effect.ASK


def gate(person: Person) -> Gate:
    return Gate(Says(ASK), person)


def test_reviewers_see_all_arguments_with_their_defaults() -> None:
    """hitloop 29: defaults were not shown."""
    person = Person(yes)

    @gate(person).tool(risk=RiskClass.HIGH, side_effects=["money moves"])
    def transfer(to: str, amount: float, currency: str = "EUR", *, urgent: bool = False) -> str:
        """Move money."""
        return f"{amount} {currency} to {to}"

    assert transfer("bob", amount=3.5) == "3.5 EUR to bob"
    action = person.asked[0].action
    assert action.tool_name == "transfer"
    assert action.tool_args == {"to": "bob", "amount": 3.5, "currency": "EUR", "urgent": False}
    assert action.risk_class is RiskClass.HIGH
    assert action.side_effects == ("money moves",)
    assert action.args_schema is not None
    assert action.args_schema["required"] == ["to", "amount"]
    assert action.args_schema["properties"]["amount"] == {"type": "number"}
    assert action.args_schema["additionalProperties"] is False


def test_the_tool_still_looks_like_the_function() -> None:
    @gate(Person(yes)).tool
    def transfer(to: str) -> str:
        """Move money."""
        return to

    assert transfer.__name__ == "transfer"
    assert transfer.__doc__ == "Move money."
    assert list(inspect.signature(transfer).parameters) == ["to"]


async def test_an_async_function_stays_one() -> None:
    """hitloop 29: an async function became a synchronous one."""

    @gate(Person(yes)).tool
    async def fetch(url: str) -> str:
        return f"got {url}"

    assert inspect.iscoroutinefunction(fetch)
    assert await fetch("https://example.com") == "got https://example.com"


@dataclass
class Payment:
    to: str
    on: date


def test_edits_are_typed_back_by_the_hints() -> None:
    seen: list[Any] = []

    @gate(Person(edits(payment={"to": "carol", "on": "2026-01-02"}, copies=[2, 3]))).tool
    def pay(payment: Payment, *copies: int) -> None:
        seen.append((payment, copies))

    pay(Payment("bob", date(2026, 1, 1)), 1)
    assert seen == [(Payment("carol", date(2026, 1, 2)), (2, 3))]


@pytest.mark.parametrize("args", [{}, {"n": "many"}, {"n": 1, "extra": 2}])
def test_an_edit_that_does_not_fit_does_not_run(args: dict[str, Any]) -> None:
    ran: list[int] = []

    @gate(Person(edits(**args))).tool(args_schema={"type": "object"})
    def repeat(n: int) -> None:
        ran.append(n)

    with pytest.raises(NotApprovedError, match="does not fit"):
        repeat(1)
    assert ran == []


def test_arguments_changed_while_people_decide_run_as_they_were_approved() -> None:
    """hitloop 5: arguments that were changed after the approval ran as changed."""
    given = {"to": ["alice"]}
    ran: list[Any] = []

    def agrees(request: ApprovalRequest) -> Any:
        given["to"].append("mallory")
        return yes(request)

    @gate(Person(agrees)).tool
    def send(mail: dict[str, list[str]]) -> None:
        ran.append(mail)

    send(given)
    assert ran == [{"to": ["alice"]}]


def test_hidden_arguments_are_passed_on_and_not_shown() -> None:
    person, connection = Person(yes), object()

    @gate(person).tool(hidden=["db"])
    def delete(db: object, record: str) -> bool:
        return db is connection

    assert delete(connection, "CUST001") is True
    assert person.asked[0].action.tool_args == {"record": "CUST001"}


def test_an_argument_that_cannot_be_shown_is_an_error_that_says_what_to_do() -> None:
    @gate(Person(yes)).tool
    def delete(db: object) -> None: ...

    with pytest.raises(UsageError, match="hidden"):
        delete(object())


def test_a_rejection_raises_or_is_told_to_the_model() -> None:
    def send(to: str) -> str:
        return to

    with pytest.raises(NotApprovedError, match="Not today"):
        gate(Person(no)).tool(send)("bob")
    told = gate(Person(no)).tool(on_reject="return")(send)("bob")
    assert "Not today" in told
    assert "was not approved" in told


async def test_message_preview_risk_and_key_may_depend_on_the_arguments() -> None:
    person = Person(yes)
    approver = LocalApprover(person)
    risky: Callable[..., str] = lambda amount, **_: "high" if amount > 10 else "low"  # noqa: E731

    @Gate(Says(ASK), approver).tool(
        name="pay",
        risk=risky,
        message=lambda amount, to: f"Pay {amount} to {to}?",
        preview=lambda amount, to: f"Balance after: {100 - amount}",
        key=lambda amount, to: f"pay:{to}:{amount}",
    )
    async def pay_somebody(amount: int, to: str = "bob") -> int:
        return amount

    assert await pay_somebody(20) == 20
    request = await approver.recall("pay:bob:20")
    assert request is not None
    assert request.action is not None
    assert request.message == "Pay 20 to bob?"
    assert request.action.risk_class is RiskClass.HIGH
    assert request.metadata["preview"] == "Balance after: 80"


def test_methods_can_be_tools() -> None:
    person = Person(yes)
    gated = gate(person)

    class Mailer:
        @gated.tool(hidden=["self"])
        def send(self, to: str) -> str:
            return f"{type(self).__name__} to {to}"

    assert Mailer().send("bob") == "Mailer to bob"
    assert person.asked[0].action.tool_args == {"to": "bob"}


@pytest.mark.parametrize("options", [{"riks": "high"}, {"hidden": ["nobody"]}, {"on_reject": "x"}])
def test_options_that_mean_nothing_are_errors_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):

        @gate(Person(yes)).tool(**options)
        def send(to: str) -> None: ...


class Item(BaseModel):
    sku: str
    amount: float = Field(alias="amt", default=1)


def test_models_paths_and_large_numbers_are_shown_and_read_back() -> None:
    seen: list[Any] = []
    person = Person(edits(items=[{"sku": "b", "amt": 6}], at="/tmp/x", user=7, one=None))

    @gate(person).tool
    def order(items: list[Item], at: Path, user: int, one: Item | None = None) -> None:
        seen.append((items, at, user, one))

    order([Item(sku="a", amt=5)], Path("/tmp/y"), 9007199254740993, Item(sku="c"))
    assert person.asked[0].action.tool_args == {
        "items": [{"sku": "a", "amt": 5.0}],
        "at": "/tmp/y",
        "user": "9007199254740993",
        "one": {"sku": "c", "amt": 1.0},
    }
    assert seen == [([Item(sku="b", amt=6)], Path("/tmp/x"), 7, None)]


def test_an_edit_that_the_tool_would_read_otherwise_does_not_run() -> None:
    ran: list[Any] = []

    @gate(Person(edits(items=[{"sku": "a", "amount": 6}]))).tool(args_schema={"type": "object"})
    def order(items: list[Item]) -> None:
        ran.append(items)

    with pytest.raises(NotApprovedError, match="something else"):
        order([Item(sku="a", amt=5)])
    assert ran == []


def test_two_arguments_of_one_name_are_an_error_and_hide_nothing() -> None:
    @gate(Person(yes)).tool
    def pay(amount: int, /, **more: int) -> int:
        return amount

    with pytest.raises(UsageError, match="Two arguments"):
        pay(5000, amount=1)
