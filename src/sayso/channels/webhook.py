"""Deliveries over HTTP, signed as Standard Webhooks say, to public addresses only.

On aiohttp, since a POST by it costs a seventh of what the client's HTTP library takes.
"""

import asyncio
import contextlib
import email.utils
import logging
import socket
import threading
from datetime import UTC, datetime
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from msgspec import UNSET

from sayso.channels.addresses import AddressGuard, ForbiddenAddressError, is_localhost
from sayso.channels.base import Parcel, Receipt
from sayso.signatures import sign
from sayso.version import __version__

CONNECT_SECONDS = 5.0
KEEP_ALIVE_SECONDS = 4
"""Shorter than the usual 5 of servers, which would hang up in the moment of our next POST."""
MAX_ANSWER_BYTES = 4_096
"""So much of an answer's body is read, for the connection's sake; nobody looks at it."""
ANSWER_SECONDS = 1.0
MAX_LOOKUPS = 64
"""Names that are looked up at once."""

log = logging.getLogger("sayso.deliveries")

_GONE = 410
_ASKING_FOR_PATIENCE = frozenset({429, 503})


class WebhookCourier:
    """POSTs parcels; follows no redirect, uses no proxy, keeps no cookie.

    Args:
        guard: where it may connect to.
        timeout: seconds for one try as a whole.
        resolver: looks names up. Default: the system's.
    """

    def __init__(
        self,
        guard: AddressGuard,
        *,
        timeout: float = 10.0,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self.timeout = timeout
        self._guard = guard
        self._resolver = resolver or SystemResolver()
        self._session: aiohttp.ClientSession | None = None

    async def deliver(self, parcel: Parcel) -> Receipt:
        """Try once."""
        if self._session is None:
            self._session = self._opened()
        timestamp = int(parcel.at.timestamp())
        headers = {
            "content-type": "application/json",
            "webhook-id": parcel.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(parcel.secrets, parcel.id, timestamp, parcel.body),
        }
        if parcel.traceparent is not UNSET:
            headers["traceparent"] = parcel.traceparent
        try:
            async with self._session.post(
                parcel.url, data=parcel.body, headers=headers, allow_redirects=False
            ) as response:
                receipt = _receipt(response, parcel.at)
                await _read_a_little(response)
        except (aiohttp.ClientError, OSError, ValueError, ForbiddenAddressError) as error:
            return _failure(error, self.timeout)
        return receipt

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _opened(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            resolver=_GuardedResolver(self._resolver, self._guard),
            socket_factory=self._socket,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            limit=0,  # whoever gives us parcels counts them
        )
        connect = min(CONNECT_SECONDS, self.timeout)
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self.timeout, connect=connect),
            headers={"user-agent": f"sayso/{__version__}"},
            skip_auto_headers=("accept-encoding",),
            auto_decompress=False,
            read_bufsize=MAX_ANSWER_BYTES,
            trust_env=False,
        )

    def _socket(self, target: tuple[Any, ...]) -> socket.socket:
        """A socket for one address: the last look, at what is really connected to."""
        family, kind, protocol, _, address = target
        self._guard.require(address[0], "The target")
        return socket.socket(family, kind, protocol)


class _GuardedResolver(AbstractResolver):
    """Refuses a name if any of its addresses is forbidden."""

    def __init__(self, resolver: AbstractResolver, guard: AddressGuard) -> None:
        self._resolver = resolver
        self._guard = guard

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The name's addresses, if all of them are allowed."""
        if is_localhost(host.rstrip(".").lower()):
            return [_result(host, address, port) for address in self._guard.localhost(host)]
        found = await self._resolver.resolve(host, port, family)
        for each in found:
            self._guard.require(each["host"], host)
        return found

    async def close(self) -> None:
        """Close the one that looks up."""
        await self._resolver.close()


class SystemResolver(AbstractResolver):
    """The system's look-up, each in a thread that holds up nothing if it hangs."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(MAX_LOOKUPS)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The name's addresses.

        Raises:
            OSError: it has none, or they cannot be found out.
        """
        async with self._free:
            loop = asyncio.get_running_loop()
            looked_up: asyncio.Future[list[str]] = loop.create_future()

            def settle(addresses: list[str], error: OSError | None) -> None:
                if looked_up.done():
                    return
                if error is not None:
                    looked_up.set_exception(error)
                else:
                    looked_up.set_result(addresses)

            def look_up() -> None:
                addresses: list[str] = []
                failed: OSError | None = None
                try:
                    rows = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
                    addresses = [str(row[4][0]) for row in rows]
                except (OSError, UnicodeError) as error:
                    failed = error if isinstance(error, OSError) else OSError(str(error))
                with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                    loop.call_soon_threadsafe(settle, addresses, failed)

            threading.Thread(target=look_up, name="sayso-lookup", daemon=True).start()
            return [_result(host, address, port) for address in await looked_up]

    async def close(self) -> None:
        """Nothing to let go."""


def _result(host: str, address: str, port: int) -> ResolveResult:
    return ResolveResult(
        hostname=host,
        host=address,
        port=port,
        family=socket.AF_INET6 if ":" in address else socket.AF_INET,
        proto=0,
        flags=socket.AI_NUMERICHOST,
    )


def _receipt(response: aiohttp.ClientResponse, now: datetime) -> Receipt:
    status = response.status
    if 200 <= status < 300:
        return Receipt(ok=True, status=status)
    error = f"The target answered with the status {status}."
    if 300 <= status < 400:
        error = f"The target answered with the status {status}; redirects are not followed."
    if status == _GONE:
        return Receipt(status=status, error="The target wants no more (410).", gone=True)
    patience = status in _ASKING_FOR_PATIENCE
    wish = _seconds(response.headers.get("retry-after", ""), now) if patience else None
    return Receipt(status=status, error=error, retry_after=wish)


def _seconds(text: str, now: datetime) -> float | None:
    """What `Retry-After` says, as a number or as a date."""
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        until = email.utils.parsedate_to_datetime(text)
        aware = until if until.tzinfo is not None else until.replace(tzinfo=UTC)
        return max(0.0, (aware - now).total_seconds())
    except (ValueError, OverflowError):  # no date, or one that no calendar has
        return None


async def _read_a_little(response: aiohttp.ClientResponse) -> None:
    """A short body is read to its end, so that its connection can be used again."""
    if (response.content_length or 0) > MAX_ANSWER_BYTES:
        return
    left = MAX_ANSWER_BYTES
    with contextlib.suppress(aiohttp.ClientError, OSError):  # a timeout is an OSError as well
        async with asyncio.timeout(ANSWER_SECONDS):
            while left > 0 and (part := await response.content.read(left)):
                left -= len(part)


def _failure(error: Exception, timeout: float) -> Receipt:
    """Why there was no answer, in words that a person understands."""
    match error:
        case ForbiddenAddressError():
            log.warning("%s (%s)", error, error.address)
            return Receipt(error=str(error), hopeless=True)
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError() | ValueError():
            return Receipt(error="The target's address is not a usable URL.", hopeless=True)
        case TimeoutError():
            return Receipt(error=f"The target did not answer within {timeout:g} seconds.")
        case aiohttp.ClientConnectorDNSError():
            return Receipt(error="The target's name cannot be resolved.")
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return Receipt(error=f"No secure connection to the target: {_short(error)}.")
        case aiohttp.ClientConnectorError():
            return Receipt(error=f"No connection to the target: {_short(error.os_error)}.")
        case aiohttp.ServerDisconnectedError() | ConnectionError():
            return Receipt(error="The target hung up without an answer.")
        case _:
            return Receipt(error=f"The target's answer cannot be read: {_short(error)}.")


def _short(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__)[:200]
