"""`python -m soak`, with the folder `tests` on the path; `make soak` does that."""

import argparse
import asyncio
import random
import resource
import signal
import sys
import tempfile
from functools import partial
from pathlib import Path

import msgspec

from soak.places import PLACES
from soak.report import Result, table
from soak.storm import Storm, rage


def main() -> int:
    """Run the storms that the command line asks for; 1 if anything was not as promised."""
    options = _parser().parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    seed = random.randrange(1_000_000) if options.seed is None else options.seed
    stores = list(PLACES) if options.store == "both" else [options.store]
    storms = [
        Storm(
            store=store,
            seconds=60 * options.minutes / len(stores),
            seed=seed,
            rate=options.rate,
            notes=options.notes,
        )
        for store in stores
    ]
    print(f"The seed is {seed}; --seed {seed} draws the same again.", flush=True)
    with tempfile.TemporaryDirectory(prefix="sayso-soak-") as folder:
        results = asyncio.run(_rage(storms, options.keep or Path(folder)))
    for result in results:
        print(table(result), flush=True)
    if options.json is not None:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(results)))
    return 1 if any(result.findings for result in results) else 0


async def _rage(storms: list[Storm], folder: Path) -> list[Result]:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def end() -> None:
        loop.remove_signal_handler(signal.SIGINT)  # the second time it ends at once
        print("Stopping: what was acknowledged so far is judged.", flush=True)
        stop.set()

    loop.add_signal_handler(signal.SIGINT, end)
    results: list[Result] = []
    for storm in storms:
        if not stop.is_set():
            _tell(storm.store, f"{storm.seconds:.0f} s")
            tell = partial(_tell, storm.store)
            results.append(await rage(storm, folder / storm.store, stop=stop, tell=tell))
    return results


def _tell(store: str, line: str) -> None:
    print(f"{store}: {line}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make soak", description="Load, and break, and look.")
    parser.add_argument("--minutes", type=float, default=5, help="how long, in all (default: 5)")
    parser.add_argument("--seed", type=int, help="what is done and broken (default: by chance)")
    parser.add_argument("--store", choices=(*PLACES, "both"), default="both")
    parser.add_argument("--rate", type=float, default=20, help="requests each second (default: 20)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there, too")
    parser.add_argument("--notes", type=Path, metavar="FILE", help="all that was acknowledged")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave data and logs there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
