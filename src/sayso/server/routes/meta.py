"""Health and the interface's own description."""

from msgspec import Struct

from sayso.server.http import Call, Reply, json_reply
from sayso.server.openapi import describe
from sayso.version import __version__


class Health(Struct, frozen=True, kw_only=True):
    """The server is up."""

    status: str = "healthy"
    service: str = "sayso"
    version: str = __version__


async def health(call: Call) -> Reply:
    """Whether the server is up."""
    return json_reply(200, Health())


async def openapi(call: Call) -> Reply:
    """This description."""
    return json_reply(200, describe(call.server.operations))
