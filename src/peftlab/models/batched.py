"""The base of all classifiers that compute logits by the batch, and the base of the packed ones.

Legend: B examples, T tokens of all of them, C classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from peftlab.data.batches import Ragged
from peftlab.models.dropout import CounterDropout, Use
from peftlab.models.families import family_of, takes_token_types
from peftlab.models.fused.backends import kernels_in_words
from peftlab.models.fused.batch import Lengths, PackedBatch
from peftlab.models.fused.jit import share_threads
from peftlab.models.fused.static_batch import StaticBatch
from peftlab.models.recompute import layers_recomputed

CPU = torch.device("cpu")


class BatchedModel(ABC):
    """A classifier, under any method, that computes the logits of a batch's rows.

    `base` is the transformers model under the method. Use `active` around the calls: outside of it
    the model is the stock model again. Dropout is drawn by a counter (dropout.py).
    """

    packs: ClassVar[bool]
    """Whether no padding is computed."""

    def __init__(
        self,
        module: nn.Module,
        base: PreTrainedModel,
        *,
        device: torch.device = CPU,
        dropout_seed: int = 0,
    ) -> None:
        self.module = module
        self.base = base
        self.family = family_of(base.config.model_type)
        self.device = device
        self.dropout = CounterDropout(module, dropout_seed)
        self._takes_types = takes_token_types(base)
        self.recomputes = False
        """Whether layers are computed again in the backward pass (recompute.py)."""
        self.bf16 = False
        """Whether the operands of matrix products are rounded to bfloat16."""
        self.bf16_full_eval = False
        """Whether they are in evaluation, at least."""

    @property
    @abstractmethod
    def path(self) -> str:
        """The way in which logits are computed, in a few words."""

    @abstractmethod
    def __call__(self, rows: Ragged, *, step: int = 0, first_example: int = 0) -> Tensor:
        """Return the logits [B, C] of the rows, with gradients if they are enabled.

        In training, dropout masks are those of `step`; `first_example` is the number of the first
        row within the step's batch if that is computed in parts.
        """

    @contextmanager
    def active(self) -> Iterator[Self]:
        """Switch the model to batches of its kind within the block."""
        share_threads()
        with ExitStack() as stack:
            stack.enter_context(self.dropout.installed())
            self._switch(stack)
            if self.recomputes:
                self._recompute(stack)
            yield self

    def rounding(self, *, trains: bool = True) -> AbstractContextManager[Any]:
        """Return the autocast context for computing logits, which rounds operands if that is set.

        Within it torch also rounds the results of matrix products, where our kernels do not; norms,
        softmax and losses are computed in float32. The logits are float32 or bfloat16.
        """
        if not (self.bf16 or (self.bf16_full_eval and not trains)):
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    @abstractmethod
    def _switch(self, stack: ExitStack) -> None:
        """Switch the model, and push the calls that undo the switch onto the stack."""

    def _recompute(self, stack: ExitStack) -> None:
        """Recompute layers in the backward pass until the stack is closed."""
        stack.enter_context(layers_recomputed(self.base, self.dropout))

    def _use_attention(self, name: str, stack: ExitStack) -> None:
        """Make the model's layers call the attention function of that name."""
        before = self.base.config._attn_implementation
        self.base.set_attn_implementation(name)
        stack.callback(self.base.set_attn_implementation, before)

    def _integers(self, values: Any) -> Tensor:
        """Return the int64 tensor of an array, on the model's device."""
        return torch.from_numpy(values.astype(np.int64)).to(self.device)


class LastTokens:
    """The logits of each example's last token, taken from a head that is called with all tokens.

    A stock decoder returns the logits of one token in each row, which it finds by the padding
    token.
    """

    def __init__(self, head: nn.Module, choose: Callable[[Tensor], Tensor]) -> None:
        """Set `choose`, a function from the logits of all tokens to those of the last, [B, C]."""
        self._head = head
        self._choose = choose
        self._found_BC: Tensor | None = None

    def hook(self, stack: ExitStack) -> None:
        """Note the head's logits whenever it is called, until the stack is closed."""
        stack.callback(self._head.register_forward_hook(self._note).remove)

    def take(self) -> Tensor:
        """Return the logits from the last call of the head."""
        assert self._found_BC is not None, "the head was called"
        found_BC, self._found_BC = self._found_BC, None
        return found_BC

    def _note(self, module: nn.Module, inputs: Any, logits: Tensor) -> None:
        self._found_BC = self._choose(logits)


class PackedModel(BatchedModel):
    """A classifier whose examples lie one after another in a row of T tokens, without padding.

    Positions restart at each example, attention stays within it, and the classifier sees each
    example's first token only (in decoders its last token, in some encoders the mean of all).
    """

    packs = True
    blocks: ClassVar[str]
    """The owner of the blocks that compute the model, in the words of `Way`."""

    def __init__(
        self,
        module: nn.Module,
        base: PreTrainedModel,
        *,
        device: torch.device = CPU,
        dropout_seed: int = 0,
    ) -> None:
        super().__init__(module, base, device=device, dropout_seed=dropout_seed)
        self._first_position = self.family.first_position(base.config)
        self._batch: PackedBatch | None = None

    @property
    def path(self) -> str:
        """The owner of the blocks, and whether their kernels are compiled."""
        return f"{self.blocks}, {kernels_in_words(*self.module.parameters())}"

    @property
    def batch(self) -> PackedBatch:
        """The current batch."""
        assert self._batch is not None, "a packed model is called with a batch first"
        return self._batch

    def __call__(self, rows: Ragged, *, step: int = 0, first_example: int = 0) -> Tensor:
        """Return the logits [B, C] of the rows."""
        type_ids_T = self._types(rows)
        self._begin(rows.lengths, type_ids_T, step=step, first_example=first_example)
        return self._logits(self._integers(rows.ids), type_ids_T)

    def of_static(self, static: StaticBatch, key_of: Callable[[Use], int]) -> Tensor:
        """Return the logits [B, C] of the batch that its row holds.

        Nothing else that differs between steps is read but parameters.
        """
        return self._logits(static.ids_T, self._begin_static(static, key_of))

    def _begin_static(self, static: StaticBatch, key_of: Callable[[Use], int]) -> Tensor | None:
        """Prepare for the batch that a row holds; return its token types if the model has any."""
        self._batch = static.batch
        self.dropout.begin_given(key_of, static.batch.rows)
        return static.type_T if self._takes_types and static.layout.has_types else None

    def uses_of_dropout(self, rows: Ragged) -> list[Use]:
        """Return the uses of dropout in a training step, in their order: that of every step."""
        with torch.no_grad(), self.dropout.noting() as uses:
            self(rows)
        return uses

    @abstractmethod
    def _logits(self, ids_T: Tensor, type_ids_T: Tensor | None) -> Tensor:
        """Return the logits [B, C] of the present batch."""

    def _begin(
        self,
        lengths_B: Lengths,
        type_ids_T: Tensor | None,
        *,
        step: int = 0,
        first_example: int = 0,
    ) -> None:
        """Prepare for a batch of examples of these lengths."""
        self._batch = PackedBatch.of(
            lengths_B, type_ids_T=type_ids_T, first_example=first_example, device=self.device
        )
        self.dropout.begin(step, self._batch.rows)

    def _types(self, rows: Ragged) -> Tensor | None:
        """Return the token types [T] if the rows and the model have them."""
        if rows.type_ids is None or not self._takes_types:
            return None
        return self._integers(rows.type_ids)

    def _inputs(self, ids_T: Tensor, type_ids_T: Tensor | None) -> dict[str, Tensor]:
        """Return the keyword arguments for transformers' modules."""
        position_T = self.batch.token_rows.position_R + self._first_position
        inputs = {"input_ids": ids_T[None], "position_ids": position_T[None]}
        if type_ids_T is not None:
            inputs["token_type_ids"] = type_ids_T[None]
        return inputs
