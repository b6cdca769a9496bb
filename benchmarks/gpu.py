"""What a GPU computes and how fast: one script for the hours in which a card is at hand.

    python benchmarks/gpu.py --data path/to/glue --output gpu-results

Each section runs in a process of its own under a time limit and leaves SECTION.json in the output
folder, so that what is measured stays measured when a later section fails. `--section NAME`, which
may be repeated, runs some of them alone. The whole takes at most six minutes on one H200.

- machine: the card, the versions, and the peaks of its matrix products
- families: every architecture, tiny and with random weights, against the CPU, dropout on
- methods: every method on MiniLM against the CPU, dropout on
- steps: a training step of this engine, of its padded twin and of transformers.Trainer
- launches: kernels, copies and waits of a step, and what most of its time goes to
- resume: the same bits when a trial is run again, and when it is stopped and gone on from
- memory: a trial in too little memory, which takes half as many examples at once
- energy: joules by the card's counter beside the power that nvidia-smi shows
- plan: what `run --dry-run` foretells of a study beside what it takes
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

Found = dict[str, Any]
LIMITS = {
    "machine": 40, "steps": 170, "launches": 80, "energy": 30, "resume": 60, "memory": 60,
    "plan": 70, "methods": 150, "families": 90,
}  # fmt: skip
"""Seconds that a section may take, in the order in which they are run."""
PROFILED = 3
"""Steps that the section launches looks at."""


def main() -> None:
    """Run the sections that are asked for, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="a GLUE folder, for the section steps")
    parser.add_argument("--output", type=Path, default=Path("gpu-results"))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minilm", default="minilm", help="the name or the folder of MiniLM")
    parser.add_argument("--section", action="append", choices=LIMITS)
    parser.add_argument("--here", action="store_true", help="in this process, one section")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    if given.here:
        (name,) = given.section
        found = SECTIONS[name](given)
        (given.output / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")
        return
    for name in given.section or LIMITS:
        began = perf_counter()
        options = ["--section", name, "--here", f"--output={given.output}"]
        options += [f"--device={given.device}", f"--minilm={given.minilm}"]
        options += [f"--data={given.data}"] if given.data else []
        try:
            status = subprocess.run(
                [sys.executable, __file__, *options], timeout=LIMITS[name], check=False
            ).returncode
        except subprocess.TimeoutExpired:
            status = f"over {LIMITS[name]} s"
        print(f"{name}: status {status}, {perf_counter() - began:.0f} s", flush=True)


def machine(given: argparse.Namespace) -> Found:
    """The card, the versions, and operations a second of a large matrix product."""
    import torch
    import transformers
    import triton

    found: Found = {"torch": torch.__version__, "transformers": transformers.__version__}
    found |= {"triton": triton.__version__, "card": torch.cuda.get_device_name(), "tflops": {}}
    for name, dtype, tf32 in (
        ("bf16", torch.bfloat16, False),
        ("tf32", torch.float32, True),
        ("fp32", torch.float32, False),
    ):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        left, right = (torch.randn(8192, 8192, device="cuda", dtype=dtype) for _ in range(2))
        best = min(seconds_of(lambda a=left, b=right: a @ b) for _ in range(10))
        found["tflops"][name] = 2 * 8192**3 / best / 1e12
    print(found)
    return found


def families(given: argparse.Namespace) -> Found:
    """The largest difference of dev logits, card against CPU, of a tiny model of each family."""
    from peftlab.models.families import FAMILIES

    found: Found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in FAMILIES.names():
            model = _tiny(Path(folder) / name, name)
            found[name] = _against_cpu(given.device, model=model, method="lora")
    return _shown(found)


def methods(given: argparse.Namespace) -> Found:
    """The same of each method on MiniLM."""
    from peftlab.methods.registry import METHODS

    return _shown(
        {
            name: _against_cpu(given.device, model=given.minilm, method=name)
            for name in METHODS.names()
        }
    )


def steps(given: argparse.Namespace) -> Found:
    """Milliseconds of a step, medians of turns that alternate; rows of dev predicted a second."""
    from peftlab.engine.bench import Setup, side_of

    found: Found = {}
    minilm = {"model": given.minilm, "tokenizer": given.minilm}
    bert = {"model": "google-bert/bert-base-uncased", "tokenizer": given.minilm}
    cells = [("bert-base", bert, "lora", task) for task in ("sst2", "cola", "mrpc")]
    cells += [("bert-base", bert, "full", "sst2")]
    cells += [("minilm", minilm, "lora", "sst2")]
    for title, model, method, task in cells:
        setup = Setup(
            **model, random_weights=title != "minilm", data=str(given.data), task=task,
            method=method, settings={}, device=given.device, cache=given.output / "cache",
            training={"per_device_train_batch_size": 16, "learning_rate": 1e-4},
        )  # fmt: skip
        sides = {name: side_of(name, setup) for name in ("packed", "padded", "trainer")}  # type: ignore[arg-type]
        times: dict[str, list[float]] = {name: [] for name in sides}
        rows = _rows(sides["packed"].num_examples())
        for side in sides.values():
            side.train(rows[: 16 * 5])
        for turn in range(3):
            for name in [*sides][:: 1 if turn % 2 == 0 else -1]:
                chosen = rows[16 * 20 * turn : 16 * 20 * (turn + 1)]
                times[name].append(1e3 * sides[name].train(chosen).seconds / 20)
        cell = {name: sorted(one)[1] for name, one in times.items()}
        num_dev = len(sides["packed"].data.dev)
        rates = {name: num_dev / min(side.evaluate() for _ in range(2)) for name, side in
                 sides.items()}  # fmt: skip
        found[f"{title} {method} {task}"] = {"ms_a_step": cell, "dev_rows_a_second": rates}
        print(title, method, task, found[f"{title} {method} {task}"], flush=True)
        (given.output / "steps.json").write_text(json.dumps(found, indent=1) + "\n")
    return found


def launches(given: argparse.Namespace) -> Found:
    """What a step of LoRA on bert-base asks of the card, by torch's profiler, and what takes it."""
    from torch.profiler import ProfilerActivity, profile

    from peftlab.engine.bench import Setup, side_of

    found: Found = {}
    setup = Setup(
        model="google-bert/bert-base-uncased", tokenizer=given.minilm, random_weights=True,
        data=str(given.data), task="sst2", method="lora", settings={}, device=given.device,
        cache=given.output / "cache",
        training={"per_device_train_batch_size": 16, "learning_rate": 1e-4},
    )  # fmt: skip
    for name in ("packed", "trainer"):
        side = side_of(name, setup)  # type: ignore[arg-type]
        rows = _rows(side.num_examples())
        side.train(rows[: 16 * 5])
        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
            side.train(rows[: 16 * PROFILED])
        events = seen.key_averages()
        counts = {one.key: one.count / PROFILED for one in events}
        busiest = sorted(events, key=lambda one: -one.self_cpu_time_total)[:12]
        found[name] = {
            "launches": sum(n for key, n in counts.items() if "LaunchKernel" in key),
            "copies": sum(n for key, n in counts.items() if key.startswith("cudaMemcpy")),
            "waits": sum(n for key, n in counts.items() if "Synchronize" in key),
            "busy_ms": sum(one.self_device_time_total for one in events) / PROFILED / 1e3,
            "busiest_ms": {
                one.key: [counts[one.key], one.self_cpu_time_total / PROFILED / 1e3]
                for one in busiest
            },
        }
        (given.output / "launches.json").write_text(json.dumps(found, indent=1) + "\n")
    return _shown(found)


def resume(given: argparse.Namespace) -> Found:
    """Whether a trial that is run again, or stopped behind an epoch and gone on from, is equal."""
    import numpy as np

    found: Found = {}
    for method in ("lora", "full"):
        trial = _trial(model=given.minilm, method=method, rows=64, epochs=3)
        whole = _logits(trial, given.device)
        again = _logits(trial, given.device)
        resumed = _logits(trial, given.device, stop_after=1)
        found[method] = {
            "again": bool(np.array_equal(whole, again)),
            "resumed": bool(np.array_equal(whole, resumed)),
        }
    return _shown(found)


def memory(given: argparse.Namespace) -> Found:
    """A trial of large batches, in all memory and in too little; the difference of dev logits."""
    import numpy as np
    import torch

    trial = _trial(model=given.minilm, method="full", rows=512, epochs=1, batch=256)
    whole: Found = {}
    before = _logits(trial, given.device, told=whole)
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    peak = whole["peak_memory_bytes"]
    torch.cuda.set_per_process_memory_fraction(0.6 * peak / total)
    halved: Found = {}
    after = _logits(trial, given.device, told=halved)
    return _shown(
        {"whole": whole, "halved": halved, "difference": float(np.abs(before - after).max())}
    )


def energy(given: argparse.Namespace) -> Found:
    """Joules of five seconds of matrix products, and the power that nvidia-smi shows in them."""
    import torch

    from peftlab.engine.devices.registry import resolve
    from peftlab.engine.energy import EnergyMeter

    left = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    watts = subprocess.Popen(
        ["nvidia-smi", "--query-gpu=power.draw", "--format=csv,noheader,nounits", "-lms", "200"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with EnergyMeter(resolve("cuda:0"), is_alone=True) as meter:
        began = perf_counter()
        while perf_counter() - began < 5:
            left @ left
            torch.cuda.synchronize()
        seconds = perf_counter() - began
    with EnergyMeter(resolve("cuda:0"), is_alone=True) as idle:
        sleep(2)
    watts.terminate()
    shown = [float(line) for line in (watts.stdout or []) if line.strip()]
    joules, resting = meter.read(), idle.read()
    return _shown(
        {"joules": joules, "watts": None if joules is None else joules / seconds,
         "idle_watts": None if resting is None else resting / 2, "nvidia_smi_watts": shown}
    )  # fmt: skip


def plan(given: argparse.Namespace) -> Found:
    """Seconds that are foretold of a small study, before and after half of it, and what it took."""
    from peftlab import Study

    found: Found = {}
    training = {"num_train_epochs": 2, "per_device_train_batch_size": 16}
    arms = {"lora": {"method": "lora"}, "bitfit": {"method": "bitfit"}}
    asked = {
        "name": "card", "model": given.minilm, "data": "demo", "tasks": ["demo-sentiment"],
        "seeds": [1, 2], "training": training, "max_train_samples": 600, "arms": arms,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        for label, seeds in (("one seed", [1]), ("both seeds", [1, 2])):
            study = Study.from_dict(asked, workspace=folder, seeds=seeds)
            foretold = {one.trial.id: one.seconds for one in study.plan(device=given.device).trials}
            study.run(device=given.device, progress=False)
            costs = {trial.id: trial.costs for trial in study.trials()}
            found[label] = {
                name: {
                    "foretold_seconds": foretold[name],
                    "taken_seconds": one.train_seconds + one.eval_seconds,
                    "joules": one.energy_joules,
                    "peak_memory_bytes": one.peak_memory_bytes,
                    "path": one.path,
                }
                for name, one in costs.items()
                if one is not None
            }
    return _shown(found)


SECTIONS: dict[str, Callable[[argparse.Namespace], Found]] = {
    "machine": machine, "families": families, "methods": methods, "steps": steps,
    "launches": launches, "resume": resume, "memory": memory, "energy": energy, "plan": plan,
}  # fmt: skip


def seconds_of(work: Callable[[], object]) -> float:
    """Seconds of one call, the card's work included."""
    import torch

    torch.cuda.synchronize()
    began = perf_counter()
    work()
    torch.cuda.synchronize()
    return perf_counter() - began


def _trial(
    *, model: str, method: str, rows: int, epochs: int, batch: int = 8, max_length: int = 20
) -> Any:
    from peftlab.core.training import TrainingSettings
    from peftlab.core.trial import Seeds, Trial
    from peftlab.data.demo.source import DemoSource
    from peftlab.methods.registry import METHODS
    from peftlab.models.location import locate
    from peftlab.tasks.registry import TASKS

    return Trial(
        task="demo-sentiment",
        data=DemoSource().ref(TASKS.get("demo-sentiment")),
        model=locate(model),
        method=method,
        method_config=METHODS.get(method).resolve({}),
        training=TrainingSettings(
            num_train_epochs=epochs, per_device_train_batch_size=batch, learning_rate=1e-3
        ),
        seed=1,
        seeds=Seeds.of(1),
        max_train_samples=rows,
        max_eval_samples=24,
        max_length=max_length,
    )


def _logits(
    trial: Any, device: str, *, stop_after: int | None = None, told: Found | None = None
) -> Any:
    """The dev logits of a trial; with `stop_after` it rests behind that epoch and goes on."""
    from peftlab.data.predictions import read_predictions
    from peftlab.engine.events import ignore
    from peftlab.engine.job import Job
    from peftlab.engine.run import run_trial

    with tempfile.TemporaryDirectory() as folder:
        for until in [stop_after, None] if stop_after else [None]:
            job = Job(
                trials=(trial,), folders={trial.id: Path(folder) / "trial"},
                cache=Path(folder) / "cache", device=device, stop_after=until,
            )  # fmt: skip
            outcome = run_trial(trial, job, ignore, lambda trial: None)
        if told is not None:
            told |= {"path": outcome.costs.path, "peak_memory_bytes":
                     outcome.costs.peak_memory_bytes}  # fmt: skip
        return read_predictions(Path(folder) / "trial" / "predictions.parquet").logits


def _tiny(folder: Path, name: str) -> str:
    """The folder of a tiny checkpoint of a family, with dropout wherever it has any."""
    from tests.models.tiny import write_tiny_checkpoint

    path = Path(write_tiny_checkpoint(folder, name)) / "config.json"
    config = json.loads(path.read_text())
    for key in config:
        if "dropout" in key or key.endswith("pdrop"):
            config[key] = 0.1
    path.write_text(json.dumps(config))
    return str(folder)


def _against_cpu(device: str, *, model: str, method: str) -> Any:
    """The largest difference of dev logits after some steps, or what went wrong."""
    import numpy as np

    trial = _trial(model=model, method=method, rows=24, epochs=1)
    try:
        there, here = _logits(trial, device), _logits(trial, "cpu")
    except Exception as error:  # one that fails is a finding, the others are still to be tried
        return f"{type(error).__name__}: {str(error)[:200]}"
    return {"difference": float(np.abs(there - here).max()), "largest": float(np.abs(here).max())}


def _rows(count: int) -> Any:
    import numpy as np

    return np.random.default_rng(0).permutation(count).astype(np.int64)


def _shown(found: Found) -> Found:
    print(json.dumps(found)[:3000], flush=True)
    return found


if __name__ == "__main__":
    main()
