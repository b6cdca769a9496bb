"""The schedules of the learning rate: what each makes of it at every step, and its own settings.

They are those of transformers.get_scheduler that are functions of the step alone, under the same
names and with the same defaults; a test holds each of them equal to it at all steps.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from peftlab.core.validation import Count, Frozen, Integer, NonNegative

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Ramp = Literal["linear", "cosine", "1-sqrt"]


class Schedule(Frozen):
    """A schedule with its settings, which are the keys of `lr_scheduler_kwargs`."""

    @abstractmethod
    def factor(self, step: int, *, warmup: int, total: int, learning_rate: float) -> float:
        """Return the factor of the learning rate at a step.

        Steps count from 0; the warm-up takes `warmup` of them, the training `total`.
        """

    def require_fit(self, learning_rate: float) -> None:
        """Raise ValueError if the settings do not fit the learning rate."""


class Constant(Schedule):
    """A constant learning rate without warm-up."""

    def factor(self, step: int, *, warmup: int, total: int, learning_rate: float) -> float:
        """Return 1."""
        return 1.0


class Warmed(Schedule):
    """A schedule whose warm-up rises linearly from 0."""

    def factor(self, step: int, *, warmup: int, total: int, learning_rate: float) -> float:
        """Return the share of the warm-up that is over, then what follows it."""
        if step < warmup:
            return step / max(1, warmup)
        return self.after(step, warmup=warmup, total=total, learning_rate=learning_rate)

    @abstractmethod
    def after(self, step: int, *, warmup: int, total: int, learning_rate: float) -> float:
        """Return the factor at a step after the warm-up."""


class ConstantWithWarmup(Warmed):
    """A learning rate that is constant after the warm-up."""

    def after(self, step: int, *, warmup: int, total: int, learning_rate: float) -> float:
        """Return 1."""
        return 1.0


class Linear(Warmed):
    """A learning rate that falls linearly to 0."""

    def after(self, step: int, *, warmup: int, total: int, learning_rate: float) -> float:
        """Return the share of the steps that is left."""
        return max(0.0, 1 - _progress(step, warmup, total))


class Cosine(Warmed):
    """A learning rate that falls along a cosine, by default half a wave of it."""

    num_cycles: Positive = 0.5

    def after(self, step: int, *, warmup: int, total: int, learning_rate: float) -> float:
        """Return the height of the wave."""
        return max(0.0, _wave(2 * self.num_cycles * _progress(step, warmup, total)))


class CosineWithRestarts(Warmed):
    """A learning rate that falls along half a cosine wave and jumps back, once for each cycle."""

    num_cycles: Count = 1

    def after(self, step: int, *, warmup: int, total: int, learning_rate: float) -> float:
        """Return the height of the half wave of the present cycle."""
        progress = _progress(step, warmup, total)
        return 0.0 if progress >= 1 else max(0.0, _wave((self.num_cycles * progress) % 1.0))


class Polynomial(Warmed):
    """A learning rate that falls to `lr_end` as a power of the remaining share of the training."""

    lr_end: NonNegative = 1e-7
    power: Positive = 1.0

    def require_fit(self, learning_rate: float) -> None:
        """Raise ValueError if the learning rate would not fall."""
        if self.lr_end >= learning_rate:
            raise ValueError(
                f"lr_end ({self.lr_end:g}) must be below the learning rate ({learning_rate:g})"
            )

    def after(self, step: int, *, warmup: int, total: int, learning_rate: float) -> float:
        """Return the power, between `lr_end` and the learning rate."""
        end = self.lr_end / learning_rate
        if step > total:
            return end
        left = 1 - (step - warmup) / max(1, total - warmup)
        return float((1 - end) * left**self.power + end)


class InverseSquareRoot(Warmed):
    """A learning rate that falls as the inverse square root of the step (Vaswani et al. 2017).

    Without a `timescale` that is the length of the warm-up, or 10,000 steps where there is none.
    """

    timescale: Count | None = None

    def after(self, step: int, *, warmup: int, total: int, learning_rate: float) -> float:
        """Return the inverse square root, 1 at the end of the warm-up."""
        timescale = self.timescale or warmup or 10_000
        return 1 / math.sqrt((step + timescale - warmup) / timescale)


class WithLeast(Schedule):
    """A schedule that ends at a minimum learning rate, given as a rate or a share of the first."""

    num_cycles: Positive = 0.5
    min_lr: NonNegative | None = None
    min_lr_rate: Share | None = None

    @model_validator(mode="after")
    def _has_one_least(self) -> Self:
        if (self.min_lr is None) == (self.min_lr_rate is None):
            raise ValueError("the schedule takes either min_lr or min_lr_rate, and needs one")
        return self

    def require_fit(self, learning_rate: float) -> None:
        """Raise ValueError if the minimum learning rate is above the first."""
        if self.min_lr is not None and self.min_lr > learning_rate:
            raise ValueError(
                f"min_lr ({self.min_lr:g}) must not be above the learning rate ({learning_rate:g})"
            )

    def least(self, learning_rate: float) -> float:
        """Return the least factor."""
        if self.min_lr_rate is not None:
            return self.min_lr_rate
        return (self.min_lr or 0.0) / learning_rate if learning_rate else 0.0


class CosineWithLeast(WithLeast, Warmed):
    """A learning rate that falls along a cosine to a minimum."""

    def after(self, step: int, *, warmup: int, total: int, learning_rate: float) -> float:
        """Return the height of the wave above the least factor."""
        height = _wave(2 * self.num_cycles * _progress(step, warmup, total))
        return max(0.0, _above(self.least(learning_rate), height))


class CosineWarmupWithLeast(WithLeast):
    """A learning rate that rises from a first share, then falls along a cosine to a minimum.

    Each step has the rate of its end: the first step of the warm-up is not lost at 0, and the last
    of all has the least rate.
    """

    warmup_lr_rate: Share | None = None

    def factor(self, step: int, *, warmup: int, total: int, learning_rate: float) -> float:
        """Return the share of the warm-up, then the height of the wave above the least factor."""
        if step < warmup:
            if self.warmup_lr_rate is None:
                return (step + 1) / max(1, warmup)
            return _above(self.warmup_lr_rate, step / max(1, warmup - 1))
        height = _wave(2 * self.num_cycles * (step - warmup + 1) / max(1, total - warmup))
        return max(0.0, _above(self.least(learning_rate), height))


class WarmupStableDecay(Schedule):
    """A learning rate that rises, stays, and falls over the last `num_decay_steps`."""

    num_decay_steps: Count
    num_stable_steps: Annotated[Integer, Field(ge=0)] | None = None
    warmup_type: Ramp = "linear"
    decay_type: Ramp = "cosine"
    min_lr_ratio: Share = 0.0
    num_cycles: Positive = 0.5

    def factor(self, step: int, *, warmup: int, total: int, learning_rate: float) -> float:
        """Return the height of the ramp that the step is on, between it and the least factor."""
        stable = self.num_stable_steps
        falls_from = total - self.num_decay_steps if stable is None else warmup + stable
        if step < warmup:
            return _above(self.min_lr_ratio, _risen(self.warmup_type, step / max(1, warmup)))
        if step < falls_from:
            return 1.0
        progress = (step - falls_from) / self.num_decay_steps
        if progress >= 1:
            return self.min_lr_ratio
        return max(0.0, _above(self.min_lr_ratio, self._fallen(progress)))

    def _fallen(self, progress: float) -> float:
        if self.decay_type == "cosine":
            return _wave(2 * self.num_cycles * progress)
        return 1 - progress if self.decay_type == "linear" else 1 - math.sqrt(progress)


SCHEDULES: Mapping[str, type[Schedule]] = {
    "linear": Linear,
    "cosine": Cosine,
    "cosine_with_restarts": CosineWithRestarts,
    "polynomial": Polynomial,
    "constant": Constant,
    "constant_with_warmup": ConstantWithWarmup,
    "inverse_sqrt": InverseSquareRoot,
    "cosine_with_min_lr": CosineWithLeast,
    "cosine_warmup_with_min_lr": CosineWarmupWithLeast,
    "warmup_stable_decay": WarmupStableDecay,
}
"""The schedules by their names in transformers."""


def _progress(step: int, warmup: int, total: int) -> float:
    """Return which share of the steps after the warm-up has been taken."""
    return (step - warmup) / max(1, total - warmup)


def _wave(half_waves: float) -> float:
    """Return the height of a cosine between 1 and 0, this many half waves from its top."""
    return 0.5 * (1 + math.cos(math.pi * half_waves))


def _above(least: float, height: float) -> float:
    """Return the height, scaled to lie between the least value and 1."""
    return height * (1 - least) + least


def _risen(kind: Ramp, progress: float) -> float:
    if kind == "linear":
        return progress
    if kind == "cosine":
        return 1 - _wave(progress)
    return 1 - math.sqrt(1 - progress)
