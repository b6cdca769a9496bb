"""Checkpoints of every family train, are saved, and predict the same when they are loaded again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from peftlab.core.trial import Trial
from peftlab.data.demo.source import DemoSource
from peftlab.data.predictions import read_predictions
from peftlab.engine.classifier import build_classifier
from peftlab.engine.dataset import TrialData
from peftlab.engine.evaluate import predict_logits
from peftlab.engine.predict import Predictor
from peftlab.engine.prepare import check_ids
from peftlab.methods.parameters import count_parameters
from peftlab.models.checkpoints import load_model, load_tokenizer
from peftlab.models.families import FAMILIES
from peftlab.models.family import Pooling, Way
from peftlab.store.records import TrialRecord
from peftlab.study.checks import num_positions
from peftlab.tasks.registry import TASKS
from tests.engine.running import run_alone, train
from tests.models.tiny import write_tiny_checkpoint

MakeTrial = Callable[..., Trial]
PACKED = [family.model_type for family in FAMILIES if family.way is not Way.PADDED]
DECODERS = [name for name in PACKED if FAMILIES.get(name).pooling is Pooling.LAST]
SHORT = {"max_length": 20, "rows": 12, "max_steps": 3, "per_device_train_batch_size": 4}


@pytest.fixture(scope="session")
def checkpoint_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Return the folder of a family's tiny checkpoint."""
    made: dict[str, str] = {}

    def checkpoint(name: str) -> str:
        if name not in made:
            made[name] = write_tiny_checkpoint(tmp_path_factory.mktemp("family") / name, name)
        return made[name]

    return checkpoint


@pytest.mark.parametrize("name", FAMILIES.names())
def test_a_family_trains_and_predicts_when_loaded_what_it_recorded(
    name: str, checkpoint_of: Callable[[str], str], make_trial: MakeTrial, tmp_path: Path
) -> None:
    """The bits are the same, with LoRA on its default modules."""
    trial = make_trial(
        model=checkpoint_of(name), method="lora", per_device_eval_batch_size=32, **SHORT
    )
    outcome = run_alone(trial, tmp_path / "trial")
    assert outcome.costs.path.startswith(FAMILIES.get(name).way)
    assert FAMILIES.get(name).why_padded in outcome.costs.path
    record = TrialRecord(trial=trial, status="done", arms={}, folder=tmp_path / "trial")
    rows = [row.texts for row in DemoSource().examples(TASKS.get(trial.task), "dev")]
    predictor = Predictor(device="cpu")
    logits = predictor.logits(record, rows[:24])
    recorded = read_predictions(tmp_path / "trial" / "predictions.parquet").logits
    assert np.array_equal(logits, recorded)
    alone = [predictor.logits(record, [row])[0] for row in rows[:6]]
    np.testing.assert_allclose(alone, recorded[:6], rtol=1e-4, atol=1e-4)
    assert len({tuple(row) for row in logits.tolist()}) > 1
    counted = count_parameters(trial.model.name, "lora", trial.method_config)
    assert counted == outcome.costs.parameters


@pytest.mark.parametrize("name", PACKED)
def test_full_fine_tuning_takes_the_steps_of_its_padded_twin(
    name: str,
    checkpoint_of: Callable[[str], str],
    make_trial: MakeTrial,
    data_of: Callable[[Trial], TrialData],
) -> None:
    """This includes the rows of the word embedding that are not in use."""
    logits, tables = {}, {}
    for engine in ("packed", "padded"):
        trial = make_trial(model=checkpoint_of(name), engine=engine, learning_rate=1e-3, **SHORT)
        data = data_of(trial)
        base = load_model(trial.model.name, num_labels=2, seed=1)
        before = base.get_input_embeddings().weight.detach().clone()
        classifier = build_classifier(engine, base, base, torch.device("cpu"))
        train(classifier, trial, data)
        with classifier.active():
            logits[engine] = predict_logits(classifier, data.dev, batch_size=8)
        tables[engine] = base.get_input_embeddings().weight.detach()
    np.testing.assert_allclose(logits["packed"], logits["padded"], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(tables["packed"], tables["padded"], rtol=1e-3, atol=2e-4)
    assert not torch.equal(tables["packed"], before)


@pytest.mark.parametrize("name", DECODERS)
def test_a_decoder_is_padded_by_its_end_of_text_and_reads_a_row_without_text(
    name: str, checkpoint_of: Callable[[str], str]
) -> None:
    tokenizer = load_tokenizer(checkpoint_of(name))
    model = load_model(checkpoint_of(name), num_labels=2, seed=0)
    pad_id = tokenizer.pad_id
    assert model.config.pad_token_id == pad_id
    if name != "qwen2":  # whose tokenizer brings a token for padding
        assert tokenizer.tokenizer.pad_token == tokenizer.tokenizer.eos_token
    first, empty = tokenizer([("the", "not"), ("", "")], 8).ids
    assert first == tokenizer([("the",)], 8).ids[0] + tokenizer([("not",)], 8).ids[0]
    assert empty == [pad_id]


def test_a_row_can_be_as_long_as_the_config_says(checkpoint_of: Callable[[str], str]) -> None:
    without_end = {"deberta", "deberta-v2", "funnel", "xlnet"}
    for family in FAMILIES:
        name = family.model_type
        expected = None if name in without_end else 40 - 2 * family.positions_after_padding
        assert num_positions(checkpoint_of(name)) == expected, name


def test_token_types_that_the_model_does_not_know_are_left_out(
    checkpoint_of: Callable[[str], str],
    make_trial: MakeTrial,
    data_of: Callable[[Trial], TrialData],
) -> None:
    """DeBERTa's own tokenizer gives them to a model that has no embeddings for types."""
    folder = checkpoint_of("deberta-v2")
    trial = make_trial(model=folder, task="demo-paraphrase", **SHORT)
    tokenizer = load_tokenizer(folder)
    tokenizer.tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    data = data_of(trial)
    tokenizer.tokenizer.model_input_names = ["input_ids", "attention_mask"]
    assert data.train.type_ids is not None
    base = load_model(folder, num_labels=2, seed=0)
    check_ids(data.train, base, where="")
    classifier = build_classifier("packed", base, base, torch.device("cpu"))
    with classifier.active():
        assert predict_logits(classifier, data.dev, batch_size=8).shape == (24, 2)


@pytest.mark.parametrize("name", ["gpt2", "llama", "xlnet", "deberta-v2", "modernbert"])
def test_the_trainer_predicts_what_the_padded_engine_does(
    name: str, checkpoint_of: Callable[[str], str], make_trial: MakeTrial, tmp_path: Path
) -> None:
    """Transformers pads by its own collator, and finds a decoder's last token by its padding."""
    found = {}
    for engine in ("trainer", "padded"):
        trial = make_trial(model=checkpoint_of(name), engine=engine, learning_rate=1e-3, **SHORT)
        run_alone(trial, tmp_path / engine)
        found[engine] = read_predictions(tmp_path / engine / "predictions.parquet").logits
    np.testing.assert_allclose(found["trainer"], found["padded"], rtol=1e-3, atol=1e-3)
