import math

import msgspec
import pytest
from driven import PENDING, World, replied

from sayso.client import rules
from sayso.domain.patterns import Pattern, StandingDraft
from sayso.errors import InvalidRequestError, ServerError

STOP = {
    "kind": "session",
    "value": "a/b",
    "set_by": "person:local",
    "set_at": "2026-11-21T12:00:00Z",
}


def test_a_name_with_a_slash_is_one_part_of_the_address() -> None:
    world = World()
    stop = world.run(rules.lift(world.protocol, "session:a/b"), replied(STOP))
    assert stop.name == "session:a/b"
    (send,) = world.sends
    assert (send.method, send.path) == ("DELETE", "/api/v1/stops/session%3Aa%2Fb")


def test_a_standing_grant_is_sent_with_what_was_said_and_no_more() -> None:
    world = World()
    limits = {"args": {"to": {"glob": "*@x"}}, "uses": 2, "note": None}
    with pytest.raises(ServerError):  # an empty object is no answer
        world.run(rules.give(world.protocol, "mail", limits), replied({}))
    sent = msgspec.json.decode(world.sends[0].content or b"")
    assert sent == {"tool_name": "mail", "args": {"to": {"glob": "*@x"}}, "uses": 2}


def test_a_misspelt_limit_is_the_callers_mistake() -> None:
    world = World()
    with pytest.raises(TypeError, match="'use'"):
        world.run(rules.preview(world.protocol, "mail", {"use": 2}))
    assert world.sends == []


def test_a_bound_that_is_no_number_is_not_sent_as_no_bound() -> None:
    world = World()
    draft = StandingDraft(tool_name="mail", args={"n": Pattern(max=math.nan)})
    with pytest.raises(InvalidRequestError):
        world.run(world.protocol.decide("r1", "approve", remember=draft))
    assert world.sends == []


def test_a_decision_tells_what_was_seen_and_what_to_remember() -> None:
    world = World()
    draft = StandingDraft(tool_name="mail", args={"n": Pattern(equals=None)})
    decide = world.protocol.decide("r1", "approve", digest="sha256:0", remember=draft)
    world.run(decide, replied(PENDING))
    sent = msgspec.json.decode(world.sends[0].content or b"")
    assert sent["digest"] == "sha256:0"
    assert "equals" in sent["remember"]["args"]["n"]
