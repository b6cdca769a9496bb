"""Studies killed at random moments end with the bits of one that was never killed.

Kills of every command at chosen moments are in tests/kills.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from peftlab.store.workspace import Workspace
from peftlab.study.spec import validate
from peftlab.study.trials import Expanded, expand
from tests.warm import process

ARMS = {
    "full": {"method": "full", "training": {"weight_decay": 0.1}},
    "bitfit": {"method": "bitfit"},
    "lora": {"method": "lora", "r": 2, "lora_dropout": 0.1},
}
STUDY = {
    "name": "killed",
    "data": "demo",
    "max_train_samples": 20,
    "max_eval_samples": 12,
    "training": {"num_train_epochs": 2, "learning_rate": 1e-3},
    "seeds": [1, 2],
    "tasks": ["demo-paraphrase", "demo-sentiment"],
    "arms": ARMS,
    "checkpoint_every": "3 steps",
}
# Runs the study again and again in a child, which it kills after a random time, then to the end.
KILLER = """
import json, os, random, signal, sys, time
from pathlib import Path
from peftlab.models.fused import jit
from tests.executing import execute
from peftlab.runner.executors.base import ExecutorOptions
from peftlab.store.workspace import Workspace
from peftlab.study.trials import expand
from peftlab.study.spec import validate
from tests.kills.forked import fork_workers
import peftlab.engine.run
import peftlab.runner.worker

# Compiled kernels, and the threads below them, do not work in a forked process, which the pool's
# workers are too: forked from the study's process as soon as they are wanted.
jit.ENABLED = False
spec, folder, executor, kills, longest = json.loads(sys.argv[1])
folder, chance = Path(folder), random.Random(7)
expanded = expand(validate(spec, where="killed"))

def run():
    fork_workers(lambda: None, lambda: None)
    with Workspace.open(folder) as workspace:
        options = ExecutorOptions(workers=2, threads=1, logs=folder / "logs")
        execute(expanded, workspace, display=lambda event: None, executor=executor, options=options)

killed = 0
for last in [False] * kills + [True]:
    child = os.fork()
    if child == 0:
        try:
            run()
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
    if not last:
        time.sleep(chance.uniform(0, longest))
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    killed += status == signal.SIGKILL
    assert status in (0, signal.SIGKILL), status
print(killed)
"""


def results(folder: Path) -> dict[str, object]:
    """Return each trial's weights, predictions and history, except what depends on time."""
    found: dict[str, object] = {}
    with Workspace.open(folder, create=False) as workspace:
        for record in workspace.trials():
            assert record.status == "done", record.error
            assert record.model_path is not None
            assert record.predictions_path is not None
            files = [record.predictions_path, *sorted(record.model_path.iterdir())]
            found[record.trial.id] = (
                [(file.name, file.read_bytes()) for file in files],
                [
                    (
                        one.epoch,
                        one.step,
                        one.train_loss,
                        one.eval_loss,
                        one.scores,
                        one.step_losses,
                    )
                    for one in record.evaluations
                ],
            )
            assert sorted(file.name for file in workspace.artifacts(record.trial.id).iterdir()) == [
                "model",
                "predictions.parquet",
            ]
    return found


def run(study: Expanded, folder: Path, executor: str, kills: int, longest: float) -> int:
    """Kill the study this often, then run it to its end; return how many kills came before it."""
    spec = study.spec.model_dump(mode="json")
    told = json.dumps([spec, str(folder), executor, kills, longest])
    done = process.run("-c", KILLER, told)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.fixture(scope="module")
def study(tiny_checkpoint: Path) -> Expanded:
    """A study of a dozen trials."""
    found = expand(validate({**STUDY, "model": str(tiny_checkpoint)}, where="killed.yaml"))
    assert len(found.trials) == 12
    return found


@pytest.fixture(scope="module")
def unkilled(study: Expanded, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """The results of the trials when nobody kills them."""
    folder = tmp_path_factory.mktemp("unkilled")
    run(study, folder, "inline", 0, 0.0)
    return results(folder)


@pytest.mark.parametrize(("executor", "kills", "longest"), [("inline", 24, 0.9), ("pool", 2, 3.0)])
def test_a_dozen_trials_killed_at_random_moments_end_with_the_same_bits(
    executor: str,
    kills: int,
    longest: float,
    tmp_path: Path,
    study: Expanded,
    unkilled: dict[str, object],
) -> None:
    killed = run(study, tmp_path, executor, kills, longest)
    assert killed > kills // 4, "most kills came after the end"
    assert results(tmp_path) == unkilled
