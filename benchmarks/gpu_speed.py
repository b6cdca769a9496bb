"""The sections of benchmarks.gpu that ask how fast a card is, and what it takes."""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from time import perf_counter, sleep
from typing import Any

from benchmarks.gpu_setup import CELLS, PRECISIONS, Told, rows_in_order, setup_of

TURNS, STEPS = 3, 20
EVAL_SIZES = (8, 64, 512)
"""The batch sizes of Trainer.predict of which the fastest counts."""


def machine(given: argparse.Namespace) -> Told:
    """The card, the versions, and operations a second of a large matrix product."""
    import torch
    import transformers
    import triton

    from peftlab.engine.devices.registry import resolve

    yield "torch", torch.__version__
    yield "transformers", transformers.__version__
    yield "triton", triton.__version__
    yield "card", torch.cuda.get_device_name()
    device = resolve(given.device)
    yield (
        "tflops",
        {
            name: device.peak_flops_per_second(0.5, name) / 1e12  # type: ignore[arg-type]
            for name in PRECISIONS
        },
    )


def steps(given: argparse.Namespace) -> Told:
    """Milliseconds of a step, medians of turns that alternate; rows of dev predicted a second."""
    from peftlab.engine.bench import side_of

    for title, method, task in CELLS:
        sides: dict[str, Any] = {
            f"packed {name}": side_of("packed", setup_of(given, title, method, task, training))
            for name, training in PRECISIONS.items()
        }
        for name in ("trainer-fp32", "trainer-bf16"):
            sides[name] = side_of(name, setup_of(given, title, method, task))
        tf32 = setup_of(given, title, method, task, {"tf32": True})
        sides["trainer-tf32"] = side_of("trainer", tf32)
        times: dict[str, list[float]] = {name: [] for name in sides}
        rows = rows_in_order(sides["trainer-fp32"].num_examples())
        for side in sides.values():
            side.train(rows[: 16 * 5])
        for turn in range(TURNS):
            for name in [*sides][:: 1 if turn % 2 == 0 else -1]:
                chosen = rows[16 * STEPS * turn : 16 * STEPS * (turn + 1)]
                times[name].append(1e3 * sides[name].train(chosen).seconds / STEPS)
        yield (
            f"{title} {method} {task}",
            {
                name: {
                    "path": side.path(),
                    "ms_a_step": sorted(times[name])[TURNS // 2],
                    "dev_rows_a_second": len(side.data.dev)
                    / min(side.evaluate() for _ in range(2)),
                    "peak_memory_bytes": side.peak_memory_bytes(),
                }
                for name, side in sides.items()
            },
        )
        for side in sides.values():
            side.close()


def evaluation(given: argparse.Namespace) -> Told:
    """Rows of dev predicted a second, and of the peer at each batch size."""
    from peftlab.engine.bench import side_of

    for task in ("sst2", "cola", "mrpc"):
        found = {}
        for name, training in PRECISIONS.items():
            ours: Any = side_of("packed", setup_of(given, "bert-base", "lora", task, training))
            found[name] = len(ours.data.dev) / min(ours.evaluate() for _ in range(3))
            ours.close()
        for size in EVAL_SIZES:
            batches = {"per_device_eval_batch_size": size}
            peer: Any = side_of("trainer-bf16", setup_of(given, "bert-base", "lora", task, batches))
            found[f"trainer {size}"] = len(peer.data.dev) / peer.evaluate()
            peer.close()
        yield task, found


def launches(given: argparse.Namespace) -> Told:
    """What a step of LoRA on bert-base asks of the card, by torch's profiler."""
    from dataclasses import asdict

    from peftlab.engine.bench import side_of

    for name, training in (("packed", {}), ("packed", {"bf16": True}), ("trainer-fp32", {})):
        setup = setup_of(given, "bert-base", "lora", "sst2", training)
        side: Any = side_of(name, setup)  # type: ignore[arg-type]
        rows = rows_in_order(side.num_examples())
        side.train(rows[: 16 * 5])
        found = side.launches(rows)
        yield " ".join([name, *training]), {"path": side.path(), **asdict(found)}
        side.close()


def energy(given: argparse.Namespace) -> Told:
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
    joules, resting = meter.read(), idle.read()
    yield "joules", joules
    yield "watts", None if joules is None else joules / seconds
    yield "idle_watts", None if resting is None else resting / 2
    yield "nvidia_smi_watts", [float(line) for line in (watts.stdout or []) if line.strip()]


def plan(given: argparse.Namespace) -> Told:
    """Seconds that are foretold of a small study, before and after half of it, and what it took."""
    from peftlab import Study

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
            yield (
                label,
                {
                    name: {
                        "foretold_seconds": foretold[name],
                        "taken_seconds": one.train_seconds + one.eval_seconds,
                        "joules": one.energy_joules,
                        "peak_memory_bytes": one.peak_memory_bytes,
                        "path": one.path,
                    }
                    for name, one in costs.items()
                    if one is not None
                },
            )
