"""What is known of architectures by the names that transformers gives them; without torch."""

from __future__ import annotations

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

PACKED_BY_INTERFACE = frozenset(
    {"albert", "data2vec-text", "ernie", "roberta-prelayernorm", "xlm-roberta-xl"}
)
"""Without fused blocks, but their attention can be replaced, positions can be given, and after the
encoder only the first token is read."""
