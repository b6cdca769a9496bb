"""The known facts about architectures, by transformers' names for them; without torch.

A new architecture is a `Family` added to FAMILIES, here or in a file of its own. Each of them is
checked by tests/models/test_architectures.py. A checkpoint of any other architecture trains too if
transformers has a sequence classifier for it, but padded and untested.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from inspect import signature
from typing import Any

from peftlab.core.registry import Registry
from peftlab.models.family import BlockNames, Family, LayerNames, Pooling

BERT_LAYER = LayerNames(
    query="attention.self.query",
    attention_output="attention.output.dense",
    up="intermediate.dense",
    down="output.dense",
    last_norm="output.LayerNorm",
)
BERT = BlockNames(
    **asdict(BERT_LAYER),
    key="attention.self.key",
    value="attention.self.value",
    attention="attention.self",
    num_heads="attention.self.num_attention_heads",
    head_width="attention.self.attention_head_size",
    attention_dropout="attention.self.dropout",
    output_dropout="attention.output.dropout",
    attention_norm="attention.output.LayerNorm",
    activation="intermediate.intermediate_act_fn",
    down_dropout="output.dropout",
)
DISTILBERT = BlockNames(
    query="attention.q_lin",
    key="attention.k_lin",
    value="attention.v_lin",
    attention="attention",
    num_heads="attention.n_heads",
    head_width="attention.attention_head_size",
    attention_dropout="attention.dropout",
    attention_output="attention.out_lin",
    attention_norm="sa_layer_norm",
    up="ffn.lin1",
    activation="ffn.activation",
    down="ffn.lin2",
    down_dropout="ffn.dropout",
    last_norm="output_layer_norm",
)
MPNET = replace(BERT_LAYER, query="attention.attn.q", attention_output="attention.attn.o")
DEBERTA = replace(BERT_LAYER, query="", query_bias="q_bias")
DEBERTA_V2 = replace(BERT_LAYER, query="attention.self.query_proj")
NORM_BEFORE = replace(BERT_LAYER, last_norm="")
ALBERT = LayerNames(
    query="attention.query",
    attention_output="attention.dense",
    up="ffn",
    down="ffn_output",
    last_norm="full_layer_layer_norm",
)
FUNNEL = LayerNames(
    query="attention.q_head",
    attention_output="attention.post_proj",
    up="ffn.linear_1",
    down="ffn.linear_2",
    last_norm="ffn.layer_norm",
)
XLNET = LayerNames(up="ff.layer_1", down="ff.layer_2", last_norm="ff.layer_norm")
MODERNBERT = LayerNames(attention_output="attn.Wo", up="mlp.Wi", down="mlp.Wo")
GPT2 = LayerNames(attention_output="attn.c_proj", up="mlp.c_fc", down="mlp.c_proj")
GPT_NEOX = LayerNames(
    attention_output="attention.dense", up="mlp.dense_h_to_4h", down="mlp.dense_4h_to_h"
)
OPT = LayerNames(
    query="self_attn.q_proj", attention_output="self_attn.out_proj", up="fc1", down="fc2"
)
LLAMA = LayerNames(
    query="self_attn.q_proj",
    attention_output="self_attn.o_proj",
    up="mlp.up_proj",
    down="mlp.down_proj",
)
PHI = LayerNames(
    query="self_attn.q_proj", attention_output="self_attn.dense", up="mlp.fc1", down="mlp.fc2"
)
PHI3 = replace(LLAMA, query="", up="mlp.gate_up_proj")
GLM4 = replace(LLAMA, up="mlp.gate_up_proj")
STARCODER2 = replace(LLAMA, up="mlp.c_fc", down="mlp.c_proj")

LAYERS: tuple[LayerNames, ...] = (
    BERT_LAYER, MPNET, DISTILBERT, ALBERT, FUNNEL, XLNET, MODERNBERT, GPT2, OPT, LLAMA, PHI, PHI3,
    GLM4, STARCODER2, GPT_NEOX, DEBERTA, DEBERTA_V2,
)  # fmt: skip
"""The names to try for the parts of a layer in an unknown architecture, in this order."""

OUT_PROJ = ("classifier.out_proj",)
"""The output layer of RoBERTa's two-layer head."""
OTHER_OUTPUTS = ("classification_head.out_proj", "sequence_summary.summary")
"""The names that an output layer may have in an unknown architecture."""

QUERY_VALUE = ("query", "value")
Q_V_PROJ = ("q_proj", "v_proj")


def pooled_head(model: Any, x_BD: Any) -> Any:
    """Return the logits of BERT's head: pooler, dropout, classifier."""
    return model.classifier(model.dropout(model.base_model.pooler(x_BD[:, None])))


def head_of_tokens(model: Any, x_BD: Any) -> Any:
    """Return the logits of RoBERTa's head, which selects the first token itself."""
    return model.classifier(x_BD[:, None])


def distilbert_head(model: Any, x_BD: Any) -> Any:
    """Return the logits of DistilBERT's two-layer head."""
    return model.classifier(model.dropout(model.pre_classifier(x_BD).relu()))


def _roberta(model_type: str, title: str) -> Family:
    return Family(
        model_type=model_type,
        title=title,
        layers=(BERT,),
        head=head_of_tokens,
        outputs=OUT_PROJ,
        positions_after_padding=True,
    )


def _decoder(model_type: str, title: str, layer: LayerNames = LLAMA, **facts: Any) -> Family:
    return Family(
        model_type=model_type,
        title=title,
        layers=(layer,),
        pooling=Pooling.LAST,
        outputs=("score",),
        **facts,
    )


def _deberta(model_type: str, title: str, layer: LayerNames) -> Family:
    return Family(
        model_type=model_type,
        title=title,
        layers=(layer,),
        position_norms=("encoder.LayerNorm",),
        why_padded="its disentangled attention to content and distance is its own",
        has_own_attention=True,
    )


ENCODERS = (
    Family(model_type="bert", title="BERT (Devlin et al. 2019)", layers=(BERT,), head=pooled_head),
    _roberta("roberta", "RoBERTa (Liu et al. 2019)"),
    _roberta("xlm-roberta", "XLM-R (Conneau et al. 2020)"),
    replace(_roberta("camembert", "CamemBERT (Martin et al. 2020)"), target_modules=QUERY_VALUE),
    Family(
        model_type="distilbert",
        title="DistilBERT (Sanh et al. 2019)",
        layers=(DISTILBERT,),
        encoder="transformer",
        head=distilbert_head,
        target_modules=("q_lin", "v_lin"),
    ),
    Family(
        model_type="electra",
        title="ELECTRA (Clark et al. 2020)",
        layers=(BERT,),
        embeddings=("embeddings", "embeddings_project"),
        head=head_of_tokens,
        outputs=OUT_PROJ,
    ),
    Family(
        model_type="albert",
        title="ALBERT (Lan et al. 2020)",
        layers=(ALBERT,),
        target_modules=QUERY_VALUE,
    ),
    Family(
        model_type="modernbert",
        title="ModernBERT (Warner et al. 2024)",
        layers=(MODERNBERT,),
        encoder="",
        pooling=Pooling.AS_CONFIGURED,
        # Its dense layer comes from its masked language model.
        pretrained_before_output=("head",),
        target_modules=("Wqkv",),
    ),
    Family(
        model_type="data2vec-text",
        title="data2vec, text (Baevski et al. 2022)",
        layers=(BERT_LAYER,),
        outputs=OUT_PROJ,
        positions_after_padding=True,
        target_modules=QUERY_VALUE,
    ),
    Family(
        model_type="ernie",
        title="ERNIE (Sun et al. 2020)",
        layers=(BERT_LAYER,),
        target_modules=QUERY_VALUE,
    ),
    Family(
        model_type="roberta-prelayernorm",
        title="RoBERTa, LayerNorm first",
        layers=(NORM_BEFORE,),
        outputs=OUT_PROJ,
        positions_after_padding=True,
        target_modules=QUERY_VALUE,
    ),
    Family(
        model_type="xlm-roberta-xl",
        title="XLM-R XL (Goyal et al. 2021)",
        layers=(NORM_BEFORE,),
        outputs=OUT_PROJ,
        positions_after_padding=True,
        target_modules=QUERY_VALUE,
    ),
)
DECODERS = (
    _decoder("gpt2", "GPT-2 (Radford et al. 2019)", GPT2, types_as_words=True),
    _decoder("opt", "OPT (Zhang et al. 2022)", OPT),
    _decoder("gpt_neox", "GPT-NeoX, Pythia (Black et al. 2022)", GPT_NEOX),
    _decoder("llama", "Llama (Touvron et al. 2023)"),
    _decoder("mistral", "Mistral (Jiang et al. 2023)"),
    _decoder("phi", "Phi (Li et al. 2023)", PHI),
    _decoder("phi3", "Phi-3 (Abdin et al. 2024)", PHI3, target_modules=("qkv_proj",)),
    _decoder("qwen2", "Qwen2 (Yang et al. 2024)"),
    _decoder("qwen3", "Qwen3 (Yang et al. 2025)"),
    _decoder("starcoder2", "StarCoder2 (Lozhkov et al. 2024)", STARCODER2, target_modules=Q_V_PROJ),
    _decoder("smollm3", "SmolLM3 (Bakouch et al. 2025)", target_modules=Q_V_PROJ),
    _decoder("olmo2", "OLMo 2 (OLMo Team 2024)", target_modules=Q_V_PROJ),
    _decoder("glm4", "GLM-4 (GLM Team 2024)", GLM4, target_modules=Q_V_PROJ),
    _decoder("biogpt", "BioGPT (Luo et al. 2022)", OPT, target_modules=Q_V_PROJ),
    _decoder("gemma", "Gemma (Gemma Team 2024)"),
    _decoder("gemma2", "Gemma 2 (Gemma Team 2024)"),
    _decoder("gemma3_text", "Gemma 3, text (Gemma Team 2025)"),
)
PADDED = (
    Family(
        model_type="mpnet",
        title="MPNet (Song et al. 2020)",
        layers=(MPNET,),
        why_padded="its attention, with a bias for each distance, is its own",
        has_own_attention=True,
        outputs=OUT_PROJ,
        positions_after_padding=True,
        target_modules=("q", "v"),
    ),
    _deberta("deberta", "DeBERTa (He et al. 2021)", DEBERTA),
    _deberta("deberta-v2", "DeBERTa v2 and v3 (He et al. 2023)", DEBERTA_V2),
    Family(
        model_type="mobilebert",
        title="MobileBERT (Sun et al. 2020)",
        layers=(BERT_LAYER,),
        why_padded="its embeddings join each token with its neighbours in the row",
        shows_padding=True,
        target_modules=QUERY_VALUE,
    ),
    Family(
        model_type="xlnet",
        title="XLNet (Yang et al. 2019)",
        layers=(XLNET,),
        why_padded="its two-stream attention is its own",
        has_own_attention=True,
        pooling=Pooling.LAST,
        outputs=("logits_proj",),
        pads_in_front=True,
        # Its attention projections are not modules, so the feed-forward part is adapted.
        target_modules=("layer_1", "layer_2"),
    ),
    Family(
        model_type="funnel",
        title="Funnel Transformer (Dai et al. 2020)",
        layers=(FUNNEL,),
        why_padded="its layers pool neighbouring tokens of the row",
        has_own_attention=True,
        outputs=("classifier.linear_out",),
        shows_padding=True,
        # Each of its blocks halves the row.
        shortest_row=lambda config: int(2 ** len(config.block_sizes)),
        target_modules=("q_head", "v_head"),
    ),
)

FAMILIES = Registry[Family]("architecture")
"""All architectures that are tested."""
for _family in (*ENCODERS, *DECODERS, *PADDED):
    FAMILIES.add(_family.model_type, _family)

UNTESTED: dict[str, dict[str, Any]] = {
    **{
        name: {"types_as_words": True}
        for name in ("codegen", "ctrl", "gpt_bigcode", "gpt_neo", "gptj", "openai-gpt")
    },
    **{name: {"positions_after_padding": True} for name in ("ibert", "lilt", "longformer", "xmod")},
}
"""Facts about architectures that are not tested, by name."""


def family_of(model_type: str) -> Family:
    """Return the facts about an architecture, or the worst case for an untested one.

    In the worst case batches are padded, padding may change logits, and the attention cannot be
    replaced.

    >>> family_of("mobilebert").shows_padding, family_of("bert").shows_padding
    (True, False)
    >>> family_of("nezha").way
    <Way.PADDED: 'padded'>
    """
    if model_type in FAMILIES:
        return FAMILIES.get(model_type)
    outputs = dict.fromkeys(output for family in FAMILIES for output in family.outputs)
    return Family(
        model_type=model_type,
        is_tested=False,
        why_padded=f"the architecture {model_type} is not among those that are tested to pack",
        layers=LAYERS,
        has_own_attention=True,
        outputs=(*outputs, *OTHER_OUTPUTS),
        shows_padding=model_type != "",
        **UNTESTED.get(model_type, {}),
    )


def why_padded(family: Family) -> str | None:
    """Return why batches of that architecture are padded, by name; None if they are packed.

    >>> why_padded(family_of("mobilebert"))
    'mobilebert: its embeddings join each token with its neighbours in the row'
    >>> why_padded(family_of("gpt2")) is None
    True
    """
    if not family.why_padded or not family.is_tested:
        return family.why_padded or None
    return f"{family.model_type}: {family.why_padded}"


def fewest_tokens(config: Any) -> int:
    """Return the fewest tokens to which a row is padded."""
    return family_of(config.model_type).shortest_row(config)


def takes_token_types(model: Any) -> bool:
    """Return whether a transformers model has embeddings for token types (segments).

    Some tokenizers, such as DeBERTa's, return types even for models without such embeddings.
    """
    return (
        "token_type_ids" in signature(model.forward).parameters
        and getattr(model.config, "type_vocab_size", None) != 0
    )
