"""A person who reads the queue and decides, over the native API."""

import time
from typing import Any

import httpx2
from support.server import RunningServer


class Person:
    """Somebody signed in at `server`."""

    def __init__(self, server: RunningServer) -> None:
        self.token = server.sign_in()
        self.http = server.http(self.token)

    def pending(self, **filters: Any) -> list[dict[str, Any]]:
        reply = self.http.get("/api/v1/requests", params={"status": "pending", **filters})
        assert reply.status_code == 200, reply.text
        return reply.json()["items"]

    def meet(self, seconds: float = 60, **filters: Any) -> dict[str, Any]:
        """The newest pending request, as soon as there is one."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = self.pending(**filters)
            if found:
                return found[0]
            time.sleep(0.02)
        raise AssertionError(f"Nobody asked anything ({filters}).")

    def try_to_decide(self, request_id: str, type: str, **answer: Any) -> httpx2.Response:  # noqa: A002
        body = {"type": type, **answer}
        return self.http.post(f"/api/v1/requests/{request_id}/decision", json=body)

    def decide(self, request_id: str, type: str, **answer: Any) -> dict[str, Any]:  # noqa: A002
        reply = self.try_to_decide(request_id, type, **answer)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def choose(self, request_id: str, option: str) -> dict[str, Any]:
        return self.decide(request_id, "respond", option=option)

    def write(self, request_id: str, text: str) -> dict[str, Any]:
        return self.decide(request_id, "respond", content=text)

    def close(self) -> None:
        self.http.close()
