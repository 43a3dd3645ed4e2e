"""How busy a host is, and whether it is left alone: with a clock that is moved."""

from datetime import timedelta

import pytest

from sayso.broker.targets import FIRST_PAUSE, LONGEST_PAUSE, MAX_RUNNING, Target, Targets, host_of
from sayso.testing import FakeClock
from sayso.testing.factories import make_job, make_request


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def target() -> Target:
    return Target(chance=lambda: 0.5)


def tried(target: Target, clock: FakeClock, *, works: bool, seconds: float = 0.1) -> None:
    assert target.comes_later(clock.now()) is None
    target.began()
    target.ended(clock.now(), seconds, works=works)


def test_it_opens_after_five_failures_in_a_row(target: Target, clock: FakeClock) -> None:
    for _ in range(4):
        tried(target, clock, works=False)
    tried(target, clock, works=True)
    for _ in range(5):
        tried(target, clock, works=False)
    later = target.comes_later(clock.now())
    assert later is not None
    assert later >= clock.now() + FIRST_PAUSE


def test_one_try_tells_whether_it_works_again(target: Target, clock: FakeClock) -> None:
    for _ in range(5):
        tried(target, clock, works=False)
    clock.advance(FIRST_PAUSE.total_seconds())
    assert target.comes_later(clock.now()) is None
    target.began()
    assert target.comes_later(clock.now()) is not None, "the others wait for its outcome"
    target.ended(clock.now(), 0.1, works=True)
    for _ in range(MAX_RUNNING):
        assert target.comes_later(clock.now()) is None
        target.began()


def test_the_pause_doubles_up_to_five_minutes(target: Target, clock: FakeClock) -> None:
    for _ in range(5):
        tried(target, clock, works=False)
    for seconds in (30, 60, 120, 240, 300, 300):
        clock.advance(seconds - 0.001)
        assert target.comes_later(clock.now()) is not None
        clock.advance(0.001)
        tried(target, clock, works=False)
    assert timedelta(seconds=300) == LONGEST_PAUSE


def test_tries_that_were_under_way_as_it_opened_do_not_make_it_worse(
    target: Target, clock: FakeClock
) -> None:
    for _ in range(MAX_RUNNING):
        target.began()
    for _ in range(MAX_RUNNING):
        target.ended(clock.now(), 0.1, works=False)
    clock.advance(FIRST_PAUSE.total_seconds())
    assert target.comes_later(clock.now()) is None


def test_a_try_that_was_broken_off_tells_nothing(target: Target, clock: FakeClock) -> None:
    for _ in range(10):
        target.began()
        target.left()
    assert target.comes_later(clock.now()) is None
    assert not target.is_busy


def test_what_does_not_fit_comes_back_when_there_will_be_room(
    target: Target, clock: FakeClock
) -> None:
    for _ in range(200):
        tried(target, clock, works=True, seconds=8)
    for _ in range(MAX_RUNNING):
        target.began()
    while target.comes_later(clock.now()) is None:  # a few are held, for half a second of work
        target.held.append(make_job(make_request(), str(len(target.held))))
    assert len(target.held) == 2
    waits = [target.comes_later(clock.now()) for _ in range(64)]
    assert waits == sorted(waits, key=str)
    assert waits[-1] - clock.now() == pytest.approx(timedelta(seconds=16), abs=timedelta(seconds=1))
    assert target.is_crowded(clock.now())


def test_only_the_hosts_used_last_are_remembered_whether_or_not_they_work(
    clock: FakeClock,
) -> None:
    targets = Targets(10)
    failing = targets.get("failing")
    for _ in range(5):
        tried(failing, clock, works=False)
    running, holding = targets.get("running"), targets.get("holding")
    running.began()
    holding.held.append(make_job(make_request(), "1"))
    for number in range(5):
        tried(targets.get(str(number)), clock, works=False)
        assert targets.get("failing") is failing
    for number in range(1_000):
        tried(targets.get(f"another {number}"), clock, works=False)
        assert len(targets) <= 10
    assert len(targets) == 10
    assert targets.get("running") is running
    assert targets.get("holding") is holding
    assert targets.get("failing") is not failing


def test_what_is_under_way_is_not_forgotten_even_if_that_is_too_much() -> None:
    targets = Targets(3)
    for number in range(5):
        targets.get(str(number)).began()
    assert len(targets) == 5
    assert all(targets.get(str(number)).is_busy for number in range(5))
    for number in range(5):
        targets.get(str(number)).left()
    targets.get("another")
    assert len(targets) == 3


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://agent.example/a?b", "https://agent.example:"),
        ("https://AGENT.example:8443/", "https://agent.example:8443"),
        ("http://[::1]:80/", "http://::1:80"),
        ("http://[::1", "http://[::1"),
    ],
)
def test_a_host_is_a_scheme_a_name_and_a_port(url: str, host: str) -> None:
    assert host_of(url) == host
