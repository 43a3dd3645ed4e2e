"""`sayso deliveries` and `sayso replay`: what was sent, and sending it again."""

import sys
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from sayso.cli import terminal
from sayso.cli.listing import print_list
from sayso.cli.remote import Remote
from sayso.cli.terminal import AsJson
from sayso.cli.views import tabbed, timestamp
from sayso.client import Delivery

_HERE = Remote()
_COLUMNS = ("ID", "STATE", "TRIES", "STATUS", "MADE", "EVENT", "URL", "ERROR")


def deliveries(
    *,
    dead: Annotated[bool, Parameter(negative="")] = False,
    request: str | None = None,
    webhook: str | None = None,
    limit: Annotated[int, Parameter(validator=Number(gte=1, lte=200))] = 50,
    after: str | None = None,
    as_json: AsJson = False,
    remote: Remote = _HERE,
) -> None:
    """List what was sent, what waits and what was given up, newest first.

    Args:
        dead: Only what was given up.
        request: Only of this request.
        webhook: Only to this subscription.
        limit: At most so many.
        after: Go on after the delivery with this id.
        as_json: Print JSON.
        remote: Where the server is.
    """
    with remote.client() as server:
        page = server.deliveries(
            state="dead" if dead else None,
            request_id=request,
            webhook_id=webhook,
            limit=limit,
            after=after,
        )
    if as_json:
        terminal.print_json(page)
        return
    empty = "Nothing was given up." if dead else "Nothing was sent yet: webhooks add URL"
    print_list(_COLUMNS, [_row(delivery) for delivery in page.items], empty)
    if page.next is not None:
        print(f"There are more: --after {page.next}", file=sys.stderr)


def replay(delivery_id: str, /, *, as_json: AsJson = False, remote: Remote = _HERE) -> None:
    """Send a delivery again from the beginning, under the same id.

    Args:
        delivery_id: Its id.
        as_json: Print JSON.
        remote: Where the server is.
    """
    with remote.client() as server:
        delivery = server.replay(delivery_id)
    if as_json:
        terminal.print_json(delivery)
    else:
        print(f"{tabbed(delivery.id)}\t{delivery.state}")


def _row(delivery: Delivery) -> tuple[str | None, ...]:
    return (
        delivery.id,
        delivery.state,
        str(delivery.tries),
        str(delivery.status or ""),
        timestamp(delivery.created_at),
        delivery.type,
        delivery.url,
        delivery.error,
    )
