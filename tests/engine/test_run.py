"""A trial goes from its description to its artifacts in every engine, and is read back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from peftlab.api.study import Study
from peftlab.core.errors import UserError
from peftlab.core.files import ASIDE, folder_sha256
from peftlab.core.identity import file_sha256
from peftlab.core.trial import Trial
from peftlab.data.predictions import read_predictions
from peftlab.engine import trainer
from peftlab.engine.base import Trained, TrialRun
from peftlab.engine.classifier import build_classifier
from peftlab.engine.evaluate import predictor
from peftlab.engine.events import Began, Evaluated, Finished
from peftlab.engine.prepare import Prepared
from peftlab.engine.registry import ENGINES, EngineEntry
from peftlab.engine.tally import Tally, record_evaluation
from peftlab.methods.registry import METHODS
from peftlab.models.checkpoints import load_model
from peftlab.models.flops import EncoderShape, step_flops
from tests.engine.running import run_alone
from tests.toy_study import toy_study

PATHS = {
    "packed": "packed, fused blocks, compiled kernels",
    "padded": "padded",
    "trainer": "transformers.Trainer",
}
MakeTrial = Callable[..., Trial]


def run(trial: Trial, folder: Path) -> Finished:
    return run_alone(trial, folder / "artifacts")


def test_a_method_that_cannot_be_packed_is_padded_and_the_record_says_why(
    make_trial: MakeTrial, tmp_path: Path
) -> None:
    trial = make_trial(
        method="prompt", settings={"num_virtual_tokens": 2}, rows=16, num_train_epochs=1
    )
    costs = run(trial, tmp_path).costs
    assert costs.path == "padded: virtual tokens stand before each example"
    assert costs.padding_avoided == 0
    assert costs.parameters.head == costs.parameters.trainable - costs.parameters.adapter


@pytest.mark.parametrize("engine", ENGINES.names())
def test_every_engine_saves_a_model_that_predicts_what_it_recorded(
    engine: str, make_trial: MakeTrial, tmp_path: Path
) -> None:
    trial = make_trial(method="lora", engine=engine, rows=16, num_train_epochs=1)
    outcome = run(trial, tmp_path)
    recorded = read_predictions(tmp_path / "artifacts" / "predictions.parquet")
    assert len(recorded.logits) == 24
    base = load_model(trial.model.name, num_labels=2, seed=0)
    module = METHODS.get("lora").load(base, tmp_path / "artifacts" / "model")

    from peftlab.engine.classifier import build_classifier
    from peftlab.engine.dataset import load_data
    from peftlab.engine.evaluate import predict_logits
    from peftlab.models.checkpoints import load_tokenizer

    data = load_data(trial, load_tokenizer(trial.model.name), tmp_path / "cache")
    classifier = build_classifier("padded", module, base, torch.device("cpu"))
    logits = predict_logits(classifier, data.dev, batch_size=8)
    np.testing.assert_allclose(logits, recorded.logits, rtol=1e-4, atol=1e-5)

    costs = outcome.costs
    assert (outcome.num_train_examples, outcome.num_eval_examples) == (16, 24)
    assert costs.parameters.trainable == costs.parameters.adapter + costs.parameters.head
    assert costs.train_seconds > 0
    assert costs.predictions_sha256 == file_sha256(tmp_path / "artifacts" / "predictions.parquet")
    assert costs.model_sha256 == folder_sha256(tmp_path / "artifacts" / "model")
    assert costs.train_examples_per_second == pytest.approx(16 / costs.train_seconds)
    assert costs.threads == torch.get_num_threads()
    assert (costs.padding_avoided > 0) == (engine == "packed")
    assert costs.path == PATHS[engine]
    assert costs.train_flops == pytest.approx(
        step_flops(
            EncoderShape.of(base.config),
            data.train.lengths.tolist(),
            trains_weights=False,
            trains_embeddings=False,
        )
    )
    assert costs.inference_seconds_per_example is not None
    assert 0 < costs.inference_seconds_per_example * 24 < costs.eval_seconds
    assert costs.artifact_bytes == sum(
        file.stat().st_size for file in (tmp_path / "artifacts" / "model").iterdir()
    )


@pytest.mark.parametrize("engine", ENGINES.names())
def test_a_method_that_mixes_the_rows_of_a_batch_predicts_what_it_recorded(
    engine: str, make_trial: MakeTrial, tmp_path: Path
) -> None:
    """Other rows in the batch do not matter, although Lily's routers average over a batch."""
    from peftlab.data.demo.source import DemoSource
    from peftlab.engine.predict import Predictor
    from peftlab.store.records import TrialRecord
    from peftlab.tasks.registry import TASKS

    trial = make_trial(
        method="lily", engine=engine, rows=16, num_train_epochs=1, learning_rate=0.05
    )
    run(trial, tmp_path)
    recorded = read_predictions(tmp_path / "artifacts" / "predictions.parquet").logits
    record = TrialRecord(trial=trial, status="done", arms={}, folder=tmp_path / "artifacts")
    rows = [row.texts for row in DemoSource().examples(TASKS.get(trial.task), "dev")][:24]
    predictor = Predictor(device="cpu")
    for chosen in ([0], [3, 1, 2], [*range(23, 5, -1)]):
        found = predictor.logits(record, [rows[row] for row in chosen])
        np.testing.assert_allclose(found, recorded[chosen], rtol=1e-5, atol=1e-6)


def test_a_lora_trial_is_a_peft_adapter_that_peft_loads_to_the_same_logits(
    make_trial: MakeTrial, tmp_path: Path
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification

    trial = make_trial(method="lora", rows=16, num_train_epochs=1)
    run(trial, tmp_path)
    folder = tmp_path / "artifacts" / "model"
    assert {file.name for file in folder.iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    theirs = PeftModel.from_pretrained(
        AutoModelForSequenceClassification.from_pretrained(trial.model.name), str(folder)
    ).eval()
    ours = METHODS.get("lora").load(load_model(trial.model.name, num_labels=2, seed=9), folder)
    ids = torch.tensor([[2, 10, 11, 12, 3]])
    with torch.no_grad():
        assert torch.equal(theirs(input_ids=ids).logits, ours(input_ids=ids).logits)


def test_a_trial_of_cached_layers_says_so_and_predicts_what_it_recorded(
    make_trial: MakeTrial, tmp_path: Path
) -> None:
    from peftlab.data.demo.source import DemoSource
    from peftlab.engine.predict import Predictor
    from peftlab.store.records import TrialRecord
    from peftlab.tasks.registry import TASKS

    trial = make_trial(method="head", cache_frozen=True, rows=16, num_train_epochs=1)
    costs = run(trial, tmp_path).costs
    assert costs.path == f"{PATHS['packed']}, eval-mode prefix of 2 layers"
    assert costs.cached_layers == 2
    assert 0 < costs.caching_seconds < costs.total_seconds
    assert (costs.train_flops, costs.inference_seconds_per_example) == (None, None)
    assert len(list((tmp_path / "cache" / "frozen").iterdir())) == 2, "train and dev"
    recorded = read_predictions(tmp_path / "artifacts" / "predictions.parquet")
    record = TrialRecord(trial=trial, status="done", arms={}, folder=tmp_path / "artifacts")
    rows = [row.texts for row in DemoSource().examples(TASKS.get(trial.task), "dev")[:24]]
    logits = Predictor(device="cpu").logits(record, rows)
    np.testing.assert_allclose(logits, recorded.logits, rtol=1e-4, atol=1e-5)


def test_a_trial_with_nothing_to_cache_runs_as_usual_and_says_so(
    make_trial: MakeTrial, tmp_path: Path
) -> None:
    keys = {"method": "bitfit", "rows": 16, "num_train_epochs": 1}
    usual = run(make_trial(**keys), tmp_path / "usual")
    asked = run(make_trial(**keys, cache_frozen=True), tmp_path / "asked")
    assert usual.costs.path == PATHS["packed"]
    assert asked.costs.path == f"{PATHS['packed']}, nothing frozen to cache"
    assert (asked.costs.cached_layers, asked.costs.caching_seconds) == (0, 0)
    assert not (tmp_path / "asked" / "cache" / "frozen").exists()
    files = [tmp_path / name / "artifacts" / "predictions.parquet" for name in ("usual", "asked")]
    first, second = (read_predictions(file) for file in files)
    assert np.array_equal(first.logits, second.logits)


def test_rows_that_changed_since_the_plan_are_refused(
    make_trial: MakeTrial, tmp_path: Path
) -> None:
    trial = make_trial()
    stale = trial.model_copy(update={"data": trial.data.model_copy(update={"digest": "0" * 64})})
    with pytest.raises(UserError, match="have changed since the trial"):
        run(stale, tmp_path)


def test_what_a_killed_attempt_left_half_written_goes(
    make_trial: MakeTrial, tmp_path: Path
) -> None:
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / ".writing-1234").write_bytes(b"half")
    run(make_trial(method="head", rows=16, num_train_epochs=1), tmp_path)
    assert not list((tmp_path / "artifacts").glob(".*"))


def test_the_trainers_own_folder_is_where_a_killed_attempt_is_tidied_up(
    make_trial: MakeTrial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders: list[Path] = []
    arguments = trainer._arguments

    def noting(trial: Trial, module: Any, folder: str, *more: Any) -> Any:
        folders.append(Path(folder))
        return arguments(trial, module, folder, *more)

    monkeypatch.setattr(trainer, "_arguments", noting)
    run(make_trial(method="head", rows=16, num_train_epochs=1, engine="trainer"), tmp_path)
    (folder,) = folders
    assert folder.parent == tmp_path / "artifacts"
    assert folder.name.startswith(ASIDE)


class Still:
    """A toy engine, which evaluates but trains nothing."""

    def train(self, prepared: Prepared, run: TrialRun) -> Trained:
        classifier = build_classifier("padded", prepared.module, prepared.base, run.device.torch)
        tally = Tally()
        run.tell(Began(trial_id=run.trial.id, total_steps=0, steps_per_epoch=1))
        with run.energy, classifier.active():
            predict = predictor(classifier, run.trial)
            predictions = record_evaluation(tally, run.trial, prepared.data, predict)
            run.best.offer(tally.evaluations, predictions, prepared.module)
        run.tell(Evaluated(trial_id=run.trial.id, evaluation=tally.evaluations[-1]))
        return Trained(tally=tally, path="still", pads=True)


def test_a_new_engine_is_one_class_and_its_entry(make_trial: MakeTrial, tmp_path: Path) -> None:
    told: list[Any] = []
    with ENGINES.temporarily("still", EngineEntry(words="a toy", load=Still)):
        trial = make_trial(engine="still", rows=16)
        outcome = run_alone(trial, tmp_path / "artifacts", tell=told.append)
    assert outcome.costs.path == "still"
    assert [event.event for event in told] == ["began", "evaluated"]
    assert (tmp_path / "artifacts" / "model").is_dir()
    assert len(read_predictions(tmp_path / "artifacts" / "predictions.parquet").logits) == 24


def test_a_study_runs_by_a_new_engine(tiny_checkpoint: Path, tmp_path: Path) -> None:
    given = toy_study(tiny_checkpoint)
    with ENGINES.temporarily("still", EngineEntry(words="a toy", load=Still)):
        study = Study.from_dict(given, workspace=tmp_path, engine="still")
        (trial,) = study.run(progress=False)
    assert trial.status == "done"
    assert trial.record.costs is not None
    assert trial.record.costs.path == "still"
