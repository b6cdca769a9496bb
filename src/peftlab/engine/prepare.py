"""The preparation of a trial for training: its data, and the model under its method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn
from transformers import PreTrainedModel

from peftlab.core.errors import UserError
from peftlab.core.identity import derived_seed
from peftlab.core.measurements import ParameterCount
from peftlab.core.trial import Trial
from peftlab.data.encode import Encoded
from peftlab.engine.dataset import TrialData, load_data
from peftlab.engine.devices.base import Device
from peftlab.methods.base import Method
from peftlab.methods.parameters import count_module
from peftlab.methods.quantize import is_quantized
from peftlab.methods.registry import METHODS
from peftlab.models.checkpoints import load_model, load_tokenizer
from peftlab.models.families import family_of, takes_token_types
from peftlab.models.head import head_parameter_names
from peftlab.models.location import find_checkpoint
from peftlab.models.tokenizer import HubTokenizer
from peftlab.store.records import TrialRecord
from peftlab.tasks.registry import task_of


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """The parts of a trial; `module` is `base` under the method, on its device."""

    tokenizer: HubTokenizer
    data: TrialData
    base: PreTrainedModel
    method: Method
    module: nn.Module
    parameters: ParameterCount


def prepare(trial: Trial, *, cache: Path, device: Device) -> Prepared:
    """Return the trial's parts, with its data read and its model built.

    Raises UserError if the data or the checkpoint are missing, or the device cannot hold the
    weights.
    """
    tokenizer = load_tokenizer(trial.model.name)
    data = load_data(trial, tokenizer, cache)
    base = base_model(trial)
    base.config.problem_type = data.task.problem_type
    for rows in data.every:
        check_ids(rows, base, where=trial.model.name)
    seed = derived_seed(trial.seeds.init, "adapter")
    module, parameters = with_method(base, trial, seed=seed, device=device)
    return Prepared(
        tokenizer=tokenizer,
        data=data,
        base=base,
        method=METHODS.get(trial.method),
        module=module,
        parameters=parameters,
    )


def base_model(trial: Trial) -> PreTrainedModel:
    """Return the trial's checkpoint with the head that the trial begins with.

    A fresh head is drawn from the trial's own seed, since a method need not save the whole head.
    Raises UserError if the checkpoint cannot be loaded, or if its head is to be kept and it has
    none.
    """
    task = task_of(trial)
    return load_model(
        trial.model.name,
        num_labels=task.num_labels,
        seed=derived_seed(trial.seeds.init, "head"),
        keep=task.labels if trial.head == "keep" else None,
    )


def with_checkpoint(record: TrialRecord, folders: Sequence[str] = ()) -> TrialRecord:
    """Return the record with its checkpoint's present location as its name (models/location.py).

    Raises UserError if the checkpoint cannot be found.
    """
    found = find_checkpoint(record.trial.model, folders)
    if found.name == record.trial.model.name:
        return record
    return replace(record, trial=record.trial.model_copy(update={"model": found}))


def with_method(
    base: PreTrainedModel, trial: Trial, *, seed: int, device: Device
) -> tuple[nn.Module, ParameterCount]:
    """Return the model under the trial's method, on the device, and the count of its parameters.

    Raises UserError if the device cannot hold the weights.
    """
    own = frozenset(name for name, _ in base.named_parameters())
    head = frozenset(head_parameter_names(base))
    applied = METHODS.get(trial.method).apply(base, trial.method_config, seed=seed)
    module = placed(applied, base, device)
    return module, count_module(module, own=own, head=head)


def placed(module: nn.Module, base: PreTrainedModel, device: Device) -> nn.Module:
    """Return the module on the device; raise UserError if that cannot hold its weights."""
    if is_quantized(base) and not device.holds_4bit:
        raise UserError(
            f"quantization = 4bit needs an NVIDIA card, and this is to run on '{device.name}'",
            where="--device",
            remedy="--device cuda on a machine with such a card, or quantization: null",
        )
    return module.to(device.torch)


def check_ids(data: Encoded, base: PreTrainedModel, *, where: str) -> None:
    """Raise UserError if the model has no embedding for a token id or type of the tokenizer."""
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
            "the model has an empty token-type table (type_vocab_size 0)",
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
