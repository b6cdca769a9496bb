"""The table of all trials has a row for each, with the numbers of its record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from peftlab.core.words import data_size
from peftlab.report.findings.marks import NOTE
from peftlab.report.findings.view import StudyView, make_view
from peftlab.report.pages.blocks import Cell
from peftlab.report.tables.trials import trials_table
from peftlab.store.workspace import Workspace


def test_a_row_holds_what_the_record_holds(half_done: Path) -> None:
    with Workspace.open(half_done, create=False) as opened:
        view = make_view(opened, "small-study")
        records = opened.trials("small-study")
    table = trials_table(view)
    assert len(table.rows) == len(records) == 16
    for cells, record in zip(table.rows, records, strict=True):
        row = dict(zip(table.columns, cells, strict=True))
        assert row["trial"] == record.trial.id
        assert row["arm"] == record.arms["small-study"][0]
        assert (row["task"], row["seed"]) == (record.trial.task, str(record.trial.seed))
        assert row["status"] == record.status
        if record.costs is None:
            assert {row[column] for column in table.columns[6:]} == {"-"}
        else:
            assert row["score"] == f"{record.evaluations[-1].scores[row['metric']]:.1f}"
            assert row["tokens/s"] == f"{record.costs.train_tokens_per_second:,.0f}"
            assert row["padding avoided"] == f"{100 * record.costs.padding_avoided:.0f}%"
            memory = record.costs.peak_memory_bytes
            assert memory is not None
            assert row["peak memory"] == data_size(memory)
            assert row["computed"] == record.costs.path
            training, disk = row["training"], row["saved"]
            assert isinstance(training, Cell)
            assert training.value == record.costs.train_seconds
            assert isinstance(disk, Cell)
            assert disk.value == record.costs.artifact_bytes
    assert [row[4] for row in table.rows].count("done") == 14


def test_a_trial_whose_frozen_layers_ran_without_dropout_is_marked(
    hand_made: Callable[..., StudyView], with_cached_layers: Callable[[StudyView, str], StudyView]
) -> None:
    epochs = [[(None, 1, 50), (1, 1, 60)]]
    view = hand_made({(arm, "demo-sentiment"): epochs for arm in ("full", "lora-r2")})
    assert "†" not in trials_table(view).note
    table = trials_table(with_cached_layers(view, "lora-r2"))
    assert [row[1] for row in table.rows] == ["full", "lora-r2 †"]
    assert table.note.endswith(NOTE)


def test_energy_has_a_column_where_a_trial_has_any(
    hand_made: Callable[..., StudyView], with_cached_layers: Callable[[StudyView, str], StudyView]
) -> None:
    epochs = [[(None, 1, 50), (1, 1, 60)]]
    view = hand_made({(arm, "demo-sentiment"): epochs for arm in ("full", "lora-r2")})
    view = with_cached_layers(view, "none")
    table = trials_table(view)
    assert "energy" not in table.columns
    assert "energy" not in table.note
    first, second = view.records
    assert second.costs is not None
    measured = replace(second, costs=replace(second.costs, energy_joules=12345.6))
    table = trials_table(replace(view, records=(first, measured)))
    assert table.columns[-1] == "energy"
    assert [row[-1] for row in table.rows] == ["-", "12,346 J"]
    assert {len(row) for row in table.rows} == {len(table.columns)}
    assert "energy" in table.numbers
    assert "energy: of the processor's packages" in table.note


def test_epochs_have_a_column_where_a_trial_may_stop_early(
    hand_made: Callable[..., StudyView],
) -> None:
    epochs = [[(None, 1, 50), (1, 1, 60)], [(None, 1, 50), (1, 1, 60), (1, 1, 70)], []]
    given = {("full", "demo-sentiment"): epochs}
    assert "epochs" not in trials_table(hand_made(given)).columns
    training = {"early_stopping_patience": 1, "max_steps": 2}
    view = hand_made(given, {"training": training})
    records = tuple(replace(record, num_train_examples=100) for record in view.records)
    assert [record.has_stopped_early for record in records] == [True, False, False]
    table = trials_table(replace(view, records=records))
    assert table.columns[-1] == "epochs"
    assert [row[-1] for row in table.rows] == ["1", "2", "-"]
    assert "early stopping ended 1 trial before the last step" in table.note
