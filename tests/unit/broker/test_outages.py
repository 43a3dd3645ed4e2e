"""What goes on failing: a line when it begins, a line when it is over, and a count between."""

import logging

import pytest

from sayso.broker.outages import Outage
from sayso.errors import StoreError

AWAY = StoreError("The database is away.")


def test_an_outage_is_two_lines_however_long_it_lasts(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    outage = Outage(logging.getLogger("sayso.test"), "deadlines")
    outage.over()
    for _ in range(100):
        outage.failed(AWAY)
    assert outage.failures == 100
    outage.over()
    outage.over()
    outage.failed(AWAY)
    assert [record.getMessage() for record in caplog.records] == [
        f"deadlines wait for the store: {AWAY}",
        "deadlines go on, after 100 failed tries",
        f"deadlines wait for the store: {AWAY}",
    ]
