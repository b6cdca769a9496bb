"""The key `tune` of a study file: the budget, the seeds, and what is tried."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue, field_validator, model_validator

from peftlab.core.validation import Count, Frozen, Integer


class Budget(Frozen):
    """The budget of the search for each arm on each task: a number of settings, or of seconds."""

    trials: Count | None = None
    seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Budget:
        if (self.trials is None) == (self.seconds is None):
            raise ValueError("a budget is either trials or seconds")
        return self


class TuneSpec(Frozen):
    """The settings of `peftlab tune`, which gives the same budget to every arm on every task.

    `space` maps settings to what is tried of them (study/tuning/space.py). Each setting is trained
    with each of the `seeds`, the study's where none are given. `pruning` says by which of optuna's
    pruners settings are given up after 1, 3, 9 ... epochs. A search asks for a `batch` of settings
    at a time, chosen by what the batches before have scored: with 1 it learns the most from each,
    with more of them more can train at once.
    """

    budget: Budget = Budget(trials=20)
    seeds: Annotated[tuple[Annotated[Integer, Field(ge=0)], ...], Field(min_length=1)] | None = None
    space: dict[str, JsonValue] = Field(default_factory=dict)
    pruning: Literal["hyperband", "halving", "none"] = "hyperband"
    batch: Count = 1

    @field_validator("seeds")
    @classmethod
    def _all_different(cls, seeds: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if seeds is not None and len(set(seeds)) < len(seeds):
            raise ValueError("a seed appears twice")
        return seeds
