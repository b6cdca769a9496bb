"""The zip that GLUE's server takes, made by the trials of one arm and one seed of a study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from peftlab.api.trial import new_predictor
from peftlab.core.errors import UnknownNameError, UserError
from peftlab.core.files import DEFAULT_WORKSPACE
from peftlab.store.workspace import Workspace
from peftlab.study.train_sizes import largest_sizes

if TYPE_CHECKING:
    from peftlab.outputs.submit import Submission
    from peftlab.store.records import TrialRecord


def submit(
    study: str,
    arm: str,
    output: Path | str,
    *,
    seed: int | None = None,
    workspace: Path | str = DEFAULT_WORKSPACE,
    device: str = "auto",
    places: Sequence[str] = (),
) -> Submission:
    """Write predictions on the test rows of GLUE's tasks as its server takes them.

    All of them are by the trials of one arm of the study, which is given by its name, and of one
    seed: the first where none is given, never the best on dev. Checkpoints are looked for in the
    `places` first. Raises UserError for an unknown study, arm or seed, for folds, and where none of
    the trials is of a task of GLUE.
    """
    with Workspace.open(Path(workspace), create=False) as opened:
        found = opened.trials(study)
    chosen = _of_arm(found, study, arm)
    seeds = list(dict.fromkeys(record.trial.seed for record in chosen))
    if seed is not None and seed not in seeds:
        raise UserError(
            f"the arm '{arm}' has no seed {seed}",
            where="--seed",
            allowed=", ".join(map(str, seeds)),
        )
    own = seeds[0] if seed is None else seed
    predictor = new_predictor(device, places)
    from peftlab.outputs import submit as submission

    return submission.submit(
        [record for record in chosen if record.trial.seed == own],
        Path(output),
        seed=own,
        predictor=predictor,
    )


def _of_arm(found: Sequence[TrialRecord], study: str, arm: str) -> list[TrialRecord]:
    """Return the trials of the arm, which have seen all of train, or the most of its sizes."""
    arms = {one for record in found for one in record.arms.get(study, ())}
    if arm not in arms:
        raise UnknownNameError("arm", arm, arms, where=f"{study}: --arm")
    largest = largest_sizes((one.trial.task, one.trial.train_size) for one in found)
    chosen = [
        record
        for record in found
        if arm in record.arms[study] and record.trial.train_size == largest[record.trial.task]
    ]
    if any(record.trial.fold is not None for record in chosen):
        raise UserError(
            f"the trials of '{study}' are folds, each trained on a part of train",
            where=study,
            allowed="a study without folds, whose models have seen all of train",
        )
    return chosen
