"""Every setting: name, default, help; the one reader of the environment."""

import hashlib
import os
import re
from collections.abc import Mapping
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from sayso.addresses import from_keywords, shown
from sayso.domain.accounts import Role
from sayso.domain.jobs import RETRY_SECONDS
from sayso.domain.redaction import parse
from sayso.errors import ConfigurationError

SECRET_FILE = "secret.key"  # noqa: S105  the name of a file
LEDGER_KEY_FILE = "ledger.key"
LEDGER_HEAD_FILE = "ledger.head"
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Setting(Struct, frozen=True):
    """A setting's names in the environment, best first, and what it means."""

    environment: tuple[str, ...]
    help: str


class Settings(Struct, frozen=True, kw_only=True):
    """How a server runs. Made by `load`, from arguments, then the environment, then defaults."""

    host: str = "127.0.0.1"
    port: int = 8080
    data: Path = Path("sayso-data")
    database_url: str = ""
    database_connections: int = 6
    signal_url: str = ""
    secret_file: Path | None = None
    public_url: str = ""
    memory: bool = False
    request_timeout: float = 300
    max_waits: int = 20_000
    max_body_bytes: int = 1_048_576
    allowed_hosts: tuple[str, ...] = ()
    callback_networks: tuple[str, ...] = ()
    callback_timeout: float = 10
    callback_retries: tuple[float, ...] = RETRY_SECONDS
    worker: bool = True
    ledger_key_file: Path | None = None
    redactions: tuple[str, ...] = ()
    redact_after_days: float = 0
    retain_days: float = 0
    require_keys: bool = False
    registration: bool | None = None
    key_prefix: str = "lk_pub_"
    jwt_secret: str = ""
    admin_user: str = ""
    admin_password_file: Path | None = None
    trusted_proxies: tuple[str, ...] = ()
    oidc_issuer: str = ""
    oidc_client_id: str = ""
    oidc_client_secret: str = ""
    oidc_domains: tuple[str, ...] = ()
    oidc_role: Role = Role.MEMBER
    log_level: str = "info"
    dev: bool = False

    @property
    def default_timeout(self) -> timedelta:
        """The deadline of a request that names none."""
        return timedelta(seconds=self.request_timeout)

    @property
    def database_scheme(self) -> str:
        """What the address of the database begins with; nothing: SQLite in the data folder."""
        return self.database_url.partition(":")[0]

    @property
    def signal_scheme(self) -> str:
        """What the address of the signal begins with; nothing: the one of the database."""
        return self.signal_url.partition(":")[0]

    @property
    def database_path(self) -> Path:
        """The file that `sqlite:PATH` names."""
        return Path(self.database_url.partition(":")[2].removeprefix("//"))

    @property
    def is_shared(self) -> bool:
        """Whether other processes may use the same database."""
        return not self.memory and self.database_scheme not in ("", "sqlite")

    @property
    def secret_path(self) -> Path:
        """The file of the secret key."""
        return self.secret_file or self.data / SECRET_FILE

    @property
    def ledger_key_path(self) -> Path:
        """The file of the ledger's key, which is there after its first rotation."""
        return self.ledger_key_file or self.secret_path.with_name(LEDGER_KEY_FILE)

    @property
    def ledger_head_path(self) -> Path:
        """The file of the newest head that was signed, beside the key.

        Databases may share a key: one that is not in the data folder has its address, without
        user and password, hashed into the name.
        """
        folder = self.ledger_key_path.parent
        if not self.database_url and folder == self.data:
            return folder / LEDGER_HEAD_FILE
        if not self.database_url:
            address = str(self.data.resolve())
        elif self.database_scheme == "sqlite":
            address = str(self.database_path.resolve())
        else:
            parts = urlsplit(self.database_url)
            address = f"{parts.netloc.rpartition('@')[2]}{parts.path}"
        name = hashlib.sha256(address.encode()).hexdigest()[:12]
        return folder / f"ledger-{name}.head"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the server."""
        return self.host in LOOPBACK

    @property
    def is_open(self) -> bool:
        """Whether whoever calls from this machine without a key may ask."""
        return self.is_local and not self.require_keys

    @property
    def may_register(self) -> bool:
        """Whether people may make accounts for themselves."""
        if self.registration is not None:
            return self.registration
        return self.is_local and not self.public_url


SETTINGS: Mapping[str, Setting] = {
    "host": Setting(("SAYSO_HOST",), "The address to listen on."),
    "port": Setting(("SAYSO_PORT", "SERVER_PORT"), "The port to listen on; 0 takes a free one."),
    "data": Setting(("SAYSO_DATA",), "The folder of the database and the secret key."),
    "database_url": Setting(
        ("SAYSO_DATABASE_URL",),
        "The database: `postgresql://USER:PASSWORD@HOST:PORT/NAME`,"
        " `redis://USER:PASSWORD@HOST:PORT/0`, or `sqlite:PATH`.",
    ),
    "database_connections": Setting(
        ("SAYSO_DATABASE_CONNECTIONS",), "Connections to PostgreSQL at the most, for each process."
    ),
    "signal_url": Setting(
        ("SAYSO_SIGNAL_URL",),
        "What wakes waiters in other processes, if it is not the database: `postgresql://` (past a"
        " pooler), `redis://` or `nats://`.",
    ),
    "secret_file": Setting(
        ("SAYSO_SECRET_FILE",), "The secret key, if it is not in the data folder."
    ),
    "public_url": Setting(
        ("SAYSO_PUBLIC_URL",), "The address that people open, if there is a proxy in front."
    ),
    "memory": Setting(("SAYSO_MEMORY",), "Keep everything in memory, and forget it at exit."),
    "request_timeout": Setting(
        ("SAYSO_REQUEST_TIMEOUT", "REQUEST_TIMEOUT"),
        "Seconds until a request expires, if it names no deadline of its own.",
    ),
    "max_waits": Setting(
        ("SAYSO_MAX_WAITS", "MAX_CONCURRENT_REQUESTS"),
        "Waits held open at once; one more is told to try again.",
    ),
    "max_body_bytes": Setting(("SAYSO_MAX_BODY_BYTES",), "The largest body that is taken."),
    "allowed_hosts": Setting(
        ("SAYSO_ALLOWED_HOSTS",), "Further names by which the server is reached, by commas."
    ),
    "callback_networks": Setting(
        ("SAYSO_CALLBACK_NETWORKS",),
        "Networks that may be called besides public addresses, by commas, as `10.1.0.0/16`.",
    ),
    "callback_timeout": Setting(
        ("SAYSO_CALLBACK_TIMEOUT",), "Seconds for one try of a delivery, 30 at the most."
    ),
    "callback_retries": Setting(
        ("SAYSO_CALLBACK_RETRIES",),
        "Seconds before each further try of a delivery that failed, by commas.",
    ),
    "worker": Setting(("SAYSO_WORKER",), "Carry out deliveries and reminders in this process."),
    "ledger_key_file": Setting(
        ("SAYSO_LEDGER_KEY_FILE",),
        "The key that signs the ledger, once it was rotated, if it is not beside the secret key.",
    ),
    "redactions": Setting(
        ("SAYSO_REDACTIONS",),
        "Arguments that exports do not show, as `payments.*:card.number`, by commas.",
    ),
    "redact_after_days": Setting(
        ("SAYSO_REDACT_AFTER_DAYS",),
        "Days after which they are taken out of closed requests for good; 0: never.",
    ),
    "retain_days": Setting(
        ("SAYSO_RETAIN_DAYS",),
        "Days after which closed requests and their events are deleted; 0: never.",
    ),
    "require_keys": Setting(
        ("SAYSO_REQUIRE_KEYS",),
        "Take no calls without a key, not even from this machine; on any other address than the"
        " loopback's it is always so.",
    ),
    "registration": Setting(
        ("SAYSO_REGISTRATION",),
        "Let people make accounts for themselves, as members. If it is not set: only on a loopback"
        " address without a public one.",
    ),
    "key_prefix": Setting(
        ("SAYSO_KEY_PREFIX", "API_KEY_PREFIX"), "What new keys begin with; old ones stay good."
    ),
    "jwt_secret": Setting(
        ("SAYSO_JWT_SECRET", "JWT_SECRET_KEY"),
        "Goes into the key that signs tokens, with the server's secret; a new one ends the old"
        " tokens.",
    ),
    "admin_user": Setting(
        ("SAYSO_ADMIN_USER",),
        "The user name of an admin to be made at the start, if there is no admin yet.",
    ),
    "admin_password_file": Setting(
        ("SAYSO_ADMIN_PASSWORD_FILE",), "The file of that admin's password."
    ),
    "trusted_proxies": Setting(
        ("SAYSO_TRUSTED_PROXIES",),
        "Networks of proxies whose `X-Forwarded-For` is believed, by commas, as `10.1.0.0/16`.",
    ),
    "oidc_issuer": Setting(
        ("SAYSO_OIDC_ISSUER",),
        "The OpenID provider at which people may sign in, as `https://accounts.example.com`.",
    ),
    "oidc_client_id": Setting(("SAYSO_OIDC_CLIENT_ID",), "What the provider calls this server."),
    "oidc_client_secret": Setting(
        ("SAYSO_OIDC_CLIENT_SECRET",), "What this server shows the provider."
    ),
    "oidc_domains": Setting(
        ("SAYSO_OIDC_DOMAINS",),
        "Only people with a verified address in these domains may come in, by commas.",
    ),
    "oidc_role": Setting(
        ("SAYSO_OIDC_ROLE",), "What people are who come from the provider for the first time."
    ),
    "log_level": Setting(
        ("SAYSO_LOG_LEVEL", "LOG_LEVEL"), "debug, info, warning or error; logs go to stderr."
    ),
    "dev": Setting(("SAYSO_DEV",), "Serve /dev/gallery, which shows each part of the inbox."),
}
_IN_FILES = frozenset({"database_url", "signal_url", "jwt_secret", "oidc_client_secret"})
"""They hold secrets, which may be kept in a file that is named instead."""
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:")
_KEYWORDS = re.compile(r"\s*\w+\s*=")
_PUBLIC_URL = re.compile(r"https?://(?P<host>[A-Za-z0-9._-]+)(?::(?P<port>\d{1,5}))?")
_KEY_PREFIX = re.compile(r"[A-Za-z0-9_-]{1,32}")
_LISTS = frozenset(
    {
        "allowed_hosts",
        "callback_networks",
        "callback_retries",
        "trusted_proxies",
        "oidc_domains",
        "redactions",
    }
)
_LONGEST_CALLBACK = 30.0
_LONGEST_PAUSE = 30 * 86_400.0
_LOG_LEVELS = ("debug", "info", "warning", "error")


def load(environment: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """The settings: `overrides` that are not None, then the environment, then the defaults.

    Raises:
        ConfigurationError: a value cannot be read, or the values do not go together.
    """
    given: dict[str, Any] = {}
    source = os.environ if environment is None else environment
    for name, setting in SETTINGS.items():
        for variable in setting.environment:
            if text := _text(name, variable, source):
                given[name] = _read(name, variable, text)
                break
    if "database_url" not in given and "memory" not in given:
        given |= _loopgate_database(source)
    given |= {name: value for name, value in overrides.items() if value is not None}
    if _KEYWORDS.match(given.get("database_url", "")):
        given["database_url"] = from_keywords(given["database_url"])
    try:
        settings = _converted(given)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"A setting cannot be used: {error}.") from None
    return _checked(settings)


def _text(name: str, variable: str, source: Mapping[str, str]) -> str:
    """What the variable says, or for an address the file that `VARIABLE_FILE` names."""
    text = source.get(variable, "")
    path = source.get(f"{variable}_FILE", "")
    if text or not path or name not in _IN_FILES:
        return text
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(
            f"The file {path!r} cannot be read: {error}.", hint=f"{variable}_FILE names it."
        ) from error
    if not text:  # never another database than the one that was meant
        raise ConfigurationError(f"The file {path!r} is empty.", hint=f"{variable}_FILE names it.")
    return text


def _loopgate_database(source: Mapping[str, str]) -> dict[str, Any]:
    """The database as Loopgate's variables name it."""
    adapter = source.get("DB_ADAPTER") or source.get("STORAGE_ADAPTER") or ""
    if not adapter:
        adapter = _adapter_of(source)
    match adapter.lower():
        case "":
            return {}
        case "memory" | "inmemory":
            return {"memory": True}
        case "sqlite" | "sqlite3":
            named = source.get("DB_URI") or source.get("SQLITE_DSN") or ""
            path = named.partition("?")[0].removeprefix("file:").removeprefix("sqlite:")
            return {"database_url": f"sqlite:{path}"} if path else {}
        case "postgres" | "postgresql":
            dsn = source.get("DB_URI") or source.get("POSTGRES_DSN") or ""
            if dsn:
                return {"database_url": from_keywords(dsn)}
            raise ConfigurationError(
                f"DB_ADAPTER={adapter!r} needs the address of the database.",
                hint="Set DB_URI or POSTGRES_DSN, or SAYSO_DATABASE_URL instead of both.",
            )
        case _:
            raise ConfigurationError(
                f"There is no database adapter {adapter!r} (from DB_ADAPTER or STORAGE_ADAPTER).",
                hint="Use postgres, sqlite or inmemory.",
            )


def _adapter_of(source: Mapping[str, str]) -> str:
    """The adapter that an address alone means."""
    address = source.get("DB_URI") or ""
    if source.get("POSTGRES_DSN") or address.startswith(("postgres:", "postgresql:", "host=")):
        return "postgres"
    if address.startswith(("file:", "sqlite:")) or address.endswith((".db", ".sqlite")):
        return "sqlite"
    if address:  # never another database than the one that was meant
        raise ConfigurationError(
            f"DB_URI={shown(address)!r} does not tell which kind of database it is.",
            hint="Set DB_ADAPTER to postgres or sqlite.",
        )
    return ""


def _converted(given: dict[str, Any]) -> Settings:
    return msgspec.convert(given, Settings, strict=False, dec_hook=lambda kind, text: kind(text))


def _read(name: str, variable: str, text: str) -> Any:
    """Check one variable by itself, so that the error names it."""
    value: Any = tuple(text.replace(",", " ").split()) if name in _LISTS else text
    try:
        return getattr(_converted({name: value}), name)
    except msgspec.ValidationError as error:
        raise ConfigurationError(
            f"The environment variable {variable}={text!r} cannot be used:"
            f" {str(error).partition(' - at ')[0]}.",
            hint=SETTINGS[name].help,
        ) from None


def _checked(settings: Settings) -> Settings:
    if not 0 <= settings.port <= 65_535:
        raise ConfigurationError(f"The port {settings.port} does not exist.")
    for name in (
        "request_timeout",
        "max_waits",
        "max_body_bytes",
        "database_connections",
        "callback_timeout",
    ):
        if getattr(settings, name) <= 0:
            raise ConfigurationError(f"The setting {name!r} must be greater than 0.")
    if settings.callback_timeout > _LONGEST_CALLBACK:
        raise ConfigurationError(
            f"A try of {settings.callback_timeout:g} seconds is too long.",
            hint=f"Take {_LONGEST_CALLBACK:g} at the most for 'callback_timeout'.",
        )
    if not all(0 < seconds <= _LONGEST_PAUSE for seconds in settings.callback_retries):
        raise ConfigurationError("A pause in the setting 'callback_retries' is not 0 to 30 days.")
    if settings.redact_after_days < 0 or settings.retain_days < 0:
        raise ConfigurationError("Days cannot be less than 0; 0 means never.")
    for rule in settings.redactions:
        parse(rule)
    if settings.log_level.lower() not in _LOG_LEVELS:
        raise ConfigurationError(
            f"There is no log level {settings.log_level!r}.",
            hint=f"Use one of: {', '.join(_LOG_LEVELS)}.",
        )
    if settings.memory and settings.database_url:
        raise ConfigurationError(
            "Both a database and keeping everything in memory were asked for.",
            hint="Leave one of them out: --memory or --database-url.",
        )
    if settings.database_scheme == "sqlite" and not settings.database_path.name:
        raise ConfigurationError(
            f"The address {settings.database_url!r} names no file.",
            hint="Write sqlite:PATH, or leave it out for SQLite in the data folder.",
        )
    for name in ("database_url", "signal_url"):
        url = getattr(settings, name)
        if url and not _SCHEME.match(url):  # it is not shown: it may hold a password
            raise ConfigurationError(
                f"The setting {name!r} is not an address.",
                hint="It begins with postgresql://, redis:// or the like.",
            )
    if settings.public_url and not _PUBLIC_URL.fullmatch(settings.public_url):
        raise ConfigurationError(
            f"The public address {settings.public_url!r} cannot be used.",
            hint="It has the form https://approvals.example.com, without a path.",
        )
    _check_accounts(settings)
    return settings


def _check_accounts(settings: Settings) -> None:
    if not _KEY_PREFIX.fullmatch(settings.key_prefix) or settings.key_prefix.startswith(
        ("web_", "sayso_")
    ):
        raise ConfigurationError(
            f"Keys cannot begin with {settings.key_prefix!r}.",
            hint="Take 1 to 32 letters, digits, _ and -, and neither web_ nor sayso_ first.",
        )
    if bool(settings.admin_user) != (settings.admin_password_file is not None):
        raise ConfigurationError(
            "Of the first admin, the user name or the file of the password is missing.",
            hint="Set both SAYSO_ADMIN_USER and SAYSO_ADMIN_PASSWORD_FILE.",
        )
    for network in settings.trusted_proxies:
        try:
            ip_network(network)
        except ValueError as error:
            raise ConfigurationError(
                f"The network {network!r} cannot be used: {error}.",
                hint="Write the networks of your proxies like 10.1.0.0/16 or 127.0.0.1.",
            ) from None
    if settings.oidc_issuer:
        parts = urlsplit(settings.oidc_issuer)
        if parts.scheme != "https" and not (
            parts.scheme == "http" and (parts.hostname or "") in LOOPBACK
        ):
            raise ConfigurationError(
                f"The OpenID provider {settings.oidc_issuer!r} cannot be used.",
                hint="Its address begins with https://.",
            )
        if not settings.oidc_client_id:
            raise ConfigurationError(
                "The provider's name for this server is missing.",
                hint="Set SAYSO_OIDC_CLIENT_ID, and the secret that goes with it.",
            )
