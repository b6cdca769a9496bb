"""Answers of libraries that take seconds to import, kept for the user between processes.

torch, transformers and peft are what most commands wait for. What they are asked before anything
is trained (the settings of a method, the values of a config, the number of parameters) depends on
the question, on their versions and on the code here that asks; so an answer that has been given
once is read from $XDG_CACHE_HOME/peftlab/answers, else from ~/.cache/peftlab/answers.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable
from functools import lru_cache
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

from peftlab.core.errors import StorageError
from peftlab.core.files import whole_file
from peftlab.core.identity import content_id

LIBRARIES = ("torch", "transformers", "peft")
ASKING = ("core", "methods", "models")
"""The packages of this project whose code decides what is asked and how answers are read."""
CODE = {".py", ".json"}


def remembered(kind: str, question: object, ask: Callable[[], Any], *, library: str = "") -> Any:
    """Return the JSON value that `ask` returns, read from the disk if it was asked before.

    `kind` and `question` identify the answer, together with the versions of the libraries and the
    code of this package. A `library` that this process has imported is asked in any case. What
    `ask` raises is raised, and not kept; nor is the answer to a question that JSON cannot hold, or
    where the folder cannot be written.
    """
    try:
        path = _folder() / kind / f"{content_id([_versions(), question], length=32)}.json"
    except (TypeError, ValueError):  # NaN in a setting, or an object that YAML makes
        return ask()
    if library not in sys.modules:
        try:
            return json.loads(path.read_text(encoding="utf-8"))["answer"]
        except (OSError, ValueError, LookupError, TypeError):
            pass
    answer = ask()
    if not path.is_file():
        try:
            with whole_file(path) as stream:
                stream.write(json.dumps({"answer": answer}).encode())
        except StorageError:
            pass
    return answer


def _folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "peftlab" / "answers"


@lru_cache
def _versions() -> tuple[str, ...]:
    """Return the versions of the libraries, and a digest of the code that asks them."""
    digest = hashlib.sha256()
    for package in ASKING:
        folder = Path(str(resources.files("peftlab"))) / package
        for path in sorted(path for path in folder.rglob("*") if path.suffix in CODE):
            digest.update(f"{path.relative_to(folder).as_posix()}\n".encode() + path.read_bytes())
    return (*(version(name) for name in LIBRARIES), digest.hexdigest())
