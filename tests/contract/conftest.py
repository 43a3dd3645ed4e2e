"""Backends are given the time that a busy machine needs."""

import pytest

from sayso.signals import bus, nats, postgres, redis
from sayso.stores import postgres_database, redis_database
from sayso.telemetry import postgres as traces

PATIENCE = 60.0


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the product gives up after some seconds of silence, is waited for here.

    This process, or a server, may stand still for so long and be in order all the same. Tests of
    how something is given up set a short time themselves.
    """
    monkeypatch.setattr(postgres_database, "PATIENCE_SECONDS", PATIENCE)
    monkeypatch.setattr(postgres_database, "CONNECT_SECONDS", PATIENCE)
    for name in ("_CONNECT_SECONDS", "_STATEMENT_SECONDS"):
        monkeypatch.setattr(traces, name, PATIENCE)
    for name in ("PATIENCE_SECONDS", "CONNECT_SECONDS", "ANSWER_SECONDS"):
        monkeypatch.setattr(redis_database, name, PATIENCE)
    for module in (bus, nats, postgres, redis):
        monkeypatch.setattr(module, "CONNECT_SECONDS", PATIENCE)
    for name in ("ECHO_SECONDS", "CLOSE_SECONDS"):
        monkeypatch.setattr(bus, name, PATIENCE)
    monkeypatch.setattr(bus.BusSignal, "lost_seconds", PATIENCE)
