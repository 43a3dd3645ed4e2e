"""Health and the interface's own description."""

from msgspec import Struct

from sayso.server.http import Call, Reply, json_reply
from sayso.server.openapi import describe
from sayso.stores.base import EventQuery
from sayso.version import __version__


class Health(Struct, frozen=True, kw_only=True):
    """The server is up."""

    status: str = "healthy"
    service: str = "sayso"
    version: str = __version__


async def health(call: Call) -> Reply:
    """Whether the server is up."""
    return json_reply(200, Health())


async def ready(call: Call) -> Reply:
    """Whether the server can do its work now: it is not stopping, and the database answers."""
    if call.server.stopping:
        return json_reply(503, Health(status="stopping"))
    await call.server.broker.store.events(EventQuery(limit=0))
    return json_reply(200, Health(status="ready"))


async def openapi(call: Call) -> Reply:
    """This description."""
    return json_reply(200, describe(call.server.operations))
