"""The lock of a workspace: one run at a time writes to it, and a second one is told which."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from peftlab.core.errors import StorageError, UserError
from peftlab.core.files import cannot_write

LOCK_FILE, HOLDER_FILE = ".lock", ".holder.json"


@contextmanager
def held(workspace: Path, *, study: str) -> Iterator[None]:
    """Keep the workspace from other runs; the system frees it whenever the process ends.

    Raises UserError that says who holds it, StorageError where nothing can be written.
    """
    lock = FileLock(workspace / LOCK_FILE)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UserError(
            f"another run holds this workspace: {_holder(workspace)}",
            where=str(workspace),
            remedy="wait for its end, or another --workspace",
        ) from error
    except OSError as error:
        raise cannot_write(workspace, error) from error
    try:
        since = datetime.now().astimezone().isoformat(timespec="seconds")
        holder = {"study": study, "pid": os.getpid(), "host": socket.gethostname(), "since": since}
        try:
            (workspace / HOLDER_FILE).write_text(json.dumps(holder), encoding="utf-8")
        except OSError as error:
            raise cannot_write(workspace, error) from error
        yield
    finally:
        with suppress(OSError):
            (workspace / HOLDER_FILE).unlink()
        lock.release()


def forget_dead_holder(workspace: Path) -> None:
    """Remove the note of a run that was killed; do nothing while a run holds the workspace."""
    if (workspace / HOLDER_FILE).exists():
        with suppress(UserError, StorageError), held(workspace, study=""):
            pass


def _holder(workspace: Path) -> str:
    """Return the holder in words; its note may not be written yet."""
    try:
        holder = json.loads((workspace / HOLDER_FILE).read_text(encoding="utf-8"))
        return (
            f"study {holder['study']}, process {holder['pid']} on {holder['host']}, "
            f"since {holder['since']}"
        )
    except (OSError, ValueError, KeyError, TypeError):
        return "which one is not known"
