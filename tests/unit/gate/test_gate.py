"""The road of one action, walked with and without an event loop."""

import asyncio
import threading
from typing import Any

import msgspec
import pytest
from doubles import Heard, Person, Says, edits, no, yes

from sayso.domain.actions import Action
from sayso.domain.decisions import Channel, Decision, DecisionType
from sayso.domain.rules import Rule
from sayso.errors import (
    ConfigurationError,
    InvalidAnswerError,
    InvalidTransitionError,
    NotApprovedError,
    UsageError,
)
from sayso.gate import ApprovalError, Gate, LocalApprover
from sayso.policies import Context, Effect, HITLPolicy, Policy, State, Verdict
from sayso.policies.base import NO_CONTEXT

SEND = Action(tool_name="send_email", tool_args={"to": "alice@example.com", "n": 1})
ALLOW, ASK, DENY = Effect.ALLOW, Effect.ASK, Effect.DENY


class Outbox:
    """A tool with a side effect."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def send(self, **args: Any) -> str:
        self.sent.append(args)
        return f"sent to {args['to']}"

    async def send_async(self, **args: Any) -> str:
        await asyncio.sleep(0)
        return self.send(**args)


async def test_what_is_allowed_runs_and_nobody_is_asked() -> None:
    outbox, person, policy = Outbox(), Person(no), Says(ALLOW)
    assert await Gate(policy, person).run(SEND, outbox.send_async) == "sent to alice@example.com"
    assert outbox.sent == [SEND.tool_args]
    assert person.asked == []
    assert (policy.decisions, policy.successes) == ([True], [True])


async def test_whoever_is_asked_is_told_why() -> None:
    person = Person(yes)
    await Gate(Says(ASK, rule="large"), person).run(SEND, Outbox().send, message="Send it?")
    asked = person.asked[0]
    assert (asked.policy_name, asked.policy_reason) == ("says, rule large", "because")
    assert asked.summary_context == "Send it?"


async def test_what_is_denied_does_not_run_and_nobody_is_asked() -> None:
    outbox, person = Outbox(), Person(yes)
    with pytest.raises(NotApprovedError, match="because") as caught:
        await Gate(Says(DENY), person).run(SEND, outbox.send)
    assert caught.value.reason_code == "denied"
    assert outbox.sent == []
    assert person.asked == []


async def test_what_is_approved_runs_once_and_is_told_in_order() -> None:
    outbox, heard = Outbox(), Heard()
    gate = Gate(Says(ASK), Person(yes), telemetry=heard, session_id="run-1")
    assert await gate.run(SEND, outbox.send) == "sent to alice@example.com"
    assert heard.events == [
        "proposed", "requested", "decided", f"start {SEND.tool_args}", "end",
    ]  # fmt: skip
    assert heard.run_ids == {"run-1"}
    assert heard.decisions[0].decided_by == "alice"
    assert heard.results[0].execution_time_ms() is not None


@pytest.mark.parametrize("way", ["async", "sync"])
def test_what_is_rejected_does_not_run_and_the_reason_is_told(way: str) -> None:
    outbox, gate = Outbox(), Gate(Says(ASK), Person(no))
    walk = gate.run_sync if way == "sync" else lambda *args: asyncio.run(gate.run(*args))
    with pytest.raises(NotApprovedError, match="Not today"):
        walk(SEND, outbox.send)
    assert outbox.sent == []


async def test_an_edit_is_what_runs_and_what_is_told() -> None:
    """hitloop 2: the edit was thrown away, and the original ran."""
    outbox, heard, policy = Outbox(), Heard(), Says(ASK)
    gate = Gate(policy, Person(edits(to="bob@example.com", n=2)), telemetry=heard)
    assert await gate.run(SEND, outbox.send) == "sent to bob@example.com"
    assert outbox.sent == [{"to": "bob@example.com", "n": 2}]
    assert "start {'to': 'bob@example.com', 'n': 2}" in heard.events
    assert policy.asked == 2, "what was edited is judged again"


async def test_an_edit_that_the_policy_denies_does_not_run() -> None:
    outbox = Outbox()
    gate = Gate(Says(ASK, DENY), Person(edits(to="evil@example.com")))
    with pytest.raises(NotApprovedError, match="does not let it run"):
        await gate.run(SEND, outbox.send)
    assert outbox.sent == []


async def test_an_edit_that_does_not_fit_the_tool_approves_nothing() -> None:
    """hitloop 3: a malformed edit approved the original."""
    outbox = Outbox()
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    action = Action(tool_name="send_email", tool_args={"to": "a", "n": 1}, args_schema=schema)
    with pytest.raises(InvalidAnswerError):
        await Gate(Says(ASK), Person(edits(to="a", n="many"))).run(action, outbox.send)
    assert outbox.sent == []


@pytest.mark.parametrize("said", ["edit", "approve", DecisionType.APPROVE])
async def test_an_edit_by_any_word_is_what_runs(said: Any) -> None:
    """hitloop 3: told by a plain word, it ran the original."""
    outbox, changed = Outbox(), {"to": "bob@example.com"}
    answers = (
        lambda _: Decision(approved=True, type=said, args=changed),
        lambda _: msgspec.structs.replace(Decision(approved=True, args=changed), type=said),
    )
    for answer in answers:
        await Gate(Says(ASK), Person(answer)).run(SEND, outbox.send)
    assert [sent["to"] for sent in outbox.sent] == ["bob@example.com"] * 2


async def test_a_decision_of_a_type_that_there_is_not_is_none() -> None:
    with pytest.raises(ValueError, match="maybe"):
        Decision(approved=True, type="maybe")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("approved", ["false", "true", 1, None, [True]])
async def test_nothing_but_true_is_a_yes(approved: Any) -> None:
    outbox = Outbox()
    gate = Gate(Says(ASK), Person(lambda _: Decision(approved=approved)))
    with pytest.raises(NotApprovedError):
        await gate.run(SEND, outbox.send)
    assert outbox.sent == []


@pytest.mark.parametrize("answer", [True, None, {"approved": True}, "yes"])
async def test_an_answer_that_is_no_decision_approves_nothing(answer: Any) -> None:
    outbox = Outbox()
    with pytest.raises(ApprovalError, match="not with a Decision"):
        await Gate(Says(ASK), Person(lambda _: answer)).run(SEND, outbox.send)
    assert outbox.sent == []


async def test_a_decision_about_another_call_approves_nothing() -> None:
    """hitloop 5: an approval was bound to nothing."""
    outbox = Outbox()
    other = Action(tool_name="send_email", tool_args={"to": "mallory@example.com"})
    for decision in (
        Decision(approved=True, action_id=other.id),
        Decision(approved=True, digest=other.digest),
    ):
        with pytest.raises(ApprovalError, match="about"):
            await Gate(Says(ASK), Person(lambda _, said=decision: said)).run(SEND, outbox.send)
    assert outbox.sent == []


async def test_a_backend_that_fails_is_an_error_and_not_a_rejection() -> None:
    def fails(_: Any) -> Decision:
        raise ApprovalError("the chat is down")

    outbox, policy = Outbox(), Says(ASK)
    with pytest.raises(ApprovalError, match="the chat is down"):
        await Gate(policy, Person(fails)).run(SEND, outbox.send)
    assert outbox.sent == []
    assert policy.decisions == []


@pytest.mark.parametrize("said", [None, True, ("ask", "why"), "allow"])
async def test_a_policy_that_says_nothing_sensible_has_somebody_asked(said: Any) -> None:
    class Odd(Says):
        def evaluate(self, action: Action, context: Context = NO_CONTEXT) -> Verdict:
            return said

    outbox, person = Outbox(), Person(no)
    with pytest.raises(NotApprovedError):
        await Gate(Odd(ALLOW), person).run(SEND, outbox.send)
    assert len(person.asked) == 1


async def test_a_policy_that_raises_has_somebody_asked() -> None:
    class Broken(HITLPolicy):
        @property
        def name(self) -> str:
            return "broken"

        def should_request_approval(self, action: Action, state: State) -> tuple[bool, str]:
            raise AttributeError("critical_tools")

    person = Person(yes)
    gate = Gate(Broken(), person)
    assert "critical_tools" in gate.check(SEND).reason
    await gate.run(SEND, Outbox().send)
    assert len(person.asked) == 1


async def test_a_rule_that_one_backend_cannot_fulfil_is_an_error() -> None:
    outbox = Outbox()
    gate = Gate(Says(ASK, review=Rule(approvals=2)), Person(yes))
    with pytest.raises(ConfigurationError, match="2 approvals"):
        await gate.run(SEND, outbox.send)
    assert outbox.sent == []


async def test_a_tool_that_fails_raises_its_own_error_and_is_told_as_failed() -> None:
    def fails(**_: Any) -> None:
        raise OSError("no route to host")

    heard, policy = Heard(), Says(ASK)
    approver = LocalApprover(Person(yes))
    with pytest.raises(OSError, match="no route"):
        await Gate(policy, approver, telemetry=heard).run(SEND, fails, key="k")
    assert policy.successes == [False]
    assert (heard.results[0].success, heard.results[0].error_class) == (False, "OSError")
    request = await approver.recall("k")
    assert request is not None
    assert request.outcome is not None
    assert request.outcome.status == "failed"


async def test_changed_facts_have_people_asked_again() -> None:
    balance = iter([100, 40, 40, 40])
    outbox, person = Outbox(), Person(yes)
    gate = Gate(Says(ASK), person)
    await gate.run(SEND, outbox.send, facts=lambda: {"balance": next(balance)})
    assert len(person.asked) == 2
    assert len(outbox.sent) == 1


class TestKeys:
    """A call that is named is the same call, however often it is walked."""

    async def test_a_verdict_stands_when_the_policy_changes_its_mind(self) -> None:
        """hitloop 1: on resume the policy was asked again, and what a human rejected ran."""
        outbox, person, policy = Outbox(), Person(no), Says(ASK, ALLOW)
        gate = Gate(policy, person)
        for _ in range(3):
            with pytest.raises(NotApprovedError):
                await gate.run(SEND, outbox.send, key="thread:task:1")
        assert (policy.asked, len(person.asked), outbox.sent) == (1, 1, [])
        assert policy.decisions == [False], "hitloop 34: a resume was counted again"

    async def test_a_rejection_stands_in_a_new_gate(self) -> None:
        """hitloop 1, after a restart: what was asked before is found by its key."""
        outbox, approver = Outbox(), LocalApprover(Person(no))
        with pytest.raises(NotApprovedError):
            await Gate(Says(ASK), approver).run(SEND, outbox.send, key="k")
        with pytest.raises(NotApprovedError):
            await Gate(Says(ALLOW), approver).run(SEND, outbox.send, key="k")
        assert outbox.sent == []

    async def test_what_ran_does_not_run_again_and_its_result_is_told(self) -> None:
        """hitloop 6: a side effect that was approved ran twice."""
        outbox, heard = Outbox(), Heard()
        gate = Gate(Says(ASK), Person(yes), telemetry=heard)
        results = [await gate.run(SEND, outbox.send, key="k") for _ in range(3)]
        assert results == ["sent to alice@example.com"] * 3
        assert len(outbox.sent) == 1
        assert heard.events.count("requested") == heard.events.count("proposed") == 1

    async def test_what_may_have_run_before_a_restart_does_not_run_again(self) -> None:
        outbox, approver = Outbox(), LocalApprover(Person(yes))
        await Gate(Says(ASK), approver).run(SEND, outbox.send, key="k")
        with pytest.raises(InvalidTransitionError) as caught:
            await Gate(Says(ASK), approver).run(SEND, outbox.send, key="k")
        assert caught.value.reason_code == "already_claimed"
        assert len(outbox.sent) == 1

    async def test_a_key_is_good_for_one_action(self) -> None:
        outbox, approver = Outbox(), LocalApprover(Person(yes))
        gate = Gate(Says(ASK), approver)
        await gate.run(SEND, outbox.send, key="k")
        other = SEND.with_args({"to": "mallory@example.com"})
        for each in (gate, Gate(Says(ASK), approver), Gate(Says(ALLOW), approver)):
            with pytest.raises(InvalidTransitionError) as caught:
                await each.run(other, outbox.send, key="k")
            assert caught.value.reason_code == "digest_mismatch"
        assert len(outbox.sent) == 1

    async def test_two_at_once_run_once(self) -> None:
        outbox, person = Outbox(), Person(yes)
        gate = Gate(Says(ASK), person)
        came = await asyncio.gather(
            *(gate.run(SEND, outbox.send, key="k") for _ in range(5)), return_exceptions=True
        )
        assert len(outbox.sent) == 1
        assert len(person.asked) == 1
        assert came.count("sent to alice@example.com") == 1


class TestWithoutALoop:
    """`run_sync`, wherever it is called."""

    def test_in_a_script(self) -> None:
        outbox = Outbox()
        assert Gate(Says(ASK), Person(yes)).run_sync(SEND, outbox.send_async)
        assert len(outbox.sent) == 1

    async def test_within_a_running_loop_as_in_a_notebook(self) -> None:
        """hitloop 23: inside a running loop it needed nest_asyncio."""
        assert Gate(Says(ASK), Person(yes)).run_sync(SEND, Outbox().send)

    def test_in_threads_at_once(self) -> None:
        outbox, gate = Outbox(), Gate(Says(ASK), Person(yes))
        threads = [
            threading.Thread(target=gate.run_sync, args=(SEND, outbox.send)) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(outbox.sent) == 8

    def test_after_asyncio_run(self) -> None:
        """hitloop 23: after any asyncio.run there was no event loop any more."""
        asyncio.run(asyncio.sleep(0))
        assert Gate(Says(ASK), Person(yes)).run_sync(SEND, Outbox().send)

    async def test_within_its_own_loop_it_is_an_error_and_not_a_deadlock(self) -> None:
        gate = Gate(Says(ASK), Person(yes))
        outer = Gate(Says(ALLOW), Person(yes))

        async def tool(**_: Any) -> Any:
            return gate.run_sync(SEND, Outbox().send)

        with pytest.raises(UsageError, match="own event loop"):
            outer.run_sync(SEND, tool)


async def test_a_wait_that_is_given_up_leaves_the_question_open() -> None:
    class Slow(Person):
        async def request_approval(self, request: Any) -> Decision:
            if not self.asked:
                self.asked.append(request)
                await asyncio.sleep(30)
            return yes(request)

    outbox, person = Outbox(), Slow(yes)
    gate = Gate(Says(ASK), person)
    with pytest.raises(NotApprovedError, match="pending"):
        await gate.run(SEND, outbox.send, key="k", timeout=0.05)
    assert outbox.sent == []
    assert await gate.run(SEND, outbox.send, key="k") == "sent to alice@example.com"


@pytest.mark.parametrize(
    ("silence", "said"),
    [
        ("reject", "rejected"),
        ("expire", "expired"),
        ("approve", "expired"),
        ("escalate", "expired"),
    ],
)
async def test_silence_is_never_a_yes_without_a_server(silence: str, said: str) -> None:
    class Silent(Person):
        async def request_approval(self, request: Any) -> Decision:
            await asyncio.sleep(30)
            return yes(request)

    outbox = Outbox()
    gate = Gate(Says(ASK, timeout_seconds=0.05, on_timeout=silence), Silent(yes))
    with pytest.raises(NotApprovedError, match=said):
        await gate.run(SEND, outbox.send)
    assert outbox.sent == []


async def test_silence_until_the_deadline_is_no() -> None:
    class Silent(Person):
        async def request_approval(self, request: Any) -> Decision:
            await asyncio.sleep(30)
            return yes(request)

    outbox = Outbox()
    gate = Gate(Says(ASK, timeout_seconds=0.05), Silent(yes))
    with pytest.raises(NotApprovedError, match="expired"):
        await gate.run(SEND, outbox.send)
    assert outbox.sent == []


def test_what_cannot_be_asked_is_an_error_when_the_gate_is_made() -> None:
    with pytest.raises(UsageError, match="cannot be asked"):
        Gate(Says(ASK), object())  # type: ignore[arg-type]


def test_what_is_no_action_is_an_error() -> None:
    with pytest.raises(UsageError, match="tool_name"):
        Gate(Says(ASK), Person(yes)).run_sync({"tool": "x"}, print)


async def test_what_a_run_has_shown_is_seen_by_the_policy_and_by_no_other_run() -> None:
    class Sees(Says):
        def evaluate(self, action: Action, context: Context = NO_CONTEXT) -> Verdict:
            self.seen.append((context.run_id, context.state.get("decisions")))
            return super().evaluate(action, context)

        seen: list[Any]

    policy = Sees(ALLOW)
    policy.seen = []
    gate = Gate(policy, Person(no))
    for session in ("a", "a", "b"):
        await gate.run(SEND, Outbox().send, session_id=session)
    assert policy.seen == [("a", None), ("a", 1), ("b", None)]


def test_policies_say_it_as_hitloop_does() -> None:
    policy: Policy = Says(DENY)
    assert policy.should_request_approval(SEND, {"run_id": "r"}) == (True, "because")
    assert Says(ALLOW).should_request_approval(SEND, {}) == (False, "because")


async def test_channels_of_backends_are_kept() -> None:
    approver = LocalApprover(
        Person(lambda _: Decision(approved=True, channel=Channel.CONSOLE, tags=["checked"]))
    )
    await Gate(Says(ASK), approver).run(SEND, Outbox().send, key="k")
    request = await approver.recall("k")
    assert request is not None
    assert request.decision is not None
    assert (request.decision.channel, request.decision.tags) == (Channel.CONSOLE, ("checked",))


async def test_telemetry_hears_of_what_did_not_run_and_which_call_was_decided() -> None:
    denied, rejected, unanswered = Heard(), Heard(), Heard()

    def nobody(_: Any) -> Decision:
        raise ApprovalError("nobody is there")

    cases = [(denied, DENY, yes), (rejected, ASK, no), (unanswered, ASK, nobody)]
    for heard, effect, answer in cases:
        gate = Gate(Says(effect), Person(answer), telemetry=heard)
        with pytest.raises((NotApprovedError, ApprovalError)):
            await gate.run(msgspec.structs.replace(SEND, id="call_1"), print)
    assert denied.events == ["proposed", "decided"]
    assert rejected.events == ["proposed", "requested", "decided"]
    assert unanswered.events == ["proposed", "requested", "error"]
    for heard in (denied, rejected):
        (decision,) = heard.decisions
        assert (decision.action_id, decision.approved) == ("call_1", False)


async def test_a_digest_that_is_told_counts_for_nothing() -> None:
    """Neither a forged one nor one from before the arguments were changed."""
    outbox, person = Outbox(), Person(no)
    gate = Gate(Says(ALLOW, ASK), person)

    def fails(**_: Any) -> None:
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011
        await gate.run({"tool_name": "pay", "tool_args": {"amount": 1}}, fails, key="k")
    forged = {
        "tool_name": "pay",
        "tool_args": {"amount": 99_999},
        "digest": Action(tool_name="pay", tool_args={"amount": 1}).digest,
    }
    with pytest.raises(InvalidTransitionError):
        await gate.run(forged, outbox.send, key="k")
    stale = Action(tool_name="pay", tool_args={"amount": 1})
    stale.tool_args["amount"] = 99_999
    with pytest.raises(InvalidTransitionError):
        await gate.run(stale, outbox.send, key="k")
    assert outbox.sent == []


async def test_a_verdict_that_allows_stands_for_its_key_too() -> None:
    policy, outbox = Says(ALLOW, DENY), Outbox()
    gate = Gate(policy, Person(no))

    def fails(**_: Any) -> None:
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011
        await gate.run(SEND, fails, key="k")
    await gate.run(SEND, outbox.send, key="k")
    assert (policy.asked, len(outbox.sent)) == (1, 1)


async def test_what_is_allowed_under_one_key_runs_once_at_a_time() -> None:
    ran: list[int] = []

    async def slow(**_: Any) -> None:
        ran.append(1)
        await asyncio.sleep(0.05)

    gate = Gate(Says(ALLOW), Person(no))
    await asyncio.gather(*(gate.run(SEND, slow, key="k") for _ in range(5)), return_exceptions=True)
    await gate.run(SEND, slow, key="k")
    assert len(ran) == 1


async def test_calls_are_told_apart_even_if_they_are_the_same() -> None:
    person = Person(yes)
    gate = Gate(Says(ASK), person)
    for _ in range(3):
        await gate.run(SEND, Outbox().send)
    assert len({request.action.id for request in person.asked}) == 3


async def test_an_edit_that_needs_more_people_is_not_run_by_one() -> None:
    class Larger(Says):
        def evaluate(self, action: Action, context: Context = NO_CONTEXT) -> Verdict:
            review = Rule(approvals=2) if action.tool_args.get("n", 0) > 1 else None
            return Verdict(effect=ASK, review=review)

    outbox = Outbox()
    with pytest.raises(ConfigurationError, match="2 approvals"):
        await Gate(Larger(ASK), Person(edits(to="bob", n=9))).run(SEND, outbox.send)
    assert outbox.sent == []


async def test_one_who_gives_up_waiting_takes_nobody_else_along() -> None:
    given_up = asyncio.Event()

    class Slow(Person):
        async def request_approval(self, request: Any) -> Decision:
            self.asked.append(request)
            await given_up.wait()
            return yes(request)

    outbox = Outbox()
    gate = Gate(Says(ASK), Slow(yes))

    async def gives_up() -> None:
        with pytest.raises(NotApprovedError):
            await gate.run(SEND, outbox.send, key="k", timeout=0.05)
        given_up.set()

    came = await asyncio.gather(
        gate.run(SEND, outbox.send, key="k"),
        gives_up(),
        gate.run(SEND, outbox.send, key="k"),
        return_exceptions=True,
    )
    assert len(outbox.sent) == 1
    assert came[1] is None
    assert not any(isinstance(each, asyncio.CancelledError) for each in came)


async def test_a_backend_that_changes_what_it_is_shown_changes_nothing() -> None:
    def masks(request: Any) -> Decision:
        request.action.tool_args["to"] = "***"
        return Decision(approved=True)

    outbox = Outbox()
    await Gate(Says(ASK), Person(masks)).run(SEND, outbox.send)
    assert outbox.sent == [SEND.tool_args]


async def test_a_digest_of_something_else_with_an_edit_approves_nothing() -> None:
    outbox = Outbox()
    said = Decision(approved=True, args={"to": "bob"}, digest="sha256:bad")
    with pytest.raises(ApprovalError, match="other arguments"):
        await Gate(Says(ASK), Person(lambda _: said)).run(SEND, outbox.send)
    assert outbox.sent == []


async def test_listeners_and_hooks_that_fail_do_not_undo_what_ran() -> None:
    class Fails(Says):
        def post_execution_update(self, state: State, action: Action, result: State) -> State:
            raise KeyError("oops")

    class Deaf(Heard):
        def _hear(self, run_id: str, what: str) -> None:
            raise OSError("no space left")

    outbox = Outbox()
    gate = Gate(Fails(ASK), Person(yes), telemetry=Deaf())
    for _ in range(2):
        assert await gate.run(SEND, outbox.send, key="k") == "sent to alice@example.com"
    assert len(outbox.sent) == 1


@pytest.mark.parametrize("effect", [ASK, DENY])
async def test_what_was_said_is_told_also_if_the_policy_cannot_note_it(effect: Effect) -> None:
    class Fails(Says):
        def post_decision_update(self, state: State, action: Action, decision: Decision) -> State:
            raise OSError("no space left")

    outbox, heard = Outbox(), Heard()
    gate = Gate(Fails(effect), Person(no), telemetry=heard)
    with pytest.raises(OSError, match="no space"):
        await gate.run(SEND, outbox.send_async)
    with pytest.raises(OSError, match="no space"):
        gate.run_sync(SEND, outbox.send)
    assert [decision.approved for decision in heard.decisions] == [False, False]
    assert outbox.sent == []


async def test_a_hook_may_use_the_gate() -> None:
    class Asks(Says):
        def post_decision_update(self, state: State, action: Action, decision: Decision) -> State:
            if action.tool_name == "send_email":
                gate.run_sync(Action(tool_name="note"), lambda: None)
            return super().post_decision_update(state, action, decision)

    gate = Gate(Asks(ALLOW), Person(no))
    await gate.run(SEND, Outbox().send)


async def test_a_policy_that_writes_into_its_context_changes_nothing() -> None:
    class Writes(Says):
        def evaluate(self, action: Action, context: Context = NO_CONTEXT) -> Verdict:
            self.seen.append(context.state.get("decisions"))
            context.state["decisions"] = 99
            return super().evaluate(action, context)

        seen: list[Any]

    policy = Writes(ALLOW)
    policy.seen = []
    gate = Gate(policy, Person(no))
    for _ in range(3):
        await gate.run(SEND, Outbox().send)
    assert policy.seen == [None, 1, 2]


@pytest.mark.parametrize("key", [5, b"k"])
def test_a_key_that_is_no_text_is_an_error(key: Any) -> None:
    with pytest.raises(UsageError, match="key"):
        Gate(Says(ALLOW), Person(no)).run_sync(SEND, Outbox().send, key=key)


def test_strange_keys_are_keys() -> None:
    gate, outbox = Gate(Says(ASK), Person(yes)), Outbox()
    for key in ("ü", "\ud800", "x" * 5_000, "a\nb", "ü"):
        gate.run_sync(SEND, outbox.send, key=key)
    assert len(outbox.sent) == 4


async def test_what_the_policy_cannot_judge_is_approved_by_people_alone() -> None:
    outbox, told = Outbox(), Person(lambda _: Decision(approved=True, channel=Channel.STANDING))
    with pytest.raises(NotApprovedError, match="not a person"):
        await Gate(Says(ASK, is_doubtful=True), told).run(SEND, outbox.send)
    await Gate(Says(ASK), told).run(SEND, outbox.send)
    await Gate(Says(ASK, is_doubtful=True), Person(yes)).run(SEND, outbox.send)
    assert len(outbox.sent) == 2


async def test_a_doubt_outlasts_a_restart_under_the_same_key() -> None:
    outbox, kept = Outbox(), Person(lambda _: Decision(approved=True, channel=Channel.STANDING))
    approver = LocalApprover(kept)
    for _ in range(2):  # a gate that knows nothing of the first
        with pytest.raises(NotApprovedError, match="not a person"):
            await Gate(Says(ASK, is_doubtful=True), approver).run(SEND, outbox.send, key="1")
    assert (outbox.sent, len(kept.asked)) == ([], 1)


class Rewrites(HITLPolicy):
    """Changes what it is told of, wherever it is told."""

    name = "rewrites"

    def should_request_approval(self, action: Action, state: State) -> tuple[bool, str]:
        self.post_decision_update(state, action, Decision(approved=True))
        return bool(state.get("asks")), ""

    def post_decision_update(self, state: State, action: Action, decision: Decision) -> State:
        action.tool_args["to"] = "mallory@example.com"
        action.tool_args["cc"].append("mallory@example.com")
        return state


class RewritesAndAsks(Rewrites):
    def should_request_approval(self, action: Action, state: State) -> tuple[bool, str]:
        return super().should_request_approval(action, {"asks": True})


@pytest.mark.parametrize("policy", [Rewrites(), RewritesAndAsks()])
async def test_what_a_policy_writes_into_the_arguments_does_not_run(policy: Policy) -> None:
    outbox, args = Outbox(), {"to": "alice@example.com", "cc": ["bob"]}
    gate = Gate(policy, Person(yes))

    @gate.tool(key=lambda to, cc: "1")
    def send(to: str, cc: list[str]) -> None:
        outbox.send(to=to, cc=cc)

    await gate.run(Action(tool_name="send", tool_args=args), outbox.send)
    send(**args)
    assert outbox.sent == [{"to": "alice@example.com", "cc": ["bob"]}] * 2
