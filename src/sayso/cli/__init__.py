"""The command line: `sayso`, one file for each command.

    serve, demo, login_link     run a server, see it work, sign in to it
    passkey_code                let somebody remove a passkey that is lost
    worker                      carry out deliveries beside servers
    ask, requests               ask from a script; list, show, decide, cancel, watch, extend
    run, claims                 ask, then run a command; claim, report and reopen from a script
    policy_server               the server's policy: push, show, versions, activate, remove
    policy_history              what a policy would have done: diff, suggest
    grants, rules, stop         remembered decisions; how strictly to review; the kill switch
    policy                      rules as data: check a file, explain a verdict, run its tests
    webhooks, deliveries        whom to tell of events; what was sent, and sending it again
    selftest, attacks           attack a running server, and tell what it refused
    audit                       the ledger: check it, show it, hand it on
    users, keys, groups         who has an account, by what programs are known, who is asked
    sessions, login             who is signed in; a token for a name and a password
    manage                      by which road those go: over HTTP, or on the database itself
    app                         the command tree, and what errors look like
    remote, terminal, views     the server to talk to, safe output, how a request is shown
    waiting                     holding on until somebody has decided

Nothing here is imported before it is needed, so that `sayso --help` answers at once.
"""

import sys
from collections.abc import Sequence
from typing import NoReturn

from sayso.errors import MissingExtraError
from sayso.version import __version__

ERROR = 2
"""The exit status for whatever went wrong; 1 is the answer no."""
FAILURES = {"run": 125}
"""The same for commands whose other statuses are those of what they run."""

COMMANDS = {
    "serve": "Run the server, with the inbox in which people decide.",
    "demo": "Run a server and an agent that asks, to see how it works.",
    "ask": "Ask a person, wait, print the answer.",
    "run": "Ask a person, then run a command: exactly what was approved, once.",
    "requests": "List, show, decide, cancel and watch requests.",
    "extend": "Give people more time to answer a request.",
    "claim": "Take the grant of an approved request, to run its action once.",
    "report": "Tell what became of a run.",
    "reopen": "Ask again what expired.",
    "grants": "Decisions that are remembered: list, give, preview, revoke.",
    "rules": "How strictly requests are reviewed: list, put, remove.",
    "policy": "Rules as data: in a file (check, explain, test), on the server (push, diff...).",
    "stop": "The kill switch: everything, agent, client, session; list, lift.",
    "webhooks": "Whom to tell of events: list, add, test, rotate, disable, remove, secret.",
    "deliveries": "List what was sent, what waits and what was given up.",
    "replay": "Send a delivery again.",
    "audit": "Check the signed log; show and export it: verify, show, export, rotate-key, retire.",
    "worker": "Carry out deliveries beside servers that share a database.",
    "selftest": "Attack a running server as an agent would; tell what it refused.",
    "login-link": "Print a link that signs a person in, once.",
    "passkey-code": "Print a code that removes one lost passkey.",
    "login": "Print a token for a user name and a password.",
    "users": "Who has an account: list, add, role, disable, password.",
    "keys": "By which programs are known: create, list, revoke, rotate.",
    "groups": "Reviewers who are asked together: list, add, remove.",
    "sessions": "Who is signed in: list, end.",
}

HELP = f"""\
Usage: sayso COMMAND

The approval layer for AI agents: an agent asks, a person decides, exactly that runs, once.

Commands:
{"".join(f"  {name:<14}{text}" + chr(10) for name, text in COMMANDS.items())}
  --help, -h    Show this, or a command's options: sayso COMMAND --help
  --version     Show the version.
"""


def main(words: Sequence[str] | None = None) -> NoReturn:
    """Run the command in `words` (default: the process's arguments), then exit."""
    sys.exit(_run(sys.argv[1:] if words is None else list(words)))


def _run(words: list[str]) -> int:
    if words in ([], ["--help"], ["-h"], ["help"]):
        print(HELP, end="")
        return 0
    if words == ["--version"]:
        print(__version__)
        return 0
    try:
        from sayso.cli.app import run
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in {"cyclopts", "rich"}:
            raise
        missing = MissingExtraError(package, "cli")
        print(f"sayso: {missing.detail}\n{missing.hint}", file=sys.stderr)
        return ERROR
    return run(words)
