"""The server that a command talks to, and as whom."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from sayso import settings
from sayso.cli.terminal import visible
from sayso.client import Client
from sayso.domain.requests import Request
from sayso.errors import (
    ConfigurationError,
    ConflictError,
    NotFoundError,
    SignInRequiredError,
    UsageError,
)
from sayso.links import load_secret, make_link_token

SHORTEST_PREFIX = 6
_RETRY_SECONDS = 3.0  # somebody is looking at the terminal
_ID_LENGTH = 36
_SEARCHED = 1000  # requests that are looked through for a prefix


@Parameter(name="*")
@dataclass(frozen=True)
class Remote:
    """Where the server is."""

    url: Annotated[str | None, Parameter(show_default=False)] = None
    """The server's address. Default: $SAYSO_URL, else http://localhost:8080."""

    def client(self, *, retry_seconds: float = _RETRY_SECONDS) -> Client:
        """A client with the key in `$SAYSO_API_KEY`, else a person's token in `$SAYSO_TOKEN`."""
        token = None if os.environ.get("SAYSO_API_KEY") else os.environ.get("SAYSO_TOKEN")
        return Client(self.url, token=token, retry_seconds=retry_seconds)

    def person(self, secret: Path) -> Client:
        """A client that speaks for a person.

        By the token in `$SAYSO_TOKEN`; without one, by the secret in the server's data folder,
        which is a right to sign in for whoever may read it.

        Raises:
            SignInRequiredError: there is neither.
        """
        if token := os.environ.get("SAYSO_TOKEN"):
            return Client(self.url, token=token, retry_seconds=_RETRY_SECONDS)
        try:
            link_token = make_link_token(load_secret(secret, create=False), datetime.now(UTC))
        except ConfigurationError as error:
            raise SignInRequiredError(
                "Only a person can decide, and nobody is signed in.",
                hint=f"Set SAYSO_TOKEN, or name the server's data folder: --data DIR. "
                f"{error.detail}",
            ) from error
        client = Client(self.url, retry_seconds=_RETRY_SECONDS)
        try:
            client.sign_in(link_token)
        except SignInRequiredError as error:
            client.close()
            raise SignInRequiredError(
                f"The server at {client.base_url} does not know the secret in {str(secret)!r}.",
                hint="Name the folder with which that server runs: --data DIR.",
            ) from error
        return client


@Parameter(name="*")
@dataclass(frozen=True)
class Desk(Remote):
    """Where the server is, and as whom to speak there: what only people and admins may do."""

    data: Annotated[Path | None, Parameter(show_default=False)] = None
    """The server's data folder, to sign in by. Default: $SAYSO_DATA, else ./sayso-data."""

    def reviewer(self) -> Client:
        """A client that speaks for a person. Raises as `person` does."""
        return self.person(settings.load(data=self.data).secret_path)

    def manager(self) -> Client:
        """A client with the key in `$SAYSO_API_KEY`, else one that speaks for a person."""
        return self.client() if os.environ.get("SAYSO_API_KEY") else self.reviewer()


def full_id(client: Client, given: str, *, status: str | None = None) -> str:
    """The request id that `given` is, or is the beginning of.

    Args:
        client: where to look.
        given: an id, or at least six characters of one.
        status: look only among requests of this status first.

    Raises:
        UsageError: it is too short.
        NotFoundError: no recent request begins so.
        ConflictError: several do.
    """
    if len(given) >= _ID_LENGTH:
        return given
    prefix = given.lower()
    if len(prefix) < SHORTEST_PREFIX:
        raise UsageError(
            f"{given!r} is too short to be the beginning of a request id.",
            hint=f"Give at least {SHORTEST_PREFIX} characters; see: sayso requests list",
        )
    found = _beginning_with(client, prefix, status)
    if not found and status is not None:  # let the server say why a closed one will not do
        found = _beginning_with(client, prefix, None)
    if not found:
        raise NotFoundError(
            f"No request's id begins with {given!r}.", hint="See: sayso requests list"
        )
    if len(found) > 1:
        raise ConflictError(
            f"{len(found)} requests' ids begin with {given!r}.",
            hint="\n".join(f"{each.id}  {visible(each.message)[:60]}" for each in found[:10]),
        )
    return found[0].id


def _beginning_with(client: Client, prefix: str, status: str | None) -> list[Request]:
    recent = client.find(status=status, limit=_SEARCHED)
    return [request for request in recent if request.id.startswith(prefix)]
