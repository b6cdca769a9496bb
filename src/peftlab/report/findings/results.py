"""The results of a study, from its view and its verdicts."""

from __future__ import annotations

from collections.abc import Sequence

from peftlab.report.findings.classes import classes_json
from peftlab.report.findings.learning import learned_json, losses_words, remarks
from peftlab.report.findings.limits import cut_note
from peftlab.report.findings.stored_results import ArmScore, StudyResults
from peftlab.report.findings.verdicts import Verdict
from peftlab.report.findings.view import StudyView
from peftlab.report.findings.warnings import leak_warnings, outdated_warnings


def results_of(view: StudyView, found: Sequence[Verdict]) -> StudyResults:
    """Return the scores of the arms that have any, with the verdicts that were found."""
    scores = []
    for arm in view.arms:
        for task in view.tasks:
            summary = view.summary(arm, task)
            learned = view.learned(arm, task)
            if summary is not None and learned is not None:
                scores.append(
                    ArmScore(
                        arm=view.label(arm),
                        task=task.name,
                        metric=task.main_metric,
                        num_values=summary.num_values,
                        num_seeds=len(view.runs(arm, task)),
                        mean=summary.mean,
                        low=summary.low,
                        high=summary.high,
                        covers=summary.covers,
                        state=learned.state,
                    )
                )
    notes = (
        *outdated_warnings(view),
        *leak_warnings(view),
        cut_note(view),
        view.note(view.arms),
        *(remark.words for remark in remarks(view, view.arms)),
        *losses_words(view, view.arms, view.tasks),
    )
    return StudyResults(
        study=view.spec.name,
        rule=view.rule,
        scored=view.scored_words,
        scores=tuple(scores),
        notes=tuple(note for note in notes if note),
        verdicts=tuple(verdict.to_json() for verdict in found),
        learned=tuple(learned_json(view)),
        classes=tuple(classes_json(view)),
        declaration=view.look.id,
        metric_sources=view.metric_sources,
    )
