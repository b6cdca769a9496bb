"""The searches that a study asks for: for each arm and task one, over the arm's own space."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue, ValidationError

from peftlab.core.errors import UserError
from peftlab.core.identity import content_id
from peftlab.core.selection import Selection
from peftlab.core.training import TrainingSettings
from peftlab.core.trial import Trial
from peftlab.core.validation import complaint_of
from peftlab.methods.registry import METHODS
from peftlab.study.arms import Arm
from peftlab.study.remarks.row_remarks import require_labels
from peftlab.study.spec import TRAINING_NAMES, StudySpec, validate
from peftlab.study.trials import Expanded, expand
from peftlab.study.tune_spec import Budget, TuneSpec
from peftlab.study.tuning.space import Space, space_of

SUFFIX = "-tuned"
"""The ending of the name of the study of the settings that were found."""
NOT_TUNED = ("hyperparameters", "method-config")
"""The report parts on the settings in the study file, which are not the ones found."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """One arm on one task; `templates` are its trials as the study file has them, a seed each."""

    arm: Arm
    task: str
    space: Space
    templates: tuple[Trial, ...]
    num_train_examples: int

    @property
    def name(self) -> str:
        """The name of the arm and the task, for display."""
        return f"{self.arm.name} on {self.task}"

    @property
    def own_setting(self) -> dict[str, JsonValue]:
        """The values in the study file itself, as far as they lie in the space."""
        template = self.templates[0]
        values = template.method_config | template.training.model_dump(mode="json")
        return {key: values[key] for key, one in self.space.items() if one.holds(values[key])}

    @property
    def most_epochs(self) -> int:
        """The most epochs that any setting may take."""
        epochs = self.space.get("num_train_epochs")
        if epochs is None:
            return self.templates[0].training.total_epochs(self.num_train_examples)
        return max(math.ceil(float(str(end))) for end in epochs.ends)

    def trials(self, setting: Mapping[str, JsonValue]) -> tuple[Trial, ...]:
        """Return the trials of a setting, a seed each."""
        return tuple(self._trial(template, setting) for template in self.templates)

    def num_epochs(self, trial: Trial) -> int:
        """Return the number of epochs after which the trial is done."""
        return trial.training.total_epochs(self.num_train_examples)

    def identity(self, *more: JsonValue) -> str:
        """Return a hash of what is searched: another space or other trials have another one."""
        space = {key: one.model_dump(mode="json") for key, one in self.space.items()}
        return content_id([space, [one.id for one in self.templates], *more])

    def _trial(self, template: Trial, setting: Mapping[str, JsonValue]) -> Trial:
        of_training = {key: value for key, value in setting.items() if key in TRAINING_NAMES}
        of_method = {key: value for key, value in setting.items() if key not in TRAINING_NAMES}
        config = METHODS.get(template.method).resolve({**template.method_config, **of_method})
        training = TrainingSettings.model_validate(
            {**template.training.model_dump(), **of_training}
        )
        return template.with_settings(training, config)


@dataclass(frozen=True, kw_only=True)
class Searches:
    """The searches of a study; `spec` is that of the study with the settings that they find."""

    spec: StudySpec
    tune: TuneSpec
    expanded: Expanded
    searches: tuple[Search, ...]


def expand_searches(spec: StudySpec, tune: TuneSpec) -> Searches:
    """Return the searches of every arm on every task.

    Raises UserError if the study has a fault, or train_sizes, or folds: settings that were chosen
    on rows which the folds score would flatter the scores.
    """
    if spec.folds is not None:
        raise UserError(
            "a search would choose settings on the rows that the folds score",
            where=f"{spec.name}: folds",
            remedy="a search without folds (--set folds=null), on rows held out of train",
        )
    if spec.train_sizes is not None:
        raise UserError(
            "a search is for one number of training rows",
            where=f"{spec.name}: train_sizes",
            remedy="a search on all rows (--set train_sizes=null)",
        )
    expanded = expand(_tuned(spec, tune))
    require_labels(expanded)
    templates: dict[tuple[str, str], list[Trial]] = {}
    for trial in expanded.trials:
        for arm in expanded.arms_of[trial.id]:
            templates.setdefault((arm, trial.task), []).append(trial)
    return Searches(
        spec=expanded.spec,
        tune=tune,
        expanded=expanded,
        searches=tuple(
            Search(
                arm=arm,
                task=task,
                space=space_of(expanded.spec, arm, task),
                templates=tuple(templates[arm.name, task]),
                num_train_examples=expanded.num_examples[task][0],
            )
            for task in expanded.spec.tasks
            for arm in expanded.arms
        ),
    )


def wanted_tune(
    spec: StudySpec, trials: int | None, seconds: float | None, seeds: Sequence[int] | None
) -> TuneSpec:
    """Return the study's settings for its search, changed by those of the user.

    Raises UserError where both kinds of budget are given.
    """
    if trials is not None and seconds is not None:
        raise UserError(
            "a budget is either trials or seconds", where="--seconds", allowed="one of the two"
        )
    changes: dict[str, Any] = {}
    try:
        if trials is not None or seconds is not None:
            changes["budget"] = Budget(trials=trials, seconds=seconds)
        if seeds is not None:
            changes["seeds"] = TuneSpec(seeds=tuple(seeds)).seeds
    except ValidationError as error:
        complaint = complaint_of(error)
        raise complaint.refusal(where=f"--{complaint.path[0]}") from error
    return (spec.tune or TuneSpec()).model_copy(update=changes)


def _tuned(spec: StudySpec, tune: TuneSpec) -> StudySpec:
    """Return the study of what is found, with held-out rows, and the search's figure first."""
    name = f"{spec.name}{SUFFIX}"
    kept = [part for part in spec.report if part.kind not in (*NOT_TUNED, "tuning")]
    raw = spec.model_copy(
        update={
            "name": name,
            "description": f"The best settings found for {spec.name}",
            "seeds": tune.seeds or spec.seeds,
            "selection": spec.selection or Selection(),
            "tune": tune,
        }
    ).model_dump(mode="json")
    parts = [{"tuning": {}}, *(part.model_dump(mode="json") for part in kept)] if kept else []
    if tune.seeds is not None:
        raw["arms"] = {name: {**arm, "seeds": None} for name, arm in raw["arms"].items()}
    try:
        return validate({**raw, "report": parts}, where=name)
    except UserError as error:
        if len(name) > 64:
            raise UserError(
                f"'{name}' is too long a name for what is found", where=spec.name,
                allowed=f"a study's name of at most {64 - len(SUFFIX)} characters",
            ) from error  # fmt: skip
        raise
