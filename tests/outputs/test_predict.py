"""New text is classified as the trained trial would, one row or many, packed or padded."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from peftlab.core.errors import UserError
from peftlab.data.demo.source import DemoSource
from peftlab.data.predictions import read_predictions
from peftlab.engine.predict import Predictor
from peftlab.models.checkpoints import load_model, load_tokenizer
from peftlab.outputs.export import export
from peftlab.outputs.predict import predict_texts, predictions_from
from peftlab.store.records import MODEL_FOLDER, TrialRecord
from peftlab.store.workspace import Workspace
from peftlab.tasks.registry import TASKS

CHOSEN = [
    (arm, task)
    for arm in ("full", "bitfit", "lora-r4")
    for task in ("demo-sentiment", "demo-paraphrase")
]


def find(workspace: Path, arm: str, task: str) -> TrialRecord:
    with Workspace.open(workspace, create=False) as opened:
        return next(
            record
            for record in opened.trials()
            if record.trial.task == task and arm in record.arms["small-study"]
        )


def dev_rows(task: str, number: int = 24) -> list[tuple[str, ...]]:
    return [example.texts for example in DemoSource().examples(TASKS.get(task), "dev")[:number]]


@pytest.mark.parametrize(("arm", "task"), CHOSEN)
def test_the_logits_of_dev_rows_are_those_that_were_stored(
    arm: str, task: str, finished_workspace: Path
) -> None:
    record = find(finished_workspace, arm, task)
    assert record.predictions_path is not None
    stored = read_predictions(record.predictions_path).logits
    np.testing.assert_allclose(Predictor().logits(record, dev_rows(task)), stored, atol=1e-5)
    assert np.ptp(stored, axis=0).min() > 1e-2, "rows too alike to tell them apart"


@pytest.mark.parametrize(("arm", "task"), CHOSEN)
def test_packed_predictions_equal_padded_ones(
    arm: str, task: str, finished_workspace: Path
) -> None:
    record = find(finished_workspace, arm, task)
    padded = replace(record, trial=record.trial.model_copy(update={"engine": "padded"}))
    rows = dev_rows(task)
    packed_logits = Predictor().logits(record, rows)
    padded_logits = Predictor().logits(padded, rows)
    assert record.trial.engine == "packed"
    np.testing.assert_allclose(packed_logits, padded_logits, atol=1e-5)


def test_a_row_is_judged_alike_whatever_stands_beside_it(finished_workspace: Path) -> None:
    record = find(finished_workspace, "lora-r2", "demo-paraphrase")
    rows = dev_rows("demo-paraphrase", 6)
    together = Predictor().logits(record, rows)
    alone = np.concatenate([Predictor(batch_size=1).logits(record, [row]) for row in rows])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    turned = Predictor(batch_size=2).logits(record, rows[::-1])[::-1]
    np.testing.assert_allclose(together, turned, atol=1e-5)


def test_the_trained_tensors_are_used_and_not_the_checkpoint_alone(
    finished_workspace: Path,
) -> None:
    record = find(finished_workspace, "full", "demo-sentiment")
    rows = dev_rows("demo-sentiment", 4)
    model = load_model(record.trial.model.name, num_labels=2, seed=0)
    batch = load_tokenizer(record.trial.model.name).tokenizer(
        [text for (text,) in rows], padding=True, return_tensors="pt"
    )
    untrained = model(**batch).logits.detach().numpy()
    assert np.abs(Predictor().logits(record, rows) - untrained).max() > 1e-2


def test_labels_and_probabilities_follow_from_the_logits(finished_workspace: Path) -> None:
    record = find(finished_workspace, "bitfit", "demo-paraphrase")
    rows = dev_rows("demo-paraphrase", 8)
    logits = Predictor().logits(record, rows).astype(np.float64)
    for row, found in zip(logits, predict_texts(record, rows), strict=True):
        by_hand = np.exp(row) / np.exp(row).sum()
        assert list(found.probabilities) == ["not_equivalent", "equivalent"]
        np.testing.assert_allclose(list(found.probabilities.values()), by_hand, atol=1e-6)
        assert sum(found.probabilities.values()) == pytest.approx(1, abs=1e-12)
        assert found.label == ("equivalent" if row[1] > row[0] else "not_equivalent")


def test_no_rows_have_no_predictions(finished_workspace: Path) -> None:
    assert predict_texts(find(finished_workspace, "full", "demo-sentiment"), []) == []


def test_a_regression_gives_its_score_and_several_labels_are_judged_apart() -> None:
    logits = np.array([[2.0, -1.0], [-3.0, -1.0]], dtype=np.float32)
    several = replace(
        TASKS.get("demo-sentiment"), problem_type="multi_label_classification", labels=("x", "y")
    )
    first, second = predictions_from(several, logits)
    assert (first.value, first.labels, first.label) == ((1, 0), ("x",), "x")
    assert (second.value, second.labels, second.label) == ((0, 0), (), "")
    assert first.probabilities == pytest.approx(
        {"x": 1 / (1 + np.exp(-2)), "y": 1 / (1 + np.exp(1))}
    )
    scored = replace(several, problem_type="regression", labels=())
    (found,) = predictions_from(scored, logits[:1, :1])
    assert (found.value, found.labels, dict(found.probabilities)) == (2.0, (), {})


@pytest.mark.parametrize("status", ["pending", "running", "failed"])
def test_a_trial_without_a_model_is_refused(status: str, finished_workspace: Path) -> None:
    record = find(finished_workspace, "full", "demo-sentiment")
    without = replace(record, status=status)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=f"{record.trial.id} has no saved model: it is {status}"):
        predict_texts(without, [("a",)])


def test_a_row_with_the_wrong_number_of_texts_is_named(finished_workspace: Path) -> None:
    record = find(finished_workspace, "full", "demo-paraphrase")
    with pytest.raises(UserError, match=r"^row 2: .* has 2 texts, this one has 1"):
        predict_texts(record, [("a", "b"), ("a",)])


def test_a_model_folder_that_was_damaged_is_refused_in_one_line(
    finished_workspace: Path, tmp_path: Path
) -> None:
    (tmp_path / MODEL_FOLDER).mkdir()
    for arm in ("full", "lora-r2"):
        record = replace(find(finished_workspace, arm, "demo-sentiment"), folder=tmp_path)
        with pytest.raises(UserError) as caught:
            predict_texts(record, [("a",)])
        assert str(tmp_path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_model_of_damaged_numbers_gives_no_prediction(
    finished_workspace: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    record = find(finished_workspace, "full", "demo-sentiment")
    assert record.model_path is not None
    model = Path(shutil.copytree(record.model_path, tmp_path / MODEL_FOLDER))
    tensors = load_file(model / "changed.safetensors")
    save_file({**tensors, "classifier.bias": tensors["classifier.bias"] * float("nan")},
              model / "changed.safetensors")  # fmt: skip
    with pytest.raises(UserError, match="it is damaged"):
        predict_texts(replace(record, folder=tmp_path), [("a",)])
    assert record.costs is not None
    older = replace(record, folder=tmp_path, costs=replace(record.costs, model_sha256=None))
    with pytest.raises(UserError, match="the trained model gives numbers that are not finite"):
        predict_texts(older, [("a",)])
    del tensors["classifier.bias"]
    save_file(tensors, model / "changed.safetensors")
    with pytest.raises(UserError, match=r"the parameter 'classifier.bias' is missing$"):
        predict_texts(replace(record, folder=tmp_path), [("a",)])


def test_the_model_of_another_trial_of_the_same_kind_is_refused(
    finished_workspace: Path, tmp_path: Path
) -> None:
    with Workspace.open(finished_workspace, create=False) as opened:
        first, second = [
            record
            for record in opened.trials("small-study")
            if record.trial.task == "demo-sentiment" and "full" in record.arms["small-study"]
        ][:2]
    assert second.model_path is not None
    shutil.copytree(second.model_path, tmp_path / MODEL_FOLDER)
    swapped = replace(first, folder=tmp_path)
    with pytest.raises(UserError, match=f"not the model that the trial {first.trial.id} has saved"):
        predict_texts(swapped, [("a",)])
    with pytest.raises(UserError, match=f"not the model that the trial {first.trial.id} has saved"):
        export(swapped, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"megatron_config": {"a": 1}, "megatron_core": "evil"}, "megatron_config is not used"),
        ({"auto_mapping": {"parent_library": "evil"}}, "auto_mapping is not used here"),
        ({"peft_type": "IA3"}, r"not an adapter of this method \(allowed: LORA\)"),
        ({"r": "many"}, "r = 'many' is not valid"),
        ({"target_modules": ["nowhere"]}, "cannot load the adapter"),
    ],
)
def test_an_adapter_whose_config_asks_for_something_else_is_refused(
    change: dict, words: str, finished_workspace: Path, tmp_path: Path
) -> None:
    record = find(finished_workspace, "lora-r2", "demo-sentiment")
    assert record.model_path is not None
    model = Path(shutil.copytree(record.model_path, tmp_path / MODEL_FOLDER))
    config = json.loads((model / "adapter_config.json").read_text())
    (model / "adapter_config.json").write_text(json.dumps(config | change))
    with pytest.raises(UserError, match=words):
        predict_texts(replace(record, folder=tmp_path), [("a",)])


def test_an_adapter_that_is_only_there_as_a_pickle_is_refused(
    finished_workspace: Path, tmp_path: Path
) -> None:
    record = find(finished_workspace, "lora-r2", "demo-sentiment")
    assert record.model_path is not None
    model = Path(shutil.copytree(record.model_path, tmp_path / MODEL_FOLDER))
    (model / "adapter_model.safetensors").rename(model / "adapter_model.bin")
    with pytest.raises(UserError, match=r"adapter_model.safetensors is missing"):
        predict_texts(replace(record, folder=tmp_path), [("a",)])
