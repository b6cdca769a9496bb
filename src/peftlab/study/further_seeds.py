"""The seeds that are added to a study until it is decided, and how many each arm has on a task.

They follow the study's largest seed, and an arm always has the first ones of them: arms that have
any have those in common, by which they are paired.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from peftlab.store.reader import WorkspaceReader
from peftlab.study.spec import StudySpec

Further = Mapping[tuple[str, str], int]
"""How many further seeds an arm has on a task, by their names."""


def further_seeds(spec: StudySpec, num: int) -> range:
    """Return the first `num` further seeds of a study."""
    own = (seed for arm in spec.arms.values() for seed in arm.seeds or spec.seeds)
    first = max(*own, *spec.seeds) + 1
    return range(first, first + num)


def is_further(spec: StudySpec, seed: int) -> bool:
    """Return whether the seed is one that the study's rule adds."""
    return spec.decide is not None and seed in further_seeds(spec, spec.decide.max_seeds)


def stored_further(spec: StudySpec, workspace: WorkspaceReader) -> dict[tuple[str, str], int]:
    """Return the further seeds that the study has in a workspace; none where it has no rule."""
    if spec.decide is None or spec.name not in workspace.studies():
        return {}
    return counted_further(
        spec,
        (
            (arm, record.trial.task, record.trial.seed)
            for record in workspace.trials(spec.name)
            for arm in record.arms[spec.name]
        ),
    )


def counted_further(
    spec: StudySpec, runs: Iterable[tuple[str, str, int]]
) -> dict[tuple[str, str], int]:
    """Return the number of further seeds by arm and task, of runs given by arm, task and seed."""
    found: dict[tuple[str, str], int] = {}
    if spec.decide is None:
        return found
    seeds = further_seeds(spec, spec.decide.max_seeds)
    for arm, task, seed in runs:
        if seed in seeds:
            found[arm, task] = max(found.get((arm, task), 0), seed - seeds[0] + 1)
    return found
