"""The folds of k-fold cross-validation: each part of train is scored by a model of all others.

The parts follow from the rows and their digest alone, so that they are the same for all arms, seeds
and checkpoints of a study. They have as many rows of each stratum (data/held_out.py) as one
another, to the nearest row. Rows with the same texts, but for capitals and blanks (data/leaks.py),
are in one part: a model would else be scored on rows that it was trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from peftlab.core.errors import UserError
from peftlab.core.identity import content_id, derived_seed
from peftlab.core.inputs import Example
from peftlab.data.cache import write_entry
from peftlab.data.encode import labels_of
from peftlab.data.held_out import strata
from peftlab.data.leaks import as_read
from peftlab.tasks.problem import problem_type_of

Folds = npt.NDArray[np.int16]
"""The part of each row, counted from 1, int16 [N]."""
DEALT = "dealt-1"
"""A part of the name of an assignment on disk: another way to deal takes another name."""


def folds_of(rows: Sequence[Example], num_folds: int, *, digest: str) -> Folds:
    """Return the part of each row, int16 [N], from 1 to `num_folds`.

    Groups of rows with the same texts are dealt one after another, the larger ones first, and
    within a size in an order that is drawn by the digest: each goes to the part that has the fewest
    rows of its stratum, of several the one with the fewest rows. Time grows with rows times folds.
    """
    groups: dict[tuple[str, ...], list[int]] = {}
    for row, example in enumerate(rows):
        groups.setdefault(as_read(example.texts), []).append(row)
    members = [*groups.values()]
    kinds = strata(labels_of(rows))
    # Only the generator's raw bits are used, which are the same on every machine.
    lots = np.random.Philox(key=derived_seed(0, "folds", digest)).random_raw(len(members))
    of_group = kinds[[group[0] for group in members]]
    sizes = np.array([len(group) for group in members])
    order = np.lexsort((lots, of_group, -sizes))
    in_all = [0] * num_folds
    in_stratum: dict[int, list[int]] = {}
    found = np.empty(len(rows), np.int16)
    for place in order.tolist():
        own = in_stratum.setdefault(int(of_group[place]), [0] * num_folds)
        part = min(range(num_folds), key=lambda one: (own[one], in_all[one], one))
        own[part] += len(members[place])
        in_all[part] += len(members[place])
        found[members[place]] = part + 1
    return found


def require_folds(
    rows: Sequence[Example], num_folds: int, *, labels: Sequence[str], where: str
) -> None:
    """Raise UserError if some part would have no row, or no row of some class.

    Rows with the same texts count once. `labels` are the names of the classes.
    """
    values = labels_of(rows)
    different: dict[int, set[tuple[str, ...]]] = {}
    is_classes = problem_type_of(values) == "single_label_classification"
    for example, value in zip(rows, values, strict=True):
        different.setdefault(int(value) if is_classes else 0, set()).add(as_read(example.texts))
    kind, fewest = min(different.items(), key=lambda one: len(one[1]))
    if len(fewest) >= num_folds:
        return
    of_class = f" of the label '{labels[kind]}'" if is_classes else ""
    raise UserError(
        f"{num_folds} folds need as many different rows{' of each label' if is_classes else ''}: "
        f"there {'is' if len(fewest) == 1 else 'are'} {len(fewest):,}{of_class}",
        where=where,
        allowed=f"2 to {len(fewest)}" if len(fewest) > 1 else "more rows, or no folds",
    )


def folds_cached(
    read: Callable[[], Sequence[Example]], num_folds: int, *, digest: str, key: str, cache: Path
) -> Folds:
    """Return the parts of the rows that `read` gives, kept in `cache` by their `key`."""
    folder = cache / "folds" / content_id([DEALT, key, digest, num_folds], length=32)
    found = _stored(folder)
    if found is None:
        found = folds_of(read(), num_folds, digest=digest)
        write_entry(
            folder,
            lambda aside: np.save(aside / "folds.npy", found, allow_pickle=False),
            is_whole=lambda folder: _stored(folder) is not None,
        )
    return found


def _stored(folder: Path) -> Folds | None:
    try:
        found: Folds = np.load(folder / "folds.npy", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return found if found.ndim == 1 and found.dtype == np.int16 else None
