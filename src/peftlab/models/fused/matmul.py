"""Matrix products of a linear layer: oneDNN's where torch has them, else torch's own.

On processors other than Intel's, oneDNN multiplies the tall matrices of a batch by a layer's
weights a tenth to a quarter faster than MKL, which torch.mm calls (measured for 212 and 856 rows,
384 to 3,072 columns; docs/performance.md). Gradients of weights stay with torch.mm, which is as
good there.
"""

from __future__ import annotations

import torch
from torch import Tensor

from peftlab.models.fused.jit import runs_kernels

HAS_ONEDNN: bool = torch.backends.mkldnn.is_available() and hasattr(
    torch.ops.mkldnn, "_linear_pointwise"
)


def linear(x_RD: Tensor, weight_WD: Tensor, bias_W: Tensor | None) -> Tensor:
    """x @ weight.T + bias [R, W]; not differentiated."""
    if HAS_ONEDNN and runs_kernels(x_RD):
        return _onednn(x_RD, weight_WD, bias_W)
    if bias_W is None:
        return x_RD @ weight_WD.T
    return torch.addmm(bias_W, x_RD, weight_WD.T)


def input_gradient(dy_RW: Tensor, weight_WD: Tensor) -> Tensor:
    """dy @ weight [R, D], the gradient of `linear`'s input; not differentiated."""
    if HAS_ONEDNN and runs_kernels(dy_RW):
        return _onednn(dy_RW, weight_WD.T, None)
    return dy_RW @ weight_WD


def _onednn(x_RD: Tensor, weight_WD: Tensor, bias_W: Tensor | None) -> Tensor:
    y_RW: Tensor = torch.ops.mkldnn._linear_pointwise(x_RD, weight_WD, bias_W, "none", [], "")
    return y_RW
