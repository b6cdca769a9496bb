"""The table of all trials with their costs."""

from __future__ import annotations

from peftlab.core.measurements import plain_epoch
from peftlab.core.words import counted, data_size, duration
from peftlab.report.findings.costs import group_note
from peftlab.report.findings.marks import mark_note, marked
from peftlab.report.findings.view import StudyView
from peftlab.report.pages.blocks import NOTHING, Cell, Table
from peftlab.store.records import TrialRecord
from peftlab.tasks.registry import task_of

COLUMNS = (
    "trial", "arm", "task", "seed", "status", "metric", "score", "training", "examples/s",
    "tokens/s", "padding avoided", "peak memory", "saved", "computed",
)  # fmt: skip
FOLD, ROWS, EPOCHS, ENERGY, TOGETHER = "fold", "rows", "epochs", "energy", "in a step"
UNITS = {
    "score": "points",
    "training": "seconds",
    "padding avoided": "share",
    "peak memory": "bytes",
    "saved": "bytes",
    ENERGY: "joules",
}
NUMBERS = frozenset({"seed", FOLD, ROWS, "examples/s", "tokens/s", EPOCHS, TOGETHER, *UNITS})


def trials_table(view: StudyView) -> Table:
    """Return a table with a row for each trial, in the order of the plan.

    Energy has a column if any trial has it, epochs if any trial may have stopped early, and the
    number of trials in a step if any of them shared one.
    """
    columns, rows = [*COLUMNS], [_row(view, record) for record in view.records]
    if view.spec.folds is not None:
        index = columns.index("seed") + 1
        columns.insert(index, FOLD)
        for row, record in zip(rows, view.records, strict=True):
            fold = record.trial.fold
            row.insert(index, NOTHING if fold is None else Cell(str(fold), value=fold.number))
    if view.spec.train_sizes is not None:
        index = columns.index("status")
        columns.insert(index, ROWS)
        for row, record in zip(rows, view.records, strict=True):
            size = record.trial.train_size
            row.insert(index, "all" if size is None else Cell(f"{size:,}", value=size))
    note = (
        "training: wall time without evaluation. padding avoided: the share of padding in the "
        "batches that was not computed. saved: what the trained adapter or the changed tensors "
        "take on disk."
    )
    if any(record.trial.training.early_stopping_patience for record in view.records):
        columns.append(EPOCHS)
        for row, record in zip(rows, view.records, strict=True):
            row.append(_epochs(record))
        num_stopped = sum(record.has_stopped_early for record in view.records)
        note += (
            " epochs: the passes over the rows that were made; early stopping ended "
            f"{counted(num_stopped, 'trial')} before the last step."
        )
    energies = [record.costs.energy_joules if record.costs else None for record in view.records]
    if any(energy is not None for energy in energies):
        columns.append(ENERGY)
        for row, energy in zip(rows, energies, strict=True):
            row.append(NOTHING if energy is None else Cell(f"{energy:,.0f} J", value=energy))
        note += (
            " energy: of the processor's packages or of the GPU, evaluation included, where no "
            "other trial ran beside it."
        )
    if group_note(view.records):
        columns.append(TOGETHER)
        for row, record in zip(rows, view.records, strict=True):
            together = record.costs.together if record.costs else None
            row.append(NOTHING if together is None else Cell(str(together), value=together))
        note += f" {group_note(view.records)} {TOGETHER}: how many trained in one step at the most."
    return Table(
        name="table-trials",
        title="What each trial scored and cost",
        columns=columns,
        rows=rows,
        numbers=NUMBERS & {*columns},
        units={name: unit for name, unit in UNITS.items() if name in columns},
        note=" ".join(filter(None, (note, mark_note(view.records)))),
    )


def _row(view: StudyView, record: TrialRecord) -> list[str]:
    costs = record.costs
    measured: list[str] = [NOTHING] * 7
    if costs is not None:
        seconds, padding = costs.train_seconds, costs.padding_avoided
        examples, tokens = costs.train_examples_per_second, costs.train_tokens_per_second
        measured = [
            Cell(duration(seconds), value=seconds),
            Cell(f"{examples:,.0f}", value=examples),
            Cell(f"{tokens:,.0f}", value=tokens),
            Cell(f"{padding:.0%}", value=padding),
            _size(costs.peak_memory_bytes),
            _size(costs.artifact_bytes),
            costs.path,
        ]
    score = next(iter(record.scores.values()), None)
    return [
        record.trial.id,
        ", ".join(marked(arm, [record]) for arm in record.arms[view.spec.name]),
        record.trial.task,
        Cell(str(record.trial.seed), value=record.trial.seed),
        record.status,
        task_of(record.trial).main_metric.replace("_", " "),
        NOTHING if score is None else Cell(f"{score:.1f}", value=score),
        *measured,
    ]


def _epochs(record: TrialRecord) -> str:
    if not record.evaluations:
        return NOTHING
    epoch = record.evaluations[-1].epoch
    return Cell(f"{plain_epoch(round(epoch, 2))}", value=epoch)


def _size(num_bytes: int | None) -> str:
    return NOTHING if num_bytes is None else Cell(data_size(num_bytes), value=num_bytes)
