"""Studies are found by name or file, and the command line changes only what it names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from peftlab.core.errors import UnknownNameError, UserError
from peftlab.study.arms import expand_arms
from peftlab.study.load import Overrides, builtin_studies, load_study, needs_hub
from peftlab.study.spec import StudySpec

TEXT = """
name: two-arms
model: minilm
data: demo
tasks: [demo-sentiment, demo-paraphrase]
training: {learning_rate: 5e-4, num_train_epochs: 2}
arms:
  full: {method: full, training: {learning_rate: 1e-5, weight_decay: 0.1}}
  bitfit: {method: bitfit}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text(TEXT)
    return path


def load(file: Path, *settings: str) -> StudySpec:
    return load_study(str(file), Overrides(settings=settings))


@pytest.mark.parametrize("name", ["glue-peft", "quickstart"])
def test_a_builtin_study_is_found_by_its_name(name: str) -> None:
    assert load_study(name).name == name


def test_every_builtin_study_is_listed_with_what_it_is() -> None:
    studies = builtin_studies()
    assert {"glue-peft", "quickstart"} <= studies.keys()
    for name, study in studies.items():
        assert study.name == name
        assert study.description == load_study(name).description != ""


def test_a_file_is_read(file: Path) -> None:
    spec = load_study(str(file))
    assert spec.name == "two-arms"
    assert spec.training == {"learning_rate": 5e-4, "num_train_epochs": 2}


def test_an_unknown_study_names_the_nearest_one() -> None:
    with pytest.raises(UnknownNameError) as caught:
        load_study("glue-pef")
    message = str(caught.value)
    assert message.startswith("STUDY: unknown study 'glue-pef', did you mean 'glue-peft'?")
    assert "a file that ends in .yaml" in message


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    path = str(tmp_path / "none.yaml")
    with pytest.raises(UserError) as caught:
        load_study(path)
    assert str(caught.value) == f"{path}: cannot read the study file: No such file or directory"


def test_a_file_that_is_not_utf_8_is_one_line(file: Path) -> None:
    file.write_bytes(TEXT.encode() + b"description: \xff\n")
    with pytest.raises(UserError) as caught:
        load_study(str(file))
    assert str(caught.value).startswith(f"{file}: byte ")
    assert "of the file (0xff) is not UTF-8 (allowed: UTF-8 text)" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "- a", "just words"])
def test_a_file_that_holds_no_mapping_is_one_line(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(UserError, match="a study is a mapping of keys"):
        load_study(str(file))


def test_a_fault_in_a_file_names_the_file(file: Path) -> None:
    file.write_text(TEXT.replace("model:", "modle:"))
    with pytest.raises(UserError) as caught:
        load_study(str(file))
    assert str(caught.value).startswith(f"{file}: unknown key 'modle', did you mean 'model'?")


def test_options_replace_the_keys_that_they_name_and_no_other(file: Path) -> None:
    spec = load_study(
        str(file),
        Overrides(
            data="hub",
            model="google-bert/bert-base-uncased",
            engine="padded",
            seeds=[1, 2],
            tasks=["demo-paraphrase"],
            arms=["bitfit"],
        ),
    )
    expected = load_study(str(file)).model_copy(
        update={
            "data": "hub",
            "model": "google-bert/bert-base-uncased",
            "engine": "padded",
            "seeds": (1, 2),
            "tasks": ("demo-paraphrase",),
            "only_arms": ("bitfit",),
        }
    )
    assert spec.model_copy(update={"description": expected.description}) == expected


def test_an_option_that_names_nothing_is_one_line(file: Path) -> None:
    for option in ("arms", "tasks", "seeds"):
        with pytest.raises(UserError, match=f"^--{option}: nothing is named"):
            load_study(str(file), Overrides(**{option: ()}))


def test_a_setting_of_a_top_key(file: Path) -> None:
    assert load(file, "max_train_samples=64").max_train_samples == 64
    assert load(file, "seeds=[7, 8]").seeds == (7, 8)


def test_a_dotted_setting_reaches_inside_and_leaves_its_neighbours(file: Path) -> None:
    spec = load(file, "arms.full.training.learning_rate=3e-5", "fixed_seeds.init=1")
    assert spec.arms["full"].training == {"learning_rate": 3e-5, "weight_decay": 0.1}
    assert spec.arms["bitfit"].training == {}
    assert spec.fixed_seeds.init == 1


def test_a_training_setting_wins_over_the_arms_own(file: Path) -> None:
    spec = load(file, "training.learning_rate=2e-4")
    assert spec.training["learning_rate"] == 2e-4
    assert spec.arms["full"].training == {"weight_decay": 0.1}


def test_a_training_setting_for_one_task_wins_over_the_arms_own_for_that_task(file: Path) -> None:
    spec = load(file, "training.learning_rate.demo-sentiment=2e-4")
    assert spec.training["learning_rate"] == {"demo-sentiment": 2e-4, "demo-paraphrase": 5e-4}
    assert spec.arms["full"].training == {
        "learning_rate": {"demo-sentiment": 2e-4, "demo-paraphrase": 1e-5},
        "weight_decay": 0.1,
    }
    assert spec.arms["bitfit"].training == {}
    rates = {
        (arm.name, task): training.learning_rate
        for arm in expand_arms(spec, resolve=False)
        for task, training in arm.training.items()
    }
    assert rates == {
        ("full", "demo-sentiment"): 2e-4,
        ("full", "demo-paraphrase"): 1e-5,
        ("bitfit", "demo-sentiment"): 2e-4,
        ("bitfit", "demo-paraphrase"): 5e-4,
    }


def test_a_training_setting_for_one_task_leaves_an_arms_values_for_the_others(file: Path) -> None:
    by_task = "{demo-sentiment: 1e-5, demo-paraphrase: 3e-5}"
    file.write_text(TEXT.replace("learning_rate: 1e-5", f"learning_rate: {by_task}"))
    spec = load(file, "training.learning_rate.demo-paraphrase=2e-4")
    assert spec.arms["full"].training["learning_rate"] == {
        "demo-sentiment": 1e-5,
        "demo-paraphrase": 2e-4,
    }


def test_a_training_setting_that_no_arm_has_leaves_the_arms_alone(file: Path) -> None:
    spec = load(file, "training.warmup_steps=0.1")
    assert spec.arms == load(file).arms
    assert spec.training == {"learning_rate": 5e-4, "num_train_epochs": 2, "warmup_steps": 0.1}


def test_later_settings_win_over_earlier_ones_and_over_options(file: Path) -> None:
    overrides = Overrides(settings=["seeds=[1]", "seeds=[2]"], seeds=[3])
    assert load_study(str(file), overrides).seeds == (2,)


def test_a_setting_does_not_change_the_study_for_the_next_reader(file: Path) -> None:
    load_study("quickstart", Overrides(settings=["training.learning_rate=1", "name=other"]))
    assert load_study("quickstart").name == "quickstart"
    assert load_study("quickstart").arms["full"].training == {"learning_rate": 1e-4}


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("max_train_sample=3", "unknown key 'max_train_sample', did you mean 'max_train_samples'?"),
        ("fixed_seeds.ordr=1", "unknown key 'ordr', did you mean 'order'?"),
        ("seeds=x", "seeds: must be a list"),
        ("seeds", "--set: 'seeds' is not a setting"),
        ("training=3", "training: must be a mapping of keys"),
        ("arms.full=3", "arms.full: must be a mapping of keys"),
    ],
)
def test_a_wrong_setting_is_one_line(file: Path, setting: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        load(file, setting)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("folder", "cannot read the study file: it is a folder"),
        ("fifo", "cannot read the study file: it is no file with an end"),
        ("device", "cannot read the study file: it is no file with an end"),
        ("long", "too long a file for a study (allowed: at most 1,048,576 bytes)"),
    ],
)
def test_what_is_no_file_of_a_study_is_refused_in_one_line(
    kind: str, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "study.yaml"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        with path.open("wb") as stream:
            stream.truncate(1 << 40)
    with pytest.raises(UserError) as caught:
        load_study(str(path))
    assert str(caught.value) == f"{path}: {words}"


@pytest.mark.parametrize(
    ("data", "is_needed"),
    [
        ("hub", True),
        ("hub:nyu-mll/glue", True),
        ("hub:mine/glue", False),
        ("hub:./gone", False),
        ("hubble", False),
        ("demo", False),
    ],
)
def test_the_hub_is_asked_only_where_the_data_are_no_folder(
    data: str, is_needed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine" / "glue").mkdir(parents=True)
    (tmp_path / "hubble").mkdir()
    monkeypatch.chdir(tmp_path)
    spec = load_study("quickstart", Overrides(data=data, model="minilm", tasks=["sst2"]))
    assert needs_hub(spec) is is_needed


def test_the_description_says_what_a_command_changed() -> None:
    own = load_study("quickstart")
    assert load_study("quickstart", Overrides(model=own.model, tasks=own.tasks)) == own
    changed = load_study(
        "quickstart",
        Overrides(settings=["training.num_train_epochs=1"], seeds=[1, 2], arms=["full"]),
    )
    assert changed.description == (
        f"{own.description} (changed: seeds: 1, 2; arms: full; training.num_train_epochs: 1)"
    )
    named = load_study("quickstart", Overrides(settings=["description=Mine"], seeds=[1]))
    assert named.description == "Mine"
