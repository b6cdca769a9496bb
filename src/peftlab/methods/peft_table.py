"""The facts about peft's methods that peft cannot tell: papers, our defaults, how they compute,
what can't serve.

A type of peft that stands in no row here is offered all the same, as PeftMethod.unlisted makes it.
Learning rates: docs/methods.md says which are measured, how, and what they gave.
"""

from __future__ import annotations

from collections.abc import Sequence

from peftlab.methods.adalora import AdaLora
from peftlab.methods.lora import Lora
from peftlab.methods.peft_method import PeftMethod
from peftlab.methods.peft_variants import LayerNormTuning, TrainableTokens
from peftlab.methods.prompts import PromptMethod

OF_LOW_RANK = (
    "r", "lora_alpha", "lora_dropout", "use_rslora", "init_lora_weights", "target_modules",
    "exclude_modules", "layers_to_transform", "layers_pattern", "rank_pattern", "alpha_pattern",
    "top_layers",
)  # fmt: skip
"""The settings of LoRA that leave the checkpoint's matrices alone (first values: Lora.shares_base).
"""

LORA = Lora(
    "lora",
    "LORA",
    "LoRA: low-rank updates of chosen linear layers",
    "Hu et al. 2022, arXiv 2106.09685",
    learning_rate=1e-3,
    shares_base_with=OF_LOW_RANK,
)
LORA_VARIANTS = (
    Lora(
        "rslora",
        "LORA",
        "rsLoRA: LoRA scaled by alpha over the root of the rank",
        "Kalajdzievski 2023, arXiv 2312.03732",
        learning_rate=1e-3,
        defaults={"use_rslora": True},
        shares_base_with=OF_LOW_RANK,
    ),
    Lora(
        "dora",
        "LORA",
        "DoRA: LoRA on the weights' directions, their magnitudes learned apart",
        "Liu et al. 2024, arXiv 2402.09353",
        learning_rate=1e-3,
        defaults={"use_dora": True},
    ),
    Lora(
        "pissa",
        "LORA",
        "PiSSA: LoRA that starts at the weights' largest singular values",
        "Meng et al. 2024, arXiv 2404.02948",
        learning_rate=1e-3,
        defaults={"init_lora_weights": "pissa"},
        draws=False,
    ),
    Lora(
        "olora",
        "LORA",
        "OLoRA: LoRA that starts at an orthonormal basis of the weights",
        "Büyükakyüz 2024, arXiv 2406.01775",
        learning_rate=1e-3,
        defaults={"init_lora_weights": "olora"},
        draws=False,
    ),
)
ADAPTERS = (
    AdaLora(
        "adalora",
        "ADALORA",
        "AdaLoRA: low-rank updates whose ranks are pruned by importance while they train",
        "Zhang et al. 2023, arXiv 2303.10512",
        learning_rate=1e-2,
    ),
    PeftMethod(
        "ia3",
        "IA3",
        "(IA)³: learned factors on keys, values and feed-forward activations",
        "Liu et al. 2022, arXiv 2205.05638",
        learning_rate=1e-2,
        draws=False,
        shares_base_with=(
            "target_modules",
            "exclude_modules",
            "feedforward_modules",
            "init_ia3_weights",
        ),
    ),
    PeftMethod(
        "vera",
        "VERA",
        "VeRA: learned scales around random matrices that all layers share",
        "Kopiczko et al. 2023, arXiv 2310.11454",
        learning_rate=1e-2,
    ),
    PeftMethod(
        "pvera",
        "PVERA",
        "PVeRA: VeRA with scales that are drawn from a learned distribution",
        "PVeRA 2025, arXiv 2512.07703",
        learning_rate=3e-3,
        why_not_packed="PVeRA draws noise for every token of a batch, padding included",
    ),
    PeftMethod(
        "loha",
        "LOHA",
        "LoHa: updates that are Hadamard products of two low-rank ones",
        "Hyeon-Woo et al. 2021, arXiv 2108.06098",
        learning_rate=1e-3,
    ),
    PeftMethod(
        "lokr",
        "LOKR",
        "LoKr: updates that are Kronecker products",
        "Yeh et al. 2023, arXiv 2309.14859",
        learning_rate=3e-3,
    ),
    PeftMethod(
        "oft",
        "OFT",
        "OFT: block-diagonal rotations of the weights",
        "Qiu et al. 2023, arXiv 2306.07280",
        learning_rate=1e-3,
        draws=False,
    ),
    PeftMethod(
        "boft",
        "BOFT",
        "BOFT: rotations of the weights in butterfly form",
        "Liu et al. 2024, arXiv 2311.06243",
        learning_rate=3e-3,
        draws=False,
    ),
    PeftMethod(
        "hra",
        "HRA",
        "HRA: a chain of Householder reflections of the weights",
        "Yuan et al. 2024, arXiv 2405.17484",
        learning_rate=1e-3,
    ),
    PeftMethod(
        "psoft",
        "PSOFT",
        "PSOFT: rotations within the weights' principal subspace",
        "PSOFT 2026, openreview FSHrinMArK",
        learning_rate=1e-3,
    ),
    PeftMethod(
        "road",
        "ROAD",
        "RoAd: rotations of the outputs in the plane of two channels",
        "Liao and Monz 2024, arXiv 2409.00119",
        learning_rate=1e-2,
        draws=False,
    ),
    PeftMethod(
        "fourierft",
        "FOURIERFT",
        "FourierFT: updates of a few learned frequencies",
        "Gao et al. 2024, arXiv 2405.03003",
        learning_rate=3e-2,
        is_identity_at_start=False,
    ),
    PeftMethod(
        "waveft",
        "WAVEFT",
        "WaveFT: sparse updates in the domain of wavelets",
        "WaveFT 2025, arXiv 2505.12532",
        learning_rate=3e-3,
    ),
    PeftMethod(
        "c3a",
        "C3A",
        "C³A: updates that are circular convolutions, block by block",
        "Chen et al. 2024, arXiv 2407.19342",
        learning_rate=3e-2,
        defaults={"block_size": 64},
        is_identity_at_start=False,
    ),
    PeftMethod(
        "miss",
        "MISS",
        "MiSS: one small matrix, shared by shards of the weights",
        "Kang and Yin 2024, arXiv 2409.15371",
        learning_rate=1e-3,
        draws=False,
    ),
    PeftMethod(
        "randlora",
        "RANDLORA",
        "RandLoRA: full-rank updates by scaled sums of random low-rank matrices",
        "Albert et al. 2025, arXiv 2502.00987",
        learning_rate=1e-3,
    ),
    PeftMethod(
        "vblora",
        "VBLORA",
        "VB-LoRA: low-rank updates composed from one bank of vectors",
        "Li et al. 2024, arXiv 2405.15179",
        learning_rate=3e-3,
        defaults={"vector_length": 64},
        is_identity_at_start=False,
    ),
    PeftMethod(
        "unilora",
        "UNILORA",
        "Uni-LoRA: all of LoRA's parameters projected from one vector",
        "Uni-LoRA 2025, arXiv 2506.00799",
        learning_rate=3e-3,
        is_identity_at_start=False,
    ),
    PeftMethod(
        "tinylora",
        "TINYLORA",
        "TinyLoRA: a handful of parameters in the frame of the weights' singular vectors",
        "TinyLoRA 2026, arXiv 2602.04118",
        learning_rate=3e-3,
    ),
    PeftMethod(
        "shira",
        "SHIRA",
        "SHiRA: a sparse set of the weights' own entries",
        "Bhardwaj et al. 2024, arXiv 2406.13175",
        learning_rate=1e-3,
    ),
    PeftMethod(
        "supertuning",
        "SUPERTUNING",
        "Supertuning: sparse updates of chosen entries",
        "Supertuning 2026, arXiv 2607.09287",
        learning_rate=1e-3,
        draws=False,
    ),
    PeftMethod(
        "beft",
        "BEFT",
        "BEFT: the bias terms of the value projections",
        "BEFT 2025, arXiv 2509.15974",
        learning_rate=1e-2,
        draws=False,
        merges_if="the value projections have biases",
    ),
    LayerNormTuning(
        "ln-tuning",
        "LN_TUNING",
        "LN tuning: the normalisation layers",
        "Zhao et al. 2023, arXiv 2312.11420",
        learning_rate=1e-3,
        draws=False,
        shares_base_with=(),  # modules that a user names may be matrices
    ),
    TrainableTokens(
        "trainable-tokens",
        "Trainable tokens: chosen rows of the word embedding",
        "peft's own; settings of its LoRA without any low-rank update",
        learning_rate=1e-3,
    ),
    PeftMethod(
        "delora",
        "DELORA",
        "DeLoRA: LoRA with its angle and its strength apart",
        "Bini et al. 2025, arXiv 2503.18225",
        learning_rate=1e-3,
    ),
    PeftMethod(
        "gralora",
        "GRALORA",
        "GraLoRA: a low-rank update for each block of the weights",
        "Jung et al. 2025, arXiv 2505.20355",
        learning_rate=1e-3,
    ),
    PeftMethod(
        "hira",
        "HIRA",
        "HiRA: low-rank updates multiplied by the weights, entry by entry",
        "Huang et al. 2025, openreview TwJrTz9cRS",
        learning_rate=1e-3,
    ),
    PeftMethod(
        "glora",
        "GLORA",
        "GLoRA: low-rank updates of weights, biases and outputs in one form",
        "Chavan et al. 2023, arXiv 2306.07967",
        learning_rate=1e-3,
    ),
    PeftMethod(
        "lily",
        "LILY",
        "Lily: low-rank updates that layers share, mixed by routers",
        "Lily 2024, arXiv 2407.09946",
        learning_rate=1e-3,
        can_merge=False,
        why_not_packed="Lily's routers average over a whole batch",
        why_row_by_row="Lily's routers average over a whole batch",
    ),
    PeftMethod(
        "peanut",
        "PEANUT",
        "PEANuT: updates that a small network makes of the weights",
        "PEANuT 2024, arXiv 2410.01870",
        learning_rate=1e-3,
    ),
    PeftMethod(
        "adamss",
        "ADAMSS",
        "AdaMSS: low-rank updates in clusters of the weights' singular vectors",
        "AdaMSS 2025, openreview 8ZdWmpYxT0",
        learning_rate=1e-3,
        # Its search for subspaces freezes parameters in the middle of a training.
        hidden=(
            "use_asa",
            "asa_target_subspaces",
            "init_warmup",
            "final_warmup",
            "mask_interval",
            "asa_importance_beta",
            "asa_uncertainty_beta",
            "asa_schedule_exponent",
        ),
    ),
    PeftMethod(
        "osf",
        "OSF",
        "OSF: full fine-tuning at right angles to the weights' main directions",
        "OSF 2025, arXiv 2504.07097",
        learning_rate=1e-4,
        defaults={"target_modules": "all-linear"},
        draws=False,
    ),
    PeftMethod(
        "deft",
        "DEFT",
        "DEFT: what a low-rank projection takes out of the weights is learned anew",
        "Kumar et al. 2025, NeurIPS 38",
        learning_rate=1e-3,
    ),
    PeftMethod(
        "frod",
        "FROD",
        "FRoD: sparse rotations in a basis that all layers share",
        "FRoD 2026, doi 10.1609/aaai.v40i31.39813",
        learning_rate=1e-3,
        defaults={"progressbar": False},
    ),
)
PROMPTS = (
    PromptMethod(
        "prefix",
        "PREFIX_TUNING",
        "Prefix tuning: learned keys and values before those of the text, in every layer",
        "Li and Liang 2021, arXiv 2101.00190",
        learning_rate=1e-2,
        defaults={"num_virtual_tokens": 20},
    ),
    PromptMethod(
        "cartridge",
        "CARTRIDGE",
        "Cartridge: a prefix of keys and values learned directly, its first token frozen",
        "Eyuboglu et al. 2025, arXiv 2506.06266",
        learning_rate=1e-2,
        defaults={"num_virtual_tokens": 20},
    ),
    PromptMethod(
        "prompt",
        "PROMPT_TUNING",
        "Prompt tuning: learned embeddings before those of the text",
        "Lester et al. 2021, arXiv 2104.08691",
        learning_rate=1e-2,
        defaults={"num_virtual_tokens": 20},
    ),
    PromptMethod(
        "p-tuning",
        "P_TUNING",
        "P-tuning: embeddings before those of the text, made by a small network",
        "Liu et al. 2021, arXiv 2103.10385",
        learning_rate=3e-3,
        defaults={"num_virtual_tokens": 20, "encoder_hidden_size": 128},
    ),
)
TABLE: tuple[PeftMethod, ...] = (LORA, *LORA_VARIANTS, *ADAPTERS, *PROMPTS)

CANNOT_SERVE = {
    "MULTITASK_PROMPT_TUNING": "it shares one prompt between several tasks; a trial has one task",
    "POLY": "it routes between tasks; a trial has one task",
    "CPT": "peft has it for causal language models only",
    "ADAPTION_PROMPT": "peft has it for Llama's attention only, and it does not save the head",
    "XLORA": "it mixes LoRA adapters that are trained already",
    "SHADOW": "peft has it for decoders only, and it adds a loss of its own to the model's",
}
"""The types of peft that are not offered, with the reason."""


def methods_of(types: Sequence[str]) -> list[PeftMethod]:
    """Return a method for each row whose type peft has, and for each type without a row."""
    listed = {method.peft_type for method in TABLE} | {"TRAINABLE_TOKENS"}
    found = [method for method in TABLE if method.peft_type in types]
    others = [name for name in types if name not in listed and name not in CANNOT_SERVE]
    return found + [PeftMethod.unlisted(name) for name in others]
