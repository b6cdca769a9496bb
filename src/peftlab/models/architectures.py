"""What is known of architectures by the names that transformers gives them; without torch.

Every family here is held by tests/models/test_architectures.py. A checkpoint of another one trains
too if transformers has a sequence classifier for it, padded and untested.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from inspect import signature
from typing import Any


class Way(StrEnum):
    """How batches of a family are computed."""

    FUSED = "packed, fused blocks"
    STOCK = "packed, stock blocks"
    PADDED = "padded"


class Pooling(StrEnum):
    """What of an example's states the classifier reads."""

    FIRST = "first token"
    LAST = "last token"
    MEAN = "mean of all tokens"
    AS_CONFIGURED = "first token or mean, by its config"


@dataclass(frozen=True, kw_only=True)
class Family:
    """An architecture that is tested: how it is computed and, where it is padded, why."""

    model_type: str
    title: str
    way: Way
    pooling: Pooling = Pooling.FIRST
    why_padded: str = ""
    output: str = "classifier"
    """The module of its classifier that gives the logits: no pretraining leaves such a one."""


BEHIND_DENSE = "classifier.out_proj"
"""The output where RoBERTa's two-layer head is used."""


def _fused(model_type: str, title: str, output: str = "classifier") -> Family:
    return Family(model_type=model_type, title=title, way=Way.FUSED, output=output)


def _stock(
    model_type: str, title: str, pooling: Pooling = Pooling.FIRST, output: str = "classifier"
) -> Family:
    return Family(model_type=model_type, title=title, way=Way.STOCK, pooling=pooling, output=output)


def _decoder(model_type: str, title: str) -> Family:
    return _stock(model_type, title, Pooling.LAST, "score")


def _padded(
    model_type: str,
    title: str,
    why: str,
    pooling: Pooling = Pooling.FIRST,
    output: str = "classifier",
) -> Family:
    return Family(
        model_type=model_type,
        title=title,
        way=Way.PADDED,
        pooling=pooling,
        why_padded=why,
        output=output,
    )


FAMILIES = {
    family.model_type: family
    for family in (
        _fused("bert", "BERT (Devlin et al. 2019)"),
        _fused("roberta", "RoBERTa (Liu et al. 2019)", BEHIND_DENSE),
        _fused("xlm-roberta", "XLM-R (Conneau et al. 2020)", BEHIND_DENSE),
        _fused("camembert", "CamemBERT (Martin et al. 2020)", BEHIND_DENSE),
        _fused("distilbert", "DistilBERT (Sanh et al. 2019)"),
        _fused("electra", "ELECTRA (Clark et al. 2020)", BEHIND_DENSE),
        _stock("albert", "ALBERT (Lan et al. 2020)"),
        _stock("modernbert", "ModernBERT (Warner et al. 2024)", Pooling.AS_CONFIGURED),
        _stock("data2vec-text", "data2vec, text (Baevski et al. 2022)", output=BEHIND_DENSE),
        _stock("ernie", "ERNIE (Sun et al. 2020)"),
        _stock("roberta-prelayernorm", "RoBERTa, LayerNorm first", output=BEHIND_DENSE),
        _stock("xlm-roberta-xl", "XLM-R XL (Goyal et al. 2021)", output=BEHIND_DENSE),
        _decoder("gpt2", "GPT-2 (Radford et al. 2019)"),
        _decoder("opt", "OPT (Zhang et al. 2022)"),
        _decoder("gpt_neox", "GPT-NeoX, Pythia (Black et al. 2022)"),
        _decoder("llama", "Llama (Touvron et al. 2023)"),
        _decoder("mistral", "Mistral (Jiang et al. 2023)"),
        _decoder("phi", "Phi (Li et al. 2023)"),
        _decoder("phi3", "Phi-3 (Abdin et al. 2024)"),
        _decoder("qwen2", "Qwen2 (Yang et al. 2024)"),
        _decoder("qwen3", "Qwen3 (Yang et al. 2025)"),
        _decoder("starcoder2", "StarCoder2 (Lozhkov et al. 2024)"),
        _decoder("smollm3", "SmolLM3 (Bakouch et al. 2025)"),
        _decoder("olmo2", "OLMo 2 (OLMo Team 2024)"),
        _decoder("glm4", "GLM-4 (GLM Team 2024)"),
        _decoder("biogpt", "BioGPT (Luo et al. 2022)"),
        _decoder("gemma", "Gemma (Gemma Team 2024)"),
        _decoder("gemma2", "Gemma 2 (Gemma Team 2024)"),
        _decoder("gemma3_text", "Gemma 3, text (Gemma Team 2025)"),
        _padded(
            "mpnet",
            "MPNet (Song et al. 2020)",
            "its attention, with a bias for each distance, is its own",
            output=BEHIND_DENSE,
        ),
        _padded(
            "deberta",
            "DeBERTa (He et al. 2021)",
            "its disentangled attention to content and distance is its own",
        ),
        _padded(
            "deberta-v2",
            "DeBERTa v2 and v3 (He et al. 2023)",
            "its disentangled attention to content and distance is its own",
        ),
        _padded(
            "mobilebert",
            "MobileBERT (Sun et al. 2020)",
            "its embeddings join each token with its neighbours in the row",
        ),
        _padded(
            "xlnet",
            "XLNet (Yang et al. 2019)",
            "its two-stream attention is its own",
            Pooling.LAST,
            "logits_proj",
        ),
        _padded(
            "funnel",
            "Funnel Transformer (Dai et al. 2020)",
            "its layers pool neighbouring tokens of the row",
            output="classifier.linear_out",
        ),
    )
}
"""Every family that the conformance test holds, by transformers' name."""

OUTPUTS = frozenset(
    {family.output for family in FAMILIES.values()}
    | {"classification_head.out_proj", "sequence_summary.summary"}
)
"""What architectures, those that are not known here among them, call the module of the logits."""

PRETRAINED_BEFORE_OUTPUT = {"modernbert": ("head",)}
"""Modules of a classifier's head that come from pretraining, as BERT's pooler does: ModernBERT's
dense layer is that of its masked language model."""

TYPES_AS_WORDS = frozenset(
    {"codegen", "ctrl", "gpt2", "gpt_bigcode", "gpt_neo", "gptj", "openai-gpt"}
)
"""They look token types up in the table of the words: type 1 is the vector of token 1."""

POSITIONS_AFTER_PADDING = frozenset(
    {
        "camembert",
        "data2vec-text",
        "ibert",
        "lilt",
        "longformer",
        "mpnet",
        "roberta",
        "roberta-prelayernorm",
        "xlm-roberta",
        "xlm-roberta-xl",
        "xmod",
    }
)
"""RoBERTa and its kin: they number positions from pad_token_id + 1 on, as fairseq did."""

PADDED_IN_FRONT = frozenset({"xlnet"})
"""Their classifier reads the last place of the row, whatever stands there."""

SHOWS_PADDING = frozenset({"funnel", "mobilebert"})
"""The families in which a row's logits change with the padding behind it."""

OWN_ATTENTION = frozenset({"deberta", "deberta-v2", "funnel", "mpnet", "xlnet"})
"""The families whose attention function cannot be replaced."""


def why_padded(model_type: str) -> str | None:
    """Why batches of that architecture are padded, in a few words; None where they are packed.

    >>> why_padded("mobilebert")
    'mobilebert: its embeddings join each token with its neighbours in the row'
    >>> why_padded("gpt2") is None
    True
    """
    family = FAMILIES.get(model_type)
    if family is None:
        return f"the architecture {model_type} is not among those that are tested to pack"
    return f"{model_type}: {family.why_padded}" if family.why_padded else None


def shows_padding(model_type: str) -> bool:
    """Whether padding may change a row's logits; nothing else is presumed of untested ones.

    >>> shows_padding("mobilebert"), shows_padding("bert"), shows_padding("nezha")
    (True, False, True)
    """
    return model_type in SHOWS_PADDING or bool(model_type and model_type not in FAMILIES)


def fewest_tokens(config: Any) -> int:
    """How many tokens a row is padded to at least: each of Funnel's blocks halves what is there."""
    return int(2 ** len(config.block_sizes)) if config.model_type == "funnel" else 1


def pooling(config: Any) -> Pooling:
    """What the classifiers of that transformers config read; the first token if it is not known."""
    family = FAMILIES.get(config.model_type)
    found = Pooling.FIRST if family is None else family.pooling
    if found is not Pooling.AS_CONFIGURED:
        return found
    return Pooling.MEAN if config.classifier_pooling == "mean" else Pooling.FIRST


def holds_head(model_type: str, names: Collection[str]) -> bool:
    """Whether tensors of these names have the output of a sequence classifier among them.

    >>> holds_head("bert", {"bert.pooler.dense.weight", "cls.predictions.bias"})
    False
    >>> holds_head("roberta", {"classifier.out_proj.weight"})
    True
    """
    family = FAMILIES.get(model_type)
    outputs = OUTPUTS if family is None else {family.output}
    return any(f"{output}.weight" in names for output in outputs)


def draws_attention(model_type: str) -> bool:
    """Whether its attention is known to be replaceable by functions of ours."""
    return model_type in FAMILIES and model_type not in OWN_ATTENTION


def takes_token_types(model: Any) -> bool:
    """Whether a transformers model has embeddings for token types (segments).

    Some tokenizers give types to models that know none, as DeBERTa's does.
    """
    return (
        "token_type_ids" in signature(model.forward).parameters
        and getattr(model.config, "type_vocab_size", None) != 0
    )
