"""Every method on one model of each form of block: it trains, is saved, loads, merges, exports.

The properties that tests/methods/test_conformance.py checks on BERT in detail are checked here on
models that differ from it: heads of two layers, norms first, causal blocks without biases,
transposed weights, one projection for queries, keys and values.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from peftlab.core.errors import UserError
from peftlab.data.encode import Encoded
from peftlab.engine.classifier import build_classifier
from peftlab.engine.evaluate import predict_logits
from peftlab.methods.base import Method
from peftlab.methods.peft_method import PeftMethod, expected_warnings
from peftlab.methods.registry import METHODS
from peftlab.models.checkpoints import without_load_report
from tests.methods.conformance_model import (
    LABELS,
    encoded,
    logits_row_by_row,
    padded_batch,
    tiny_bert,
)

CPU = torch.device("cpu")
ROUNDING = 2e-5
"""The tolerance of logits, relative to the largest, for sums in another order: by rows, packed,
padded or merged."""

OF_LINEAR_LAYERS_ONLY = frozenset(
    {"loha", "lokr", "oft", "boft", "hra", "psoft", "road", "c3a", "miss", "shira", "supertuning"}
    | {"beft", "delora", "glora", "lily", "peanut", "adamss"}
)
"""The methods that peft has for torch's linear layers but not for GPT-2's transposed ones."""
NO_BIAS_AND_NO_LAST_NORM = frozenset({"bitfit", "bitfit-frozen-head", "pfeiffer"})

UNFIT: dict[str, frozenset[str]] = {
    "roberta": frozenset(),
    "llama": NO_BIAS_AND_NO_LAST_NORM,
    "gpt2": OF_LINEAR_LAYERS_ONLY | {"olora", "pfeiffer"},
    "modernbert": NO_BIAS_AND_NO_LAST_NORM | {"ia3", "prefix", "cartridge"},
}
"""One model of each form except BERT's, and the methods that say that they do not fit it.

RoBERTa has BERT's blocks and a head of two layers; the others have their norms first: causal blocks
without biases whose heads share keys, transposed weights, and one projection for the three.
"""

NO_VALUE_BIAS = frozenset({"llama", "modernbert"})

CASES = [(form, name) for form in UNFIT for name in METHODS.names()]


def trained(form: str, method: Method) -> tuple[PreTrainedModel, nn.Module]:
    """Return a model of this form after two steps of the method."""
    base = tiny_bert(model_type=form)
    module = method.apply(base, method.resolve({}), seed=1).train()
    method.begin_training(module, 3)
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=0.02, weight_decay=0)
    for step in (1, 2):
        cross_entropy(module(**padded_batch()).logits, LABELS).backward()
        optimizer.step()
        method.after_step(module, step)
        optimizer.zero_grad()
    return base, module.eval()


def predicted(engine: str, module: nn.Module, base: PreTrainedModel, method: Method) -> Tensor:
    """Return the engine's logits for all rows at once."""
    classifier = build_classifier(engine, module, base, CPU, method=method)
    with classifier.active():
        return torch.from_numpy(predict_logits(classifier, encoded(), batch_size=8))


def predicted_one_by_one(
    engine: str, module: nn.Module, base: PreTrainedModel, method: Method
) -> Tensor:
    """Return the engine's logits for each row by itself."""
    every = encoded()
    classifier = build_classifier(engine, module, base, CPU, method=method)
    found = []
    with classifier.active():
        for row in range(len(every)):
            span = slice(int(every.offsets[row]), int(every.offsets[row + 1]))
            alone = Encoded(
                ids=every.ids[span],
                type_ids=None,
                offsets=np.array([0, span.stop - span.start]),
                labels=every.labels[row : row + 1],
                row_ids=every.row_ids[row : row + 1],
            )
            found.append(predict_logits(classifier, alone, batch_size=8))
    return torch.from_numpy(np.concatenate(found))


def assert_close(found: Tensor, expected: Tensor) -> None:
    tolerance = ROUNDING * max(1.0, float(expected.abs().max()))
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize(("form", "name"), CASES)
def test_a_method_trains_predicts_row_by_row_alike_is_saved_loaded_merged_and_exported(
    form: str, name: str, tmp_path: Path
) -> None:
    method = METHODS.get(name)
    if name in UNFIT[form]:
        with pytest.raises(UserError) as caught:
            method.apply(tiny_bert(model_type=form), method.resolve({}), seed=1)
        assert "\n" not in str(caught.value)
        return
    base, module = trained(form, method)
    expected = logits_row_by_row(module)
    assert float((expected - logits_row_by_row(tiny_bert(model_type=form))).abs().max()) > 1e-3
    for engine in ("padded", "packed"):
        assert_close(predicted(engine, module, base, method), expected)
        assert_close(predicted_one_by_one(engine, module, base, method), expected)

    method.save(module, tmp_path / "saved")
    loaded = method.load(tiny_bert(model_type=form), tmp_path / "saved")
    assert torch.equal(logits_row_by_row(loaded), expected)
    if isinstance(method, PeftMethod):
        assert torch.equal(loaded_by_peft(form, tmp_path / "saved"), expected)
    if not method.can_merge or (method.merges_if is not None and form in NO_VALUE_BIAS):
        with pytest.raises(UserError, match=f"^{name} cannot be merged into") as caught:
            method.merged(loaded)
        assert "\n" not in str(caught.value)
        return
    merged = method.merged(loaded)
    logits = logits_row_by_row(merged)
    assert_close(logits, expected)
    assert merged.state_dict().keys() == tiny_bert(model_type=form).state_dict().keys()
    with without_load_report():
        merged.save_pretrained(tmp_path / "whole")
        again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "whole")
    assert torch.equal(logits_row_by_row(again), logits)


def loaded_by_peft(form: str, folder: Path) -> Tensor:
    from peft import PeftModel

    with expected_warnings():
        return logits_row_by_row(PeftModel.from_pretrained(tiny_bert(model_type=form), str(folder)))
