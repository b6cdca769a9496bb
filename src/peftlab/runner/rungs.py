"""Which settings of a search are given up, told from what they scored and from nothing else.

Optuna's pruners note in a study, as they are asked, that a setting has come to a rung, and answer
otherwise when they are asked again. A process that was killed between such a note and what follows
from it would go on with a setting that was to be given up. So they are asked about a study in
memory, to which everything is told anew.
"""

from __future__ import annotations

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import RandomSampler


class Rungs:
    """The settings of a search at the epochs where it is decided whether they go on.

    `name` is that of the search, by which hyperband shares its settings out.
    """

    def __init__(self, name: str, pruner: BasePruner) -> None:
        # Nothing is sampled: the sampler stands for optuna's own, which takes its time.
        self._study = optuna.create_study(
            study_name=name, direction="maximize", pruner=pruner, sampler=RandomSampler(seed=0)
        )
        self._trials: list[optuna.Trial] = []

    def gives_up(self, number: int, *, epoch: int, score: float) -> bool:
        """Whether the setting of that number, with this score at that epoch, goes no further.

        To be asked once of each epoch, in the order of the numbers and of the epochs.
        """
        while len(self._trials) <= number:
            self._trials.append(self._study.ask())
        trial = self._trials[number]
        trial.report(score, epoch)
        return trial.should_prune()
