"""How many tokens a checkpoint has positions for, from its config alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from peftlab.core.errors import UserError
from peftlab.models.builtin import BUILTIN, builtin_config
from peftlab.models.checkpoints import load_config
from peftlab.models.families import family_of


def check_max_length(model: str, max_length: int, virtual: int = 0, *, where: str) -> None:
    """UserError if the checkpoint has fewer positions than `max_length` tokens and virtual ones.

    Nothing is checked where its config cannot be read: a dry run goes on without the Hub.
    """
    try:
        allowed = num_positions(model)
    except UserError:
        return
    if allowed is not None and max_length + virtual > allowed:
        before = f", behind {virtual} virtual ones," if virtual else ""
        raise UserError(
            f"{max_length} tokens{before} are more than '{model}' has positions for",
            where=where,
            allowed=f"1 to {allowed - virtual}",
        )


def num_positions(model: str) -> int | None:
    """The longest row that the checkpoint takes, special tokens included; None: any length.

    Raises UserError where the name leads to no config.

    >>> num_positions("minilm"), num_positions("FacebookAI/roberta-base")
    (512, 512)
    >>> num_positions("microsoft/deberta-v3-base") is None
    True
    """
    config: Any = (
        SimpleNamespace(**builtin_config(model)) if model in BUILTIN else load_config(model)
    )
    positions = getattr(config, "max_position_embeddings", None)
    if positions is None or positions < 1:
        return None
    if not getattr(config, "position_biased_input", True):
        return None  # DeBERTa's way: the distance of two tokens alone counts, and has no end
    return int(positions) - family_of(config.model_type).first_position(config)
