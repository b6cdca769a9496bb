"""What several tests share: tiny models, real weights, real files where they are at hand."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest

GLUE = Path(__file__).resolve().parents[2] / "shared" / "glue"


@pytest.fixture(scope="session")
def glue_folder() -> Path:
    """The folder of real GLUE files beside the checkout; skipped where it is absent."""
    if not GLUE.is_dir():
        pytest.skip("the real GLUE files are not beside this checkout")
    return GLUE
