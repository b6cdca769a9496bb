"""The outputs of the frozen layers below everything trained, computed once and shared by trials.

The result differs from that of usual training: these layers run in eval mode, without the dropout
that they have in training, so that their output for an example is the same in every epoch. The
layers above them train as always, with the same dropout masks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from peftlab.core.trial import Trial
from peftlab.data.batches import Indices, gather
from peftlab.data.encode import Encoded
from peftlab.data.states import EncodedWithStates, FrozenLayers, States, with_states
from peftlab.engine.classifier import Classifier
from peftlab.engine.dataset import TrialData
from peftlab.models.fused.backends import kernels_in_words
from peftlab.models.fused.blocks import num_frozen_blocks
from peftlab.models.fused_model import FusedModel


@dataclass(frozen=True, kw_only=True)
class CachedLayers:
    """A trial's data with the states of the cached layers, and the words about them for its costs.

    If nothing can be cached, `num_layers` is 0, the data are unchanged and `words` says why.
    """

    data: TrialData
    num_layers: int
    words: str
    seconds: float = 0.0


def cache_frozen_layers(
    classifier: Classifier, trial: Trial, data: TrialData, cache: Path
) -> CachedLayers:
    """Return the data with the outputs of the classifier's frozen lower layers for each split.

    They are read from `cache` if another trial with the same checkpoint, rows and depth has left
    them there.
    """
    model = classifier.model
    if not isinstance(model, FusedModel):
        return CachedLayers(data=data, num_layers=0, words="no fused blocks whose outputs to cache")
    base, blocks = model.base, model.encoder.blocks
    depth = num_frozen_blocks(base)
    if depth == 0:
        return CachedLayers(data=data, num_layers=0, words="nothing frozen to cache")
    began = perf_counter()
    frozen = FrozenLayers(
        model=trial.model.fingerprint,
        depth=depth,
        width=int(base.config.hidden_size),
        is_pooled=depth == len(blocks),
        computed=_computed(model),
    )
    with model.active():

        def computed(split: Encoded) -> EncodedWithStates:
            def compute(rows: Indices) -> States:
                with model.rounding():
                    states = model.states(gather(split, rows), depth=depth)
                return states.float().cpu().numpy()

            return with_states(split, frozen, compute, cache=cache)

        cached = TrialData(
            task=data.task,
            train=computed(data.train),
            dev=computed(data.dev),
            held_out=None if data.held_out is None else computed(data.held_out),
            further={name: computed(rows) for name, rows in data.further.items()},
        )
    return CachedLayers(
        data=cached,
        num_layers=depth,
        words=f"eval-mode prefix of {depth} layer{'s' if depth > 1 else ''}",
        seconds=perf_counter() - began,
    )


def _computed(model: FusedModel) -> str:
    """Return the words for how the model computes."""
    with model.rounding():
        words = f"{model.device.type}, {kernels_in_words(*model.base.parameters())}"
    return f"{words}, bf16" if model.bf16 else words
