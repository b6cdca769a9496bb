"""Logits of trained trials for rows that they have not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from peftlab.core.errors import UserError
from peftlab.core.inputs import Example
from peftlab.core.words import counted
from peftlab.data.encode import Encoded, encode
from peftlab.engine.classifier import Classifier, build_classifier
from peftlab.engine.devices.registry import resolve
from peftlab.engine.evaluate import predict_logits
from peftlab.engine.prepare import base_model, check_ids, placed, with_checkpoint
from peftlab.engine.registry import ENGINES
from peftlab.methods.registry import METHODS
from peftlab.models.checkpoints import load_tokenizer
from peftlab.store.records import TrialRecord
from peftlab.tasks.problem import Logits
from peftlab.tasks.registry import task_of

TextRows = Sequence[tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class _Loaded:
    """A trial in memory; `shared` are its parameters whose numbers another trial has too."""

    base: PreTrainedModel
    classifier: Classifier
    shared: list[tuple[nn.Parameter, Tensor]]


class Predictor:
    """Trained trials in memory, each loaded once; what they have in common is there once.

    A trial is loaded as if it were alone, so that it has its own adapter and its own head. Then
    every parameter that equals, bit for bit, that of the same name in a trial loaded before it
    uses that one's memory: trials of one checkpoint take its size and what each of them trained.

    Checkpoints are looked for in the `places` first (models/location).
    """

    def __init__(
        self, *, device: str = "auto", batch_size: int = 32, places: Sequence[str] = ()
    ) -> None:
        self.device = resolve(device)
        self._places = tuple(places)
        self._found: dict[str, TrialRecord] = {}
        self._batch_size = batch_size
        self._loaded: dict[str, _Loaded] = {}
        self._tensors: dict[tuple[str, str], list[Tensor]] = {}
        self._rows: TextRows = ()
        self._encoded: dict[tuple[str, int], Encoded] = {}

    def logits(self, record: TrialRecord, rows: TextRows) -> Logits:
        """Return the logits, float32 [N, C], of rows of as many texts as the trial's task has.

        Raises UserError where the trial has no saved model or its checkpoint is gone, a row has the
        wrong number of texts, or the model gives what is no number.
        """
        _check(record, rows)
        if record.trial.id not in self._found:
            self._found[record.trial.id] = with_checkpoint(record, self._places)
        record = self._found[record.trial.id]
        found = self._loaded.get(record.trial.id) or self._load(record)
        data = self._encode(record, rows)
        check_ids(data, found.base, where=record.trial.model.name)
        with self.device.current(), found.classifier.active():
            logits = predict_logits(found.classifier, data, batch_size=self._batch_size)
        for parameter, tensor in found.shared:  # packing has given some of them memory of their own
            parameter.data = tensor
        if not np.isfinite(logits).all():
            raise UserError(
                "the trained model gives no finite numbers: its tensors are damaged, or diverged",
                where=str(record.model_path),
            )
        return logits

    def _load(self, record: TrialRecord) -> _Loaded:
        trial = record.trial
        assert record.model_path is not None
        base = base_model(trial)
        own = dict(base.named_parameters())
        method = METHODS.get(trial.method)
        module = placed(method.load(base, record.model_path), base, self.device)
        record.require_own_model()  # once it is known to be whole
        shared = []
        for name, parameter in own.items():
            if type(parameter) is not nn.Parameter:  # quantised: more than its numbers belong to it
                continue
            known = self._tensors.setdefault((trial.model.name, name), [])
            equal = next((one for one in known if torch.equal(one, parameter.detach())), None)
            if equal is None:
                equal = parameter.detach()
                known.append(equal)
            parameter.data = equal
            shared.append((parameter, equal))
        kind = ENGINES.get(trial.engine).classifier
        classifier = build_classifier(
            kind,
            module,
            base,
            self.device.torch,
            method=method,
            bf16=trial.training.bf16,
        )
        self._loaded[trial.id] = _Loaded(base=base, classifier=classifier, shared=shared)
        return self._loaded[trial.id]

    def _encode(self, record: TrialRecord, rows: TextRows) -> Encoded:
        """Return the rows' tokens; those of the last call are kept for the other trials."""
        if rows is not self._rows:
            self._rows, self._encoded = rows, {}
        key = (record.trial.model.name, record.trial.max_length)
        if key not in self._encoded:
            examples = [Example(row_id=i, texts=texts, label=None) for i, texts in enumerate(rows)]
            self._encoded[key] = encode(examples, load_tokenizer(key[0]), max_length=key[1])
        return self._encoded[key]


def _check(record: TrialRecord, rows: TextRows) -> None:
    task = task_of(record.trial)
    if record.model_path is None:
        raise UserError(f"the trial {record.trial.id} has no saved model: it is {record.status}")
    wanted = len(task.texts)
    for number, row in enumerate(rows, start=1):
        if len(row) != wanted:
            raise UserError(
                f"a row of the task '{task.name}' has {counted(wanted, 'text')}, this one has "
                f"{len(row)}",
                where=f"row {number}",
            )
