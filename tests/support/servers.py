"""The servers that tests start; they are those of `tools/servers.py`."""

from tools.servers import (
    LocalServer,
    NatsServer,
    PostgresServer,
    RedisServer,
    port_to_come_back_to,
    tied,
)

__all__ = [
    "LocalServer",
    "NatsServer",
    "PostgresServer",
    "RedisServer",
    "port_to_come_back_to",
    "tied",
]
