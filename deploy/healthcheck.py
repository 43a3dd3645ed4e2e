"""Whether the server in this container answers: healthcheck.py /ready, or /health."""

import http.client
import os
import sys

server = http.client.HTTPConnection("127.0.0.1", int(os.environ["SAYSO_PORT"]), timeout=4)
try:
    server.request("GET", sys.argv[1])
    reply = server.getresponse()
except OSError as error:
    sys.exit(f"No answer: {error}")
if reply.status != http.HTTPStatus.OK:
    sys.exit(f"{reply.status} {reply.read().decode()}")
