"""What settings are taken from."""

from pathlib import Path

import pytest

from sayso.errors import ConfigurationError
from sayso.settings import load

ADDRESS = "postgresql://sayso:a-secret@db/sayso"


def test_the_address_of_the_database_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "database_url"
    file.write_text(f"{ADDRESS}\n")
    named = {"SAYSO_DATABASE_URL_FILE": str(file), "SAYSO_SIGNAL_URL_FILE": str(file)}
    settings = load(named)
    assert (settings.database_url, settings.signal_url) == (ADDRESS, ADDRESS)
    assert load({**named, "SAYSO_DATABASE_URL": "sqlite:x"}).database_url == "sqlite:x"


def test_only_an_address_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "port").write_text("1234")
    assert load({"SAYSO_PORT_FILE": str(tmp_path / "port")}).port == 8080


@pytest.mark.parametrize("content", [None, "", " \n", b"\xff"])
def test_a_file_without_an_address_is_refused(tmp_path: Path, content: str | bytes | None) -> None:
    file = tmp_path / "database_url"
    if content is not None:
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ConfigurationError, match="database_url") as refused:
        load({"SAYSO_DATABASE_URL_FILE": str(file)})
    assert refused.value.hint == "SAYSO_DATABASE_URL_FILE names it."


def test_an_address_in_keywords_is_understood_and_what_is_none_is_not_shown() -> None:
    keywords = "host=db user=sayso password=s3cret dbname=sayso"
    chosen = load({"SAYSO_DATABASE_URL": keywords})
    assert chosen.database_url == "postgresql://sayso:s3cret@db:5432/sayso"
    for name in ("SAYSO_DATABASE_URL", "SAYSO_SIGNAL_URL"):
        with pytest.raises(ConfigurationError) as caught:
            load({name: "s3cret@db/sayso"})
        assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "meant"),
    [
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("host=h dbname=d user=u", "postgresql://"),
        ("sqlite:/data/x.db", "sqlite:/data/x.db"),
        ("/data/x.db", "sqlite:/data/x.db"),
    ],
)
def test_an_address_alone_tells_which_database_is_meant(address: str, meant: str) -> None:
    assert load({"DB_URI": address}).database_url.startswith(meant)


def test_an_address_that_does_not_tell_is_refused_and_not_passed_over() -> None:
    with pytest.raises(ConfigurationError, match="which kind of database"):
        load({"DB_URI": "mysql://u:secret@h/d"})
