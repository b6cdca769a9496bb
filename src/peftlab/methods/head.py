"""Which parameters of a sequence classifier are its head: those that the checkpoint lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def head_parameter_names(model: PreTrainedModel) -> list[str]:
    """Names of the parameters outside the pretrained base model, in the model's order.

    BERT: classifier.weight and classifier.bias (its pooler is pretrained and belongs to the
    base). RoBERTa and ELECTRA: the two dense layers of `classifier`. DistilBERT:
    pre_classifier and classifier. Decoders: score.
    """
    prefix = f"{model.base_model_prefix}."
    return [name for name, _ in model.named_parameters() if not name.startswith(prefix)]


def head_module_names(model: PreTrainedModel) -> list[str]:
    """The top-level modules that make up the head, in order: ["pre_classifier", "classifier"]."""
    return list(dict.fromkeys(name.split(".")[0] for name in head_parameter_names(model)))
