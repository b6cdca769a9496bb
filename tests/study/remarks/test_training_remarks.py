"""Lint remarks on training settings that change nothing, or that cannot be honoured."""

from __future__ import annotations

from typing import Any

import pytest

from peftlab.study.remarks.finding import Finding
from tests.study.remarks.test_lint import SOUND, findings

HELD_OUT = {"selection": {"split": "train", "fraction": 0.1}}


def of_training(**settings: Any) -> list[Finding]:
    """Return only the findings on early stopping, evaluations and layers."""
    found = findings(training={**SOUND["training"], **settings}, **HELD_OUT)
    return [one for one in found if one.rule in ("no-effect", "layers")]


def test_steps_between_evaluations_have_no_effect_where_they_are_at_the_ends_of_epochs() -> None:
    (finding,) = of_training(eval_strategy="epoch", eval_steps=50)
    assert finding.where == "training.eval_steps on cola, mrpc (full, bitfit, lora)"
    assert of_training(eval_strategy="steps", eval_steps=50) == []


def odd(**settings: Any) -> list[Finding]:
    found = findings(training={**SOUND["training"], **settings}, **HELD_OUT)
    return [one for one in found if one.rule == "odd-setting"]


def test_evaluations_that_lie_behind_the_end_are_remarked_on() -> None:
    found = odd(eval_strategy="steps", eval_steps=10**9)
    assert [one.where for one in found] == [
        f"training.eval_steps on {task} (full, bitfit, lora)" for task in ("cola", "mrpc")
    ]
    assert "1,000,000,000 steps are more than the training has (" in found[0].message
    assert "there is one evaluation, at its end" in found[0].message
    assert odd(eval_strategy="steps", eval_steps=50) == []
    assert odd(eval_strategy="steps", eval_steps=0.9) == []


def test_a_class_whose_weight_is_0_is_remarked_on() -> None:
    (finding,) = odd(class_weights={"cola": {"acceptable": 0}, "mrpc": "balanced"})
    assert finding.where == "training.class_weights on cola (full, bitfit, lora)"
    assert finding.message == "the class 'acceptable' is not trained: its weight is 0"
    assert odd(class_weights={"cola": {"acceptable": 0.1}, "mrpc": "balanced"}) == []


def test_a_threshold_has_no_effect_without_patience() -> None:
    (finding,) = of_training(early_stopping_threshold=0.5, num_train_epochs=5)
    assert finding.where == "training.early_stopping_threshold on cola, mrpc (full, bitfit, lora)"
    assert "early_stopping_patience" in finding.message
    kept = {"early_stopping_patience": 1, "early_stopping_threshold": 0.5}
    assert of_training(**kept, num_train_epochs=5) == []


def test_patience_beyond_the_evaluations_has_no_effect() -> None:
    assert of_training(early_stopping_patience=3, num_train_epochs=5) == []
    (finding,) = of_training(early_stopping_patience=4, num_train_epochs=5)
    assert finding.where == "training.early_stopping_patience on cola, mrpc (full, bitfit, lora)"
    assert "the training is over" in finding.message


@pytest.mark.parametrize("method", ["head", "prompt"])
def test_rates_by_layer_have_no_effect_where_no_layer_trains(method: str) -> None:
    arms = {
        "full": {"method": "full", "training": {"learning_rate": 2e-5}},
        "other": {"method": method},
        "lora": {"method": "lora"},
    }
    training = {**SOUND["training"], "layerwise_lr_decay": 0.9}
    (finding,) = [one for one in findings(arms=arms, training=training) if one.rule == "no-effect"]
    assert finding.where == "training.layerwise_lr_decay on cola, mrpc (other)"
    assert f"{method} trains nothing below the last layer" in finding.message
    assert not [one for one in findings(arms=arms) if one.rule == "no-effect"]


def test_rates_by_layer_of_a_model_without_layers_in_order_are_an_error() -> None:
    training = {**SOUND["training"], "layerwise_lr_decay": 0.9}
    found = findings(
        model="albert/albert-base-v2", training=training, arms={"bitfit": {"method": "bitfit"}}
    )
    (finding,) = [one for one in found if one.rule == "layers"]
    assert finding.level == "error"
    assert "albert has no layers one above another" in finding.message
