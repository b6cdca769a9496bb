"""How many tokens of a recorded step of a group are real: two ways of filling steps up.

    python -m benchmarks.group_fill --data path/to/glue

Batches of 16 rows are drawn with MiniLM's tokens, 2,000 times for each group. "each" fills all
members of a step up to the same multiple of 64 tokens (engine/recorded_group.py), "sum" fills up
the sum of all to a multiple of 256. Nothing is trained.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from peftlab.core.training import TrainingSettings
from peftlab.core.trial import Seeds, Trial
from peftlab.data.glue_folder import GlueFolder
from peftlab.engine.dataset import load_data
from peftlab.methods.registry import METHODS
from peftlab.models.checkpoints import load_tokenizer
from peftlab.models.fused.static_batch import BUCKET
from peftlab.models.location import locate
from peftlab.tasks.registry import TASKS

TASK_NAMES = ("sst2", "cola", "mrpc")
MEMBERS = (8, 32)
BATCH, STEPS, OF_SUM = 16, 2_000, 256


def main() -> None:
    """Print the mean tokens of a batch, and the share of real tokens by group and way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="a GLUE folder")
    given = parser.parse_args()
    for name in TASK_NAMES:
        lengths = lengths_of(name, Path(given.data))
        for members in MEMBERS:
            drawn = np.random.default_rng(0).choice(lengths, (STEPS, members, BATCH))
            tokens = drawn.sum(axis=2)
            most = -(-tokens.max(axis=1) // BUCKET) * BUCKET
            whole = -(-tokens.sum(axis=1) // OF_SUM) * OF_SUM
            print(
                f"{name}: {members} members, {tokens.mean():.0f} tokens a batch, real "
                f"{(tokens.sum(axis=1) / (members * most)).mean():.2f} by each, "
                f"{(tokens.sum(axis=1) / whole).mean():.2f} by sum, {len(set(most))} programs"
            )


def lengths_of(name: str, folder: Path) -> npt.NDArray[np.int64]:
    """Return the tokens of each training row of a GLUE task."""
    model, task = locate("minilm"), TASKS.get(name)
    trial = Trial(
        task=name,
        data=GlueFolder(folder).ref(task),
        model=model,
        method="lora",
        method_config=METHODS.get("lora").resolve({}),
        training=TrainingSettings(learning_rate=1e-4),
        seed=0,
        seeds=Seeds.of(0),
    )
    with tempfile.TemporaryDirectory() as cache:
        return load_data(trial, load_tokenizer(model.name), Path(cache)).train.lengths


if __name__ == "__main__":
    main()
