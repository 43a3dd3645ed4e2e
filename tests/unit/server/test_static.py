"""The inbox's files as browsers get them: compressed, and asked about again."""

import gzip
import os
from pathlib import Path

import pytest

from sayso.server.inbox import pages
from sayso.server.static import Files

GZIP = {b"accept-encoding": b"gzip, deflate, br, zstd"}


@pytest.fixture
def files() -> Files:
    return Files(pages.STATIC)


def header(headers: object, name: bytes) -> bytes | None:
    return dict(headers).get(name)  # type: ignore[call-overload]


def test_a_file_comes_compressed_to_whoever_takes_that(files: Files) -> None:
    plain = files.reply("/static/main.js", {})
    zipped = files.reply("/static/main.js", GZIP)
    assert plain is not None
    assert zipped is not None
    assert gzip.decompress(zipped.body) == plain.body == (pages.STATIC / "main.js").read_bytes()
    assert header(zipped.headers, b"content-encoding") == b"gzip"
    assert header(plain.headers, b"content-encoding") is None
    for reply in (plain, zipped):
        assert header(reply.headers, b"vary") == b"accept-encoding"
        assert header(reply.headers, b"content-type") == b"text/javascript; charset=utf-8"


@pytest.mark.parametrize("refusal", [b"", b"br", b"*", b"gzip;q=0", b"br, gzip; q=0.000", b"xgzip"])
def test_nobody_is_sent_gzip_who_does_not_take_it(files: Files, refusal: bytes) -> None:
    reply = files.reply("/static/main.js", {b"accept-encoding": refusal})
    assert reply is not None
    assert header(reply.headers, b"content-encoding") is None


def test_the_two_forms_have_a_tag_each_and_only_its_own_says_unchanged(files: Files) -> None:
    plain, zipped = files.reply("/static/app.css", {}), files.reply("/static/app.css", GZIP)
    assert plain is not None
    assert zipped is not None
    tags = [header(reply.headers, b"etag") or b"" for reply in (plain, zipped)]
    assert tags[0] != tags[1]
    for tag, same, other in ((tags[0], {}, GZIP), (tags[1], GZIP, {})):
        for sent in (tag, b"W/" + tag, b'"x", ' + tag, b"*"):
            known = files.reply("/static/app.css", {**same, b"if-none-match": sent})
            assert known is not None
            assert (known.status, known.body) == (304, b"")
            assert header(known.headers, b"vary") == b"accept-encoding"
        crossed = files.reply("/static/app.css", {**other, b"if-none-match": tag})
        assert crossed is not None
        assert crossed.status == 200


def test_what_gains_nothing_is_sent_as_it_is(files: Files) -> None:
    reply = files.reply("/static/icon-192.png", GZIP)
    assert reply is not None
    assert header(reply.headers, b"content-encoding") is None
    assert header(reply.headers, b"vary") is None


def test_a_file_that_was_changed_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text("one()")
    files = Files(tmp_path)
    before = files.reply("/static/a.js", {})
    (tmp_path / "a.js").write_text("two()")
    os.utime(tmp_path / "a.js", ns=(1, 1))
    after = files.reply("/static/a.js", {})
    assert before is not None
    assert after is not None
    assert (before.body, after.body) == (b"one()", b"two()")
    assert header(before.headers, b"etag") != header(after.headers, b"etag")


@pytest.mark.parametrize(
    "path",
    [
        *("/static/", "/static/none.js", "/static/../pages.py", "/static/../templates/a.js"),
        *("/static//etc/a.js", "/static/a\0.js", "/static/..\\a.js", "/static/../static/app.css"),
    ],
)
def test_nothing_else_is_a_file(files: Files, path: str) -> None:
    assert files.reply(path, {}) is None
