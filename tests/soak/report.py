"""What came of a storm: a table, and JSON."""

import time
from collections import Counter

from msgspec import Struct

from soak.judge import Finding, releases
from soak.kept import Kept
from soak.ledger import Ledger

_SHOWN = 20


class FaultFigures(Struct, frozen=True):
    """How often something was broken, and how soon all was ready again, in seconds."""

    times: int
    mean_recovery: float
    longest_recovery: float


class Result(Struct, frozen=True, kw_only=True):
    """The figures of one storm, and what was found."""

    store: str
    seed: int
    seconds: float
    submits: int
    decisions: int
    waits: int
    waits_held_at_most: int
    events: int
    deliveries: int
    """Tries that came to the target."""
    deliveries_failed: int
    """Those of them that it did not take."""
    deliveries_repeated: int
    """Those of them that it had taken before: allowed, and few."""
    faults: dict[str, FaultFigures]
    release_p50_ms: float
    release_p99_ms: float
    longest_outage: float
    """Seconds that a client had to try again."""
    longest_outage_of: str
    findings: list[Finding]

    def count(self, kind: str) -> int:
        """Findings of a kind."""
        return sum(finding.kind == kind for finding in self.findings)


def result_of(
    store: str, seed: int, began: float, ledger: Ledger, kept: Kept, findings: list[Finding]
) -> Result:
    """The figures of what has just ended."""
    took = releases(ledger) or [0.0]
    taken = [each.webhook_id for each in ledger.delivered if each.answer == "taken"]
    worst = max(ledger.outages, key=lambda outage: outage.seconds, default=None)
    times = Counter(broken.fault for broken in ledger.broken)
    recoveries = {
        name: [each.recovered_after for each in ledger.broken if each.fault == name]
        for name in times
    }
    return Result(
        store=store,
        seed=seed,
        seconds=time.monotonic() - began,
        submits=len(ledger.submitted),
        decisions=len(ledger.decided),
        waits=len(ledger.waited),
        waits_held_at_most=ledger.most_waiting,
        events=len(kept.events),
        deliveries=len(ledger.delivered),
        deliveries_failed=len(ledger.delivered) - len(taken),
        deliveries_repeated=len(taken) - len(set(taken)),
        faults={
            name: FaultFigures(len(took), sum(took) / len(took), max(took))
            for name, took in sorted(recoveries.items())
        },
        release_p50_ms=took[len(took) // 2] * 1000,
        release_p99_ms=took[min(len(took) - 1, len(took) * 99 // 100)] * 1000,
        longest_outage=0.0 if worst is None else worst.seconds,
        longest_outage_of="" if worst is None else worst.call,
        findings=findings,
    )


def table(result: Result) -> str:
    """The result, to be read."""
    failed, repeated = result.deliveries_failed, result.deliveries_repeated
    seconds, p50, p99 = result.seconds, result.release_p50_ms, result.release_p99_ms
    lines = [
        f"{result.store}, seed {result.seed}: {seconds:.0f} s",
        f"  submits          {result.submits} ({result.submits / seconds:.1f}/s)",
        f"  decisions        {result.decisions} ({result.decisions / seconds:.1f}/s)",
        f"  waits            {result.waits}, {result.waits_held_at_most} held at once",
        f"  events           {result.events}",
        f"  deliveries       {result.deliveries}, {failed} failed, {repeated} repeated",
        f"  release          p50 {p50:.0f} ms, p99 {p99:.0f} ms",
        f"  longest outage   {result.longest_outage:.1f} s {result.longest_outage_of}".rstrip(),
    ]
    for name, figures in result.faults.items():
        recovered = f"{figures.mean_recovery:.1f} s, {figures.longest_recovery:.1f} s at most"
        lines.append(f"  {name:<21} {figures.times} times, all ready again after {recovered}")
    kinds = ("lost", "doubled", "stuck", "wrong")
    lines.append("  " + ", ".join(f"{kind} {result.count(kind)}" for kind in kinds))
    lines += [f"    {finding.kind}: {finding.what}" for finding in result.findings[:_SHOWN]]
    if len(result.findings) > _SHOWN:
        lines.append(f"    and {len(result.findings) - _SHOWN} more")
    return "\n".join(lines)
