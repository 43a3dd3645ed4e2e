"""The soak, in short: load, and everything breaks; then nothing is lost and nothing doubled."""

import asyncio
import random
from pathlib import Path

import pytest
from soak.places import PLACES
from soak.report import table
from soak.storm import Storm, rage
from support.servers import PostgresServer

pytestmark = [pytest.mark.slow, pytest.mark.anyio, pytest.mark.timeout(600)]

SECONDS = {"sqlite": 30.0, "postgres": 40.0}


@pytest.mark.parametrize("store", PLACES)
async def test_what_was_acknowledged_stands_once_whatever_breaks(
    store: str, tmp_path: Path
) -> None:
    if store == "postgres" and (missing := PostgresServer.missing()) is not None:
        pytest.skip(f"{missing} is missing: run tools/install_test_tools.py")
    seed = random.randrange(1_000_000)
    print(f"make soak ARGS='--store {store} --seed {seed}'")
    storm = Storm(store=store, seconds=SECONDS[store], seed=seed, rate=8)
    result = await rage(storm, tmp_path / "place", stop=asyncio.Event(), tell=print)
    print(table(result))
    assert result.findings == []
    assert len(result.faults) >= 3, "what does not break proves nothing"
    assert result.decisions > 20
    assert result.waits_held_at_most > 5


async def test_a_storm_that_is_stopped_is_judged_all_the_same(tmp_path: Path) -> None:
    stop = asyncio.Event()
    storm = Storm(store="sqlite", seconds=600, seed=1, rate=8)
    asyncio.get_running_loop().call_later(5, stop.set)
    result = await rage(storm, tmp_path / "place", stop=stop, tell=print)
    assert result.findings == []
    assert result.submits > 5
