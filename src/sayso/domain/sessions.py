"""An agent's conversation: it groups and routes requests, and can be closed."""

from datetime import datetime

from msgspec import Struct

from sayso.domain.accounts import DEFAULT_TENANT


class Session(Struct, frozen=True, kw_only=True):
    """A registered session; a request in a session that is not active is refused."""

    id: str
    client_id: str
    telegram_id: int | None = None
    active: bool = True
    created_at: datetime
    tenant: str = DEFAULT_TENANT
    registered_by: str = ""
    """The actor who registered it first, and whose it stays; empty: it was not kept yet."""
    owner: str = ""
    """The id of the person whose agent that is."""
