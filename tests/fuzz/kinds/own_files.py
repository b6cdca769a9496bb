"""A person's own files, and what a study says of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from peftlab.core.types import OwnFiles
from peftlab.data.encode import labels_of
from peftlab.data.leaks import find_leak
from peftlab.data.limited import limited
from peftlab.data.own_files import OwnSource
from peftlab.data.own_tasks import Asked, define
from peftlab.tasks.registry import own_task
from tests.fuzz.judge import command
from tests.fuzz.kinds.base import Kind
from tests.fuzz.mutate import mutate_bytes, mutate_text
from tests.fuzz.trees import json_bytes, mutate_tree

ROWS: list[dict[str, Any]] = [
    {"body": 'a "fine" film,\nthen', "mood": "glad", "score": 0.5, "tags": ["a", "b"]},
    {"body": "so-so — naïve 猫", "mood": "sad", "score": 2, "tags": []},
    {"body": "dull", "mood": "calm", "score": -1.5, "tags": ["b"]},
    {"body": "never again", "mood": "sad", "score": 3.25, "tags": ["a"]},
]
CSV = 'body,mood,score\n"a ""fine"" film,\nthen",glad,0.5\nso-so — 猫,sad,2\ndull,calm,-1.5\n'
OWN: dict[str, Any] = {
    "train": "train.jsonl",
    "dev": 0.25,
    "text": "body",
    "label": "mood",
    "labels": ["calm", "glad", "sad"],
    "problem_type": "single_label_classification",
    "metrics": ["accuracy", "f1_macro"],
    "separator": ";",
    "split_seed": 7,
}


class OwnFilesKind(Kind):
    """The file is damaged, or what the study says of it is."""

    name = "own"
    share = 90

    @cached_property
    def parquet(self) -> bytes:
        """The rows as Parquet."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        stream = BytesIO()
        pq.write_table(pa.Table.from_pylist(ROWS), stream)
        return stream.getvalue()

    def attempt(self, rng: Random, folder: Path) -> Callable[[], object]:
        way = rng.random()
        if way < 0.3:
            return self._study(rng, folder)
        ending = rng.choice(("csv", "tsv", "jsonl", "parquet"))
        path = folder / f"train.{ending}"
        text = CSV if ending == "csv" else CSV.replace(",", "\t")
        if ending == "jsonl":
            rows = mutate_tree(ROWS, rng) if rng.random() < 0.5 else ROWS
            rows = rows if isinstance(rows, list) else [rows]
            text = "".join(json.dumps(row) + "\n" for row in rows)
        is_parquet = ending == "parquet"
        path.write_bytes(mutate_bytes(self.parquet, rng) if is_parquet else mutate_text(text, rng))
        if way < 0.4:
            return lambda: command(["new", str(folder / "s.yaml"), "--data", str(path)])
        label = rng.choice(("mood", "score", "tags"))
        return lambda: _read(
            OwnFiles(train=str(path), dev_fraction=0.3, text=("body",), label=(label,))
        )

    def _study(self, rng: Random, folder: Path) -> Callable[[], object]:
        """A study whose mapping is not what it was, on a file that is as it should be."""
        (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
        own = mutate_tree({"moods": OWN}, rng) if rng.random() < 0.95 else {"moods": OWN}
        study = {
            "name": "own",
            "model": str(self.world.checkpoint),
            "data": own,
            "arms": {"full": {"method": "full"}},
        }
        path = folder / "study.yaml"
        path.write_bytes(json_bytes(study))
        return lambda: command(["lint", str(path)])


def _read(files: OwnFiles) -> None:
    source = OwnSource(files)
    task = own_task("own", define(files, Asked(), where="data.own"))
    assert source.ref(task).digest
    for split in ("train", "dev"):
        examples = source.examples(task, split)
        labels = labels_of(examples)
        assert len(labels) == len(examples) > 0
        assert np.isfinite(labels).all()
        assert all(text.strip() for example in examples for text in example.texts)
        few = limited(source, task, split, len(examples) // 2 or 1)
        assert len(few) == (len(examples) // 2 or 1)
        assert all(examples[one.row_id] == one for one in few)
        assert find_leak(examples, few).exact == len(few)


KIND = OwnFilesKind
