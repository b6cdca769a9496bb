"""The key `decide` of a study file: the rule by which seeds are added until claims are decided."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from peftlab.core.durations import Seconds
from peftlab.core.validation import Frozen, Integer
from peftlab.study.parts import Points


class DecideSpec(Frozen):
    """The rule of `peftlab run --until-decided`.

    After the study's own seeds it adds one at a time to the arms and tasks of what is not decided,
    until an arm has `max_seeds` of them, or further trials have taken the `budget`, in seconds of
    training and evaluation. Differences of less than `margin` points are not worth a seed: it is
    also the margin of "What to use", 1 point where neither is given.
    """

    margin: Points | None = None
    max_seeds: Annotated[Integer, Field(ge=2, le=1000)] = 20
    budget: Seconds | None = None
