"""The command tree, and what becomes of errors: one line, a way out, an exit status."""

import os
import signal
import sys

from cyclopts import App, CycloptsError

from sayso.cli import COMMANDS, ERROR
from sayso.cli.terminal import visible
from sayso.errors import SaysoError
from sayso.version import __version__

INTERRUPTED = 128 + signal.SIGINT

_REQUESTS = {
    "list": "List requests, newest first.",
    "show": "Show one request in full.",
    "decide": "Decide a request, as a person.",
    "cancel": "Withdraw a request.",
    "watch": "Follow what happens, as it happens.",
}
_WEBHOOKS = {
    "list": "List subscriptions.",
    "add": "Tell a URL of events from now on.",
    "remove": "Remove a subscription.",
    "rotate": "Make a new secret.",
    "test": "Send it something now.",
    "secret": "Print the secret that signs what callback_url is told.",
}
_USERS = {
    "list": "List users.",
    "add": "Add a user.",
    "role": "Give a user another role.",
    "disable": "Let a user in no more.",
    "password": "Set a user's password.",
}
_KEYS = {
    "create": "Make a key.",
    "list": "List keys.",
    "revoke": "Let a key open nothing any more.",
    "rotate": "Make a key in another's place.",
}
_REVIEWERS = {
    "list": "List groups, and who is in them.",
    "add": "Put a user into a group.",
    "remove": "Take a user out of a group.",
}
_SESSIONS = {"list": "List sessions.", "end": "End a session, or all of a user."}
_GROUPS = {
    "requests": _REQUESTS,
    "webhooks": _WEBHOOKS,
    "users": _USERS,
    "keys": _KEYS,
    "groups": _REVIEWERS,
    "sessions": _SESSIONS,
}
_HOMES = {"extend": "requests:extend", "replay": "deliveries:replay"}
"""Commands that share a file with others; any other is a function in a file of its name."""


def build() -> App:
    """All commands, each imported when it is called."""
    app = App(
        name="sayso",
        version=__version__,
        help="The approval layer for AI agents.",
        help_format="plaintext",
        result_action="return_value",
        exit_on_error=False,
        print_error=False,
        suppress_keyboard_interrupt=False,
    )
    for name, text in COMMANDS.items():
        if name in _GROUPS:
            app.command(_group(name))
        else:
            module = name.replace("-", "_")
            home = _HOMES.get(name, f"{module}:{module}")
            app.command(f"sayso.cli.{home}", name=name, help=text)
    return app


def _group(name: str) -> App:
    group = App(name=name, help=COMMANDS[name])
    for inner, text in _GROUPS[name].items():
        group.command(f"sayso.cli.{name}:{inner}_command", name=inner, help=text)
    return group


def run(words: list[str]) -> int:
    """Run one command; the exit status."""
    try:
        status = build()(words)
        sys.stdout.flush()
    except SaysoError as error:
        places = [each for each in error.errors if each.get("message", "") not in error.detail]
        return fail(
            error.detail, *(f"{each.get('at')}: {each['message']}" for each in places), error.hint
        )
    except CycloptsError as error:
        return fail(str(error), f"See: {_help_for(words)}")
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    return status if isinstance(status, int) else 0


def fail(detail: str, *hints: str) -> int:
    """Say on stderr what went wrong, and the way out."""
    print(f"sayso: {visible(detail, lines=True)}", file=sys.stderr)
    for hint in filter(None, hints):
        print(visible(hint, lines=True), file=sys.stderr)
    return ERROR


def _help_for(words: list[str]) -> str:
    known = COMMANDS.keys() | {name for group in _GROUPS.values() for name in group}
    command = [word for word in words[:2] if word in known]
    return " ".join(["sayso", *command, "--help"])
