"""LN tuning by peft: every normalisation layer of the model is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import JsonValue

from peftlab.methods.peft_method import PeftMethod
from peftlab.models.layers import norm_parameter_names

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class LayerNormTuning(PeftMethod):
    """peft's LN tuning, on all normalisation layers if the settings name none.

    peft knows their names for a few architectures only, and not for BERT.
    """

    def _target_modules(self, model: PreTrainedModel) -> JsonValue:
        names = norm_parameter_names(model)
        return [*sorted({name.rpartition(".")[0] for name in names})]
