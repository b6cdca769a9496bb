"""The registry of engines, each of which is imported only when it is loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from peftlab.core.registry import Registry

if TYPE_CHECKING:
    from peftlab.engine.base import Engine, TrainGroup


@dataclass(frozen=True, kw_only=True)
class EngineEntry:
    """The facts about an engine that are needed before it is loaded.

    `classifier` is the kind of batches (engine/classifier.py) with which logits are computed as the
    engine would compute them; `caches_frozen` says whether it can start from the cached outputs of
    frozen layers, and `rests` whether it can pause a training and resume it. `load_group` loads the
    function by which it trains several trials in one step, if it has one.
    """

    words: str
    load: Callable[[], Engine]
    classifier: Literal["packed", "padded"] = "padded"
    caches_frozen: bool = False
    load_group: Callable[[], TrainGroup] | None = None
    rests: bool = True

    @property
    def pads(self) -> bool:
        """Whether padding is computed, as far as that is known before the model is."""
        return self.classifier == "padded"


def _packed() -> Engine:
    from peftlab.engine.own import OwnEngine

    return OwnEngine("packed")


def _packed_group() -> TrainGroup:
    from peftlab.engine.group import train_group

    return train_group


def _padded() -> Engine:
    from peftlab.engine.own import OwnEngine

    return OwnEngine("padded")


def _trainer() -> Engine:
    from peftlab.engine.trainer import TrainerEngine  # a second of imports

    return TrainerEngine()


ENGINES = Registry[EngineEntry]("engine")
ENGINES.add(
    "packed",
    EngineEntry(
        words="no padding between examples; models that cannot be packed run padded and say so",
        load=_packed,
        classifier="packed",
        caches_frozen=True,
        load_group=_packed_group,
    ),
)
ENGINES.add(
    "padded",
    EngineEntry(
        words="the plain twin of packed: batches padded to their longest example", load=_padded
    ),
)
ENGINES.add(
    "trainer",
    EngineEntry(
        words="transformers.Trainer with peft: the peer that the others are measured against",
        load=_trainer,
        rests=False,
    ),
)
