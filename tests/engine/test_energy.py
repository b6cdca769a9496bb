"""Energy is read from the hardware's counters, and is unknown if any of them is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from time import sleep
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from peftlab.core.interrupts import request_stop, stopping_gently
from peftlab.core.trial import Trial
from peftlab.engine import energy
from peftlab.engine.devices import processor
from peftlab.engine.devices.accelerators import Accelerator, Cuda
from peftlab.engine.devices.base import Device
from peftlab.engine.devices.processor import Processor
from peftlab.engine.energy import EnergyMeter
from peftlab.engine.events import Event, Stepped
from peftlab.engine.registry import ENGINES
from tests.engine.running import run_alone

CPU, GPU = Processor("cpu"), Cuda("cuda:1")
RANGE = 262_143_328_850
MakeTrial = Callable[..., Trial]


class Powercap:
    """A folder like Linux's, with its counters in microjoules."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, domain: str, name: str, count: int) -> None:
        place = self.folder / domain
        place.mkdir(parents=True)
        (place / "name").write_text(f"{name}\n")
        (place / "max_energy_range_uj").write_text(f"{RANGE}\n")
        self.set(domain, count)

    def set(self, domain: str, count: int | str) -> None:
        # Replaced as a whole: the meter may read it at any moment.
        aside = self.folder / domain / "aside"
        aside.write_text(f"{count}\n")
        aside.replace(self.folder / domain / "energy_uj")


@pytest.fixture
def powercap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Powercap:
    """A machine with one package, and with the other domains that a real machine shows."""
    made = Powercap(tmp_path / "powercap")
    made.add("intel-rapl:0", "package-0", 5_000_000)
    made.add("intel-rapl:0:0", "core", 1_000_000)
    made.add("intel-rapl:1", "psys", 9_000_000)
    made.add("intel-rapl-mmio:0", "package-0", 5_000_000)
    monkeypatch.setattr(processor, "POWERCAP", made.folder)
    return made


def meter(*, device: Device = CPU, is_alone: bool = True) -> EnergyMeter:
    return EnergyMeter(device, is_alone=is_alone)


def test_only_the_package_counts_and_only_while_the_meter_is_open(powercap: Powercap) -> None:
    powercap.set("intel-rapl:0", 6_000_000)
    with meter() as opened:
        assert opened.read() == 0.0
        for domain, count in (("0", 8_500_000), ("0:0", 2_000_000), ("1", 19_000_000)):
            powercap.set(f"intel-rapl:{domain}", count)
        powercap.set("intel-rapl-mmio:0", 8_500_000)
        assert opened.read() == 2.5
        powercap.set("intel-rapl:0", 9_000_000)
    powercap.set("intel-rapl:0", 99_000_000)
    assert opened.read() == 3.0


def test_several_packages_are_added_up(powercap: Powercap) -> None:
    powercap.add("intel-rapl:2", "package-1-die-0", 100)
    with meter() as opened:
        powercap.set("intel-rapl:0", 7_000_000)
        powercap.set("intel-rapl:2", 500_100)
    assert opened.read() == 2.5


def test_a_counter_that_begins_anew_goes_on(powercap: Powercap) -> None:
    powercap.set("intel-rapl:0", RANGE - 1_000_000)
    with meter() as opened:
        powercap.set("intel-rapl:0", 2_000_000)
        assert opened.read() == 3.0
        powercap.set("intel-rapl:0", 1_000_000)
        assert opened.read() == pytest.approx(2.0 + RANGE / 1e6)


def test_it_looks_by_itself_between_two_beginnings(
    powercap: Powercap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(energy, "SECONDS_BETWEEN_LOOKS", 0.001)
    with meter() as opened:
        for count in (RANGE - 1, 4_000_000):
            counter = opened._counters[0]
            powercap.set("intel-rapl:0", count)
            while counter.last != count:
                sleep(0.001)
    assert opened.read() == pytest.approx((RANGE - 1_000_000) / 1e6)


def test_what_may_not_be_read_is_unknown(
    powercap: Powercap, monkeypatch: pytest.MonkeyPatch
) -> None:
    powercap.add("intel-rapl:2", "package-1", 7)
    forbidden = powercap.folder / "intel-rapl:2" / "energy_uj"
    read_text = Path.read_text

    def refuse(self: Path, *given: Any, **named: Any) -> str:
        if self == forbidden:
            raise PermissionError(13, "Permission denied", str(self))
        return read_text(self, *given, **named)

    monkeypatch.setattr(Path, "read_text", refuse)  # root, as in a container, may read anything
    with meter() as opened:
        assert opened.read() is None
    assert opened.read() is None


def test_a_counter_that_breaks_makes_the_whole_unknown(powercap: Powercap) -> None:
    with meter() as opened:
        powercap.set("intel-rapl:0", "gone")
        assert opened.read() is None
        powercap.set("intel-rapl:0", 6_000_000)
        assert opened.read() is None


def test_beside_other_trials_or_without_counters_nothing_is_measured(
    powercap: Powercap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with meter(is_alone=False) as opened:
        powercap.set("intel-rapl:0", 7_000_000)
    assert opened.read() is None
    with meter(device=Accelerator("mps")) as opened:
        assert opened.read() is None
    monkeypatch.setattr(processor, "POWERCAP", tmp_path / "nothing")
    with meter() as opened:
        assert opened.read() is None


def test_what_was_used_before_a_break_is_added_or_makes_the_whole_unknown(
    powercap: Powercap,
) -> None:
    with meter() as opened:
        opened.go_on_from(10.0)
        powercap.set("intel-rapl:0", 7_000_000)
    assert opened.read() == 12.0
    with meter() as opened:
        opened.go_on_from(None)
    assert opened.read() is None
    with meter(is_alone=False) as opened:
        opened.go_on_from(10.0)
    assert opened.read() is None


# GPUs, by a library that only pretends


class NVMLError(Exception):
    """The error that the library raises."""


class Nvml:
    """pynvml with one GPU, counting in millijoules."""

    NVMLError = NVMLError

    def __init__(self) -> None:
        self.count: int | None = 70_000
        self.asked: list[str] = []

    def nvmlInit(self) -> None: ...

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        self.asked.append(uuid)
        return uuid

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:
        if self.count is None:
            raise NVMLError("Not Supported")
        return self.count


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Nvml:
    library = Nvml()
    monkeypatch.setitem(sys.modules, "pynvml", library)  # type: ignore[arg-type]
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid=f"id-of-{device}")
    )
    return library


def test_a_gpu_is_asked_by_its_uuid(nvml: Nvml, powercap: Powercap) -> None:
    with meter(device=GPU) as opened:
        nvml.count = 72_500
        powercap.set("intel-rapl:0", 7_000_000)
        assert opened.read() == 2.5
    assert set(nvml.asked) == {"GPU-id-of-cuda:1"}


def test_a_gpu_that_does_not_count_or_is_reset_is_unknown(nvml: Nvml, powercap: Powercap) -> None:
    with meter(device=GPU) as opened:
        nvml.count = 3
        assert opened.read() is None
    nvml.count = None
    with meter(device=GPU) as opened:
        assert opened.read() is None


def test_without_the_package_for_gpus_nothing_is_measured(
    nvml: Nvml, powercap: Powercap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with meter(device=GPU) as opened:
        assert opened.read() is None


# Trials


class Ticking:
    """A listener that makes the machine use a joule at every step, and stops the trial at one."""

    def __init__(self, powercap: Powercap, stop_at: int = 0) -> None:
        self.powercap, self.stop_at, self.count = powercap, stop_at, 5_000_000

    def __call__(self, event: Event) -> None:
        if not isinstance(event, Stepped):
            return
        self.count += 1_000_000
        self.powercap.set("intel-rapl:0", self.count)
        if event.step == self.stop_at:
            request_stop()


@pytest.fixture
def run(powercap: Powercap, make_trial: MakeTrial, tmp_path: Path) -> Callable[..., float | None]:
    """The function that runs a trial of 5 steps on the fake machine and returns the joules used."""

    def run(*, engine: str = "packed", is_alone: bool = True, stop_at: int = 0) -> float | None:
        powercap.set("intel-rapl:0", 5_000_000)
        return run_alone(
            make_trial(method="bitfit", engine=engine, num_train_epochs=1),
            tmp_path / "artifacts",
            tell=Ticking(powercap, stop_at),
            is_alone=is_alone,
        ).costs.energy_joules

    return run


@pytest.mark.parametrize("engine", ENGINES.names())
def test_the_energy_of_every_engines_training_is_among_the_costs(
    engine: str, run: Callable[..., float | None]
) -> None:
    assert run(engine=engine) == 5.0
    assert run(engine=engine, is_alone=False) is None


@pytest.mark.parametrize(("was_alone", "joules"), [(True, 5.0), (False, None)])
def test_a_trial_that_goes_on_counts_what_it_used_before(
    was_alone: bool, joules: float | None, run: Callable[..., float | None]
) -> None:
    with stopping_gently(), pytest.raises(KeyboardInterrupt):
        run(is_alone=was_alone, stop_at=3)
    assert run() == joules
