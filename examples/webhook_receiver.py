"""Be told of decisions by webhook, and take only what Sayso has signed.

A server that may call this machine: SAYSO_CALLBACK_NETWORKS=127.0.0.0/8 sayso serve
"""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from sayso import Client, RefusedError, WebhookMessage, verify_webhook

seen: dict[str, WebhookMessage] = {}
arrived = threading.Event()
secret = ""


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            message = verify_webhook(body, dict(self.headers), secret)
        except RefusedError:
            self.answer(401)
            return
        if message.id not in seen:  # it may come twice, always with the same id
            seen[message.id] = message
            arrived.set()
        self.answer(204)  # taken: any other answer makes Sayso try again

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


with HTTPServer(("127.0.0.1", 0), Receiver) as receiver, Client() as client:
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{receiver.server_port}/told"
    webhook = client.add_webhook(url, types=["request.decided"], client_id="webhook-example")
    secret = webhook.secret

    client.submit("May the newsletter go out?", client_id="webhook-example")
    arrived.wait(300)
    for message in seen.values():
        if message.request is not None:
            print(f"{message.type}: {message.request.message} {message.request.status}")

    client.remove_webhook(webhook.id)
    receiver.shutdown()
