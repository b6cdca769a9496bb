"""The predictions of a classifier for every example of a split, and their Parquet file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from peftlab.core.errors import UserError, first_line
from peftlab.core.files import whole_file
from peftlab.tasks.problem import Values, answers, problem_type_of


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """row_ids int64 [N], labels (tasks/problem.py), logits float32 [N, C], in the split's order."""

    row_ids: npt.NDArray[np.int64]
    labels: Values
    logits: npt.NDArray[np.float32]

    @property
    def predicted(self) -> Values:
        """The answers that the logits give, in the form of the labels."""
        return answers(self.logits, problem_type_of(self.labels))


@dataclass(frozen=True, kw_only=True)
class Answers:
    """row_ids int64 [N], and labels and predictions in one form, in the split's order."""

    row_ids: npt.NDArray[np.int64]
    labels: Values
    predicted: Values


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write a Parquet file with the columns row_id, label, prediction, logits (list of float32).

    Label and prediction are int64, double for scores, or of several labels a list of int64.
    The file is whole or the old one (core/files.py).
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {
            "row_id": np.asarray(predictions.row_ids),
            "label": _column(predictions.labels),
            "prediction": _column(predictions.predicted),
            "logits": _column(predictions.logits),
        }
    )
    with whole_file(path) as stream:
        pq.write_table(table, stream)


def read_predictions(path: Path) -> Predictions:
    """Return what `write_predictions` wrote; raise UserError for any other file."""
    import pyarrow as pa

    table = _columns_of(path, ("row_id", "label", "logits"))
    try:
        logits = np.array(table["logits"].to_pylist(), dtype=np.float32)
        found = Predictions(
            row_ids=_values(table, "row_id"),
            labels=_values(table, "label"),
            logits=logits.reshape(table.num_rows, -1),
        )
        if found.labels.dtype.kind == "f" and found.logits.shape[1] != 1:
            raise ValueError(f"labels are scores, with {found.logits.shape[1]} logits a row")
        if found.labels.ndim == 2 and found.labels.shape != found.logits.shape:
            raise ValueError("there is not one logit a label")
        if not np.isfinite(logits).all():
            raise ValueError("the column logits has values that are not finite numbers")
        return found
    except (pa.ArrowException, ValueError) as error:
        raise _not_predictions(path, error) from error


def read_answers(path: Path) -> Answers:
    """Return the same without the logits, in a fraction of the time, with the same UserError."""
    table = _columns_of(path, ("row_id", "label", "prediction"))
    try:
        labels, predicted = _values(table, "label"), _values(table, "prediction")
        if predicted.dtype.kind == "f" and not np.isfinite(predicted).all():
            raise ValueError("the column prediction has values that are not finite numbers")
    except ValueError as error:
        raise _not_predictions(path, error) from error
    if labels.shape != predicted.shape or labels.dtype != predicted.dtype:
        raise _not_predictions(path, ValueError("labels and predictions are of different kinds"))
    return Answers(row_ids=_values(table, "row_id"), labels=labels, predicted=predicted)


def _columns_of(path: Path, names: Sequence[str]) -> Any:
    """Return the columns of the file as an Arrow table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise UserError("this file of predictions is missing", where=str(path))
    types = {"row_id": pa.int64(), "logits": pa.list_(pa.float32())}
    try:
        # Half the time of read_table, which is made for folders of files.
        with pq.ParquetFile(path) as file:
            table = file.read(columns=list(names)).select(list(names))
            fields = [
                pa.field(own.name, types.get(own.name) or _kind(own.type), nullable=False)
                for own in table.schema
            ]
            return table.cast(pa.schema(fields))
    except (OSError, pa.ArrowException, ValueError, KeyError) as error:
        raise _not_predictions(path, error) from error


def _kind(found: Any) -> Any:
    """Return the type of labels that a column of that type holds."""
    import pyarrow as pa

    if pa.types.is_floating(found):
        return pa.float64()
    return pa.list_(pa.int64()) if pa.types.is_list(found) else pa.int64()


def _column(values: npt.NDArray[Any]) -> Any:
    """Return the values as a column of numbers [N], or of lists [N, C]."""
    import pyarrow as pa

    if values.ndim == 1:
        return np.asarray(values)
    num_rows, size = values.shape
    offsets = np.arange(0, num_rows * size + 1, size, dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.asarray(values).reshape(-1)))


def _values(table: Any, name: str) -> Any:
    """Return the column as an array, [N] or [N, C]; raise ValueError for unequal lists."""
    import pyarrow as pa

    column = table[name]
    if pa.types.is_list(column.type):
        return np.array(column.to_pylist(), dtype=np.int64).reshape(table.num_rows, -1)
    return column.to_numpy()


def _not_predictions(path: Path, error: Exception) -> UserError:
    return UserError(f"not a file of predictions: {first_line(error)}", where=str(path))
