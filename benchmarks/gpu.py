"""What a GPU computes and how fast: one script for the hours in which a card is at hand.

    python -m benchmarks.gpu --data path/to/glue --output gpu-results

Each section runs in a process of its own under a time limit and leaves SECTION.json in the output
folder, so that what is measured stays measured when a later section fails. `--section NAME`, which
may be repeated, runs some of them alone. The whole takes at most six minutes on one H200.

- machine: the card, the versions, and the peaks of its matrix products
- twins: a step of a small BERT by the Triton kernels against their plain twins, float32 and bf16
- recorded: steps played as graphs against the same steps one operation at a time, and the same bits
- families: every architecture, tiny and with random weights, against the CPU, dropout on
- methods: every method on MiniLM against the CPU, dropout on
- steps: a training step of this engine and of transformers.Trainer, in float32, TF32 and bf16
- launches: kernels, copies and waits of a step, and how long the card is at work in it
- resume: the same bits when a trial is run again, and when it is stopped and gone on from
- memory: a trial in too little memory, which takes half as many examples at once
- energy: joules by the card's counter beside the power that nvidia-smi shows
- plan: what `run --dry-run` foretells of a study beside what it takes
"""

from __future__ import annotations

import argparse
import json
import os
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
    "machine": 30, "twins": 60, "recorded": 60, "steps": 120, "launches": 60, "energy": 20,
    "resume": 40, "memory": 40, "plan": 50, "methods": 150, "families": 90,
}  # fmt: skip
"""Seconds that a section may take, in the order in which they are run."""
WHOLE = 360
"""Seconds that a run of all of them may take: what does not fit any more is left out, and said."""
PRECISIONS: dict[str, dict[str, bool]] = {
    "fp32": {},
    "tf32": {"tf32": True},
    "bf16": {"bf16": True},
}
TINY: dict[str, Any] = {
    "vocab_size": 200, "hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 256, "max_position_embeddings": 128, "initializer_range": 0.1,
}  # fmt: skip
"""A BERT that is compiled and run in a moment, wide enough for programs of several blocks."""


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
    os.environ.setdefault("PEFTLAB_KERNELS", "triton")
    whole = perf_counter()
    for name in given.section or LIMITS:
        began = perf_counter()
        if not given.section and began - whole > WHOLE:
            print(f"{name}: left out, {WHOLE} s are over", flush=True)
            continue
        options = ["--section", name, "--here", f"--output={given.output}"]
        options += [f"--device={given.device}", f"--minilm={given.minilm}"]
        options += [f"--data={given.data}"] if given.data else []
        try:
            status: int | str = subprocess.run(
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

    from peftlab.engine.devices.registry import resolve

    found: Found = {"torch": torch.__version__, "transformers": transformers.__version__}
    found |= {"triton": triton.__version__, "card": torch.cuda.get_device_name(), "tflops": {}}
    device = resolve(given.device)
    for name in PRECISIONS:
        found["tflops"][name] = device.peak_flops_per_second(0.5, name) / 1e12  # type: ignore[arg-type]
    return _shown(found)


def twins(given: argparse.Namespace) -> Found:
    """Errors of a step's gradients, of their norm, by kernels and by plain twins; both on the card.

    The plain twins in float32 are what both precisions are held against. "rounded" is the same of
    the plain twins under torch's autocast: kernels in bf16 should be no further off.
    """
    found: Found = {}
    for method in ("full", "lora"):
        exact = _gradients(given.device, method, kernels="off")
        for name, kernels, bf16 in (
            ("fp32", "triton", False), ("bf16", "triton", True), ("rounded", "off", True),
        ):  # fmt: skip
            found[f"{method} {name}"] = _error(
                _gradients(given.device, method, kernels=kernels, bf16=bf16), exact
            )
    return _shown(found)


def recorded(given: argparse.Namespace) -> Found:
    """Losses and weights of steps as graphs, again, and one operation at a time.

    The differences are those of the largest loss, and of all weights relative to the way moved.
    """
    import torch

    found: Found = {}
    for method in ("full", "lora"):
        for name, training in PRECISIONS.items():
            start = _steps(given.device, method, {**training, "max_steps": 1, "learning_rate": 0.0})
            played = _steps(given.device, method, training)
            again = _steps(given.device, method, training)
            eager = _steps(given.device, method, training, records=False)
            moved = (played[1] - start[1]).norm()
            found[f"{method} {name}"] = {
                "words": played[2],
                "same_bits_again": played[0] == again[0] and torch.equal(played[1], again[1]),
                "loss_difference": max(
                    abs(a - b) for a, b in zip(played[0], eager[0], strict=True)
                ),
                "weights_difference": float((played[1] - eager[1]).norm() / moved),
            }
    return _shown(found)


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
    from peftlab.engine.bench import side_of

    found: Found = {}
    for title, method, task in CELLS:
        sides: dict[str, Any] = {
            f"packed {name}": side_of("packed", _setup(given, title, method, task, training))
            for name, training in PRECISIONS.items()
        }
        for name in ("trainer-fp32", "trainer-bf16"):
            sides[name] = side_of(name, _setup(given, title, method, task))
        times: dict[str, list[float]] = {name: [] for name in sides}
        rows = _rows(sides["trainer-fp32"].num_examples())
        for side in sides.values():
            side.train(rows[: 16 * 5])
        for turn in range(3):
            for name in [*sides][:: 1 if turn % 2 == 0 else -1]:
                chosen = rows[16 * 20 * turn : 16 * 20 * (turn + 1)]
                times[name].append(1e3 * sides[name].train(chosen).seconds / 20)
        found[f"{title} {method} {task}"] = {
            name: {
                "path": side.path(),
                "ms_a_step": sorted(times[name])[1],
                "dev_rows_a_second": len(side.data.dev) / min(side.evaluate() for _ in range(2)),
                "peak_memory_bytes": side.peak_memory_bytes(),
            }
            for name, side in sides.items()
        }
        print(title, method, task, found[f"{title} {method} {task}"], flush=True)
        (given.output / "steps.json").write_text(json.dumps(found, indent=1) + "\n")
        for side in sides.values():
            side.close()
    return found


def launches(given: argparse.Namespace) -> Found:
    """What a step of LoRA on bert-base asks of the card, by torch's profiler."""
    from dataclasses import asdict

    from peftlab.engine.bench import side_of

    found: Found = {}
    for name, training in (("packed", {}), ("packed", {"bf16": True}), ("trainer-fp32", {})):
        side: Any = side_of(name, _setup(given, "bert-base", "lora", "sst2", training))  # type: ignore[arg-type]
        rows = _rows(side.num_examples())
        side.train(rows[: 16 * 5])
        found[" ".join([name, *training])] = {"path": side.path(), **asdict(side.launches(rows))}
        side.close()
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
    "machine": machine, "twins": twins, "recorded": recorded, "families": families,
    "methods": methods, "steps": steps,
    "launches": launches, "resume": resume, "memory": memory, "energy": energy, "plan": plan,
}  # fmt: skip


CELLS = [("bert-base", "lora", task) for task in ("sst2", "cola", "mrpc")]
CELLS += [("bert-base", "full", "sst2"), ("minilm", "lora", "sst2")]
"""Model, method and task of what is timed."""


def _setup(
    given: argparse.Namespace, title: str, method: str, task: str, training: Any = None
) -> Any:
    """The setup of a cell; of bert-base only the shape is there."""
    from peftlab.engine.bench import Setup

    return Setup(
        model=given.minilm if title == "minilm" else "google-bert/bert-base-uncased",
        tokenizer=given.minilm, random_weights=title != "minilm", data=str(given.data), task=task,
        method=method, settings={}, device=given.device, cache=given.output / "cache",
        training={
            "per_device_train_batch_size": 16, "learning_rate": 1e-4, "max_steps": 10**6,
            **(training or {}),
        },
    )  # fmt: skip


def _small(device: str, method: str, *, bf16: bool) -> tuple[Any, Any]:
    """A small random BERT under a method on a device, and its classifier for packed batches."""
    import torch
    from transformers.models.bert import BertConfig, BertForSequenceClassification

    from peftlab.engine.classifier import build_classifier
    from peftlab.methods.registry import METHODS

    torch.manual_seed(0)
    base = BertForSequenceClassification(BertConfig(**TINY))
    chosen = METHODS.get(method)
    module = chosen.apply(base, chosen.resolve({}), seed=1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    module = module.to(device).train()
    classifier = build_classifier(
        "packed", module, base, torch.device(device), dropout_seed=3, bf16=bf16
    )
    return module, classifier


def _data(count: int = 64) -> Any:
    """Rows of 1 to 60 random tokens with two labels."""
    import numpy as np

    from peftlab.data.encode import Encoded

    draw = np.random.default_rng(0)
    lengths = draw.integers(1, 60, count)
    return Encoded(
        ids=draw.integers(1, TINY["vocab_size"], lengths.sum()).astype(np.int32),
        type_ids=None,
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        labels=np.arange(count) % 2,
        row_ids=np.arange(count),
    )


def _gradients(device: str, method: str, *, kernels: str, bf16: bool = False) -> Any:
    """The gradients of all that trains after one batch, side by side."""
    import numpy as np
    import torch

    from peftlab.engine.loss import summed_loss

    os.environ["PEFTLAB_KERNELS"] = kernels
    module, classifier = _small(device, method, bf16=bf16)
    data, rows = _data(), np.arange(16)
    with classifier.active():
        summed_loss(classifier.logits(data, rows, step=2), data.labels[rows]).backward()
    found = [p.grad.flatten() for p in module.parameters() if p.grad is not None]
    return torch.cat(found)


def _steps(
    device: str, method: str, training: Any, *, records: bool = True
) -> tuple[list[float], Any, str]:
    """Losses of steps, the weights behind them side by side, and the words for how they go."""
    from dataclasses import replace

    import torch

    from peftlab.engine.dataset import TrialData
    from peftlab.engine.devices.registry import resolve
    from peftlab.engine.precision import precision_of
    from peftlab.engine.steps import Steps
    from peftlab.models.fused import backends
    from peftlab.tasks.registry import TASKS

    os.environ["PEFTLAB_KERNELS"] = "triton"
    given = {"max_steps": 20, "learning_rate": 1e-3, "per_device_train_batch_size": 8, **training}
    trial = _trial(model="minilm", method=method, rows=64, epochs=1, training=given)
    backend = backends.TRITON if records else replace(backends.TRITON, capture=None)
    backends.BACKENDS = (backends.NUMBA, backend)
    module, classifier = _small(device, method, bf16=trial.training.bf16)
    data = _data()
    every = TrialData(task=TASKS.get("demo-sentiment"), train=data, dev=data)
    with (
        precision_of(trial.training, resolve(device)),
        Steps.active(classifier, trial, every) as taken,
    ):
        rows = _rows(64)
        for step in range(trial.training.max_steps):
            taken.take(rows[8 * (step % 8) : 8 * (step % 8) + 8])
        losses = [loss for _, loss in taken.read_losses()]
        weights = [p.detach().flatten() for p in module.parameters() if p.requires_grad]
        return losses, torch.cat(weights), taken.words


def _error(found: Any, expected: Any) -> float:
    """The difference of two vectors, relative to the second's norm."""
    return float((found - expected).norm() / expected.norm())


def _trial(
    *, model: str, method: str, rows: int, epochs: int, batch: int = 8, max_length: int = 20,
    training: Any = None,
) -> Any:  # fmt: skip
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
        training=TrainingSettings.model_validate(
            {
                "num_train_epochs": epochs,
                "per_device_train_batch_size": batch,
                "learning_rate": 1e-3,
                **(training or {}),
            }
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
