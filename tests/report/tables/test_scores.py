"""The table of scores: mean and spread of every metric, and the best epoch named as that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev

from peftlab.report.marks import NOTE
from peftlab.report.tables.scores import scores_table
from peftlab.report.view import StudyView, make_view
from peftlab.store.workspace import Workspace

View = Callable[..., StudyView]


def test_a_cell_is_the_mean_and_the_spread_of_the_records(finished_workspace: Path) -> None:
    with Workspace.open(finished_workspace, create=False) as opened:
        view = make_view(opened, "small-study")
        records = opened.trials("small-study")
    table = scores_table(view, view.arms)
    assert table.columns == [
        "arm", "demo-sentiment accuracy", "demo-sentiment best epoch",
        "demo-paraphrase f1", "demo-paraphrase accuracy", "demo-paraphrase best epoch",
    ]  # fmt: skip
    for row in table.rows:
        cells = dict(zip(table.columns, row, strict=True))
        for task, metric in (
            ("demo-sentiment", "accuracy"),
            ("demo-paraphrase", "f1"),
            ("demo-paraphrase", "accuracy"),
        ):
            epochs = [
                record.epochs
                for record in records
                if record.trial.task == task and record.arms["small-study"] == (row[0],)
            ]
            last = [epoch[-1].scores[metric] for epoch in epochs]
            assert cells[f"{task} {metric}"] == f"{mean(last):.2f} ± {stdev(last):.2f}"
            if metric == view.tasks[[t.name for t in view.tasks].index(task)].main_metric:
                best = [max(e.scores[metric] for e in epoch[1:]) for epoch in epochs]
                assert cells[f"{task} best epoch"] == f"{mean(best):.2f} ± {stdev(best):.2f}"
    assert "over 2 seeds" in table.note


def test_a_cell_of_fewer_seeds_says_so_and_one_of_none_is_empty(hand_made: View) -> None:
    view = hand_made(
        {
            ("full", "demo-sentiment"): [[(None, 1, 50), (1, 1, 60)], []],
            ("lora-r2", "demo-sentiment"): [[], []],
        }
    )
    rows = {row[0]: row[1:] for row in scores_table(view, view.arms).rows}
    assert rows["full"] == ["60.00 (1 of 2)", "60.00 (1 of 2)", "-", "-", "-"]
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


def test_one_seed_has_no_spread(hand_made: View) -> None:
    view = hand_made({("full", "demo-sentiment"): [[(None, 1, 50), (1, 1, 60)]]}, {"seeds": [1]})
    table = scores_table(view, view.arms)
    assert table.rows[0][1] == "60.00"
    assert "standard deviation" not in table.note
