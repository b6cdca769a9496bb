"""The choice of the setting that a search tries next, and of those it gives up: optuna's part of
`peftlab tune`.

Imported by that command alone. All that optuna remembers lies in one SQLite file. Of a search it
knows only what it is told, and what it suggests follows from that and from the setting's number:
a search whose file is lost suggests the same again, and finds its trials done.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import optuna
from alembic.util import CommandError
from optuna.exceptions import OptunaError, StorageInternalError
from optuna.pruners import BasePruner, HyperbandPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import RandomSampler, TPESampler
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError

from peftlab.core.errors import StorageError, UserError, first_line
from peftlab.core.identity import canonical_json, derived_seed
from peftlab.study.tuning.attempts import Ended
from peftlab.study.tuning.search import Search
from peftlab.study.tuning.space import Choice, Dimension

if TYPE_CHECKING:
    from pydantic import JsonValue

Pruning = Literal["hyperband", "halving", "none"]

FILE = "tuning.sqlite"
REDUCTION = 3
"""At each rung one in REDUCTION settings goes on, for REDUCTION times as many epochs."""
NUM_RANDOM = 5
"""The number of settings that are drawn at random before the sampler looks at any scores."""
ENDS: dict[Ended, TrialState] = {
    "done": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """A setting to be tried, numbered from 0 within its search."""

    number: int
    setting: Mapping[str, JsonValue]
    trial: optuna.Trial


@contextmanager
def opened_storage(workspace: Path) -> Iterator[RDBStorage]:
    """Open the file of all searches in a workspace.

    Raises UserError for one that cannot be read, StorageError for one that no longer can.
    """
    path = workspace / FILE
    url = URL.create("sqlite", database=str(path))
    try:
        storage = RDBStorage(url.render_as_string())
    except (SQLAlchemyError, OptunaError, CommandError, RuntimeError, ValueError) as error:
        raise UserError(
            f"cannot use the file of earlier searches: {first_line(error)}",
            where=str(path),
            remedy="remove it: what was trained is found again",
        ) from error
    try:
        yield storage
    except (SQLAlchemyError, StorageInternalError) as error:
        raise StorageError(f"cannot use it: {first_line(error)}", where=str(path)) from error
    finally:
        storage.engine.dispose()


@dataclass(frozen=True, kw_only=True)
class EndedSetting:
    """A setting that was tried, numbered from 0 within its search, and how it ended."""

    number: int
    setting: Mapping[str, JsonValue]
    status: Ended


class Sampler:
    """Optuna's study of one search, which asks for settings in batches of a fixed size.

    Batch 0 has the settings 0 to `batch` - 1, and so on. No setting of a batch is told to optuna
    before all of them are asked for.
    """

    def __init__(
        self,
        search: Search,
        storage: RDBStorage,
        *,
        study: str,
        pruning: Pruning,
        batch: int = 1,
    ) -> None:
        self._search, self._storage = search, storage
        asked = [pruning] if batch == 1 else [pruning, batch]
        self._name = f"{study}/{search.arm.name}/{search.task}/{search.identity(*asked)}"
        self._pruning, self._batch = pruning, batch
        self._study = self._open()
        self._rungs = self._recalled_rungs()

    def ended(self) -> list[EndedSetting]:
        """Return the settings that have ended, by number."""
        statuses = {state: status for status, state in ENDS.items()}
        return [
            EndedSetting(
                number=trial.number,
                setting=self._setting(trial.params),
                status=statuses[trial.state],
            )
            for trial in self._study.get_trials(deepcopy=False, states=tuple(statuses))
        ]

    def forget(self) -> None:
        """Begin the search anew."""
        optuna.delete_study(study_name=self._name, storage=self._storage)
        self._study = self._open()
        self._rungs = self._recalled_rungs()

    @property
    def has_begun(self) -> bool:
        """Whether a batch that was begun has a setting that has not ended."""
        return bool(self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))

    def next_batch(self, most: int | None = None) -> list[Suggestion]:
        """Return the settings of the next batch, by number.

        If a batch was begun, those of it that have not ended. There are never more than `most`
        settings in the search.
        """
        trials = self._study.get_trials(deepcopy=False)
        begun = [one.number for one in trials if one.state == TrialState.RUNNING]
        asked = sum(one.state != TrialState.WAITING for one in trials)
        end = self._batch * (min([*begun, asked]) // self._batch + 1)
        new = range(asked, end if most is None else min(end, most))
        return [
            *(self._suggestion(number, is_begun=True) for number in begun),
            *(self._suggestion(number, is_begun=False) for number in new),
        ]

    def _suggestion(self, number: int, *, is_begun: bool) -> Suggestion:
        """Return the setting of that number, which is the next one unless it was begun."""
        self._seed(number)
        trial = optuna.Trial(self._study, self._trial_id(number)) if is_begun else self._study.ask()
        for key, dimension in self._search.space.items():
            self._seed(number, key)
            _suggest(trial, key, dimension)
        return Suggestion(number=trial.number, setting=self._setting(trial.params), trial=trial)

    def given_up(self, epoch: int, scores: Mapping[int, float]) -> set[int]:
        """Return which settings of a batch, of these scores at this epoch, are given up there.

        Asked of all that have come to the epoch together, and once of each epoch; a process that
        comes after one that was killed is told the same.
        """
        trials = self._study.get_trials(deepcopy=False)
        first = self._batch * (min(scores) // self._batch)
        reached: dict[int, float] = {}
        for trial in trials[first : first + self._batch]:
            if epoch in trial.intermediate_values:  # also of one that was given up here before
                reached[trial.number] = trial.intermediate_values[epoch]
            elif trial.number in scores:
                reached[trial.number] = scores[trial.number]
                self._storage.set_trial_intermediate_value(
                    self._trial_id(trial.number), epoch, scores[trial.number]
                )
        return {
            number
            for number, score in sorted(reached.items())
            if self._rungs.gives_up(number, epoch=epoch, score=score) and number in scores
        }

    def end(
        self,
        suggestion: Suggestion,
        status: Ended,
        score: float | None = None,
    ) -> None:
        """Tell optuna how the setting ended."""
        self._study.tell(suggestion.trial, score, state=ENDS[status])

    def _open(self) -> optuna.Study:
        # Nothing is asked of this pruner, but the sampler looks at what it is.
        study = optuna.create_study(
            storage=self._storage,
            study_name=self._name,
            direction="maximize",
            pruner=_pruner(self._pruning, self._search.most_epochs),
            load_if_exists=True,
        )
        if not study.get_trials(deepcopy=False):
            space = self._search.space
            own = {key: _told(space[key], one) for key, one in self._search.own_setting.items()}
            study.enqueue_trial(own)
        return study

    def _recalled_rungs(self) -> Rungs:
        """Return the rungs with the scores of the batches that have ended."""
        rungs = Rungs(self._name, _pruner(self._pruning, self._search.most_epochs))
        trials = self._study.get_trials(deepcopy=False)
        begun = [trial.number for trial in trials if not trial.state.is_finished()]
        end = self._batch * (min(begun, default=len(trials) + self._batch) // self._batch)
        told = [
            (trial.number // self._batch, epoch, trial.number, score)
            for trial in trials[:end]
            for epoch, score in trial.intermediate_values.items()
        ]
        for _, epoch, number, score in sorted(told):
            rungs.gives_up(number, epoch=epoch, score=score)
        return rungs

    def _trial_id(self, number: int) -> int:
        """Return the storage's id of the trial with that number in the study."""
        study_id = self._storage.get_study_id_from_name(self._name)
        return self._storage.get_trial_id_from_study_id_trial_number(study_id, number)

    def _setting(self, params: Mapping[str, Any]) -> dict[str, JsonValue]:
        """Return the setting that optuna's parameters encode: a choice is stored as JSON."""
        space = self._search.space
        return {
            key: json.loads(value) if isinstance(space[key], Choice) else value
            for key, value in params.items()
        }

    def _seed(self, number: int, *key: str) -> None:
        """Seed the sampler for that number and key: it draws the same whenever it is asked.

        Also after a process that was killed between one key and the next.
        """
        seed = derived_seed(number, "search", self._search.identity(), *key) % 2**32
        self._study.sampler = TPESampler(seed=seed, n_startup_trials=NUM_RANDOM)


def _pruner(pruning: Pruning, most_epochs: int) -> BasePruner:
    if pruning == "none":
        return NopPruner()
    if pruning == "halving" or most_epochs < REDUCTION:
        return SuccessiveHalvingPruner(min_resource=1, reduction_factor=REDUCTION)
    return HyperbandPruner(min_resource=1, max_resource=most_epochs, reduction_factor=REDUCTION)


def _suggest(trial: optuna.Trial, key: str, dimension: Dimension) -> None:
    """Let optuna draw the parameter `key` of the trial, unless it has drawn it before."""
    if isinstance(dimension, Choice):
        trial.suggest_categorical(key, [str(_told(dimension, one)) for one in dimension.values])
    elif dimension.is_whole:
        trial.suggest_int(key, int(dimension.low), int(dimension.high), log=dimension.log)
    else:
        trial.suggest_float(key, float(dimension.low), float(dimension.high), log=dimension.log)


def _told(dimension: Dimension, value: JsonValue) -> JsonValue:
    """Return a value in the form that optuna stores: JSON for a choice, since it takes no lists."""
    return canonical_json(value) if isinstance(dimension, Choice) else value


class Rungs:
    """The settings of a search at the epochs that decide whether they continue.

    Which are given up is told from what they scored and from nothing else. Optuna's pruners note in
    a study, as they are asked, that a setting has come to a rung, and answer otherwise when they
    are asked again. A process that was killed between such a note and what follows from it would
    go on with a setting that was to be given up. So they are asked about a study in memory, to
    which everything is told anew. `name` is that of the search, by which hyperband shares its
    settings out.
    """

    def __init__(self, name: str, pruner: BasePruner) -> None:
        # Nothing is sampled: the sampler stands for optuna's own, which takes its time.
        self._study = optuna.create_study(
            study_name=name, direction="maximize", pruner=pruner, sampler=RandomSampler(seed=0)
        )
        self._trials: list[optuna.Trial] = []

    def gives_up(self, number: int, *, epoch: int, score: float) -> bool:
        """Return whether the setting `number` is given up, given its score at that epoch.

        It must be called once for each epoch, in the order of batches, epochs and numbers.
        """
        while len(self._trials) <= number:
            self._trials.append(self._study.ask())
        trial = self._trials[number]
        trial.report(score, epoch)
        return trial.should_prune()
