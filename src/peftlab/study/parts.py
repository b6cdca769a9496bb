"""The parts that a study's report is made of, as the study file names them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, JsonValue

from peftlab.core.types import Frozen

ArmNames = Annotated[tuple[str, ...], Field(min_length=1)]


class Section(Frozen):
    """A heading, and a text below it."""

    title: str
    text: str = ""


class ArmsPart(Frozen):
    """A part that shows some of the arms; all of them where none are named."""

    arms: ArmNames | None = None


class LossCurves(ArmsPart):
    """Training and validation loss against epochs, a panel a task."""


class Scores(ArmsPart):
    """Scores by task and arm: a table and grouped bars."""


class Hyperparameters(ArmsPart):
    """The table of the training settings."""


class MethodConfig(ArmsPart):
    """The table of the methods' own settings."""


class Parameters(ArmsPart):
    """The table of parameter counts. `reported` are rows of a published table to stand beside:
    arm -> {trainable, total_peft_counting, percent}."""

    reported: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)


class Sweep(Frozen):
    """The main score against a swept setting, a line a task."""

    of: str
    arms: str


PARTS: dict[str, type[Frozen]] = {
    "section": Section,
    "loss-curves": LossCurves,
    "scores": Scores,
    "hyperparameters": Hyperparameters,
    "method-config": MethodConfig,
    "parameters": Parameters,
    "sweep": Sweep,
}
