"""What a decision takes is told in Python and in script: both must tell a person the same."""

import itertools
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sayso.domain import lifecycle
from sayso.domain.accounts import Plane, Principal, Strength
from sayso.domain.decisions import Answer, Channel, DecisionType
from sayso.domain.lifecycle import Decide
from sayso.domain.requests import OnTimeout, Request
from sayso.domain.review import check_reviewer
from sayso.errors import InvalidAnswerError, NotPermittedError
from sayso.server.inbox import review, samples

ROOT = Path(__file__).parents[3]
STATIC = ROOT / "src/sayso/server/inbox/static"
SCRIPT = """
const [folder] = process.argv.slice(1)
const text = (await import('node:fs')).readFileSync(0, 'utf8')
const review = await import(`${folder}/review.js`)
const { parse } = await import(`${folder}/json.js`)
const { counted } = await import(`${folder}/marks.js`)
const { span } = await import(`${folder}/time.js`)
const cases = parse(text)
process.stdout.write(JSON.stringify({
  rules: cases.rules.map(rule => review.demands(rule, cases.names, 'ada')),
  requests: cases.requests.map(r => ({
    counted: counted(r), shown: review.shown(r)?.digest ?? null,
    remember: review.mayRemember(r), asker: review.asker(r), phase: review.phase(r),
    changer: review.changer(r)?.id ?? null,
    barred: cases.people.map(p => review.barred(r, p)),
    offers: cases.people.map(p => review.offers(r, p)),
    silence: review.silence(r, cases.names, 'ada'),
  })),
  spans: cases.spans.map(span),
  stopped: cases.named.map(r => Boolean(review.stopOf(r, [cases.stop]))),
}))
"""
NAMES = {"grace": "Grace Hopper", "alan": "Alan Turing"}
PEOPLE = [
    samples.PERSON,
    *(
        {"id": name, "groups": groups, "strength": strength}
        for name in ("ada", "grace", "x")
        for groups in ([], ["legal"])
        for strength in (None, "link", "login", "passkey")
    ),
]
STOP = {"kind": "agent", "value": "Ops Bot"}
NAMED = [
    {"requested_by": {"id": "1", "name": name}}
    for name in (
        *(
            "Ops Bot",
            "ops bot ",
            "Ops\u00a0Bot",
            "Ops\u200bBot",
            "\u041eps Bot",
            "\uff2fps B\u00f8t",
        ),
        *("\U0001d40eps B\u03bft", "Ops B\u2800ot", "Ops Bo", "Ops Bott", "", "\U000e0041Ops Bot"),
    )
]
SPANS = [0, 1, 59.4, 60, 900.0, 3600, 3660, 5400, 86_399, 86_400, 90_000, 31_622_400]


def rules() -> list[dict[str, Any] | None]:
    found: list[dict[str, Any] | None] = [None]
    for approvals, people, groups, veto in itertools.product(
        (1, 2, 5),
        ([], ["grace"], ["ada"], ["grace", "ada", "x"], ["x"], ["x", "y"]),
        ([], ["payments"], ["payments", "legal"]),
        (True, False),
    ):
        strength = ("link", "chat", "login", "passkey")[len(found) % 4]
        found.append(
            {
                "approvals": approvals,
                "people": people,
                "groups": groups,
                "four_eyes": len(found) % 3 == 0,
                "veto": veto,
                "min_strength": strength,
                "grant_seconds": None if len(found) % 2 else 900.0,
                "names": [],
            }
        )
    return found


RULES = rules()
REQUESTS = [
    *(state["request"] for state in samples.states()),
    *({**samples.deploy(), "rule": rule} for rule in RULES),
    *(
        {**request, "rule": rule}
        for request in (
            samples.choice(),
            samples.question(),
            samples.form(),
            {**samples.deploy(), "options": samples.choice()["options"]},
            {**samples.deploy(), "options": [{"label": "No", "value": "no", "approves": False}]},
        )
        for rule in RULES[:40]
    ),
    *(
        {**samples.deploy(), "on_timeout": silence, "escalate_to": rule, "escalated_at": since}
        for silence in OnTimeout
        for rule in RULES[:12]
        for since in (None, "2026-01-01T00:00:00Z")
    ),
]


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    """What the script says of every case."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is missing: run tools/install_test_tools.py")
    cases = {"rules": RULES, "names": NAMES, "requests": REQUESTS, "people": PEOPLE, "spans": SPANS}
    cases |= {"stop": STOP, "named": NAMED}
    ran = subprocess.run(
        [
            node,
            "--no-warnings",
            "--input-type=module",
            "--eval",
            SCRIPT,
            str(STATIC),
        ],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_what_a_rule_takes_reads_the_same_in_script(told: dict[str, Any]) -> None:
    assert told["rules"] == [review.demands(rule, NAMES, "ada") for rule in RULES]


def test_a_request_is_reviewed_the_same_in_script(told: dict[str, Any]) -> None:
    for said, request in zip(told["requests"], REQUESTS, strict=True):
        count, shown, changer = (
            review.counted(request),
            review.shown(request),
            review.changer(request),
        )
        assert said == {
            "counted": None if count is None else list(count),
            "shown": None if shown is None else shown["digest"],
            "remember": review.may_remember(request),
            "asker": review.asker(request),
            "phase": review.phase(request),
            "changer": None if changer is None else changer["id"],
            "barred": [review.barred(request, person) for person in PEOPLE],
            "offers": [review.offers(request, person) for person in PEOPLE],
            "silence": review.silence(request, NAMES, "ada"),
        }


def is_taken(request: Request, person: dict[str, Any], name: str) -> bool:
    """Whether the engine takes this answer from them; they sign with a passkey if that is asked."""
    kind, _, option = name.partition(":")
    is_passkey = request.rule is not None and request.rule.min_strength is Strength.PASSKEY
    known = "passkey" if is_passkey else person["strength"]
    by = Principal(
        plane=Plane.PERSON,
        id=person["id"],
        name=person["id"],
        groups=frozenset(person["groups"]),
        strength=known and Strength(known),
    )
    answer = Answer(
        type=DecisionType("respond" if option else kind),
        args={"a": 1} if kind == "edit" else None,
        content="Yes" if kind == "respond" else None,
        option=option or None,
    )
    asked = msgspec.structs.replace(request, votes=(), proposed_args=None, proposed_digest=None)
    decide = Decide(answer=answer, by=by, channel=Channel.WEB)
    try:
        lifecycle.apply(asked, decide, asked.created_at)
    except (NotPermittedError, InvalidAnswerError):
        return False
    return True


def test_the_card_offers_exactly_what_the_server_takes() -> None:
    seen: set[tuple[str, str]] = set()
    for request in REQUESTS:
        if request["status"] != "pending":
            continue
        kept = msgspec.convert(request, Request)
        all_names = review.offers(request, None)
        names = set(all_names) - {"remember", "cancel", "stop"}
        left_out = {each.value for each in DecisionType} - names
        for person in PEOPLE[1:]:
            offered = review.offers(request, person)
            taken = {name for name in names if is_taken(kept, person, name)}
            assert set(offered) - {"remember"} == taken | {"cancel", "stop"}
            bar = review.barred(request, person)
            assert ("remember" in offered) == (not bar and "remember" in all_names)
            wrong = {name for name in left_out if is_taken(kept, person, name)}
            assert wrong <= ({"approve", "respond"} if request["options"] else set())
            seen |= {(bar, name) for name in taken}
            if kept.rule is not None and kept.rule.min_strength is Strength.PASSKEY:
                plain = review.offers(request, person, script=False)
                assert not {"approve", "edit", "remember"} & set(plain)
    assert {("four_eyes", "respond"), ("strength", "option:no")} <= seen


def test_what_is_offered_depends_on_what_a_role_may_do() -> None:
    request = {**samples.deploy(), "rule": {**RULES[-1], "people": ["grace"], "groups": []}}
    admin = {"id": "x", "groups": [], "strength": "login", "powers": ["submit", "decide", "manage"]}
    assert review.offers(request, admin) == ["cancel", "stop"]
    assert review.offers(request, {**admin, "powers": ["submit"]}) == ["cancel"]
    assert review.offers(request, {**admin, "powers": ["read"]}) == []


def test_only_whom_the_server_would_refuse_is_barred() -> None:
    """The server's own rule, asked about the same people."""
    for request in REQUESTS:
        if request["status"] != "pending" or request["rule"] is None:
            continue
        kept = msgspec.convert(request, Request)
        rule = kept.rule
        assert rule is not None
        for person in PEOPLE[1:]:
            by = Principal(
                plane=Plane.PERSON,
                id=person["id"],
                name=person["id"],
                groups=frozenset(person["groups"]),
                strength=person["strength"] and Strength(person["strength"]),
            )
            if rule.min_strength is Strength.PASSKEY:  # which is asked for when they press
                rule = msgspec.structs.replace(rule, min_strength=Strength.LINK)
            try:
                check_reviewer(kept, rule, by, approves=True)
            except NotPermittedError as error:
                assert review.barred(request, person) == error.reason_code.removesuffix("_required")
            else:
                assert review.barred(request, person) == ""


def test_what_an_agents_stop_covers_is_the_same_in_script(told: dict[str, Any]) -> None:
    covered = [review.stop_of(request, [STOP]) is not None for request in NAMED]
    assert told["stopped"] == covered
    assert covered[:5] == [True] * 5
    assert covered[8:11] == [False] * 3


def test_a_stretch_of_time_reads_the_same_in_script(told: dict[str, Any]) -> None:
    assert told["spans"] == [review.span(seconds) for seconds in SPANS]


def test_limits_are_told_in_words() -> None:
    assert review.pattern({"equals": "a"}) == 'exactly "a"'
    assert review.pattern({"glob": "*@example.com"}) == "matches *@example.com"
    assert review.pattern({"min": 1.0, "max": 20.0}) == "from 1 to 20"
    assert review.pattern({"max": 2.5}) == "2.5 or less"
    assert review.pattern({"any": True}) == "anything"
