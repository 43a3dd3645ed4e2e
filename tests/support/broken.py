"""A server that looks like ours and refuses nothing: every attack of the selftest must notice."""

import json
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

PATHS: dict[str, Any] = {
    "/api/v1/requests/{id}/claim": {"post": {}},
    "/channels/telegram": {"post": {}},
    "/api/v1/users": {"post": {}},
}


class BrokenServer(ThreadingHTTPServer):
    """Every road is open: methods, bodies, headers and credentials are believed."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: dict[str, dict[str, Any]] = {}
        self.keys: dict[str, str] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """Takes everything from everybody."""

    protocol_version = "HTTP/1.1"
    server: BrokenServer

    def do_any(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        self.body = self.rfile.read(length)
        at = urlsplit(self.path)
        self.query = {k: v[0] for k, v in parse_qs(at.query).items()}
        words = [
            word for word in at.path.lower().replace("%64", "d").split("/") if word not in ("", ".")
        ]
        known = next((self.server.requests[w] for w in words if w in self.server.requests), None)
        tail = words[-1] if words else ""
        if at.path == "/health":
            self.tell({"service": "sayso"})
        elif at.path == "/openapi.json":
            self.tell({"paths": PATHS})
        elif words == ["api", "v1", "requests"] and self.command == "POST":
            self.submit()
        elif at.path == "/channels/telegram":
            self.press()
        elif known is None:
            found = list(self.server.requests.values())
            self.tell({"items": found, "token": "t", "id": "admin", "status": "pending"}, cors=True)
        elif "decision" in self.path.replace("%64", "d") or self.command in (
            "PUT",
            "PATCH",
            "DELETE",
        ):
            self.decide(known)
        elif tail == "cancel":
            known["status"] = "cancelled"
            self.tell(known)
        elif tail in ("claim", "outcome"):
            self.tell({"claimed": True})
        elif self.command == "GET" and words[0] == "requests":
            self.page(known["message"])
        else:
            self.tell(known)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = do_any  # noqa: N815

    def submit(self) -> None:
        try:
            draft = json.loads(self.body)
            draft = draft if isinstance(draft, dict) else {}
        except (ValueError, RecursionError):
            draft = {}
        key = self.headers.get("idempotency-key")
        request_id = self.server.keys.get(key or "") or str(uuid.uuid4())
        if key:
            self.server.keys[key] = request_id
        request = {"status": "pending", "decision": None, "action": None, "message": "", **draft}
        request |= {"id": request_id}
        if request["action"]:
            request["action"].setdefault("digest", "sha256:" + request_id)
        self.server.requests[request_id] = request
        self.tell(request, 201)

    def decide(self, request: dict[str, Any]) -> None:
        try:
            said = json.loads(self.body or b"{}").get("type", "approve")
        except ValueError:
            said = "approve"
        request["status"] = "rejected" if said == "reject" else "approved"
        self.tell(request)

    def press(self) -> None:
        for request_id, request in self.server.requests.items():
            if request_id.encode() in self.body:
                request["status"] = "approved"
        self.tell({"ok": True})

    def page(self, text: str) -> None:
        self.send(200, text.encode(errors="replace"), "text/html")

    def tell(self, value: Any, status: int = 200, *, cors: bool = False) -> None:
        headers = {"access-control-allow-origin": "*"} if cors else {}
        self.send(status, json.dumps(value).encode(), "text/html", headers)

    def send(
        self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass
