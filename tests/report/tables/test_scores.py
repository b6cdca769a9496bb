"""Tables of scores say how each score was measured, and describe the runs of an arm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import mean

import numpy as np
import pytest

from peftlab.report.findings.marks import MARKS, NOTE
from peftlab.report.findings.view import StudyView, make_view
from peftlab.report.pages.blocks import Cell
from peftlab.report.tables.scores import runs_table, scores_table
from peftlab.store.workspace import Workspace
from tests.report.made_up import with_places

View = Callable[..., StudyView]


def test_a_cell_is_the_mean_of_the_records_and_the_interval_of_the_view(
    finished_workspace: Path,
) -> None:
    with Workspace.open(finished_workspace, create=False) as opened:
        view = make_view(opened, "small-study")
        records = opened.trials("small-study")
        table = scores_table(view, view.arms)
    assert table.columns == [
        "arm", "demo-sentiment accuracy", "demo-sentiment best epoch",
        "demo-paraphrase f1", "demo-paraphrase accuracy", "demo-paraphrase best epoch",
    ]  # fmt: skip
    by_name = {task.name: task for task in view.tasks}
    for arm, row in zip(view.arms, table.rows, strict=True):
        cells = dict(zip(table.columns, row, strict=True))
        for task, metric in (
            ("demo-sentiment", "accuracy"),
            ("demo-paraphrase", "f1"),
            ("demo-paraphrase", "accuracy"),
        ):
            histories = [
                record.evaluations
                for record in records
                if record.trial.task == task and record.arms["small-study"] == (row[0],)
            ]
            last = mean(one[-1].scores[metric] for one in histories)
            summary = view.summary(arm, by_name[task], metric)
            assert summary is not None
            cell = cells[f"{task} {metric}"]
            assert isinstance(cell, Cell)
            mark = f" {cell.mark}" if cell.mark else ""
            assert cell == f"{last:.1f} [{summary.low:.1f}, {summary.high:.1f}]{mark}"
            if metric == by_name[task].main_metric:
                found = view.learned(arm, by_name[task])
                assert found is not None
                assert cell.mark == MARKS[found.state]
            assert cell.value == pytest.approx(last)
            assert (cell.low, cell.high) == (summary.low, summary.high)
            if metric == by_name[task].main_metric:
                best = mean(max(e.scores[metric] for e in one[1:]) for one in histories)
                assert cells[f"{task} best epoch"] == f"{best:.1f}"
    assert "95% interval, which holds the noise of seeds and examples" in table.note


def test_the_best_score_of_a_training_has_the_name_of_what_it_is_of(
    finished_workspace: Path,
) -> None:
    with Workspace.open(finished_workspace, create=False) as opened:
        view = make_view(opened, "small-study")
    table = scores_table(view, view.arms)
    assert "'best epoch' is the main metric at the epoch where" in table.note

    of_steps = {"eval_strategy": "steps", "eval_steps": 2}
    by_place = {}
    for place, records in view.by_place.items():
        trials = [record.trial for record in records]
        trainings = [one.training.model_copy(update=of_steps) for one in trials]
        by_place[place] = tuple(
            replace(record, trial=trial.model_copy(update={"training": training}))
            for record, trial, training in zip(records, trials, trainings, strict=True)
        )
    in_steps = scores_table(replace(view, by_place=by_place), view.arms)
    assert "demo-sentiment best evaluation" in in_steps.columns
    assert "'best evaluation' is the main metric at the evaluation where" in in_steps.note

    folded = replace(view, spec=view.spec.model_copy(update={"folds": 2}))
    without = scores_table(folded, view.arms)
    assert without.columns == [name for name in table.columns if "best" not in name]
    assert "flatters" not in without.note
    assert [len(row) for row in without.rows] == [4] * 4


def test_an_arm_that_is_not_shown_to_have_learned_has_a_mark_and_no_noise_no_interval(
    predicted: View,
) -> None:
    answered_1 = np.arange(300) % 2 == 1
    trials = {
        ("full", "demo-sentiment"): answers(0.9, 3, "full"),
        ("lora-r2", "demo-sentiment"): [answered_1] * 3,
        ("lora-r8", "demo-sentiment"): [np.ones(300, dtype=bool)] * 3,
        ("full", "demo-paraphrase"): [answered_1] * 3,
        ("lora-r8", "demo-paraphrase"): [np.ones(300, dtype=bool)] * 3,
    }
    view = predicted(trials, {"seeds": [1, 2, 3]})
    table = scores_table(view, view.arms)
    sentiment = {row[0]: row[1] for row in table.rows}
    assert sentiment["full"].endswith("]"), "learned"
    assert sentiment["lora-r2"].startswith("50.0 [")
    assert sentiment["lora-r2"].endswith("] × did not learn")
    # Wilson's, of 300 examples: 100 / (1 + 1.96^2 / 300).
    assert sentiment["lora-r8"] == "100.0 [98.7, 100.0]", "all right, of so many examples"
    assert table.rows[-1][3] == "100.0", "all runs and examples say the same, by F1"
    assert "no interval where all runs and examples say the same" in table.note
    assert "× did not learn: every run gives the same answer to all examples" in table.note
    f1, accuracy = table.rows[0][3:5]
    assert f1.endswith("× did not learn")
    assert accuracy.endswith("]"), "the main metric has the mark"


def test_an_arm_that_did_not_learn_is_not_bold_though_it_beats_the_others(predicted: View) -> None:
    answered_1 = np.arange(300) % 2 == 1
    trials = {
        ("full", "demo-sentiment"): [answered_1] * 3,
        ("lora-r2", "demo-sentiment"): answers(0.2, 3, "lora-r2"),
    }
    view = predicted(trials, {"tasks": ["demo-sentiment"], "seeds": [1, 2, 3]})
    found = view.statistics.difference("full", "lora-r2", view.tasks)
    assert found is not None
    assert found.p_value < 0.01
    assert bold(view) == []


def bold(view: StudyView) -> list[str]:
    table = scores_table(view, view.arms)
    cells = {row[0]: [getattr(cell, "best", False) for cell in row] for row in table.rows}
    assert all(not any(flags[2:]) for flags in cells.values()), "only the main score may be bold"
    names = [name for name, flags in cells.items() if flags[1]]
    assert ("Bold: beats every other arm" in table.note) == bool(names)
    return names


def answers(share: float, num_seeds: int, arm: str) -> list[np.ndarray]:
    """Return answers with about this share of 300 examples right, different by seed and arm."""
    generators = (np.random.default_rng([seed, *arm.encode()]) for seed in range(num_seeds))
    return [generator.random(300) < share for generator in generators]


@pytest.mark.parametrize(
    ("shares", "num_seeds", "expected"),
    [
        ({"full": 0.95, "lora-r2": 0.7, "lora-r8": 0.6}, 4, ["full"]),
        ({"full": 0.72, "lora-r2": 0.71, "lora-r8": 0.4}, 4, []),
        ({"full": 0.95, "lora-r2": 0.6}, 2, []),
        ({"full": 0.95}, 4, []),
    ],
    ids=["beats both", "beats one of two", "two seeds", "alone"],
)
def test_the_best_is_bold_only_where_it_beats_every_other_arm(
    shares: dict[str, float], num_seeds: int, expected: list[str], predicted: View
) -> None:
    seeds = [*range(1, num_seeds + 1)]
    rights = {
        (arm, "demo-sentiment"): answers(share, num_seeds, arm) for arm, share in shares.items()
    }
    assert bold(predicted(rights, {"tasks": ["demo-sentiment"], "seeds": seeds})) == expected


def test_a_cell_of_fewer_seeds_says_so_and_one_of_none_is_empty(hand_made: View) -> None:
    view = hand_made(
        {
            ("full", "demo-sentiment"): [[(None, 1, 50), (1, 1, 60)], []],
            ("lora-r2", "demo-sentiment"): [[], []],
        }
    )
    rows = {row[0]: row[1:] for row in scores_table(view, view.arms).rows}
    assert rows["full"] == ["60.0 (1 of 2) ? cannot tell", "60.0 (1 of 2)", "-", "-", "-"]
    assert rows["lora-r2"] == ["-"] * 5


def test_an_arm_whose_frozen_layers_ran_without_dropout_is_marked_and_the_note_says_so(
    hand_made: View, with_cached_layers: Callable[[StudyView, str], StudyView]
) -> None:
    epochs = [[(None, 1, 50), (1, 1, 60)]]
    view = hand_made({(arm, "demo-sentiment"): epochs for arm in ("full", "lora-r2")})
    table = scores_table(view, view.arms)
    assert [row[0] for row in table.rows] == ["full", "lora-r2", "lora-r8"]
    assert "†" not in table.note
    marked = with_cached_layers(view, "lora-r2")
    table = scores_table(marked, marked.arms)
    assert [row[0] for row in table.rows] == ["full", "lora-r2 †", "lora-r8"]
    assert table.note.endswith(NOTE)
    assert "without dropout" in NOTE
    assert "†" not in scores_table(marked, marked.choose(["full"])).note


def test_one_score_without_predictions_has_no_interval(hand_made: View) -> None:
    view = hand_made({("full", "demo-sentiment"): [[(None, 1, 50), (1, 1, 60)]]}, {"seeds": [1]})
    table = scores_table(view, view.arms)
    assert table.rows[0][1] == "60.0 ? cannot tell", "its predictions are gone"
    assert "interval" not in table.note


Predicted = Callable[..., StudyView]
SENTIMENT = "demo-sentiment"


def right(number: int) -> np.ndarray:
    """Return right answers on 20 examples, of which every second has the label 1."""
    return np.arange(20) < number


def test_a_row_is_the_summary_of_an_arms_runs(predicted: Predicted) -> None:
    rows = [right(16), right(18), None, right(10)]
    view = predicted({("full", SENTIMENT): rows}, {"seeds": [1, 2, 3, 4]})
    table = runs_table(view, view.arms)
    assert table is not None
    (cells,) = (dict(zip(table.columns, row, strict=True)) for row in table.rows)
    assert cells["runs"] == "3 of 4"
    assert (cells["mean"], cells["median"]) == ("73.3", "80.0")
    assert (cells["min"], cells["max"]) == ("50.0", "90.0")
    # The failed one, and that which scores what one answer for all would.
    assert cells["failed"] == "50%"
    # (90 (1 - 8/27) + 80 (8/27 - 1/27) + 50 / 27), of three drawn with replacement.
    assert cells["best of all"] == f"{(90 * 19 + 80 * 7 + 50) / 27:.1f}"


def test_a_row_says_whether_the_arm_learned_and_what_it_is_measured_by(
    predicted: Predicted,
) -> None:
    ones = np.arange(20) % 2 == 1
    trials = {
        ("full", SENTIMENT): [right(20)] * 3,
        ("lora-r2", SENTIMENT): [ones] * 3,
        ("lora-r8", SENTIMENT): [right(12), right(8), right(10)],
    }
    view = predicted(trials, {"seeds": [1, 2, 3]})
    table = runs_table(view, view.arms)
    assert table is not None
    cells = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [one["learned"] for one in cells] == ["yes", "no", "cannot tell"]
    assert {one["best constant"] for one in cells} == {"50.0"}


def test_one_run_has_no_deviation_and_none_no_table(predicted: Predicted) -> None:
    view = predicted({("full", SENTIMENT): [right(16)]}, {"seeds": [1]})
    table = runs_table(view, view.arms)
    assert table is not None
    assert table.rows[0][table.columns.index("sd")] == "-"
    nothing = predicted({("full", SENTIMENT): [None]}, {"seeds": [1]})
    assert runs_table(nothing, nothing.arms) is None


@pytest.mark.parametrize("folds", [None, 2])
def test_scores_on_the_dev_rows_of_another_task_say_so(
    folds: int | None, hand_made: Callable[..., StudyView]
) -> None:
    view = hand_made(
        {("full", "mnli"): [[(None, 1, 50), (1, 1, 80)]]},
        {"tasks": ["mnli"], "data": "hub", "seeds": [1]},
    )
    (record,) = view.records
    evaluations = tuple(
        replace(one, scores={**one.scores, "accuracy_on_mnli-mm": 75.0})
        for one in record.evaluations
    )
    record = replace(record, evaluations=evaluations)
    view = with_places(view, {("full", "mnli"): (record,)})
    view = replace(view, spec=view.spec.model_copy(update={"folds": folds}))
    table = scores_table(view, view.choose(["full"]))
    assert table.rows[0][table.columns.index("mnli accuracy on mnli-mm")] == "75.0"
    of_folds = ", the mean over the models of all folds" if folds else ""
    assert f"Scores 'on mnli-mm' are on the dev rows of that task{of_folds}." in table.note
