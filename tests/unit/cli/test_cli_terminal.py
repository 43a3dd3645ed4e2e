import json
import unicodedata
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sayso.cli.terminal import json_text, relative, visible

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
STEERING = ("Cc", "Cf", "Cs", "Zl", "Zp")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Deploy v2?", "Deploy v2?"),
        ("\x1b[2J\x1b[31mred", r"\x1b[2J\x1b[31mred"),
        ("\x9b31m", r"\x9b31m"),
        ("\x1b]8;;http://evil\x07ok", r"\x1b]8;;http://evil\x07ok"),
        ("pay \u202e001\u202c", r"pay \u202e001\u202c"),
        ("zero\u200bwidth\ufeff", r"zero\u200bwidth\ufeff"),
        ("tag\U000e0041", r"tag\U000e0041"),
        ("filler\u3164", r"filler\u3164"),
        ("line\u2028break\r\n\t\x7f\x00", r"line\u2028break\r\n\t\x7f\x00"),
        ("Grüße, 東京 \N{THUMBS UP SIGN}", "Grüße, 東京 \N{THUMBS UP SIGN}"),
        ("[red]markup[/red]", "[red]markup[/red]"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_steers_a_terminal_is_spelled_out(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_line_breaks_may_stay_where_there_is_room_for_them() -> None:
    assert visible("a\n\tb\r", lines=True) == "a\n\tb\\r"


@given(st.text(st.characters()))
def test_nothing_that_steers_gets_through(text: str) -> None:
    assert not [c for c in visible(text) if unicodedata.category(c) in STEERING]
    assert "\x1b" not in visible(text, lines=True)


@given(st.dictionaries(st.text(), st.text()), st.sampled_from([None, 2]))
def test_json_is_as_safe_and_reads_back_as_the_same(value: object, indent: int | None) -> None:
    text = json_text(value, indent=indent)
    assert json.loads(text) == value
    assert not [c for c in text if unicodedata.category(c) in STEERING and c != "\n"]


@pytest.mark.parametrize(
    ("offset", "shown"),
    [
        (0.2, "now"),
        (-5, "5 s ago"),
        (-60, "1 min ago"),
        (-7199, "1 h ago"),
        (90, "in 1 min"),
        (200_000, "in 2 d"),
    ],
)
def test_relative_times_are_rounded_down(offset: float, shown: str) -> None:
    assert relative(NOON + timedelta(seconds=offset), NOON) == shown
