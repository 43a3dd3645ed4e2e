"""Lists for people: headings, columns, and what to do where there is nothing to list."""

import re

import pytest

from sayso.cli.listing import moment, print_list, stream_line


def test_columns_stand_below_their_headings_however_wide_their_characters_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_list(("ID", "SET BY", "NOTE"), [("1", "承認", "x"), ("200", None, "")])
    assert capsys.readouterr().out.splitlines() == [
        "ID   SET BY  NOTE",
        "1    承認    x",
        "200  -       -",
    ]


def test_a_cell_breaks_no_line_and_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_list(("A", "B"), [("one\ntwo", "\x1b[2J")])
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 2
    assert "\x1b" not in out


def test_an_empty_list_says_what_to_do_next_and_nothing_to_a_pipe(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_list(("A",), [], "No keys yet: keys create --label NAME")
    assert capsys.readouterr() == ("", "No keys yet: sayso keys create --label NAME\n")


def test_blanks_within_a_cell_part_no_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_list(("A", "B"), [("one   two", "x")])
    assert capsys.readouterr().out.splitlines()[1] == "one two  x"


@pytest.mark.parametrize("blanks", [" ", "   "])
def test_a_cell_of_blanks_keeps_its_column_and_is_not_taken_for_none(
    capsys: pytest.CaptureFixture[str], blanks: str
) -> None:
    print_list(("A", "B", "C", "D"), [("x", blanks, None, blanks)])
    assert capsys.readouterr().out.split("\n")[1].split("  ") == ["x", r"\x20", "-", r"\x20"]
    assert re.split("  +", stream_line(("x", blanks, "y"), (4, 9, 1))) == ["x", r"\x20", "y"]


def test_a_long_cell_is_cut_on_a_terminal_and_whole_in_a_pipe(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = ("承認" * 30, "x" * 100)
    print_list(("A", "B"), [row])
    assert capsys.readouterr().out.splitlines()[1] == "  ".join(row)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    print_list(("A", "B"), [row])
    assert capsys.readouterr().out.splitlines()[1] == f"{'承認' * 9}承…  {row[1]}"


def test_moments_are_told_to_the_second() -> None:
    assert moment("2026-11-21T12:00:00.123456Z") == "2026-11-21T12:00:00Z"
    assert moment("2026-11-21T12:00:00Z") == "2026-11-21T12:00:00Z"
    assert moment(None) == ""
