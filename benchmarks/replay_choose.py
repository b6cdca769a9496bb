"""How good is what `peftlab choose` names, and what does it save? A replay on a grid of trials.

    OMP_NUM_THREADS=1 python -m benchmarks.replay_choose --glue path/to/glue --own rows.csv

trains what is missing of a grid (the six methods of `choose` at their usual learning rates, ten
seeds, SST-2, CoLA, MRPC and a file of one's own, all cut to --rows), in a workspace that keeps it,
so that it can be stopped at any time. Then it replays the rounds of `choose` on each data set with
the seeds in an order that is drawn anew for each of --replays: a seed that is asked for is taken
from the grid with what it cost. It prints, for each data set,

- in how many of 100 replays the arm that is named is within a point of the best mean of all ten
  seeds, and the lower end of that share's 95% interval (Clopper and Pearson);
- in how many the choice was decided, and not ended by the budget;
- the compute of the trials that were taken as a share of that of all arms with five seeds each: its
  mean, and what nine of ten replays stay below.

The search is no part of the replay. --budget is in the same share; 1 is the compute of all arms
with five seeds.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from scipy import stats

from peftlab.api.study import Study
from peftlab.core.identity import derived_seed
from peftlab.core.safe_yaml import parse_yaml
from peftlab.core.trial import Seeds
from peftlab.report.findings.advice import advise
from peftlab.report.findings.asking import questions
from peftlab.report.findings.questions import Place, next_round, seconds_of_round
from peftlab.report.findings.view import StudyView, make_view
from peftlab.store.records import TrialRecord
from peftlab.store.workspace import Workspace
from peftlab.study.decide_spec import DecideSpec
from peftlab.study.declarations import advice_options
from peftlab.study.new.choice import METHODS, SEED
from peftlab.study.new.draft import draft
from peftlab.study.tuning.attempts import spent_seconds
from peftlab.tasks.scores import sign_of

GLUE_TASKS = ("sst2", "cola", "mrpc")
NUM_SEEDS, OF_ALL = 10, 5
MARGIN = 1.0


@dataclass(frozen=True, kw_only=True)
class Replay:
    """What a replay named, by how much it is below the best, and the compute that it took."""

    arm: str
    below: float
    is_decided: bool
    share: float


def main() -> None:
    """Train what is missing, replay, and print a line for each data set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--glue", help="a GLUE folder")
    parser.add_argument("--own", type=Path, help="a file of one's own, as peftlab new takes it")
    parser.add_argument("--workspace", type=Path, default=Path("peftlab-runs"))
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--replays", type=int, default=500)
    parser.add_argument("--budget", type=float, default=0.5)
    given = parser.parse_args()
    studies = [Study.from_dict(raw, workspace=given.workspace) for raw in grids(given)]
    for study in studies:
        study.run()
    print("| data | within a point | at least | decided | compute, mean | nine of ten | named |")
    print("| --- | --: | --: | --: | --: | --: | --- |")
    for study in studies:
        with Workspace.open(given.workspace) as opened:
            view = make_view(opened, study.name)
        _print(study.name, replays(view, given.replays, given.budget))


def grids(given: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the studies of the grid, one for each data set."""
    arms = {
        name: {**parse_yaml(f"{{{settings}}}", where=name), "training": {"learning_rate": rate}}
        for name, (settings, rate) in METHODS.items()
    }
    common = {
        "model": given.model,
        "seeds": [*range(SEED, SEED + NUM_SEEDS)],
        "max_train_samples": given.rows,
        "max_eval_samples": given.rows,
        "training": {
            "num_train_epochs": 3,
            "per_device_train_batch_size": 16,
            "warmup_steps": 0.06,
        },
        "arms": arms,
        "report": [{"advice": {"margin": MARGIN}}],
    }
    found = []
    if given.glue:
        found += [
            {**common, "name": f"grid-{task}", "data": given.glue, "tasks": [task]}
            for task in GLUE_TASKS
        ]
    if given.own is not None:
        drafted = parse_yaml(draft(Path("grid.yaml"), given.own).text, where="grid.yaml")
        found.append({**common, "name": f"grid-{given.own.stem}", "data": drafted["data"]})
    return found


def replays(view: StudyView, num: int, budget: float) -> list[Replay]:
    """Return what so many replays name; the budget is a share of all arms with OF_ALL seeds."""
    (task,) = view.tasks
    rule = DecideSpec(margin=MARGIN, max_seeds=NUM_SEEDS)
    spec = view.spec.model_copy(update={"seeds": (SEED,), "decide": rule})
    arms = tuple(replace(arm, seeds=(SEED,)) for arm in view.arms)
    view = replace(view, spec=spec, arms=arms, looks=())
    sign = sign_of(task.main_metric)
    summaries = {arm.name: view.summary(arm, task) for arm in arms}
    merits = {name: sign * one.mean for name, one in summaries.items() if one is not None}
    of_all = OF_ALL * sum(fmean(spent_seconds(one) for one in view.of(arm, task)) for arm in arms)
    found = []
    for number in range(num):
        generator = np.random.default_rng(derived_seed(0, "replay", spec.name, number))
        order = [*map(int, generator.permutation(NUM_SEEDS))]
        found.append(_replay(view, order, rule, merits, of_all, budget * of_all))
    return found


def _replay(
    grid: StudyView,
    order: Sequence[int],
    rule: DecideSpec,
    merits: Mapping[str, float],
    of_all: float,
    budget: float,
) -> Replay:
    """Return what the rounds name if the grid's seeds come in this order."""
    options = advice_options(grid.spec)[0]
    further: dict[Place, int] = {}
    while True:
        view = _with(grid, order, further)
        (asked,) = questions(view, ())
        wanted = next_round(view, [asked], rule)
        spent = sum(spent_seconds(record) for record in view.records)
        if not wanted or spent + seconds_of_round(view, wanted) > budget:
            break
        further = wanted
    advice = advise(
        view, view.tasks, margin=options.margin, reference=options.reference, cost=options.cost
    )
    named = advice.chosen or advice.safe or advice.reference
    assert named is not None, "every arm of the grid has a run"
    return Replay(
        arm=named.name,
        below=max(merits.values()) - merits[named.name],
        is_decided=advice.chosen is not None,
        share=spent / of_all,
    )


def _with(grid: StudyView, order: Sequence[int], further: Mapping[Place, int]) -> StudyView:
    """Return the view of the first seeds in this order, numbered as `choose` numbers them."""
    by_place = {
        place: tuple(
            _as_seed(records[at], SEED + number)
            for number, at in enumerate(order[: 1 + further.get(place, 0)])
        )
        for place, records in grid.by_place.items()
    }
    every = tuple(record for records in by_place.values() for record in records)
    return replace(grid, by_place=by_place, records=every)


def _as_seed(record: TrialRecord, seed: int) -> TrialRecord:
    return replace(record, trial=record.trial.with_run(seed, Seeds.of(seed)))


def _print(name: str, found: Sequence[Replay]) -> None:
    num = sum(one.below <= MARGIN for one in found)
    least = float(stats.beta.ppf(0.025, num, len(found) - num + 1)) if num else 0.0
    shares = [one.share for one in found]
    cells = [
        f"{100 * num / len(found):.1f}",
        f"{100 * least:.1f}",
        f"{100 * fmean(one.is_decided for one in found):.1f}",
        f"{fmean(shares):.2f}",
        f"{np.quantile(shares, 0.9):.2f}",
        ", ".join(f"{arm} {count}" for arm, count in Counter(one.arm for one in found).items()),
    ]
    print(f"| {name} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
