"""`sayso login-link`: sign in a person without a running server's help."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from sayso import settings
from sayso.cli import terminal
from sayso.cli.terminal import AsJson
from sayso.links import load_secret, make_link_token


def login_link(
    *,
    data: Annotated[Path | None, Parameter(show_default=False)] = None,
    port: Annotated[
        int | None, Parameter(show_default=False, validator=Number(gte=1, lte=65_535))
    ] = None,
    host: str = "localhost",
    as_json: AsJson = False,
) -> None:
    """Print a link that signs a person in, once, within the hour.

    It is made with the secret in the server's data folder, whether the server runs or not.

    Args:
        data: The server's data folder. Default: $SAYSO_DATA, else ./sayso-data.
        port: The server's port. Default: $SAYSO_PORT or $SERVER_PORT, else 8080.
        host: The server's name, as the browser knows it.
        as_json: Print JSON.
    """
    chosen = settings.load(data=data, port=port)
    token = make_link_token(load_secret(chosen.secret_path, create=False), datetime.now(UTC))
    url = chosen.public_url or f"http://{host}:{chosen.port}"
    link = f"{url}/login?token={token}"
    if as_json:
        terminal.print_json({"link": link})
    else:
        print(link)
