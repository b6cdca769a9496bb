"""A simulation of the states "learned" and "did not learn", for many arms of known truth.

    OMP_NUM_THREADS=1 python -m benchmarks.simulated_learning --studies 1000
    OMP_NUM_THREADS=1 python -m benchmarks.simulated_learning --metrics f1_macro f1_weighted

An arm has runs that are right on an example of class 0 or 1 with probabilities of their own, which
shift a little from run to run (in probits), as examples do by their difficulty. For each kind of
arm, metric and number of seeds it prints the gain over the bar (the best constant answer, or the
chance level where that is better) and how often each state is found. "Learned" should be found in
at most 2.5% of arms with a gain of 0 or less, and "did not learn" in at most 5% (there are two ways
to it) of those with a gain of 1 point or more.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import dataclass

import numpy as np
from scipy import stats

from peftlab.core.identity import derived_seed
from peftlab.stats.constant import best_constant
from peftlab.stats.learned import constants_of, judge
from peftlab.stats.outcomes import Outcomes
from peftlab.stats.resample import resample
from peftlab.stats.state import LearningState

NUM_EXAMPLES = 400
DIFFICULTY, LUCK = 0.5, 0.05
"""Deviations of an example's difficulty and of a run's luck, in probits."""
NUM_RESAMPLES = 1000
STATES: tuple[LearningState, ...] = ("learned", "did not learn", "cannot tell")


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of arm, which is `right` on these shares of the examples of class 0 and of class 1."""

    name: str
    metric: str
    share_of_one: float
    right: tuple[float, float]


KINDS = (
    Kind(name="coin flips", metric="accuracy", share_of_one=0.5, right=(0.5, 0.5)),
    Kind(name="98% one answer", metric="accuracy", share_of_one=0.6, right=(0.02, 0.98)),
    Kind(name="98% the worse answer", metric="accuracy", share_of_one=0.4, right=(0.02, 0.98)),
    Kind(name="as good as a constant", metric="accuracy", share_of_one=0.6, right=(0.3, 0.8)),
    Kind(name="1 point better", metric="accuracy", share_of_one=0.6, right=(0.1, 0.95)),
    Kind(name="5 points better", metric="accuracy", share_of_one=0.6, right=(0.35, 0.85)),
    Kind(name="10 points better", metric="accuracy", share_of_one=0.6, right=(0.475, 0.85)),
    Kind(name="20 points better", metric="accuracy", share_of_one=0.6, right=(0.725, 0.85)),
    Kind(name="coin flips", metric="f1", share_of_one=0.3, right=(0.5, 0.5)),
    Kind(name="as good as a constant", metric="f1", share_of_one=0.3, right=(0.55, 0.615)),
    Kind(name="20 points better", metric="f1", share_of_one=0.3, right=(0.84, 0.73)),
    Kind(name="coin flips", metric="matthews_correlation", share_of_one=0.7, right=(0.5, 0.5)),
    Kind(name="98% one answer", metric="matthews_correlation", share_of_one=0.7,
         right=(0.02, 0.98)),
    Kind(name="weak", metric="matthews_correlation", share_of_one=0.7, right=(0.3, 0.85)),
    Kind(name="strong", metric="matthews_correlation", share_of_one=0.7, right=(0.6, 0.9)),
    Kind(name="coin flips", metric="f1_macro", share_of_one=0.5, right=(0.5, 0.5)),
    Kind(name="drawn from the labels", metric="f1_macro", share_of_one=0.2, right=(0.8, 0.2)),
    Kind(name="98% one answer", metric="f1_macro", share_of_one=0.5, right=(0.02, 0.98)),
    Kind(name="weak", metric="f1_macro", share_of_one=0.5, right=(0.55, 0.55)),
    Kind(name="strong", metric="f1_macro", share_of_one=0.2, right=(0.85, 0.5)),
    Kind(name="coin flips", metric="f1_weighted", share_of_one=0.5, right=(0.5, 0.5)),
    Kind(name="drawn from the labels", metric="f1_weighted", share_of_one=0.4, right=(0.6, 0.4)),
    Kind(name="weak", metric="f1_weighted", share_of_one=0.5, right=(0.55, 0.55)),
    Kind(name="strong", metric="f1_weighted", share_of_one=0.4, right=(0.65, 0.6)),
)  # fmt: skip


def draw(kind: Kind, num_seeds: int, generator: np.random.Generator) -> Outcomes:
    """Return the runs of an arm; its shares of right answers hold over all luck and difficulty."""
    labels_N = (generator.random(NUM_EXAMPLES) < kind.share_of_one).astype(np.int64)
    scale = np.sqrt(1 + DIFFICULTY**2 + LUCK**2)
    ease_N = scale * stats.norm.ppf(np.asarray(kind.right))[labels_N]
    ease_N = ease_N + DIFFICULTY * generator.normal(size=NUM_EXAMPLES)
    luck_S1 = LUCK * generator.normal(size=(num_seeds, 1))
    is_right_SN = generator.normal(size=(num_seeds, NUM_EXAMPLES)) < ease_N + luck_S1
    return Outcomes(
        metric=kind.metric,
        labels_N=labels_N,
        predictions_SN=np.where(is_right_SN, labels_N, 1 - labels_N),
        seeds=tuple(range(num_seeds)),
    )


def state_of(outcomes: Outcomes, generator: np.random.Generator) -> LearningState:
    """Return the state that the arm's runs show."""
    constants = constants_of([outcomes])
    own, drawn = resample([outcomes, constants.outcomes], generator, num=NUM_RESAMPLES)
    return judge(outcomes, own, constants, drawn).state


def true_gain(kind: Kind, generator: np.random.Generator) -> float:
    """Return the mean score of many runs less their bar, in points."""
    every = [draw(kind, 5, generator) for _ in range(200)]
    scores = np.mean([one.scores_S.mean() for one in every])
    labels_N = np.concatenate([one.labels_N for one in every])
    chances = [one.chance_S.mean() for one in every if one.chance_S is not None]
    bar = max(best_constant(kind.metric, labels_N).score, np.mean(chances) if chances else -np.inf)
    return float(scores - bar)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 5])
    parser.add_argument("--metrics", nargs="+", default=sorted({kind.metric for kind in KINDS}))
    chosen = parser.parse_args()
    print("| arm | metric | gain | seeds | learned | did not learn | cannot tell |")
    print("| --- | --- | --: | --: | --: | --: | --: |")
    for kind in [kind for kind in KINDS if kind.metric in chosen.metrics]:
        for num_seeds in chosen.seeds:
            seed = derived_seed(0, kind.name, kind.metric, str(num_seeds))
            generator = np.random.default_rng(seed)
            gain = true_gain(kind, generator)
            found = Counter(
                state_of(draw(kind, num_seeds, generator), generator) for _ in range(chosen.studies)
            )
            shares = " | ".join(f"{100 * found[state] / chosen.studies:.1f}" for state in STATES)
            print(f"| {kind.name} | {kind.metric} | {gain:+.1f} | {num_seeds} | {shares} |")


if __name__ == "__main__":
    main()
