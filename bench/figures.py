"""The figures: where each comes from, what is to be reached, and below what it falls short."""

from collections.abc import Mapping

from msgspec import Struct, structs

from bench.scenarios import MOST_HELD, Passes


class Figure(Struct, frozen=True, kw_only=True):
    """One line of the table."""

    scenario: str
    value: str
    """Its name among the values of a pass."""
    name: str
    unit: str = ""
    digits: int = 0
    more_is_better: bool = False
    goal: float | None = None
    short: float | None = None
    share: float | None = None
    """It also falls short below this share of the reference in the same run."""


class Line(Struct, frozen=True, kw_only=True):
    """A figure as measured: medians of the passes."""

    figure: Figure
    product: float
    reference: float | None
    ratio: float | None
    lowest: float
    highest: float
    verdict: str
    """`reached`, `below goal`, `falls short`, or nothing where there is no goal."""


def _at_least(
    scenario: str, value: str, name: str, goal: float, short: float, share: float | None = None
) -> Figure:
    return Figure(
        scenario=scenario,
        value=value,
        name=name,
        more_is_better=True,
        goal=goal,
        short=short,
        share=share,
    )


def _at_most(
    scenario: str, value: str, name: str, unit: str, goal: float | None, short: float | None
) -> Figure:
    return Figure(
        scenario=scenario, value=value, name=name, unit=unit, digits=2, goal=goal, short=short
    )


def _shown(scenario: str, value: str, name: str, unit: str) -> Figure:
    """One without a goal, which helps to read the one above it."""
    return Figure(scenario=scenario, value=value, name=f"  {name}", unit=unit, digits=1)


FIGURES = (
    _at_least("submits", "rate", "durable submits/s, 128 connections", 15_000, 10_000, 0.6),
    _shown("submits", "p50_ms", "submit to reply, p50", "ms"),
    _shown("submits", "p99_ms", "submit to reply, p99", "ms"),
    _shown("submits", "cpu_us", "server's processor time for each", "us"),
    _at_least("cycles", "rate", "full cycles/s, 256 in flight", 5_000, 3_000, 0.6),
    _shown("cycles", "p50_ms", "decide to release at that load, p50", "ms"),
    _shown("cycles", "p99_ms", "decide to release at that load, p99", "ms"),
    _shown("cycles", "cpu_us", "server's processor time for each", "us"),
    _at_most("held-1000", "p50_ms", "decide to release, 1,000 held, p50", "ms", 1, None),
    _at_most("held-1000", "p99_ms", "decide to release, 1,000 held, p99", "ms", 10, 30),
    _shown("held-1000", "rss_mb", "memory with 1,000 waits held", "MB"),
    _shown("held-1000", "kb_each", "each held wait", "KB"),
    _at_most("held-10000", "p50_ms", "decide to release, 10,000 held, p50", "ms", 1, None),
    _at_most("held-10000", "p99_ms", "decide to release, 10,000 held, p99", "ms", 10, 30),
    _at_most("held-10000", "rss_mb", "memory with 10,000 waits held", "MB", 200, 300),
    _shown("held-10000", "kb_each", "each held wait", "KB"),
    _at_least("held-10000", "burst", "releases/s, all 10,000 decided at once", 12_000, 6_000),
    _at_most("start-up", "ready_s", "server start to ready", "s", 1, 2),
    _at_most("start-up", "import_ms", "import sayso", "ms", 100, 200),
    _at_most("start-up", "help_ms", "sayso --help", "ms", 200, 400),
)


def lines(measured: Mapping[str, Passes], held: int = MOST_HELD) -> list[Line]:
    """The table, as far as it was measured; `held` is how many waits stood for the 10,000."""
    table: list[Line] = []
    for figure in _figures(held):
        passes = measured.get(figure.scenario)
        product = passes.median("product", figure.value) if passes else None
        if passes is None or product is None:
            continue
        reference = passes.median("reference", figure.value)
        all_values = passes.values["product"][figure.value]
        table.append(
            Line(
                figure=figure,
                product=product,
                reference=reference,
                ratio=product / reference if reference else None,
                lowest=min(all_values),
                highest=max(all_values),
                verdict=_verdict(figure, product, reference),
            )
        )
    return table


def _verdict(figure: Figure, product: float, reference: float | None) -> str:
    if figure.goal is None:
        return ""
    if figure.short is not None and _worse(figure, product, figure.short):
        return "falls short"
    if figure.share is not None and reference and product < figure.share * reference:
        return "falls short"
    return "below goal" if _worse(figure, product, figure.goal) else "reached"


def _worse(figure: Figure, value: float, bound: float) -> bool:
    return value < bound if figure.more_is_better else value > bound


def _figures(held: int) -> list[Figure]:
    """The figures; with fewer waits than meant they say so, and memory proves nothing then."""
    if held == MOST_HELD:
        return list(FIGURES)
    said, true = f"{MOST_HELD:,}", f"{held:,}"
    renamed = [structs.replace(f, name=f.name.replace(said, true)) for f in FIGURES]
    return [
        structs.replace(f, goal=None, short=None) if f.value == "rss_mb" else f for f in renamed
    ]
