"""Rows without a text or a label are an error or, if asked for, are left out and counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from peftlab.core.errors import UserError
from peftlab.core.inputs import OwnFiles
from peftlab.data.own_files import OwnSource
from peftlab.data.own_tasks import Asked, define
from peftlab.tasks.registry import own_task


def write(path: Path, labels: list[Any], texts: list[Any] | None = None) -> Path:
    every = texts or [f"text {n}" for n in range(len(labels))]
    rows = [{"t": text, "y": label} for text, label in zip(every, labels, strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path: Path, missing: str = "drop", dev: Path | None = None, **asked: Any) -> list[Any]:
    """Return the labels of train, by name if they have one, then the number of rows left out."""
    files = OwnFiles.model_validate(
        {"train": str(path), "dev": str(dev or path), "text": ["t"], "label": ["y"]}
        | {"missing": missing}
    )
    task = own_task("own", define(files, Asked(**asked), where="data.own"))
    source = OwnSource(files)
    return [
        [one.label for one in source.examples(task, "train")],
        task.labels,
        source.ref(task).num_dropped,
    ]


NAN = float("nan")
KINDS: list[tuple[list[Any], dict[str, Any], list[Any], tuple[str, ...], int]] = [
    (["a", None, "b", " ", "a", NAN, ""], {}, [0, 1, 0], ("a", "b"), 4),
    (["a", "nan", "b", "N/A"], {}, [1, 3, 2, 0], ("N/A", "a", "b", "nan"), 0),
    (["a", "nan", "b", "N/A"], {"labels": ("a", "b")}, [0, 1], ("a", "b"), 2),
    ([0.5, None, "nan", 2, "N/A"], {"problem_type": "regression"}, [0.5, 2.0], (), 3),
    ([1.5, None, 2.5], {}, [1.5, 2.5], (), 1),
    ([[0, 1], None, [1, 1], ""], {}, [(0, 1), (1, 1)], ("0", "1"), 2),
    ([["a"], None, [], ["a", "b"]], {}, [(1, 0), (0, 0), (1, 1)], ("a", "b"), 1),
]


@pytest.mark.parametrize(("cells", "asked", "labels", "names", "num_dropped"), KINDS)
def test_rows_that_lack_a_label_are_left_out(
    cells: list[Any],
    asked: dict[str, Any],
    labels: list[Any],
    names: tuple[str, ...],
    num_dropped: int,
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "t.jsonl", cells)
    dropped = {"train": num_dropped, "dev": num_dropped}
    assert read(path, **asked) == [labels, names, dropped]
    if num_dropped:
        with pytest.raises(UserError):
            read(path, "error", **asked)


def test_rows_that_lack_a_text_are_left_out_of_train_and_dev_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", ["a", "b", "a", "b"], ["x", " ", None, "y"])
    assert read(path) == [[0, 1], ("a", "b"), {"train": 2, "dev": 2}]
    with pytest.raises(UserError, match=r"t.jsonl:2: column 't': no text .*missing: drop"):
        read(path, "error")
    files = OwnFiles(
        train=str(path), dev_fraction=0.5, text=("t",), label=("y",), test=str(path), missing="drop"
    )
    task = own_task("own", define(files, Asked(), where="data.own"))
    with pytest.raises(UserError, match=r"t.jsonl:2: column 't': no text"):
        OwnSource(files).examples(task, "test")


def test_no_label_of_a_class_label_is_a_missing_one(tmp_path: Path) -> None:
    info = {"info": {"features": {"y": {"names": ["a", "b"], "_type": "ClassLabel"}}}}
    table = pa.table({"t": ["x", "y", "z"], "y": [1, -1, 0]})
    path = tmp_path / "t.parquet"
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(info)}), path)
    assert read(path) == [[1, 0], ("a", "b"), {"train": 1, "dev": 1}]


def test_dropping_is_part_of_the_identity_of_the_data_and_error_is_as_it_was(
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "t.jsonl", ["a", "b", None])
    dev = write(tmp_path / "d.jsonl", ["a", "b"])
    assert read(path, dev=dev)[2] == {"train": 1, "dev": 0}
    digests = {}
    for missing in ("drop", "error"):
        files = OwnFiles.model_validate(
            {"train": str(dev), "dev": str(dev), "text": ["t"], "label": ["y"], "missing": missing}
        )
        task = own_task("own", define(files, Asked(), where="data.own"))
        digests[missing] = OwnSource(files).ref(task).digest
    assert digests["drop"] != digests["error"]


def test_a_file_without_a_whole_row_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", [None, None])
    with pytest.raises(UserError, match=r"no row has both|fewer than two labels"):
        read(path)
