"""Logits of a trained trial for rows that it has not seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from peftlab.core.errors import UserError
from peftlab.core.types import Example
from peftlab.data.encode import encode
from peftlab.engine.classifier import build_classifier
from peftlab.engine.evaluate import predict_logits
from peftlab.engine.prepare import check_ids, choose_device
from peftlab.methods.registry import METHODS
from peftlab.models.checkpoints import load_model, load_tokenizer
from peftlab.store.records import TrialRecord
from peftlab.tasks.registry import TASKS


def predict_rows(
    record: TrialRecord,
    rows: Sequence[tuple[str, ...]],
    *,
    batch_size: int = 32,
    device: str = "auto",
) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Logits float32 [N, C] of rows of one or two texts, as the task wants them.

    The trained tensors are put on a fresh copy of the checkpoint. Raises UserError where the
    trial has no saved model or a row has the wrong number of texts.
    """
    trial = record.trial
    task = TASKS.get(trial.task)
    if record.model_path is None:
        raise UserError(f"the trial {trial.id} has no saved model: it is {record.status}")
    wanted = len(task.texts)
    for number, row in enumerate(rows):
        if len(row) != wanted:
            raise UserError(
                f"a row of the task '{task.name}' has {wanted} text(s), this one has {len(row)}",
                where=f"row {number + 1}",
            )
    tokenizer = load_tokenizer(trial.model.name)
    base = load_model(trial.model.name, num_labels=task.num_labels, seed=0)
    place = choose_device(device)
    method = METHODS.get(trial.method)
    module = method.load(base, record.model_path).to(place)
    examples = [Example(row_id=i, texts=tuple(row), label=None) for i, row in enumerate(rows)]
    data = encode(examples, tokenizer, max_length=trial.max_length)
    check_ids(data, base, where=trial.model.name)
    engine = "packed" if trial.engine == "packed" else "padded"
    classifier = build_classifier(engine, module, base, place, why_not=method.why_not_packed)
    with classifier.active():
        logits = predict_logits(classifier, data, batch_size=batch_size)
    if not np.isfinite(logits).all():
        raise UserError(
            "the trained model gives no finite numbers: its tensors are damaged, or diverged",
            where=str(record.model_path),
        )
    return logits
