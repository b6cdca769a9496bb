"""The parts that a study's report is made of, as the study file names them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from peftlab.core.validation import Count, Frozen, YesNo

ArmNames = Annotated[tuple[str, ...], Field(min_length=1)]
CostName = Literal["parameters", "time", "memory", "disk", "latency", "flops"]
Points = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]


class SectionPart(Frozen):
    """A heading, and a text below it."""

    title: str
    text: str = ""


class ArmsPart(Frozen):
    """A part that shows some of the arms, or all of them if none are named."""

    arms: ArmNames | None = None


class AdvicePart(Frozen):
    """The advice: the cheapest of the arms that learned the tasks and are shown to be at most
    `margin` points below the best arm, or below the arm that `reference` names if the run has it
    and it learned."""

    margin: Points = 1.0
    reference: str | None = None
    cost: CostName = "time"


class LossCurvesPart(ArmsPart):
    """Training and validation loss against epochs, one panel for each task."""


class ScoresPart(ArmsPart):
    """Scores by task and arm with their intervals, as a figure and a table, and the evidence on
    arms that are not shown to have learned; with `published`, scores from papers beside them."""

    published: YesNo = False


class ParetoPart(ArmsPart):
    """Scores against a cost: the recommended arm is framed, arms beaten in both are pale."""

    against: CostName = "time"


class TrainSizesPart(ArmsPart):
    """Scores against the number of training rows, for a study with `train_sizes`: which arm is best
    on how many, and what is expected of twice as many."""


class CostsPart(ArmsPart):
    """The table of what the arms cost on each task."""


class SeedSpreadPart(ArmsPart):
    """The score of each seed, one row for each arm, and the table of the runs' results."""


class SignificancePart(ArmsPart):
    """The matrix of which arm beats which on each task, and the table of all tests."""


class LearningRatePart(ArmsPart):
    """Scores of arms that differ by the learning rate alone, against it."""


class TuningPart(ArmsPart):
    """The best score so far against the budget that `peftlab tune` has spent on an arm."""


class ClassesPart(ArmsPart):
    """Precision, recall and F1 of each class, one table for each task; if there are more than ten
    classes, the ten worst come first."""


class ConfusionPart(ArmsPart):
    """The confusion matrix of each arm on each task."""


class DisagreementPart(ArmsPart):
    """The sentences on which the arms disagree most, `examples` of each task."""

    examples: Count = 10


class HyperparametersPart(ArmsPart):
    """The table of the training settings."""


class MethodConfigPart(ArmsPart):
    """The table of the methods' own settings."""


class ParametersPart(ArmsPart):
    """The table of parameter counts. `reported` gives the rows of a published table that are shown
    beside them: arm -> {trainable, total_peft_counting, percent}."""

    reported: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)


class SweepPart(Frozen):
    """Score and parameters against a swept setting, one panel for each task."""

    of: str
    arms: str


PARTS: dict[str, type[Frozen]] = {
    "advice": AdvicePart,
    "section": SectionPart,
    "scores": ScoresPart,
    "train-sizes": TrainSizesPart,
    "seed-spread": SeedSpreadPart,
    "significance": SignificancePart,
    "costs": CostsPart,
    "pareto": ParetoPart,
    "loss-curves": LossCurvesPart,
    "learning-rate": LearningRatePart,
    "sweep": SweepPart,
    "tuning": TuningPart,
    "classes": ClassesPart,
    "confusion": ConfusionPart,
    "disagreement": DisagreementPart,
    "parameters": ParametersPart,
    "hyperparameters": HyperparametersPart,
    "method-config": MethodConfigPart,
}
