"""What a classifier said of every example of a split, and its Parquet file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from peftlab.core.errors import UserError, first_line
from peftlab.core.files import whole_file


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """row_ids int64 [N], labels int64 [N] and logits float32 [N, C], in the split's order."""

    row_ids: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    logits: npt.NDArray[np.float32]

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        """The class of the largest logit, int64 [N]."""
        predicted: npt.NDArray[np.int64] = np.argmax(self.logits, axis=1)
        return predicted


@dataclass(frozen=True, kw_only=True)
class Classes:
    """row_ids, labels and predicted classes, int64 [N] each, in the split's order."""

    row_ids: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]


def write_predictions(path: Path, predictions: Predictions) -> None:
    """A Parquet file with the columns row_id, label, prediction, logits (list of float32).

    The file is whole or the old one (core/files.py).
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    num_rows, num_classes = predictions.logits.shape
    offsets = np.arange(0, num_rows * num_classes + 1, num_classes, dtype=np.int32)
    table = pa.table(
        {
            "row_id": np.asarray(predictions.row_ids),
            "label": np.asarray(predictions.labels),
            "prediction": predictions.predicted,
            "logits": pa.ListArray.from_arrays(
                pa.array(offsets), pa.array(predictions.logits.reshape(-1))
            ),
        }
    )
    with whole_file(path) as stream:
        pq.write_table(table, stream)


def read_predictions(path: Path) -> Predictions:
    """What `write_predictions` wrote; UserError where the file is not such a one."""
    import pyarrow as pa

    table = _read(path, ("row_id", "label", "logits"))
    try:
        logits = np.array(table["logits"].to_pylist(), dtype=np.float32)
    except (pa.ArrowException, ValueError) as error:
        raise _not_predictions(path, error) from error
    return Predictions(
        row_ids=_integers(table, "row_id"),
        labels=_integers(table, "label"),
        logits=logits.reshape(table.num_rows, -1),
    )


def read_classes(path: Path) -> Classes:
    """The same without the logits, in a fraction of the time; UserError likewise."""
    table = _read(path, ("row_id", "label", "prediction"))
    return Classes(
        row_ids=_integers(table, "row_id"),
        labels=_integers(table, "label"),
        predicted=_integers(table, "prediction"),
    )


def _read(path: Path, names: Sequence[str]) -> Any:
    """The columns of the file as an Arrow table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise UserError("this file of predictions is missing", where=str(path))
    logits = pa.list_(pa.float32())
    columns = pa.schema(
        [
            pa.field(name, logits if name == "logits" else pa.int64(), nullable=False)
            for name in names
        ]
    )
    try:
        # Half the time of read_table, which is made for folders of files.
        with pq.ParquetFile(path) as file:
            return file.read(columns=columns.names).select(columns.names).cast(columns)
    except (OSError, pa.ArrowException, ValueError, KeyError) as error:
        raise _not_predictions(path, error) from error


def _integers(table: Any, name: str) -> npt.NDArray[np.int64]:
    column: npt.NDArray[np.int64] = table[name].to_numpy().astype(np.int64)
    return column


def _not_predictions(path: Path, error: Exception) -> UserError:
    return UserError(f"not a file of predictions: {first_line(error)}", where=str(path))
