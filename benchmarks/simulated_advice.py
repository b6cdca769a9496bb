"""A simulation of "What to use" in many studies whose arms have known true scores and costs.

    OMP_NUM_THREADS=1 python -m benchmarks.simulated_advice --studies 200 --processes 2

Arms are drawn as in simulated_studies; a run takes its arm's true time, with 3% of noise. The
predictions are written as trials write them, and the advice is the report's own, for a margin of
one point and by time. It prints for each case and number of seeds in how many of 100 studies an arm
is recommended, one is whose true mean is more than the margin below the best one's, and which one;
and in how many one is named that will do, while a cheaper one may be as good. The cases:

- `one cheap arm`, `eight cheap arms`: each is truly 1.01 points below the dear one, and cheaper;
- `far`: a cheap arm is 4 points below one that is 10% dearer;
- `equal`: three arms that are equal in score and in time, with other numbers of parameters; the
  last column is how often two studies that recommend an arm recommend the same one;
- `the best one fails`: the best arm's runs fail one time in three, and a cheap one is 4 points
  below it;
- `the cheap one collapses`: of a cheap arm, as good as the dear one where it learns, one run in
  five gives one answer to everything;
- `the cheapest learned nothing`: three arms as in `far`, and one that gives one answer throughout.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from benchmarks.simulated_studies import SHARE_OF_ONE, Setting, draw_arms, true_score
from peftlab.core.identity import derived_seed
from peftlab.core.inputs import ModelRef
from peftlab.core.measurements import Costs, Evaluation, ParameterCount
from peftlab.core.trial import Seeds, Trial
from peftlab.data.demo.source import DemoSource
from peftlab.data.predictions import Predictions, write_predictions
from peftlab.report.findings.advice import advise
from peftlab.report.findings.view import StudyView
from peftlab.stats.outcomes import Outcomes
from peftlab.store.records import PREDICTIONS_FILE, TrialRecord
from peftlab.study.arms import Arm, expand_arms
from peftlab.study.spec import validate
from peftlab.tasks.metrics.registry import score
from peftlab.tasks.registry import TASKS

MARGIN = 1.0
NUM_SEEDS = (3, 5, 10)
TIME_NOISE = 0.03
TASK = TASKS.get("demo-sentiment")
AT_A_TIME = 20
NONE, WILL_DO = -1, -2


@dataclass(frozen=True, kw_only=True)
class Case:
    """A case: each arm's points below the best arm, its time, and its parameters.

    Shares of an arm's runs may fail or collapse, which means that they give one answer to all
    examples. An empty tuple means that no arm has such runs.
    """

    name: str
    below: tuple[float, ...]
    times: tuple[float, ...]
    parameters: tuple[int, ...]
    failed: tuple[float, ...] = ()
    collapsed: tuple[float, ...] = ()


CASES = (
    Case(name="one cheap arm", below=(0.0, 1.01), times=(10.0, 5.0), parameters=(9, 1)),
    Case(
        name="eight cheap arms",
        below=(0.0, *[1.01] * 8),
        times=(10.0, *[5.0 + place / 10 for place in range(8)]),
        parameters=(9, *range(1, 9)),
    ),
    Case(name="far", below=(0.0, 4.0), times=(11.0, 10.0), parameters=(2, 1)),
    Case(name="equal", below=(0.0, 0.0, 0.0), times=(10.0, 10.0, 10.0), parameters=(3, 2, 1)),
    Case(
        name="the best one fails",
        below=(0.0, 4.0),
        times=(10.0, 5.0),
        parameters=(2, 1),
        failed=(1 / 3, 0.0),
    ),
    Case(
        name="the cheap one collapses",
        below=(0.0, 0.0),
        times=(10.0, 5.0),
        parameters=(2, 1),
        collapsed=(0.0, 0.2),
    ),
    Case(
        name="the cheapest learned nothing",
        below=(0.0, 4.0, 0.0),
        times=(11.0, 10.0, 1.0),
        parameters=(3, 2, 1),
        collapsed=(0.0, 0.0, 1.0),
    ),
)


@lru_cache
def shift_for(setting: Setting, points: float) -> float:
    """Return by how many probits an arm is worse if it scores this many points less."""
    best, low, high = true_score(setting, 0.0), 0.0, 3.0
    for _ in range(40):
        middle = (low + high) / 2
        is_beyond = best - true_score(setting, middle) > points
        low, high = (low, middle) if is_beyond else (middle, high)
    return (low + high) / 2


def true_means(case: Case, setting: Setting) -> list[float]:
    """Return the expected score of a run of each arm; one that collapsed gives the common label."""
    constant = 100 * SHARE_OF_ONE
    shares = case.collapsed or (0.0,) * len(case.below)
    best = true_score(setting, 0.0)
    return [
        share * constant + (1 - share) * (best - below)
        for share, below in zip(shares, case.below, strict=True)
    ]


def chosen(case: Case, setting: Setting, generator: np.random.Generator) -> int:
    """Return the index of the arm that is recommended in one study; NONE or WILL_DO if none is."""
    shifts = [shift_for(setting, points) for points in case.below]
    drawn = draw_arms(setting, shifts, generator)
    with tempfile.TemporaryDirectory() as folder:
        view = _view(case, drawn, Path(folder), generator)
        advice = advise(view, view.tasks, margin=MARGIN, reference=None, cost="time")
    if advice.chosen is not None:
        return view.arms.index(advice.chosen)
    return NONE if advice.safe is None else WILL_DO


def _view(
    case: Case, drawn: list[Outcomes], folder: Path, generator: np.random.Generator
) -> StudyView:
    spec = validate(
        {
            "name": "simulated",
            "model": "minilm",
            "data": "demo",
            "tasks": [TASK.name],
            "seeds": list(drawn[0].seeds),
            "arms": {f"arm-{place}": {"method": "bitfit"} for place in range(len(drawn))},
        },
        where="simulated",
    )
    arms = expand_arms(spec, resolve=False)
    by_place = {
        (arm.name, TASK.name): tuple(
            _record(case, place, arm, outcomes, number, folder, generator)
            for number in range(len(outcomes.seeds))
        )
        for place, (arm, outcomes) in enumerate(zip(arms, drawn, strict=True))
    }
    records = tuple(record for own in by_place.values() for record in own)
    return StudyView(spec=spec, arms=arms, tasks=(TASK,), records=records, by_place=by_place)


def _record(
    case: Case,
    place: int,
    arm: Arm,
    outcomes: Outcomes,
    number: int,
    folder: Path,
    generator: np.random.Generator,
) -> TrialRecord:
    labels_N, answers_N = outcomes.labels_N, outcomes.predictions_SN[number]
    if case.collapsed and generator.random() < case.collapsed[place]:
        answers_N = np.ones_like(answers_N)
    is_failed = bool(case.failed) and generator.random() < case.failed[place]
    seed = outcomes.seeds[number]
    own = folder / f"{place}-{seed}"
    own.mkdir()
    logits_NC = np.stack([1 - answers_N, answers_N], axis=1).astype(np.float32)
    predictions = Predictions(row_ids=np.arange(len(labels_N)), labels=labels_N, logits=logits_NC)
    write_predictions(own / PREDICTIONS_FILE, predictions)
    certain_NC = np.stack([1 - labels_N, labels_N], axis=1).astype(np.float32)
    untrained = score(TASK, certain_NC[::-1], labels_N)
    scores = score(TASK, logits_NC, labels_N)
    seconds = case.times[place] * (1 + TIME_NOISE * generator.normal())
    return TrialRecord(
        trial=Trial(
            task=TASK.name,
            data=DemoSource().ref(TASK),
            model=ModelRef(name="minilm", fingerprint="0"),
            method=arm.method,
            method_config=dict(arm.method_config),
            training=arm.training[TASK.name],
            seed=seed,
            seeds=Seeds.of(seed),
        ),
        status="failed" if is_failed else "done",
        arms={"simulated": (arm.name,)},
        evaluations=tuple(
            Evaluation(
                epoch=step, step=step, train_loss=None, eval_loss=1.0 - step / 2, scores=own_scores,
                seconds=seconds * step,
            )
            for step, own_scores in enumerate((untrained, scores))
        ),
        costs=_costs(seconds, case.parameters[place]),
        num_eval_examples=len(labels_N),
        folder=own,
    )  # fmt: skip


def _costs(seconds: float, parameters: int) -> Costs:
    return Costs(
        parameters=ParameterCount(
            trainable=parameters, total=100, total_peft_counting=100, backbone=0,
            adapter=parameters, head=0,
        ),
        device="cpu",
        threads=1,
        train_seconds=seconds,
        eval_seconds=1.0,
        total_seconds=seconds + 1,
        train_examples_per_second=1.0,
        train_tokens_per_second=1.0,
        padding_avoided=0.0,
        peak_memory_bytes=10**9,
        artifact_bytes=10**6,
    )  # fmt: skip


def simulate(case: Case, setting: Setting, seed: int, num_studies: int) -> list[int]:
    """Return the recommendation in each of this number of studies."""
    generator = np.random.default_rng(seed)
    return [chosen(case, setting, generator) for _ in range(num_studies)]


def main() -> None:
    """Print a line for each case and number of seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--examples", type=int, default=3000)
    given = parser.parse_args()
    print("| case | seeds | any | wrong | which | will do | the same |", flush=True)
    with ProcessPoolExecutor(given.processes) as pool:
        for case in CASES:
            for num_seeds in NUM_SEEDS:
                setting = Setting(
                    metric="accuracy", num_seeds=num_seeds, num_examples=given.examples, luck=0.03
                )
                sizes = [AT_A_TIME] * max(1, round(given.studies / AT_A_TIME))
                seeds = [derived_seed(0, case.name, num_seeds, one) for one in range(len(sizes))]
                many = len(sizes)
                parts = pool.map(simulate, [case] * many, [setting] * many, seeds, sizes)
                _print(case, setting, [place for part in parts for place in part])


def _print(case: Case, setting: Setting, found: list[int]) -> None:
    counts = Counter(place for place in found if place >= 0)
    num = sum(counts.values())
    means = true_means(case, setting)
    wrong = sum(count for place, count in counts.items() if means[place] < max(means) - MARGIN)
    pairs = num * (num - 1)
    same = sum(own * (own - 1) for own in counts.values()) / pairs if pairs else float("nan")
    which = ", ".join(f"arm {place}: {100 * counts[place] / len(found):.1f}"
                      for place in sorted(counts))  # fmt: skip
    print(
        f"| {case.name} | {setting.num_seeds} | {100 * num / len(found):.1f} | "
        f"{100 * wrong / len(found):.1f} | {which} | "
        f"{100 * found.count(WILL_DO) / len(found):.1f} | {100 * same:.1f} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
