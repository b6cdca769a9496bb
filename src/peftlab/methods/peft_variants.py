"""Methods of peft that train parameters the model has: normalisation layers, rows of embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from peftlab.methods.peft_method import PeftMethod
from peftlab.models.layers import norm_parameter_names

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FIRST_TOKENS = 128


class LayerNormTuning(PeftMethod):
    """peft's LN tuning, on all normalisation layers if the settings name none.

    peft knows their names for a few architectures only, and not for BERT.
    """

    def _target_modules(self, model: PreTrainedModel) -> JsonValue:
        names = norm_parameter_names(model)
        return [*sorted({name.rpartition(".")[0] for name in names})]


class TrainableTokens(PeftMethod):
    """Rows of the word embedding, by peft's LoRA with no layer for a low-rank update.

    peft's own type for them neither trains nor saves the head. `trainable_token_indices` are token
    ids; by default the first 128, among which BERT's and RoBERTa's vocabularies have the special
    tokens.
    """

    def __init__(self, name: str, title: str, paper: str, *, learning_rate: float) -> None:
        super().__init__(
            name,
            "LORA",
            title,
            paper,
            learning_rate=learning_rate,
            draws=False,
            defaults={"trainable_token_indices": list(range(FIRST_TOKENS))},
        )

    def settings(self) -> dict[str, JsonValue]:
        """Return the token ids alone."""
        return dict(self.defaults)

    def fitted(
        self, model: PreTrainedModel, config: Mapping[str, JsonValue], *, seed: int
    ) -> dict[str, JsonValue]:
        """Return the settings with the head, and the name by which peft knows that no layer is
        meant."""
        from peft.utils.constants import DUMMY_TARGET_MODULES

        own: dict[str, Any] = {"modules_to_save": None}
        settings = super().fitted(model, {**config, **own}, seed=seed)
        return settings | {"target_modules": DUMMY_TARGET_MODULES}
