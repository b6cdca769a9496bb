"""What a trial needs before it can train: its data, and the model under its method."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedModel

from peftlab.core.errors import UserError
from peftlab.core.identity import derived_seed
from peftlab.core.measurements import ParameterCount
from peftlab.core.trial import Trial
from peftlab.data.encode import Encoded
from peftlab.engine.base_model import base_model
from peftlab.engine.dataset import TrialData, load_data
from peftlab.methods.base import Method
from peftlab.methods.head import head_parameter_names
from peftlab.methods.parameters import count_module
from peftlab.methods.registry import METHODS
from peftlab.models.checkpoints import load_tokenizer
from peftlab.models.families import family_of, takes_token_types
from peftlab.models.tokenizer import HubTokenizer


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A trial's parts; `module` is `base` with the method on it, on its device."""

    tokenizer: HubTokenizer
    data: TrialData
    base: PreTrainedModel
    method: Method
    module: nn.Module
    parameters: ParameterCount


def prepare(trial: Trial, *, cache: Path, device: torch.device) -> Prepared:
    """Read what the trial names. Raises UserError for data or checkpoints that are not there."""
    tokenizer = load_tokenizer(trial.model.name)
    data = load_data(trial, tokenizer, cache)
    base = base_model(trial)
    base.config.problem_type = data.task.problem_type
    for rows in data.every:
        check_ids(rows, base, where=trial.model.name)
    own = frozenset(name for name, _ in base.named_parameters())
    head = frozenset(head_parameter_names(base))
    method = METHODS.get(trial.method)
    seed = derived_seed(trial.seeds.init, "adapter")
    module = method.apply(base, trial.method_config, seed=seed).to(device)
    return Prepared(
        tokenizer=tokenizer,
        data=data,
        base=base,
        method=method,
        module=module,
        parameters=count_module(module, own=own, head=head),
    )


def check_ids(data: Encoded, base: PreTrainedModel, *, where: str) -> None:
    """UserError where the tokenizer gives ids, or types, for which the model has no embedding."""
    num_tokens = next(base.get_input_embeddings().parameters()).shape[0]
    type_ids = data.type_ids if takes_token_types(base) else None
    num_types = getattr(base.config, "type_vocab_size", None)
    if family_of(base.config.model_type).types_as_words:
        num_types = num_tokens
    if any(
        name.endswith("token_type_embeddings.weight") and not table.numel()
        for name, table in base.named_parameters()
    ):
        raise UserError(
            "the model looks every token's type up in a table that has no rows (type_vocab_size 0)",
            where=where,
            allowed="a checkpoint with at least one token type",
        )
    for values, kind, most in (
        (data.ids, "tokens", num_tokens),
        (type_ids, "token types", num_types),
    ):
        if values is not None and most is not None and values.size:
            least, largest = int(values.min()), int(values.max())
            if least < 0 or largest >= most:
                raise UserError(
                    f"the tokenizer gives ids of {kind} up to {largest}, the model has {most}",
                    where=where,
                    allowed="a tokenizer that belongs to the model",
                )


def choose_device(name: str) -> torch.device:
    """The device of that name; "auto" is the GPU where torch sees one, else the CPU."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # of "meta" there is no value to be had
    except (RuntimeError, AssertionError, TypeError) as error:
        raise UserError(
            f"no device '{name}' here", where="--device", allowed=", ".join(_devices())
        ) from error
    return device


def _devices() -> list[str]:
    """The devices of this machine by name."""
    if not torch.cuda.is_available():
        return ["auto", "cpu"]
    return ["auto", "cpu", "cuda", *(f"cuda:{k}" for k in range(torch.cuda.device_count()))]
