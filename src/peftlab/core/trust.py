"""Whether code that lies beside a checkpoint may be run: as the person says, for one process."""

from __future__ import annotations

import os

TRUST = "PEFTLAB_TRUST_REMOTE_CODE"
"""The environment variable that says it by being 1; worker processes on this machine inherit it."""


def trust_remote_code() -> None:
    """Let this process, and those that it starts, run such code."""
    os.environ[TRUST] = "1"


def trusts_remote_code() -> bool:
    """Whether it may be run. Nothing that is stored says so: no study, no trial, no workspace."""
    return os.environ.get(TRUST) == "1"
