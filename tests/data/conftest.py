"""A few rows, laid out as a GLUE folder and as the Hub's repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from peftlab.core.inputs import Example
from peftlab.tasks.glue import COLA, MRPC, SST2
from tests.hub.layout import repository

THREE = (SST2, COLA, MRPC)
Rows = dict[str, dict[str, list[tuple[tuple[str, ...], int | None]]]]

ROWS: Rows = {
    SST2.name: {
        "train": [(("a fine film ",), 1), (('a "dull one',), 0), (("naïve — et 猫",), 1)],
        "dev": [(("so-so ",), 0), (("lovely",), 1)],
        "test": [(("who knows",), None)],
    },
    COLA.name: {
        "train": [(("Cats sleep.",), 1), (("Sleep cats the.",), 0)],
        "dev": [(('"Yes", she said.',), 1)],
        "test": [(("Who knows?",), None), (("Nobody.",), None)],
    },
    MRPC.name: {
        "train": [(("It rained .", "Rain fell ."), 1), (("It rained .", "It snowed ."), 0)],
        "dev": [(("One .", "Two ."), 0), (('A " mark .', "A quote ."), 1)],
        "test": [(("Who knows ?", "Nobody ."), None)],
    },
}


@pytest.fixture
def rows() -> Rows:
    """The rows of the two folders below: task -> split -> (texts, label)."""
    return ROWS


@pytest.fixture
def small_glue(tmp_path: Path) -> Path:
    """ROWS in the layout of GLUE's download script."""
    folder = tmp_path / "glue"
    for task, directory in ((SST2, "SST-2"), (COLA, "CoLA"), (MRPC, "MRPC")):
        (folder / directory).mkdir(parents=True)
        for split, split_rows in ROWS[task.name].items():
            lines = [*_header(task.name, split)]
            for number, (texts, label) in enumerate(split_rows):
                lines.append("\t".join(_fields(task.name, number, texts, label)))
            content = "".join(f"{line}\n" for line in lines)
            (folder / directory / f"{split}.tsv").write_bytes(content.encode())
    return folder


@pytest.fixture
def small_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """ROWS in the layout of nyu-mll/glue on the Hub; the cache of datasets stays in tmp_path."""
    datasets = pytest.importorskip("datasets")

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets-cache")
    folder = tmp_path / "hub"
    files = repository(
        {
            task: {
                split: [
                    Example(row_id=k, texts=texts, label=label)
                    for k, (texts, label) in enumerate(split_rows)
                ]
                for split, split_rows in ROWS[task.name].items()
            }
            for task in THREE
        }
    )
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def _header(task: str, split: str) -> list[str]:
    if split == "test":
        texts = "#1 ID\t#2 ID\t#1 String\t#2 String" if task == "mrpc" else "sentence"
        return [f"index\t{texts}"]
    return {
        "sst2": ["sentence\tlabel"],
        "cola": [],
        "mrpc": ["\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String"],
    }[task]


def _fields(task: str, number: int, texts: tuple[str, ...], label: int | None) -> list[str]:
    if label is None:
        ids = ["11", "12"] if task == "mrpc" else []
        return [str(number), *ids, *texts]
    return {
        "sst2": [*texts, str(label)],
        "cola": ["gj04", str(label), "" if label else "*", *texts],
        "mrpc": [str(label), "11", "12", *texts],
    }[task]
