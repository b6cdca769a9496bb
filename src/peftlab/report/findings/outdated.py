"""Trials that an older version measured in a way that has been corrected since."""

from __future__ import annotations

from collections import Counter

from peftlab.core.corrections import missing
from peftlab.report.findings.view import StudyView


def outdated_warnings(view: StudyView) -> list[str]:
    """Return a sentence for each correction that finished trials of the view were measured without.

    What a correction needs to know of a checkpoint and an older version did not store is not told
    here; `peftlab run` finds it.
    """
    found = Counter(
        correction.what
        for record in view.records
        if record.status == "done"
        for correction in missing(record.trial)
    )
    return [
        f"{count} {'trial was' if count == 1 else 'trials were'} measured by an older version, in "
        f"which {what}. Run the study again to measure {'it' if count == 1 else 'them'} anew."
        for what, count in found.items()
    ]
