"""All results of a workspace as one pandas frame, remembered as a look at them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from peftlab.store.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd


def load_results(workspace: Path | str, study: str | None = None) -> pd.DataFrame:
    """The frame of store/frame.py: one row a trial, in plan order; a score, a cost is a column.

    Raises UserError where there is no such workspace or study.
    """
    from peftlab.store import frame
    from peftlab.study.looking import remember_records

    found = frame.load_results(workspace, study)
    with Workspace.open(Path(workspace), create=False) as opened:
        remember_records(opened, opened.trials(study), study)
    return found
