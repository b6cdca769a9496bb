"""The time that a trial takes to begin in a worker that has already run one.

    python -m benchmarks.warm --data path/to/glue

It is measured from the request to the worker until data and model are loaded and training can
begin, and until the end of a trial of one step on 64 rows. Medians over several trials.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

from peftlab.engine.job import Job
from peftlab.models.fused.compile import ensure_compiled
from peftlab.runner.messages import Message, RunJob
from peftlab.runner.worker import Worker
from peftlab.study.load import Overrides, load_study
from peftlab.study.trials import expand

SETTINGS = ("max_train_samples=64", "max_eval_samples=16", "training.max_steps=1")


def main() -> None:
    """Run the trials one after another; the first is not counted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="a GLUE folder")
    parser.add_argument("--arm", default="lora-r8", help="of the study glue-peft")
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    ensure_compiled()
    overrides = Overrides(
        settings=SETTINGS,
        data=given.data,
        model="minilm",
        seeds=[*range(given.trials + 1)],
        arms=[given.arm],
        tasks=["sst2"],
    )
    heard: dict[str, float] = {}

    def hear(message: Message) -> None:
        heard[message.event] = perf_counter()

    worker = Worker(hear)
    begins, ends = [], []
    with tempfile.TemporaryDirectory() as folder:
        for trial in expand(load_study("glue-peft", overrides)).trials:
            job = Job(
                trials=(trial,),
                folders={trial.id: Path(folder) / trial.id},
                cache=Path(folder) / "cache",
                device="cpu",
                threads=given.threads,
            )
            told_at = perf_counter()
            worker.do(RunJob(job=job))
            begins.append(heard["began"] - told_at)
            ends.append(heard["finished"] - told_at)
    print(f"begins after {1e3 * median(begins[1:]):.0f} ms")
    print(f"a trial of one step ends after {1e3 * median(ends[1:]):.0f} ms")


if __name__ == "__main__":
    main()
