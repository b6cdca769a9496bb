"""What a study's limits leave of its rows, in words."""

from __future__ import annotations

from peftlab.report.findings.view import StudyView
from peftlab.study.spec import StudySpec


def limit_words(limit: int, spec: StudySpec, of: str = "") -> str:
    """Return the words for the rows that a study's limit leaves where there are more."""
    if not spec.own_data:
        return f"the first {limit:,}{of}"
    seeds = dict.fromkeys(str(own.split_seed) for own in spec.own_data.values())
    return f"{limit:,}{of}, each label its share, drawn by split_seed {', '.join(seeds)}"


def cut_note(view: StudyView) -> str:
    """Return the note beside the scores on dev splits that are cut; "" if none is.

    A split with fewer rows than the limit is whole.
    """
    limit = view.spec.max_eval_samples
    names = [
        task.name
        for task in view.tasks
        if any(
            record.num_eval_examples == limit
            for arm in view.arms
            for record in view.done(arm, task)
        )
    ]
    if limit is None or not names:
        return ""
    of = f" rows of {', '.join(names)}"
    return f"Dev is cut: {limit_words(limit, view.spec, of)}."
