"""The test kit: for our own tests, and for whoever writes a backend or tests an agent.

FakeClock                  time that passes when you say so
FakeCourier                deliveries that go nowhere, and end as you say
make_request, make_draft   records with sensible defaults
sayso.testing.contracts    the suite that every store and signal passes (needs pytest)
"""

from sayso.testing.clock import FakeClock
from sayso.testing.courier import FakeCourier
from sayso.testing.factories import AGENT, PERSON, make_change, make_draft, make_request

__all__ = [
    "AGENT",
    "PERSON",
    "FakeClock",
    "FakeCourier",
    "make_change",
    "make_draft",
    "make_request",
]
