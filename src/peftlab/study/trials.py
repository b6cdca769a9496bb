"""A study's trials: each combination of arms, tasks, seeds, folds and sizes, each distinct one
once."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from peftlab.core.process import search_put_off
from peftlab.core.progress import stage
from peftlab.core.trial import Fold, Seeds, Trial
from peftlab.methods.registry import METHODS
from peftlab.models.location import locate
from peftlab.study.arms import Arm, chosen_arms, every_arm
from peftlab.study.checks import (
    check_arm_names,
    check_claims,
    check_evaluations,
    check_heads,
    check_losses,
    check_max_length,
    require_trackers,
)
from peftlab.study.further_seeds import Further, further_seeds
from peftlab.study.spec import StudySpec
from peftlab.study.task_rows import TaskRows, read_trial_rows


@dataclass(frozen=True, kw_only=True)
class Expanded:
    """A study with its arms and its distinct trials, in the order in which they are run.

    `arms_of` says under which arms each trial id stands. `num_examples` are a task's rows to train
    on and in dev, after max_train_samples, max_eval_samples and what is held out, or by their
    published number where the data could not be read: `unread` then says why, by task, and the
    trials' ids are provisional. With train_sizes these are the rows of the largest; `num_trained`
    has those of each, the smallest first, by task and size (None: all rows). `rows` are those of
    the tasks that could be read.
    """

    spec: StudySpec
    arms: tuple[Arm, ...]
    trials: tuple[Trial, ...]
    arms_of: Mapping[str, tuple[str, ...]]
    num_examples: Mapping[str, tuple[int, int]]
    num_trained: Mapping[str, Mapping[int | None, int]]
    unread: Mapping[str, str] = field(default_factory=dict)
    rows: Mapping[str, TaskRows] = field(default_factory=dict)

    def num_examples_of(self, trial: Trial) -> tuple[int, int]:
        """Return the rows that a trial trains on and those of its dev."""
        return self.num_trained[trial.task][trial.train_size], self.num_examples[trial.task][1]


@search_put_off()
def expand(
    spec: StudySpec, *, data_needed: bool = True, further: Further = MappingProxyType({})
) -> Expanded:
    """Return the study's arms and trials: for each seed (an arm's first, ...), fold, task and
    train_size, all.

    Raises UserError for an unknown task, method, setting or arm, for a max_length beyond the
    checkpoint's positions, for a head to keep that is not for a task's labels, for a tracker that
    is not here, and for data that cannot be read or are not here; with `data_needed` False the last
    is noted in `unread` instead. The `further` seeds (further_seeds.py) come last, of trials of the
    largest train_size.
    """
    where = spec.name
    every = every_arm(spec)
    check_arm_names(spec, every)
    arms = chosen_arms(spec, every)
    check_evaluations(spec, arms)
    require_trackers(spec.track, where=f"{where}: track")
    locate(spec.model, where=f"{where}: model")
    virtual = max(METHODS.get(arm.method).num_virtual_tokens(arm.method_config) for arm in arms)
    check_max_length(spec.model, spec.max_length, virtual, where=f"{where}: max_length")
    model = locate(spec.model)  # the Hub's cache has its config by now, which tells of a head
    rows = {task: read_trial_rows(spec, task, data_needed=data_needed) for task in spec.tasks}
    check_heads(spec, arms, rows)
    check_losses(spec, arms, rows)
    check_claims(spec, every, rows)
    trials: dict[str, Trial] = {}
    arms_of: dict[str, tuple[str, ...]] = {}
    first, folds = spec.seeds[0], _folds(spec)
    of_first = [
        (
            arm,
            Trial(
                task=task,
                data=rows[task].ref,
                model=model,
                method=arm.method,
                method_config=dict(arm.method_config),
                training=arm.training[task],
                seed=first,
                seeds=_seeds(spec, first, folds[0]),
                max_train_samples=rows[task].max_train_samples,
                max_eval_samples=rows[task].max_eval_samples,
                max_length=spec.max_length,
                engine=spec.engine,
                cache_frozen=arm.cache_frozen,
                selection=spec.selection,
                definition=rows[task].definition,
                head=arm.head,
                fold=folds[0],
                train_size=size,
            ),
        )
        for task in spec.tasks
        for size, arm in itertools.product(rows[task].num_trained, arms)
    ]
    added = further_seeds(spec, max(further.values(), default=0))
    seeds_of = {
        (seed, fold): _seeds(spec, seed, fold)
        for seed in {*added, *(seed for arm in arms for seed in arm.seeds)}
        for fold in folds
    }
    num_trials = len(folds) * sum(len(arm.seeds) for arm, _ in of_first)
    with stage("making the trials", total=num_trials, unit="trials") as making:
        numbers = range(max(len(arm.seeds) for arm in arms))
        for number, fold in itertools.product(numbers, folds):
            for arm, of_first_run in of_first:
                for seed in arm.seeds[number : number + 1]:
                    trial = of_first_run.with_run(seed, seeds_of[seed, fold], fold)
                    trials.setdefault(trial.id, trial)
                    arms_of[trial.id] = (*arms_of.get(trial.id, ()), arm.name)
                    making.advance()
        for (number, seed), fold in itertools.product(enumerate(added), folds):
            for arm, of_first_run in of_first:
                task = of_first_run.task
                is_largest = of_first_run.train_size == [*rows[task].num_trained][-1]
                if is_largest and number < further.get((arm.name, task), 0):
                    trial = of_first_run.with_run(seed, seeds_of[seed, fold], fold)
                    trials.setdefault(trial.id, trial)
                    arms_of[trial.id] = (*arms_of.get(trial.id, ()), arm.name)
    return Expanded(
        spec=spec,
        arms=arms,
        trials=tuple(trials.values()),
        arms_of=arms_of,
        num_examples={task: (row.num_train, row.num_dev) for task, row in rows.items()},
        num_trained={task: row.num_trained for task, row in rows.items()},
        unread={task: row.unread for task, row in rows.items() if row.unread},
        rows={task: row.seen for task, row in rows.items() if row.seen is not None},
    )


def _folds(spec: StudySpec) -> Sequence[Fold | None]:
    """Return the folds that a trial may belong to; only None if the study has none."""
    if spec.folds is None:
        return [None]
    return [Fold(number=number + 1, of=spec.folds) for number in range(spec.folds)]


def _seeds(spec: StudySpec, seed: int, fold: Fold | None) -> Seeds:
    return Seeds.of(seed, fold).model_copy(update=spec.fixed_seeds.model_dump(exclude_none=True))
