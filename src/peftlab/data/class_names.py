"""The names of classes that Hugging Face's `datasets` writes into the metadata of a Parquet file.

A column of the type ClassLabel holds numbers, a column of lists of it lists of numbers; the names
are JSON in the schema. A number below 0 is the library's way to say that there is no label.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from peftlab.core.errors import UserError
from peftlab.data.file_bytes import stamp_of
from peftlab.data.parquet_rows import parquet_metadata

KEY = b"huggingface"
NO_LABEL = "-1"
MEANING = "which is how datasets writes that there is no label, as in splits of test"
Names = Mapping[str, tuple[str, ...]]


def class_names(path: str) -> Names:
    """Return the names of the classes by column; none if the file has none."""
    file = Path(path)
    if file.suffix.lower() != ".parquet":
        return {}
    return _class_names(file, stamp_of(file))


def names_of(path: str, column: str) -> tuple[str, ...]:
    """Return the names of the column's classes, if any; raise UserError if a name appears twice."""
    names = class_names(path).get(column, ())
    if len({*names}) < len(names):
        (twice, _), *_ = Counter(names).most_common(1)
        raise UserError(
            f"the name {twice[:40]!r} appears twice among the names of its classes",
            where=f"{path}: column '{column[:60]}'",
            allowed="another name for each class in the file's metadata",
        )
    return names


@lru_cache(maxsize=16)
def _class_names(path: Path, stamp: tuple[int, int]) -> Names:
    try:
        info = json.loads(parquet_metadata(path).get(KEY, b"{}"))
        features = [*info["info"]["features"].items()]
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return {}  # it is nobody's
    found = {column: _names(feature) for column, feature in features}
    return {column: names for column, names in found.items() if names}


def _names(feature: Any) -> tuple[str, ...]:
    """Return the names of a ClassLabel, or of a list of them in one of three forms, else none."""
    if isinstance(feature, list) and len(feature) == 1:
        return _names(feature[0])
    if not isinstance(feature, dict):
        return ()
    if feature.get("_type") in ("Sequence", "List", "LargeList"):
        inner = feature.get("feature")
        is_class = isinstance(inner, dict) and inner.get("_type") == "ClassLabel"
        return _names(inner) if is_class else ()
    names = feature.get("names")
    if feature.get("_type") != "ClassLabel" or not isinstance(names, list):
        return ()
    return tuple(names) if all(isinstance(name, str) for name in names) else ()


def named(cell: Any, names: Sequence[str]) -> Any:
    """Return the cell with class names in place of class numbers; None if there is no such class.

    >>> named(1, ["neg", "pos"]), named([0, 1], ["neg", "pos"]), named(-1, ["neg", "pos"])
    ('pos', ['neg', 'pos'], None)
    """
    if isinstance(cell, list):
        return [named(one, names) for one in cell]
    if isinstance(cell, int) and not isinstance(cell, bool):
        return names[cell] if 0 <= cell < len(names) else None
    return cell
