"""Addresses of databases and buses, and what may be told about them.

They hold passwords, and libraries quote them in their errors; so nothing of an address reaches a
message or a log but what comes out of here.
"""

import re
import shlex
from urllib.parse import parse_qsl, quote, unquote, urlencode

from sayso.errors import ConfigurationError

_SEVERAL = re.compile(r",(?=\w+://)")
_ADDRESS = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://"
    r"(?:(?P<user>[^/?#@:]*)(?::(?P<password>[^/?#]*))?@)?"
    r"(?P<hosts>(?:[\w.-]*|\[[0-9a-fA-F:.%]+\])(?::\d+)?(?:,(?:[\w.-]+|\[[0-9a-fA-F:.%]+\])(?::\d+)?)*)"
    r"(?P<path>/[^?#@]*)?"
    r"(?:\?(?P<query>[^#@]*))?",
)
_SECRET = re.compile(r"pass|token|secret|key|cred", re.IGNORECASE)


def shown(url: str) -> str:
    """Scheme, hosts and path of an address, or of several with commas between them.

    Raises:
        ValueError: it cannot be read; the text tells the way out, and nothing of the address.
    """
    return ",".join(
        f"{part['scheme']}://{part['hosts']}{part['path'] or ''}" for part in _read(url)
    )


def without_secrets(text: str, url: str) -> str:
    """What a library said about this address, with `***` for whatever in it may be secret."""
    try:
        parts = _read(url)
    except ValueError:
        return "***"
    secrets: set[str] = set()
    for part in parts:
        secrets.add(part["password"] or "")
        if part["password"] is None and part["scheme"] in ("nats", "tls"):
            secrets.add(part["user"] or "")  # a token
        options = parse_qsl(part["query"] or "")
        secrets |= {value for name, value in options if _SECRET.search(name)}
    secrets |= {unquote(secret) for secret in secrets}
    for secret in sorted(secrets - {""}, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def from_keywords(dsn: str) -> str:
    """The URL of a PostgreSQL database that may be given as `host=localhost dbname=name`.

    Raises:
        ConfigurationError: it is neither.
    """
    if "://" in dsn:
        return dsn
    try:
        given = dict(word.split("=", 1) for word in shlex.split(dsn))
    except ValueError:
        raise ConfigurationError(
            "The address of the database cannot be read.",
            hint="Write postgresql://USER:PASSWORD@HOST:PORT/NAME, or host=... dbname=...",
        ) from None
    user, password = (quote(given.pop(name, ""), safe="") for name in ("user", "password"))
    who = f"{user}:{password}@" if password else f"{user}@" if user else ""
    where = f"{given.pop('host', 'localhost')}:{given.pop('port', '5432')}"
    name = quote(given.pop("dbname", ""), safe="")
    return f"postgresql://{who}{where}/{name}" + (f"?{urlencode(given)}" if given else "")


def _read(url: str) -> list[re.Match[str]]:
    parts = [_ADDRESS.fullmatch(each) for each in _SEVERAL.split(url)]
    found = [part for part in parts if part is not None]
    if len(found) < len(parts):
        raise ValueError(
            "It cannot be read: write scheme://user:password@host:port/name, with %40 for @,"
            " %2F for /, %3A for : and %23 for # within the password."
        )
    return found
