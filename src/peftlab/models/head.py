"""The parameters of a sequence classifier's head, which a pretrained model lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peftlab.models.families import family_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def head_parameter_names(model: PreTrainedModel) -> list[str]:
    """Return the names of the parameters outside the pretrained base model, in the model's order.

    BERT: classifier.weight and classifier.bias (its pooler is pretrained and belongs to the
    base). RoBERTa and ELECTRA: the two dense layers of `classifier`. DistilBERT:
    pre_classifier and classifier. Decoders: score.
    """
    prefix = f"{model.base_model_prefix}."
    return [name for name, _ in model.named_parameters() if not name.startswith(prefix)]


def head_module_names(model: PreTrainedModel) -> list[str]:
    """Return the head's top-level modules in order, such as ["pre_classifier", "classifier"]."""
    return list(dict.fromkeys(name.split(".")[0] for name in head_parameter_names(model)))


def fresh_parameter_names(model: PreTrainedModel) -> list[str]:
    """Return the names of the head parameters that each trial draws for itself.

    These are all but layers that come from pretraining (ModernBERT's dense layer before the
    classifier).
    """
    kept = family_of(model.config.model_type).pretrained_before_output
    return [name for name in head_parameter_names(model) if name.split(".")[0] not in kept]


def output_parameter_names(model: PreTrainedModel) -> list[str]:
    """Return the names of the parameters of the output layer, which has one row for each label."""
    outputs = family_of(model.config.model_type).outputs
    return [name for name in head_parameter_names(model) if name.rpartition(".")[0] in outputs]
