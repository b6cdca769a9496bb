"""Have this process ask a stand-in for the Hub, as HF_ENDPOINT and HF_HOME do for a new one."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import constants

from peftlab.data import hub, hub_files
from peftlab.models.checkpoints import tokenizer_of

CACHED = (hub_files._fetch, hub._columns, hub._digest, tokenizer_of)
"""What is read once in a process."""


def use_hub(
    monkeypatch: pytest.MonkeyPatch, url: str, home: Path, *, offline: bool = False
) -> None:
    """Read from the Hub at that address, or offline from the cache in `home` alone."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", home / "datasets")
    for cached in CACHED:
        cached.cache_clear()
