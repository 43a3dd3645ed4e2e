"""The inbox's files: compressed once, kept by browsers, and asked about each time."""

import gzip
import hashlib
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct
from starlette.types import Send

from sayso.server.http import Header, Reply

PREFIX = "/static/"
_TYPES: Mapping[str, bytes] = {
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".png": b"image/png",
    ".svg": b"image/svg+xml",
    ".webmanifest": b"application/manifest+json",
}
"""What is served; other files in the folder are not."""
_COMPRESSED_ALREADY = frozenset({".png"})


class _NotModified(Reply):
    """Has no body, and tells no length, which would be taken for that of the file."""

    async def send(self, send: Send) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": 304, "headers": self.headers})
        await send({"type": "http.response.body"})


class _File(Struct, frozen=True, kw_only=True):
    """One file as it is sent."""

    stamp: tuple[int, int]
    """When it was written, in nanoseconds, and its length: another one is read anew."""
    headers: tuple[Header, ...]
    plain: bytes
    zipped: bytes | None
    """None where compressing gains nothing."""
    digest: str


class Files:
    """The files of one folder, none of its subfolders.

    Each is read and compressed when it is first asked for, and then kept. The two forms of a file
    have an `ETag` each, since they are different bytes; `Vary` tells caches that there are two.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, _File] = {}

    def reply(self, path: str, headers: Mapping[bytes, bytes]) -> Reply | None:
        """The answer to a GET of a path below `/static/`; None if there is no such file."""
        file = self._file(path.removeprefix(PREFIX))
        if file is None:
            return None
        takes_gzip = file.zipped is not None and _takes_gzip(headers.get(b"accept-encoding", b""))
        body = file.zipped if takes_gzip and file.zipped is not None else file.plain
        etag = f'"{file.digest}-gzip"' if takes_gzip else f'"{file.digest}"'
        told = (*file.headers, (b"etag", etag.encode()))
        if _has_it(headers.get(b"if-none-match", b""), etag):
            return _NotModified(304, b"", told)
        return Reply(200, body, (*told, (b"content-encoding", b"gzip")) if takes_gzip else told)

    def _file(self, name: str) -> _File | None:
        path = self._folder / name
        kind = _TYPES.get(path.suffix)
        if kind is None or "/" in name or "\\" in name or "\0" in name:
            return None
        try:
            found = path.stat()
        except OSError:
            return None
        stamp = (found.st_mtime_ns, found.st_size)
        known = self._known.get(name)
        if known is None or known.stamp != stamp:
            known = self._known[name] = _read(path, stamp, kind)
        return known


def _read(path: Path, stamp: tuple[int, int], kind: bytes) -> _File:
    plain = path.read_bytes()
    zipped = None
    if path.suffix not in _COMPRESSED_ALREADY:
        smaller = gzip.compress(plain, 9, mtime=0)
        zipped = smaller if len(smaller) < len(plain) else None
    headers: list[Header] = [
        (b"content-type", kind),
        (b"cache-control", b"no-cache"),
        (b"x-content-type-options", b"nosniff"),
    ]
    if zipped is not None:
        headers.append((b"vary", b"accept-encoding"))
    return _File(
        stamp=stamp,
        headers=tuple(headers),
        plain=plain,
        zipped=zipped,
        digest=hashlib.sha256(plain).hexdigest()[:16],
    )


def _takes_gzip(accepted: bytes) -> bool:
    """Whether `Accept-Encoding` takes gzip; by name, not by `*`, and not with a weight of zero."""
    for each in accepted.lower().split(b","):
        name, _, weight = each.partition(b";")
        if name.strip() == b"gzip":
            _, _, value = weight.partition(b"=")
            return not value or value.strip().strip(b"0.") != b""
    return False


def _has_it(known: bytes, etag: str) -> bool:
    """Whether `If-None-Match` names this form of the file."""
    tags = {each.strip().removeprefix("W/") for each in known.decode("latin-1").split(",")}
    return etag in tags or "*" in tags
