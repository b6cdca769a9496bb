"""The interface of a method: its settings, its use on a model, and saving and loading."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import JsonValue

from peftlab.core.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel


class Method(ABC):
    """One way of fine-tuning a sequence classifier.

    Instances are stateless. Importing a method's module must not import torch: the functions
    that need it import it. What a method says of itself in the attributes below is held to by
    tests/methods/test_conformance.py.
    """

    name: str
    title: str
    paper: str
    learning_rate: float | None = None
    """The rate where a study gives none; None for the default of the training settings."""
    trains_head: ClassVar[bool] = True
    """Whether the classification head is trained; if not, it keeps its random first values."""
    is_identity_at_start: bool = True
    """Whether the model computes the same as without the method until a step is taken."""
    draws: bool = True
    """Whether what `apply` makes depends on its seed."""
    can_merge: bool = False
    """Whether `merged` gives a model of the checkpoint's own architecture."""
    merges_if: str | None = None
    """The condition on a model for a method that can merge, in a few words; None if there is
    none."""
    why_not_packed: str | None = None
    """The reason, in a few words, why it cannot run packed batches; None if it can."""
    why_row_by_row: str | None = None
    """The reason, in a few words, why a row's logits depend on the rows that share its batch; None
    if they do not. Such a method is evaluated and predicts one row at a time; it trains in
    batches."""

    @abstractmethod
    def settings(self) -> dict[str, JsonValue]:
        """Return every setting with its default, as JSON values."""

    @abstractmethod
    def resolve(self, given: Mapping[str, JsonValue], *, where: str = "") -> dict[str, JsonValue]:
        """Return all settings; what is given is checked.

        Raises UserError that names the setting, what is wrong with it and what is allowed.
        """

    def num_virtual_tokens(self, config: Mapping[str, JsonValue]) -> int:
        """Return the number of positions that the method takes before the tokens of each
        example."""
        return 0

    def shares_base(self, config: Mapping[str, JsonValue]) -> bool:
        """Return whether every matrix of the checkpoint stays as it is under these settings.

        Trials that train vectors of the checkpoint, adapters and the head alone can be multiplied
        with its matrices in one step (engine/grouping.py).
        """
        return False

    @abstractmethod
    def apply(
        self, model: PreTrainedModel, config: Mapping[str, JsonValue], *, seed: int
    ) -> nn.Module:
        """Return the model ready to train: requires_grad set, adapters added (drawn from `seed`).

        The model is changed in place; what comes back takes the same forward arguments.
        """

    @abstractmethod
    def save(self, module: nn.Module, folder: Path) -> None:
        """Write everything that differs from the checkpoint, the head included, as safetensors."""

    @abstractmethod
    def load(self, model: PreTrainedModel, folder: Path) -> nn.Module:
        """Return a fresh copy of the same checkpoint with what `save` wrote, in eval mode.

        Raises UserError where the folder does not hold what `save` writes.
        """

    def merged(self, module: nn.Module) -> PreTrainedModel:
        """Return the trained model as one of the checkpoint's architecture, equal to rounding.

        `module` is what `apply` or `load` gave and is used up. Raises UserError where the method
        cannot merge.
        """
        raise UserError(f"{self.name} cannot be merged into the checkpoint's own weights")

    def begin_training(self, module: nn.Module, total_steps: int) -> None:  # noqa: B027
        """Prepare for training; called once before the first step, or before `restore` if
        resumed."""

    def penalty(self, module: nn.Module) -> Tensor | None:
        """Return the method's addition to the loss of each step, a scalar with gradients, or None.

        The engine `trainer` does not ask: peft's own forward pass adds it there.
        """
        return None

    def after_step(self, module: nn.Module, step: int) -> None:  # noqa: B027
        """Act on the optimizer's step of that number (from 1), while its gradients are in place."""

    def state(self, module: nn.Module) -> dict[str, Tensor]:
        """Return the tensors that the method keeps between steps beside trained parameters, by
        name."""
        return {}

    def restore(self, module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
        """Restore what `state` returned. Raises ValueError if it is not of this method."""
        if tensors:
            raise ValueError(f"{self.name} keeps no state")
