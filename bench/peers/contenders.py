"""Who takes part, and what each does and does not do; the passes of all of them in turn."""

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator
from typing import Literal

from msgspec import Struct

from bench import machine
from bench.errors import BenchError
from bench.passes import Passes, Plan, Result, Tell
from bench.peers import environment
from bench.servers import ROOT
from bench.turns import server
from sayso.settings import SETTINGS

Shape = Literal["pause", "wait"]


class Contender(Struct, frozen=True, kw_only=True):
    """One program on one store."""

    name: str
    module: str
    store: Literal["sqlite", "postgres", "redis"]
    shapes: frozenset[Shape] = frozenset({"pause", "wait"})

    @property
    def is_ours(self) -> bool:
        """Whether it is the product."""
        return self.module == "sayso_peer"


CONTENDERS = (
    Contender(name="Sayso, SQLite", module="sayso_peer", store="sqlite"),
    Contender(name="Sayso, PostgreSQL", module="sayso_peer", store="postgres"),
    Contender(name="hitloop, PostgreSQL", module="hitloop_peer", store="postgres"),
    Contender(name="hitloop, Redis", module="hitloop_peer", store="redis"),
    Contender(name="LangGraph, SQLite", module="langgraph_peer", store="sqlite"),
    Contender(name="LangGraph, PostgreSQL", module="langgraph_peer", store="postgres"),
    Contender(name="DBOS, SQLite", module="dbos_peer", store="sqlite"),
    Contender(name="DBOS, PostgreSQL", module="dbos_peer", store="postgres"),
)

ABOUT = {
    "Sayso": "a server. Each step is an HTTP request, checked and signed in; question, answer and"
    " events are kept. Agent and person are other processes than the server; any of them may die.",
    "hitloop": "a library (`PersistentWebhookBackend`), called in its own process, with no HTTP and"
    " nobody signed in. It keeps the question, and deletes it when it is answered; the answer is"
    " kept nowhere. Whoever asked must still run, in the very process that is called back.",
    "LangGraph": "a library; a graph of one node that calls `interrupt()`, on its asynchronous"
    " savers, with no HTTP and nobody signed in. It keeps the whole run. Nobody waits: whoever has"
    " the answer runs the graph on, and nothing hinders two from doing so.",
    "DBOS": "a library; a workflow that waits in `recv`, with all defaults, with no HTTP and nobody"
    " signed in. It keeps the whole run, and takes it up again after a crash. On SQLite it looks"
    " for answers once a second.",
}


def contest(shape: Shape) -> Callable[[str, Plan, Tell], Passes]:
    """All passes of all contenders, in turn, the other way round every other time."""

    def measure(name: str, plan: Plan, tell: Tell) -> Passes:
        environment.program("python")
        done = Passes()
        for number in range(plan.passes):
            for contender in taking_part(shape)[:: 1 if number % 2 == 0 else -1]:
                if contender.name in done.failed:
                    continue
                tell(f"{name}: pass {number + 1} of {plan.passes}, {contender.name}")
                try:
                    done.add(contender.name, _one_pass(contender, shape, plan))
                except BenchError as error:
                    done.failed[contender.name] = str(error)
                    done.values.pop(contender.name, None)
        return done

    return measure


def taking_part(shape: Shape) -> list[Contender]:
    """The contenders, as far as this version of the product has the store."""
    return [c for c in CONTENDERS if shape in c.shapes and (not c.is_ours or _we_have(c.store))]


def _we_have(store: str) -> bool:
    return store == "sqlite" or "database_url" in SETTINGS


def _one_pass(contender: Contender, shape: Shape, plan: Plan) -> Result:
    cores = machine.cores()
    core = cores[contender.is_ours] if cores else None  # the server is on the first one then
    with _address(contender, plan) as (address, bearer), machine.pinned(core):
        job = {"shape": shape, "seconds": plan.seconds, "address": address, "bearer": bearer}
        python = sys.executable if contender.is_ours else environment.program("python")
        try:
            process = subprocess.run(
                [str(python), "-m", f"bench.peers.{contender.module}"],
                input=json.dumps(job).encode(),
                capture_output=True,
                cwd=ROOT,
                timeout=10 * plan.seconds + 60,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise BenchError(f"{contender.name} came to no end.") from None
    if process.returncode != 0 or not process.stdout:
        raise BenchError(f"{contender.name} failed:\n{process.stderr.decode()[-2000:]}")
    return Result(values=json.loads(process.stdout))


@contextlib.contextmanager
def _address(contender: Contender, plan: Plan) -> Generator[tuple[str, str]]:
    """Where its data goes, or where the server listens, and a person's token for it."""
    with contextlib.ExitStack() as stack:
        if contender.is_ours:
            started = stack.enter_context(server("product", plan, contender.store))
            yield str(started.port), started.bearer
        elif contender.store == "sqlite":
            folder = tempfile.TemporaryDirectory(dir=plan.folder, prefix="sayso-bench-")
            yield f"{stack.enter_context(folder)}/peer.db", ""
        else:
            yield stack.enter_context(getattr(plan.services, contender.store)()), ""
