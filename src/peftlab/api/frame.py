"""All results of a workspace as one pandas frame, remembered as a look at them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from peftlab.store.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

    from peftlab.store.reader import Result


def load_results(workspace: Path | str, study: str | None = None) -> pd.DataFrame:
    """Return the frame of store/frame.py: one row a trial, in plan order; a score, a cost is a
    column.

    Raises UserError where there is no such workspace or study.
    """
    from peftlab.store.frame import frame_of
    from peftlab.study.declarations import placed_result
    from peftlab.study.remembered_looks import Seen

    seen = Seen(study)

    def noted(results: Iterable[Result]) -> Iterator[Result]:
        for result in results:
            yield result
            seen.note(result.arms, partial(placed_result, result))

    with Workspace.open(Path(workspace), create=False) as opened:
        found = frame_of(noted(opened.results(study)), study, where=opened.where)
        seen.remember(opened)
    return found
