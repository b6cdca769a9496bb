"""The dropout modules of a model, made to draw from the counter-based generator.

A site is a dropout module by its name in the model, the same whether peft wraps the model or not.
Its key in a step follows from (seed, site, step); fused/generator.py says how masks follow from
the key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from peftlab.core.identity import derived_seed
from peftlab.models.fused.dropout import Dropout, DropoutSettings
from peftlab.models.fused.generator import GOLDEN_64, MIX_64_A, MIX_64_B
from peftlab.models.fused.rows import Rows
from peftlab.models.fused.tape import apply

P = ParamSpec("P")
R = TypeVar("R")
Use = tuple[str, int]
"""A use of a site in a batch: the site's name, and the number of its earlier uses."""
PEFT_PREFIX = "base_model.model."
MASK_64 = 2**64 - 1


class CounterDropout:
    """The source of one trial's masks for all dropout modules below `module`.

    Before each batch, `begin` sets the step and the origin of the rows of its tensors: a tensor
    [..., C] has as many rows as the product of its leading sizes.
    """

    def __init__(self, module: nn.Module, seed: int) -> None:
        self._sites: dict[nn.Module, str] = {
            child: name.removeprefix(PEFT_PREFIX) for name, child in module.named_modules()
        }
        self._seed = seed
        self._site_keys: dict[str, int] = {}
        self._uses: dict[str, int] = {}
        self._key_of: Callable[[Use], int] = partial(self._drawn, step=0)
        self._noted: list[Use] | None = None
        self._rows: Mapping[int, Rows] = {}

    def begin(self, step: int, rows: Mapping[int, Rows]) -> None:
        """Begin the next batch, which belongs to this step; `rows` holds rows by their number."""
        self.begin_given(partial(self._drawn, step=step), rows)

    def begin_given(self, key_of: Callable[[Use], int], rows: Mapping[int, Rows]) -> None:
        """Begin the next batch, in which each use of a site has the key that `key_of` gives it."""
        self._key_of = key_of
        self._rows = rows
        self._uses.clear()

    @contextmanager
    def noting(self) -> Iterator[list[Use]]:
        """Note the uses of sites within the block, in the order of the calls of `key`."""
        noted: list[Use] = []
        self._noted = noted
        try:
            yield noted
        finally:
            self._noted = None

    def keys_of(self, uses: Sequence[Use], step: int) -> npt.NDArray[np.int64]:
        """Return the keys of these uses in a step, as the int64 values with their bits."""
        site_keys = np.array([self._site_key(site) for site, _ in uses], dtype=np.uint64)
        use_U = np.array([use for _, use in uses], dtype=np.uint64)
        once_U = _mixed(site_keys + np.uint64(GOLDEN_64 * (step + 1) & MASK_64))
        keys_U: npt.NDArray[np.uint64] = np.where(use_U > 0, _mixed(once_U + use_U), once_U)
        return keys_U.view(np.int64)

    def site_of(self, module: nn.Module) -> str:
        """Return the site of a module, which is its name."""
        return self._sites[module]

    def key(self, site: str) -> int:
        """Return the 64-bit generator key of a site in the current step; call once per use.

        A module that is used again in the same batch (as in ALBERT, whose layers are shared) gets
        another key.
        """
        use = self._uses.get(site, 0)
        self._uses[site] = use + 1
        if self._noted is not None:
            self._noted.append((site, use))
        return self._key_of((site, use))

    def _drawn(self, use: Use, step: int) -> int:
        """Return the key of a use of a site in a step."""
        site, number = use
        key: int = _mixed(self._site_key(site) + GOLDEN_64 * (step + 1))
        return int(_mixed(key + number)) if number else key

    def _site_key(self, site: str) -> int:
        if site not in self._site_keys:
            self._site_keys[site] = derived_seed(self._seed, "site", site)
        return self._site_keys[site]

    def repeatable(self, run: Callable[P, R]) -> Callable[P, R]:
        """Return the function with the same masks in every call within the same batch."""
        uses = dict(self._uses)

        def repeated(*args: P.args, **kwargs: P.kwargs) -> R:
            self._uses = dict(uses)
            return run(*args, **kwargs)

        return repeated

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Make every nn.Dropout draw from here within the block."""
        modules = [child for child in self._sites if type(child) is nn.Dropout]
        for module in modules:
            module.forward = self._forward_of(module)  # type: ignore[method-assign, assignment]
        try:
            yield
        finally:
            for module in modules:
                del module.forward

    def _forward_of(self, module: nn.Dropout) -> Callable[[Tensor], Tensor]:
        site = self._sites[module]

        def forward(input: Tensor) -> Tensor:
            if not module.training or module.p == 0:
                return input
            if module.p == 1:
                return torch.zeros_like(input)
            flat_RC = input.reshape(-1, input.shape[-1])
            rows = self._rows.get(len(flat_RC)) or _unnamed_rows(input)
            settings = DropoutSettings(rows=rows, key=self.key(site), probability=module.p)
            return apply(Dropout, settings, flat_RC).view(input.shape)

        return forward


def _unnamed_rows(x: Tensor) -> Rows:
    """Return rows for a tensor of any other shape: its first index, and the place in the rest."""
    num_rows = x.numel() // x.shape[-1]
    row_R = torch.arange(num_rows, device=x.device)
    per_example = max(1, num_rows // x.shape[0])
    return Rows(example_R=row_R // per_example, position_R=row_R % per_example)


def _mixed(z: Any) -> Any:
    """Return SplitMix64's finalizer of a Python integer, or of each element of a uint64 array."""
    z = z & MASK_64
    z = ((z ^ (z >> 30)) * MIX_64_A) & MASK_64
    z = ((z ^ (z >> 27)) * MIX_64_B) & MASK_64
    return z ^ (z >> 31)
