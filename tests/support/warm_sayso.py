"""`sayso` as a command: its words, streams and signals go to a process that the nursery forks.

The first argument is the nursery's door; see `support.warm.put_command`.
"""

import json
import os
import signal
import socket
import sys

line, theirs = socket.socketpair()
order = {
    "words": ["sayso.cli", *sys.argv[2:]],
    "environment": dict(os.environ),
    "folder": os.getcwd(),  # noqa: PTH109  pathlib takes longer to load than all of this
}
line.sendall(json.dumps(order).encode() + b"\n")
with theirs, socket.socket(socket.AF_UNIX) as door:
    door.connect(sys.argv[1])
    socket.send_fds(door, [b"+"], [theirs.fileno(), 0, 1, 2])
told = line.makefile("rb")
pid = int(told.readline())
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda sent, _: os.kill(pid, sent))
status = int(told.readline())
sys.exit(status if status >= 0 else 128 - status)
