"""Whether the Hub can be reached, asked once and briefly, before its libraries are imported."""

from __future__ import annotations

import os
import socket
import sys
from urllib.parse import urlsplit

from peftlab.core.errors import UserError

OFFLINE = "HF_HUB_OFFLINE"
TIMEOUT_SECONDS = 3.0


def go_offline_if_unreachable() -> bool:
    """True if the Hub's libraries are to work from their cache alone, as HF_HUB_OFFLINE says.

    Where the Hub's host does not answer, the variable is set for this process: the libraries
    would else try again for half a minute a file. It is read when they are imported, so this has
    no effect after that. Behind a proxy nothing is asked. UserError for an HF_ENDPOINT that is
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
    """Host and port of a URL."""
    try:
        url = urlsplit(endpoint)
        port = url.port or {"http": 80, "https": 443}[url.scheme]
        if not url.hostname:
            raise ValueError("it names no host")
    except (ValueError, KeyError) as error:
        raise UserError(
            f"'{endpoint}' is no URL", where="HF_ENDPOINT", allowed="https://HOST or http://HOST"
        ) from error
    return url.hostname, port


def _has_proxy() -> bool:
    names = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
    return any(os.environ.get(name) for name in names)
