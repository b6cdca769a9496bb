"""The tables of settings have the settings used in training, by task if they differ."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from peftlab.report.findings.view import StudyView, make_view
from peftlab.report.tables.settings import hyperparameters_table, method_config_table
from peftlab.store.workspace import Workspace

View = Callable[..., StudyView]


def test_a_setting_that_is_not_the_default_has_a_row(hand_made: View) -> None:
    rates = {"demo-sentiment": 5e-4, "demo-paraphrase": 0.02}
    view = hand_made({}, {"training": {"learning_rate": rates, "weight_decay": 0.01}})
    table = hyperparameters_table(view, view.arms)
    assert table.columns == ["setting", "full", "lora-r2", "lora-r8"]
    by_task = "demo-sentiment 5e-4, demo-paraphrase 0.02"
    assert table.rows == [
        ["num_train_epochs", "3", "3", "3"],
        ["learning_rate", "5e-4", by_task, by_task],
        ["weight_decay", "0.01", "0.01", "0.01"],
        ["seed", "1, 2", "1, 2", "1, 2"],
    ]


def test_method_settings_are_those_that_the_trials_were_trained_with(
    finished_workspace: Path,
) -> None:
    with Workspace.open(finished_workspace, create=False) as opened:
        view = make_view(opened, "small-study")
    table = method_config_table(view, view.choose(["lora"]))
    assert table is not None
    assert table.title == "Method settings (peft.LoraConfig)"
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows == {
        "lora_alpha": ["4", "4"],
        "lora_dropout": ["0.01", "0.01"],
        "r": ["2", "4"],
        "target_modules": ["null", "null"],
    }
    mixed = method_config_table(view, view.arms)
    assert mixed is not None
    assert mixed.title == "Method settings"
    assert {row[0]: row[1] for row in mixed.rows}["r"] == "-"


def test_methods_without_settings_have_no_table(hand_made: View) -> None:
    view = hand_made({})
    assert method_config_table(view, view.choose(["full"])) is None
