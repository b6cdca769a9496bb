"""The cell of a trial: what all runs of one arm on one task share, whatever their seeds."""

from __future__ import annotations

import json
from functools import lru_cache

from peftlab.core.identity import members_id
from peftlab.core.types import Seeds, Trial


def cell_of(trial: Trial) -> str:
    """12 hexadecimal digits: the hash of what the trial's id depends on, but for its seeds.

    Seeds that are fixed for a whole study are left out as well. Many trials have the same cell,
    which is computed once.
    """
    return cell_of_settings(trial.model_dump_json(exclude={"seed", "seeds"}))


@lru_cache(maxsize=4096)
def cell_of_settings(settings: str) -> str:
    """The cell of the trials that have these settings, as JSON without seeds."""
    return members_id(unseeded_trial(settings).unseeded)


@lru_cache(maxsize=4096)
def unseeded_trial(settings: str) -> Trial:
    """A trial of these settings, as JSON, with seeds of no meaning; ValueError for none."""
    return Trial.model_validate(json.loads(settings) | {"seed": 0, "seeds": Seeds.of(0)})
