"""The command tree, and what becomes of errors: one line, a way out, an exit status."""

import errno
import os
import signal
import sys

from cyclopts import App, CycloptsError

from sayso.cli import COMMANDS, ERROR, FAILURES
from sayso.cli.terminal import complain, complain_of, escape_what_cannot_be_shown
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
    "enable": "Send to it again after it was disabled.",
    "disable": "Send it nothing any more, and keep it.",
    "test": "Send it something now.",
    "secret": "Print the secret that signs what callback_url is told.",
}
_AUDIT = {
    "verify": "Check the signed log in a database or a bundle.",
    "show": "Show one request's story, with its proof.",
    "export": "Put evidence into a file that is checked anywhere.",
    "rotate-key": "Sign with a new key from now on.",
    "retire": "Delete old requests and events; the rest still verifies.",
    "accept-rollback": "Go on with a ledger that was rolled back on purpose.",
}
_GRANTS = {
    "list": "List standing grants, newest first.",
    "give": "Have what is alike approved from now on without asking.",
    "preview": "Tell what one would have let through in the last 30 days.",
    "revoke": "End one.",
}
_RULES = {
    "list": "List review rules.",
    "put": "Keep a rule, in place of one of the same name.",
    "remove": "Forget a rule.",
}
_POLICY = {
    "check": "Check a policy's file, and tell where it is wrong.",
    "explain": "Tell what a policy says of a call, and why.",
    "test": "Run the tests that stand in a policy's file.",
    "push": "Keep a new version of the server's policy.",
    "show": "Print the policy in force, or another version.",
    "versions": "List all versions, newest first.",
    "activate": "Go back to an older version.",
    "remove": "Have no policy from now on.",
    "diff": "Tell what a new policy would have changed, on the record.",
    "suggest": "Print narrow rules that the record speaks for.",
}
_STOP = {
    "everything": "Stop everything.",
    "agent": "Stop an agent.",
    "client": "Stop a client.",
    "session": "Stop a session.",
    "list": "List what is stopped.",
    "lift": "Lift a stop.",
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
    "audit": _AUDIT,
    "users": _USERS,
    "keys": _KEYS,
    "groups": _REVIEWERS,
    "sessions": _SESSIONS,
    "grants": _GRANTS,
    "rules": _RULES,
    "policy": _POLICY,
    "stop": _STOP,
}
_HOMES = {
    "extend": "requests:extend",
    "replay": "deliveries:replay",
    "claim": "claims:claim",
    "report": "claims:report",
    "reopen": "claims:reopen",
}
"""Commands that share a file with others; any other is a function in a file of its name."""
_POLICY_HOMES = {
    **dict.fromkeys(("push", "show", "versions", "activate", "remove"), "policy_server"),
    **dict.fromkeys(("diff", "suggest"), "policy_history"),
}
"""The same within a group."""
_HINTS = {"run": "The command to run comes after --, as in: sayso run --risk high -- git push"}
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
_USAGES = {"run": "Usage: sayso run [OPTIONS] -- COMMAND..."}


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
            app.command(f"sayso.cli.{home}", name=name, help=text, usage=_USAGES.get(name))
    return app


def _group(name: str) -> App:
    group = App(name=name, help=COMMANDS[name])
    for inner, text in _GROUPS[name].items():
        function = inner.replace("-", "_")
        home = _POLICY_HOMES.get(inner, name) if name == "policy" else name
        group.command(f"sayso.cli.{home}:{function}_command", name=inner, help=text)
    return group


def run(words: list[str]) -> int:
    """Run one command; the exit status."""
    escape_what_cannot_be_shown()
    try:
        status = build()(_with_stdin(words))
        sys.stdout.flush()
    except SaysoError as error:
        complain_of(error)
        return _failure(words)
    except CycloptsError as error:
        complain(str(error), _HINTS.get(words[0] if words else "", ""), f"See: {_help_for(words)}")
        return _failure(words)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has seen enough
        _print_nothing_more()
        return 128 + signal.SIGPIPE
    except OSError as error:
        if error.errno not in _FULL:
            raise
        _print_nothing_more()
        complain(f"This cannot be written: {error.strerror}.", "Make room, and try again.")
        return _failure(words)
    return status if isinstance(status, int) else 0


def _print_nothing_more() -> None:
    """What is left to be printed fails no more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _with_stdin(words: list[str]) -> list[str]:
    """With the lone `-` behind `--`, where it is no option, for the command that reads it."""
    if words[:2] != ["policy", "push"] or "-" not in words or "--" in words:
        return words
    return [*(word for word in words if word != "-"), "--", "-"]


def _failure(words: list[str]) -> int:
    """The exit status of what went wrong."""
    return FAILURES.get(words[0], ERROR) if words else ERROR


def _help_for(words: list[str]) -> str:
    command = words[:1] if words[:1] and words[0] in COMMANDS else []
    command += [word for word in words[1:2] if command and word in _GROUPS.get(words[0], {})]
    return " ".join(["sayso", *command, "--help"])
