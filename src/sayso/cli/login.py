"""`sayso login`: a token for a user name and a password."""

from sayso.cli import terminal
from sayso.cli.manage import as_nobody, read_password
from sayso.cli.remote import Remote
from sayso.cli.terminal import AsJson

_HERE = Remote()


def login(username: str, /, *, as_json: AsJson = False, remote: Remote = _HERE) -> None:
    """Print a token for $SAYSO_TOKEN; the password is asked for, or read from the standard input.

    Args:
        username: Who signs in.
        as_json: Print JSON.
        remote: Where the server is.
    """
    password = read_password()
    with as_nobody(remote) as manager:
        body = {"username": username, "password": password}
        signed_in = manager.call("POST", "/api/auth/login", body)
    if as_json:
        terminal.print_json(signed_in)
    else:
        print(signed_in["token"])
