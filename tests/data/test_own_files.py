"""A user's own files give every row with its label, and one line for any fault in them."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from peftlab.core.errors import UserError
from peftlab.core.inputs import DataRef, Example, OwnFiles, TaskDefinition
from peftlab.data.own_files import OwnSource
from peftlab.data.own_tasks import Asked, define
from peftlab.data.source import open_ref
from peftlab.tasks.registry import own_task
from peftlab.tasks.spec import Task

ROWS: list[dict[str, Any]] = [
    {"id": "1", "body": 'She said "no", twice', "mood": "sad"},
    {"id": "2", "body": "A fine day,\nthen another", "mood": "glad"},
    {"id": "3", "body": "It rained", "mood": "calm"},
    {"id": "4", "body": "Nothing but joy", "mood": "glad"},
]
CSV = (
    "\ufeffid,body,mood\r\n"
    '1,"She said ""no"", twice",sad\r\n2,"A fine day,\nthen another",glad\r\n'
    "3,It rained,calm\r\n4,Nothing but joy,glad\r\n"
)


def files_of(path: Path, /, **changes: Any) -> OwnFiles:
    given = {"train": str(path), "dev": str(path), "text": ("body",), "label": ("mood",)}
    return OwnFiles.model_validate(given | changes)


def opened(files: OwnFiles, **asked: Any) -> tuple[OwnSource, Task]:
    definition = define(files, Asked(**asked), where="data.own")
    return OwnSource(files), own_task("own", definition)


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "train.csv"
    path.write_text(CSV, encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_rows_are_the_same_from_every_format(ending: str, csv: Path, tmp_path: Path) -> None:
    path = csv if ending == ".csv" else write(tmp_path / f"train{ending}", ROWS)
    source, task = opened(files_of(path))
    assert task.labels == ("calm", "glad", "sad")
    expected = [
        Example(row_id=place, texts=(row["body"],), label=task.labels.index(row["mood"]))
        for place, row in enumerate(ROWS)
    ]
    assert source.examples(task, "train") == source.examples(task, "dev") == expected


def test_a_pair_of_texts_and_numbers_as_labels_in_their_order(tmp_path: Path) -> None:
    rows = [{"a": "one", "b": "two", "y": y} for y in (10, 9, "2", 9.0)]
    source, task = opened(
        files_of(write(tmp_path / "t.jsonl", rows), text=("a", "b"), label=("y",))
    )
    assert (task.labels, task.texts) == (("2", "9", "10"), ("a", "b"))
    assert [row.label for row in source.examples(task, "train")] == [2, 1, 0, 1]
    assert source.examples(task, "train")[0].texts == ("one", "two")


def test_labels_that_are_said_stand_in_their_order(csv: Path) -> None:
    source, task = opened(files_of(csv), labels=("sad", "calm", "glad", "wild"))
    assert [row.label for row in source.examples(task, "train")] == [0, 2, 1, 2]


@pytest.mark.parametrize("score", [2, 2.5, "2.5"])
def test_scores_that_are_no_whole_numbers_are_a_regression(score: object, tmp_path: Path) -> None:
    path = write(
        tmp_path / "t.jsonl", [{"body": "one", "mood": 0.5}, {"body": "two", "mood": score}]
    )
    source, task = opened(files_of(path))
    assert (task.problem_type, task.num_labels, task.metrics) == (
        "regression", 1, ("pearson", "spearman"),
    )  # fmt: skip
    labels = [row.label for row in source.examples(task, "train")]
    assert labels == [0.5, float(score)]  # type: ignore[arg-type]
    assert all(isinstance(label, float) for label in labels)


@pytest.mark.parametrize(
    ("columns", "rows"),
    [
        (("mood",), [["calm", "sad"], [], ["sad"]]),
        (("mood",), ["sad, calm", "", "sad"]),
        (("calm", "sad"), [(1, True), ("0", "false"), (0, 1)]),
    ],
)
def test_several_labels_come_as_lists_as_words_or_as_columns(
    columns: tuple[str, ...], rows: list[Any], tmp_path: Path
) -> None:
    cells = [row if isinstance(row, tuple) else (row,) for row in rows]
    named = [{"body": "x", **dict(zip(columns, row, strict=True))} for row in cells]
    files = files_of(write(tmp_path / "t.jsonl", named), label=columns)
    source, task = opened(files, problem_type="multi_label_classification")
    assert (task.labels, task.metrics[0]) == (("calm", "sad"), "f1_micro")
    assert [row.label for row in source.examples(task, "train")] == [(1, 1), (0, 0), (0, 1)]


def test_dev_is_cut_off_train_of_each_label_its_share(tmp_path: Path) -> None:
    rows = [{"body": f"text {n}", "mood": "abb"[n % 3]} for n in range(60)]
    path = write(tmp_path / "t.jsonl", rows)
    files = files_of(path, dev=None, dev_fraction=0.2)
    source, task = opened(files)
    train, dev = source.examples(task, "train"), source.examples(task, "dev")
    assert Counter(row.label for row in dev) == {0: 4, 1: 8}
    assert sorted(row.texts[0] for row in (*train, *dev)) == sorted(row["body"] for row in rows)
    for part in (train, dev):
        assert [row.row_id for row in part] == [*range(len(part))]
        assert [row.texts for row in part] == sorted(
            (row.texts for row in part), key=lambda own: int(own[0].split()[1])
        )
    other, _ = opened(files.model_copy(update={"split_seed": 43}))
    assert source.examples(task, "dev") == dev != other.examples(task, "dev")
    assert source.ref(task).digest != other.ref(task).digest


def test_test_has_no_labels_and_may_lack(csv: Path, tmp_path: Path) -> None:
    test = write(tmp_path / "test.jsonl", [{"body": "What now"}])
    source, task = opened(files_of(csv, test=str(test)))
    assert source.examples(task, "test") == [Example(row_id=0, texts=("What now",), label=None)]
    source, task = opened(files_of(csv))
    with pytest.raises(UserError, match="has no test file"):
        source.examples(task, "test")


def test_the_digest_is_of_what_is_read_and_not_of_where(csv: Path, tmp_path: Path) -> None:
    source, task = opened(files_of(csv))
    ref = source.ref(task)
    assert open_ref(ref).examples(task, "dev") == source.examples(task, "dev")
    elsewhere = tmp_path / "elsewhere.csv"
    elsewhere.write_bytes(csv.read_bytes())
    assert OwnSource(files_of(elsewhere)).ref(task).digest == ref.digest
    others = [
        OwnSource(files_of(csv, text=("id",))).ref(task),
        OwnSource(files_of(csv, dev=None, dev_fraction=0.5)).ref(task),
        source.ref(own_task("own", definition_of(labels=("sad", "calm", "glad")))),
    ]
    elsewhere.write_bytes(csv.read_bytes().replace(b"rained", b"snowed"))
    others.append(OwnSource(files_of(elsewhere)).ref(task))
    assert len({ref.digest, *(other.digest for other in others)}) == 5


def definition_of(labels: tuple[str, ...]) -> TaskDefinition:
    return TaskDefinition(
        problem_type="single_label_classification",
        labels=labels,
        metrics=("accuracy",),
        texts=("body",),
    )


@pytest.mark.parametrize(
    ("bad", "line"),
    [
        ({"body": "", "mood": "sad"}, "t.jsonl:3: column 'body': no text (allowed: "),
        ({"body": " \t", "mood": "sad"}, "t.jsonl:3: column 'body': no text (allowed: "),
        ({"body": None, "mood": "sad"}, "t.jsonl:3: column 'body': no text (allowed: "),
        ({"body": 5, "mood": "sad"}, "t.jsonl:3: column 'body': 5 is no text (allowed: "),
        ({"body": "\ud800", "mood": "sad"}, "t.jsonl:3: half of a UTF-16 pair is not text"),
        ({"body": "x", "mood": ""}, "t.jsonl:3: column 'mood': no label (allowed: "),
        ({"body": "x", "mood": None}, "t.jsonl:3: column 'mood': no label (allowed: "),
        ({"body": "x", "mood": float("nan")}, "t.jsonl:3: column 'mood': no label (allowed: "),
        ({"body": "x", "mood": "x" * 201}, "t.jsonl:3: column 'mood': the label has 201 char"),
        ({"body": "x", "mod": "sad"}, "t.jsonl:3: unknown column 'mood', did you mean 'mod'?"),
    ],
)
def test_a_bad_cell_is_named_with_file_line_and_column(
    bad: dict[str, Any], line: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "t.jsonl", [ROWS[0], ROWS[2], bad, ROWS[1]])
    with pytest.raises(UserError) as caught:
        opened(files_of(path))
    assert line in str(caught.value)


def test_a_label_of_dev_that_train_lacks_is_named_with_its_line(csv: Path, tmp_path: Path) -> None:
    dev = tmp_path / "dev.csv"
    dev.write_text('id,body,mood\n1,"a\nb",sad\n2,c,gald\n')
    source, task = opened(files_of(csv, dev=str(dev)))
    with pytest.raises(UserError) as caught:
        source.examples(task, "dev")
    assert str(caught.value) == (
        f"{dev}:4: column 'mood': unknown label 'gald' (allowed: calm, glad, sad)"
    )


@pytest.mark.parametrize(
    ("asked", "changes", "line"),
    [
        ({"problem_type": "regression"}, {}, "t.csv:2: column 'mood': 'sad' is not a score"),
        ({"labels": ("sad", "glad")}, {}, "t.csv:4: column 'mood': unknown label 'calm'"),
        ({"metrics": ("f1",)}, {}, "data.own.metrics: the metric 'f1' is not for"),
        (
            {"metrics": ("f1_macros",)},
            {},
            "unknown metric 'f1_macros', did you mean 'f1_macro'?",
        ),
        ({}, {"label": ("mood", "id")}, "t.csv:2: column 'mood': 'sad' is neither 0 nor 1"),
        (
            {"problem_type": "regression"},
            {"label": ("mood", "id")},
            "data.own.label: 2 columns are no label of regression",
        ),
        ({}, {"dev": None, "dev_fraction": 0.01}, "t.csv: 0.01 of 4 rows leaves nothing for dev"),
        ({}, {"text": ("bdy",)}, "t.csv:2: unknown column 'bdy', did you mean 'body'?"),
        ({}, {"train": "/nowhere/t.csv"}, "/nowhere/t.csv: cannot read the file: No such file"),
        ({}, {"dev": "/nowhere/t.csv"}, "/nowhere/t.csv: cannot read the file: No such file"),
    ],
)
def test_what_does_not_fit_the_files_is_said_in_one_line(
    asked: dict[str, Any], changes: dict[str, Any], line: str, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,body,mood\n1,a,sad\n2,b,glad\n3,c,calm\n4,d,sad\n")
    with pytest.raises(UserError) as caught:
        read_all(files_of(path, **changes), **asked)
    assert line in str(caught.value)


def read_all(files: OwnFiles, **asked: Any) -> list[Example]:
    source, task = opened(files, **asked)
    return [*source.examples(task, "train"), *source.examples(task, "dev")]


def test_one_label_in_all_rows_is_no_task_and_very_many_are_another_column(tmp_path: Path) -> None:
    rows = [{"body": "x", "mood": "sad"}] * 3
    with pytest.raises(UserError, match=r"column 'mood': .* fewer than two labels: sad"):
        opened(files_of(write(tmp_path / "one.jsonl", rows)))
    rows = [{"body": "x", "mood": f"mood {n}"} for n in range(1200)]
    with pytest.raises(UserError, match=r":1001: column 'mood': more than 1,000 different labels"):
        opened(files_of(write(tmp_path / "many.jsonl", rows)))


def digest_of(path: Path, **changes: Any) -> str:
    source, task = opened(files_of(path, **changes))
    return source.ref(task).digest


def test_a_packed_file_is_the_same_data_and_what_is_found_may_be_said(tmp_path: Path) -> None:
    text = "body,mood\n" + "".join(f"film {n},{('sad', 'glad')[n % 2]}\n" for n in range(8))
    plain, packed = tmp_path / "t.csv", tmp_path / "t.csv.gz"
    plain.write_text(text)
    packed.write_bytes(gzip.compress(text.encode()))
    assert digest_of(plain) == digest_of(packed) == digest_of(plain, sep=",", encoding="utf-8")
    other = tmp_path / "o.csv"
    other.write_text(text.replace(",", ";"), encoding="utf-16")
    assert digest_of(other) == digest_of(other, sep=";", encoding="utf-16")
    assert digest_of(other) != digest_of(plain)


def test_an_option_that_no_file_is_asked_for_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"body": "a", "mood": "b"}\n{"body": "a", "mood": "c"}\n')
    for name, value in (("sep", ";"), ("sheet", "x")):
        with pytest.raises(UserError, match=f"data.own.{name}: does not apply to t.jsonl"):
            opened(files_of(path, **{name: value}))


def test_a_date_of_a_workbook_is_neither_text_nor_label(tmp_path: Path) -> None:
    rows = [{"body": "a", "mood": date(2024, 2, 1)}, {"body": "b", "mood": "1-3"}]
    path = tmp_path / "t.xlsx"
    pd.DataFrame(rows).to_excel(path, index=False)
    with pytest.raises(UserError, match=r"t.xlsx:2: column 'mood': .* as a date \(2024-02-01"):
        opened(files_of(path))


def test_what_was_found_in_a_file_and_not_said_of_it_is_kept_beside_its_digest(
    tmp_path: Path,
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("body;mood\nschön;a\nübel;b\n".encode("cp1252"))
    files = files_of(path)
    found = ref_of(files)
    own = {"sep": ";", "encoding": "cp1252"}
    assert found.read_as == {"train": own, "dev": own}
    assert found.reading_words == (
        "train: sep ';', encoding cp1252; dev: sep ';', encoding cp1252 (found in the file)"
    )
    said = ref_of(files.model_copy(update={"sep": ";", "encoding": "cp1252"}))
    assert (said.read_as, said.reading_words) == ({}, "")
    assert said.digest == found.digest, "it is no part of an id"
    path.write_text("body,mood\nfine,a\nbad,b\n")
    assert ref_of(files).read_as == {}


def ref_of(files: OwnFiles) -> DataRef:
    """Return the reference of a task with these files."""
    source, task = opened(files)
    return source.ref(task)
