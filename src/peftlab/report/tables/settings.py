"""The tables of settings: of training, of the methods, and the best found by a search."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue

from peftlab.core.training import TrainingSettings
from peftlab.core.words import duration
from peftlab.report.findings.view import StudyView
from peftlab.report.pages.blocks import NOTHING, Cell, Table
from peftlab.study.arms import Arm
from peftlab.study.tuning.attempts import SearchAttempt, attempts, setting_words

MOST_SEEDS = 10
"""The largest number of seeds that are listed one by one."""


def hyperparameters_table(view: StudyView, arms: Sequence[Arm]) -> Table:
    """Return a table with a row for each setting and a column for each arm.

    A value that differs by task is given for each. Settings that keep the default of
    transformers.TrainingArguments in all arms are left out.
    """
    defaults = TrainingSettings().model_dump()
    rows = []
    for name, default in defaults.items():
        cells = [_by_task(arm, name) for arm in arms]
        if name == "num_train_epochs" or any(cell != _text(default) for cell in cells):
            rows.append([name, *cells])
    rows.append(["seed", *(seeds_in_short(arm.seeds) for arm in arms)])
    return Table(
        title="Hyperparameters",
        columns=["setting", *(arm.name for arm in arms)],
        rows=rows,
        note="Settings have the names of transformers.TrainingArguments where it knows them; those "
        "not listed have their defaults.",
    )


def seeds_in_short(seeds: Sequence[int]) -> str:
    """Return all seeds; of many, their number and the outermost.

    >>> seeds_in_short([1, 2]), seeds_in_short(range(50))
    ('1, 2', '50, from 0 to 49')
    """
    if len(seeds) <= MOST_SEEDS:
        return ", ".join(str(seed) for seed in seeds)
    return f"{len(seeds):,}, from {min(seeds)} to {max(seeds)}"


def method_config_table(view: StudyView, arms: Sequence[Arm]) -> Table | None:
    """Return a table with a row for each setting given to any arm; None if there are none.

    The values are those used in training, including defaults that were filled in.
    """
    names = list(dict.fromkeys(key for arm in arms for key in arm.method_config))
    if not names:
        return None
    trained = {arm.name: _trained_config(view, arm) for arm in arms}
    if any("target_modules" in config for config in trained.values()):
        names.append("target_modules")
    rows = [
        [name, *(_text(trained[arm.name].get(name, "-")) for arm in arms)]
        for name in dict.fromkeys(names)
    ]
    return Table(
        title="Method settings (peft.LoraConfig)"
        if all(arm.method == "lora" for arm in arms)
        else "Method settings",
        columns=["setting", *(arm.name for arm in arms)],
        rows=rows,
        note="target_modules null: peft's default for the architecture "
        "(query and value projections for BERT).",
    )


def _trained_config(view: StudyView, arm: Arm) -> dict[str, JsonValue]:
    for task in view.tasks:
        for record in view.of(arm, task):
            return dict(record.trial.method_config)
    return dict(arm.method_config)


def _by_task(arm: Arm, name: str) -> str:
    values = {task: _text(getattr(training, name)) for task, training in arm.training.items()}
    different = list(dict.fromkeys(values.values()))
    if len(different) == 1:
        return different[0]
    return ", ".join(f"{task} {value}" for task, value in values.items())


def _text(value: object) -> str:
    """Return a setting as readable text: floats are short, and None is null.

    >>> _text(5e-4), _text(0.01), _text(None), _text(["query", "value"])
    ('5e-4', '0.01', 'null', 'query, value')
    """
    if value is None:
        return "null"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_text(item) for item in value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        if value != 0 and abs(value) < 0.01:
            mantissa, exponent = f"{value:e}".split("e")
            return f"{float(mantissa):g}e{int(exponent)}"
        return f"{value:g}"
    return str(value)


def tuning_table(view: StudyView, arms: Sequence[Arm]) -> Table | None:
    """Return a table with a row for each search; None if no setting was tried."""
    found = attempts(view.spec, view.records)
    rows = []
    for task in view.tasks:
        for arm in arms:
            tried = [one for one in found if (one.arm, one.task) == (arm.name, task.name)]
            if tried:
                rows.append([task.name, view.label(arm), *_tried_cells(tried)])
    if not rows:
        return None
    numbers = ("held out", "dev", "done", "pruned", "failed", "time")
    return Table(
        title="The best setting found",
        columns=["task", "arm", "setting", *numbers],
        rows=rows,
        numbers=frozenset(numbers),
        note="Chosen by the main metric on rows held out of train, in points and as the mean over "
        "seeds; dev is what the chosen setting scores on dev, which the search did not look at. "
        "Pruned settings were stopped early and do not compete. time: training and "
        "evaluation of all settings tried.",
    )


def _tried_cells(tried: Sequence[SearchAttempt]) -> list[str]:
    best = next((one for one in tried if one.is_best), None)
    words = "no setting is done" if best is None else setting_words(best.setting)
    scores = [None, None] if best is None else [best.held_out, best.dev]
    statuses = [one.status for one in tried]
    counts = [statuses.count("done"), statuses.count("pruned"), statuses.count("failed")]
    return [
        words,
        *(NOTHING if value is None else Cell(f"{value:.1f}", value=value) for value in scores),
        *(Cell(str(count), value=count) for count in counts),
        Cell(duration(tried[-1].seconds), value=tried[-1].seconds),
    ]
