"""The cell of a trial: what all runs of one arm on one task share, whatever their seeds."""

from __future__ import annotations

from peftlab.core.identity import members_id
from peftlab.core.types import Trial


def cell_of(trial: Trial) -> str:
    """12 hexadecimal digits: the hash of what the trial's id depends on, but for its seeds.

    Seeds that are fixed for a whole study are left out as well.
    """
    return members_id(trial.unseeded)
