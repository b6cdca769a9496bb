"""The space of a search is every method's default, or what a study file says instead."""

from __future__ import annotations

from typing import Any

import pytest

from peftlab.core.errors import UserError
from peftlab.methods.registry import METHODS
from peftlab.study.arms import expand_arms
from peftlab.study.spec import validate
from peftlab.study.tuning.space import Choice, Dimension, Range, space_of

LORA = {"method": "lora"}


def space(arm: dict[str, Any], given: dict[str, Any] | None = None, **keys: Any) -> Any:
    study = {
        "name": "s",
        "model": "minilm",
        "data": "demo",
        "tasks": ["demo-sentiment", "demo-paraphrase"],
        "training": {"num_train_epochs": 5},
        "arms": {"a": arm},
        "tune": {"space": given or {}},
    }
    spec = validate(study | keys, where="s.yaml")
    return space_of(spec, expand_arms(spec)[0], "demo-sentiment")


@pytest.mark.parametrize("method", METHODS.names())
def test_every_method_has_a_logarithmic_range_of_rates_and_epochs_up_to_the_studys(
    method: str,
) -> None:
    found: dict[str, Dimension] = space({"method": method})
    rate, epochs = found["learning_rate"], found["num_train_epochs"]
    assert isinstance(rate, Range)
    assert isinstance(epochs, Range)
    assert rate.log
    assert rate.high >= 10 * rate.low > 0
    assert (epochs.low, epochs.high, epochs.is_whole) == (3, 5, True)


def test_rank_and_dropout_are_searched_where_the_method_has_them_and_the_arm_sets_none() -> None:
    assert set(space(LORA)) == {"learning_rate", "num_train_epochs", "r", "lora_dropout"}
    assert set(space(LORA | {"r": 8, "lora_dropout": 0.0})) == {"learning_rate", "num_train_epochs"}
    assert set(space({"method": "bitfit"})) == {"learning_rate", "num_train_epochs"}


def test_a_swept_setting_is_not_searched() -> None:
    assert "r" not in space(LORA | {"sweep": {"r": [4, 8]}})


def test_epochs_are_not_searched_where_the_steps_are_given() -> None:
    assert "num_train_epochs" not in space(LORA, training={"max_steps": 10})


def test_the_arms_own_space_goes_before_the_studys_and_that_before_the_defaults() -> None:
    found = space(LORA | {"tune": {"r": [2]}}, {"r": [4], "learning_rate": 1e-3})
    assert found["r"] == Choice(values=(2,))
    assert found["learning_rate"] == Choice(values=(1e-3,))


def test_a_setting_of_another_method_in_the_studys_space_is_not_this_arms() -> None:
    arms = {"a": {"method": "full"}, "b": LORA}
    assert "r" not in space({}, {"r": [4]}, arms=arms)


def test_a_range_of_whole_ends_is_whole_for_whole_settings_only() -> None:
    found = space(
        LORA, {"r": {"low": 2, "high": 8, "log": True}, "weight_decay": {"low": 0, "high": 1}}
    )
    assert (found["r"].is_whole, found["weight_decay"].is_whole) == (True, False)


def test_a_value_may_differ_by_task() -> None:
    found = space(
        LORA, {"learning_rate": {"demo-sentiment": [1e-3, 1e-4], "demo-paraphrase": 1e-5}}
    )
    assert found["learning_rate"] == Choice(values=(1e-3, 1e-4))


@pytest.mark.parametrize(
    ("arm", "given", "message"),
    [
        ({}, {"learning_rat": [1]}, "s: tune.space: unknown setting 'learning_rat', did you mean"),
        ({"tune": {"q": [1]}}, {}, "s: arms.a.tune: unknown setting 'q'"),
        ({}, {"r": []}, "s: tune.space.r: an empty list has nothing to try (allowed: a list"),
        ({}, {"r": [0]}, "s: tune.space.r: r = 0 is not valid: it is the rank"),
        ({}, {"r": {"low": 8, "high": 2}}, "s: tune.space.r: low is 8, high 2 (allowed: low <="),
        ({}, {"r": {"low": 8}}, "s: tune.space.r.high: field required"),
        (
            {},
            {"r": {"low": "x", "high": 2}},
            "s: tune.space.r.low: must be a whole number (it is 'x')",
        ),
        ({}, {"r": {"low": 1, "high": 2, "step": 3}}, "s: tune.space.r.step: extra inputs"),
        ({}, {"r": {"low": 1.5, "high": 8.0}}, "s: tune.space.r: r = 1.5 is not valid"),
        ({}, {"learning_rate": {"low": 0, "high": 1, "log": True}}, "cannot begin at 0"),
        (
            {},
            {"learning_rate": {"low": -1.0, "high": 1}},
            "at least 0 (it is -1.0",
        ),
        ({}, {"learning_rate": {"cola": 1}}, "no value for the task 'demo-sentiment'"),
        ({}, {"num_train_epochs": [0]}, "s: tune.space.num_train_epochs: must be greater"),
        ({"sweep": {"r": [2, 4]}}, {"r": [8]}, "s: tune.space.r: 'r' is both swept and searched"),
        ({}, {"r": {"low": float("inf"), "high": 2}}, "s: tune.space.r.low: must be a"),
    ],
)
def test_what_is_wrong_is_one_line_that_says_where(
    arm: dict[str, Any], given: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError) as caught:
        space(LORA | arm, given)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("tune", "message"),
    [
        ({"budget": {"trials": 0}}, "tune.budget.trials: must be greater than 0"),
        ({"budget": {}}, "tune.budget: a budget is either trials or seconds"),
        ({"budget": {"trials": 1, "seconds": 1}}, "tune.budget: a budget is either"),
        ({"budget": {"trails": 1}}, "tune.budget: unknown key 'trails', did you mean 'trials'?"),
        ({"seeds": [1, 1]}, "tune.seeds: a seed appears twice"),
        ({"pruning": "median"}, "tune.pruning: must be 'hyperband', 'halving' or 'none'"),
        ({"spaces": {}}, "tune: unknown key 'spaces', did you mean 'space'?"),
    ],
)
def test_a_tune_block_that_is_wrong_is_one_line(tune: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        space(LORA, tune=tune)
    assert f"s.yaml: {message}" in str(caught.value)
