"""The code in docs/python.md runs from top to bottom, on a tiny checkpoint."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import peftlab

TEXT = (Path(__file__).resolve().parents[1] / "docs" / "python.md").read_text(encoding="utf-8")


def test_the_code_runs_from_top_to_bottom(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    blocks = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    assert len(blocks) >= 7
    names: dict[str, object] = {}
    for block in blocks:
        exec(block.replace('"minilm"', repr(str(tiny_checkpoint))), names)
    assert (tmp_path / "my-classifier" / "README.md").is_file()


def test_every_name_is_there_and_has_a_docstring() -> None:
    for name in peftlab.__all__:
        assert getattr(peftlab, name).__doc__, name
        assert name in dir(peftlab)
        assert f"{name}(" in TEXT or f"{name}." in TEXT or f"{name}`" in TEXT, name
    with pytest.raises(AttributeError, match="no attribute 'studdy'"):
        peftlab.studdy  # noqa: B018


def test_importing_the_package_imports_nothing_else() -> None:
    code = (
        "import sys; before = set(sys.modules); import peftlab; print(*set(sys.modules) - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"numpy", "torch", "pandas", "pydantic", "transformers", "typer"}
    assert not heavy & {name.split(".")[0] for name in done.stdout.split()}
