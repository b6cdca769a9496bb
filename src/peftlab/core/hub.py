"""Whether the Hub can be reached, asked once and briefly, before its libraries are imported."""

from __future__ import annotations

import os
import socket
import sys
from urllib.parse import urlsplit

OFFLINE = "HF_HUB_OFFLINE"
TIMEOUT_SECONDS = 3.0


def go_offline_if_unreachable() -> bool:
    """True if the Hub's libraries are to work from their cache alone, as HF_HUB_OFFLINE says.

    Where the Hub's host does not answer, the variable is set for this process: the libraries
    would else try again for half a minute a file. It is read when they are imported, so this has
    no effect after that. Behind a proxy nothing is asked.
    """
    if os.environ.get(OFFLINE, "").upper() in {"1", "ON", "YES", "TRUE"}:
        return True
    if "huggingface_hub" in sys.modules or _has_proxy():
        return False
    endpoint = urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    port = endpoint.port or (80 if endpoint.scheme == "http" else 443)
    try:
        socket.create_connection((endpoint.hostname or "", port), TIMEOUT_SECONDS).close()
    except OSError:
        os.environ[OFFLINE] = "1"
        return True
    return False


def _has_proxy() -> bool:
    names = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
    return any(os.environ.get(name) for name in names)
