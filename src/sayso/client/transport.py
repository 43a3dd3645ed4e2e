"""Between our steps and the HTTP library: the same for both clients."""

from typing import Any, TypeAlias

import httpx2

from sayso.client.protocol import DEFAULT_URL, Protocol
from sayso.client.steps import Lost, Reply, Send
from sayso.errors import ConfigurationError, InvalidRequestError, UsageError
from sayso.version import __version__

Arguments: TypeAlias = dict[str, Any]
"""Keyword arguments for the HTTP library."""

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def settings(protocol: Protocol) -> Arguments:
    """The arguments of an `httpx2` client that both kinds share.

    Raises:
        ConfigurationError: the address is none.
    """
    try:
        address = httpx2.URL(protocol.address)
    except httpx2.InvalidURL as error:
        raise ConfigurationError(
            f"The server address {protocol.base_url!r} is not a URL: {error}.",
            hint=f"Write it like {DEFAULT_URL}.",
        ) from error
    return {
        "base_url": address,
        "headers": {"User-Agent": f"sayso-python/{__version__}"},
        # Each wait holds a connection: a limit would let waits keep a submit out.
        "limits": httpx2.Limits(max_connections=None, max_keepalive_connections=100),
        # A proxy for this machine's own server is never meant.
        "trust_env": address.host not in _LOOPBACK,
    }


def arguments(
    client: httpx2.Client | httpx2.AsyncClient, protocol: Protocol, send: Send, timeout: float
) -> Arguments:
    """The arguments of `request` and `stream`; `timeout` is for each step, in seconds.

    Raises:
        UsageError: the client is closed.
    """
    if client.is_closed:
        raise UsageError("This client is closed.", hint="Make another one, or close it later.")
    return {
        "method": send.method,
        "url": send.path,
        "params": send.params or None,
        "headers": protocol.headers(send),
        "content": send.content,
        "timeout": httpx2.Timeout(timeout, read=timeout + send.patience, pool=None),
    }


def reply(response: httpx2.Response) -> Reply:
    """A response that has been read."""
    return Reply(status=response.status_code, headers=response.headers, content=response.content)


def is_stream(response: httpx2.Response) -> bool:
    """Whether server-sent events follow; otherwise it is an answer to be read."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return response.is_success and kind == "text/event-stream"


def lost(error: httpx2.RequestError) -> Lost:
    """What became of a request without a response.

    Raises:
        InvalidRequestError: it could not be written as HTTP at all.
    """
    match error:
        case httpx2.UnsupportedProtocol() | httpx2.LocalProtocolError():
            raise InvalidRequestError(f"This cannot be sent over HTTP: {error}.") from error
        case httpx2.ConnectError() | httpx2.ConnectTimeout() | httpx2.ProxyError():
            return Lost(why="refused", error=error)
        case httpx2.TimeoutException():
            return Lost(why="slow", error=error)
        case _:
            return Lost(why="broken", error=error)
