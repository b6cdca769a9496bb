"""Methods of peft that put something learned before the text, which every example then carries."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from peftlab.core.errors import UserError
from peftlab.methods.peft_method import PeftMethod

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

PASS_KEYS = frozenset({"PREFIX_TUNING", "CARTRIDGE"})
"""The types that give the model keys and values, not embeddings."""


class PromptMethod(PeftMethod):
    """Virtual tokens, or their keys and values, before the tokens of each example.

    There is nothing to merge them into, and a packed batch cannot hold them.
    """

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(
            *args,
            **keywords,
            # They follow from the model; peft asks for a name of its text's tokenizer in vain.
            hidden=("token_dim", "num_transformer_submodules", "num_attention_heads", "num_layers"),
            is_identity_at_start=False,
            can_merge=False,
            why_not_packed="virtual tokens stand before each example",
        )

    def num_virtual_tokens(self, config: Mapping[str, JsonValue]) -> int:
        """Return the number that is set; 0 if peft has not been asked yet."""
        number = config.get("num_virtual_tokens")
        return number if isinstance(number, int) else 0

    def apply(
        self, model: PreTrainedModel, config: Mapping[str, JsonValue], *, seed: int
    ) -> nn.Module:
        """Return a PeftModel around the model; raise UserError if it takes no keys and values."""
        if self.peft_type in PASS_KEYS and not any(
            "past_key_values" in inspect.signature(part.forward).parameters
            for part in (model, model.base_model)
        ):
            raise UserError(
                f"{self.name} does not fit this model: {model.config.model_type} takes no keys and "
                "values from outside"
            )
        return super().apply(model, config, seed=seed)

    def fitted(
        self, model: PreTrainedModel, config: Mapping[str, JsonValue], *, seed: int
    ) -> dict[str, JsonValue]:
        """Return the settings with the model's sizes, which peft mistakes: ALBERT's embeddings are
        narrow."""
        settings = super().fitted(model, config, seed=seed)
        if self.peft_type not in PASS_KEYS:
            sizes: Any = model.config
            settings |= {
                "token_dim": next(model.get_input_embeddings().parameters()).shape[1],
                "num_layers": sizes.num_hidden_layers,
                "num_attention_heads": sizes.num_attention_heads,
            }
        return settings
