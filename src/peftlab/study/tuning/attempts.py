"""The attempts of a search, read from its trials in a workspace.

The study of the settings that were found holds every trial of the search. The trials of setting
number 3 of the arm lora stand under the arm `lora#3`; those of the best one under `lora` as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from pydantic import JsonValue

from peftlab.core.selection import main_score
from peftlab.store.records import TrialRecord
from peftlab.study.arms import expand_arms
from peftlab.study.spec import StudySpec
from peftlab.tasks.scores import sign_of

MARK = "#"
Ended = Literal["done", "pruned", "failed"]


@dataclass(frozen=True, kw_only=True)
class SearchAttempt:
    """One setting of a search, numbered from 0, and its result.

    `held_out` and `dev` are the main metric in points, the mean over seeds, both of the epochs
    that are best on held-out rows; of a pruned setting as far as it came. `best_held_out` and
    `best_dev` are those of the best setting so far, this one included: only settings that are done
    compete, and of equals the first is best. `setting` holds what differs between the settings of
    the arm. `seconds` is what the search had spent when this setting ended (`spent_seconds`).
    """

    arm: str
    task: str
    number: int
    status: Ended
    setting: Mapping[str, JsonValue]
    held_out: float | None
    dev: float | None
    seconds: float
    is_best: bool = False
    best_held_out: float | None = None
    best_dev: float | None = None
    trials: tuple[str, ...] = ()

    def to_json(self) -> dict[str, JsonValue]:
        """Return the object of `tune STUDY --json`."""
        trials: list[JsonValue] = [*self.trials]
        return {
            "number": self.number,
            "status": self.status,
            "setting": dict(self.setting),
            "held_out": self.held_out,
            "dev": self.dev,
            "best_held_out": self.best_held_out,
            "best_dev": self.best_dev,
            "seconds": self.seconds,
            "trials": trials,
        }


def setting_words(setting: Mapping[str, JsonValue]) -> str:
    """Return a setting in words.

    >>> setting_words({"learning_rate": 0.00031415, "r": 8})
    'learning_rate 0.000314, r 8'
    """
    return ", ".join(
        f"{key} {f'{value:.3g}' if isinstance(value, float) else value}"
        for key, value in setting.items()
    )


def numbered(arm: str, number: int) -> str:
    """Return the name of the arm of a setting's trials.

    >>> numbered("lora", 3)
    'lora#3'
    """
    return f"{arm}{MARK}{number}"


def spent_seconds(record: TrialRecord) -> float:
    """Return the seconds that count towards a budget, which the start of a process does not."""
    costs = record.costs
    return costs.train_seconds + costs.eval_seconds + costs.caching_seconds if costs else 0.0


def attempts(spec: StudySpec, records: Iterable[TrialRecord]) -> tuple[SearchAttempt, ...]:
    """Return every setting that has ended, by task and arm in the study's order, then by number.

    `spec` and `records` are those of the study that `peftlab tune` leaves; of any other study there
    are no attempts.
    """
    found: dict[tuple[str, str], dict[int, list[TrialRecord]]] = {}
    for record in records:
        for name in record.arms.get(spec.name, ()):
            arm, mark, number = name.partition(MARK)
            if mark and number.isdecimal():
                of_search = found.setdefault((record.trial.task, arm), {})
                of_search.setdefault(int(number), []).append(record)
    if not found:
        return ()
    names = [arm.name for arm in expand_arms(spec, resolve=False)]
    different = {
        name: _different(
            record
            for (_, arm), of_search in found.items()
            for of_setting in of_search.values()
            for record in of_setting
            if arm == name
        )
        for name in names
    }
    return tuple(
        attempt
        for task in spec.tasks
        for name in names
        for attempt in _of_search(name, task, different[name], found.get((task, name), {}))
    )


def _of_search(
    arm: str, task: str, keys: Sequence[str], records: Mapping[int, Sequence[TrialRecord]]
) -> list[SearchAttempt]:
    """Return the attempts of one search that have ended, their records given by number."""
    ended: list[SearchAttempt] = []
    spent: dict[str, float] = {}
    best: SearchAttempt | None = None
    for number in sorted(records):
        of_setting = sorted(records[number], key=lambda one: one.trial.seed)
        for record in of_setting:
            spent[record.trial.id] = spent_seconds(record)
        status = _ended(of_setting)
        if status is None:
            continue
        attempt = SearchAttempt(
            arm=arm,
            task=task,
            number=number,
            status=status,
            setting=_setting(of_setting[0], keys),
            held_out=_mean([_held_out(one) for one in of_setting]),
            dev=_mean([main_score(one.scores) if one.scores else None for one in of_setting]),
            seconds=sum(spent.values()),
            trials=tuple(one.trial.id for one in of_setting),
        )
        ended.append(attempt)
        if status == "done" and _is_better(attempt, best, of_setting[0]):
            best = attempt
        if best is not None:
            ended[-1] = replace(attempt, best_held_out=best.held_out, best_dev=best.dev)
    return [replace(one, is_best=best is not None and one.number == best.number) for one in ended]


def _is_better(attempt: SearchAttempt, best: SearchAttempt | None, record: TrialRecord) -> bool:
    """Return whether the attempt scores better than the best before; `record` is one of its own."""
    if attempt.held_out is None or best is None or best.held_out is None:
        return attempt.held_out is not None
    return sign_of(next(iter(record.scores))) * (attempt.held_out - best.held_out) > 0


def _ended(records: Sequence[TrialRecord]) -> Ended | None:
    """Return how a setting has ended; None while it is still trained."""
    statuses = {record.status for record in records}
    for status in ("failed", "pruned"):
        if status in statuses and not statuses & {"running"}:
            return status
    return "done" if statuses == {"done"} else None


def _held_out(record: TrialRecord) -> float | None:
    chosen = record.reported
    return main_score(chosen.held_out_scores) if chosen and chosen.held_out_scores else None


def _mean(values: Sequence[float | None]) -> float | None:
    """Return the mean; None if one of the values is missing."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None


def _different(records: Iterable[TrialRecord]) -> list[str]:
    """Return the settings in which the trials differ; the learning rate in any case."""
    every = [_values(record) for record in records]
    return [
        key
        for key, value in (every[0] if every else {}).items()
        if key == "learning_rate" or any(other[key] != value for other in every)
    ]


def _setting(record: TrialRecord, keys: Sequence[str]) -> dict[str, JsonValue]:
    values = _values(record)
    return {key: values[key] for key in keys}


def _values(record: TrialRecord) -> dict[str, JsonValue]:
    return {**record.trial.training.model_dump(mode="json"), **record.trial.method_config}
