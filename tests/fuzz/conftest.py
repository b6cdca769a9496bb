"""One world for all tests of the fuzzer, which contains the process's working folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.world import World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Good input of every kind, in a folder of its own."""
    root: Path = tmp_path_factory.mktemp("fuzz").resolve()
    with World(root).active() as made:
        yield made
