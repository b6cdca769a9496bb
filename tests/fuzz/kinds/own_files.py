"""A user's own files, and their description in a study."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from functools import cached_property
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from peftlab.core.inputs import OwnFiles
from peftlab.data.encode import labels_of
from peftlab.data.leaks import find_leak
from peftlab.data.limited import limited
from peftlab.data.own_files import OwnSource
from peftlab.data.own_tasks import Asked, define
from peftlab.tasks.registry import own_task
from tests.fuzz.judge import command
from tests.fuzz.kinds.base import Kind
from tests.fuzz.kinds.row_files import workbook_bytes
from tests.fuzz.mutate import mutate_bytes, mutate_text
from tests.fuzz.trees import json_bytes, mutate_tree

ROWS: list[dict[str, Any]] = [
    {"body": 'a "fine" film,\nthen', "mood": "glad", "score": 0.5, "tags": ["a", "b"]},
    {"body": "so-so — naïve 猫", "mood": "sad", "score": 2, "tags": []},
    {"body": "dull", "mood": "calm", "score": -1.5, "tags": ["b"]},
    {"body": "never again", "mood": "sad", "score": 3.25, "tags": ["a"]},
]
CSV = 'body,mood,score\n"a ""fine"" film,\nthen",glad,0.5\nso-so — 猫,sad,2\ndull,calm,-1.5\n'
LABELS: list[Any] = [
    "yes", "no", "null", "1e3", "0x10", "1:30", "2001-01-01", "=", "~", ".5", "nan", "pos", "pos ",
    "1,5", "1 234,5", "1,234", "2.5", "0,1,0", "0 1", "[0, 1, 0]", "[1 0 0]", "[]", "['a', 'b']",
    '["a"]', "['a", "[a]", [0, 1, 0], [1, 0, 0], [0, 1], [], ["a"], [0.5, 0.5], [[1]], "", None,
    "[a, b]", "('a', 'b')", "{'a'}", "set()", "{a,b}", "{}", "array(['a'])", "{'a': 1}", {"a": 1},
    "['a' ... 'b']", "a, b", "b, a", "10%", "1,000", "0,5,1", -1, "-1", "#REF!", " a", "(a, b)",
    0, 1, 1.0, True, "\u2028", "\U0001f600", "=1+1", "'", '"', "a: b", "#",
]  # fmt: skip
FILE_NAMES = ("train", "no", "1e3", "é #", "=x", "a'b")
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
    "encoding": "utf-8",
    "missing": "drop",
}


class OwnFilesKind(Kind):
    """The file is damaged, or its description in the study is."""

    name = "own"
    share = 90

    @cached_property
    def parquet(self) -> bytes:
        """Return the rows as Parquet."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        stream = BytesIO()
        pq.write_table(pa.Table.from_pylist(ROWS), stream)
        return stream.getvalue()

    @cached_property
    def workbook(self) -> bytes:
        """Return the rows as a workbook."""
        return workbook_bytes(ROWS)

    def attempt(self, rng: Random, folder: Path) -> Callable[[], object]:
        way = rng.random()
        if way < 0.3:
            return self._study(rng, folder)
        if way < 0.45:
            return self._labels(rng, folder)
        ending = rng.choice(("csv", "tsv", "jsonl", "json", "xlsx", "parquet"))
        path = folder / f"train.{ending}"
        text = CSV if ending == "csv" else CSV.replace(",", "\t")
        if ending in ("jsonl", "json"):
            rows = mutate_tree(ROWS, rng) if rng.random() < 0.5 else ROWS
            rows = rows if isinstance(rows, list) else [rows]
            text = "".join(json.dumps(row) + "\n" for row in rows)
            text = json.dumps(rows) if ending == "json" else text
        binary = {"parquet": self.parquet, "xlsx": self.workbook}.get(ending)
        path.write_bytes(mutate_text(text, rng) if binary is None else mutate_bytes(binary, rng))
        if way < 0.55:
            return lambda: command(["new", str(folder / "s.yaml"), "--data", str(path)])
        label = rng.choice(("mood", "score", "tags"))
        return lambda: _read(
            OwnFiles(
                train=str(path),
                dev_fraction=0.3,
                text=("body",),
                label=(label,),
                missing=rng.choice(("error", "drop")),
            )
        )

    def _labels(self, rng: Random, folder: Path) -> Callable[[], object]:
        """Return a column of labels written in one way, or in two, with or without quotes."""
        drawn = [rng.choice(LABELS) for _ in range(rng.choice((2, 3, 3, 4)))]
        every = rng.choice((drawn, drawn, LABELS))
        rows = [{"body": f"film {n}", "mood": rng.choice(every)} for n in range(24)]
        path = folder / f"{rng.choice(FILE_NAMES)}.{rng.choice(('csv', 'jsonl', 'parquet'))}"
        match path.suffix:
            case ".csv":
                with path.open("w", newline="", encoding="utf-8") as stream:
                    writer = csv.DictWriter(stream, ["body", "mood"])
                    writer.writeheader()
                    writer.writerows(rows)
            case ".jsonl":
                path.write_text("".join(json.dumps(row) + "\n" for row in rows))
            case _:
                path.write_bytes(_class_file(rows, rng))
        return lambda: command(["new", str(folder / "s.yaml"), "--data", str(path)])

    def _study(self, rng: Random, folder: Path) -> Callable[[], object]:
        """Return a study with a changed mapping, on an intact file."""
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


def _class_file(rows: list[dict[str, Any]], rng: Random) -> bytes:
    """Return the rows as Parquet, with class numbers for which the metadata have names, or not."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [row["mood"] for row in rows[: rng.randrange(6)]]
    info = {"info": {"features": {"mood": {"names": names, "_type": "ClassLabel"}}}}
    mood = [[n % 3, 1][: n % 2] if rng.random() < 0.01 else n % 3 for n in range(len(rows))]
    if any(isinstance(one, list) for one in mood):
        mood = [[n % 3, 1][: n % 3] for n in range(len(rows))]
    table = pa.table({"body": [row["body"] for row in rows], "mood": mood})
    if rng.random() < 0.2:
        table = table.append_column("mood", table["body"])
    stream = BytesIO()
    told = mutate_tree(info, rng) if rng.random() < 0.5 else info
    pq.write_table(table.replace_schema_metadata({"huggingface": json_bytes(told)}), stream)
    return stream.getvalue()


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
