"""Has another program run by the server: client.py SOCKET SCRIPT [ARGUMENT]... It imports little, to be quick."""

import os
import signal
import socket
import sys

# Asked of Python's own streams, not of the numbers: a socket may have got that of a stream which is closed.
streams = [number for number, stream in enumerate((sys.stdin, sys.stdout, sys.stderr)) if stream is not None]
address, *call = sys.argv[1:]
server = socket.socket(socket.AF_UNIX)
server.connect(address)
environment = [f"{name}={value}" for name, value in os.environ.items()]
words = [" ".join(map(str, streams)), os.getcwd(), str(len(call)), *call, *environment]  # noqa: PTH109
message = b"\0".join(os.fsencode(word) for word in words)
# At least one descriptor, since a message without any arrives as one without room for them.
socket.send_fds(server, [len(message).to_bytes(8, "big")], [server.fileno(), *streams])
server.sendall(message)

with server.makefile("rb") as answers:
    child = int(answers.readline())
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: os.kill(child, number))
    status = int(answers.readline())
if status < 0:
    signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
os._exit(status)
