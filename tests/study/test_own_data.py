"""A study on a user's own files has its tasks, its trials, and one line for any fault."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from peftlab.core.errors import UserError
from peftlab.core.trial import Trial
from peftlab.study.load import Overrides, load_study
from peftlab.study.spec import StudySpec, validate
from peftlab.study.trials import expand
from peftlab.tasks.registry import task_of

OWN: dict[str, Any] = {"train": "train.csv", "dev": 0.25, "text": "body", "label": "mood"}


def study(checkpoint: Path, **changes: Any) -> dict[str, Any]:
    return {
        "name": "own",
        "model": str(checkpoint),
        "data": {"moods": {**OWN, **changes}},
        "arms": {"full": {"method": "full"}},
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = "".join(f"text {n},{('sad', 'glad', 'calm')[n % 3]}\n" for n in range(24))
    (tmp_path / "train.csv").write_text(f"body,mood\n{rows}")
    return tmp_path


def load(folder: Path, raw: dict[str, Any], *settings: str) -> StudySpec:
    path = folder / "own.yaml"
    path.write_text(json.dumps(raw))
    return load_study(str(path), Overrides(settings=settings))


def test_paths_are_named_from_the_study_file_and_the_tasks_are_those_of_the_files(
    folder: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = load(folder, study(tiny_checkpoint))
    monkeypatch.chdir(folder.parent)
    assert spec.tasks == ("moods",)
    assert spec.own_data["moods"].train == str(folder / "train.csv")
    expanded = expand(spec)
    assert expanded.num_examples == {"moods": (18, 6)}
    (trial,) = expanded.trials
    assert trial.data.files == spec.own_data["moods"].files()
    assert task_of(trial).labels == ("calm", "glad", "sad")
    assert validate(spec.model_dump(mode="json"), where="stored") == spec
    back = Trial.model_validate_json(trial.model_dump_json())
    assert (back, back.id) == (trial, trial.id)


def test_a_trial_is_the_same_wherever_the_files_are_and_another_with_other_labels(
    folder: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    (trial,) = expand(load(folder, study(tiny_checkpoint))).trials
    other = tmp_path / "other"
    other.mkdir()
    (other / "train.csv").write_bytes((folder / "train.csv").read_bytes())
    (same,) = expand(load(other, study(tiny_checkpoint))).trials
    assert same.id == trial.id
    for change in (
        "data.moods.labels=[sad, glad, calm]",
        "data.moods.metrics=[f1_macro]",
        "data.moods.split_seed=1",
    ):
        (changed,) = expand(load(folder, study(tiny_checkpoint), change)).trials
        assert changed.id != trial.id, change


def test_training_values_and_claims_know_the_tasks_of_the_files(
    folder: Path, tiny_checkpoint: Path
) -> None:
    raw = {**study(tiny_checkpoint), "training": {"learning_rate": {"moods": 1e-3}}}
    (trial,) = expand(load(folder, raw)).trials
    assert trial.training.learning_rate == 1e-3
    with pytest.raises(UserError, match=r"unknown task 'mods', did you mean 'moods'"):
        expand(load(folder, {**raw, "tasks": ["mods"]}))
    with pytest.raises(UserError, match=r"training.learning_rate: unknown task 'sst2'"):
        expand(load(folder, {**raw, "training": {"learning_rate": {"sst2": 1e-3}}}))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"lable": "x"}, "own.yaml: data.moods: unknown key 'lable', did you mean 'label'?"),
        ({"train": None}, "own.yaml: data.moods.train: "),
        ({"dev": 1.5}, "data.moods.dev: must be a file, or a share of train between 0 and 1"),
        ({"dev": True}, "data.moods.dev: must be a file, or a share of train between 0 and 1"),
        ({"text": ["a", "b", "c"]}, "data.moods.text: must be one column, or two"),
        (
            {"label": False},
            "moods.label: must be the name of a column, or a list of them: YAML",
        ),
        ({"text": []}, "data.moods.text: must be the name of a column, or a list of them"),
        ({"label": ["a", "a"]}, "data.moods.label: a column appears twice"),
        ({"labels": ["one"]}, "data.moods.labels: must be a list of two or more words or numbers"),
        ({"labels": [1, "1"]}, "data.moods.labels: a label appears twice"),
        ({"problem_type": "ranking"}, "data.moods.problem_type: "),
        ({"separator": ""}, "data.moods.separator: "),
    ],
)
def test_a_wrong_key_of_the_mapping_is_named(
    change: dict[str, Any], line: str, folder: Path, tiny_checkpoint: Path
) -> None:
    with pytest.raises(UserError) as caught:
        load(folder, study(tiny_checkpoint, **change))
    assert line in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("sep", ";;", "';;' is not a separator, which is one character such as ';' or '\\t'"),
        ("sep", "", "'' is not a separator, which is one character such as ';' or '\\t'"),
        ("encoding", "utf-9", "'utf-9' is not an encoding such as utf-8, utf-16 or cp1252"),
    ],
)
def test_a_value_that_the_message_names_is_not_shown_twice(
    key: str, value: str, words: str, folder: Path, tiny_checkpoint: Path
) -> None:
    with pytest.raises(UserError) as caught:
        load(folder, study(tiny_checkpoint, **{key: value}))
    assert str(caught.value) == f"{folder / 'own.yaml'}: data.moods.{key}: {words}"


@pytest.mark.parametrize(
    ("labels", "words", "line"),
    [
        ("[yes, no]", ("yes", "no"), "the label yes of train.csv:2 as true: write it in quotes"),
        ("[1e3, 2e3]", ("1e3", "2e3"), "the label 1e3 of train.csv:2 as 1000: write it in quotes"),
        ("[maybe, off]", ("maybe", "off"), "the label off of train.csv:3 as false: write it in"),
        ("[1:30, x]", ("1:30", "x"), "the label 1:30 of train.csv:2 as 90: write it in quotes"),
        ("[on, yes]", ("on", "yes"), "a label appears twice: YAML reads yes and on as true"),
        ("[x, null]", ("x", "null"), "label 2 is 'None' to YAML, which is not a word"),
        ("[2001-01-01, x]", ("2001-01-01", "x"), "label 1 is '2001-01-01' to YAML, which is no"),
    ],
)
def test_labels_that_yaml_reads_as_something_else_are_refused_with_a_word_on_it(
    labels: str, words: tuple[str, str], line: str, folder: Path, tiny_checkpoint: Path
) -> None:
    rows = "".join(f"text {n},{words[n % 2]}\n" for n in range(24))
    (folder / "train.csv").write_text(f"body,mood\n{rows}")
    with pytest.raises(UserError) as caught:
        expand(load(folder, study(tiny_checkpoint), f"data.moods.labels={labels}"))
    assert "data.moods.labels: " in str(caught.value)
    assert line in str(caught.value)
    quoted = json.dumps(words)
    (trial,) = expand(load(folder, study(tiny_checkpoint), f"data.moods.labels={quoted}")).trials
    assert task_of(trial).labels == words


def test_labels_of_yes_and_no_that_the_file_writes_as_true_and_false_are_fine(
    folder: Path, tiny_checkpoint: Path
) -> None:
    rows = "".join(f"text {n},{('true', 'false')[n % 2]}\n" for n in range(24))
    (folder / "train.csv").write_text(f"body,mood\n{rows}")
    (trial,) = expand(load(folder, study(tiny_checkpoint), "data.moods.labels=[no, yes]")).trials
    assert task_of(trial).labels == ("false", "true")


@pytest.mark.parametrize("data", [{}, {"a b": OWN}, {"moods": "train.csv"}, ["train.csv"], None])
def test_what_is_no_mapping_of_files_is_refused_at_data(
    data: object, folder: Path, tiny_checkpoint: Path
) -> None:
    with pytest.raises(UserError, match=r"own\.yaml: data"):
        load(folder, {**study(tiny_checkpoint), "data": data, "tasks": ["moods"]})


def test_data_on_the_command_line_take_the_place_of_the_files(
    folder: Path, tiny_checkpoint: Path
) -> None:
    path = folder / "own.yaml"
    load(folder, study(tiny_checkpoint))
    spec = load_study(str(path), Overrides(data="demo", tasks=["demo-sentiment"]))
    assert (spec.data, spec.own_data, spec.split_words) == ("demo", {}, "")
    with pytest.raises(UserError, match="unknown task 'moods'"):
        expand(load_study(str(path), Overrides(data="demo", tasks=["moods"])))


def test_the_schema_for_editors_knows_files_and_leaves_tasks_open() -> None:
    schema = StudySpec.model_json_schema()
    assert "tasks" not in schema["required"]
    assert {"name", "model", "data", "arms"} <= set(schema["required"])
    assert {"train", "dev", "text", "label"} <= set(schema["$defs"]["OwnData"]["properties"])


def test_the_study_in_the_docs_is_a_study() -> None:
    docs = Path(__file__).resolve().parents[2] / "docs" / "own-data.md"
    text = docs.read_text(encoding="utf-8")
    study, *others = re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    spec = validate(yaml.safe_load(study), where="docs")
    for keys in others:  # keys that such a study may have too
        assert validate(yaml.safe_load(study) | yaml.safe_load(keys), where="docs") != spec
    assert (spec.tasks, spec.own_data["reviews"].label) == (("reviews",), "rating")
    assert spec.split_words == (
        "dev of reviews is 10% of train.csv, stratified, cut off by seed 42"
    )
