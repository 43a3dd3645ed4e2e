"""`sayso worker`: deliveries, reminders and deadlines, beside servers that share a database."""

from typing import Annotated

from cyclopts import Parameter

from sayso import settings
from sayso.cli.serve import Data
from sayso.errors import MissingExtraError
from sayso.version import __version__


def worker(
    *,
    data: Data = None,
    database_url: Annotated[str | None, Parameter(show_default=False)] = None,
) -> None:
    """Carry out deliveries, reminders and deadlines, beside servers, until Ctrl-C.

    A server does this by itself, unless it is started with --no-worker. With the embedded database
    nobody else can; it takes one that several processes share.

    Args:
        data: The folder of the secret key. Default: $SAYSO_DATA, else ./sayso-data.
        database_url: The servers' database: postgresql://USER:PASSWORD@HOST:PORT/NAME, or
            redis://HOST:PORT/0. Default: $SAYSO_DATABASE_URL.
    """
    try:
        from sayso.server import worker
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in {"", "sayso"}:
            raise
        raise MissingExtraError(package, "server") from error
    worker.work(settings.load(data=data, database_url=database_url), ready=_announce)
    print("Stopped.", flush=True)


def _announce() -> None:
    print(f"Sayso {__version__} worker: ready. Stop: Ctrl-C", flush=True)
