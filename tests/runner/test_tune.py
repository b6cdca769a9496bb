"""A search is fair, stops settings that fall behind, and continues where it was stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from peftlab.core.errors import UserError
from peftlab.core.measurements import Evaluation
from peftlab.core.trial import Trial
from peftlab.engine.job import Job
from peftlab.runner import sampler
from peftlab.runner.executors.base import Executor, ExecutorOptions, JobSource
from peftlab.runner.executors.inline import InlineExecutor
from peftlab.runner.executors.pool import PoolExecutor
from peftlab.runner.sampler import FILE
from peftlab.runner.tune import tune
from peftlab.store.workspace import Workspace
from peftlab.study.spec import validate
from peftlab.study.tune_spec import TuneSpec
from peftlab.study.tuning.attempts import SearchAttempt, attempts
from peftlab.study.tuning.search import Searches, expand_searches

from .conftest import OUTCOME, Listener, Telling

RATES = {"learning_rate": {"low": 1e-5, "high": 1e-1, "log": True}, "num_train_epochs": 4}
Score = Callable[[Trial, int], float]


def by_rate(trial: Trial, epoch: int) -> float:
    """Return a score that grows with epoch and seed, and is best at the highest rate."""
    return min(90.0, 1000 * trial.training.learning_rate) + epoch + trial.seed / 10


class FakeExecutor:
    """An executor that trains nothing: a trial has a given score, and an epoch takes a second.

    `checkpoints` has the last epoch of each trial, and `trained` each (trial, epoch) trained.
    """

    def __init__(
        self,
        score: Score = by_rate,
        stop_at: int | None = None,
        checkpoints: dict[str, int] | None = None,
    ) -> None:
        self.score, self.stop_at = score, stop_at
        self.jobs: list[Job] = []
        self.checkpoints = {} if checkpoints is None else checkpoints
        self.trained: list[tuple[str, int]] = []

    def run(self, source: JobSource, tell: Any) -> None:
        assert not source.known
        telling = Telling(tell)
        while (job := source.next_job()) is not None:
            for trial in job.trials:
                telling.started(trial)
            if len(self.jobs) == self.stop_at:
                for trial in job.trials:
                    telling.interrupted(trial)
                raise KeyboardInterrupt
            self.jobs.append(job)
            self.train(job, telling)

    def train(self, job: Job, telling: Telling) -> None:
        """Tell of the trials of a job, one after another."""
        for trial in job.trials:
            begun = self.checkpoints.get(trial.id, 0)
            last = max(begun, job.stop_after or trial.training.num_train_epochs)
            self.trained += [(trial.id, epoch) for epoch in range(begun + 1, last + 1)]
            self.checkpoints[trial.id] = last
            for epoch in range(last + 1):
                telling.evaluated(trial, self._record(trial, epoch))
            if self.score(trial, last) < 0:
                telling.failed(trial, "diverged")
                continue
            costs = replace(OUTCOME.costs, train_seconds=0.75 * last, eval_seconds=0.25 * last)
            end = telling.finished if job.stop_after is None else telling.paused
            end(trial, costs=costs)

    def _record(self, trial: Trial, epoch: int) -> Evaluation:
        scores = {"f1": self.score(trial, epoch), "accuracy": 50.0}
        return Evaluation(
            epoch=epoch,
            step=epoch,
            train_loss=0.5,
            eval_loss=0.5,
            scores={"f1": scores["f1"] - 10, "accuracy": 40.0},
            seconds=0.0,
            held_out_loss=0.5,
            held_out_scores=scores,
        )


class Backwards(FakeExecutor):
    """Takes as many jobs as there are, and ends the last of them first."""

    def run(self, source: JobSource, tell: Any) -> None:
        telling = Telling(tell)
        while True:
            taken: list[Job] = []
            while (job := source.next_job()) is not None:
                for trial in job.trials:
                    telling.started(trial)
                taken.append(job)
            if not taken:
                return
            self.jobs += taken
            for job in reversed(taken):
                self.train(job.with_settings(trials=job.trials[::-1]), telling)


@pytest.fixture(scope="module")
def searches(tiny_checkpoint: Path) -> Callable[..., Searches]:
    """The function that returns the searches of two arms on one task, keys of `tune` replaced."""

    def make(keys: dict[str, Any] | None = None, **of_tune: Any) -> Searches:
        study = {
            "name": "tiny",
            "model": str(tiny_checkpoint),
            "data": "demo",
            "tasks": ["demo-paraphrase"],
            "max_train_samples": 20,
            "max_eval_samples": 12,
            "training": {"num_train_epochs": 4, "learning_rate": 1e-3},
            "arms": {"full": {"method": "full"}, "lora": {"method": "lora", "r": 2}},
        }
        given = {"budget": {"trials": 4}, "seeds": [1, 2], "space": RATES} | of_tune
        spec = validate(study | {"tune": given} | (keys or {}), where="tiny.yaml")
        assert isinstance(spec.tune, TuneSpec)
        return expand_searches(spec, spec.tune)

    return make


def search(
    searches: Searches, folder: Path, executor: Executor | None = None
) -> tuple[SearchAttempt, ...]:
    """Run the searches, and return their results."""
    told: list[SearchAttempt] = []
    with Workspace.open(folder) as workspace:
        tune(
            searches,
            workspace,
            display=Listener(),
            attempted=told.append,
            executor=executor or FakeExecutor(),
            device="cpu",
        )
        attempts = found(searches, folder)
        assert {(one.arm, one.number) for one in told} <= {
            (one.arm, one.number) for one in attempts
        }
        return attempts


def found(searches: Searches, folder: Path) -> tuple[SearchAttempt, ...]:
    with Workspace.open(folder) as workspace:
        return attempts(searches.spec, workspace.trials(searches.spec.name))


def of_arm(tried: tuple[SearchAttempt, ...], arm: str) -> list[SearchAttempt]:
    return [one for one in tried if one.arm == arm]


def test_every_arm_has_the_same_number_of_settings(
    searches: Callable[..., Searches], tmp_path: Path
) -> None:
    tried = search(searches(), tmp_path)
    for arm in ("full", "lora"):
        assert [one.number for one in of_arm(tried, arm)] == [0, 1, 2, 3]
        assert len({one.setting["learning_rate"] for one in of_arm(tried, arm)}) == 4
        assert sum(one.is_best for one in of_arm(tried, arm)) == 1


def test_the_first_setting_is_that_of_the_study_file(
    searches: Callable[..., Searches], tmp_path: Path
) -> None:
    tried = search(searches(), tmp_path)
    assert [one.setting["learning_rate"] for one in tried if one.number == 0] == [1e-3, 1e-3]


def test_a_score_is_the_mean_over_the_seeds_at_the_epoch_that_is_best_on_held_out_rows(
    searches: Callable[..., Searches], tmp_path: Path
) -> None:
    tried = search(searches(pruning="none"), tmp_path)
    for one in tried:
        rate = one.setting["learning_rate"]
        assert isinstance(rate, float)
        assert one.held_out == pytest.approx(min(90.0, 1000 * rate) + 4 + 0.15)
        assert one.dev == pytest.approx(one.held_out - 10)
        assert len(one.trials) == 2
    assert [one.status for one in tried] == ["done"] * 8


def test_best_so_far_rises_and_the_seconds_add_up(
    searches: Callable[..., Searches], tmp_path: Path
) -> None:
    both = search(searches(pruning="none"), tmp_path)
    for arm in ("full", "lora"):
        tried = of_arm(both, arm)
        highest = [max(one.held_out or 0.0 for one in tried[: n + 1]) for n in range(4)]
        assert [one.best_held_out for one in tried] == highest
        assert [one.seconds for one in tried] == [8.0, 16.0, 24.0, 32.0]


@pytest.mark.parametrize("pruning", ["halving", "hyperband"])
def test_settings_that_are_behind_are_given_up_and_stored_as_that(
    pruning: str, searches: Callable[..., Searches], tmp_path: Path
) -> None:
    executor = FakeExecutor()
    tried = search(searches(pruning=pruning, budget={"trials": 8}), tmp_path, executor)
    pruned = [one for one in tried if one.status == "pruned"]
    done = [one for one in tried if one.status == "done"]
    assert pruned
    assert done
    assert not any(one.is_best for one in pruned)
    assert {job.stop_after for job in executor.jobs} == {1, 3, None}
    with Workspace.open(tmp_path) as workspace:
        for one in pruned:
            for trial_id in one.trials:
                record = workspace.trial(trial_id)
                assert (record.status, record.model_path) == ("pruned", None)
                assert len(record.evaluations) in (2, 4)
                assert record.costs is not None
                assert not (workspace.artifacts(trial_id) / "checkpoints").exists()
        (row,) = [one for one in workspace.status_counts("tiny-tuned") if one.status == "pruned"]
        assert row.count == 2 * len(pruned)


def test_a_setting_that_rests_is_decided_on_when_all_seeds_have_come_there(
    searches: Callable[..., Searches], tmp_path: Path
) -> None:
    executor = FakeExecutor()
    search(searches(budget={"trials": 1}), tmp_path, executor)
    of_full = [job for job in executor.jobs if job.trials[0].method == "full"]
    assert [(job.trials[0].seed, job.stop_after) for job in of_full] == [
        (1, 1), (2, 1), (1, 3), (2, 3), (1, None), (2, None),
    ]  # fmt: skip


def test_a_search_ends_when_its_seconds_are_spent(
    searches: Callable[..., Searches], tmp_path: Path
) -> None:
    tried = search(searches(pruning="none", budget={"seconds": 20}), tmp_path)
    for arm in ("full", "lora"):
        assert [one.seconds for one in of_arm(tried, arm)] == [8.0, 16.0, 24.0]


@pytest.mark.parametrize(("stop_at", "batch"), [(1, 1), (5, 1), (11, 1), (5, 3), (15, 3)])
def test_stopped_and_run_again_it_makes_the_same_settings_and_trains_no_trial_twice(
    stop_at: int, batch: int, searches: Callable[..., Searches], tmp_path: Path
) -> None:
    whole = search(searches(batch=batch), tmp_path / "whole")
    first = FakeExecutor(stop_at=stop_at)
    second = FakeExecutor(checkpoints=first.checkpoints)
    with pytest.raises(KeyboardInterrupt):
        search(searches(batch=batch), tmp_path / "stopped", first)
    assert search(searches(batch=batch), tmp_path / "stopped", second) == whole
    trained = [*first.trained, *second.trained]
    assert len(set(trained)) == len(trained)


def test_killed_between_two_draws_it_draws_the_same_when_run_again(
    searches: Callable[..., Searches], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = {"learning_rate": RATES["learning_rate"], "weight_decay": {"low": 0.0, "high": 0.1}}
    whole = search(searches(space=space), tmp_path / "whole")
    draw, first = sampler._suggest, FakeExecutor()

    def dying(trial: Any, key: str, dimension: Any) -> None:
        if trial.number == 1 and key == "weight_decay":
            raise KeyboardInterrupt
        draw(trial, key, dimension)

    with monkeypatch.context() as patched:
        patched.setattr(sampler, "_suggest", dying)
        with pytest.raises(KeyboardInterrupt):
            search(searches(space=space), tmp_path / "killed", first)
    second = FakeExecutor(checkpoints=first.checkpoints)
    assert search(searches(space=space), tmp_path / "killed", second) == whole


@pytest.fixture(scope="module")
def never_killed(
    searches: Callable[..., Searches], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, int], tuple[SearchAttempt, ...]]:
    """The function that returns what is found with a pruning and a batch, searched for once."""

    @cache
    def searched(pruning: str, batch: int) -> tuple[SearchAttempt, ...]:
        of_tune = {"pruning": pruning, "budget": {"trials": 8}, "batch": batch}
        return search(searches(**of_tune), tmp_path_factory.mktemp("whole"))

    return searched


@pytest.mark.parametrize(("pruning", "batch"), [("halving", 1), ("hyperband", 1), ("hyperband", 4)])
@pytest.mark.parametrize(
    ("owner", "name"), [(Workspace, "prune"), (sampler.Sampler, "end")], ids=["prune", "end"]
)
def test_killed_as_a_setting_is_given_up_it_gives_it_up_when_run_again(
    owner: type,
    name: str,
    pruning: str,
    batch: int,
    searches: Callable[..., Searches],
    never_killed: Callable[[str, int], tuple[SearchAttempt, ...]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    of_tune = {"pruning": pruning, "budget": {"trials": 8}, "batch": batch}
    whole = never_killed(pruning, batch)
    assert any(one.status == "pruned" for one in whole)
    checkpoints: dict[str, int] = {}

    def dying(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    for _ in range(3):
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, dying)
            with pytest.raises(KeyboardInterrupt):
                search(
                    searches(**of_tune), tmp_path / "killed", FakeExecutor(checkpoints=checkpoints)
                )
    last = FakeExecutor(checkpoints=checkpoints)
    assert search(searches(**of_tune), tmp_path / "killed", last) == whole


def test_run_again_with_the_same_total_it_trains_nothing_and_with_more_only_that(
    searches: Callable[..., Searches], tmp_path: Path
) -> None:
    search(searches(pruning="none"), tmp_path)
    executor = FakeExecutor()
    assert len(search(searches(pruning="none"), tmp_path, executor)) == 8
    assert executor.jobs == []
    more = searches(pruning="none", budget={"trials": 5})
    assert len(search(more, tmp_path, executor)) == 10
    assert len(executor.jobs) == 2 * 2


def test_a_lost_file_of_suggestions_costs_no_training(
    searches: Callable[..., Searches], tmp_path: Path
) -> None:
    before = search(searches(), tmp_path)
    (tmp_path / FILE).unlink()
    executor = FakeExecutor()
    assert search(searches(), tmp_path, executor) == before
    assert executor.jobs == []


def rates(tried: tuple[SearchAttempt, ...], arm: str) -> list[Any]:
    return [one.setting["learning_rate"] for one in of_arm(tried, arm)]


def test_the_settings_of_a_batch_are_asked_for_before_any_of_them_is_told(
    searches: Callable[..., Searches], tmp_path: Path
) -> None:
    def falling(trial: Trial, epoch: int) -> float:
        return 95.0 - by_rate(trial, epoch)

    keys = {"pruning": "none", "budget": {"trials": 12}, "batch": 6}
    rising = rates(search(searches(**keys), tmp_path / "rising"), "full")
    other = rates(search(searches(**keys), tmp_path / "other", FakeExecutor(falling)), "full")
    assert len({*rising}) == 12
    assert rising[:6] == other[:6]
    assert {*rising[6:12]} != {*other[6:12]}, "the next batch follows from what was scored"


@pytest.mark.parametrize("pruning", ["halving", "hyperband"])
def test_what_is_tried_does_not_depend_on_which_trial_ends_first(
    pruning: str, searches: Callable[..., Searches], tmp_path: Path
) -> None:
    keys = {"pruning": pruning, "budget": {"trials": 9}, "batch": 4}
    one = search(searches(**keys), tmp_path / "one")
    assert {"done", "pruned"} == {attempt.status for attempt in one}
    assert search(searches(**keys), tmp_path / "other", Backwards()) == one


@pytest.mark.parametrize("executor", [FakeExecutor, Backwards])
def test_a_batch_is_trained_in_groups_and_gives_what_it_gives_without(
    executor: type[FakeExecutor], searches: Callable[..., Searches], tmp_path: Path
) -> None:
    arms = {"lora": {"method": "lora"}, "bitfit": {"method": "bitfit"}, "full": {"method": "full"}}
    keys = {"budget": {"trials": 4}, "batch": 2, "pruning": "halving"}
    alone = search(searches({"arms": arms}, **keys), tmp_path / "alone")
    grouping = executor()
    shared = searches({"arms": arms, "group": 6}, **keys)
    assert search(shared, tmp_path / "grouped", grouping) == alone
    sizes = {(len(job.trials), job.together) for job in grouping.jobs}
    assert max(sizes) == (6, 6)
    for job in grouping.jobs:
        assert job.together == len(job.trials)
        methods = {trial.method for trial in job.trials}
        assert methods <= {"lora", "bitfit"} or len(job.trials) == 1
    first = next(job for job in grouping.jobs if len(job.trials) == 6)
    assert {trial.method for trial in first.trials} == {"lora", "bitfit"}


def test_another_size_of_batches_is_another_search(
    searches: Callable[..., Searches], tmp_path: Path
) -> None:
    search(searches(budget={"trials": 2}), tmp_path)
    executor = FakeExecutor()
    both = search(searches(budget={"trials": 2}, batch=2), tmp_path, executor)
    assert len(both) == 4


def test_where_the_trials_are_gone_the_search_begins_anew(
    searches: Callable[..., Searches], tmp_path: Path
) -> None:
    before = search(searches(), tmp_path)
    for file in tmp_path.glob("results.sqlite*"):
        file.unlink()
    assert search(searches(), tmp_path) == before


def test_another_space_is_another_search(searches: Callable[..., Searches], tmp_path: Path) -> None:
    search(searches(), tmp_path)
    other = searches(space=RATES | {"learning_rate": [1e-2, 2e-2]})
    rates = {one.setting["learning_rate"] for one in search(other, tmp_path)}
    assert rates <= {1e-2, 2e-2}


def test_a_setting_whose_training_fails_counts_and_is_never_the_best(
    searches: Callable[..., Searches], tmp_path: Path
) -> None:
    def diverging(trial: Trial, epoch: int) -> float:
        return -1.0 if trial.training.learning_rate >= 1e-3 else by_rate(trial, epoch)

    tried = search(searches(), tmp_path, FakeExecutor(diverging))
    assert [len(of_arm(tried, arm)) for arm in ("full", "lora")] == [4, 4]
    failed = [one for one in tried if one.status == "failed"]
    assert failed
    assert not any(one.is_best for one in failed)
    assert search(searches(), tmp_path, FakeExecutor(stop_at=0)) == tried


def test_the_best_trials_stand_under_the_arms_name_and_all_under_their_number(
    searches: Callable[..., Searches], tmp_path: Path
) -> None:
    tried = search(searches(), tmp_path)
    with Workspace.open(tmp_path) as workspace:
        for one in tried:
            for trial_id in one.trials:
                arms = workspace.trial(trial_id).arms["tiny-tuned"]
                assert f"{one.arm}#{one.number}" in arms
                assert (one.arm in arms) == one.is_best


def test_arms_that_are_the_same_share_their_trials(
    searches: Callable[..., Searches], tmp_path: Path
) -> None:
    executor = FakeExecutor()
    arms = {"a": {"method": "full"}, "b": {"method": "full"}}
    tried = search(searches({"arms": arms}, pruning="none"), tmp_path, executor)
    assert [one.trials for one in of_arm(tried, "a")] == [one.trials for one in of_arm(tried, "b")]
    assert len(executor.jobs) == 4 * 2


def test_the_trainer_is_never_asked_to_rest(
    searches: Callable[..., Searches], tmp_path: Path
) -> None:
    executor = FakeExecutor()
    tried = search(searches({"engine": "trainer"}), tmp_path, executor)
    assert {job.stop_after for job in executor.jobs} == {None}
    assert {one.status for one in tried} == {"done"}


@pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\0" + b"x" * 4096])
def test_a_damaged_file_of_suggestions_is_one_line(
    content: bytes, searches: Callable[..., Searches], tmp_path: Path
) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(UserError, match=r"cannot use the file of earlier searches: .+remove it"):
        search(searches(), tmp_path)


@pytest.mark.parametrize("executor", [InlineExecutor, PoolExecutor])
def test_real_trainings_are_searched_by_every_executor(
    executor: Callable[[ExecutorOptions], Executor],
    searches: Callable[..., Searches],
    tmp_path: Path,
) -> None:
    space = {"learning_rate": [0.0, 3e-2], "num_train_epochs": 2, "r": [2, 4]}
    arms = {"lora": {"method": "lora"}}
    small = searches({"arms": arms}, space=space, budget={"trials": 3}, pruning="halving")
    options = ExecutorOptions(workers=2, threads=1, logs=tmp_path / "logs")
    tried = search(small, tmp_path, executor(options))
    assert [one.number for one in tried] == [0, 1, 2]
    with Workspace.open(tmp_path) as workspace:
        for one in tried:
            for trial_id in one.trials:
                record = workspace.trial(trial_id)
                assert record.status == one.status
                assert record.num_train_examples == 18
                assert (record.model_path is not None) == (one.status == "done")


def test_a_setting_that_stops_early_competes_at_later_rungs_with_what_it_has(
    searches: Callable[..., Searches], tmp_path: Path
) -> None:
    """At a rate of 0 nothing improves: such a training ends after its second epoch."""
    training = {"num_train_epochs": 4, "learning_rate": 0.0, "early_stopping_patience": 1}
    keys = {"training": training, "arms": {"bitfit": {"method": "bitfit"}}}
    space = {"learning_rate": [0.0, 1e-9, 3e-2]}
    small = searches(keys, space=space, budget={"trials": 3}, seeds=[1], pruning="halving")
    options = ExecutorOptions(threads=1, logs=tmp_path / "logs")
    tried = search(small, tmp_path, InlineExecutor(options))
    assert [one.number for one in tried] == [0, 1, 2]
    with Workspace.open(tmp_path) as workspace:
        records = [workspace.trial(one.trials[0]) for one in tried]
    assert [record.status for record in records] == [one.status for one in tried]
    first = records[0]
    assert (first.status, first.trial.training.learning_rate) == ("done", 0.0)
    assert first.has_stopped_early
    assert first.evaluations[-1].epoch == 2
    assert first.model_path is not None
    assert search(small, tmp_path, InlineExecutor(options)) == tried


def test_a_trial_that_rests_is_stored_as_pending_with_what_it_has(
    searches: Callable[..., Searches], tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        search(searches(), tmp_path, FakeExecutor(stop_at=2))
    with Workspace.open(tmp_path) as workspace:
        rests = [one for one in workspace.trials() if one.costs is not None]
        assert {(one.status, len(one.evaluations)) for one in rests} == {("pending", 2)}
