"""Tables that more than one command prints."""

from __future__ import annotations

from collections.abc import Sequence

from peftlab.cli import options
from peftlab.report.marks import mark_note, marked
from peftlab.stats.aggregate import aggregate
from peftlab.store.records import TrialRecord
from peftlab.store.rows import FinalScore
from peftlab.tasks.registry import TASKS


def print_scores(study: str, finals: Sequence[FinalScore]) -> None:
    """The main score of each arm on each task: the mean over seeds and, after ±, their sd.

    Below it stands what the mark at an arm's name says, where there is one.
    """
    tasks = list(dict.fromkeys(final.task for final in finals))
    of_arm: dict[str, list[FinalScore]] = {}
    for final in finals:
        for arm in final.arms:
            of_arm.setdefault(arm, []).append(final)
    rows = [
        [
            marked(arm, own),
            *(
                _cell([o.score for o in own if o.task == task and o.score is not None])
                for task in tasks
            ),
        ]
        for arm, own in of_arm.items()
    ]
    columns = ["arm", *(f"#{task}\n{TASKS.get(task).main_metric}" for task in tasks)]
    options.print_table(columns, rows, title=f"{study}: scores on dev after the last epoch")
    print_mark_note(finals)


def print_mark_note(records: Sequence[TrialRecord | FinalScore]) -> None:
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
