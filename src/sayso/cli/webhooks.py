"""`sayso webhooks`: whom to tell of events: subscriptions and their secrets."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from sayso import settings
from sayso.cli import terminal
from sayso.cli.listing import print_list
from sayso.cli.remote import Remote
from sayso.cli.terminal import AsJson, visible
from sayso.cli.views import tabbed, timestamp
from sayso.client import Webhook
from sayso.links import load_secret
from sayso.signatures import callback_secret

FAILED = 1
_HERE = Remote()
_COLUMNS = ("ID", "STATE", "MADE", "MADE BY", "EVENTS", "URL")


def list_command(*, as_json: AsJson = False, remote: Remote = _HERE) -> None:
    """List subscriptions: those made without a key, or all for the person in $SAYSO_TOKEN.

    Args:
        as_json: Print JSON.
        remote: Where the server is.
    """
    with remote.client() as server:
        found = server.webhooks()
    if as_json:
        terminal.print_json({"items": found})
    else:
        empty = "No subscriptions yet: webhooks add URL"
        print_list(_COLUMNS, [_row(webhook) for webhook in found], empty)


def add_command(
    url: str,
    /,
    *,
    type: Annotated[list[str] | None, Parameter(negative="")] = None,  # noqa: A002
    session: str | None = None,
    client: str | None = None,
    description: str | None = None,
    as_json: AsJson = False,
    remote: Remote = _HERE,
) -> None:
    """Tell a URL of events from now on; print the id and the secret, which is not shown again.

    Args:
        url: Where to POST.
        type: Only these events, as request.decided; give it several times.
        session: Only those of this session.
        client: Only those of this client.
        description: What it is for.
        as_json: Print JSON.
        remote: Where the server is.
    """
    with remote.client() as server:
        webhook = server.add_webhook(
            url, types=type, session_id=session, client_id=client, description=description
        )
    _show_secret(webhook, as_json=as_json)


def remove_command(webhook_id: str, /, *, as_json: AsJson = False, remote: Remote = _HERE) -> None:
    """Remove a subscription; what waits for it is given up.

    Args:
        webhook_id: Its id.
        as_json: Print JSON.
        remote: Where the server is.
    """
    with remote.client() as server:
        removed = server.remove_webhook(webhook_id)
    if as_json:
        terminal.print_json(removed)
    else:
        print(f"{visible(removed.id)}\tremoved")


def rotate_command(webhook_id: str, /, *, as_json: AsJson = False, remote: Remote = _HERE) -> None:
    """Make a new secret; the old one signs as well for a day.

    Args:
        webhook_id: Its id.
        as_json: Print JSON.
        remote: Where the server is.
    """
    with remote.client() as server:
        webhook = server.rotate_webhook(webhook_id)
    _show_secret(webhook, as_json=as_json)


def enable_command(webhook_id: str, /, *, as_json: AsJson = False, remote: Remote = _HERE) -> None:
    """Send to it again after it was disabled; what it missed can be replayed.

    Args:
        webhook_id: Its id.
        as_json: Print JSON.
        remote: Where the server is.
    """
    with remote.client() as server:
        enabled = server.enable_webhook(webhook_id)
    terminal.tell(enabled, tabbed(enabled.id, "enabled"), as_json=as_json)


def disable_command(webhook_id: str, /, *, as_json: AsJson = False, remote: Remote = _HERE) -> None:
    """Send it nothing any more, and keep it, to be enabled again.

    Args:
        webhook_id: Its id.
        as_json: Print JSON.
        remote: Where the server is.
    """
    with remote.client() as server:
        disabled = server.disable_webhook(webhook_id)
    terminal.tell(disabled, tabbed(disabled.id, "disabled"), as_json=as_json)


def test_command(webhook_id: str, /, *, as_json: AsJson = False, remote: Remote = _HERE) -> int:
    """Send it something now, and tell what came of it. The exit status is 1 if it was not taken.

    Args:
        webhook_id: Its id.
        as_json: Print JSON.
        remote: Where the server is.
    """
    with remote.client() as server:
        tested = server.test_webhook(webhook_id)
    if as_json:
        terminal.print_json(tested)
    elif tested.ok:
        print(f"taken, with the status {tested.status}")
    else:
        print(visible(tested.error), file=sys.stderr)
    return 0 if tested.ok else FAILED


def secret_command(
    *,
    data: Annotated[Path | None, Parameter(show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Print the secret that signs what requests' own callback_url is told.

    It is made with the secret in the server's data folder, whether the server runs or not.

    Args:
        data: The server's data folder. Default: $SAYSO_DATA, else ./sayso-data.
        as_json: Print JSON.
    """
    secret = callback_secret(load_secret(settings.load(data=data).secret_path, create=False))
    if as_json:
        terminal.print_json({"secret": secret})
    else:
        print(secret)


def _row(webhook: Webhook) -> tuple[str, ...]:
    state = "active" if webhook.active else f"disabled: {webhook.disabled_reason}"
    made_at = timestamp(webhook.created_at)
    events = ",".join(webhook.types) or "all"
    return webhook.id, state, made_at, webhook.created_by, events, webhook.url


def _show_secret(webhook: Webhook, *, as_json: bool) -> None:
    if as_json:
        terminal.print_json(webhook)
    else:
        print(tabbed(webhook.id, webhook.secret))
