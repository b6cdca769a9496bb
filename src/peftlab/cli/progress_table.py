"""The table that `peftlab status` prints: how far the studies of a workspace are."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peftlab.cli.printing import print_json, print_table
from peftlab.core.errors import first_line
from peftlab.core.words import duration

if TYPE_CHECKING:
    from peftlab.store.rows import StatusCount
    from peftlab.store.workspace import Workspace

WATCH_SECONDS = 2.0


def print_status(*, study: str | None, watch: bool, workspace: Path, as_json: bool) -> None:
    """Print the progress of one study or of all; with `watch` again and again until all is done."""
    from peftlab.store.workspace import Workspace

    while True:
        # Opened anew each time: one that may not be written is read as it is at that moment.
        with Workspace.open(workspace, create=False) as opened:
            names = opened.studies() if study is None else [study]
            rows = [_status(name, opened) for name in names]
        _print(rows, as_json=as_json)
        if not watch or not any(row["pending"] or row["running"] for row in rows):
            return
        time.sleep(WATCH_SECONDS)


def _status(study: str, workspace: Workspace) -> dict[str, Any]:
    """Return a study's counts by status, its failures, and the time left one trial at a time."""
    counted = workspace.status_counts(study)
    counts: Counter[str] = Counter()
    for one in counted:
        counts[one.status] += one.count
    return {
        "study": study,
        "trials": counts.total(),
        **{name: counts[name] for name in ("done", "running", "pending", "failed", "pruned")},
        "seconds_left": _seconds_left(counted),
        "failures": [
            {"id": failure.id, "error": first_line(failure.error)}
            for failure in workspace.failures(study)
        ],
    }


def _seconds_left(counted: list[StatusCount]) -> float | None:
    """Return the seconds that the open trials take one at a time; None before any is done.

    Each is taken to need the mean of those of its task. How many run at once is not stored, and
    trials of a killed run are still marked as running, so nothing is divided by their number. The
    display of a run knows better (runner/cost.py).
    """
    done = [one for one in counted if one.status == "done"]
    waiting = [one for one in counted if one.status in {"pending", "running"}]
    if not waiting:
        return 0.0
    if not done:
        return None
    mean = sum(one.seconds for one in done) / sum(one.count for one in done)
    means = {one.task: one.seconds / one.count for one in done}
    return sum(one.count * means.get(one.task, mean) for one in waiting)


def _print(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(rows)
        return
    if not rows:
        print("no study has been run here yet")
        return
    names = ("trials", "done", "running", "pending", "failed", "pruned")
    print_table(
        ["study", *(f"#{name}" for name in names), "#time left, one at a time"],
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
