"""The study of `peftlab choose`: methods that differ in cost, with the learning rates found."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from peftlab.core.safe_yaml import parse_yaml
from peftlab.study.new.draft import Comparison
from peftlab.study.own_data import anchored
from peftlab.study.spec import StudySpec, validate
from peftlab.study.tune_spec import TuneSpec

METHODS: Mapping[str, tuple[str, float]] = MappingProxyType(
    {
        "probe": ("method: head, cache_frozen: true", 1e-2),
        "bitfit": ("method: bitfit", 1e-3),
        "ia3": ("method: ia3", 1e-2),
        "lora": ("method: lora, r: 8, lora_alpha: 16, lora_dropout: 0.0", 1e-3),
        "top-layers": ("method: top-layers, num_layers: 2", 1e-4),
        "full": ("method: full", 2e-5),
    }
)
"""The arms, the cheap ones first: the settings of each, and its learning rate before the search."""
SEED, SEARCH_SEED = 42, 7
"""The first seed of the study, and that of the search: no run of the one is one of the other."""
RUNS = """\
seeds: [{seed}]                     # the first; more are added by the rule
decide: {{margin: {margin:g}, max_seeds: {max_seeds}}}   # until the choice is decided"""
ARMS = """\
arms:                           # {found}
{arms}"""


def comparison(
    rates: Mapping[str, float] = MappingProxyType({}), *, margin: float, max_seeds: int
) -> Comparison:
    """Return the part of the study file that says what is compared, with these learning rates.

    An arm without one keeps the usual rate of its method.
    """
    lines = []
    for name, (settings, usual) in METHODS.items():
        rate = rates.get(name, usual)
        lines.append(f"  {name}: {{{settings}, training: {{learning_rate: {rate!r}}}}}")
    found = "learning rates that were best on rows held out of train" if rates else "usual rates"
    return Comparison(
        runs=RUNS.format(seed=SEED, margin=margin, max_seeds=max_seeds),
        arms=ARMS.format(
            found=found,
            arms="\n".join(lines),
        ),
    )


def spec_in(text: str, path: Path) -> StudySpec:
    """Return the study in the text of a study file at this place, whether it is written or not."""
    raw = anchored(parse_yaml(text, where=path.name), path.absolute().parent)
    return validate(raw, where=path.name)


def to_search(spec: StudySpec) -> StudySpec:
    """Return the study as its learning rates are searched: nothing else is, and with one seed."""
    space = {"num_train_epochs": spec.training["num_train_epochs"]}
    tune = TuneSpec(seeds=(SEARCH_SEED,), pruning="none", space=space)
    return spec.model_copy(update={"tune": tune, "decide": None})
