"""What a classifier said of every example of a split, and its Parquet file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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
    import pyarrow.parquet as pq

    if not path.is_file():
        raise UserError("this file of predictions is missing", where=str(path))
    columns = pa.schema(
        [
            pa.field("row_id", pa.int64(), nullable=False),
            pa.field("label", pa.int64(), nullable=False),
            pa.field("logits", pa.list_(pa.float32()), nullable=False),
        ]
    )
    try:
        table = pq.read_table(path, columns=columns.names).cast(columns)
        logits = np.array(table["logits"].to_pylist(), dtype=np.float32)
    except (OSError, pa.ArrowException, ValueError) as error:
        cause = first_line(error)
        raise UserError(f"not a file of predictions: {cause}", where=str(path)) from error
    return Predictions(
        row_ids=table["row_id"].to_numpy().astype(np.int64),
        labels=table["label"].to_numpy().astype(np.int64),
        logits=logits.reshape(table.num_rows, -1),
    )
