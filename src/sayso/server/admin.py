"""The first admin: made from the settings; without one no other machine may reach the server."""

import asyncio
from pathlib import Path

from sayso.broker.accounts import Accounts
from sayso.domain.accounts import Plane, Principal, Role
from sayso.errors import ConfigurationError, ConflictError, InvalidRequestError
from sayso.settings import Settings

_SETTINGS = Principal(plane=Plane.PERSON, id="settings", name="settings", role=Role.ADMIN)
"""Whoever starts the server, as the log names them."""


async def check_admin(settings: Settings, accounts: Accounts) -> None:
    """Make the admin that the settings name, if there is none; refuse to be open to all without.

    Raises:
        ConfigurationError: there is no admin and there must be one, or it cannot be made.
    """
    path = settings.admin_password_file
    if settings.is_local and path is None:
        return
    if await accounts.users.has_admin():
        return
    if path is not None:
        await _make(settings.admin_user, path, accounts)
        return
    raise ConfigurationError(
        f"Refusing to listen on {settings.host!r}: there is no admin account yet, so nobody could"
        " manage who may come in.",
        hint="Make one first: sayso users add NAME --admin. Or set SAYSO_ADMIN_USER and"
        " SAYSO_ADMIN_PASSWORD_FILE. Or listen on 127.0.0.1.",
    )


async def _make(username: str, path: Path, accounts: Accounts) -> None:
    try:
        text = await asyncio.to_thread(path.read_text, encoding="utf-8")
        password = text.removesuffix("\n").removesuffix("\r")
        await accounts.users.add(username, password=password, role=Role.ADMIN, by=_SETTINGS)
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(
            f"The file {str(path)!r} cannot be read: {error}.",
            hint="SAYSO_ADMIN_PASSWORD_FILE names it.",
        ) from error
    except InvalidRequestError as error:
        raise ConfigurationError(
            f"The first admin cannot be made: {error.detail}", hint=error.hint
        ) from error
    except ConflictError as error:
        if not await accounts.users.has_admin():  # else another process has just made them
            raise ConfigurationError(
                f"There is a user {username!r} already, who is no admin.",
                hint="Make them one: sayso users role NAME admin. Or name another.",
            ) from error
