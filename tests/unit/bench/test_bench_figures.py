"""What a benchmark makes of what it measured."""

import http.client
import json
from pathlib import Path

import pytest

from bench import profile
from bench.deliveries import sink
from bench.figures import Figure, at_least, at_most, lines, ratio_at_least
from bench.passes import Passes, Result

RATE = at_least("s", "rate", "a rate", 1_000, 500, 0.6)
TIME = at_most("s", "rate", "a time", "ms", 1_000, 2_000)
SHARE = ratio_at_least("s", "rate", "a share", 1 / 3, 1 / 5)


@pytest.mark.parametrize(
    ("figure", "product", "reference", "verdict"),
    [
        (RATE, 1_000, 1_200, "reached"),
        (RATE, 900, 1_200, "below goal"),
        (RATE, 499, 600, "falls short"),
        (RATE, 1_100, 2_000, "falls short"),
        (RATE, 900, None, "below goal"),
        (TIME, 1_000, 1, "reached"),
        (TIME, 1_500, 1, "below goal"),
        (TIME, 2_001, 1, "falls short"),
        (SHARE, 34, 100, "reached"),
        (SHARE, 30, 100, "below goal"),
        (SHARE, 19, 100, "falls short"),
    ],
)
def test_a_verdict_follows_from_goal_bound_and_reference(
    figure: Figure, product: float, reference: float | None, verdict: str
) -> None:
    passes = Passes()
    passes.add("product", Result(values={"rate": product}))
    if reference is not None:
        passes.add("reference", Result(values={"rate": reference}))
    assert lines([figure], {"s": passes})[0].verdict == verdict


def test_a_sink_counts_each_delivery_once_and_tells_doubles() -> None:
    with sink() as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for name in ("a", "b", "a"):
            connection.request("POST", "/", b"{}", {"Webhook-Id": name})
            assert connection.getresponse().read() == b""
        connection.request("GET", "/")
        told = json.loads(connection.getresponse().read())
        connection.close()
    assert sorted(told["at"]) == ["a", "b"]
    assert told["doubles"] == 1


def test_a_look_counts_for_the_innermost_frame_that_is_known(tmp_path: Path) -> None:
    sources = {
        "asyncio/runners.py": "run()",
        "uvicorn/protocol.py": "feed(data)",
        "sayso/stores/sqlite.py": "record = codec.encode(request)",
    }
    frames: list[str] = []
    for name, line in sources.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(line)
        frames.append(f"some_function ({file}:1)")
    assert profile.part(["thread (1): MainThread", *frames]) == "store: records to JSON"
    assert profile.part(["thread (1): MainThread", *frames[:2]]).startswith("HTTP: parsing")
    assert profile.part(["thread (2): sayso-writer", *frames]).startswith("SQLite: writing")
    assert profile.part(["thread (3): another"]) == "other"


def test_a_thread_that_waits_for_work_is_not_at_work() -> None:
    waiting = ["thread (4): asyncio_0", "_worker (/lib/python3.11/concurrent/futures/thread.py:81)"]
    assert profile.is_idle(waiting)
    assert not profile.is_idle([*waiting, "write (/sayso/ledger/kept.py:71)"])
