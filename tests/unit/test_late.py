"""Packages that are loaded late: what is missing or broken is one clear error."""

import logging
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path

import pytest

from sayso.errors import BackendError, MissingExtraError
from sayso.late import loaded, require


class _Refuses(MetaPathFinder):
    """Finds packages as some hosts do: what is not there, or not allowed, raises."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname == "sayso_not_there":
            raise self.error


@pytest.mark.parametrize(
    "error", [ImportError("no"), ModuleNotFoundError("no"), ValueError("no"), None]
)
def test_a_package_that_is_not_found_is_named_with_its_extra_however_that_is_said(
    monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    if error is not None:
        monkeypatch.setattr(sys, "meta_path", [_Refuses(error), *sys.meta_path])
    with pytest.raises(MissingExtraError, match=r"'sayso_not_there'.*sayso\[server\]"):
        require("sayso_not_there", "server")


@pytest.mark.anyio
async def test_a_package_that_is_broken_is_one_error_told_once_and_loads_once_it_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "sayso_broken.py"
    broken.write_text("import sayso_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    require("sayso_broken", "server")
    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            with pytest.raises(BackendError, match=r"sayso_not_there.*pip install"):
                await loaded("sayso_broken")
    (told,) = caplog.records
    assert "'sayso_broken' cannot be loaded: No module named 'sayso_not_there'" in told.message
    broken.write_text("")
    await loaded("sayso_broken")
    assert sys.modules.pop("sayso_broken")
