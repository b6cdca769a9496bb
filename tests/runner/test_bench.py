"""The benchmark measures every side in its own process and reports their ratios."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from peftlab.core.errors import UserError
from peftlab.engine.bench import Setup
from peftlab.runner.bench import Ratio, run_bench


def setup(checkpoint: Path, cache: Path, *, task: str = "demo-sentiment") -> Setup:
    return Setup(
        model=str(checkpoint),
        tokenizer=str(checkpoint),
        random_weights=False,
        data="demo",
        task=task,
        method="lora",
        settings={"r": 2},
        training={"per_device_train_batch_size": 4, "learning_rate": 1e-3, "max_steps": 1000},
        device="cpu",
        cache=cache,
    )


def test_a_ratio_is_of_the_rounds_and_not_of_the_means() -> None:
    ratio = Ratio.of([2.0, 3.0, 40.0], [1.0, 1.0, 10.0])
    assert (ratio.median, ratio.least, ratio.greatest) == (3.0, 2.0, 4.0)


def test_a_benchmark_of_a_tiny_model(tiny_checkpoint: Path, tmp_path: Path) -> None:
    said: list[str] = []
    result = run_bench(
        setup(tiny_checkpoint, tmp_path),
        rounds=2,
        steps=3,
        sides=("packed", "trainer"),
        threads=1,
        say=said.append,
    )
    assert list(result.sides) == ["packed", "trainer"]
    packed, trainer = result.sides["packed"], result.sides["trainer"]
    assert packed.path == "packed, fused blocks, compiled kernels"
    assert packed.train_ratio is None
    assert trainer.train_ratio is not None
    low, high = trainer.train_ratio.least, trainer.train_ratio.greatest
    assert 0 < low <= trainer.train_ratio.median <= high
    for side in result.sides.values():
        assert side.train_examples_per_second > 0
        assert side.eval_seconds > 0
        assert side.peak_memory_bytes > 50_000_000
        assert 0 < side.share_of_peak < 1
    assert sum(result.step_split.values()) == pytest.approx(1)
    assert 0.2 < result.padding_avoided < 0.6
    assert json.loads(json.dumps(result.to_json()))["setup"]["settings"] == {"r": 2}
    assert said[-1].startswith("round 2 of 2")


def test_the_peer_in_bf16_and_several_of_it_at_once(tiny_checkpoint: Path, tmp_path: Path) -> None:
    result = run_bench(
        setup(tiny_checkpoint, tmp_path),
        rounds=1,
        steps=2,
        sides=("packed", "trainer-bf16"),
        peers=(1, 2),
        threads=1,
    )
    assert list(result.sides) == ["packed", "trainer-bf16", "trainer-bf16 x2"]
    one, two = result.sides["trainer-bf16"], result.sides["trainer-bf16 x2"]
    assert one.path == two.path == "transformers.Trainer, batches random, bf16"
    assert (one.processes, two.processes) == (1, 2)
    assert two.peak_memory_bytes > 1.5 * one.peak_memory_bytes
    assert one.milliseconds_per_step > 0
    assert one.launches is None  # which a card alone tells


def test_a_mistake_on_a_side_is_said_as_such(tiny_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown task 'demo-sentimet', did you mean"):
        run_bench(
            setup(tiny_checkpoint, tmp_path, task="demo-sentimet"),
            rounds=1,
            steps=1,
            sides=("packed",),
        )
