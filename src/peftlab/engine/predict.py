"""The logits that trained trials give to new rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn
from transformers import PreTrainedModel

from peftlab.core.errors import UserError
from peftlab.core.inputs import Example
from peftlab.core.training import TrainingSettings
from peftlab.core.words import counted
from peftlab.data.encode import Encoded, encode
from peftlab.engine.classifier import Classifier, build_classifier
from peftlab.engine.devices.registry import resolve
from peftlab.engine.evaluate import predict_logits
from peftlab.engine.prepare import base_model, check_ids, placed, with_checkpoint
from peftlab.engine.registry import ENGINES
from peftlab.methods.registry import METHODS
from peftlab.models.checkpoints import load_tokenizer
from peftlab.models.precision import multiplying
from peftlab.models.shared_weights import SharedWeights
from peftlab.store.records import TrialRecord
from peftlab.tasks.problem import Logits
from peftlab.tasks.registry import task_of

TextRows = Sequence[tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class _Loaded:
    """A trial in memory; `shared` are its parameters whose memory other trials may share."""

    base: PreTrainedModel
    classifier: Classifier
    shared: list[tuple[nn.Parameter, Tensor]]


class Predictor:
    """Trained trials in memory, each loaded once; equal parameters are kept in memory only once.

    A trial is loaded as if it were alone, so that it has its own adapter and its own head. Then
    every parameter that is bitwise equal to the one of the same name in a trial loaded before
    shares its memory: trials of one checkpoint take the memory of the checkpoint once, and that of
    what each has trained.

    Checkpoints are first looked for in the `places` (models/location.py).
    """

    def __init__(
        self, *, device: str = "auto", batch_size: int = 32, places: Sequence[str] = ()
    ) -> None:
        self.device = resolve(device)
        self._places = tuple(places)
        self._found: dict[str, TrialRecord] = {}
        self._batch_size = batch_size
        self._loaded: dict[str, _Loaded] = {}
        self._weights = SharedWeights()
        self._rows: TextRows = ()
        self._encoded: dict[tuple[str, int], Encoded] = {}

    def logits(self, record: TrialRecord, rows: TextRows) -> Logits:
        """Return the logits, float32 [N, C], of rows of as many texts as the trial's task has.

        Raises UserError if the trial has no saved model, its checkpoint is gone, a row has the
        wrong number of texts for its task, or a logit is not finite.
        """
        _check(record, rows)
        if record.trial.id not in self._found:
            self._found[record.trial.id] = with_checkpoint(record, self._places)
        record = self._found[record.trial.id]
        found = self._loaded.get(record.trial.id) or self._load(record)
        data = self._encode(record, rows)
        check_ids(data, found.base, where=record.trial.model.name)
        with self._computing(record.trial.training), found.classifier.active():
            logits = predict_logits(found.classifier, data, batch_size=self._batch_size)
        for parameter, tensor in found.shared:  # packing has moved some to memory of their own
            parameter.data = tensor
        if not np.isfinite(logits).all():
            raise UserError(
                "the trained model gives numbers that are not finite: its tensors are damaged, "
                "or it diverged",
                where=str(record.model_path),
            )
        return logits

    @contextmanager
    def _computing(self, training: TrainingSettings) -> Iterator[None]:
        """Compute on the device within the block, in TF32 as in training if it has that."""
        is_tf32 = training.tf32 and self.device.why_not_tf32 is None
        with self.device.current(), multiplying("tf32" if is_tf32 else "fp32"):
            yield

    def _load(self, record: TrialRecord) -> _Loaded:
        trial = record.trial
        assert record.model_path is not None
        base = base_model(trial)
        own = dict(base.named_parameters())
        method = METHODS.get(trial.method)
        module = placed(method.load(base, record.model_path), base, self.device)
        record.require_own_model()  # once it is known to be whole
        # Of a quantised parameter more than its numbers belongs to it.
        own = {name: one for name, one in own.items() if type(one) is nn.Parameter}
        tensors = self._weights.share(((trial.model.name, name), one) for name, one in own.items())
        shared = [*zip(own.values(), tensors, strict=True)]
        kind = ENGINES.get(trial.engine).classifier
        classifier = build_classifier(
            kind,
            module,
            base,
            self.device.torch,
            method=method,
            training=trial.training,
            eval_tokens=self.device.eval_tokens_per_batch,
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
