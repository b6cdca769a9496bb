"""The results of a study are in one real file and survive any end of the process."""

from __future__ import annotations

import math
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from peftlab.core.errors import StorageError, UserError
from peftlab.core.inputs import ModelRef
from peftlab.core.measurements import Costs, Evaluation
from peftlab.core.trial import Trial
from peftlab.store.records import CHECKPOINTS_FOLDER, MODEL_FOLDER, PREDICTIONS_FILE
from peftlab.store.schema import MIGRATIONS, VERSION
from peftlab.store.workspace import DATABASE, Workspace

MakeTrial = Callable[..., Trial]
MakeEvaluation = Callable[..., Evaluation]


def plan(workspace: Workspace, *trials: Trial, study: str = "s", arm: str = "lora") -> None:
    placements = {trial.id: (arm,) for trial in trials}
    workspace.save_study(study, {"name": study}, trials, placements)


def process(code: str, *arguments: str) -> subprocess.Popen[str]:
    """Start another Python process that writes into a workspace, and is controlled by pipes."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def say(writer: subprocess.Popen[str]) -> None:
    assert writer.stdin is not None
    writer.stdin.write("go\n")
    writer.stdin.flush()


def hear(writer: subprocess.Popen[str]) -> str:
    assert writer.stdout is not None
    return writer.stdout.readline().strip()


# Opening


def test_a_workspace_is_made_with_its_parents(tmp_path: Path) -> None:
    with Workspace.open(tmp_path / "a" / "b") as workspace:
        assert workspace.trials() == []
        assert workspace.studies() == []
    assert (tmp_path / "a" / "b" / DATABASE).is_file()


def test_a_workspace_that_is_only_read_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        Workspace.open(tmp_path / "none", create=False)
    assert str(caught.value).startswith(f"{tmp_path / 'none'}: no results here yet (try: ")
    assert not (tmp_path / "none").exists()


def test_a_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with Workspace.open(Path("~/runs")) as workspace:
        assert workspace.path == tmp_path / "runs"


def test_the_folders_of_a_workspace(workspace: Workspace) -> None:
    assert workspace.cache == workspace.path / "cache"
    assert workspace.artifacts("abc") == workspace.path / "artifacts" / "abc"


def test_the_database_writes_ahead_and_keeps_its_references(workspace: Workspace) -> None:
    with sqlite3.connect(workspace.path / DATABASE) as other:
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    other.close()
    with pytest.raises(StorageError, match="FOREIGN KEY"):
        workspace.add_evaluation(
            "no-such-trial",
            Evaluation(epoch=0, step=0, train_loss=None, eval_loss=1.0, scores={}, seconds=0.0),
        )


def test_a_file_that_is_no_database_is_one_line(tmp_path: Path) -> None:
    (tmp_path / DATABASE).write_text("these are notes of mine, not a database\n" * 100)
    with pytest.raises(UserError) as caught:
        Workspace.open(tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}: cannot use the workspace: file is not a database")
    assert "\n" not in message
    assert (tmp_path / DATABASE).read_text().startswith("these are notes of mine")


def test_a_folder_that_is_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(UserError) as caught:
        Workspace.open(tmp_path / "runs")
    assert "cannot use the workspace" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_newer_schema_is_refused_in_one_line_and_left_alone(tmp_path: Path) -> None:
    Workspace.open(tmp_path).close()
    with sqlite3.connect(tmp_path / DATABASE) as database:
        database.execute(f"PRAGMA user_version = {VERSION + 1}")
    database.close()
    with pytest.raises(UserError) as caught:
        Workspace.open(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: the workspace has schema version {VERSION + 1}, this peftlab knows {VERSION} "
        "(try: a newer peftlab, or another --workspace)"
    )
    with sqlite3.connect(tmp_path / DATABASE) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (VERSION + 1,)
    database.close()


def test_a_workspace_that_another_process_is_just_making_is_waited_for(tmp_path: Path) -> None:
    maker = sqlite3.connect(tmp_path / DATABASE, isolation_level=None)
    maker.execute("PRAGMA journal_mode = WAL")
    maker.execute("BEGIN IMMEDIATE")
    outcome: list[object] = []

    def open_beside() -> None:
        try:
            with Workspace.open(tmp_path) as workspace:
                outcome.append(workspace.trials())
        except UserError as error:
            outcome.append(error)

    beside = threading.Thread(target=open_beside)
    beside.start()
    beside.join(0.3)
    assert beside.is_alive()
    for migration in MIGRATIONS:
        if callable(migration):
            migration(maker)
        else:
            for statement in migration.split(";"):
                maker.execute(statement)
    maker.execute(f"PRAGMA user_version = {VERSION}")
    maker.execute("COMMIT")
    maker.close()
    beside.join(10)
    assert outcome == [[]]


# Studies


def test_a_study_comes_back_as_it_was_saved(workspace: Workspace, make_trial: MakeTrial) -> None:
    trials = [make_trial(seed=seed) for seed in (3, 1, 2)]
    placements = {trial.id: ("b", "a") for trial in trials}
    workspace.save_study("one", {"name": "one", "seeds": [3, 1, 2], "x": None}, trials, placements)
    assert workspace.spec("one") == {"name": "one", "seeds": [3, 1, 2], "x": None}
    records = workspace.trials("one")
    assert [record.trial for record in records] == trials
    assert {record.status for record in records} == {"pending"}
    assert records[0].arms == {"one": ("b", "a")}


def test_an_unknown_study_names_those_that_are_known(
    workspace: Workspace, make_trial: MakeTrial
) -> None:
    with pytest.raises(UserError, match=r"has not been run here \(try: peftlab run STUDY"):
        workspace.spec("one")
    plan(workspace, make_trial(), study="b")
    plan(workspace, make_trial(), study="a")
    assert workspace.studies() == ["a", "b"]
    for read in (workspace.spec, workspace.trials):
        with pytest.raises(UserError) as caught:
            read("c")
        assert str(caught.value) == (
            f"{workspace.path}: the study 'c' has not been run here (allowed: a, b)"
        )


def test_a_trial_of_two_studies_is_one_trial(workspace: Workspace, make_trial: MakeTrial) -> None:
    plan(workspace, make_trial(seed=1), make_trial(seed=2), study="one", arm="x")
    plan(workspace, make_trial(seed=2), make_trial(seed=3), study="two", arm="y")
    assert [record.trial.seed for record in workspace.trials()] == [1, 2, 3]
    assert [record.trial.seed for record in workspace.trials("two")] == [2, 3]
    (shared,) = [record for record in workspace.trials() if record.trial.seed == 2]
    assert shared.arms == {"one": ("x",), "two": ("y",)}


def test_a_study_that_is_saved_again_keeps_results_and_takes_the_new_plan(
    workspace: Workspace, make_trial: MakeTrial, make_evaluation: MakeEvaluation, costs: Costs
) -> None:
    first, second, third = (make_trial(seed=seed) for seed in (1, 2, 3))
    plan(workspace, first, second)
    workspace.start(first.id, {})
    workspace.add_evaluation(first.id, make_evaluation(0))
    workspace.finish(first.id, costs, num_train_examples=8, num_eval_examples=4)
    moved = make_trial(seed=1, model=ModelRef(name="/elsewhere", fingerprint="m"))
    assert moved.id == first.id
    workspace.save_study(
        "s", {"name": "s", "new": 1}, [third, moved], {third.id: ("c",), first.id: ("d",)}
    )
    assert workspace.spec("s") == {"name": "s", "new": 1}
    records = workspace.trials("s")
    assert [record.trial.seed for record in records] == [3, 1]
    assert records[1].trial.model.name == "/elsewhere"
    assert records[1].arms == {"s": ("d",)}
    assert (records[1].status, records[1].costs) == ("done", costs)
    left = workspace.trial(second.id)
    assert left.arms == {}


def test_a_study_that_cannot_be_saved_leaves_what_was_there(
    workspace: Workspace, make_trial: MakeTrial
) -> None:
    plan(workspace, make_trial(seed=1))
    with pytest.raises(KeyError):
        workspace.save_study("s", {"name": "broken"}, [make_trial(seed=2)], {})
    assert workspace.spec("s") == {"name": "s"}
    assert [record.trial.seed for record in workspace.trials()] == [1]


# Trials


def test_a_trials_whole_life_survives_reopening(
    tmp_path: Path, make_trial: MakeTrial, make_evaluation: MakeEvaluation, costs: Costs
) -> None:
    trial, evaluations = make_trial(), tuple(make_evaluation(number) for number in range(3))
    with Workspace.open(tmp_path) as workspace:
        plan(workspace, trial)
        workspace.start(trial.id, {"versions": {"torch": "2"}})
        assert workspace.trial(trial.id).status == "running"
        for epoch in evaluations:
            workspace.add_evaluation(trial.id, epoch)
        folder = workspace.artifacts(trial.id)
        (folder / MODEL_FOLDER).mkdir(parents=True)
        (folder / PREDICTIONS_FILE).write_bytes(b"PAR1")
        assert workspace.trial(trial.id).model_path is None, "not before it is done"
        workspace.finish(trial.id, costs, num_train_examples=64, num_eval_examples=16)
    with Workspace.open(tmp_path, create=False) as workspace:
        record = workspace.trial(trial.id)
    assert record.trial == trial
    assert record.status == "done"
    assert record.evaluations == evaluations, "every number to its last bit"
    assert record.costs == costs
    assert (record.num_train_examples, record.num_eval_examples) == (64, 16)
    assert record.error is None
    assert record.model_path == folder / MODEL_FOLDER
    assert record.predictions_path == folder / PREDICTIONS_FILE
    assert record.provenance == {"versions": {"torch": "2"}}
    assert list(record.scores) == ["f1", "accuracy"], "the main metric stays first"


def test_costs_that_were_stored_before_energy_was_measured_are_read(
    tmp_path: Path, make_trial: MakeTrial, costs: Costs
) -> None:
    trial = make_trial()
    with Workspace.open(tmp_path) as workspace:
        plan(workspace, trial)
        workspace.start(trial.id, {})
        workspace.finish(trial.id, costs, num_train_examples=1, num_eval_examples=1)
    with closing(sqlite3.connect(tmp_path / DATABASE)) as database, database:
        database.execute("UPDATE trials SET costs = json_remove(costs, '$.energy_joules')")
    with Workspace.open(tmp_path, create=False) as workspace:
        assert workspace.trial(trial.id).costs == replace(costs, energy_joules=None) != costs


def test_artifacts_that_are_gone_are_not_promised(
    workspace: Workspace, make_trial: MakeTrial, make_evaluation: MakeEvaluation, costs: Costs
) -> None:
    trial = make_trial()
    plan(workspace, trial)
    workspace.start(trial.id, {})
    workspace.add_evaluation(trial.id, make_evaluation(0))
    workspace.finish(trial.id, costs, num_train_examples=1, num_eval_examples=1)
    record = workspace.trial(trial.id)
    assert (record.model_path, record.predictions_path) == (None, None)


def test_an_epoch_that_is_stored_again_replaces_the_first(
    workspace: Workspace, make_trial: MakeTrial, make_evaluation: MakeEvaluation
) -> None:
    trial = make_trial()
    plan(workspace, trial)
    for loss in (1.0, 2.0):
        workspace.add_evaluation(trial.id, make_evaluation(1, eval_loss=loss))
    assert [epoch.eval_loss for epoch in workspace.trial(trial.id).evaluations] == [2.0]


def test_epochs_are_in_order_and_their_own_trials(
    workspace: Workspace, make_trial: MakeTrial, make_evaluation: MakeEvaluation
) -> None:
    trials = [make_trial(seed=seed) for seed in (1, 2, 3)]
    plan(workspace, *trials)
    for epoch in (10, 9, 0):
        workspace.add_evaluation(trials[0].id, make_evaluation(epoch))
    workspace.add_evaluation(trials[2].id, make_evaluation(1))
    numbers = [[epoch.epoch for epoch in record.evaluations] for record in workspace.trials()]
    assert numbers == [[0, 9, 10], [], [1]]
    assert [epoch.epoch for epoch in workspace.trial(trials[0].id).evaluations] == [0, 9, 10]


def test_a_loss_that_is_not_a_number_survives(
    workspace: Workspace, make_trial: MakeTrial, make_evaluation: MakeEvaluation
) -> None:
    trial = make_trial()
    plan(workspace, trial)
    workspace.add_evaluation(trial.id, make_evaluation(0, eval_loss=math.nan))
    losses = (1.0, math.inf, math.nan)
    workspace.add_evaluation(
        trial.id, make_evaluation(1, train_loss=math.nan, eval_loss=math.inf, step_losses=losses)
    )
    before, after = workspace.trial(trial.id).evaluations
    assert before.train_loss is None
    assert math.isnan(before.eval_loss)
    assert after.train_loss is not None
    assert math.isnan(after.train_loss)
    assert after.eval_loss == math.inf
    assert after.step_losses[:2] == (1.0, math.inf)
    assert math.isnan(after.step_losses[2])


def test_a_failure_keeps_its_cause_and_its_evaluations(
    workspace: Workspace, make_trial: MakeTrial, make_evaluation: MakeEvaluation
) -> None:
    trial = make_trial()
    plan(workspace, trial)
    workspace.start(trial.id, {})
    workspace.add_evaluation(trial.id, make_evaluation(0))
    workspace.fail(trial.id, "the training loss is nan\nand more")
    record = workspace.trial(trial.id)
    assert (record.status, record.error) == ("failed", "the training loss is nan\nand more")
    assert record.evaluations == (make_evaluation(0),)
    assert record.costs is None


def test_a_new_start_forgets_the_earlier_attempt(
    workspace: Workspace, make_trial: MakeTrial, make_evaluation: MakeEvaluation
) -> None:
    trial, other = make_trial(seed=1), make_trial(seed=2)
    plan(workspace, trial, other)
    for one in (trial, other):
        workspace.start(one.id, {"attempt": 1})
        workspace.add_evaluation(one.id, make_evaluation(0))
        workspace.artifacts(one.id).mkdir(parents=True)
        (workspace.artifacts(one.id) / PREDICTIONS_FILE).write_bytes(b"PAR1")
        workspace.fail(one.id, "no luck")
    workspace.start(trial.id, {"attempt": 2})
    record = workspace.trial(trial.id)
    assert (record.status, record.error, record.evaluations) == ("running", None, ())
    assert record.provenance == {"attempt": 2}
    assert not workspace.artifacts(trial.id).exists()
    untouched = workspace.trial(other.id)
    assert (untouched.status, untouched.error) == ("failed", "no luck")
    assert untouched.evaluations == (make_evaluation(0),)
    assert untouched.predictions_path is not None


def test_an_interrupted_trial_is_pending_and_keeps_what_it_had(
    workspace: Workspace, make_trial: MakeTrial, make_evaluation: MakeEvaluation
) -> None:
    trial = make_trial()
    plan(workspace, trial)
    workspace.start(trial.id, {})
    workspace.add_evaluation(trial.id, make_evaluation(0))
    workspace.interrupt(trial.id)
    record = workspace.trial(trial.id)
    assert record.status == "pending"
    assert record.evaluations == (make_evaluation(0),)


def test_statuses_are_told_of_known_and_unknown_trials(
    workspace: Workspace, make_trial: MakeTrial, costs: Costs
) -> None:
    trials = [make_trial(seed=seed) for seed in range(4)]
    plan(workspace, *trials)
    pending, running, done, failed = (trial.id for trial in trials)
    for trial_id in (running, done, failed):
        workspace.start(trial_id, {})
    workspace.finish(done, costs, num_train_examples=1, num_eval_examples=1)
    workspace.fail(failed, "x")
    expected = {
        pending: "pending",
        running: "running",
        done: "done",
        failed: "failed",
        "unknown": "pending",
    }
    assert workspace.statuses(expected) == expected
    assert workspace.statuses([done]) == {done: "done"}
    workspace.reset_running()
    assert workspace.statuses(expected) == expected | {running: "pending"}


def test_checkpoints_of_trials_that_a_killed_process_had_ended_are_removed(
    workspace: Workspace, make_trial: MakeTrial, costs: Costs, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = [make_trial(seed=seed) for seed in range(4)]
    plan(workspace, *trials)
    done, pruned, failed, pending = (trial.id for trial in trials)
    with monkeypatch.context() as killed:
        killed.setattr(Workspace, "_remove_checkpoints", lambda *_: None)
        workspace.finish(done, costs, num_train_examples=1, num_eval_examples=1)
        workspace.prune(pruned)
    workspace.fail(failed, "x")
    for trial_id in (done, pruned, failed, pending):
        (workspace.artifacts(trial_id) / CHECKPOINTS_FOLDER).mkdir(parents=True)
    workspace.remove_spent_checkpoints()
    left = {folder.parent.name for folder in workspace.path.glob(f"*/*/{CHECKPOINTS_FOLDER}")}
    assert left == {failed, pending}, "from where these go on"


def test_a_trial_is_found_by_the_beginning_of_its_id(
    workspace: Workspace, make_trial: MakeTrial
) -> None:
    trials = [make_trial(seed=seed) for seed in range(40)]
    plan(workspace, *trials)
    ids = [trial.id for trial in trials]
    chosen = ids[7]
    length = next(n for n in range(1, 13) if sum(i.startswith(chosen[:n]) for i in ids) == 1)
    assert workspace.trial(chosen[:length]).trial.id == chosen
    assert workspace.trial(chosen).trial.id == chosen
    with pytest.raises(UserError, match="several trials have an id that begins with"):
        workspace.trial(next(i[0] for i in ids if sum(j[0] == i[0] for j in ids) > 1))


@pytest.mark.parametrize("prefix", ["zzz", "%", "_", "'", "x" * 500])
def test_a_beginning_that_no_id_has_is_one_line(
    workspace: Workspace, make_trial: MakeTrial, prefix: str
) -> None:
    plan(workspace, make_trial())
    with pytest.raises(UserError) as caught:
        workspace.trial(prefix)
    assert f"no trial has an id that begins with '{prefix}'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_empty_beginning_names_no_trial(workspace: Workspace, make_trial: MakeTrial) -> None:
    plan(workspace, make_trial())
    with pytest.raises(UserError, match="a trial's id is needed"):
        workspace.trial("")


# Processes

WRITER = """
import sys
from pathlib import Path
from peftlab.core.measurements import Evaluation
from peftlab.store.workspace import Workspace

workspace, trial_id = Workspace.open(Path(sys.argv[1])), sys.argv[2]

def tell(word):
    print(word, flush=True)
    sys.stdin.readline()

def epoch(number):
    return Evaluation(epoch=number, step=number, train_loss=0.5, eval_loss=0.5,
                       scores={"f1": 1.0}, seconds=0.0)

workspace.start(trial_id, {})
workspace.add_evaluation(trial_id, epoch(0))
tell("started")
with workspace._transaction() as database:
    database.execute("UPDATE trials SET status = 'failed', error = 'half' WHERE id = ?",
                     (trial_id,))
    tell("in the middle")
tell("written")
"""


def test_a_reader_reads_while_a_writer_writes(tmp_path: Path, make_trial: MakeTrial) -> None:
    trial = make_trial()
    with Workspace.open(tmp_path) as reader:
        plan(reader, trial)
        writer = process(WRITER, str(tmp_path), trial.id)
        try:
            assert hear(writer) == "started"
            assert reader.trial(trial.id).status == "running"
            assert len(reader.trial(trial.id).evaluations) == 1
            say(writer)
            assert hear(writer) == "in the middle"
            assert reader.trial(trial.id).status == "running", "half a change is not seen"
            with Workspace.open(tmp_path, create=False) as another:
                assert another.trials()[0].status == "running"
            say(writer)
            assert hear(writer) == "written"
            assert reader.trial(trial.id).status == "failed"
        finally:
            writer.communicate("\n" * 3, timeout=20)
    assert writer.returncode == 0


@pytest.mark.parametrize("words", [["started"], ["started", "in the middle"]])
def test_a_killed_processs_running_trial_becomes_pending_again(
    tmp_path: Path, make_trial: MakeTrial, words: list[str]
) -> None:
    trial = make_trial()
    with Workspace.open(tmp_path) as workspace:
        plan(workspace, trial)
    writer = process(WRITER, str(tmp_path), trial.id)
    try:
        for number, word in enumerate(words):
            if number:
                say(writer)
            assert hear(writer) == word
    finally:
        writer.kill()
        writer.communicate(timeout=20)
    with Workspace.open(tmp_path) as workspace:
        assert workspace.trial(trial.id).status == "running"
        workspace.reset_running()
        record = workspace.trial(trial.id)
    assert (record.status, record.error) == ("pending", None)
    assert len(record.evaluations) == 1, "what it had measured is still there"


def test_closing_twice_is_harmless_and_a_closed_workspace_does_not_answer(tmp_path: Path) -> None:
    workspace: Any = Workspace.open(tmp_path)
    workspace.close()
    workspace.close()
    with pytest.raises(sqlite3.ProgrammingError):
        workspace.trials()
