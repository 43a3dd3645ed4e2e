"""Passkeys on a memory store, with an authenticator in software that tells lies when asked."""

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from support.authenticator import PRESENT, Authenticator

from sayso.assertions import verify_assertion, verify_decision
from sayso.broker import Broker
from sayso.broker.ceremonies import relying_party
from sayso.broker.passkeys import Passkeys
from sayso.broker.signing import Signing
from sayso.domain.accounts import Role, Strength
from sayso.domain.actions import digest_of
from sayso.domain.decisions import Answer, Channel, DecisionType, Reviewer
from sayso.domain.events import EventType
from sayso.domain.lifecycle import Change
from sayso.domain.passkeys import MAX_PASSKEYS, Assertion, Statement
from sayso.domain.patterns import Pattern, StandingDraft
from sayso.domain.requests import ActionDraft, Kind, Request, Status
from sayso.domain.rules import Rule
from sayso.errors import (
    ConflictError,
    InvalidAnswerError,
    InvalidTransitionError,
    NotFoundError,
    NotPermittedError,
    PersonRequiredError,
    RefusedError,
)
from sayso.nonces import LOST_PASSKEY, NONCE_LIFETIME, make_nonce
from sayso.signals.memory import MemorySignal
from sayso.stores.base import EventQuery
from sayso.stores.memory import MemoryStore
from sayso.testing import AGENT, PERSON, FakeClock, make_draft

pytestmark = pytest.mark.anyio

SECRET = b"s" * 32
ORIGIN = "http://localhost:8080"
BOB = msgspec.structs.replace(PERSON, id="bob", name="Bob")
ADMIN = msgspec.structs.replace(PERSON, id="root", name="Root", role=Role.ADMIN)
STRICT = Rule(min_strength=Strength.PASSKEY)
APPROVE = Answer(type=DecisionType.APPROVE)
PAY = ActionDraft(tool_name="pay", tool_args={"amount": 500, "to": "Ada"})


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def broker(clock: FakeClock) -> Broker:
    return Broker(MemoryStore(), MemorySignal(), clock)


@pytest.fixture
def passkeys(broker: Broker) -> Passkeys:
    return Passkeys(broker, SECRET, relying_party(ORIGIN))


@pytest.fixture
def signing(broker: Broker, passkeys: Passkeys) -> Signing:
    return Signing(broker, passkeys, SECRET)


@pytest.fixture
def device() -> Authenticator:
    return Authenticator(ORIGIN)


async def register(
    passkeys: Passkeys, device: Authenticator, *, by=PERSON, using: Authenticator | None = None
):
    begun = await passkeys.registration(by=by)
    return await passkeys.register(
        "My laptop",
        nonce=begun.nonce,
        credential=device.create(begun.options),
        confirmation=None if using is None else using.get(begun.confirm),
        by=by,
    )


async def ask(broker: Broker, *, rule: Rule = STRICT, **fields: Any) -> Request:
    fields = {"action": PAY} | fields
    return (await broker.submit(make_draft(rule=rule, **fields), by=AGENT)).request


async def sign(
    signing: Signing,
    device: Authenticator,
    request: Request,
    answer: Answer = APPROVE,
    *,
    by=PERSON,
    **lies: Any,
) -> Assertion:
    begun = await signing.challenge(request.id, answer, by=by)
    return Assertion(nonce=begun.nonce, credential=device.get(begun.options, **lies))


async def decide(
    signing: Signing,
    request: Request,
    assertion: Assertion | None,
    answer: Answer = APPROVE,
    *,
    by=PERSON,
) -> Request:
    return await signing.decide(request.id, answer, assertion, by=by, channel=Channel.API)


async def assert_refused(code: str, attempt, broker: Broker, request: Request) -> str:
    with pytest.raises((NotPermittedError, RefusedError)) as caught:
        await attempt
    assert caught.value.reason_code == code
    assert (await broker.get(request.id, by=PERSON)).status is Status.PENDING
    return caught.value.detail


async def test_a_passkey_decides_and_its_proof_is_kept(
    broker: Broker, passkeys: Passkeys, signing: Signing, device: Authenticator
) -> None:
    passkey = await register(passkeys, device)
    request = await ask(broker)
    done = await decide(signing, request, await sign(signing, device, request))
    assert done.status is Status.APPROVED
    assert done.decision is not None
    assert done.decision.strength is Strength.PASSKEY
    assert done.decision.assertion is not None
    assert done.decision.assertion["public_key"] == passkey.public_key
    statement = verify_assertion(done.decision.assertion, request, done.decision)
    assert statement.digest == PAY.digest
    assert statement.person_id == PERSON.id
    assert verify_decision(done) == 1
    kept = (await passkeys.find(by=PERSON))[0]
    assert kept.sign_count == 1
    assert kept.last_used_at is not None


async def test_without_a_passkey_it_is_not_approved_but_can_be_rejected(
    broker: Broker, passkeys: Passkeys, signing: Signing
) -> None:
    request = await ask(broker)
    await assert_refused("strength_required", decide(signing, request, None), broker, request)
    done = await decide(signing, request, None, Answer(type=DecisionType.REJECT))
    assert done.status is Status.REJECTED


async def test_a_session_that_began_with_a_passkey_is_not_enough(
    broker: Broker, passkeys: Passkeys, signing: Signing
) -> None:
    by = msgspec.structs.replace(PERSON, strength=Strength.PASSKEY)
    request = await ask(broker)
    await assert_refused(
        "strength_required", decide(signing, request, None, by=by), broker, request
    )
    softer = await ask(broker, rule=Rule(min_strength=Strength.LOGIN))
    done = await decide(signing, softer, None, by=by)
    assert done.decision is not None
    assert done.decision.strength is Strength.LOGIN


OTHERS = [
    Answer(type=DecisionType.EDIT, args={"amount": 5000, "to": "Ada"}),
    Answer(type=DecisionType.RESPOND, content="No, do this instead"),
    Answer(type=DecisionType.APPROVE, reason="I never said this"),
    Answer(type=DecisionType.REJECT),
]


@pytest.mark.parametrize("other", OTHERS, ids=lambda answer: answer.type.value)
async def test_another_answer_than_the_signed_one_is_refused(
    broker: Broker, passkeys: Passkeys, signing: Signing, device: Authenticator, other: Answer
) -> None:
    await register(passkeys, device)
    request = await ask(broker)
    signed = await sign(signing, device, request)
    await assert_refused(
        "passkey_refused", decide(signing, request, signed, other), broker, request
    )


async def test_another_amount_than_the_signed_one_is_refused(
    broker: Broker, passkeys: Passkeys, signing: Signing, device: Authenticator
) -> None:
    await register(passkeys, device)
    request = await ask(broker)
    small = Answer(type=DecisionType.EDIT, args={"amount": 50, "to": "Ada"})
    large = Answer(type=DecisionType.EDIT, args={"amount": 5000, "to": "Ada"})
    signed = await sign(signing, device, request, small)
    await assert_refused(
        "passkey_refused", decide(signing, request, signed, large), broker, request
    )


async def test_what_is_remembered_is_signed_too(
    broker: Broker, passkeys: Passkeys, signing: Signing, device: Authenticator
) -> None:
    await register(passkeys, device)
    request = await ask(broker, rule=Rule())
    signed = await sign(signing, device, request)
    draft = StandingDraft(tool_name="pay", args={"amount": Pattern(max=9999)}, uses=9, seconds=60)
    more = msgspec.structs.replace(APPROVE, remember=draft)
    await assert_refused("passkey_refused", decide(signing, request, signed, more), broker, request)


def test_a_statement_leaves_nothing_of_an_answer_out() -> None:
    """`args` are in its `digest`; an answer's own digest is of what was seen, and checked."""
    said = set(Answer.__struct_fields__)
    assert said - {"args"} <= set(Statement.__struct_fields__)


async def test_an_option_is_signed_too(
    broker: Broker, passkeys: Passkeys, signing: Signing, device: Authenticator
) -> None:
    await register(passkeys, device)
    options = ["Yes, EU", "Yes, US"]
    request = await ask(broker, action=None, kind=Kind.CHOICE, options=options)
    one, two = (Answer(type=DecisionType.RESPOND, option=option) for option in options)
    signed = await sign(signing, device, request, one)
    await assert_refused("passkey_refused", decide(signing, request, signed, two), broker, request)
    done = await decide(signing, request, await sign(signing, device, request, one), one)
    assert verify_decision(done) == 1


async def test_what_was_proposed_meanwhile_is_not_what_was_signed(
    broker: Broker, passkeys: Passkeys, signing: Signing, device: Authenticator
) -> None:
    await register(passkeys, device)
    request = await ask(broker)
    signed = await sign(signing, device, request)
    changed = msgspec.structs.replace(
        request, proposed_args={"amount": 5000, "to": "Ada"}, version=request.version + 1
    )
    await broker.store.commit(Change(request=changed, expected_version=1, events=()))
    await assert_refused("changed_meanwhile", decide(signing, request, signed), broker, request)
    seen = digest_of("pay", {"amount": 5000, "to": "Ada"})
    answer = msgspec.structs.replace(APPROVE, digest=seen)
    await assert_refused(
        "passkey_refused", decide(signing, request, signed, answer), broker, request
    )
    done = await decide(signing, request, await sign(signing, device, request, answer), answer)
    assert done.decision is not None
    assert done.decision.digest == seen
    assert verify_decision(done) == 1


async def test_a_signature_for_another_request_is_refused(
    broker: Broker, passkeys: Passkeys, signing: Signing, device: Authenticator
) -> None:
    await register(passkeys, device)
    one, two = await ask(broker), await ask(broker)
    signed = await sign(signing, device, one)
    await assert_refused("stale_challenge", decide(signing, two, signed), broker, two)
    own = await sign(signing, device, two)
    mixed = Assertion(nonce=own.nonce, credential=signed.credential)
    await assert_refused("passkey_refused", decide(signing, two, mixed), broker, two)


async def test_a_signature_counts_once(
    broker: Broker, passkeys: Passkeys, signing: Signing
) -> None:
    device = Authenticator(ORIGIN, counts=False)
    await register(passkeys, device)
    request = await ask(broker)
    signed = await sign(signing, device, request)
    told = await asyncio.gather(
        *(decide(signing, request, signed) for _ in range(5)), return_exceptions=True
    )
    assert sum(isinstance(each, Request) for each in told) == 1
    codes = {each.reason_code for each in told if not isinstance(each, Request)}
    assert codes <= {"stale_challenge", "already_decided"}
    with pytest.raises(InvalidTransitionError) as caught:
        await decide(signing, request, signed)
    assert caught.value.request is not None


async def test_a_challenge_is_good_for_five_minutes(
    broker: Broker, passkeys: Passkeys, signing: Signing, device: Authenticator, clock: FakeClock
) -> None:
    await register(passkeys, device)
    request = await ask(broker, timeout_seconds=None)
    signed = await sign(signing, device, request)
    clock.advance(NONCE_LIFETIME.total_seconds())
    await assert_refused("stale_challenge", decide(signing, request, signed), broker, request)


async def test_a_challenge_of_another_server_is_refused(
    broker: Broker, passkeys: Passkeys, signing: Signing, device: Authenticator
) -> None:
    await register(passkeys, device)
    other = Signing(broker, passkeys, b"o" * 32)
    request = await ask(broker)
    signed = await sign(other, device, request)
    await assert_refused("stale_challenge", decide(signing, request, signed), broker, request)


async def test_another_persons_passkey_is_refused(
    broker: Broker, passkeys: Passkeys, signing: Signing, device: Authenticator
) -> None:
    await register(passkeys, device)
    theirs = Authenticator(ORIGIN)
    await register(passkeys, theirs, by=BOB)
    request = await ask(broker)
    signed = await sign(signing, theirs, request)
    await assert_refused("passkey_refused", decide(signing, request, signed), broker, request)
    by_bob = await sign(signing, theirs, request, by=BOB)
    await assert_refused("stale_challenge", decide(signing, request, by_bob), broker, request)
    named = signed.credential | {"id": (mine := device.get({"challenge": ""}))["id"]}
    forged = Assertion(nonce=signed.nonce, credential=named | {"rawId": mine["rawId"]})
    await assert_refused("passkey_refused", decide(signing, request, forged), broker, request)


async def test_a_person_who_was_not_verified_is_refused(
    broker: Broker, passkeys: Passkeys, signing: Signing, device: Authenticator
) -> None:
    await register(passkeys, device)
    request = await ask(broker)
    signed = await sign(signing, device, request, flags=PRESENT)
    said = await assert_refused(
        "passkey_refused", decide(signing, request, signed), broker, request
    )
    assert "verif" in said


async def test_a_counter_that_does_not_rise_is_refused(
    broker: Broker, passkeys: Passkeys, signing: Signing, device: Authenticator
) -> None:
    await register(passkeys, device)
    device.count = 9
    first = await ask(broker)
    await decide(signing, first, await sign(signing, device, first))
    request = await ask(broker)
    for count in (9, 3, -1):
        device.count = count
        signed = await sign(signing, device, request)
        if count < 9:
            await assert_refused(
                "passkey_refused", decide(signing, request, signed), broker, request
            )
    device.count = 10
    await decide(signing, request, await sign(signing, device, request))


@pytest.mark.parametrize(
    ("origin", "rp_id"),
    [("https://evil.example", "localhost"), (ORIGIN, "evil.example"), (ORIGIN + "1", "localhost")],
)
async def test_another_page_is_refused(
    broker: Broker,
    passkeys: Passkeys,
    signing: Signing,
    device: Authenticator,
    origin: str,
    rp_id: str,
) -> None:
    await register(passkeys, device)
    device.origin, device.rp_id = origin, rp_id
    request = await ask(broker)
    signed = await sign(signing, device, request)
    await assert_refused("passkey_refused", decide(signing, request, signed), broker, request)


@pytest.mark.parametrize(
    "credential",
    [
        {},
        {"id": 3},
        {"id": "é", "rawId": "é", "type": "public-key", "response": {}},
        {
            "id": "AAAA",
            "rawId": "AAAA",
            "type": "public-key",
            "response": {"clientDataJSON": "e30", "authenticatorData": "", "signature": ""},
        },
        {
            "id": "AAAA",
            "rawId": "AAAA",
            "type": "public-key",
            "response": {"clientDataJSON": "_w", "authenticatorData": "AA", "signature": "A"},
        },
    ],
)
async def test_nonsense_is_refused(
    broker: Broker,
    passkeys: Passkeys,
    signing: Signing,
    device: Authenticator,
    credential: dict[str, Any],
) -> None:
    await register(passkeys, device)
    request = await ask(broker)
    begun = await signing.challenge(request.id, APPROVE, by=PERSON)
    signed = Assertion(nonce=begun.nonce, credential=credential)
    await assert_refused("passkey_refused", decide(signing, request, signed), broker, request)
    begun = await passkeys.registration(by=BOB)
    with pytest.raises(NotPermittedError) as caught:
        await passkeys.register(
            "x", nonce=begun.nonce, credential=credential, confirmation=None, by=BOB
        )
    assert caught.value.reason_code == "passkey_refused"


async def test_an_agent_has_no_passkeys(
    broker: Broker, passkeys: Passkeys, signing: Signing
) -> None:
    request = await ask(broker)
    forged = Assertion(nonce="x", credential={})
    for attempt in (
        passkeys.registration(by=AGENT),
        signing.challenge(request.id, APPROVE, by=AGENT),
        decide(signing, request, forged, by=AGENT),
        decide(signing, request, None, by=AGENT),
    ):
        with pytest.raises(PersonRequiredError):
            await attempt


async def test_nobody_signs_in_vain(
    broker: Broker, passkeys: Passkeys, signing: Signing, device: Authenticator
) -> None:
    request = await ask(broker)
    with pytest.raises(RefusedError) as caught:
        await signing.challenge(request.id, APPROVE, by=PERSON)
    assert caught.value.reason_code == "no_passkey"
    await register(passkeys, device)
    with pytest.raises(InvalidAnswerError):
        await signing.challenge(request.id, Answer(type=DecisionType.EDIT), by=PERSON)
    await broker.cancel(request.id, by=AGENT)
    with pytest.raises(InvalidTransitionError) as closed:
        await signing.challenge(request.id, APPROVE, by=PERSON)
    assert closed.value.request is not None


async def test_a_number_without_a_canonical_form_is_not_signed(
    broker: Broker, passkeys: Passkeys, signing: Signing, device: Authenticator
) -> None:
    await register(passkeys, device)
    form = {"type": "object", "properties": {"n": {"type": "integer"}}}
    request = await ask(broker, action=None, kind=Kind.INPUT, schema=form)
    answer = Answer(type=DecisionType.RESPOND, content={"n": 2**60})
    with pytest.raises(InvalidAnswerError):
        await signing.challenge(request.id, answer, by=PERSON)


async def test_an_ip_address_has_no_passkeys(broker: Broker, device: Authenticator) -> None:
    for url in ("http://127.0.0.1:8080", "http://[::1]:8080"):
        nameless = Passkeys(broker, SECRET, relying_party(url))
        with pytest.raises(RefusedError) as caught:
            await nameless.registration(by=PERSON)
        assert caught.value.reason_code == "no_passkeys_here"


def test_the_default_port_is_not_in_the_origin() -> None:
    assert relying_party("https://A.example:443/").origin == "https://a.example"
    assert relying_party("http://localhost:8080").origin == "http://localhost:8080"


# The kept proof


@pytest.fixture
async def decided(
    broker: Broker, passkeys: Passkeys, signing: Signing, device: Authenticator
) -> Request:
    await register(passkeys, device)
    request = await ask(broker)
    answer = Answer(
        type=DecisionType.EDIT, args={"amount": 50, "to": "Ada"}, reason="Less is enough"
    )
    return await decide(signing, request, await sign(signing, device, request, answer), answer)


def flips(text: str) -> Iterator[str]:
    """The text with one bit of it flipped, for each bit that leaves it ASCII."""
    for place, letter in enumerate(text):
        for bit in range(7):
            yield text[:place] + chr(ord(letter) ^ (1 << bit)) + text[place + 1 :]


async def test_a_flipped_bit_in_the_proof_is_found(decided: Request) -> None:
    assert decided.decision is not None
    kept = decided.decision.assertion
    assert kept is not None
    for name, text in kept.items():
        for flipped in flips(text):
            with pytest.raises(NotPermittedError):
                verify_assertion(kept | {name: flipped}, decided, decided.decision)
    for name in kept:
        less = {key: value for key, value in kept.items() if key != name}
        with pytest.raises(NotPermittedError):
            verify_assertion(less, decided, decided.decision)
    with pytest.raises(NotPermittedError):
        verify_assertion(kept | {"more": ""}, decided, decided.decision)


@pytest.mark.parametrize(
    "change",
    [
        {"type": DecisionType.APPROVE},
        {"digest": "sha256:" + "0" * 64},
        {"digest": None},
        {"reason": "More"},
        {"content": "x"},
        {"option": "x"},
        {"by": Reviewer(id="eve", name="Ada")},
    ],
    ids=str,
)
async def test_another_decision_than_the_signed_one_is_found(
    decided: Request, change: dict[str, Any]
) -> None:
    assert decided.decision is not None
    other = msgspec.structs.replace(decided.decision, **change)
    with pytest.raises(NotPermittedError):
        verify_decision(msgspec.structs.replace(decided, decision=other))


@pytest.mark.parametrize("change", [{"message": "Else?"}, {"id": "x"}, {"tenant": "x"}], ids=str)
async def test_another_question_than_the_signed_one_is_found(
    decided: Request, change: dict[str, Any]
) -> None:
    with pytest.raises(NotPermittedError):
        verify_decision(msgspec.structs.replace(decided, **change))


async def test_a_proof_that_was_taken_away_is_found(decided: Request) -> None:
    bare = msgspec.structs.replace(decided.decision, assertion=None)
    with pytest.raises(NotPermittedError):
        verify_decision(msgspec.structs.replace(decided, decision=bare))


async def test_it_verifies_as_it_is_kept(decided: Request) -> None:
    kept = msgspec.json.encode(decided)
    assert verify_decision(msgspec.json.decode(kept, type=Request)) == 1


# Adding and removing


async def test_adding_another_takes_one_that_is_there(
    passkeys: Passkeys, device: Authenticator
) -> None:
    await register(passkeys, device)
    second = Authenticator(ORIGIN)
    with pytest.raises(NotPermittedError) as caught:
        await register(passkeys, second)
    assert caught.value.reason_code == "passkey_required"
    with pytest.raises(NotPermittedError) as caught:
        await register(passkeys, second, using=second)
    assert caught.value.reason_code == "passkey_refused"
    await register(passkeys, second, using=device)
    assert len(await passkeys.find(by=PERSON)) == 2
    assert await passkeys.find(by=BOB) == []


async def test_a_passkey_is_registered_once(passkeys: Passkeys, device: Authenticator) -> None:
    await register(passkeys, device)
    with pytest.raises(ConflictError):
        await register(passkeys, device, by=BOB)


async def test_a_registration_counts_once_and_for_its_person(
    passkeys: Passkeys, device: Authenticator
) -> None:
    begun = await passkeys.registration(by=PERSON)
    made = {"nonce": begun.nonce, "credential": device.create(begun.options)}
    with pytest.raises(NotPermittedError):
        await passkeys.register("x", **made, confirmation=None, by=BOB)
    kept = await passkeys.register("x", **made, confirmation=None, by=PERSON)
    ends = await passkeys.removal(kept.id, by=PERSON)
    signed = Assertion(nonce=ends.nonce, credential=device.get(ends.options))
    await passkeys.remove(kept.id, confirmation=signed, by=PERSON)
    with pytest.raises(NotPermittedError) as caught:
        await passkeys.register("x", **made, confirmation=None, by=PERSON)
    assert caught.value.reason_code == "stale_challenge"


async def test_registering_takes_a_verified_person(
    passkeys: Passkeys, device: Authenticator
) -> None:
    begun = await passkeys.registration(by=PERSON)
    with pytest.raises(NotPermittedError):
        await passkeys.register(
            "x",
            nonce=begun.nonce,
            credential=device.create(begun.options, flags=PRESENT),
            confirmation=None,
            by=PERSON,
        )


async def test_removing_takes_a_passkey_or_an_admin(
    broker: Broker, passkeys: Passkeys, device: Authenticator
) -> None:
    passkey = await register(passkeys, device)
    with pytest.raises(NotPermittedError) as caught:
        await passkeys.remove(passkey.id, confirmation=None, by=PERSON)
    assert caught.value.reason_code == "passkey_required"
    with pytest.raises(NotFoundError):
        await passkeys.remove(passkey.id, confirmation=None, by=BOB)
    other = msgspec.structs.replace(ADMIN, tenant="other")
    with pytest.raises(NotFoundError):
        await passkeys.remove(passkey.id, confirmation=None, by=other)
    with pytest.raises(NotPermittedError):
        await passkeys.find(by=BOB, person_id=PERSON.id)
    assert await passkeys.find(by=ADMIN, person_id=PERSON.id) == [passkey]
    await passkeys.remove(passkey.id, confirmation=None, by=ADMIN)
    assert await passkeys.find(by=PERSON) == []
    events, _ = await broker.store.events(EventQuery())
    assert [(event.type, event.actor) for event in events] == [
        (EventType.PASSKEY_ADDED, "person:ada"),
        (EventType.PASSKEY_REMOVED, "person:root"),
    ]


async def test_a_lost_passkey_is_removed_by_a_code_once(
    passkeys: Passkeys, device: Authenticator, clock: FakeClock
) -> None:
    one = await register(passkeys, device)
    two = await register(passkeys, Authenticator(ORIGIN), using=device)
    code = make_nonce(SECRET, LOST_PASSKEY, clock.now())
    with pytest.raises(NotFoundError):
        await passkeys.remove(one.id, confirmation=None, code=code, by=BOB)
    await passkeys.remove(one.id, confirmation=None, code=code, by=PERSON)
    for used in (code, make_nonce(b"o" * 32, LOST_PASSKEY, clock.now())):
        with pytest.raises(NotPermittedError) as caught:
            await passkeys.remove(two.id, confirmation=None, code=used, by=PERSON)
        assert caught.value.reason_code == "stale_challenge"


async def test_a_removed_passkey_signs_nothing(
    broker: Broker, passkeys: Passkeys, signing: Signing, device: Authenticator
) -> None:
    passkey = await register(passkeys, device)
    second = Authenticator(ORIGIN)
    await register(passkeys, second, using=device)
    request = await ask(broker)
    signed = await sign(signing, device, request)
    await passkeys.remove(passkey.id, confirmation=None, by=ADMIN)
    await assert_refused("passkey_refused", decide(signing, request, signed), broker, request)


async def test_a_confirmation_of_one_removal_is_none_of_another(
    passkeys: Passkeys, device: Authenticator
) -> None:
    one = await register(passkeys, device)
    second = Authenticator(ORIGIN)
    two = await register(passkeys, second, using=device)
    ends = await passkeys.removal(one.id, by=PERSON)
    signed = Assertion(nonce=ends.nonce, credential=device.get(ends.options))
    with pytest.raises(NotPermittedError):
        await passkeys.remove(two.id, confirmation=signed, by=PERSON)
    await passkeys.remove(one.id, confirmation=signed, by=PERSON)
    assert [each.id for each in await passkeys.find(by=PERSON)] == [two.id]


async def test_there_is_an_end_to_how_many_there_are(passkeys: Passkeys) -> None:
    devices = [Authenticator(ORIGIN) for _ in range(MAX_PASSKEYS)]
    for number, device in enumerate(devices):
        await register(passkeys, device, using=devices[0] if number else None)
    with pytest.raises(RefusedError) as caught:
        await passkeys.registration(by=PERSON)
    assert caught.value.reason_code == "too_many_passkeys"


async def test_a_passkey_is_renamed_by_its_person(
    passkeys: Passkeys, device: Authenticator
) -> None:
    passkey = await register(passkeys, device)
    assert (await passkeys.rename(passkey.id, "Phone", by=PERSON)).name == "Phone"
    with pytest.raises(NotFoundError):
        await passkeys.rename(passkey.id, "Mine", by=BOB)
