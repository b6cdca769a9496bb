"""A simulation of whether the statistics keep their promises, in many studies of known truth.

    OMP_NUM_THREADS=1 python -m benchmarks.simulated_studies --studies 2000 --processes 2

A study has several arms on the same examples. A run of an arm has its luck, an example its
difficulty; whether a run is right on an example is a draw of its own given both (a probit model).
All arms but the last are equal; the last is worse by a known difference, which is also the margin
of the equivalence test. It prints, for each metric and number of seeds, how often the 95% intervals
of the page hold the truth (of a mean; of the difference to the last arm), how often equal arms are
called different (paired by seed; with other seeds), how often any of four such comparisons is after
Holm, and how often two arms that differ by the margin are called equivalent. Beside it, coverage of
what was not chosen: the percentile interval of resampled seeds and examples, and the normal
quantile; and the width: how wide the interval of a mean is on average, over that of the normal
interval that knows how means vary from study to study. Further cases: runs that collapse, hardly
any errors in few examples, and two runs on many examples.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import stats

from peftlab.core.identity import derived_seed
from peftlab.stats.compare import difference
from peftlab.stats.families import holm
from peftlab.stats.noise import LEVEL, noise_of
from peftlab.stats.outcomes import Outcomes
from peftlab.stats.resample import Resampled, resample
from peftlab.stats.summary import summarise
from peftlab.tasks.problem import Floats

METRICS = ("accuracy", "f1", "matthews_correlation")
NUM_SEEDS = (2, 3, 5, 10)
NUM_EQUAL = 5
"""The number of equal arms; one more arm is worse."""
SHARE_OF_ONE, EASE = 0.65, (0.9, 1.5)
"""The share of examples of class 1, and how easy those of class 0 and 1 are, in probits."""
DIFFICULTY, LUCK, WORSE = 1.0, 0.1, 0.2
"""Deviations of an example's difficulty and of a run's luck; by how much the last arm is worse."""
AT_A_TIME = 50
NUM_RESAMPLES = 1000
"""Half of what a report draws: a standard error is then off by 2.2%, not 1.6%."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A simulated setting; a share `collapsed` of the runs answers 1 to everything.

    `ease` is that of examples of class 0 and 1, `luck` the deviation of a run's luck, both in
    probits; its `tails` are normal, or those of Student's t with three degrees of freedom.
    """

    metric: str
    num_seeds: int = 3
    num_examples: int = 400
    ease: tuple[float, float] = EASE
    collapsed: float = 0.0
    luck: float = LUCK
    tails: Literal["normal", "t3"] = "normal"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of one simulated study: whether intervals held the truth, and the verdicts.

    `difference_held` is None if all runs of both arms gave the same answers: the page then has no
    interval.
    """

    mean: float
    width: float
    mean_held: bool
    percentile_held: bool
    normal_held: bool
    difference_held: bool | None
    equal_called_different: bool
    other_seeds_called_different: bool
    any_called_different: bool
    margin_called_equivalent: bool


HELD = tuple(name for name in Outcome.__dataclass_fields__ if name not in ("mean", "width"))
CASES: dict[str, tuple[Setting, tuple[int, ...]]] = {
    **{metric: (Setting(metric=metric), NUM_SEEDS) for metric in METRICS},
    "few errors": (Setting(metric="accuracy", num_examples=100, ease=(3.55, 3.55)), NUM_SEEDS),
    "many examples": (Setting(metric="accuracy", num_examples=3000), NUM_SEEDS),
    "collapsed": (Setting(metric="matthews_correlation", collapsed=0.2), NUM_SEEDS),
}
"""The settings, with their numbers of seeds. In `few errors` 99.4% of the answers are right."""


def simulate(setting: Setting, seed: int, num_studies: int) -> list[Outcome]:
    """Return the outcomes of this number of studies, drawn from the seed."""
    generator = np.random.default_rng(seed)
    right, worse = true_score(setting, 0.0), true_score(setting, WORSE)
    return [_study(setting, generator, right, right - worse) for _ in range(num_studies)]


def draw(setting: Setting, generator: np.random.Generator) -> list[Outcomes]:
    """Return the outcomes of the equal arms and of the worse one, all with the same seeds."""
    return draw_arms(setting, [0.0] * NUM_EQUAL + [WORSE], generator)


def draw_arms(
    setting: Setting, shifts: Sequence[float], generator: np.random.Generator
) -> list[Outcomes]:
    """Return the outcomes of arms that are worse by these probits, all with the same seeds."""
    num_seeds, num_examples = setting.num_seeds, setting.num_examples
    labels_N = (generator.random(num_examples) < SHARE_OF_ONE).astype(np.int64)
    ease_N = np.asarray(setting.ease)[labels_N] + DIFFICULTY * generator.normal(size=num_examples)
    every = []
    for shift in shifts:
        if setting.tails == "normal":
            luck_S1 = setting.luck * generator.normal(size=(num_seeds, 1))
        else:
            luck_S1 = setting.luck * generator.standard_t(3, size=(num_seeds, 1)) / math.sqrt(3)
        is_right_SN = generator.normal(size=(num_seeds, num_examples)) < ease_N + luck_S1 - shift
        predictions_SN = np.where(is_right_SN, labels_N, 1 - labels_N)
        predictions_SN[generator.random(num_seeds) < setting.collapsed] = 1
        every.append(
            Outcomes(
                metric=setting.metric,
                labels_N=labels_N,
                predictions_SN=predictions_SN,
                seeds=tuple(range(num_seeds)),
            )
        )
    return every


def true_score(setting: Setting, shift: float) -> float:
    """Return the expected score of a run on all examples there could be, in points."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    scale = math.sqrt(1 + DIFFICULTY**2)
    right_0, right_1 = (
        stats.norm.cdf((ease - shift + setting.luck * nodes) / scale) for ease in setting.ease
    )
    hits, misses = SHARE_OF_ONE * right_1, SHARE_OF_ONE * (1 - right_1)
    passes, alarms = (1 - SHARE_OF_ONE) * right_0, (1 - SHARE_OF_ONE) * (1 - right_0)
    if setting.metric == "accuracy":
        scores, collapsed = hits + passes, SHARE_OF_ONE
    elif setting.metric == "f1":
        scores = 2 * hits / (2 * hits + misses + alarms)
        collapsed = 2 * SHARE_OF_ONE / (1 + SHARE_OF_ONE)
    else:
        below = (hits + alarms) * (hits + misses) * (passes + alarms) * (passes + misses)
        scores, collapsed = (hits * passes - misses * alarms) / np.sqrt(below), 0.0
    trained = float(weights @ scores / weights.sum())
    return 100 * ((1 - setting.collapsed) * trained + setting.collapsed * collapsed)


def _study(setting: Setting, generator: np.random.Generator, truth: float, gap: float) -> Outcome:
    outcomes = draw(setting, generator)
    every = resample(outcomes, generator, num=NUM_RESAMPLES)
    first, worse = every[0], every[-1]
    noise, mean = noise_of(first), float(first.merits_S.mean())
    with_worse = difference(first, worse)
    equal = [difference(first, other).p_value for other in every[1:NUM_EQUAL]]
    unpaired = difference(first, _with_other_seeds(every[1]))
    low, high = np.quantile(_naive(first, generator), [LEVEL / 2, 1 - LEVEL / 2])
    shown = summarise(outcomes[0], resampled=first)
    return Outcome(
        mean=mean,
        width=shown.high - shown.low,
        mean_held=shown.low <= truth <= shown.high,
        percentile_held=bool(low <= truth <= high),
        normal_held=abs(mean - truth) <= float(stats.norm.ppf(1 - LEVEL / 2)) * noise.error,
        difference_held=with_worse.low <= gap <= with_worse.high
        if with_worse.noise.is_known
        else None,
        equal_called_different=equal[0] <= LEVEL,
        other_seeds_called_different=unpaired.p_value <= LEVEL,
        any_called_different=min(holm(equal)) <= LEVEL,
        margin_called_equivalent=with_worse.equivalence_p(gap) <= LEVEL,
    )


def _with_other_seeds(one: Resampled) -> Resampled:
    return Resampled(
        merits_S=one.merits_S,
        replicates_RS=one.replicates_RS,
        seeds=tuple(seed + len(one.seeds) for seed in one.seeds),
        num_examples=one.num_examples,
    )


def _naive(one: Resampled, generator: np.random.Generator) -> Floats:
    """Return means of resampled seeds under resampled examples."""
    num_seeds = len(one.seeds)
    chosen_RS = generator.integers(0, num_seeds, size=one.replicates_RS.shape)
    means_R: Floats = np.take_along_axis(one.replicates_RS, chosen_RS, axis=1).mean(axis=1)
    return means_R


def seconds_of_resampling() -> float:
    """Return the seconds of 10,000 x 10,000 resamples of 5 seeds for Matthews' correlation."""
    generator = np.random.default_rng(0)
    setting = Setting(metric="matthews_correlation", num_seeds=5, num_examples=10_000)
    outcomes = draw(setting, generator)[0]
    began = time.perf_counter()
    resample([outcomes], generator, num=10_000)
    return time.perf_counter() - began


def main() -> None:
    """Print a line for each setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--case", choices=CASES, help="only this one")
    parser.add_argument("--seeds", type=int, help="only this number of seeds")
    parser.add_argument("--chance", type=int, default=0, help="for other studies")
    given = parser.parse_args()
    print(f"10,000 x 10,000 x 5, Matthews: {seconds_of_resampling():.2f} s", flush=True)
    settings = {
        (name, num_seeds): replace(setting, num_seeds=num_seeds)
        for name, (setting, numbers) in CASES.items()
        for num_seeds in numbers
        if given.case in (None, name) and given.seeds in (None, num_seeds)
    }
    columns = [name.replace("_", " ") for name in (*HELD, "width")]
    print("| case | seeds |", " | ".join(columns), "|", flush=True)
    with ProcessPoolExecutor(given.processes) as pool:
        for (name, num_seeds), setting in settings.items():
            sizes = [AT_A_TIME] * (given.studies // AT_A_TIME)
            seeds = [
                derived_seed(given.chance, name, num_seeds, part) for part in range(len(sizes))
            ]
            parts = pool.map(simulate, [setting] * len(sizes), seeds, sizes)
            found = [outcome for part in parts for outcome in part]
            print(f"| {name} | {num_seeds} |", " | ".join(_shares(found)), "|", flush=True)


def _shares(found: Sequence[Outcome]) -> list[str]:
    """Return how often each holds, in percent, and the relative width of the interval of a mean."""
    every = [[getattr(outcome, name) for outcome in found] for name in HELD]
    shares = [100 * np.mean([value for value in values if value is not None]) for values in every]
    known = 2 * stats.norm.ppf(1 - LEVEL / 2) * np.std([outcome.mean for outcome in found], ddof=1)
    width = np.mean([outcome.width for outcome in found]) / known
    return [*(f"{share:.1f}" for share in shares), f"{width:.2f}"]


if __name__ == "__main__":
    main()
