"""One thing breaks under a real server: it says so, loses nothing, and goes on by itself."""

import asyncio
import contextlib
import resource
import sqlite3
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from support.agents import SUBMIT, all_requests, ask, submit, submit_many
from support.person import Person
from support.raw import lines
from support.server import RunningServer, port_to_come_back_to

from sayso.stores.sqlite import LOCK_SECONDS

pytestmark = pytest.mark.durable
SLOW = 30.0
"""Seconds that a machine with other work may be late."""


def is_sound(database: Path) -> bool:
    """Whether SQLite finds nothing wrong with a file that nobody has open."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


# A full disk

Full = Callable[[RunningServer], AbstractContextManager[None]]


@contextlib.contextmanager
def no_larger_file(server: RunningServer) -> Generator[None]:
    """The system lets the process write no file beyond the size that the log of changes has."""
    before = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    size = server.database.with_name("sayso.db-wal").stat().st_size
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (size + 1, before[1]))
    yield
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, before)


@contextlib.contextmanager
def no_space(server: RunningServer) -> Generator[None]:
    """Something else has taken all the space of the disk."""
    ballast = server.data / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
    yield
    ballast.unlink()


@contextlib.contextmanager
def small_disk() -> Generator[Path]:
    """A disk of 8 MB; only root can have one."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["mount", "-t", "tmpfs", "-o", "size=8m", "sayso-test", folder]
        subprocess.run(words, check=True, capture_output=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "-l", folder], check=True)


def can_mount() -> bool:
    with contextlib.suppress(OSError, subprocess.CalledProcessError), small_disk():
        return True
    return False


KINDS: list[Full] = [no_larger_file, no_space] if can_mount() else [no_larger_file]


@pytest.mark.parametrize("full", KINDS)
def test_a_full_disk_is_told_loses_nothing_and_is_forgotten_when_there_is_space(
    full: Full, tmp_path: Path
) -> None:
    with small_disk() if full is no_space else contextlib.nullcontext(tmp_path) as folder:
        server = RunningServer(folder, port=port_to_come_back_to()).start()
        try:
            person = Person(server)
            told = {ask(server) for _ in range(5)}
            first = min(told)
            with full(server):
                replies = [submit(server, message="x" * 8_000) for _ in range(20)]
                told |= {each.json()["id"] for each in replies if each.status_code == 201}
                refused = replies[-1]
                assert (refused.status_code, refused.json()["code"]) == (503, "store")
                assert refused.json()["detail"].startswith("The database failed: d")
                assert refused.headers["retry-after"] == "1"
                assert person.try_to_decide(first, "approve").status_code == 503
                assert set(all_requests(server)) == told  # what is only read needs no space
            assert person.decide(first, "approve")["status"] == "approved"
            told.add(ask(server))
            assert set(all_requests(server)) == told
            person.close()
            server.kill9()
            assert is_sound(server.database)
            server.restart()
            kept = all_requests(server)
            assert set(kept) == told
            assert kept[first]["status"] == "approved"
        finally:
            server.kill9()


def test_a_deadline_that_cannot_be_kept_does_not_fill_the_log(fresh_server: RunningServer) -> None:
    with contextlib.ExitStack() as full:
        for seconds in (1, 5, 25):  # the disk must be full before time is up
            request_id = ask(fresh_server, timeout_seconds=seconds)
            full.enter_context(no_larger_file(fresh_server))
            if all_requests(fresh_server)[request_id]["status"] == "pending":
                break
            full.close()
        fresh_server.until_it_says("deadlines wait for the store")
        time.sleep(4)  # it tries once a second
        assert submit(fresh_server, message="x" * 8_000).status_code == 503
        assert fresh_server.log.count("deadlines wait for the store") == 1
    with fresh_server.http() as agent:
        reply = agent.get(f"{SUBMIT}/{request_id}?wait=60")
    assert reply.json()["status"] == "expired"
    tries = fresh_server.until_it_says(r"deadlines go on, after (\d+) failed tries")[1]
    assert int(tries) > 1


# A file that somebody else touches


def test_a_file_that_is_moved_away_takes_no_answers_along(fresh_server: RunningServer) -> None:
    """They would be written to a file without a name, and gone when the server ends."""
    told = {ask(fresh_server) for _ in range(3)}
    person = Person(fresh_server)
    elsewhere = fresh_server.data / "elsewhere"
    elsewhere.mkdir()
    files = list(fresh_server.data.glob("sayso.db*"))
    for file in files:
        file.rename(elsewhere / file.name)
    refused = submit(fresh_server)
    assert (refused.status_code, refused.json()["code"]) == (503, "store")
    assert "is not there any more" in refused.json()["detail"]
    assert person.try_to_decide(min(told), "approve").status_code == 503
    for file in files:
        (elsewhere / file.name).rename(file)
    told.add(ask(fresh_server))
    person.decide(min(told), "approve")
    person.close()
    fresh_server.kill9()
    assert is_sound(fresh_server.database)
    fresh_server.restart()
    assert set(all_requests(fresh_server)) == told


def test_a_file_that_was_removed_is_not_written_to(fresh_server: RunningServer) -> None:
    ask(fresh_server)
    for file in fresh_server.data.glob("sayso.db*"):
        file.unlink()
    assert submit(fresh_server).status_code == 503
    with fresh_server.http() as agent:
        assert agent.get("/health").status_code == 200


def test_a_second_server_on_the_file_is_refused_and_takes_over_after_a_crash(
    fresh_server: RunningServer, tmp_path: Path
) -> None:
    request_id = ask(fresh_server)
    words = ["--database-url", f"sqlite:{fresh_server.database}"]
    secret = fresh_server.secret
    second = RunningServer(tmp_path / "second", arguments=words, secret=secret)
    with pytest.raises(AssertionError, match="Another Sayso server is using"):
        second.start()
    assert ask(fresh_server) > request_id
    fresh_server.kill9()
    second.start()
    assert request_id in all_requests(second)
    second.stop()


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_file_that_another_program_has_locked_is_told_in_time(
    fresh_server: RunningServer,
) -> None:
    request_id = ask(fresh_server)
    with contextlib.closing(sqlite3.connect(fresh_server.database, timeout=60)) as another:
        another.execute("BEGIN IMMEDIATE")
        refused, took = submit_many(fresh_server, 20)
        with fresh_server.http() as agent:  # what is only read needs no lock
            assert agent.get(f"{SUBMIT}/{request_id}").status_code == 200
        another.rollback()
    assert {(each.status_code, each.json()["code"]) for each in refused} == {(503, "store")}
    assert "locked" in refused[0].json()["detail"]
    assert took < 2 * LOCK_SECONDS + SLOW  # as above
    assert submit(fresh_server).status_code == 201
    with fresh_server.http() as agent:
        assert len(agent.get(SUBMIT).json()["items"]) == 2


# Very many waits

WAITS = 10_000


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.timeout(400)
async def test_ten_thousand_waits_are_answered_when_the_server_stops(tmp_path: Path) -> None:
    count = WAITS
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < WAITS + 1_000:
        count = hard - 1_000
        warnings.warn(f"only {hard} files may be open: {count} waits", ResourceWarning, 2)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    server = RunningServer(tmp_path, environment={"SAYSO_MAX_WAITS": str(count)}).start()
    try:
        async with lines(server.port, count + 1) as (line, *waiting):
            _, request = await line.ask("POST", SUBMIT, {"message": "?", "timeout_seconds": None})
            path = f"{SUBMIT}/{request['id']}?wait=60"
            for each in waiting:
                each.send("GET", path)
            await line.until_read()
            until = time.monotonic() + 40  # before the first has waited long enough
            while (await line.ask("GET", path.replace("60", "0.05")))[0] == 200:
                if time.monotonic() > until:
                    break  # until so many are held that one more is refused
            stopping = asyncio.ensure_future(asyncio.to_thread(server.stop, 120))
            replies = await asyncio.gather(*(each.reply() for each in waiting))
            took = await stopping
    finally:
        server.kill9()
    assert {(status, told["status"]) for status, told in replies} == {(200, "pending")}
    assert took < 50, "It waited for the waits to end by themselves."
    assert server.process is not None
    assert server.process.returncode == 0
