"""`sayso serve`: the server, and the banner that says how to get in."""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Protocol

from cyclopts import Parameter
from rich.text import Text

from sayso import settings
from sayso.addresses import shown
from sayso.cli import terminal
from sayso.errors import MissingExtraError
from sayso.version import __version__

Port = Annotated[int | None, Parameter(show_default=False)]
Data = Annotated[Path | None, Parameter(show_default=False)]


class Listening(Protocol):
    """What a server that has begun to listen tells about itself."""

    @property
    def url(self) -> str:
        """Its address, as `http://localhost:8080`."""
        ...

    @property
    def link(self) -> str:
        """A one-time sign-in link."""
        ...


Ready = Callable[[Listening], None]


def serve(
    *,
    host: Annotated[str | None, Parameter(show_default=False)] = None,
    port: Port = None,
    data: Data = None,
    database_url: Annotated[str | None, Parameter(show_default=False)] = None,
    memory: Annotated[bool, Parameter(negative="")] = False,
    worker: Annotated[bool | None, Parameter(show_default=False)] = None,
) -> None:
    """Run the server, until Ctrl-C.

    Args:
        host: The address to listen on. Default: $SAYSO_HOST, else 127.0.0.1: this machine only.
        port: The port; 0 takes a free one. Default: $SAYSO_PORT or $SERVER_PORT, else 8080.
        data: The folder of the database. Default: $SAYSO_DATA, else ./sayso-data.
        database_url: postgresql://USER:PASSWORD@HOST:PORT/NAME, redis://HOST:PORT/0, or
            sqlite:PATH. Default: $SAYSO_DATABASE_URL, else SQLite in the data folder.
        memory: Keep everything in memory, gone when the server stops.
        worker: Carry out deliveries and reminders here as well. Default: $SAYSO_WORKER, else yes.
    """
    run_server(
        host=host, port=port, data=data, database_url=database_url, memory=memory, worker=worker
    )


def run_server(
    *,
    host: str | None = None,
    port: int | None = None,
    data: Path | None = None,
    database_url: str | None = None,
    memory: bool = False,
    worker: bool | None = None,
    ready: Ready | None = None,
) -> None:
    """Serve until a signal; print the banner, then call `ready`, once it listens.

    Raises:
        ConfigurationError: a setting cannot work, or the port is taken.
        MissingExtraError: the server's packages are not installed.
    """
    try:
        from sayso.server import run
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in {"", "sayso"}:
            raise
        raise MissingExtraError(package, "server") from error
    chosen = settings.load(
        host=host,
        port=port,
        data=data,
        database_url=database_url,
        memory=memory or None,
        worker=worker,
    )

    def announce(info: Listening) -> None:
        _banner(info, chosen)
        if ready is not None:
            ready(info)

    run.serve(chosen, ready=announce)
    print("Stopped.", flush=True)


def _banner(info: Listening, chosen: settings.Settings) -> None:
    """The link stands on a line of its own, unwrapped, so that it can be clicked and cut."""
    data = None if chosen.memory else chosen.data.resolve()
    where = "in memory only: gone when this stops" if data is None else str(data)
    if chosen.is_shared:
        where = shown(chosen.database_url)
    port = info.url.rpartition(":")[2]
    another = f"{terminal.program()} login-link --data {shlex.quote(str(data))} --port {port}"
    screen = terminal.console()
    if sys.stdout.isatty():
        screen.print()
    screen.print(Text(f"Sayso {__version__} listens at {info.url}", style="bold"), soft_wrap=True)
    screen.print(Text("Sign in with this link, once, within the hour:"), soft_wrap=True)
    screen.print(Text(info.link, style="bold cyan"), soft_wrap=True)
    screen.print(Text(f"Data: {where}", style="dim"), soft_wrap=True)
    if data is not None:
        screen.print(Text(f"Another link: {another}", style="dim"), soft_wrap=True)
    screen.print(Text("Stop: Ctrl-C", style="dim"), soft_wrap=True)
    if sys.stdout.isatty():
        screen.print()
    sys.stdout.flush()
