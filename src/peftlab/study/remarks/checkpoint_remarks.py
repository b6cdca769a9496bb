"""Remarks on a study's checkpoint before anything is trained on it."""

from __future__ import annotations

from functools import lru_cache

from peftlab.models.checkpoints import remarks_on_weights
from peftlab.study.trials import Expanded


def unused_head(expanded: Expanded) -> str:
    """Return a remark on a checkpoint's own head that arms do not use; "" without one."""
    model = expanded.trials[0].model
    fresh = [arm.name for arm in expanded.arms if arm.head == "fresh"]
    if not (model.has_head and fresh):
        return ""
    arms = "" if len(fresh) == len(expanded.arms) else f" by {', '.join(fresh)}"
    return (
        f"the checkpoint '{model.name}' has been a classifier: its head is not used{arms}, a fresh "
        "one is drawn by the seed; 'head: keep' keeps it where its labels are the task's"
    )


def weights_remarks(expanded: Expanded) -> list[str]:
    """Return remarks on oddities in the checkpoint's weights; [] if they are not on this machine.

    Raises UserError where tensors are missing, or of another size than its config says.
    """
    found: list[str] = []
    for keeps_head in sorted({arm.head == "keep" for arm in expanded.arms}):
        found += _remarks(expanded.spec.model, keeps_head)
    return list(dict.fromkeys(found))


@lru_cache
def _remarks(model: str, keeps_head: bool) -> tuple[str, ...]:
    return tuple(remarks_on_weights(model, keeps_head=keeps_head))
