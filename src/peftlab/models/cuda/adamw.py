"""AdamW with clipping as two Triton kernels, for all parameters at once.

Gradients and both averages lie in flat vectors, where each parameter begins at a multiple of BLOCK;
the parameters themselves stay where they are, and a table on the card has their distances from the
first one. The norm of all gradients is summed by programs that take blocks in a fixed order, and
each program of the update sums what those have found: nothing is added by two programs at once, so
that the bits are the same each time. What changes from step to step (rates, corrections, the
greatest norm) is read from memory of the card, so that what is captured once can be played again.

Legend: P parameters, N blocks, F numbers of a flat vector (N * BLOCK).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import triton.language as tl
from torch import Tensor, nn

from peftlab.models.cuda.jit import Pointer, Value, ceil_power_of_2, kernel, on_device

BLOCK = 1024
"""The numbers that a program updates; the last ones of a parameter's last block are 0."""
MOST_SUMS = 1024
"""The programs at most among which the blocks are divided to be summed."""
AT, COUNT, INDEX = (tl.constexpr(i) for i in range(3))
"""The fields of the table: a block's distance from the first parameter, how many of its numbers
are real, and which parameter it belongs to."""
FIELDS = tl.constexpr(3)
MAX_NORM, FIRST = tl.constexpr(0), tl.constexpr(4)
"""Where the greatest norm stands among a step's numbers, and where those of parameters begin."""
RATE, CORRECTION, ROOT, IS_ACTIVE = (tl.constexpr(i) for i in range(4))
"""A parameter's numbers in a step: its rate, 1 - beta_1**t, sqrt(1 - beta_2**t), and 1 if it has a
gradient, else 0."""
NUMBERS = tl.constexpr(4)


@kernel
def real_gradient(
    gradients: Pointer, table: Pointer, numbers: Pointer, b: Value, BLOCK: tl.constexpr
) -> Value:
    """Return the gradient of a block, 0 where none is, and which of its numbers are real."""
    i = tl.arange(0, BLOCK)
    index = tl.load(table + b * FIELDS + INDEX)
    is_active = tl.load(numbers + FIRST + index * NUMBERS + IS_ACTIVE)
    is_real = i < tl.where(is_active > 0, tl.load(table + b * FIELDS + COUNT), 0)
    return tl.load(gradients + b * BLOCK + i, mask=is_real, other=0.0), is_real


@kernel
def squares_kernel(
    gradients: Pointer,
    table: Pointer,
    numbers: Pointer,
    sums: Pointer,
    num_blocks: int,
    SUMS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """sums[p] = the squares of the gradients of blocks p, p + SUMS, p + 2 SUMS, ..."""
    p = tl.program_id(0)
    total = tl.zeros([BLOCK], tl.float32)
    for b in range(p, num_blocks, SUMS):
        g, _ = real_gradient(gradients, table, numbers, tl.cast(b, tl.int64), BLOCK)
        total += g * g
    tl.store(sums + p, tl.sum(total, 0))


@kernel
def update_kernel(
    parameters: Pointer,
    gradients: Pointer,
    first: Pointer,
    second: Pointer,
    decays: Pointer,
    table: Pointer,
    numbers: Pointer,
    sums: Pointer,
    SUMS: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    CLIPS: tl.constexpr,
    BETA_1: tl.constexpr,
    REST_1: tl.constexpr,
    BETA_2: tl.constexpr,
    REST_2: tl.constexpr,
    EPSILON: tl.constexpr,
) -> None:
    """Take the step of a block; REST is 1 - BETA, WIDTH is SUMS rounded up."""
    b = tl.program_id(0).to(tl.int64)
    i = tl.arange(0, BLOCK)
    g, is_real = real_gradient(gradients, table, numbers, b, BLOCK)
    if CLIPS:
        s = tl.arange(0, WIDTH)
        norm = tl.sqrt(tl.sum(tl.load(sums + s, mask=s < SUMS, other=0.0), 0))
        most = tl.load(numbers + MAX_NORM)
        g = g / tl.where(norm > most, (norm + 1e-6) / most, 1.0)
    index = tl.load(table + b * FIELDS + INDEX)
    own = numbers + FIRST + index * NUMBERS
    rate, correction = tl.load(own + RATE), tl.load(own + CORRECTION)
    root = tl.load(own + ROOT)
    at, flat = parameters + tl.load(table + b * FIELDS + AT) + i, b * BLOCK + i
    x = tl.load(at, mask=is_real, other=0.0)
    x -= rate * tl.load(decays + index) * x
    m = BETA_1 * tl.load(first + flat, mask=is_real, other=0.0) + REST_1 * g
    v = BETA_2 * tl.load(second + flat, mask=is_real, other=0.0) + REST_2 * g * g
    x -= rate / correction * m / (tl.sqrt(v) / root + EPSILON)
    tl.store(at, x, mask=is_real)
    tl.store(first + flat, m, mask=is_real)
    tl.store(second + flat, v, mask=is_real)


class FlatAdamW(torch.optim.Optimizer):
    """torch.optim.AdamW by the kernels, with the clipping of torch.nn.utils.clip_grad_norm_.

    Parameters are float32 on one device. `max_norm` 0 clips nothing. `step` does what torch's does.
    A step that is captured is put together of its parts: `expect` is told once which parameters
    have gradients, `collect` takes them, `advance` gives the numbers of the step, and `update`
    takes it by numbers that lie on the card.
    """

    def __init__(
        self, groups: list[dict[str, Any]], *, lr: float, betas: tuple[float, float], eps: float
    ) -> None:
        super().__init__(groups, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": 0.0})
        self.max_norm = 0.0
        owners = [(p, group) for group in self.param_groups for p in group["params"]]
        self.parameters: list[nn.Parameter] = [parameter for parameter, _ in owners]
        self._groups = [group for _, group in owners]
        device = self.parameters[0].device
        blocks = [-(-parameter.numel() // BLOCK) for parameter in self.parameters]
        self.num_blocks = sum(blocks)
        size = self.num_blocks * BLOCK
        self._gradient_F, self._first_F, self._second_F = torch.zeros(3, size, device=device)
        starts = [BLOCK * start for start in np.cumsum([0, *blocks[:-1]]).tolist()]
        self.gradients = self._views(self._gradient_F, starts)
        """The gradients that were collected, in the order of the parameters."""
        self._steps_P = torch.zeros(len(self.parameters))
        for index, (parameter, first, second) in enumerate(
            zip(
                self.parameters,
                self._views(self._first_F, starts),
                self._views(self._second_F, starts),
                strict=True,
            )
        ):
            self.state[parameter] = {
                "step": self._steps_P[index],
                "exp_avg": first,
                "exp_avg_sq": second,
            }
        self._num_sums = min(MOST_SUMS, self.num_blocks)
        self._sums = torch.zeros(self._num_sums, device=device)
        decays = [float(group["weight_decay"]) for group in self._groups]
        self._decay_P = torch.tensor(decays, device=device)
        self._addresses: list[int] = []
        self._table_NF = torch.empty(0)
        self.is_active_P: npt.NDArray[np.bool_] = np.ones(len(self.parameters), dtype=np.bool_)
        """Which parameters have a gradient. The others are left alone by a step."""

    def _views(self, flat_F: Tensor, starts: Sequence[int]) -> list[Tensor]:
        """Return the part of a flat vector that is each parameter's, in its shape."""
        return [
            flat_F[start : start + parameter.numel()].view(parameter.shape)
            for start, parameter in zip(starts, self.parameters, strict=True)
        ]

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take a step by the gradients of the parameters."""
        gradients = [parameter.grad for parameter in self.parameters]
        self.expect(gradients)
        self.collect(gradients)
        self.update(on_device(torch.from_numpy(self.advance()), self._sums.device))

    def expect(self, gradients: Sequence[Tensor | None]) -> None:
        """Note which parameters have a gradient in the steps to come."""
        self.is_active_P = np.array([gradient is not None for gradient in gradients])

    @torch.no_grad()
    def collect(self, gradients: Sequence[Tensor | None], *, adds: bool = False) -> None:
        """Take these gradients of the parameters, in their order, or add them to those taken."""
        pairs = zip(self.gradients, gradients, strict=True)
        found = [(target, gradient) for target, gradient in pairs if gradient is not None]
        take = torch._foreach_add_ if adds else torch._foreach_copy_
        take([target for target, _ in found], [gradient for _, gradient in found])

    @property
    def num_numbers(self) -> int:
        """The number of values that a step takes from the host."""
        return int(FIRST.value + NUMBERS.value * len(self.parameters))

    def advance(self) -> npt.NDArray[np.float32]:
        """Count one more step of what has gradients; return the numbers by which it is taken."""
        steps_P = self._steps_P.numpy()
        steps_P += self.is_active_P
        beta_1, beta_2 = self.defaults["betas"]
        t_P = np.maximum(steps_P.astype(np.float64), 1)
        numbers = np.zeros(self.num_numbers, dtype=np.float32)
        numbers[MAX_NORM.value] = self.max_norm
        of_parameters = numbers[FIRST.value :].reshape(-1, NUMBERS.value)
        of_parameters[:, RATE.value] = [group["lr"] for group in self._groups]
        of_parameters[:, CORRECTION.value] = 1 - beta_1**t_P
        of_parameters[:, ROOT.value] = np.sqrt(1 - beta_2**t_P)
        of_parameters[:, IS_ACTIVE.value] = self.is_active_P
        return numbers

    def prepare(self) -> None:
        """Compile the kernels by a step in which no parameter has a gradient."""
        numbers = torch.ones(self.num_numbers, device=self._sums.device)
        numbers[FIRST.value + IS_ACTIVE.value :: NUMBERS.value] = 0
        self.update(numbers)

    @torch.no_grad()
    def update(self, numbers: Tensor) -> None:
        """Take the step of these numbers, float32 on the card, by the gradients collected."""
        table_NF = self._table()
        if self.max_norm > 0:
            squares_kernel[(self._num_sums,)](
                self._gradient_F,
                table_NF,
                numbers,
                self._sums,
                self.num_blocks,
                SUMS=self._num_sums,
                BLOCK=BLOCK,
            )
        (beta_1, beta_2), epsilon = self.defaults["betas"], self.defaults["eps"]
        update_kernel[(self.num_blocks,)](
            self.parameters[0].detach(),
            self._gradient_F,
            self._first_F,
            self._second_F,
            self._decay_P,
            table_NF,
            numbers,
            self._sums,
            SUMS=self._num_sums,
            WIDTH=ceil_power_of_2(self._num_sums),
            BLOCK=BLOCK,
            CLIPS=self.max_norm > 0,
            BETA_1=beta_1,
            REST_1=1 - beta_1,
            BETA_2=beta_2,
            REST_2=1 - beta_2,
            EPSILON=epsilon,
        )

    def _table(self) -> Tensor:
        """Return the table of the blocks; it is made again where parameters have moved."""
        addresses = [parameter.data_ptr() for parameter in self.parameters]
        if addresses != self._addresses:
            rows: list[tuple[int, int, int]] = []
            for index, (parameter, address) in enumerate(
                zip(self.parameters, addresses, strict=True)
            ):
                assert parameter.is_contiguous(), "a parameter's numbers lie in a row"
                at, size = (address - addresses[0]) // parameter.element_size(), parameter.numel()
                rows += [
                    (at + start, min(BLOCK, size - start), index) for start in range(0, size, BLOCK)
                ]
            found = torch.tensor(rows, dtype=torch.int64)
            self._table_NF, self._addresses = on_device(found, self._sums.device), addresses
        return self._table_NF
