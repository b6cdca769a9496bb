"""The exit statuses of commands."""

from __future__ import annotations

DONE = 0
FAILED = 1
"""A trial failed, or the command could not go on."""
USER_ERROR = 2
INTERRUPTED = 130
