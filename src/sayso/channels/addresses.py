"""Where we may be made to connect to: public addresses, and networks that a setting names.

Who names a URL to us would otherwise reach what only this machine can: services on its loopback,
its private network, the metadata of its cloud. So a URL is looked at when it is taken, and each
address when a connection is made to it, whatever a name resolves to by then.
"""

import ipaddress
import re
import socket
from collections.abc import Iterable

from yarl import URL

from sayso.errors import ConfigurationError, InvalidRequestError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

SETTING = "SAYSO_CALLBACK_NETWORKS"
LOOPBACK = ("127.0.0.1", "::1")
_NOT_PUBLIC = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "192.0.0.0/24",  # protocol assignments; a cloud's metadata
        "192.88.99.0/24",  # relays of 6to4
        "168.63.129.16/32",  # a cloud's metadata, at an address that looks public
    )
)
_UNICAST = ipaddress.IPv6Network("2000::/3")
_SIX_TO_FOUR = ipaddress.IPv6Network("2002::/16")
_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")


class ForbiddenAddressError(Exception):
    """A target lies where we do not connect to. It never reaches a caller of Sayso.

    Attributes:
        address: where; for the log only, since it may be a secret of an inner network.
    """

    def __init__(self, name: str, address: str) -> None:
        self.address = address
        super().__init__(
            f"{name} is at an address that is not public."
            f" To allow it, name its network in {SETTING}."
        )


class AddressGuard:
    """Tells which addresses and URLs are taken.

    Args:
        networks: besides what is public, as `127.0.0.0/8`.

    Raises:
        ConfigurationError: one of them is none.
    """

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks = tuple(_network(text) for text in networks)

    def allows(self, address: str) -> bool:
        """Whether a connection to this address (as numbers) may be made."""
        try:
            found = _unwrapped(ipaddress.ip_address(address))
        except ValueError:
            return False
        return any(found in network for network in self._networks) or _is_public(found)

    def require(self, address: str, name: str) -> None:
        """Refuse an address to which a name has led.

        Raises:
            ForbiddenAddressError: it is not allowed.
        """
        if not self.allows(address):
            raise ForbiddenAddressError(name, address)

    def localhost(self, name: str) -> list[str]:
        """The loopback addresses that are allowed: what the name `localhost` means here.

        Raises:
            ForbiddenAddressError: none is.
        """
        allowed = [address for address in LOOPBACK if self.allows(address)]
        if not allowed:
            self.require(LOOPBACK[0], name)
        return allowed

    def check_url(self, url: str, at: str) -> None:
        """Refuse a URL that can be seen to lead to where it may not. Names are not looked up.

        Args:
            url: from whoever asks to be told.
            at: where it stands in what was sent, as `$.callback_url`.

        Raises:
            InvalidRequestError: it tells what is wrong, and the way out.
        """
        wrong = self._wrong_with(url)
        if wrong:
            raise InvalidRequestError(
                f"{wrong} (at {at}).",
                hint="Name a public http or https address; others are taken if their network is"
                f" in the server's setting {SETTING}.",
                errors=({"at": at, "message": wrong},),
            )

    def _wrong_with(self, url: str) -> str:
        try:
            parts = URL(url)
            host = parts.raw_host
        except ValueError:
            return "This is not a URL"
        if parts.scheme not in ("http", "https") or not host or parts.port == 0:
            return "This is not an http or https URL of a host"
        if parts.raw_user is not None or parts.raw_password is not None:
            return "A name or password in the URL is not taken"
        name = host.rstrip(".").lower()
        if is_localhost(name):
            here = any(self.allows(address) for address in LOOPBACK)
            return "" if here else "The host is this machine"
        address = literal(name)
        if address is not None:
            return "" if self.allows(address) else f"The address {address} is not public"
        return "" if _NAME.fullmatch(name) else "The host has no valid name"


def is_localhost(name: str) -> bool:
    """Whether the name, in lower case and without a dot at its end, is this machine's by rule."""
    return name == "localhost" or name.endswith(".localhost")


def literal(host: str) -> str | None:
    """The address, if the host is one in any spelling that a system takes, as `127.1`."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return None


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ConfigurationError(
            f"The setting 'callback_networks' has {text!r}, which is no network: {error}.",
            hint="Write networks like 10.1.0.0/16, with commas between them.",
        ) from None


def _unwrapped(address: Address) -> Address:
    """The address itself: `::ffff:127.0.0.1` connects to 127.0.0.1."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _is_public(address: Address) -> bool:
    """Doubt blocks: what carries another address inside (6to4, NAT64, Teredo) is not public."""
    if address.is_multicast or address.is_reserved or not address.is_global:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC)
    return address.scope_id is None and address in _UNICAST and address not in _SIX_TO_FOUR
