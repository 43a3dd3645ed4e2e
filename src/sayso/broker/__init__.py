"""The engine: the only writer of request state."""

from sayso.broker.broker import Broker, Submitted

__all__ = ["Broker", "Submitted"]
