"""Arguments of transformers.TrainingArguments that a study refuses, and its alternatives.

A person who comes from a script looks for them, and a list of the known names says no way out.
"""

from __future__ import annotations

from peftlab.core.errors import UnknownNameError, UserError
from peftlab.study.spec import TRAINING_NAMES

HELD_OUT = "selection: {split: train, fraction: 0.1} beside training"
SAVED = "checkpoint_every beside training, such as 200 steps"
PRECISION = "bf16: true, which needs no scale of the loss; the default is float32"
INSTEAD = {
    "load_best_model_at_end": f"{HELD_OUT}, which reports and keeps the best state",
    "metric_for_best_model": f"{HELD_OUT}; the first of the task's metrics decides",
    "greater_is_better": f"{HELD_OUT}; each metric knows whether more of it is better",
    "eval_delay": "no such key: every evaluation takes part from the first on",
    "save_strategy": SAVED,
    "save_steps": SAVED,
    "fp16": PRECISION,
    "warmup_ratio": "warmup_steps: 0.06, which below 1 is a share of all steps",
}
"""A study's alternative to each argument."""


def unknown_setting(name: str, *, where: str) -> UserError:
    """Return the error for an unknown training setting, with the alternative if there is one.

    >>> str(unknown_setting("save_steps", where="s: training"))
    's: training: save_steps is not supported (allowed: checkpoint_every beside training, such as \
200 steps)'
    """
    if name in INSTEAD:
        return UserError(f"{name} is not supported", where=where, allowed=INSTEAD[name])
    return UnknownNameError("training setting", name, TRAINING_NAMES, where=where)
