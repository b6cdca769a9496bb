"""What a method is: its settings, how it is put on a model, how the result is saved and loaded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import JsonValue

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel


class Method(ABC):
    """One way of fine-tuning a sequence classifier.

    Instances are stateless. Importing a method's module must not import torch: the functions
    that need it import it.
    """

    name: str
    title: str
    paper: str
    trains_head: ClassVar[bool] = True
    """Whether the classification head learns; where not, it stays at its random first values."""

    @abstractmethod
    def settings(self) -> dict[str, JsonValue]:
        """Every setting with its default, as JSON values."""

    @abstractmethod
    def resolve(self, given: Mapping[str, JsonValue], *, where: str = "") -> dict[str, JsonValue]:
        """All settings, those given checked and the others at their defaults.

        Raises UserError that names the setting, what is wrong with it and what is allowed.
        """

    @abstractmethod
    def apply(
        self, model: PreTrainedModel, config: Mapping[str, JsonValue], *, seed: int
    ) -> nn.Module:
        """The model made ready to train: requires_grad set, adapters added (drawn from `seed`).

        The model is changed in place; what comes back takes the same forward arguments.
        """

    @abstractmethod
    def save(self, module: nn.Module, folder: Path) -> None:
        """Everything that differs from the checkpoint, head included, as safetensors."""

    @abstractmethod
    def load(self, model: PreTrainedModel, folder: Path) -> nn.Module:
        """What `save` wrote, put on a fresh copy of the same checkpoint, in eval mode.

        Raises UserError where the folder does not hold what `save` writes.
        """
