"""A trial's model is the same when it is trained, when it predicts and when it is exported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from peftlab.core.errors import UserError
from peftlab.core.trial import Trial
from peftlab.engine.classifier import build_classifier
from peftlab.engine.devices.processor import Processor
from peftlab.engine.evaluate import predict_logits
from peftlab.engine.predict import Predictor
from peftlab.engine.prepare import prepare
from peftlab.engine.registry import ENGINES
from peftlab.outputs.export import export
from peftlab.store.records import TrialRecord
from tests.models.tiny import write_pair

CPU = Processor("cpu")


@pytest.mark.parametrize("engine", ENGINES.names())
def test_every_engine_begins_with_the_head_of_a_pretrained_checkpoint(
    engine: str, make_trial: Callable[..., Trial], tmp_path: Path
) -> None:
    models = [
        prepare(
            make_trial(engine=engine, model=str(folder), max_length=40),
            cache=tmp_path / "cache",
            device=CPU,
        ).base
        for folder in write_pair(tmp_path, "distilbert", ["positive", "negative"])
    ]
    pretrained, classifier = (dict(model.named_parameters()) for model in models)
    assert pretrained.keys() == classifier.keys()
    assert all(torch.equal(pretrained[name], classifier[name]) for name in pretrained)


@pytest.mark.parametrize("head", ["fresh", "keep"])
def test_a_layer_of_the_head_that_is_not_saved_is_that_of_training_when_it_predicts(
    head: str, make_trial: Callable[..., Trial], tmp_path: Path
) -> None:
    _, classifier = write_pair(tmp_path, "distilbert", ["positive", "negative"])
    trial = make_trial(
        method="lora", settings={"modules_to_save": ["classifier"]}, engine="padded",
        model=str(classifier), max_length=40,
    ).model_copy(update={"head": head})  # fmt: skip
    prepared = prepare(trial, cache=tmp_path / "cache", device=CPU)
    prepared.method.save(prepared.module.eval(), tmp_path / "model")
    record = TrialRecord(trial=trial, status="done", arms={}, folder=tmp_path)
    found = Predictor(device="cpu").logits(record, [("the film was never dull",)])
    source = prepared.tokenizer([("the film was never dull",)], 40)
    ids = torch.tensor(source.ids)
    with torch.no_grad():
        expected = prepared.module(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5, atol=1e-6)
    made = export(record, tmp_path / "out", merge=True)
    from transformers import AutoModelForSequenceClassification

    merged = AutoModelForSequenceClassification.from_pretrained(made.folder)
    with torch.no_grad():
        given = merged(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    np.testing.assert_allclose(given.numpy(), found, rtol=1e-4, atol=1e-4)
    assert merged.config.id2label == {0: "negative", 1: "positive"}


def test_a_kept_head_gives_the_checkpoint_s_own_answers_in_the_task_s_order(
    make_trial: Callable[..., Trial], tmp_path: Path
) -> None:
    from transformers import AutoModelForSequenceClassification

    _, classifier = write_pair(tmp_path, "roberta", ["Positive", "Negative"])
    trial = make_trial(engine="padded", model=str(classifier), max_length=38)
    trial = trial.model_copy(update={"head": "keep"})
    prepared = prepare(trial, cache=tmp_path / "cache", device=CPU)
    rows = prepared.data.dev
    mine = build_classifier("padded", prepared.module, prepared.base, CPU.torch)
    found = predict_logits(mine, rows, batch_size=8)
    plain = AutoModelForSequenceClassification.from_pretrained(classifier)
    theirs = build_classifier("padded", plain, plain, CPU.torch)
    np.testing.assert_array_equal(found, predict_logits(theirs, rows, batch_size=8)[:, [1, 0]])


def test_a_moved_checkpoint_predicts_and_exports_from_its_new_place(
    make_trial: Callable[..., Trial], tmp_path: Path
) -> None:
    trial = make_trial(method="head", engine="padded", max_length=40)
    prepared = prepare(trial, cache=tmp_path / "cache", device=CPU)
    prepared.method.save(prepared.module, tmp_path / "model")
    record = TrialRecord(trial=trial, status="done", arms={}, folder=tmp_path)
    rows = [("the film was never dull",)]
    expected = Predictor(device="cpu").logits(record, rows)
    gone = trial.model.model_copy(update={"name": "/was/here/once"})
    moved = replace(record, trial=trial.model_copy(update={"model": gone}))
    out = tmp_path / "out"
    for use in (lambda: Predictor(device="cpu").logits(moved, rows), lambda: export(moved, out)):
        with pytest.raises(UserError, match="'/was/here/once' no longer exists"):
            use()
        assert not out.exists()
    places = [str(Path(trial.model.name).parent)]
    found = Predictor(device="cpu", places=places).logits(moved, rows)
    np.testing.assert_array_equal(found, expected)
    assert "model.safetensors" in export(moved, out, places=places).files
