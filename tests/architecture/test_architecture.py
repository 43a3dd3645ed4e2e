"""Who may import whom, what the front door shows, and what goes into the wheel."""

import ast
import inspect
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import sayso
from sayso import errors
from sayso.errors import HTTP_STATUS, SaysoError

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "sayso"
BIN = Path(sys.executable).parent

# Where an import may stand inside a function, and why.
LATE_IMPORTS = {
    ("cli/__init__.py", "sayso.cli.app"): "`sayso --help` answers before anything is loaded",
    ("cli/serve.py", "sayso.server"): "its own front door: the error names the extra to install",
    ("wiring.py", "sayso.stores.postgres"): "its driver is an extra",
    ("wiring.py", "sayso.stores.redis"): "its driver is an extra",
    ("wiring.py", "sayso.signals.postgres"): "its driver is an extra",
    ("wiring.py", "sayso.signals.redis"): "its driver is an extra",
    ("wiring.py", "sayso.signals.nats"): "its driver is an extra",
    ("telemetry/logger.py", "sayso.telemetry.postgres"): "its driver is an extra",
    ("wiring.py", "sayso.policies.rules"): "what it reads policies with is an extra",
    ("wiring.py", "sayso.channels.webhook"): "loaded with the first delivery, in a thread",
    ("assertions.py", "webauthn"): "loaded with the first passkey, in a thread",
    ("assertions.py", "webauthn.helpers"): "the same",
    ("assertions.py", "webauthn.helpers.exceptions"): "the same",
    ("broker/ceremonies.py", "webauthn"): "the same",
    ("broker/ceremonies.py", "webauthn.helpers"): "the same",
    ("broker/ceremonies.py", "webauthn.helpers.exceptions"): "the same",
    ("broker/ceremonies.py", "webauthn.helpers.structs"): "the same",
    ("server/tokens.py", "joserfc"): "loaded with the first JSON Web Token, in a thread",
    ("server/tokens.py", "joserfc.errors"): "the same",
    ("server/tokens.py", "joserfc.jwk"): "the same",
    ("server/run.py", "sayso.server.oidc"): "only with a provider, as the server starts",
    ("cli/manage.py", "sayso.server"): "the same",
    ("cli/manage.py", "sayso.wiring"): "the same",
    ("cli/worker.py", "sayso.server"): "the same",
}

# Said in pieces, so that this file does not find itself.
FORBIDDEN = re.compile("/wo" + r"rk/|\.lib" + "rary")

_SPY = """
import os, sys, threading

class Spy(type(os.environ)):
    read = []
    def __getitem__(self, name):
        caller = sys._getframe(1)
        while caller.f_globals.get("__name__") in ("os", "_collections_abc"):
            caller = caller.f_back
        if caller.f_globals.get("__name__", "").partition(".")[0] == "sayso":
            Spy.read.append(name)
        return super().__getitem__(name)

os.environ.__class__ = Spy
import sayso
print(sorted(sys.modules))
print(Spy.read)
print(threading.active_count())
"""

_IDLE = """
import os, signal, sys
from sayso.cli import serve

def ready(info):
    print(sorted({name.partition(".")[0] for name in sys.modules}))
    os.kill(os.getpid(), signal.SIGINT)

serve.run_server(port=0, memory=True, ready=ready)
"""


def test_the_layers_hold() -> None:
    done = subprocess.run(
        [BIN / "lint-imports", "--no-cache"], check=False, cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_everything_public_is_exported_and_nothing_else() -> None:
    names: dict[str, object] = {}
    exec("from sayso import *", names)
    assert names.keys() - {"__builtins__"} == set(sayso.__all__)
    assert sayso.__all__ == sorted(sayso.__all__) == dir(sayso)
    assert len(sayso.__all__) < 40


def test_type_checkers_see_what_is_exported() -> None:
    tree = ast.parse(inspect.getsource(sayso))
    seen = {
        name.name
        for block in tree.body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    assert seen | {"__version__"} == set(sayso.__all__)


def test_what_is_not_exported_is_told_as_usual() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = sayso.nothing


def test_what_is_exported_is_ours_and_described() -> None:
    for name in set(sayso.__all__) - {"__version__"}:
        value = getattr(sayso, name)
        assert value.__module__.startswith("sayso."), name
        assert inspect.getdoc(value), name


def test_importing_sayso_needs_no_extra_reads_no_environment_and_starts_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", _SPY], capture_output=True, text=True, check=True)
    modules, read, threads = (ast.literal_eval(line) for line in done.stdout.splitlines())
    heavy = {"cyclopts", "httpx2", "jinja2", "jsonschema_rs", "msgspec", "rich", "sqlite3"}
    assert not heavy & set(modules)
    assert not {"asyncio", "starlette", "uvicorn"} & set(modules)
    assert {name for name in modules if name.startswith("sayso")} == {"sayso", "sayso.version"}
    assert read == []
    assert threads == 1


def test_an_idle_server_has_loaded_nothing_that_it_does_not_need() -> None:
    done = subprocess.run([sys.executable, "-c", _IDLE], capture_output=True, text=True, check=True)
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("["))
    modules = set(ast.literal_eval(line))
    assert {"uvicorn", "starlette", "sayso"} <= modules
    # Of passkeys, deliveries, an OpenID provider, JSON Web Tokens, policies, other stores.
    heavy = {"webauthn", "OpenSSL", "pyasn1", "aiohttp", "httpx2", "joserfc", "cel", "yaml"}
    assert modules & (heavy | {"asyncpg", "redis", "nats"}) == set()


def test_every_error_has_a_status_a_code_and_a_place_in_the_tree() -> None:
    kinds = list(_below(SaysoError))
    assert set(HTTP_STATUS) == set(kinds)
    assert len({kind.code for kind in kinds}) == len(kinds)
    drawn = re.findall(r"^[ │├└─]*(\w+Error)\b", errors.__doc__ or "", re.MULTILINE)
    assert drawn == [kind.__name__ for kind in kinds]
    for kind in kinds:
        assert kind.__module__ == "sayso.errors"
        assert (kind.__doc__ or "").splitlines()[0].endswith(".")


def test_imports_stand_at_the_top_but_for_named_reasons() -> None:
    late = {
        (str(path.relative_to(SOURCE)), module)
        for path in SOURCE.rglob("*.py")
        for module in _imports_in_functions(path)
    }
    assert late == set(LATE_IMPORTS)


def test_the_wheel_has_everything_that_the_package_reads(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    (wheel,) = tmp_path.glob("sayso-*.whl")
    assert sayso.__version__ in wheel.name
    packed = set(zipfile.ZipFile(wheel).namelist())
    kept = {
        str(path.relative_to(SOURCE.parent))
        for path in SOURCE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert kept <= packed
    for needed in (
        "sayso/py.typed",
        "sayso/server/inbox/templates/base.html",
        "sayso/server/inbox/static/app.css",
        "sayso/stores/sql/sqlite/0001_requests.sql",
    ):
        assert needed in packed
    assert not {name for name in packed if not name.startswith(("sayso/", "sayso-"))}


def test_no_file_names_a_place_outside_the_repository() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {hit.group()}"
        for path in _our_files()
        if (hit := FORBIDDEN.search(path.read_text(encoding="utf-8", errors="replace")))
    ]
    assert found == []


def test_the_lock_names_no_package_index() -> None:
    text = (ROOT / "requirements.lock").read_text()
    assert not re.search(r"https?://|--(?:extra-)?index-url|--find-links|-[if] ", text)
    assert "--hash=sha256:" in text


def _below(kind: type[SaysoError]) -> Iterator[type[SaysoError]]:
    yield kind
    for each in kind.__subclasses__():
        if each.__module__.startswith("sayso."):
            yield from _below(each)


def _imports_in_functions(path: Path) -> Iterator[str]:
    for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.ImportFrom):
                    yield node.module or "."
                elif isinstance(node, ast.Import):
                    yield from (name.name for name in node.names)


def _our_files() -> list[Path]:
    """What is tracked, or would be."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("This is no Git repository.")
    listed = subprocess.run(
        [git, "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def test_what_only_deceiving_texts_need_is_not_compiled_before_the_first_of_them() -> None:
    program = """
import sys
import sayso.gate
pieces = sys.modules["sayso.visible.pieces"]
late = [each for each in vars(pieces).values() if type(each).__name__ == "_Late"]
print(len(late), sum(len(vars(each)) > 1 for each in late))
pieces.pieces("p\\u0430y")
print(sum(len(vars(each)) > 1 for each in late) > 1)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    few, compiled, then = done.stdout.split()
    assert int(few) > 10
    assert (compiled, then) == ("0", "True")
