"""The soak, in short: load, and everything breaks; then nothing is lost and nothing doubled."""

import asyncio
import contextlib
import random
import sqlite3
from pathlib import Path

import pytest
from soak import kept
from soak.kept import Kept
from soak.places import PLACES
from soak.report import table
from soak.storm import Storm, rage
from support.servers import PostgresServer

pytestmark = [pytest.mark.durable, pytest.mark.slow, pytest.mark.anyio, pytest.mark.timeout(900)]

SECONDS = {"sqlite": 25.0, "postgres": 40.0}


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
    assert result.deliveries > 10


async def test_a_storm_that_is_stopped_is_judged_and_one_missing_row_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[str] = []

    def after_a_theft(path: Path) -> Kept:
        with contextlib.closing(sqlite3.connect(path)) as connection, connection:
            (request_id,) = connection.execute("SELECT min(id) FROM requests").fetchone()
            connection.execute("DELETE FROM requests WHERE id = ?", (request_id,))
            taken.append(request_id)
        return as_it_is(path)

    as_it_is = kept.from_sqlite
    monkeypatch.setattr(kept, "from_sqlite", after_a_theft)
    stop = asyncio.Event()
    storm = Storm(store="sqlite", seconds=600, seed=1, rate=8)

    def stop_when_it_is_under_way(line: str) -> None:
        print(line)
        stop.set()

    result = await rage(storm, tmp_path / "place", stop=stop, tell=stop_when_it_is_under_way)
    print(table(result))
    assert result.count("lost") > 0
    assert all(taken[0] in finding.what for finding in result.findings)
