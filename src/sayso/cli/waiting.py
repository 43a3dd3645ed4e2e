"""Holding on until somebody has decided."""

import sys

from sayso.cli import terminal
from sayso.client import Client
from sayso.domain.requests import Request
from sayso.errors import BackendError, RefusedError


def wait_for(server: Client, request: Request) -> Request:
    """The request once it is closed; Ctrl-C withdraws it."""
    try:
        if not sys.stderr.isatty():
            return server.wait(request.id)
        screen = terminal.error_console()
        screen.print(f"Decide at {server.base_url}/requests/{request.id}", soft_wrap=True)
        with screen.status("Waiting for a decision; Ctrl-C withdraws the question"):
            return server.wait(request.id)
    except KeyboardInterrupt:
        print(_withdrawn(server, request), file=sys.stderr)
        raise


def _withdrawn(server: Client, request: Request) -> str:
    """Take the question back, and say what became of it."""
    try:
        server.cancel(request.id, "The one who asked no longer waits.")
    except RefusedError:
        return "It was decided in this moment."
    except BackendError:
        return f"The server cannot be reached: the question {request.id} may still be open."
    return "The question is withdrawn."
