"""Predictions go through Parquet unchanged, in columns that other programs can rely on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from peftlab.core import files
from peftlab.core.errors import StorageError, UserError
from peftlab.data.predictions import (
    Predictions,
    read_answers,
    read_predictions,
    write_predictions,
)

PREDICTIONS = Predictions(
    row_ids=np.array([0, 1, 5], np.int64),
    labels=np.array([2, -1, 0], np.int64),
    logits=np.array([[0.1, -0.2, 3.0], [1.0, 1.0, 1.0], [1e-38, -3.4e38, 0.0]], np.float32),
)


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_predictions(path)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize("num_rows", [1, 2, 3])
def test_what_is_written_comes_back_to_the_bit(num_rows: int, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "predictions.parquet"
    written = Predictions(
        row_ids=PREDICTIONS.row_ids[:num_rows],
        labels=PREDICTIONS.labels[:num_rows],
        logits=PREDICTIONS.logits[:num_rows],
    )
    write_predictions(path, written)
    back = read_predictions(path)
    for name in ("row_ids", "labels", "logits"):
        before, after = getattr(written, name), getattr(back, name)
        assert after.dtype == before.dtype
        assert after.shape == before.shape
        assert after.tobytes() == before.tobytes()


def test_the_columns_and_their_types_are_those_of_the_design(tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    write_predictions(path, PREDICTIONS)
    schema = pq.read_schema(path)
    assert schema.names == ["row_id", "label", "prediction", "logits"]
    assert [schema.field(name).type for name in schema.names[:3]] == [pa.int64()] * 3
    assert pa.types.is_list(schema.field("logits").type)
    assert schema.field("logits").type.value_type == pa.float32()


def test_another_program_reads_a_row_an_example(tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    write_predictions(path, PREDICTIONS)
    rows = pq.read_table(path).to_pylist()
    assert [(row["row_id"], row["label"], row["prediction"]) for row in rows] == [
        (0, 2, 2),
        (1, -1, 0),
        (5, 0, 0),
    ]
    assert [row["logits"] for row in rows] == PREDICTIONS.logits.tolist()


def test_the_first_of_equal_logits_is_predicted() -> None:
    assert PREDICTIONS.predicted.tolist() == [2, 0, 0]
    assert PREDICTIONS.predicted.dtype == np.int64


def test_labels_that_are_mapped_from_a_file_can_be_written(tmp_path: Path) -> None:
    np.save(tmp_path / "labels.npy", PREDICTIONS.labels)
    mapped = np.load(tmp_path / "labels.npy", mmap_mode="r")
    written = Predictions(row_ids=mapped, labels=mapped, logits=PREDICTIONS.logits)
    write_predictions(tmp_path / "p.parquet", written)
    assert read_predictions(tmp_path / "p.parquet").labels.tolist() == [2, -1, 0]


def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    path.write_bytes(b"old")
    write_predictions(path, PREDICTIONS)
    assert read_predictions(path).row_ids.tolist() == [0, 1, 5]
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "predictions.parquet"
    write_predictions(path, PREDICTIONS)
    before = path.read_bytes()

    def fail(number: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(files, "sync", fail)
    other = Predictions(
        row_ids=PREDICTIONS.row_ids, labels=PREDICTIONS.labels, logits=-PREDICTIONS.logits
    )
    with pytest.raises(StorageError, match="no space left"):
        write_predictions(path, other)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_file_is_called_missing(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nothing.parquet") == "this file of predictions is missing"


@pytest.mark.parametrize("content", [b"", b"x", b"row_id,label\n1,0\n" * 20])
def test_a_file_that_is_not_parquet_is_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    path.write_bytes(content)
    assert refusal(path).startswith("not a file of predictions: ")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_predicted_scores_that_are_no_numbers_are_one_line(value: float, tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    columns = {"row_id": [0, 1], "label": [0.5, 1.0], "prediction": [0.5, value]}
    pq.write_table(pa.table(columns), path)
    with pytest.raises(UserError, match="the column prediction has values that are not finite"):
        read_answers(path)


def test_a_file_that_was_cut_short_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    write_predictions(path, PREDICTIONS)
    path.write_bytes(path.read_bytes()[:-30])
    assert refusal(path).startswith("not a file of predictions: ")


@pytest.mark.parametrize(
    "change",
    [
        {"row_id": None},
        {"label": None},
        {"logits": None},
        {"row_id": ["a", "b"]},
        {"label": [0, None]},
        {"label": [0.5, 1.0]},
        {"logits": [1.0, 2.0]},
        {"logits": ["a", "b"]},
        {"logits": [[1.0, 2.0], [1.0]]},
        {"logits": [[1.0, 2.0], None]},
        {"logits": [[1.0, 2.0], [float("inf"), 0.0]]},
    ],
    ids=str,
)
def test_columns_of_another_kind_are_one_line(
    change: dict[str, list[object] | None], tmp_path: Path
) -> None:
    path = tmp_path / "predictions.parquet"
    columns = {"row_id": [0, 1], "label": [0, 1], "logits": [[1.0, 2.0], [3.0, 4.0]]}
    pq.write_table(pa.table(columns), path)
    assert len(read_predictions(path).labels) == 2
    changed = {name: value for name, value in (columns | change).items() if value is not None}
    pq.write_table(pa.table(changed), path)
    assert refusal(path).startswith("not a file of predictions: ")


@pytest.mark.parametrize(
    ("labels", "logits", "predicted"),
    [
        (np.array([0.5, 4.25, np.nan]), [[1.5], [-2.0], [0.0]], [1.5, -2.0, 0.0]),
        (
            np.array([[0, 1], [1, 1], [0, 0]]),
            [[1.0, -1.0], [2.0, 3.0], [-1.0, 0.0]],
            [[1, 0], [1, 1], [0, 0]],
        ),
    ],
    ids=["regression", "labels"],
)
def test_scores_and_several_labels_come_back_in_their_own_form(
    labels: np.ndarray, logits: list, predicted: list, tmp_path: Path
) -> None:
    path = tmp_path / "predictions.parquet"
    written = Predictions(
        row_ids=np.arange(3), labels=labels, logits=np.array(logits, dtype=np.float32)
    )
    write_predictions(path, written)
    back, answers = read_predictions(path), read_answers(path)
    assert back.logits.tolist() == logits
    for found in (back.labels, answers.labels):
        assert found.dtype == labels.dtype
        np.testing.assert_array_equal(found, labels)
    assert answers.predicted.tolist() == predicted
    assert pq.read_table(path)["prediction"].to_pylist() == predicted
