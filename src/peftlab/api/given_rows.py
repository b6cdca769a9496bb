"""Rows given in Python, written once as Parquet so that a study can use them as its own files.

They are a pandas DataFrame, a datasets.Dataset or a list of dicts. The file is named by the task,
the split and what is in them: the same rows are the same file, and a trial knows them by its
content as any other.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peftlab.core.errors import UnknownNameError, UserError, first_line
from peftlab.core.files import whole_file
from peftlab.study.own_data import FILES

if TYPE_CHECKING:
    import pyarrow as pa

FOLDER = "data"
"""The folder of a workspace for such files."""
SPLITS = {"train": ("train",), "dev": ("dev", "validation"), "test": ("test",)}
"""The splits of a DatasetDict that serve as each of a task's files."""
CLASS_NAMES = b"huggingface"
ALLOWED = "a file's name, a pandas DataFrame, a datasets.Dataset, or a list of dicts"


def with_files(study: Mapping[str, Any], workspace: Path) -> dict[str, Any]:
    """Return the study with its rows replaced by files in the workspace.

    A DatasetDict as `train` also gives dev and test, unless the study names them. Raises UserError
    if a value is not rows, or if a column that is used cannot be written.
    """
    data = study.get("data")
    if not isinstance(data, Mapping):
        if data is not None and not isinstance(data, str):
            raise UserError(
                f"data must name a source or map tasks to rows; it is {_kind(data)}",
                where="study: data",
                allowed="a source's name, or {TASK: {train: ROWS, text: ..., label: ...}}",
            )  # fmt: skip
        return dict(study)
    return {
        **study,
        "data": {
            name: _written(own, workspace, str(name)) if isinstance(own, Mapping) else own
            for name, own in data.items()
        },
    }


def _written(own: Mapping[str, Any], workspace: Path, task: str) -> dict[str, Any]:
    found, where = dict(own), f"study: data.{task}"
    train: Any = own.get("train")
    if _is_of_datasets(train, "DatasetDict"):
        del found["train"]
        for key, names in SPLITS.items():
            split = next((name for name in names if name in train), None)
            if split is not None and key not in found:
                found[key] = train[split]
        if "train" not in found:
            raise UserError(
                "this DatasetDict has no split 'train'", where=f"{where}.train",
                allowed=", ".join(map(str, train)),
            )  # fmt: skip
    used = [*_names(own.get("text")), *_names(own.get("label"))]
    for key in FILES:
        value = found.get(key)
        if value is None or isinstance(value, str | int | float):
            continue
        if isinstance(value, Path):
            found[key] = str(value)
            continue
        needed = [*_names(own.get("text"))] if key == "test" else used
        table = _table(value, needed, f"{where}.{key}")
        found[key] = str(_stored(table, workspace, f"{task}-{key}"))
    return found


def _names(value: Any) -> Sequence[str]:
    names = [value] if isinstance(value, str) else value
    every = names if isinstance(names, list | tuple) else []
    return [name for name in every if isinstance(name, str)]


def _table(rows: Any, needed: Sequence[str], where: str) -> pa.Table:
    """Return the rows as a table, without unneeded columns that cannot be written."""
    import pandas as pd
    import pyarrow as pa

    metadata: dict[bytes, bytes] = {}
    if isinstance(rows, pd.DataFrame):
        columns = _columns_of_frame(rows, where)
    elif _is_of_datasets(rows, "Dataset"):
        table = rows.with_format("arrow")[:]
        columns = dict(zip(table.column_names, table.columns, strict=True))
        described = rows.features.arrow_schema.metadata or {}
        metadata = {CLASS_NAMES: described[CLASS_NAMES]} if CLASS_NAMES in described else {}
    elif isinstance(rows, list | tuple) and all(isinstance(row, Mapping) for row in rows):
        names = dict.fromkeys(name for row in rows for name in row)
        columns = {name: [row.get(name) for row in rows] for name in names}
    else:
        raise UserError(f"expected rows, got {_kind(rows)}", where=where, allowed=ALLOWED)
    if not columns:
        raise UserError("there are no rows", where=where, allowed=ALLOWED)
    for name in columns:
        if not isinstance(name, str):
            raise UserError(
                f"the name of column {name!r} is not a string", where=where,
                remedy="frame.columns = frame.columns.map(str)",
            )  # fmt: skip
    for name in needed:
        if name not in columns:
            raise UnknownNameError("column", name, columns, where=where)
    arrays: dict[str, Any] = {}
    for name, values in columns.items():
        try:
            array = values
            if not isinstance(values, pa.Array | pa.ChunkedArray):
                array = pa.array(values, from_pandas=True)
            if pa.types.is_dictionary(array.type):
                array = array.cast(array.type.value_type)
            if pa.types.is_large_string(array.type) or pa.types.is_string_view(array.type):
                array = array.cast(pa.string())  # one type for what a library has several of
            arrays[name] = array
        except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
            if name in needed:
                raise UserError(
                    f"cannot write the column '{name}': {first_line(error)}", where=where,
                    allowed="values of one type",
                ) from error  # fmt: skip
    return pa.table(arrays).replace_schema_metadata(metadata)


def _columns_of_frame(frame: Any, where: str) -> dict[Any, Any]:
    """Return the columns, among them those of a named index."""
    named = [name for name in frame.index.names if name is not None and name not in frame.columns]
    if len(named) == frame.index.nlevels:
        frame = frame.reset_index()
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise UserError(f"the column '{twice}' appears twice", where=where)
    return {name: frame[name] for name in frame.columns}


def _stored(table: pa.Table, workspace: Path, name: str) -> Path:
    """Return the file that holds the table, which is written if it is missing.

    Messages and the report show the file's name, so it begins with one that the user knows.
    """
    import pyarrow.parquet as pq

    name = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:60]
    path = workspace.absolute() / FOLDER / f"{name}-{_table_digest(table)}.parquet"
    if not path.is_file():
        with whole_file(path) as stream:
            pq.write_table(table, stream)
    return path


def _table_digest(table: pa.Table) -> str:
    """Return a name for the rows that does not depend on how a library lays them out."""
    metadata = table.schema.metadata or {}
    digest = hashlib.sha256(metadata.get(CLASS_NAMES, b""))
    types = {field.name: str(field.type) for field in table.schema}
    digest.update(json.dumps(types).encode())
    for batch in table.to_batches(max_chunksize=8192):
        for row in batch.to_pylist():
            digest.update(json.dumps(row, default=repr).encode())
    return digest.hexdigest()[:16]


def _is_of_datasets(value: Any, name: str) -> bool:
    """Return whether the value is of that class of the library, if the library is imported."""
    kind = getattr(sys.modules.get("datasets"), name, None)
    return kind is not None and isinstance(value, kind)


def _kind(value: Any) -> str:
    """Return what the value is; of a list, what its first wrong row is."""
    if isinstance(value, list | tuple):
        for row in value:
            if not isinstance(row, Mapping):
                return f"a {type(value).__name__} that holds a {type(row).__name__}"
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
