"""The time that trials take: by speeds that were measured on the device, else by their operations.

The plan, the display of the time left and the pool all reckon with the estimates made here. The
operations are those of models/flops.py, which `peftlab bench` and the costs of trials count too,
and the peak over which they are spread is the device's own (engine/devices).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapreplace
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from peftlab.core.process import usual_threads
from peftlab.core.training import Precision
from peftlab.core.trial import Trial
from peftlab.engine.devices.base import Device, kind_of
from peftlab.engine.registry import ENGINES
from peftlab.models.flops import Operations
from peftlab.store.rows import Speed

EVAL_SPEEDUP = 2.0
"""The ratio of the speeds of evaluation and training, where it was not measured."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """The amount of computing that a trial takes.

    It goes `passes` times, in as many steps as that takes, over rows of `train_lengths` tokens,
    and evaluates rows of `eval_lengths` tokens `evaluations` times. `padding` is the share of
    padding in its batches if they are padded.
    """

    operations: Operations
    passes: float
    steps: int
    train_lengths: npt.NDArray[np.int64]
    eval_lengths: npt.NDArray[np.int64]
    evaluations: int
    padding: float

    @property
    def train_tokens(self) -> float:
        """The real tokens of all training batches."""
        return self.passes * int(self.train_lengths.sum())

    @property
    def eval_tokens(self) -> int:
        """The real tokens of all evaluations."""
        return self.evaluations * int(self.eval_lengths.sum())


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The seconds of a trial, and whether its training time follows from measured speeds."""

    train_seconds: float
    eval_seconds: float
    is_measured: bool

    @property
    def seconds(self) -> float:
        """The seconds of training and evaluation."""
        return self.train_seconds + self.eval_seconds


class SpeedKey(NamedTuple):
    """The settings that trials must share for the speed of one to hold for another."""

    model_fingerprint: str
    method: str
    engine: str
    cache_frozen: bool
    bf16: bool
    tf32: bool

    @classmethod
    def of_speed(cls, speed: Speed) -> Self:
        """Return the key of a stored speed."""
        return cls(**{name: getattr(speed, name) for name in cls._fields})

    @classmethod
    def of_trial(cls, trial: Trial) -> Self:
        """Return the key of a trial."""
        training = trial.training
        return cls(
            model_fingerprint=trial.model.fingerprint,
            method=trial.method,
            engine=trial.engine,
            cache_frozen=trial.cache_frozen,
            bf16=training.bf16,
            tf32=training.tf32,
        )


class CostModel:
    """The seconds that trials take on one device.

    A speed is that of trials of the same model, method, engine, precision and caching on a device
    of the same kind and model. Those with as many threads count before others. A speed of which no
    version noted the device's model is taken to be this one's, if there is no other; one that is
    known to come from another model says nothing, and `remarks` tell that it was left out.
    Speeds of trials that shared steps with others say nothing of a trial alone, nor the reverse.
    """

    def __init__(
        self, speeds: Sequence[Speed], device: Device, *, threads: int | None = None
    ) -> None:
        self._device = device
        self._threads = threads or usual_threads()
        self._speeds: dict[SpeedKey, list[Speed]] = {}
        self._in_groups: dict[SpeedKey, list[Speed]] = {}
        for speed in speeds:
            if kind_of(speed.device) == device.kind:
                known = self._speeds if speed.together == 1 else self._in_groups
                known.setdefault(SpeedKey.of_speed(speed), []).append(speed)
        self._peaks: dict[Precision, float] = {}
        self._remarks: dict[str, None] = {}

    @property
    def remarks(self) -> tuple[str, ...]:
        """The remarks on the estimates made so far."""
        return tuple(self._remarks)

    def estimate(self, trial: Trial, work: Work) -> Estimate:
        """Return the seconds that a trial takes alone."""
        speeds = self._speeds.get(SpeedKey.of_trial(trial), [])
        train = self._median(speeds, lambda speed: speed.tokens_per_second)
        evaluation = self._median(speeds, lambda speed: speed.eval_tokens_per_second)
        if train is None:
            if speeds:
                self._remark(trial, speeds)
            return self._by_operations(trial, work)
        return Estimate(
            train_seconds=work.train_tokens / train,
            eval_seconds=work.eval_tokens / (evaluation or EVAL_SPEEDUP * train),
            is_measured=True,
        )

    def group_seconds(self, trial: Trial, work: Work, together: int) -> float | None:
        """Return a trial's share of the seconds of a group of `together`; None if not measured.

        Speeds of groups of half to twice that size count.
        """
        speeds = [
            speed
            for speed in self._in_groups.get(SpeedKey.of_trial(trial), [])
            if together <= 2 * speed.together and speed.together <= 2 * together
        ]
        train = self._median(speeds, lambda speed: speed.tokens_per_second)
        if train is None:
            return None
        evaluation = self._median(speeds, lambda speed: speed.eval_tokens_per_second)
        return work.train_tokens / train + work.eval_tokens / (evaluation or EVAL_SPEEDUP * train)

    def _median(
        self, speeds: Sequence[Speed], rate_of: Callable[[Speed], float | None]
    ) -> float | None:
        """Return the median rate of the speeds that are nearest to what is planned, if any is."""
        nearest: dict[int, list[float]] = {}
        for speed in speeds:
            rate, distance = rate_of(speed), self._distance(speed)
            if rate and distance is not None:
                nearest.setdefault(distance, []).append(rate)
        return float(np.median(nearest[min(nearest)])) if nearest else None

    def _distance(self, speed: Speed) -> int | None:
        """Return the distance of a speed from the plan; None if it says nothing about the plan."""
        name = self._device.model_name
        if speed.device_name and name and speed.device_name != name:
            return None
        has_other_threads = self._device.shares_cores and speed.threads != self._threads
        return 2 * (not speed.device_name) + has_other_threads

    def _remark(self, trial: Trial, speeds: Sequence[Speed]) -> None:
        others = ", ".join(sorted({speed.device_name or "" for speed in speeds}))
        self._remarks[
            f"{trial.method} ({trial.engine}) was measured on {others}, never on "
            f"{self._device.model_name}: its time here is estimated from its operations"
        ] = None

    def _by_operations(self, trial: Trial, work: Work) -> Estimate:
        """Return the estimate by operations over the peak, and the time of starting kernels."""
        device, operations = self._device, work.operations
        padding = work.padding if ENGINES.get(trial.engine).pads else 0.0
        rate = device.share_of_peak * self._peak_flops(trial.training.precision) * (1 - padding)
        overhead = device.seconds_per_layer * operations.shape.num_layers
        train_flops = work.passes * operations.train_flops(work.train_lengths.tolist())
        eval_flops = work.evaluations * operations.eval_flops(work.eval_lengths.tolist())
        batches = work.steps * work.eval_tokens / max(work.train_tokens, 1.0)
        return Estimate(
            train_seconds=train_flops / rate + work.steps * overhead,
            eval_seconds=eval_flops / rate + batches * overhead / EVAL_SPEEDUP,
            is_measured=False,
        )

    def _peak_flops(self, precision: Precision) -> float:
        """Return the device's peak with the threads that are planned; it is measured once."""
        if precision not in self._peaks:
            peak = self._device.estimated_peak_flops_per_second(precision)
            if self._device.shares_cores:
                peak *= self._threads / usual_threads()
            self._peaks[precision] = peak
        return self._peaks[precision]


class TimeLeft:
    """The time that trials still take: their estimates, scaled by the accuracy of those so far."""

    def __init__(self, seconds: Mapping[str, float]) -> None:
        self._open = dict(seconds)
        self._open_seconds = sum(self._open.values())
        self._spent_seconds = 0.0
        self._expected_seconds = 0.0
        self._at_once = 1

    def ended(self, trial_id: str, seconds: float) -> None:
        """Note that a trial has ended after `seconds`."""
        expected = self._open.pop(trial_id, 0.0)
        self._open_seconds = self._open_seconds - expected if self._open else 0.0
        self._expected_seconds += expected
        self._spent_seconds += seconds

    def seconds(self, running: Mapping[str, tuple[float, float]]) -> float | None:
        """Return the seconds for all open trials, if as many run at a time as do now, or did last.

        `running` maps each running trial to the share of it that is done and the seconds it took.
        """
        self._at_once = len(running) or self._at_once
        expected, spent, done = self._expected_seconds, self._spent_seconds, 0.0
        for trial_id, (share, seconds) in running.items():
            done += share * self._open.get(trial_id, 0.0)
            spent += seconds
        expected += done
        if not self._open_seconds:
            return None
        return (self._open_seconds - done) * (spent / expected if expected else 1.0) / self._at_once


def end_of(seconds: Sequence[float], workers: int) -> float:
    """Return when the last of the jobs ends if each worker takes the next as soon as it is free.

    >>> end_of([3.0, 2.0, 2.0, 1.0], 2)
    4.0
    """
    free = [0.0] * workers
    for one in seconds:
        heapreplace(free, free[0] + one)
    return max(free)
