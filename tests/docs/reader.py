"""The person who answers while a reader tries the examples."""

import threading
from typing import Any

from support.person import Person
from support.server import RunningServer

ANSWER = "Thursday, 14:00"


class Reviewer:
    """Decides whatever is pending, at once, in a thread of its own; `rests` while told to."""

    def __init__(self, server: RunningServer) -> None:
        self.rests = threading.Event()
        self._person = Person(server)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._person.close()

    def _work(self) -> None:
        while not self._stop.wait(0.02):
            if self.rests.is_set():
                continue
            for request in self._person.pending():
                if not self.rests.is_set():
                    # Somebody else may have decided it meanwhile: then the reply says so.
                    self._person.try_to_decide(request["id"], **answer_to(request))


def answer_to(request: dict[str, Any]) -> dict[str, Any]:
    """Yes, in whatever way the question takes it."""
    if request["options"]:
        approving = [option for option in request["options"] if option["approves"]]
        chosen = (approving or request["options"])[0]
        return {"type": "respond", "option": chosen["value"]}
    if request["kind"] == "input":
        schema = request["schema"]
        return {"type": "respond", "content": filled_in(schema) if schema else ANSWER}
    return {"type": "approve"}


def filled_in(schema: dict[str, Any]) -> dict[str, Any]:
    """A form with a value in each field."""
    return {name: _value(field) for name, field in schema["properties"].items()}


def _value(field: dict[str, Any]) -> Any:
    if "default" in field:
        return field["default"]
    if "enum" in field:
        return field["enum"][0]
    match field.get("type"):
        case "boolean":
            return True
        case "integer" | "number":
            return field.get("minimum", 1)
        case "array":
            return field["items"]["enum"][:1]
    return {"date": "2026-12-24", "email": "ada@example.org"}.get(field.get("format", ""), ANSWER)
