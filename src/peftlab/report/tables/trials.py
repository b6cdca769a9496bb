"""The table of all trials with what each of them cost."""

from __future__ import annotations

from peftlab.core.durations import duration
from peftlab.report.blocks import Table
from peftlab.report.marks import mark_note, marked
from peftlab.report.view import StudyView
from peftlab.store.records import TrialRecord
from peftlab.tasks.registry import TASKS

COLUMNS = (
    "trial", "arm", "task", "seed", "status", "metric", "score", "training", "examples/s",
    "tokens/s", "padding avoided", "peak memory", "saved", "computed",
)  # fmt: skip
ENERGY = "energy"
NUMBERS = frozenset(
    {
        "seed",
        "score",
        "training",
        "examples/s",
        "tokens/s",
        "padding avoided",
        "peak memory",
        "saved",
        ENERGY,
    }
)


def trials_table(view: StudyView) -> Table:
    """A row a trial, in the order in which they are run; their energy if one of them has it."""
    columns, rows = [*COLUMNS], [_row(view, record) for record in view.records]
    note = (
        "training: wall time without evaluation. padding avoided: the share of padding in the "
        "batches that was not computed. saved: what the trained adapter or the changed tensors "
        "take on disk."
    )
    energies = [record.costs and record.costs.energy_joules for record in view.records]
    if any(energy is not None for energy in energies):
        columns.append(ENERGY)
        rows = [
            [*row, "-" if energy is None else f"{energy:,.0f} J"]
            for row, energy in zip(rows, energies, strict=True)
        ]
        note += (
            " energy: of the processor's packages or of the GPU, evaluation included, where no "
            "other trial ran beside it."
        )
    return Table(
        title="What each trial scored and cost",
        columns=columns,
        rows=rows,
        numbers=NUMBERS,
        note=" ".join(filter(None, (note, mark_note(view.records)))),
    )


def _row(view: StudyView, record: TrialRecord) -> list[str]:
    costs = record.costs
    measured = ["-"] * 7
    if costs is not None:
        measured = [
            duration(costs.train_seconds),
            f"{costs.train_examples_per_second:,.0f}",
            f"{costs.train_tokens_per_second:,.0f}",
            f"{costs.padding_avoided:.0%}",
            _megabytes(costs.peak_memory_bytes),
            _megabytes(costs.artifact_bytes),
            costs.path,
        ]
    return [
        record.trial.id,
        ", ".join(marked(arm, [record]) for arm in record.arms[view.spec.name]),
        record.trial.task,
        str(record.trial.seed),
        record.status,
        TASKS.get(record.trial.task).main_metric.replace("_", " "),
        f"{next(iter(record.scores.values())):.2f}" if record.scores else "-",
        *measured,
    ]


def _megabytes(size: int | None) -> str:
    return "-" if size is None else f"{size / 1e6:,.1f} MB"
