"""A trained trial as a folder that peft or transformers load without this package."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from peftlab.core.errors import StorageError, UserError
from peftlab.core.files import whole_folder
from peftlab.engine.prepare import base_model as base_of
from peftlab.engine.prepare import with_checkpoint
from peftlab.methods.base import Method
from peftlab.methods.peft_method import ADAPTER_FILES
from peftlab.methods.quantize import is_quantized
from peftlab.methods.registry import METHODS
from peftlab.models.checkpoints import save_tokenizer, without_load_report
from peftlab.models.location import source_of
from peftlab.outputs.model_card import CARD, model_card
from peftlab.store.records import TrialRecord
from peftlab.tasks.registry import task_of

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig, PreTrainedModel

ExportKind = Literal["peft", "transformers"]

PROBE_LENGTHS = (12, 9)
"""The lengths of the rows on which a merged model is compared with the trained one."""
MERGED_ALIKE = 1e-3
"""The largest distance of its logits from the trained model's, relative to the largest: rounding,
which
grows with the layers, and far below what another model would give."""


@dataclass(frozen=True, kw_only=True)
class Export:
    """A folder that was written: an adapter for peft, or a whole model for transformers.

    `base` is what an adapter says that it must be put on, "" for a whole model; `is_local` says of
    it that it is a folder of this machine, which nobody else has. `url` is that of the repository
    to which it was uploaded.
    """

    folder: Path
    kind: ExportKind
    base: str
    is_local: bool
    files: tuple[str, ...]
    url: str | None = None


def export(
    record: TrialRecord,
    output: Path,
    *,
    merge: bool = False,
    base_model: str | None = None,
    public: bool = False,
    places: Sequence[str] = (),
) -> Export:
    """Write the trial with its tokenizer and a model card into a new or an empty folder.

    A PEFT adapter stays one unless `merge` has it folded into its base; what another method has
    trained is written as a whole transformers model. `base_model` names the checkpoint where
    others have it under another name, `places` are folders in which it may lie by now. The folder
    is there at the end, whole, or not at all. Raises UserError where the trial has no saved model,
    its checkpoint is gone, the method cannot be merged, the folder is not empty, and for an adapter
    that is to be `public` whose base only this machine has.
    """
    trial, model_path = record.trial, record.model_path
    if model_path is None:
        raise UserError(f"the trial {trial.id} has no saved model: it is {record.status}")
    record = with_checkpoint(record, places)
    trial = record.trial
    hub_id = trial.model.name if trial.model.fingerprint.startswith("hub:") else None
    known_as = base_model or hub_id
    kind: ExportKind = "transformers"
    base = ""
    if (model_path / ADAPTER_FILES[0]).is_file() and not merge:
        kind, base = "peft", known_as or source_of(trial.model.name)
        if public and known_as is None:
            raise UserError(
                f"the adapter's base is {base}, which only this machine has",
                where="--push",
                remedy="--merge, or --base-model ID of the same checkpoint on the Hub",
            )
    with _new_folder(output) as folder:
        if kind == "peft":
            config = _write_adapter(record, model_path, folder, base)
        else:
            config = _write_model(record, model_path, folder)
        record.require_own_model()  # once it is known to be whole
        save_tokenizer(trial.model.name, folder, max_length=trial.max_length)
        card = model_card(record, kind=kind, base=known_as, pad_token_id=config.pad_token_id)
        (folder / CARD).write_text(card, encoding="utf-8")
        files = tuple(sorted(str(path.relative_to(folder)) for path in folder.rglob("*")))
    is_local = kind == "peft" and known_as is None
    return Export(folder=output, kind=kind, base=base, is_local=is_local, files=files)


def _write_adapter(
    record: TrialRecord, model_path: Path, folder: Path, base: str
) -> PretrainedConfig:
    """Write the adapter's own files, bit for bit, with the base to be loaded under them."""
    trial = record.trial
    model = base_of(trial)
    METHODS.get(trial.method).load(model, model_path)  # which refuses what is damaged
    for name in ADAPTER_FILES:
        shutil.copyfile(model_path / name, folder / name)
    path = folder / ADAPTER_FILES[0]
    config = json.loads(path.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = base
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return model.config


def _write_model(record: TrialRecord, model_path: Path, folder: Path) -> PretrainedConfig:
    """Write the whole model, with label names, as safetensors; return its config."""
    trial = record.trial
    task, method = task_of(trial), METHODS.get(trial.method)
    model = base_of(trial)
    merged = merged_alike(method, method.load(model, model_path))
    merged.config.problem_type = task.problem_type
    if task.labels:
        merged.config.id2label = dict(enumerate(task.labels))
        merged.config.label2id = {label: number for number, label in enumerate(task.labels)}
    with without_load_report():
        merged.save_pretrained(folder)
    return merged.config


def merged_alike(method: Method, module: nn.Module) -> PreTrainedModel:
    """Return the model of the checkpoint's architecture; raise UserError if its logits differ.

    Each method of peft defines which settings it can fold; a few tokens test whether it did.
    """
    if not method.can_merge or is_quantized(module):
        return method.merged(module)  # which says why it is not
    before = _probe(module)
    merged = method.merged(module)
    after = _probe(merged)
    tolerance = MERGED_ALIKE * max(1.0, float(np.abs(before).max()))
    if not np.allclose(before, after, rtol=0, atol=tolerance, equal_nan=True):
        raise UserError(
            f"{method.name} cannot be merged into this model: its logits would change by "
            f"{np.abs(after - before).max():.2g}",
            remedy="export without --merge",
        )
    return merged


def _probe(module: nn.Module) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Return the logits of rows of a few tokens, each computed by itself."""
    import torch

    generator = torch.Generator().manual_seed(0)
    embedding = module.get_input_embeddings()  # type: ignore[operator]
    num_tokens = next(embedding.parameters()).shape[0]
    found = []
    with torch.inference_mode():
        for length in PROBE_LENGTHS:
            ids = torch.randint(num_tokens, (1, length), generator=generator)
            mask = torch.ones_like(ids)
            found.append(module(input_ids=ids, attention_mask=mask).logits.float().numpy())
    return np.concatenate(found)


@contextmanager
def _new_folder(output: Path) -> Iterator[Path]:
    """Yield a folder that becomes the output, which must be new or empty."""
    where = str(output)
    allowed = "a folder that is new or empty, by --output"
    try:
        target = output.expanduser().absolute()
        if target.exists() and not (target.is_dir() and not any(target.iterdir())):
            what = "the folder is not empty" if target.is_dir() else "this is a file"
            raise UserError(what, where=where, allowed=allowed)
        with whole_folder(target) as folder:
            yield folder
    except (OSError, RuntimeError) as error:  # a name that is too long, an unknown user
        raise UserError(f"cannot write: {error}", where=where, allowed=allowed) from error
    except StorageError as error:
        cause = error.__cause__
        reason = getattr(cause, "strerror", None) or str(cause)
        raise UserError(f"cannot write: {reason}", where=where, allowed=allowed) from error
