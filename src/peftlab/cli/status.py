"""`peftlab status`: how far the studies of a workspace are."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from peftlab.cli import options
from peftlab.core.durations import duration
from peftlab.core.errors import first_line

if TYPE_CHECKING:
    from peftlab.store.records import TrialRecord

NAME = "status"
EXAMPLE = "Example: peftlab status quickstart --watch"
WATCH_SECONDS = 2.0


def command(
    study: Annotated[str | None, typer.Argument(help="One study; else all of them.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow until all is done.")] = False,
    workspace: options.Workspace = options.DEFAULT_WORKSPACE,
    as_json: options.Json = False,
) -> int:
    """Progress, failures and the time left of one study or of all."""
    from peftlab.store.workspace import Workspace
    from peftlab.study.load import study_name

    with Workspace.open(workspace, create=False) as opened:
        names = opened.studies() if study is None else [study_name(study)]
        while True:
            rows = [_status(name, opened.trials(name)) for name in names]
            _print(rows, as_json=as_json)
            if not watch or not any(row["pending"] or row["running"] for row in rows):
                return 0
            time.sleep(WATCH_SECONDS)


def _status(study: str, records: list[TrialRecord]) -> dict[str, Any]:
    """Counts by status; the time left is that of the done trials, each task's mean."""
    counts = Counter(record.status for record in records)
    return {
        "study": study,
        "trials": len(records),
        **{name: counts[name] for name in ("done", "running", "pending", "failed")},
        "seconds_left": _seconds_left(records),
        "failures": [
            {"id": record.trial.id, "error": first_line(record.error)}
            for record in records
            if record.status == "failed"
        ],
    }


def _seconds_left(records: list[TrialRecord]) -> float | None:
    by_task: dict[str, list[float]] = {}
    for record in records:
        if record.status == "done" and record.costs is not None:
            by_task.setdefault(record.trial.task, []).append(record.costs.total_seconds)
    known = [seconds for task in by_task.values() for seconds in task]
    waiting = [record for record in records if record.status in {"pending", "running"}]
    if not waiting:
        return 0.0
    if not known:
        return None
    return sum(
        sum(times) / len(times)
        for times in (by_task.get(record.trial.task, known) for record in waiting)
    )


def _print(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        options.print_json(rows)
        return
    names = ("trials", "done", "running", "pending", "failed")
    options.print_table(
        ["study", *(f"#{name}" for name in names), "#time left"],
        [
            [
                row["study"],
                *(str(row[name]) for name in names),
                "unknown" if row["seconds_left"] is None else duration(row["seconds_left"]),
            ]
            for row in rows
        ],
    )
    for row in rows:
        for failure in row["failures"]:
            print(f"failed: {failure['id']}: {failure['error']}")
