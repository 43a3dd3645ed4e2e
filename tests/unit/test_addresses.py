"""What may be told about the address of a database or a bus."""

import pytest

from sayso.addresses import shown, without_secrets


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://ada:hunter2@db:5432/sayso", "postgresql://db:5432/sayso"),
        ("postgresql://db/sayso?password=hunter2&sslmode=require", "postgresql://db/sayso"),
        ("postgresql://ada:p@ss@a:1,b:2/sayso", "postgresql://a:1,b:2/sayso"),
        ("postgresql:///sayso?host=/run/postgresql", "postgresql:///sayso"),
        ("redis://:hunter2@127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("rediss://[::1]:6380", "rediss://[::1]:6380"),
        ("nats://token@a:4222,nats://b", "nats://a:4222,nats://b"),
    ],
)
def test_an_address_is_told_without_its_secrets(url: str, told: str) -> None:
    assert shown(url) == told


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "redis:/127.0.0.1",
        "postgresql://ada:hunt/er2@db/sayso",
        "postgresql://ada:12/hunter2@db/sayso",
        "postgresql://ada:12#hunter2@db/sayso",
        "postgresql://ada:12?hunter2@db/sayso",
        "postgresql://ada:hunter2/sayso",
        "redis://a:1,redis://ada:hunt/er2@b",
        "redis://there\nhunter2",
    ],
)
def test_an_address_that_cannot_be_read_is_not_quoted(url: str) -> None:
    with pytest.raises(ValueError, match="cannot be read") as told:
        shown(url)
    assert "hunt" not in str(told.value)
    assert without_secrets(f"bad address: {url}", url) == "***"


@pytest.mark.parametrize(
    ("url", "text", "told"),
    [
        ("redis://ada:hunter2@a", "ada, hunter2 at a", "ada, *** at a"),
        ("redis://ada:p%40ss@a", "p@ss and p%40ss", "*** and ***"),
        ("postgresql://a/b?password=x1&sslmode=require", "x1, require", "***, require"),
        ("nats://token@a", "token at a", "*** at a"),
        ("redis://a", "refused", "refused"),
    ],
)
def test_what_a_library_says_is_told_without_secrets(url: str, text: str, told: str) -> None:
    assert without_secrets(text, url) == told
