"""A trial, and its two identities: its own, and that of its cell, whatever its seeds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cached_property, lru_cache
from typing import Annotated

from pydantic import Field, JsonValue

from peftlab.core.corrections import RULES, marks
from peftlab.core.identity import derived_seed, members, members_id, without_pinned
from peftlab.core.inputs import DataRef, Head, ModelRef, TaskDefinition
from peftlab.core.selection import LAST_EPOCH, Selection, rule
from peftlab.core.training import TrainingSettings
from peftlab.core.validation import Count, Frozen, Integer, YesNo
from peftlab.core.words import counted

WITHOUT_EFFECT = ("per_device_eval_batch_size", "gradient_checkpointing")
"""Training settings that cannot change the numbers: no id depends on them."""
OF_RUN: Mapping[str, bool | Mapping[str, bool]] = {
    "seed": True,
    "seeds": True,
    "fold": {"number": True},
}
"""Fields by which the trials of one arm on one task differ."""


class Fold(Frozen):
    """A part of train in k-fold cross-validation (data/folds.py): the `number`-th `of` so many."""

    number: Count
    of: Annotated[Integer, Field(ge=2)]

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


class Seeds(Frozen):
    """The three independent sources of chance in a trial (Dodge et al. 2020, arXiv 2002.06305).

    `init` draws the head's and the adapter's first weights, `order` the order of the examples,
    `dropout` the dropout masks.
    """

    init: Integer
    order: Integer
    dropout: Integer

    @classmethod
    def of(cls, seed: int, fold: Fold | None = None) -> Seeds:
        """Return the three seeds that follow from a trial's one seed.

        Each fold has its own, so that the mean over the folds is one over runs of independent luck.
        """
        of_fold = () if fold is None else ("fold", fold.number)
        return cls(
            init=derived_seed(seed, "init", *of_fold),
            order=derived_seed(seed, "order", *of_fold),
            dropout=derived_seed(seed, "dropout", *of_fold),
        )


class Trial(Frozen):
    """One training, fully resolved: arm x task x seed with nothing left to decide.

    `method_config` holds every setting of the method, defaults filled in. With `cache_frozen` the
    layers below the lowest trainable parameter run once, in eval mode, and their outputs are kept.
    Without a `selection` the last epoch is reported. `definition` says what the task is where it
    is a person's own. The classifier's `head` is drawn anew, or the checkpoint's own is kept.
    With a `fold` the trial is scored on that part of train and trains on the others. With a
    `train_size` it sees so many of the rows that it would else train on, drawn by its seed.
    `rules` is the version of the rules by which the trial is measured
    (core/corrections.py); what is stored keeps the one by which it was.
    Two trials with the same `id` would give the same numbers on one machine, so the second is
    never run.
    """

    task: str
    data: DataRef
    model: ModelRef
    method: str
    method_config: dict[str, JsonValue]
    training: TrainingSettings
    seed: Integer
    seeds: Seeds
    max_train_samples: Count | None = None
    max_eval_samples: Count | None = None
    max_length: Count = 128
    engine: str = "packed"
    cache_frozen: YesNo = False
    selection: Selection | None = None
    definition: TaskDefinition | None = None
    head: Head = "fresh"
    fold: Fold | None = None
    train_size: Count | None = None
    rules: Count = RULES

    @cached_property
    def id(self) -> str:
        """The hash of everything that can change the numbers, as 12 hexadecimal digits.

        A setting at its default is left out, so that a setting that comes later changes no id.
        """
        own = _seeds_in_id(self.seed, self.seeds, self.fold)
        return members_id(self.unseeded | members(own))

    @cached_property
    def unseeded(self) -> dict[str, str]:
        """Return all that the id is made of, except seeds and fold, as members of an object."""
        content = self.model_dump(
            mode="json", exclude={**OF_RUN, "rules": True}, exclude_defaults=True
        )
        content["data"] = self.data.digest
        content["model"] = self.model.fingerprint
        content["method_config"] = without_pinned(self.method, self.method_config)
        for name in WITHOUT_EFFECT:
            content["training"].pop(name, None)
        corrected = marks(self)
        if corrected:
            content["corrections"] = corrected
        return members(content)

    @property
    def rule(self) -> str:
        """The rule in words by which the evaluation is chosen whose scores are reported."""
        return rule(self.selection, self.training)

    @property
    def run_words(self) -> str:
        """The seed in words, with the fold and the number of training rows where it has such."""
        words = [f"seed {self.seed}"]
        if self.fold is not None:
            words.append(f"fold {self.fold.number} of {self.fold.of}")
        if self.train_size is not None:
            words.append(counted(self.train_size, "row"))
        return ", ".join(words)

    @property
    def train_size_words(self) -> str:
        """The number of rows that it is restricted to, in words; "all" where there is none."""
        return "all" if self.train_size is None else f"{self.train_size:,}"

    def with_settings(
        self, training: TrainingSettings, method_config: dict[str, JsonValue]
    ) -> Trial:
        """Return the same trial with other settings."""
        given = {name: getattr(self, name) for name in Trial.model_fields}
        return Trial(**(given | {"training": training, "method_config": method_config}))

    def as_measured_before(self, rules: int) -> Trial:
        """Return the same trial as an older version of peftlab measured it, by earlier rules."""
        given = {name: getattr(self, name) for name in Trial.model_fields}
        return Trial(**(given | {"rules": rules}))

    def with_run(self, seed: int, seeds: Seeds, fold: Fold | None = None) -> Trial:
        """Return the trial with other seeds and fold, in a fraction of the time of a new one."""
        other = self.model_copy(update={"seed": seed, "seeds": seeds, "fold": fold})
        other.__dict__["unseeded"] = self.unseeded
        other.__dict__.pop("id", None)
        return other


def rules_in_words(trials: Iterable[Trial]) -> str:
    """Return the rules by which the trials are reported, each once; the usual one for no trials."""
    return " / ".join(dict.fromkeys(trial.rule for trial in trials)) or LAST_EPOCH


def cell_of(trial: Trial) -> str:
    """Return the cell of a trial: what all runs of one arm on one task share, whatever their seeds.

    It is the hash, in 12 hexadecimal digits, of everything that the trial's id depends on except
    its seeds and its fold; seeds that are fixed for a whole study are left out as well. Many trials
    have the same cell, which is computed once.
    """
    return cell_of_settings(trial.model_dump_json(exclude=OF_RUN))


@lru_cache(maxsize=4096)
def cell_of_settings(settings: str) -> str:
    """Return the cell of the trials that have these settings, as JSON without seeds or fold."""
    return members_id(unseeded_trial(settings).unseeded)


@lru_cache(maxsize=4096)
def unseeded_trial(settings: str) -> Trial:
    """Return a trial of these settings, as JSON, with arbitrary seeds and fold.

    Raises ValueError where they are no settings of a trial.
    """
    values = json.loads(settings) | {"seed": 0, "seeds": Seeds.of(0)}
    if values.get("fold") is not None:
        values["fold"] = {**values["fold"], "number": 1}
    return Trial.model_validate(values)


@lru_cache(maxsize=4096)
def _seeds_in_id(seed: int, seeds: Seeds, fold: Fold | None) -> dict[str, object]:
    """Return a trial's seed and fold, and those of its three seeds that do not follow from them."""
    usual = Seeds.of(seed, fold).model_dump()
    own = {name: one for name, one in seeds.model_dump().items() if one != usual[name]}
    found: dict[str, object] = {"seed": seed} | ({"seeds": own} if own else {})
    return found if fold is None else found | {"fold_number": fold.number}
