"""The logits of chosen rows, computed packed or by the plain, padded twin."""

from __future__ import annotations

from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from peftlab.core.training import TrainingSettings
from peftlab.data.batches import Indices, gather
from peftlab.data.encode import Encoded
from peftlab.data.states import EncodedWithStates, gather_states
from peftlab.engine.devices.base import Device
from peftlab.methods.base import Method
from peftlab.models.batched import BatchedModel
from peftlab.models.families import family_of
from peftlab.models.fused_model import FusedModel
from peftlab.models.packing import packed_model, why_not_packed
from peftlab.models.padding import PaddedModel
from peftlab.models.recompute import WORDS


class Together(StrEnum):
    """The rows that may share a batch in evaluation without changing each other's logits."""

    ANY = "any rows"
    ONE_LENGTH = "rows of one length"
    NONE = "no rows"


class Classifier:
    """A model under a method that turns rows of encoded data into logits."""

    def __init__(
        self,
        model: BatchedModel,
        *,
        together: Together = Together.ANY,
        why_padded: str | None = None,
        eval_tokens: int = Device.eval_tokens_per_batch,
    ) -> None:
        self.model = model
        self.together = together
        self.eval_tokens = eval_tokens
        with model.rounding():
            path = model.path if why_padded is None else f"{model.path}: {why_padded}"
        rounded = "bf16" if model.bf16 else "bf16 in evaluation" if model.bf16_full_eval else ""
        words = (path, rounded, WORDS if model.recomputes else "")
        self.path = ", ".join(filter(None, words))
        self.packs = model.packs
        self.module: nn.Module = model.module
        self.word_embedding: nn.Module = model.base.get_input_embeddings()
        self.types_as_words = model.family.types_as_words
        """Whether token types are looked up in the word embedding, as GPT-2 does."""

    def active(self) -> AbstractContextManager[Any]:
        """Return the context for all calls of `logits`, with the model set up for batches."""
        return self.model.active()

    def logits(
        self, data: Encoded, rows: Indices, *, step: int = 0, first_example: int = 0
    ) -> Tensor:
        """Return the logits float32 [B, C] of the rows in order, with gradients if enabled.

        In training, dropout masks are those of `step`; `first_example` is the number of the first
        row within the step's batch if that is computed in parts. If the rows come with the states
        of the lowest layers, fused blocks compute only the layers above these.
        """
        with self.model.rounding(trains=self.module.training):
            if isinstance(data, EncodedWithStates) and isinstance(self.model, FusedModel):
                logits_BC = self.model.from_states(
                    torch.from_numpy(gather_states(data, rows)).to(self.model.device),
                    data.lengths[rows],
                    depth=data.frozen.depth,
                    step=step,
                    first_example=first_example,
                )
            else:
                logits_BC = self.model(gather(data, rows), step=step, first_example=first_example)
        return logits_BC.float()


def build_classifier(
    engine: str,
    module: nn.Module,
    base: PreTrainedModel,
    device: torch.device,
    *,
    dropout_seed: int = 0,
    method: Method | None = None,
    training: TrainingSettings | None = None,
    eval_tokens: int = Device.eval_tokens_per_batch,
) -> Classifier:
    """Return the classifier for `packed` or `padded`.

    A model that cannot be packed, itself or under its `method`, is padded, and the classifier's
    `path` says why. The settings of `training` say how products are rounded, and whether fewer
    activations are kept for the backward pass. `eval_tokens` is the most in a packed batch of
    evaluation.
    """
    training = training or TrainingSettings()
    why_padded = None
    if engine == "packed":
        why_padded = (method and method.why_not_packed) or why_not_packed(base)
        if why_padded is None:
            packed = packed_model(module, base, device=device, dropout_seed=dropout_seed)
            _set(packed, training)
            return Classifier(packed, eval_tokens=eval_tokens)
    padded = PaddedModel(module, base, device=device, dropout_seed=dropout_seed)
    _set(padded, training)
    return Classifier(
        padded,
        together=rows_together(base, method),
        why_padded=why_padded,
        eval_tokens=eval_tokens,
    )


def _set(model: BatchedModel, training: TrainingSettings) -> None:
    model.recomputes = training.gradient_checkpointing
    model.bf16, model.bf16_full_eval = training.bf16, training.bf16_full_eval


def rows_together(base: PreTrainedModel, method: Method | None) -> Together:
    """Return which rows may share a padded batch in evaluation."""
    if method is not None and method.why_row_by_row is not None:
        return Together.NONE
    shows_padding = family_of(base.config.model_type).shows_padding
    return Together.ONE_LENGTH if shows_padding else Together.ANY
