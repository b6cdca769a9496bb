"""The arms of a study are made: sweeps are expanded, settings resolved, names chosen."""

from __future__ import annotations

import pytest

from peftlab.core.errors import UnknownNameError
from peftlab.core.training import TrainingSettings
from peftlab.methods.registry import METHODS
from peftlab.study.arms import expand_arms, select_arms
from tests.study.made_studies import arm, complaint, study


def test_a_value_may_differ_by_task_in_the_study_and_in_an_arm() -> None:
    spec = study(
        training={"learning_rate": {"demo-sentiment": 1e-3, "demo-paraphrase": 2e-3}},
        arms={
            "full": {
                "method": "full",
                "training": {"num_train_epochs": {"demo-sentiment": 1, "demo-paraphrase": 4}},
            },
        },
    )
    (only,) = expand_arms(spec)
    assert only.training["demo-sentiment"].learning_rate == 1e-3
    assert only.training["demo-paraphrase"].learning_rate == 2e-3
    assert only.training["demo-sentiment"].num_train_epochs == 1
    assert only.training["demo-paraphrase"].num_train_epochs == 4


def test_a_study_may_lack_a_tasks_value_where_every_arm_has_its_own() -> None:
    rates = {"training": {"learning_rate": {"demo-sentiment": 1e-3}}}
    own = {"learning_rate": 5e-5}
    (only,) = expand_arms(study(**rates, arms=arm(training=own)))
    assert only.training["demo-paraphrase"].learning_rate == 5e-5
    assert complaint(study(**rates, arms=arm())) == (
        "s: training.learning_rate: no value for the task 'demo-paraphrase' "
        "(allowed: demo-sentiment)"
    )


def test_where_a_study_gives_no_learning_rate_it_is_the_method_s_own() -> None:
    arms = {"lora": {"method": "lora"}, "full": {"method": "full"}}
    rates = {
        found.name: found.training["demo-sentiment"].learning_rate
        for found in expand_arms(study(arms=arms, training={}))
    }
    assert rates == {
        "lora": METHODS.get("lora").learning_rate,
        "full": TrainingSettings().learning_rate,
    }


def test_a_sweep_is_one_arm_for_each_combination_with_the_values_in_its_name() -> None:
    swept = {"method": "lora", "sweep": {"r": [8, 16], "learning_rate": [5e-4, 1e-3]}}
    arms = expand_arms(study(arms={"lora": swept}))
    assert [found.name for found in arms] == [
        "lora-r8-learning_rate0.0005",
        "lora-r8-learning_rate0.001",
        "lora-r16-learning_rate0.0005",
        "lora-r16-learning_rate0.001",
    ]
    assert {found.base for found in arms} == {"lora"}
    assert [found.method_config["r"] for found in arms] == [8, 8, 16, 16]
    assert [found.training["demo-sentiment"].learning_rate for found in arms] == [
        5e-4,
        1e-3,
        5e-4,
        1e-3,
    ]
    assert arms[0].swept == {"r": 8, "learning_rate": 5e-4}


def test_a_swept_list_stands_in_the_name_with_a_plus() -> None:
    swept = {"method": "lora", "sweep": {"target_modules": [["query"], ["query", "value"]]}}
    names = [found.name for found in expand_arms(study(arms={"lora": swept}))]
    assert names == ["lora-target_modulesquery", "lora-target_modulesquery+value"]


def test_every_setting_of_a_method_is_resolved() -> None:
    (only,) = expand_arms(study(arms={"lora": {"method": "lora", "r": 4}}))
    assert only.method_config["r"] == 4
    assert only.method_config["lora_alpha"] == 8
    (given,) = expand_arms(study(arms={"lora": {"method": "lora", "r": 4}}), resolve=False)
    assert given.method_config == {"r": 4}


def test_only_arms_chooses_in_the_studys_order_and_a_base_name_means_the_whole_sweep() -> None:
    arms = {
        "lora": {"method": "lora", "sweep": {"r": [2, 4]}},
        "full": {"method": "full"},
        "bitfit": {"method": "bitfit"},
    }
    chosen = expand_arms(study(arms=arms, only_arms=["full", "lora"]))
    assert [found.name for found in chosen] == ["lora-r2", "lora-r4", "full"]
    one = expand_arms(study(arms=arms, only_arms=["lora-r4"]))
    assert [found.name for found in one] == ["lora-r4"]


def test_selecting_no_name_gives_no_arm() -> None:
    assert select_arms(expand_arms(study()), [], where="here") == ()


def test_an_unknown_name_is_of_its_own_kind() -> None:
    with pytest.raises(UnknownNameError):
        expand_arms(study(tasks=["sst"]))
