"""Tables that more than one command prints."""

from __future__ import annotations

from collections.abc import Sequence

from peftlab.cli import options
from peftlab.report.marks import mark_note, marked
from peftlab.stats.aggregate import aggregate
from peftlab.store.records import TrialRecord
from peftlab.tasks.registry import TASKS


def print_scores(study: str, records: Sequence[TrialRecord]) -> None:
    """The main score of each arm on each task: the mean over seeds and, after ±, their sd.

    Below it stands what the mark at an arm's name says, where there is one.
    """
    tasks = list(dict.fromkeys(record.trial.task for record in records))
    arms = list(dict.fromkeys(arm for record in records for arm in record.arms[study]))
    values: dict[tuple[str, str], list[float]] = {}
    for record in records:
        if record.status == "done":
            main = next(iter(record.scores.values()))
            for arm in record.arms[study]:
                values.setdefault((arm, record.trial.task), []).append(main)
    rows = [
        [
            marked(arm, (record for record in records if arm in record.arms[study])),
            *(_cell(values.get((arm, task), [])) for task in tasks),
        ]
        for arm in arms
    ]
    columns = ["arm", *(f"#{task}\n{TASKS.get(task).main_metric}" for task in tasks)]
    options.print_table(columns, rows, title=f"{study}: scores on dev after the last epoch")
    print_mark_note(records)


def print_mark_note(records: Sequence[TrialRecord]) -> None:
    """A line that says what the mark at an arm's name means, where one of the records has it."""
    note = mark_note(records)
    if note:
        print(note)


def _cell(scores: Sequence[float]) -> str:
    if not scores:
        return "-"
    summary = aggregate(scores)
    spread = f" ± {summary.sd:.1f}" if summary.sd is not None else ""
    return f"{summary.mean:.1f}{spread}"
