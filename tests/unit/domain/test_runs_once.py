"""Whatever is tried in whatever order: what runs was approved, by enough people, and runs once."""

from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sayso.domain import lifecycle
from sayso.domain.accounts import Plane, Principal, Role, Strength
from sayso.domain.actions import digest_of
from sayso.domain.decisions import Answer, Channel, DecisionType
from sayso.domain.grants import OutcomeDraft, OutcomeStatus
from sayso.domain.lifecycle import Cancel, Claim, Command, Decide, EndGrant, Expire, Extend, Report
from sayso.domain.requests import ActionDraft, Request, Status
from sayso.domain.rules import Rule
from sayso.errors import RefusedError
from sayso.testing.factories import NOW, make_draft

ARGS: list[dict[str, Any]] = [{"n": 1}, {"n": 2}, {"n": 3}]
DIGESTS = [digest_of("pay", args) for args in ARGS]
BOTS = [Principal(plane=Plane.AGENT, id=name, name=name, owner="ada") for name in ("bot", "other")]
PEOPLE = [
    Principal(
        plane=Plane.PERSON, id=name, name=name, role=Role.REVIEWER, strength=strength,
        groups=frozenset(groups),
    )
    for name, strength, groups in (
        ("ada", Strength.LOGIN, ["ops"]),
        ("ben", Strength.LOGIN, ["ops"]),
        ("cy", Strength.LINK, ["ops"]),
        ("dee", Strength.PASSKEY, []),
    )
]  # fmt: skip

rules = st.builds(
    Rule,
    approvals=st.integers(1, 3),
    groups=st.sampled_from([(), ("ops",)]),
    four_eyes=st.booleans(),
    veto=st.booleans(),
    min_strength=st.sampled_from([Strength.LINK, Strength.LOGIN]),
    grant_seconds=st.sampled_from([None, 3.0]),
)
agents, people = st.sampled_from(BOTS), st.sampled_from(PEOPLE)
answers = st.one_of(
    st.builds(Answer, type=st.sampled_from([DecisionType.APPROVE, DecisionType.REJECT])),
    st.builds(Answer, type=st.just(DecisionType.EDIT), args=st.sampled_from(ARGS)),
    st.builds(Answer, type=st.just(DecisionType.APPROVE), digest=st.sampled_from([None, *DIGESTS])),
)
commands = st.one_of(
    st.builds(Decide, answer=answers, by=st.one_of(people, agents), channel=st.just(Channel.API)),
    st.builds(Claim, by=agents, digest=st.sampled_from(DIGESTS), key=st.sampled_from(["", "k"])),
    st.builds(
        Report,
        by=agents,
        outcome=st.builds(OutcomeDraft, status=st.sampled_from(list(OutcomeStatus))),
    ),
    st.builds(Cancel, by=agents),
    st.builds(Extend, by=agents, timeout=st.just(timedelta(seconds=9))),
    st.builds(EndGrant, by=agents, reason=st.just("")),
    st.just(Expire()),
)


@settings(max_examples=400)
@given(rules, st.lists(st.tuples(commands, st.floats(0, 2)), max_size=25))
def test_what_runs_was_approved_by_enough_people_and_runs_once(
    rule: Rule, story: list[tuple[Command, float]]
) -> None:
    now = NOW
    request = lifecycle.submit(
        make_draft(action=ActionDraft(tool_name="pay", tool_args=ARGS[0])),
        request_id="r",
        now=now,
        default_timeout=timedelta(seconds=20),
        by=BOTS[0],
        rule=rule,
    ).request
    approvals: dict[str, str | None] = {}
    claims = 0
    for command, seconds in story:
        now += timedelta(seconds=seconds)
        try:
            change = lifecycle.apply(request, command, now)
        except RefusedError:
            continue
        if isinstance(command, Decide):
            assert command.by.is_person
            seen = command.answer
            args = seen.args if seen.type is DecisionType.EDIT else request.proposed_args
            says = None if seen.type is DecisionType.REJECT else digest_of("pay", args or ARGS[0])
            approvals[command.by.id] = says
        if isinstance(command, Claim) and change.events:
            claims += 1
        check(request, change.request, rule, approvals)
        request = change.request
    assert claims <= 1


def check(before: Request, after: Request, rule: Rule, said: dict[str, str | None]) -> None:
    if before.status is not Status.PENDING:
        assert after.status is before.status
        assert after.decision == before.decision
    if after.status is not Status.APPROVED:
        assert after.grant is None
        return
    assert after.grant is not None
    assert after.decision is not None
    assert after.grant.digest == after.decision.digest == digest_of("pay", after.arguments or {})
    if before.status is Status.PENDING:
        agreed = {person for person, digest in said.items() if digest == after.grant.digest}
        assert len(agreed) >= rule.approvals
        strong = {"ada", "ben", "dee"} | ({"cy"} if rule.min_strength is Strength.LINK else set())
        assert agreed <= strong
        assert not (rule.four_eyes and "ada" in agreed)
        assert not (rule.groups and "dee" in agreed)
    if after.outcome is not None:
        assert after.grant.claimed_at is not None
