"""The arms that are shown if there is no room for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from peftlab.core.scores import sign_of
from peftlab.report.findings.view import StudyView
from peftlab.study.arms import Arm


@dataclass(frozen=True, kw_only=True)
class Shown:
    """The arms shown, and a `note` for the title, which is "" if they are all arms."""

    arms: tuple[Arm, ...]
    note: str = ""


def leading(view: StudyView, names: Sequence[str] | None, most: int) -> Shown:
    """Return the arms with these names, or for None all arms, or the best if there are too many.

    The best arms are those whose scores have the best mean ranks: ranks are averaged, not scores,
    since an arm may not be measured on every task.
    """
    if names is not None or len(view.arms) <= most:
        return Shown(arms=view.choose(names))
    ranks: dict[str, list[float]] = {arm.name: [] for arm in view.arms}
    for task in view.tasks:
        scores = {arm.name: view.summary(arm, task) for arm in view.arms}
        sign = sign_of(task.main_metric)
        merits = {name: sign * one.mean for name, one in scores.items() if one is not None}
        for rank, name in enumerate(sorted(merits, key=lambda name: -merits[name])):
            ranks[name].append(rank / len(merits))
    best = sorted(view.arms, key=lambda arm: fmean(ranks[arm.name] or [1.0]))[:most]
    names = [arm.name for arm in best]
    return Shown(
        arms=tuple(arm for arm in view.arms if arm.name in names),
        note=f" ({most} of {len(view.arms)} arms, those that score best)",
    )
