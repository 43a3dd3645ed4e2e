"""What a policy costs: one evaluation of each built-in one, and of rules as data.

`python -m bench.policies` prints microseconds. `measure` gives them to other measurements.
"""

import random
import time
import timeit
from collections.abc import Callable

from sayso.domain.actions import Action, RiskClass
from sayso.domain.decisions import Channel, Decision
from sayso.policies import (
    AlwaysApprovePolicy,
    AuditPlusEscalatePolicy,
    Context,
    Policy,
    RiskBasedPolicy,
)
from sayso.policies.history import after_decision
from sayso.policies.rules import load

RULES = 100
_ACTION = Action(
    tool_name="send_email",
    tool_args={
        "to": "bob@example.com",
        "subject": "Hi there",
        "amount": 50,
        "body": "Hello. " * 30,
    },
    risk_class=RiskClass.LOW,
)
_SECRET = b"only to measure with"


def measure(seconds: float = 0.2) -> dict[str, float]:
    """Microseconds of the processor for one evaluation, by what is evaluated: the best of five."""
    state = after_decision({}, _ACTION, Decision(approved=True, channel=Channel.POLICY))
    context = Context(run_id="run", state=state)
    return {
        name: _best(lambda policy=policy: policy.evaluate(_ACTION, context), seconds / 5)
        for name, policy in policies().items()
    }


def policies() -> dict[str, Policy]:
    """What is measured, by name; each lets the action through in the end."""
    return {
        "always approve": AlwaysApprovePolicy(),
        "risk based": RiskBasedPolicy(high_risk_tools=["delete_record", "transfer_money"]),
        "risk based, with amounts and patterns": RiskBasedPolicy(
            high_risk_tools=["delete_record"],
            sensitive_arg_patterns={"to": ["@evil.example"]},
            max_amount_without_approval=1_000,
        ),
        "audit plus escalate": AuditPlusEscalatePolicy(
            audit_sample_rate=1e-12, anomaly_signals=["unusual_recipient"], secret=_SECRET
        ),
        f"{RULES} rules, one for the tool": load(_one_for_the_tool()),
        f"{RULES} rules, all conditions evaluated": load(_all_conditions("args.amount > {}")),
        f"{RULES} rules, two comparisons in each": load(
            _all_conditions("args.amount > {} && args.to.endsWith('@example.com')")
        ),
        f"{RULES} rules, amount() in each": load(_all_conditions("amount(args.amount) > {}.0")),
    }


def _one_for_the_tool() -> str:
    rules = [f"  - {{name: r{n}, match: {{tools: tool_{n}}}, when: args.x > 1, verdict: ask}}\n"
             for n in range(RULES - 1)]  # fmt: skip
    last = "  - {name: last, match: {tools: send_*}, when: args.amount < 100, verdict: allow}\n"
    return f"name: one\nrules:\n{''.join(rules)}{last}"


def _all_conditions(condition: str, count: int = RULES) -> str:
    rules = [f'  - {{name: r{n}, when: "{condition.format(n + 1000)}", verdict: ask}}\n'
             for n in range(count)]  # fmt: skip
    return f"name: all\ndefaults: {{verdict: allow}}\nrules:\n{''.join(rules)}"


def _best(call: Callable[[], object], seconds: float) -> float:
    timer = timeit.Timer(call, timer=time.process_time)  # what others do meanwhile is left out
    once = max(timer.timeit(100) / 100, 1e-8)
    number = max(10, int(seconds / once))
    return min(timer.repeat(5, number)) / number * 1e6


def measure_worst() -> dict[str, float]:
    """Milliseconds of the processor for one evaluation that is made to take as long as it may.

    Of each condition there are as many rules as are taken; of inputs of several sizes it is the
    one that takes longest.
    """
    letters = "".join(random.Random(1).choices("xy", k=60_000))
    found: dict[str, float] = {}
    for name, (condition, count) in _SLOW.items():
        policy = load(_all_conditions(condition.replace("{", "{{").replace("}", "}}"), count))
        found[name] = max(
            _once(policy, round(part * 480), letters[: round(part * 60_000)])
            for part in (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1)
        )
    return found


_SLOW = {
    "lists within lists": (" || ".join(["args.a.exists(x, x in args.b)"] * 4), 25),
    "lists put together": (f"size({' + '.join(['args.a'] * 17)}) < 0", 1_000),
    "regular expressions": ("args.text.matches('[xy]*x[xy]{20}z')", 200),
    "texts in another Unicode form": ("plain(args.odd) == 'x'", 1_000),
    "amounts in lists": ("args.a.exists(x, amount(x) < 0.0)", 100),
}


def _once(policy: Policy, elements: int, letters: str) -> float:
    args = {
        "a": [f"{n}.5" for n in range(elements)],
        "b": [f"{n}.6" for n in range(elements)],
        "text": letters,
        "odd": letters.replace("x", "\u00e9"),
    }
    action = Action(tool_name="pay", tool_args=args)
    timer = timeit.Timer(lambda: policy.evaluate(action), timer=time.process_time)
    return min(timer.repeat(3, 1)) * 1e3


def main() -> None:
    """Print the tables."""
    for name, microseconds in measure().items():
        print(f"{name:<45}{microseconds:>9.2f} us")
    for name, milliseconds in measure_worst().items():
        print(f"{'at most: ' + name:<45}{milliseconds:>9.2f} ms")


if __name__ == "__main__":
    main()
