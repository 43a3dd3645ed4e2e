"""The tenant's policy decides what is submitted, and people whatever it leaves to them."""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from sayso.broker import Broker
from sayso.domain.accounts import Plane, Principal, Role, Strength
from sayso.domain.actions import Action, RiskClass
from sayso.domain.decisions import Answer, Channel, DecisionType
from sayso.domain.events import EventType
from sayso.domain.patterns import Pattern, StandingDraft
from sayso.domain.policies import PolicyDraft
from sayso.domain.requests import ActionDraft, OnTimeout, Request, Status
from sayso.domain.rules import ReviewRule, Rule
from sayso.domain.stops import StopDraft, StopKind
from sayso.domain.users import LOCAL_PERSON
from sayso.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    NotPermittedError,
    PersonRequiredError,
    RefusedError,
)
from sayso.policies.backtest import recorded
from sayso.policies.base import NO_CONTEXT, Context, Effect, Policy, Verdict
from sayso.policies.rules import load
from sayso.signals.memory import MemorySignal
from sayso.stores.base import EventQuery, JobQuery, Query, RecordQuery
from sayso.stores.memory import MemoryStore
from sayso.testing import AGENT, PERSON, FakeClock, make_draft

pytestmark = pytest.mark.anyio

ADMIN = Principal(
    plane=Plane.PERSON, id="root", name="Root", strength=Strength.LOGIN, role=Role.ADMIN
)


class ByTool(Policy):
    """A policy of one's own: the text has a line `TOOL: VERDICT as JSON` for each tool."""

    name = "by-tool"

    def __init__(self, text: str) -> None:
        if not text.strip():
            raise InvalidRequestError("Nothing is said.", errors=({"at": "1:1", "message": "x"},))
        if text == "broken":
            raise ValueError("no text")
        self._verdicts: dict[str, Verdict] = {}
        self.contexts: list[Context] = []
        for line in text.splitlines():
            tool, _, verdict = line.partition(": ")
            told = msgspec.json.decode(verdict, type=Verdict)
            self._verdicts[tool] = msgspec.structs.replace(told, rule=told.rule or f"rule-{tool}")

    def evaluate(self, action: Action, context: Context = NO_CONTEXT) -> Verdict:
        self.contexts.append(context)
        if action.tool_name == "fails":
            raise RuntimeError("no idea")
        if action.tool_args.get("amount", 0) > 100:
            return Verdict(effect=Effect.DENY, reason="Too much.", rule="limit")
        return self._verdicts.get(action.tool_name, Verdict(effect=Effect.ASK))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def broker(clock: FakeClock) -> Broker:
    return Broker(MemoryStore(), MemorySignal(), clock, load_policy=ByTool)


async def put(broker: Broker, **tools: Any) -> int:
    """Each tool with its verdict: an effect, or all fields."""
    lines = [
        f"{tool}: {msgspec.json.encode(v if isinstance(v, dict) else {'effect': v}).decode()}"
        for tool, v in tools.items()
    ]
    version = await broker.policies.put(PolicyDraft(text="\n".join(lines)), by=ADMIN)
    return version.number


async def ask(
    broker: Broker, tool: str = "pay", risk: RiskClass | None = None, **fields: Any
) -> Request:
    args = fields.pop("args", {"amount": 5})
    action = ActionDraft(tool_name=tool, tool_args=args, risk_class=risk)
    return (await broker.submit(make_draft(action=action, **fields), by=AGENT)).request


async def decide(broker: Broker, request: Request, type_: str, **fields: Any) -> Request:
    answer = Answer(type=DecisionType(type_), **fields)
    return await broker.decide(request.id, answer, by=PERSON, channel=Channel.WEB)


async def test_what_is_allowed_is_approved_at_once_and_can_be_claimed_by_its_digest(
    broker: Broker,
) -> None:
    number = await put(broker, pay={"effect": "allow", "reason": "Small."})
    request = await ask(broker)
    assert request.decision is not None
    assert request.policy is not None
    assert (request.status, request.decision.channel, request.decision.by.id) == (
        Status.APPROVED, Channel.POLICY, "policy",
    )  # fmt: skip
    assert (request.policy.version, request.policy.effect, request.policy.rule) == (
        number, "allow", "rule-pay",
    )  # fmt: skip
    assert request.action is not None
    claimed = await broker.claim(request.id, request.action.digest, by=AGENT)
    assert claimed.grant is not None
    assert claimed.grant.claimed_by == AGENT.actor
    events, _ = await broker.store.events(EventQuery())
    told = {event.type: event for event in events}
    assert told[EventType.REQUEST_SUBMITTED].data["policy"] == {
        "version": number, "effect": "allow", "rule": "rule-pay",
    }  # fmt: skip
    assert told[EventType.REQUEST_DECIDED].actor == "system"


async def test_what_is_denied_is_rejected_at_once_with_the_rules_reason(broker: Broker) -> None:
    await put(broker, pay={"effect": "deny", "reason": "Payments are off."})
    request = await ask(broker)
    assert (request.status, request.reason, request.grant) == (
        Status.REJECTED, "Payments are off.", None,
    )  # fmt: skip


async def test_the_callback_is_told_of_what_the_policy_decides(broker: Broker) -> None:
    await put(broker, pay="deny")
    request = await ask(broker, callback_url="https://8.8.8.8/told")
    jobs = (await broker.store.find_jobs(JobQuery())).items
    assert [(job.request_id, job.url) for job in jobs] == [(request.id, "https://8.8.8.8/told")]


async def test_nothing_changes_without_a_policy_or_for_what_is_no_action(broker: Broker) -> None:
    request = await ask(broker)
    assert (request.status, request.policy, request.rule) == (Status.PENDING, None, None)
    await put(broker, pay="allow")
    question = (await broker.submit(make_draft(), by=AGENT)).request
    assert (question.status, question.policy) == (Status.PENDING, None)


async def test_what_is_asked_has_the_rules_review_deadline_and_silence(broker: Broker) -> None:
    await put(
        broker,
        pay={
            "effect": "ask",
            "review": {"approvals": 2, "groups": ["clerks"]},
            "timeout_seconds": 60,
            "on_timeout": "escalate",
            "escalate_to": {"groups": ["bosses"]},
        },
    )
    request = await ask(broker)
    assert request.rule is not None
    assert (request.rule.approvals, request.rule.groups, request.rule.names) == (
        2, ("clerks",), ("policy/rule-pay",),
    )  # fmt: skip
    assert request.deadline_at == request.created_at + timedelta(seconds=60)
    assert (request.on_timeout, request.escalate_to) == (
        OnTimeout.ESCALATE, Rule(groups=("bosses",)),
    )  # fmt: skip


@pytest.mark.parametrize(("wish", "seconds"), [(10, 10), (90, 60), (None, 60), (msgspec.UNSET, 60)])
async def test_a_deadline_of_the_asking_side_only_makes_it_shorter(
    broker: Broker, wish: Any, seconds: float
) -> None:
    await put(broker, pay={"effect": "ask", "timeout_seconds": 60})
    request = await ask(broker, timeout_seconds=wish)
    assert request.deadline_at == request.created_at + timedelta(seconds=seconds)


SILENT_YES = {"effect": "ask", "timeout_seconds": 60, "on_timeout": "approve"}


async def test_silence_approves_a_low_risk_where_the_policy_says_so(
    broker: Broker, clock: FakeClock
) -> None:
    await put(broker, pay=SILENT_YES)
    request = await ask(broker, risk=RiskClass.LOW)
    clock.advance(61)
    assert await broker.expire_due() == 1
    decided = await broker.get(request.id, by=AGENT)
    assert decided.approved
    assert decided.decision is not None
    assert decided.decision.by.name == "rule-pay"


@pytest.mark.parametrize(
    "fields",
    [
        {"risk": None},
        {"risk": RiskClass.MEDIUM},
        {"risk": RiskClass.HIGH},
        {"timeout_seconds": 1},  # nobody would have the time to object
        {"rule": Rule()},
        {"on_timeout": OnTimeout.REJECT},
        {"options": ["Yes", "No"]},
    ],
)
async def test_an_agent_gets_no_yes_by_silence_beyond_what_the_rule_means(
    broker: Broker, clock: FakeClock, fields: dict[str, Any]
) -> None:
    await put(broker, pay=SILENT_YES)
    request = await ask(broker, **{"risk": RiskClass.LOW, **fields})
    clock.advance(61)
    await broker.expire_due()
    closed = await broker.get(request.id, by=AGENT)
    assert closed.is_terminal
    assert not closed.approved


async def test_a_review_rule_that_matches_outweighs_a_yes_by_silence(
    broker: Broker, clock: FakeClock
) -> None:
    await put(broker, pay=SILENT_YES)
    await broker.rules.put(ReviewRule(name="all", rule=Rule()), by=ADMIN)
    request = await ask(broker, risk=RiskClass.LOW)
    clock.advance(61)
    await broker.expire_due()
    assert (await broker.get(request.id, by=AGENT)).status is Status.EXPIRED


async def test_a_stop_that_was_set_meanwhile_makes_silence_a_no(
    broker: Broker, clock: FakeClock
) -> None:
    await put(broker, pay=SILENT_YES)
    request = await ask(broker, risk=RiskClass.LOW)
    await broker.stops.set(StopDraft(kind=StopKind.EVERYTHING), by=ADMIN)
    clock.advance(61)
    await broker.expire_due()
    assert (await broker.get(request.id, by=AGENT)).status is Status.EXPIRED


async def test_a_review_rule_that_matches_has_people_asked_what_the_policy_allows(
    broker: Broker,
) -> None:
    await put(broker, pay="allow", read="allow")
    await broker.rules.put(ReviewRule(name="pay", tools=("pay",), rule=Rule(approvals=2)), by=ADMIN)
    asked = await ask(broker)
    assert asked.rule is not None
    assert (asked.status, asked.rule.approvals) == (Status.PENDING, 2)
    assert (await ask(broker, "read")).status is Status.APPROVED


async def test_whom_a_review_rule_names_is_asked_rather_than_whom_the_policy_names(
    broker: Broker,
) -> None:
    await put(broker, pay={"effect": "ask", "review": {"groups": ["interns"], "approvals": 2}})
    await broker.rules.put(ReviewRule(name="r", rule=Rule(groups=("finance",))), by=ADMIN)
    request = await ask(broker, rule=Rule(people=("mallory",)))
    assert request.rule is not None
    assert (request.rule.groups, request.rule.people) == (("finance",), ())
    assert request.rule.approvals == 2


async def test_an_agent_that_wants_people_gets_people(broker: Broker) -> None:
    await put(broker, pay="allow")
    assert (await ask(broker, rule=Rule(approvals=2))).status is Status.PENDING


async def test_nothing_is_allowed_while_it_is_stopped(broker: Broker) -> None:
    await put(broker, pay="allow")
    await broker.stops.set(StopDraft(kind=StopKind.EVERYTHING), by=ADMIN)
    assert (await ask(broker)).status is Status.PENDING


async def test_an_allowed_choice_of_options_is_still_a_persons(broker: Broker) -> None:
    await put(broker, pay="allow")
    assert (await ask(broker, options=["Today", "Never"])).status is Status.PENDING


async def test_a_policy_that_fails_has_people_asked_and_tells_why(broker: Broker) -> None:
    await put(broker, fails="allow")
    request = await ask(broker, "fails")
    assert request.policy is not None
    assert (request.status, request.policy.effect) == (Status.PENDING, "ask")
    assert "no idea" in request.policy.reason


async def test_a_policy_that_cannot_be_loaded_any_more_has_people_asked(clock: FakeClock) -> None:
    store = MemoryStore()
    await put(Broker(store, MemorySignal(), clock, load_policy=ByTool), pay="allow")
    elsewhere = Broker(store, MemorySignal(), clock)  # what reads policies is not there
    request = await ask(elsewhere)
    assert request.policy is not None
    assert (request.status, request.policy.effect) == (Status.PENDING, "ask")
    assert "rules" in request.policy.reason


async def test_a_policy_that_cannot_be_used_tells_why_in_the_log_and_where_it_is_shown(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore()
    earlier = Broker(store, MemorySignal(), clock, load_policy=ByTool)
    await put(earlier, pay="allow")
    assert (await earlier.policies.get(by=ADMIN)).problem == ""
    later = Broker(store, MemorySignal(), clock)
    await later.tenants.try_policies()
    shown = await later.policies.get(by=ADMIN)
    for told in (caplog.records[-1].getMessage(), shown.problem):
        assert "sayso[rules]" in told
        assert "sayso policy push" in told
    assert "version 1 of the policy of tenant 'default'" in caplog.records[-1].getMessage()
    assert len(caplog.records) == 1
    assert (await later.policies.version(1, by=ADMIN)).problem == ""


async def test_an_edit_that_the_policy_denies_is_refused_with_the_reason(broker: Broker) -> None:
    await put(broker, pay="ask")
    request = await ask(broker)
    with pytest.raises(RefusedError) as caught:
        await decide(broker, request, "edit", args={"amount": 101})
    assert caught.value.reason_code == "policy_denied"
    assert "Too much." in caught.value.detail
    assert (await decide(broker, request, "edit", args={"amount": 99})).approved


async def test_a_remembered_decision_stands_for_people_but_not_against_a_denial(
    broker: Broker,
) -> None:
    draft = StandingDraft(tool_name="pay", args={"amount": Pattern(any=True)})
    giver = msgspec.structs.replace(PERSON, id=LOCAL_PERSON)
    await broker.standing.give(draft, by=giver)
    await put(broker, pay="ask")
    asked = await ask(broker)
    assert asked.decision is not None
    assert asked.decision.channel is Channel.STANDING
    assert (await ask(broker, args={"amount": 101})).status is Status.REJECTED
    await put(broker, pay={"effect": "ask", "review": {"approvals": 2}})
    assert (await ask(broker)).status is Status.PENDING


BIG = """\
rules:
  - {name: big, match: {tools: pay}, when: "amount(args.amount) > 1000.0", verdict: deny}
"""


@pytest.mark.parametrize("amount", ["5000 EUR (five thousand)", [5000], None])
async def test_what_makes_a_denials_condition_fail_gets_no_remembered_yes(
    clock: FakeClock, amount: Any
) -> None:
    broker = Broker(MemoryStore(), MemorySignal(), clock, load_policy=load)
    giver = msgspec.structs.replace(PERSON, id=LOCAL_PERSON)
    args = {"to": Pattern(equals="ann"), "amount": Pattern(any=True)}
    await broker.standing.give(StandingDraft(tool_name="pay", args=args), by=giver)
    await broker.policies.put(PolicyDraft(text=BIG), by=ADMIN)
    assert (await ask(broker, args={"to": "ann", "amount": 5000})).status is Status.REJECTED
    small = await ask(broker, args={"to": "ann", "amount": 5})
    assert small.decision is not None
    assert small.decision.channel is Channel.STANDING
    request = await ask(broker, args={"to": "ann", "amount": amount})
    assert request.policy is not None
    assert (request.status, request.policy.is_doubtful) == (Status.PENDING, True)
    assert (await decide(broker, request, "approve")).approved


async def test_no_remembered_decision_stands_while_the_policy_fails_or_cannot_be_loaded(
    broker: Broker, clock: FakeClock
) -> None:
    giver = msgspec.structs.replace(PERSON, id=LOCAL_PERSON)
    draft = StandingDraft(tool_name="fails", args={"amount": Pattern(any=True)})
    await broker.standing.give(draft, by=giver)
    assert (await ask(broker, "fails")).approved
    await put(broker, fails="deny")
    assert (await ask(broker, "fails")).status is Status.PENDING
    elsewhere = Broker(broker.store, MemorySignal(), clock)
    assert (await ask(elsewhere, "fails")).status is Status.PENDING


async def test_a_session_is_a_yes_only_for_an_agent_whose_key_is_bound_to_it(
    clock: FakeClock,
) -> None:
    broker = Broker(MemoryStore(), MemorySignal(), clock, load_policy=load)
    text = "rules:\n  - {name: night, match: {sessions: nightly}, verdict: allow}\n"
    await broker.policies.put(PolicyDraft(text=text), by=ADMIN)
    draft = make_draft(action=ActionDraft(tool_name="pay"), session_id="nightly")
    free = (await broker.submit(draft, by=AGENT)).request
    assert free.status is Status.PENDING
    bound = msgspec.structs.replace(AGENT, session_pattern="nightly")
    assert (await broker.submit(draft, by=bound)).request.status is Status.APPROVED
    kept = [recorded(request) for request in (await broker.store.find(Query())).items]
    patterns = {each.context.session_pattern for each in kept if each is not None}
    assert patterns == {"nightly"}


async def test_who_asks_is_what_authentication_says(broker: Broker) -> None:
    seen: list[Context] = []

    def load(text: str) -> Policy:
        policy = ByTool(text)
        policy.contexts = seen
        return policy

    broker = Broker(broker.store, MemorySignal(), broker.clock, load_policy=load)
    await put(broker, pay="ask")
    await ask(broker, client_id="c")
    assert seen == [Context(run_id=AGENT.actor, client_id="c", asked_by=AGENT.actor)]


async def test_what_is_asked_again_is_looked_at_by_the_policy_of_now(
    broker: Broker, clock: FakeClock
) -> None:
    await put(broker, pay=SILENT_YES)
    request = await ask(broker, risk=RiskClass.HIGH)
    clock.advance(61)
    await broker.expire_due()
    number = await put(broker, pay="deny")
    again = (await broker.reopen(request.id, by=AGENT)).request
    assert again.policy is not None
    assert (again.status, again.policy.version) == (Status.REJECTED, number)


async def test_what_is_asked_again_keeps_what_it_needed_and_tells_that_the_policy_would_allow_it(
    broker: Broker, clock: FakeClock
) -> None:
    await put(broker, pay={"effect": "ask", "review": {"approvals": 2}, "timeout_seconds": 60})
    request = await ask(broker)
    clock.advance(61)
    await broker.expire_due()
    await put(broker, pay={"effect": "allow", "reason": "Small."})
    again = (await broker.reopen(request.id, by=AGENT)).request
    assert again.policy is not None
    assert again.rule is not None
    assert (again.status, again.policy.effect, again.rule.approvals) == (
        Status.PENDING, "allow", 2,
    )  # fmt: skip
    assert again.policy.reason == (
        "Small. People are asked all the same: it keeps what it needed when it was asked before."
    )


async def test_what_is_allowed_and_waits_all_the_same_tells_why(broker: Broker) -> None:
    await put(broker, pay="allow")
    wanted = await ask(broker, rule=Rule(approvals=2))
    choice = await ask(broker, options=["Today", "Never"])
    await broker.rules.put(ReviewRule(name="finance", rule=Rule()), by=ADMIN)
    ruled = await ask(broker)
    await broker.rules.remove("finance", by=ADMIN)
    await broker.stops.set(StopDraft(kind=StopKind.EVERYTHING), by=ADMIN)
    stopped = await ask(broker)
    for request, word in (
        (wanted, "the asking side"), (choice, "only they choose"), (ruled, "finance"),
        (stopped, "stopped"),
    ):  # fmt: skip
        assert request.policy is not None
        assert request.status is Status.PENDING
        assert word in request.policy.reason


async def test_each_version_is_kept_and_the_newest_is_in_force(broker: Broker) -> None:
    assert await broker.policies.active(by=ADMIN) is None
    first = await broker.policies.put(PolicyDraft(text='a: {"effect":"ask"}', note="n"), by=ADMIN)
    second = await broker.policies.put(PolicyDraft(text='a: {"effect":"deny"}'), by=ADMIN)
    removed = await broker.policies.remove(by=ADMIN)
    assert await broker.policies.active(by=ADMIN) is None
    back = await broker.policies.activate(1, by=ADMIN, note="back")
    versions = await broker.policies.versions(by=PERSON)
    assert [version.number for version in versions] == [4, 3, 2, 1]
    assert [version.text for version in versions] == [""] * 4
    assert (removed.is_removed, back.activates, back.text) == (True, 1, first.text)
    assert (back.digest, first.digest == second.digest) == (first.digest, False)
    assert await broker.policies.active(by=ADMIN) == back
    assert await broker.policies.version(2, by=PERSON) == second
    older = await broker.policies.versions(by=PERSON, before=3, limit=1)
    assert [version.number for version in older] == [2]
    for missing in (0, -1, 5, 10**9, 10**12):
        with pytest.raises(NotFoundError):
            await broker.policies.version(missing, by=PERSON)
    changed = EventQuery(types=frozenset({EventType.POLICY_CHANGED}))
    events, _ = await broker.store.events(changed)
    assert [event.data["version"] for event in events] == [1, 2, 3, 4]
    kept = await broker.store.find_records(RecordQuery(kind="policy_version"))
    assert len(kept) == 4


async def test_tenants_have_policies_of_their_own(broker: Broker) -> None:
    await put(broker, pay="deny")
    elsewhere = msgspec.structs.replace(ADMIN, tenant="elsewhere")
    assert await broker.policies.active(by=elsewhere) is None
    assert await broker.policies.versions(by=elsewhere) == ()
    agent = msgspec.structs.replace(AGENT, tenant="elsewhere")
    draft = make_draft(action=ActionDraft(tool_name="pay"))
    assert (await broker.submit(draft, by=agent)).request.status is Status.PENDING


async def test_who_saves_over_what_somebody_else_saved_meanwhile_is_told(broker: Broker) -> None:
    text = 'a: {"effect":"ask"}'
    await broker.policies.put(PolicyDraft(text=text, replaces=0), by=ADMIN)
    await broker.policies.put(PolicyDraft(text=text, replaces=1), by=ADMIN)
    with pytest.raises(ConflictError) as caught:
        await broker.policies.put(PolicyDraft(text=text, replaces=1), by=ADMIN)
    assert caught.value.reason_code == "policy_changed"


async def test_two_who_save_at_once_both_have_a_version(clock: FakeClock) -> None:
    store = MemoryStore()
    brokers = [Broker(store, MemorySignal(), clock, load_policy=ByTool) for _ in range(2)]
    numbers = await asyncio.gather(*(put(each, pay="ask") for each in brokers * 3))
    assert sorted(numbers) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("text", [" ", "broken", "a: {}"])
async def test_a_text_that_is_no_policy_is_not_kept(broker: Broker, text: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await broker.policies.put(PolicyDraft(text=text), by=ADMIN)
    assert caught.value.reason_code == "invalid_policy"
    assert await broker.policies.versions(by=ADMIN) == ()


async def test_only_an_admin_who_is_a_person_changes_it(broker: Broker) -> None:
    with pytest.raises(NotPermittedError):
        await broker.policies.put(PolicyDraft(text="a: {}"), by=PERSON)
    machine = msgspec.structs.replace(AGENT, role=Role.ADMIN)
    with pytest.raises(PersonRequiredError):
        await broker.policies.put(PolicyDraft(text="a: {}"), by=machine)


async def test_a_change_counts_for_the_next_request_at_once(broker: Broker) -> None:
    assert (await ask(broker)).status is Status.PENDING
    await put(broker, pay="deny")
    assert (await ask(broker)).status is Status.REJECTED
    await broker.policies.remove(by=ADMIN)
    assert (await ask(broker)).status is Status.PENDING


async def test_what_is_escalated_or_parked_goes_on_with_its_reminders(
    broker: Broker, clock: FakeClock
) -> None:
    further = {"on_timeout": "escalate", "escalate_to": {"groups": ["bosses"]}}
    await put(broker, pay={"effect": "ask", "timeout_seconds": 60, **further})
    request = await ask(broker, remind_every_seconds=90)
    assert (await broker.store.find_jobs(JobQuery())).items == ()
    clock.advance(60)
    await broker.expire_due()
    escalated = await broker.get(request.id, by=AGENT)
    assert escalated.escalated_at == clock.now()
    parked = await ask(broker, "other", timeout_seconds=60, on_timeout=OnTimeout.PARK,
                       remind_every_seconds=90)  # fmt: skip
    clock.advance(60)
    assert await broker.expire_due() == 2
    assert (await broker.get(request.id, by=AGENT)).status is Status.EXPIRED
    assert (await broker.get(parked.id, by=AGENT)).parked_at == clock.now()
    jobs = (await broker.store.find_jobs(JobQuery())).items
    assert [job.request_id for job in jobs] == [parked.id]


async def test_the_backtest_knows_whether_the_asking_side_wanted_people(broker: Broker) -> None:
    """`rule: {}` is a wish, too; that no review rule matches is none."""
    await broker.rules.put(ReviewRule(name="mails", tools=("mail",), rule=Rule()), by=ADMIN)
    for verdict in ("ask", {"effect": "ask", "review": {"approvals": 1, "names": []}}):
        await put(broker, pay=verdict)
        reviewed: list[bool] = []
        for asked in (None, Rule()):
            request = await ask(broker, "pay", rule=asked)
            closed = msgspec.structs.replace(request, status=Status.EXPIRED)
            found = recorded(closed)
            assert found is not None
            reviewed.append(found.is_reviewed)
        assert reviewed == [False, True]
