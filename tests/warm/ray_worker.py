"""The program that a node of Ray starts in place of `setup_worker.py`: it stands for a warm worker.

The worker is forked by the server of warm processes; the two end together. This program imports
only Python's own modules, since it is started for every worker: Ray's own program would import Ray,
and start another that does so again. Workers have what the server has imported, which Ray is no
part of, in the environment that Ray gives them.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys

PR_SET_NAME = 15
SOCKET = "PEFTLAB_TESTS_WARM_SOCKET"
"""The environment variable with the path of the server's socket."""
OF_SETUP = ("--serialized-runtime-env-context", "--language")
"""The options that Ray gives its own program, before the worker's file and its arguments."""


def request(arguments: list[str]) -> str:
    """Return the request to the server, as JSON (request.py)."""
    file, *rest = [word for word in arguments if not word.startswith(OF_SETUP)]
    return json.dumps(
        {
            "program": {"kind": "file", "text": file, "arguments": rest},
            "folder": os.getcwd(),  # noqa: PTH109 (pathlib takes long to import)
            "environment": {**os.environ},
            "parent": None,
        }
    )


def main() -> int:
    """Have the worker forked, wait for its end, and return its exit status.

    The name of this process is meanwhile the worker's id.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.connect(os.environ[SOCKET])
        socket.send_fds(connection, [request(sys.argv[1:]).encode()], [0, 1, 2])
        ctypes.CDLL(None).prctl(PR_SET_NAME, connection.recv(64))
        status = int(connection.recv(64) or -signal.SIGKILL)
    if status < 0:
        os.kill(os.getpid(), -status)
    return status


if __name__ == "__main__":
    sys.exit(main())
