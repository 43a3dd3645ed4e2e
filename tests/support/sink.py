"""A target for deliveries: notes what comes, and answers as it is told."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

TAKEN = (200, {}, b"thanks")


@dataclass(frozen=True)
class Delivery:
    """One request that came."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def told(self) -> dict[str, Any]:
        return json.loads(self.body)


Answer = tuple[int, dict[str, str], bytes]


class Sink:
    """An HTTP server on a free port of the loopback.

    Attributes:
        deliveries: all that came, in order.
        answers: by path, what to answer; given the number of the delivery there, from 1.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.deliveries: list[Delivery] = []
        self.answers: dict[str, Callable[[int], Answer]] = {}
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                status, headers, text = sink.take(self.path, self.headers, body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST  # noqa: N815  the library's name

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer((host, 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # who hangs up is no error of ours
        self.port: int = self._server.server_address[1]
        self.url = f"http://{host}:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def take(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Note what came, and find the answer."""
        named = {name.lower(): value for name, value in headers.items()}
        with self._lock:
            self._seen[path] += 1
            number = self._seen[path]
            self.deliveries.append(Delivery(path, named, body, time.monotonic()))
        return self.answers.get(path, lambda _: TAKEN)(number)

    def at(self, path: str) -> list[Delivery]:
        """What came to a path."""
        return [each for each in self.deliveries if each.path == path]

    def meet(self, path: str, count: int = 1, seconds: float = 60) -> list[Delivery]:
        """What came to a path, as soon as there are so many."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if len(found := self.at(path)) >= count:
                return found
            time.sleep(0.01)
        raise AssertionError(f"{len(self.at(path))} of {count} came to {path}.")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
