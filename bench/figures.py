"""The figures: where each comes from, what is to be reached, and below what it falls short."""

from collections.abc import Mapping, Sequence

from msgspec import Struct, structs

from bench.passes import MOST_HELD, Passes


class Figure(Struct, frozen=True, kw_only=True):
    """One line of a table: the product beside something that it is measured by."""

    scenario: str
    value: str
    """Its name among the values of a pass."""
    name: str
    unit: str = ""
    digits: int = 0
    more_is_better: bool = False
    goal: float | None = None
    short: float | None = None
    goal_share: float | None = None
    """The goal is this share of the reference in the same run."""
    short_share: float | None = None
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


def at_least(
    scenario: str, value: str, name: str, goal: float, short: float, share: float | None = None
) -> Figure:
    """A rate, with a goal in numbers."""
    return Figure(
        scenario=scenario,
        value=value,
        name=name,
        more_is_better=True,
        goal=goal,
        short=short,
        short_share=share,
    )


def ratio_at_least(scenario: str, value: str, name: str, goal: float, short: float) -> Figure:
    """A rate whose goal is a share of the reference."""
    return Figure(
        scenario=scenario,
        value=value,
        name=name,
        more_is_better=True,
        goal_share=goal,
        short_share=short,
    )


def at_most(
    scenario: str, value: str, name: str, unit: str, goal: float | None, short: float | None
) -> Figure:
    """A time or a size, with a goal."""
    return Figure(
        scenario=scenario, value=value, name=name, unit=unit, digits=2, goal=goal, short=short
    )


def shown(scenario: str, value: str, name: str, unit: str, digits: int = 1) -> Figure:
    """One without a goal, which helps to read the one above it."""
    return Figure(scenario=scenario, value=value, name=f"  {name}", unit=unit, digits=digits)


FIGURES = (
    at_least("submits", "rate", "durable submits/s, 128 connections", 15_000, 10_000, 0.6),
    shown("submits", "p50_ms", "submit to reply, p50", "ms"),
    shown("submits", "p99_ms", "submit to reply, p99", "ms"),
    shown("submits", "cpu_us", "server's processor time for each", "us"),
    at_least("cycles", "rate", "full cycles/s, 256 in flight", 5_000, 3_000, 0.6),
    shown("cycles", "p50_ms", "decide to release at that load, p50", "ms"),
    shown("cycles", "p99_ms", "decide to release at that load, p99", "ms"),
    shown("cycles", "cpu_us", "server's processor time for each", "us"),
    at_most("held-1000", "p50_ms", "decide to release, 1,000 held, p50", "ms", 1, None),
    at_most("held-1000", "p99_ms", "decide to release, 1,000 held, p99", "ms", 10, 30),
    shown("held-1000", "rss_mb", "memory with 1,000 waits held", "MB"),
    shown("held-1000", "kb_each", "each held wait", "KB"),
    at_most("held-10000", "p50_ms", "decide to release, 10,000 held, p50", "ms", 1, None),
    at_most("held-10000", "p99_ms", "decide to release, 10,000 held, p99", "ms", 10, 30),
    at_most("held-10000", "rss_mb", "memory with 10,000 waits held", "MB", 200, 300),
    shown("held-10000", "kb_each", "each held wait", "KB"),
    at_least("held-10000", "burst", "releases/s, all 10,000 decided at once", 12_000, 6_000),
    at_least("submits-postgres", "rate", "PostgreSQL: durable submits/s", 12_000, 6_000, 0.6),
    shown("submits-postgres", "p50_ms", "submit to reply, p50", "ms"),
    shown("submits-postgres", "p99_ms", "submit to reply, p99", "ms"),
    shown("submits-postgres", "cpu_us", "server's processor time for each", "us"),
    at_least("cycles-postgres", "rate", "PostgreSQL: full cycles/s", 5_000, 2_500, 0.6),
    shown("cycles-postgres", "p50_ms", "decide to release at that load, p50", "ms"),
    shown("cycles-postgres", "p99_ms", "decide to release at that load, p99", "ms"),
    shown("cycles-postgres", "cpu_us", "server's processor time for each", "us"),
    at_least("deliveries-sqlite", "backlog", "SQLite: deliveries/s, a backlog", 5_000, 2_000),
    shown("deliveries-sqlite", "decided", "decisions/s, all with a callback", "", 0),
    shown("deliveries-sqlite", "rate", "decided and delivered/s", "", 0),
    shown("deliveries-sqlite", "p50_ms", "decision to delivery at that load, p50", "ms"),
    shown("deliveries-sqlite", "p99_ms", "decision to delivery at that load, p99", "ms"),
    at_least("deliveries-postgres", "backlog", "PostgreSQL: deliveries/s, a backlog", 3_000, 1_000),
    shown("deliveries-postgres", "decided", "decisions/s, all with a callback", "", 0),
    shown("deliveries-postgres", "rate", "decided and delivered/s", "", 0),
    shown("deliveries-postgres", "p50_ms", "decision to delivery at that load, p50", "ms"),
    shown("deliveries-postgres", "p99_ms", "decision to delivery at that load, p99", "ms"),
    at_most("start-up", "ready_s", "server start to ready", "s", 1, 2),
    at_most("start-up", "import_ms", "import sayso", "ms", 100, 200),
    at_most("start-up", "help_ms", "sayso --help", "ms", 200, 400),
)


def lines(figures: Sequence[Figure], measured: Mapping[str, Passes]) -> list[Line]:
    """The table, as far as it was measured."""
    table: list[Line] = []
    for figure in figures:
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
    goals, bounds = [figure.goal], [figure.short]
    if reference is not None:
        goals.append(figure.goal_share and figure.goal_share * reference)
        bounds.append(figure.short_share and figure.short_share * reference)
    if all(goal is None for goal in goals):
        return ""
    if any(_worse(figure, product, bound) for bound in bounds):
        return "falls short"
    return "below goal" if any(_worse(figure, product, goal) for goal in goals) else "reached"


def _worse(figure: Figure, value: float, bound: float | None) -> bool:
    if bound is None:
        return False
    return value < bound if figure.more_is_better else value > bound


def with_held(held: int) -> list[Figure]:
    """The figures; with fewer waits than meant they say so, and memory proves nothing then."""
    if held == MOST_HELD:
        return list(FIGURES)
    said, true = f"{MOST_HELD:,}", f"{held:,}"
    renamed = [structs.replace(f, name=f.name.replace(said, true)) for f in FIGURES]
    return [
        structs.replace(f, goal=None, short=None) if f.value == "rss_mb" else f for f in renamed
    ]
