"""`tools/check_docs.py` finds nothing missing, and would."""

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def check() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_docs", ROOT / "tools" / "check_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def copy(check: ModuleType, tmp_path: Path) -> Path:
    """The documentation, to be spoilt."""
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    for name in ("README.md", "CHANGELOG.md", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    check.ROOT, check.DOCS = tmp_path, tmp_path / "docs"
    check.PAGES = sorted((tmp_path / "docs").glob("*.md"))
    return tmp_path


def test_nothing_is_missing(check: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main() == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "page", "removed"),
    [
        ("settings", "docs/settings.md", "`SAYSO_MAX_WAITS`, "),
        ("error_classes", "docs/errors.md", "| `BusyError` |"),
        ("error_codes", "docs/errors.md", "| `foreign_origin` |"),
        ("event_types", "docs/events.md", "| `request.expired` |"),
        ("commands", "docs/cli.md", "### sayso requests cancel"),
        ("commands", "docs/cli.md", "--rationale"),
        ("routes", "docs/http.md", "| `GET /api/v1/events` |"),
        ("links", "docs/errors.md", "## More precise codes"),
        ("tree", "docs/architecture.md", "lifecycle.py"),
        ("layers", "docs/architecture.md", "broker | client"),
        ("index", "README.md", "docs/concepts.md"),
        ("examples", "README.md", "examples/choose.py"),
        ("changelog", "CHANGELOG.md", "## [0.1.0]"),
    ],
)
def test_what_is_missing_is_told(
    check: ModuleType, copy: Path, name: str, page: str, removed: str
) -> None:
    text = (copy / page).read_text()
    assert removed in text
    (copy / page).write_text(text.replace(removed, ""))
    told = list(getattr(check, name)())
    assert any(page in line for line in told), "It was not noticed."
