"""Rows that Python holds become files of a study, named by their content."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pytest

from peftlab import Study, UserError
from peftlab.data.own_files import OwnSource
from peftlab.study.own_data import define_task

ROWS = [{"body": f"text {n}", "mood": ("sad", "glad")[n % 2]} for n in range(8)]


def study(train: Any, workspace: Path, **keys: Any) -> Study:
    own = {"train": train, "dev": 0.25, "text": "body", "label": "mood", **keys}
    raw = {
        "name": "s",
        "model": "minilm",
        "data": {"moods": own},
        "arms": {"a": {"method": "full"}},
    }
    return Study.from_dict(raw, workspace=workspace)


def examples(made: Study, split: str = "train") -> tuple[Any, list[Any]]:
    own = made.spec.own_data["moods"]
    task = define_task("moods", own, where="data.moods").task
    return task, OwnSource(own.files()).examples(task, split)


def frame(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame(ROWS).assign(**columns)


FORMS: dict[str, Any] = {
    "frame": frame(),
    "categories": frame(mood=pd.Categorical([row["mood"] for row in ROWS])),
    "index": pd.DataFrame(ROWS).set_index("body"),
    "filtered index": pd.concat([frame(), frame()]).iloc[:8],
    "dataset": datasets.Dataset.from_list(ROWS),
    "selected": datasets.Dataset.from_list(ROWS[::-1]).select(range(7, -1, -1)),
    "list": ROWS,
    "odd columns": frame(odd=[{1}, object(), *range(6)]),
}


@pytest.mark.parametrize("name", FORMS)
def test_rows_in_every_form_are_the_same_examples(name: str, tmp_path: Path) -> None:
    task, found = examples(study(FORMS[name], tmp_path))
    assert task.labels == ("glad", "sad")
    assert {(one.texts[0], one.label) for one in found} <= {
        (row["body"], int(row["mood"] == "sad")) for row in ROWS
    }
    assert len(found) == 6


def test_the_same_rows_are_one_file_wherever_they_come_from(tmp_path: Path) -> None:
    made = [study(FORMS[name], tmp_path) for name in ("frame", "categories", "index", "list")]
    paths = {one.spec.own_data["moods"].train for one in made}
    assert len(paths) == len([*(tmp_path / "data").iterdir()]) == 1
    (path,) = paths
    before = Path(path).stat().st_mtime_ns
    study(frame(), tmp_path)
    assert Path(path).stat().st_mtime_ns == before
    other = study(frame(mood=["glad", "sad"] * 4), tmp_path)
    assert other.spec.own_data["moods"].train not in paths


def test_a_dataset_dict_gives_its_splits_and_names_of_classes(tmp_path: Path) -> None:
    features = datasets.Features(
        {"body": datasets.Value("string"), "mood": datasets.ClassLabel(names=["sad", "glad"])}
    )
    made = {
        name: datasets.Dataset.from_list(rows, features=features)
        for name, rows in {"train": ROWS, "validation": ROWS[:4], "test": ROWS[:2]}.items()
    }
    found = study(datasets.DatasetDict(made), tmp_path)
    assert examples(found)[0].labels == ("sad", "glad")
    assert isinstance(found.spec.own_data["moods"].dev, float)  # as it is said
    raw = found.spec.model_dump(mode="json")
    raw["data"]["moods"] = {"train": datasets.DatasetDict(made), "text": "body", "label": "mood"}
    both = Study.from_dict(raw, workspace=tmp_path)
    assert [len(examples(both, split)[1]) for split in ("train", "dev", "test")] == [8, 4, 2]


def test_missing_values_are_missing(tmp_path: Path) -> None:
    holes = frame(mood=["sad", None, np.nan, "glad", *["sad", "glad"] * 2])
    with pytest.raises(UserError, match=r"no label .*missing: drop"):
        examples(study(holes, tmp_path))
    assert len(examples(study(holes, tmp_path, missing="drop"))[1]) == 4


def test_messages_and_the_report_name_the_task_and_the_split(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data/moods-train-\w{16}\.parquet:2: column 'mood': no"):
        examples(study(frame(mood=["sad", None, *["sad", "glad"] * 3]), tmp_path))


BAD: list[tuple[Any, str]] = [
    ([], "data.moods.train: there are no rows"),
    ([("a", "b")], "data.moods.train: expected rows, got a list that holds a tuple"),
    ({"body": ["a"]}, "data.moods.train: expected rows, got dict .allowed: a file's name"),
    (frame(mood=[1, "a", *range(6)]), "data.moods.train: cannot write the column 'mood'"),
    (frame().rename(columns={"mood": "mod"}), "unknown column 'mood', did you mean 'mod'"),
    (pd.concat([frame(), frame()], axis=1), "the column 'body' appears twice"),
    (frame().rename(columns={"mood": 3}).assign(mood="a"), "the name of column 3 is not a string"),
    (
        frame().rename(columns={"mood": 3}),
        "3 is not a string .try: frame.columns = frame.columns.m",
    ),
    (datasets.DatasetDict(), "this DatasetDict has no split 'train'"),
]


@pytest.mark.parametrize(("rows", "words"), BAD)
def test_what_is_no_rows_is_refused_in_one_line(rows: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=words) as caught:
        study(rows, tmp_path)
    assert len(str(caught.value).splitlines()) == 1


def test_rows_are_no_place(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="data must be a string or a path"):
        Study.load("quickstart", data=frame())
    with pytest.raises(UserError, match="it is pandas"):
        Study.from_dict({"name": "s", "data": frame()}, workspace=tmp_path)
