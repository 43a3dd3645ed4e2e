"""The parts of a report: each a table with words before and after it."""

import textwrap
from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct

from bench.figures import Figure, Line
from bench.passes import Passes
from bench.peers.contenders import ABOUT
from bench.profile import LOOKS_A_SECOND, Profile


class Section(Struct, kw_only=True):
    """One part; its first column is text, and so is the last one if that says `verdict`."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    before: str = ""
    after: str = ""


def figures(title: str, lines: Sequence[Line], sides: tuple[str, str]) -> Section:
    """Figures beside what they are measured by."""
    head = ("figure", sides[0], "passes", sides[1], "ratio", "goal", "falls short", "verdict")
    return Section(title=title, head=head, rows=[_cells(line) for line in lines])


def growth(lines: Sequence[Line], few: int, many: int) -> Section:
    """What a large store costs beside a small one."""
    section = figures("Many pending", lines, (f"{many:,} pending", f"{few:,} pending"))
    section.before = _GROWTH
    return section


def gate(lines: Sequence[Line]) -> Section:
    """The gate beside another one."""
    section = figures("The gate", lines, ("Sayso", "hitloop"))
    section.before = _GATE
    return section


def lab(lines: Sequence[Line]) -> Section:
    """Experiments beside another library's."""
    section = figures("Experiments", lines, ("Sayso", "hitloop"))
    section.before = _LAB
    return section


def peers(shape: str, passes: Passes) -> Section:
    """Contenders beside one another."""
    columns = _COLUMNS[shape]
    rows = [
        (side, *(_cell(passes, side, name, digits) for _, name, digits in columns))
        for side in passes.values
    ]
    return Section(
        title=_TITLES[shape],
        head=("who", *(title for title, _, _ in columns)),
        rows=rows,
        before=_SAID[shape],
        after="\n".join(item(f"{side} could not be measured.") for side in passes.failed),
    )


def about(taking_part: Collection[str]) -> str:
    """What each contender does and does not do."""
    seen = {side.split(",")[0] for side in taking_part}
    return "\n".join(item(f"**{name}** is {text}") for name, text in ABOUT.items() if name in seen)


def limits(profile: Profile) -> Section:
    """Where the server's time goes."""
    total = sum(profile.seen.values())
    idle = max(0, profile.looks - total)
    seen = {**profile.seen, **({"nothing to do": idle} if idle else {})}
    return Section(
        title=f"What limits it: {profile.name}",
        head=("part", "seen", "share"),
        rows=[
            (part, f"{number:,}", f"{number / (total + idle):.1%}") for part, number in seen.items()
        ],
        before=_LIMITS.format(
            looks=profile.looks, seconds=profile.looks // LOOKS_A_SECOND, rate=profile.rate
        ),
    )


def missed(lines: Sequence[Line]) -> str:
    """The goals that were not reached, in words."""
    short = [line for line in lines if line.verdict in ("below goal", "falls short")]
    if not lines:
        return "Nothing with a goal was measured in this run."
    if not short:
        return "Every goal was reached in this run."
    told = ["In this run these goals were not reached:", ""]
    for line in short:
        name, product, _, reference, ratio, goal, _, verdict = _cells(line)
        beside = f"; beside it stands {reference}, the ratio is {ratio}" if reference else ""
        told.append(item(f"**{name}**: {product}, goal {goal} ({verdict}){beside}."))
    return "\n".join(told)


def _cells(line: Line) -> tuple[str, ...]:
    figure = line.figure
    return (
        figure.name,
        _with_unit(figure, line.product),
        f"{_number(figure, line.lowest)} to {_number(figure, line.highest)}"
        if line.lowest != line.highest
        else "",
        "" if line.reference is None else _with_unit(figure, line.reference),
        "" if line.ratio is None else f"{line.ratio:.2f}",
        _bounds(figure, figure.goal, figure.goal_share, met=True),
        _bounds(figure, figure.short, figure.short_share, met=False),
        line.verdict,
    )


def _bounds(figure: Figure, bound: float | None, share: float | None, *, met: bool) -> str:
    sign = "≥" if figure.more_is_better is met else "≤"
    if not met:
        sign = "<" if figure.more_is_better else ">"
    unit = f" {figure.unit}" if figure.unit else ""
    told = [] if bound is None else [f"{bound:,g}{unit}"]
    told += [] if share is None else [f"{share:.2g}x"]
    return f"{sign} {' or '.join(told)}" if told else ""


def _number(figure: Figure, value: float) -> str:
    return f"{value:,.{figure.digits}f}"


def _with_unit(figure: Figure, value: float) -> str:
    return f"{_number(figure, value)} {figure.unit}".rstrip()


def item(text: str) -> str:
    """An item of a list, folded."""
    return textwrap.fill(text, 100, initial_indent="- ", subsequent_indent="  ")


def _cell(passes: Passes, side: str, name: str, digits: int) -> str:
    value = passes.median(side, name)
    return "" if value is None else f"{value:,.{digits}f}"


_COLUMNS: Mapping[str, Sequence[tuple[str, str, int]]] = {
    "pause": (
        ("pauses/s", "pauses", 0),
        ("p50 ms", "pause_p50_ms", 1),
        ("p99 ms", "pause_p99_ms", 1),
        ("resumes/s", "resumes", 0),
        ("p50 ms", "resume_p50_ms", 1),
        ("p99 ms", "resume_p99_ms", 1),
    ),
    "wait": (
        ("cycles/s", "cycles", 0),
        ("decide to go on, p50 ms", "loaded_p50_ms", 1),
        ("p99 ms", "loaded_p99_ms", 1),
        ("one by one, p50 ms", "alone_p50_ms", 1),
        ("p99 ms", "alone_p99_ms", 1),
    ),
}
_GROWTH = """\
The store alone, opened in a process of its own: no HTTP, no broker. It is filled through its port,
each request with its event, about 1 KB; their deadlines are 5, 15 and 60 minutes, a day, or none.
128 callers submit, and decide pending requests taken at random; reads, pages of 50 and sweeps come
one after the other. A decision reads the request first. This is one pass, and rates are the medians
of three rounds of 2,500. Below one third of the rate of the small store the goal is missed, below
one fifth it falls short."""
_GATE = """\
One caller, one call after the other, each of about 1 KB, none of which anybody has to approve: the
policy is asked, the tool does nothing, and proposal, start and end are logged to a SQLite file, in
one process on one core. hitloop commits each event before it goes on; Sayso's are written by a
thread a moment later, with all arguments, and are counted at the end: not one may be missing."""
_LAB = """\
The standard conditions on e-mails, an error in every fifth action, all events in a SQLite file, in
one process on one core. Sayso's simulated people state how long they took; hitloop's sleep, and its
second figure is without that. Sayso's trials go through the gate that is used in production."""
_LIMITS = """\
The product under that load, looked at {looks:,} times in {seconds} s by a sampling profiler; it did
{rate:,.0f}/s, slowed down by that. A thread is counted when it was running, or could have been if
the core had been free, so there are more counts than looks when two threads compete for it."""
_TITLES = {
    "pause": "Beside others: pause and resume",
    "wait": "Beside others: wait and go on",
}
SHAPES = tuple(_TITLES)
_SAID = {
    "pause": """\
64 callers ask, one question of about 1 KB after the other, and nothing is answered; a pause is
counted when the question is kept. Then 64 callers answer them; a resume is counted when the one who
asked has the answer. With Sayso that is a submit, and then a decision and a look by the agent.

A library shares its process, and so one core, with those who call it; PostgreSQL and Redis have the
other one for the most part. Sayso's server has a core, and its callers have the other.""",
    "wait": """\
64 callers go round: ask, wait 5 ms or more, be answered, go on. With Sayso that is a submit, a held
wait, a decision, the release, all over HTTP. Then 200 questions stand and 50 decisions a second
come in; "one by one" is the time from giving one until the one who asked has it.""",
}
