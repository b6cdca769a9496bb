"""The Hub before its libraries are imported: whether it can be reached, and the form of its names.

huggingface_hub reads HF_HUB_OFFLINE when it is imported, so that it cannot be asked for either
before it is known whether the Hub answers.
"""

from __future__ import annotations

import os
import re
import socket
import sys
from urllib.parse import urlsplit

from peftlab.core.errors import UserError

OFFLINE = "HF_HUB_OFFLINE"
TIMEOUT_SECONDS = 3.0
PART = r"\b[\w.-]{1,96}\b"
REPOSITORY = re.compile(rf"(?:{PART}/)?{PART}", re.ASCII)


def is_repository_id(name: str) -> bool:
    """Return whether a repository may have that name, as huggingface_hub's validate_repo_id says.

    >>> is_repository_id("google-bert/bert-base-uncased"), is_repository_id("../bert")
    (True, False)
    """
    return (
        REPOSITORY.fullmatch(name) is not None
        and "--" not in name
        and ".." not in name
        and not name.endswith(".git")
    )


def go_offline_if_unreachable() -> bool:
    """Return whether the Hub's libraries are to work from their cache alone (HF_HUB_OFFLINE).

    Where the Hub's host does not answer, the variable is set for this process: the libraries would
    else try again for half a minute a file. It is read when they are imported, so this has no
    effect after that. Behind a proxy nothing is asked. Raises UserError for an HF_ENDPOINT that is
    no URL.
    """
    if os.environ.get(OFFLINE, "").upper() in {"1", "ON", "YES", "TRUE"}:
        return True
    address = _address(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    if "huggingface_hub" in sys.modules or _has_proxy():
        return False
    try:
        socket.create_connection(address, TIMEOUT_SECONDS).close()
    except OSError:
        os.environ[OFFLINE] = "1"
        return True
    return False


def _address(endpoint: str) -> tuple[str, int]:
    """Return host and port of a URL."""
    try:
        url = urlsplit(endpoint)
        port = url.port or {"http": 80, "https": 443}[url.scheme]
        if not url.hostname:
            raise ValueError("it names no host")
    except (ValueError, KeyError) as error:
        raise UserError(
            f"'{endpoint}' is not a URL", where="HF_ENDPOINT", allowed="https://HOST or http://HOST"
        ) from error
    return url.hostname, port


def _has_proxy() -> bool:
    names = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
    return any(os.environ.get(name) for name in names)
