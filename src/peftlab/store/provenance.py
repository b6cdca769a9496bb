"""The provenance of a result: versions, the state of the working folder, the machine."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import JsonValue

PACKAGES = ("peftlab", "torch", "transformers", "peft", "tokenizers", "numpy")


@lru_cache
def provenance() -> dict[str, JsonValue]:
    """Return JSON values, the same for all trials of a process; null for what cannot be found."""
    return {
        "versions": {"python": platform.python_version(), **_versions()},
        "git": _git_state(),
        "machine": {
            "system": platform.platform(),
            "processor": processor_name(),
            "cores": os.cpu_count(),
            "memory_bytes": _memory_bytes(),
        },
    }


def _versions() -> dict[str, JsonValue]:
    found: dict[str, JsonValue] = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _git_state() -> JsonValue:
    """Return the commit of the working folder, and whether files differ from it."""
    try:
        commit = _run("git", "rev-parse", "HEAD")
        changed = bool(_run("git", "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "changed": changed}


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()


def processor_name() -> str | None:
    """Return the processor's name; None if the system does not know it."""
    return linux_says("model name") or platform.processor() or None


def linux_says(name: str) -> str | None:
    """Return what Linux tells of the first processor under that name; None if it tells nothing."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return None
    found = re.search(rf"^{name}\s*:\s*(.+)$", text, re.MULTILINE)
    return found.group(1).strip() if found else None


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None
