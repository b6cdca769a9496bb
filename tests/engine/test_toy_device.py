"""A new device is one class and its entry: a study runs on it and reports its measurements."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from peftlab.api.study import Study
from peftlab.core.training import Precision
from peftlab.core.trial import Trial
from peftlab.data.batches import batches_of_tokens
from peftlab.engine.bench import sides_on
from peftlab.engine.devices.accelerators import Cuda
from peftlab.engine.devices.base import Device, EnergyCounter
from peftlab.engine.devices.processor import Processor
from peftlab.engine.devices.registry import DEVICES, DeviceEntry, is_known, resolve, resource_of
from peftlab.engine.energy import EnergyMeter
from peftlab.engine.memory import PeakMemory
from peftlab.engine.rate import RateMeter
from peftlab.engine.registry import ENGINES
from peftlab.engine.steps import Steps
from peftlab.store.workspace import Workspace
from tests.toy_study import toy_study


class Abacus(Device):
    """A toy device that computes on the processor; reading its counter takes a joule."""

    share_of_peak: ClassVar[float] = 1.0
    eval_tokens_per_batch: ClassVar[int] = 48
    made_ready: ClassVar[int] = 0
    joules: ClassVar[int] = 0

    @cached_property
    def model_name(self) -> str:
        return f"abacus of {self.name.partition(':')[2] or 10} beads"

    @cached_property
    def torch(self) -> torch.device:
        return torch.device("cpu")

    def make_ready(self) -> None:
        Abacus.made_ready += 1

    def reset_peak_memory(self) -> bool:
        return True

    def peak_memory_bytes(self) -> int | None:
        return 4321

    def energy_counters(self) -> list[EnergyCounter]:
        return [EnergyCounter(count=self._count, per_joule=1.0)]

    def trainer_arguments(self) -> dict[str, Any]:
        return {"use_cpu": True, "dataloader_pin_memory": False}

    def peak_flops_per_second(self, seconds: float = 0.1, precision: Precision = "fp32") -> float:
        return 1e6

    def _count(self) -> int:
        Abacus.joules += 1
        return Abacus.joules


@pytest.fixture(autouse=True)
def abacus(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The device's entry, which `auto` would choose after the processor."""
    entry = DeviceEntry(
        pattern=r"abacus(:\d+)?",
        names=lambda: ["abacus"],
        has=lambda name: True,
        open=Abacus,
        order=200,
    )
    monkeypatch.setattr(Abacus, "made_ready", 0)
    with DEVICES.temporarily("abacus", entry):
        yield


@pytest.fixture
def study(tiny_checkpoint: Path, tmp_path: Path) -> Callable[..., Study]:
    """Return a study of one trial on the tiny checkpoint."""

    def make(**changes: Any) -> Study:
        given = toy_study(tiny_checkpoint, **changes)
        return Study.from_dict(given, workspace=tmp_path / "runs")

    return make


def test_it_is_found_by_its_name_alone() -> None:
    assert isinstance(resolve("abacus:7"), Abacus)
    assert resolve("abacus:7").model_name == "abacus of 7 beads"
    assert resolve("auto").kind != "abacus"
    assert is_known("abacus:7")
    assert resource_of("abacus") == "CPU"


def test_its_memory_and_energy_are_what_it_says() -> None:
    device = resolve("abacus")
    assert PeakMemory(device).read() == 4321
    with EnergyMeter(device, is_alone=True) as meter:
        assert meter.read() == 1.0
    assert meter.read() == 2.0


@pytest.mark.parametrize("engine", ENGINES.names())
def test_a_study_runs_on_it_by_every_engine(engine: str, study: Callable[..., Study]) -> None:
    made = study(engine=engine)
    (planned,) = made.plan(device="abacus").trials
    assert planned.seconds is not None
    assert planned.seconds > 1.0, "by its operations over its peak, which is low"
    (trial,) = made.run(device="abacus", progress=False)
    costs = trial.record.costs
    assert trial.status == "done"
    assert costs is not None
    assert (costs.device, costs.device_name) == ("abacus", "abacus of 10 beads")
    assert costs.peak_memory_bytes == 4321
    assert costs.energy_joules is not None
    assert costs.energy_joules >= 1.0
    assert Abacus.made_ready == 1


def test_evaluations_are_in_batches_of_its_size(
    study: Callable[..., Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = set()

    def seen(order: Any, lengths: Any, most: int) -> Any:
        sizes.add(most)
        return batches_of_tokens(order, lengths, most)

    monkeypatch.setattr("peftlab.engine.evaluate.batches_of_tokens", seen)
    (trial,) = study().run(device="abacus", progress=False)
    assert trial.status == "done"
    assert sizes == {48}


def test_a_benchmark_asks_it_for_what_is_compared() -> None:
    cards = [Cuda("cuda:1"), Processor("cpu"), Abacus("abacus")]
    assert [sides_on(one, grouped=True)[1:] for one in cards] == [
        ["trainer-bf16", "trainer-fp32"], *[["trainer", "trainer-grouped"]] * 2
    ]  # fmt: skip
    assert sides_on(Abacus("abacus"), grouped=False) == ["packed", "trainer"]
    assert [one.counts_launches for one in cards] == [True, False, False]


@pytest.mark.parametrize("tf32", [False, True])
def test_a_speed_is_measured_in_the_precision_of_the_settings(
    tf32: bool,
    make_trial: Callable[..., Trial],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = set()

    def seen(self: Steps, *given: Any, **named: Any) -> Any:
        found.add(torch.backends.fp32_precision)
        return take(self, *given, **named)

    take = Steps.take
    monkeypatch.setattr(Steps, "take", seen)
    monkeypatch.setattr(Abacus, "why_not_tf32", None)
    before = torch.backends.fp32_precision
    meter = RateMeter(make_trial(tf32=tf32), cache=tmp_path, device="abacus")
    assert meter.measure(0.01) > 0
    assert found == {"tf32" if tf32 else "ieee"}
    assert torch.backends.fp32_precision == before


def test_what_it_measured_is_for_its_own_plans_alone(study: Callable[..., Study]) -> None:
    made = study()
    made.run(device="abacus", progress=False)
    with Workspace.open(made.workspace) as opened:
        (speed,) = opened.speeds()
    assert (speed.device, speed.device_name) == ("abacus", "abacus of 10 beads")
    assert speed.eval_tokens_per_second is not None
    assert speed.eval_tokens_per_second > 0
    (planned,) = study(seeds=[2]).plan(device="abacus").trials
    assert planned.tokens is not None
    assert planned.seconds is not None
    train_seconds = planned.tokens / speed.tokens_per_second
    assert train_seconds < planned.seconds < 1e3 * train_seconds
    (elsewhere,) = study(seeds=[2]).plan(device="abacus:7").trials
    assert elsewhere.seconds != planned.seconds
    remarks = study(seeds=[2]).plan(device="abacus:7").remarks
    assert any("abacus of 10 beads, never on abacus of 7 beads" in one for one in remarks)
    assert not any("abacus" in one for one in study(seeds=[2]).plan(device="cpu").remarks)
