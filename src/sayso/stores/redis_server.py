"""Whether a Redis server is fit to keep decisions, and what it does not promise as it is set up."""

# The package's own types are incomplete.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
import logging
from collections.abc import Mapping
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from sayso.errors import ConfigurationError

OLDEST = 6
_OTHERS = ("dragonfly", "garnet", "keydb", "kvrocks")

log = logging.getLogger("sayso.store")


async def check_server(client: Redis, where: str) -> None:
    """Refuse a server that would lose or refuse what we write; log what one does not promise.

    Raises:
        ConfigurationError: it is another kind of server, too old, a replica, part of a cluster,
            or throws keys away when its memory is full.
    """
    info: Mapping[str, Any] = await client.info()
    _refuse(info, where)
    if not info.get("aof_enabled"):
        log.warning(
            "Redis at %s keeps no append-only file (appendonly is off). When it stops or is killed,"
            " it forgets all requests and decisions since its last snapshot, also those that were"
            " answered. To keep each one: CONFIG SET appendonly yes, and appendfsync always.",
            where,
        )
        return
    policy = await _appendfsync(client)
    if policy is None:
        log.warning(
            "Redis at %s does not tell its appendfsync setting. Unless it is `always`, requests"
            " and decisions of the last seconds may be lost, though they were answered, when its"
            " machine fails.",
            where,
        )
    elif policy != "always":
        log.warning(
            "Redis at %s has appendfsync %s. When its machine fails or loses power, %s, are lost,"
            " though they were answered. To keep each one: CONFIG SET appendfsync always.",
            where,
            policy,
            "requests and decisions of the last second or two"
            if policy == "everysec"
            else "requests and decisions that the system had not written, often of half a minute",
        )


def _refuse(info: Mapping[str, Any], where: str) -> None:
    other = next((name for name in _OTHERS if f"{name}_version" in info), None)
    version = str(info.get("redis_version", "0"))
    major = version.partition(".")[0]
    if other is not None or not major.isdecimal() or int(major) < OLDEST:
        raise ConfigurationError(
            f"The server at {where} is {other or f'Redis {version}'}.",
            hint=f"Sayso needs Redis or Valkey, version {OLDEST} or later.",
        )
    if info.get("cluster_enabled"):
        raise ConfigurationError(
            f"The Redis server at {where} is part of a cluster, which cannot change the keys of"
            " one request together.",
            hint="Use a single server, with replicas if you like.",
        )
    if info.get("role", "master") != "master":
        raise ConfigurationError(
            f"The Redis server at {where} is a replica.", hint="Use its primary: it is written to."
        )
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy.startswith("allkeys"):
        raise ConfigurationError(
            f"The Redis server at {where} throws keys away when its memory is full"
            f" (maxmemory-policy {policy}); they would be requests and decisions.",
            hint="Set it up with: CONFIG SET maxmemory-policy noeviction",
        )


async def _appendfsync(client: Redis) -> str | None:
    """The setting; None where CONFIG is not allowed, as with many hosted servers."""
    try:
        told: Mapping[Any, Any] = await client.config_get("appendfsync")
    except ResponseError:
        return None
    values = [v.decode() if isinstance(v, bytes) else str(v) for v in told.values()]
    return values[0] if values else None
