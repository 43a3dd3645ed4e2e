"""hitloop.backends.cli_backend."""

from sayso.backends import AutoApproveBackend, AutoRejectBackend, CLIBackend, ScriptedBackend

__all__ = ["AutoApproveBackend", "AutoRejectBackend", "CLIBackend", "ScriptedBackend"]
