"""The redirection of this process to a stand-in for the Hub, as by HF_ENDPOINT and HF_HOME."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import constants

from peftlab.data import hub, hub_files
from peftlab.models.checkpoints import tokenizer_of

CACHED = (hub_files._fetch, hub._columns, hub._digest, tokenizer_of)
"""The variables that are read once in a process."""


def use_hub(
    monkeypatch: pytest.MonkeyPatch, url: str, home: Path, *, offline: bool = False
) -> None:
    """Make the process read from the Hub at this address, or only from the cache in `home`."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", home / "datasets")
    for cached in CACHED:
        cached.cache_clear()
