"""`sayso passkey-code`: the way out for somebody whose passkeys are lost."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from sayso import settings
from sayso.cli import terminal
from sayso.cli.terminal import AsJson
from sayso.links import load_secret
from sayso.nonces import LOST_PASSKEY, make_nonce


def passkey_code(
    *,
    data: Annotated[Path | None, Parameter(show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Print a code that removes one lost passkey, within five minutes.

    It is made with the secret in the server's data folder, whether the server runs or not. The
    person enters it at /passkeys, signed in.

    Args:
        data: The server's data folder. Default: $SAYSO_DATA, else ./sayso-data.
        as_json: Print JSON.
    """
    chosen = settings.load(data=data)
    secret = load_secret(chosen.secret_path, create=False)
    code = make_nonce(secret, LOST_PASSKEY, datetime.now(UTC))
    if as_json:
        terminal.print_json({"code": code})
    else:
        print(code)
