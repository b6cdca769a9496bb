"""Estimates follow from speeds on the same device, else from operations; the time left does too."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pytest

from peftlab.core.training import Precision, TrainingSettings
from peftlab.engine.devices.base import Device
from peftlab.models.flops import EncoderShape, Operations
from peftlab.runner.cost import CostModel, TimeLeft, Work
from peftlab.store.rows import Speed
from tests.core.made_trials import trial

PEAK = 1e9
FASTER: dict[Precision, float] = {"fp32": 1, "tf32": 8, "bf16": 16}
"""The speed of products in each precision, relative to float32."""


class Toy(Device):
    """A device of which everything is known."""

    share_of_peak: ClassVar[float] = 0.25

    def __init__(self, name: str = "cpu", *, model: str = "this one") -> None:
        super().__init__(name)
        self._model = model

    @cached_property
    def model_name(self) -> str:
        return self._model

    def peak_memory_bytes(self) -> int | None:
        return None

    def peak_flops_per_second(self, seconds: float = 0.1, precision: Precision = "fp32") -> float:
        return PEAK * FASTER[precision]


class Cores(Toy):
    shares_cores: ClassVar[bool] = True


class Card(Toy):
    seconds_per_layer: ClassVar[float] = 0.5


WORK = Work(
    operations=Operations(
        shape=EncoderShape(num_layers=3, width=8, inner_width=32),
        trains_weights=True,
        trains_embeddings=True,
    ),
    passes=2.0,
    steps=4,
    train_lengths=np.array([10, 20, 30]),
    eval_lengths=np.array([5, 5]),
    evaluations=3,
    padding=0.5,
)
"""The speeds: twice 60 tokens in 4 steps, and three times 10."""


def speed(rate: float, evaluation: float | None = None, **changes: Any) -> Speed:
    values = {
        "model_fingerprint": "f0",
        "method": "lora",
        "engine": "packed",
        "cache_frozen": False,
        "device": "cpu",
        "device_name": "this one",
        "threads": 2,
    }
    rates = {"tokens_per_second": rate, "eval_tokens_per_second": evaluation}
    return Speed.model_validate(values | rates | changes)


def model(*speeds: Speed, device: Device | None = None, threads: int = 2) -> CostModel:
    return CostModel(speeds, device or Cores(), threads=threads)


def test_training_and_evaluation_have_speeds_of_their_own() -> None:
    found = model(speed(10.0, 60.0), speed(30.0, 100.0), speed(20.0)).estimate(trial(), WORK)
    assert (found.train_seconds, found.eval_seconds) == (120 / 20, 30 / 80)
    assert found.seconds == 6.375
    assert found.is_measured


def test_an_evaluation_that_was_never_timed_is_taken_to_be_twice_as_fast() -> None:
    assert model(speed(20.0)).estimate(trial(), WORK).eval_seconds == 30 / 40


@pytest.mark.parametrize(
    "other",
    [{"method": "full"}, {"engine": "padded"}, {"cache_frozen": True}, {"model_fingerprint": "g"},
     {"device": "cuda"}, {"bf16": True}, {"tf32": True}],
)  # fmt: skip
def test_a_speed_of_another_kind_says_nothing(other: dict[str, Any]) -> None:
    costs = model(speed(1e-3, **other))
    assert not costs.estimate(trial(), WORK).is_measured
    assert costs.remarks == ()


def test_a_trial_in_bf16_goes_by_speeds_in_bf16_or_by_the_peak_of_such_products() -> None:
    rounded, plain = trial(training=TrainingSettings(bf16=True)), trial()
    costs = model(speed(20.0, bf16=True), speed(5.0))
    assert costs.estimate(rounded, WORK).train_seconds == 120 / 20
    assert costs.estimate(plain, WORK).train_seconds == 120 / 5
    by_peak = model(speed(20.0, tf32=True))
    ratio = by_peak.estimate(plain, WORK).seconds / by_peak.estimate(rounded, WORK).seconds
    assert ratio == pytest.approx(FASTER["bf16"])


def test_a_card_of_another_number_is_the_same_kind() -> None:
    card = Card("cuda:1")
    assert model(speed(20.0, device="cuda:0"), device=card).estimate(trial(), WORK).is_measured


def test_a_speed_of_another_processor_is_left_out_and_that_is_said() -> None:
    costs = model(speed(1e-3, device_name="a slow one"))
    assert not costs.estimate(trial(), WORK).is_measured
    costs.estimate(trial(), WORK)
    assert costs.remarks == (
        "lora (packed) was measured on a slow one, never on this one: its time here is estimated "
        "from its operations",
    )


def test_the_nearest_speeds_count_alone() -> None:
    """This processor's speeds come before unnamed ones, and equal threads before others."""
    named, fewer = speed(8.0), speed(6.0, threads=1)
    unnamed, both = speed(4.0, device_name=None), speed(2.0, device_name=None, threads=1)
    every = [both, unnamed, fewer, named]
    while every:
        found = model(*every).estimate(trial(), WORK)
        assert found.train_seconds == 120 / every.pop().tokens_per_second


def test_threads_make_no_difference_on_a_card() -> None:
    rates = [speed(10.0, device="cuda", threads=2), speed(30.0, device="cuda", threads=4)]
    found = model(*rates, device=Card("cuda")).estimate(trial(), WORK)
    assert found.train_seconds == 120 / 20


def test_operations_over_the_share_of_the_peak() -> None:
    train = 2 * WORK.operations.train_flops([10, 20, 30])
    evaluation = 3 * WORK.operations.eval_flops([5, 5])
    found = model(device=Toy()).estimate(trial(), WORK)
    assert found.train_seconds == pytest.approx(train / (0.25 * PEAK))
    assert found.eval_seconds == pytest.approx(evaluation / (0.25 * PEAK))
    padded = model(device=Toy()).estimate(trial(engine="padded"), WORK)
    assert padded.train_seconds == pytest.approx(2 * found.train_seconds)


def test_twice_the_threads_have_twice_the_peak_of_a_processor_alone() -> None:
    def seconds(device: Device, threads: int) -> float:
        return model(device=device, threads=threads).estimate(trial(), WORK).train_seconds

    assert seconds(Cores(), 1) == 2 * seconds(Cores(), 2)
    assert seconds(Card("cuda"), 1) == seconds(Card("cuda"), 2)


def test_a_card_takes_its_time_for_every_layer_of_a_step() -> None:
    plain = model(device=Toy("cuda")).estimate(trial(), WORK)
    found = model(device=Card("cuda")).estimate(trial(), WORK)
    assert found.train_seconds - plain.train_seconds == pytest.approx(4 * 3 * 0.5)
    # 30 tokens are evaluated, a batch of training has 30, and there is no backward pass.
    assert found.eval_seconds - plain.eval_seconds == pytest.approx(1 * 3 * 0.25)


# The time left


def test_before_anything_has_run_the_estimate_is_the_plans() -> None:
    assert TimeLeft({"a": 10.0, "b": 30.0}).seconds({}) == 40.0


def test_an_ended_trial_corrects_the_estimate_of_the_others() -> None:
    ticking = TimeLeft({"a": 10.0, "b": 30.0})
    ticking.ended("a", 20.0)
    assert ticking.seconds({}) == 60.0


def test_a_running_trial_corrects_the_estimate_and_counts_for_what_it_has_done() -> None:
    ticking = TimeLeft({"a": 10.0, "b": 30.0})
    # Half of b should have taken 15 s and took 30: all takes twice as long, and 10 + 15 are left.
    assert ticking.seconds({"b": (0.5, 30.0)}) == 50.0
    ticking.ended("a", 20.0)
    # 10 + 15 were expected and 20 + 30 were spent: still twice as long, and 15 are left.
    assert ticking.seconds({"b": (0.5, 30.0)}) == 30.0


def test_a_trial_that_has_just_begun_corrects_nothing() -> None:
    assert TimeLeft({"a": 10.0}).seconds({"a": (0.0, 5.0)}) == 10.0


def test_when_all_is_done_or_nothing_is_known_there_is_no_estimate() -> None:
    ticking = TimeLeft({"a": 10.0})
    ticking.ended("a", 7.0)
    assert ticking.seconds({}) is None
    assert TimeLeft({"a": 0.0, "b": 0.0}).seconds({"a": (0.5, 3.0)}) is None


def test_trials_that_run_side_by_side_share_what_is_left() -> None:
    ticking = TimeLeft({"a": 10.0, "b": 30.0, "c": 20.0})
    assert ticking.seconds({"a": (0.0, 0.0), "b": (0.0, 0.0)}) == 30.0
    # 5 + 15 should have taken 20 s and took 40: of 60, 40 are left, in two at a time.
    assert ticking.seconds({"a": (0.5, 10.0), "b": (0.5, 30.0)}) == 40.0


def test_a_trial_that_was_not_planned_is_no_error() -> None:
    ticking = TimeLeft({"a": 10.0})
    ticking.ended("other", 3.0)
    assert ticking.seconds({"other": (0.5, 3.0)}) == 10.0
