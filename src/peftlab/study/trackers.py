"""The names that `track` may hold: those of accelerate's trackers."""

from __future__ import annotations

from collections.abc import Sequence

from peftlab.core.errors import UnknownNameError, UserError


def require_trackers(names: Sequence[str], *, where: str) -> None:
    """Raise UserError for a tracker that accelerate does not know, or whose package is not here.

    accelerate is asked, and imported, only if there are names.
    """
    if not names:
        return
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers
    from accelerate.utils import LoggerType

    here = [str(tracker) for tracker in get_available_trackers()]
    for name in names:
        if name not in LOGGER_TYPE_TO_CLASS:
            raise UnknownNameError("tracker", name, LOGGER_TYPE_TO_CLASS, where=where)
        # A class that somebody has registered with accelerate needs no package that it knows of.
        if name in LoggerType.list() and name not in here:
            installed = ", ".join(here) or "none"
            raise UserError(
                f"the tracker {name} needs a package that is not installed",
                where=where,
                allowed=f"pip install {name}, or 'peftlab[track]' for tensorboard and mlflow; "
                f"installed: {installed}",
            )
