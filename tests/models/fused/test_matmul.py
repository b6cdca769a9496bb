"""oneDNN's products are those of torch, for every layout that the layers have."""

from __future__ import annotations

import pytest
import torch

from peftlab.models.fused import matmul


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize(("rows", "width", "columns"), [(1, 1, 1), (7, 12, 30), (212, 64, 33)])
def test_a_linear_layer_and_its_input_gradient(
    rows: int, width: int, columns: int, has_bias: bool
) -> None:
    torch.manual_seed(0)
    x, dy = torch.randn(rows, width), torch.randn(rows, columns)
    whole = torch.randn(3 * columns, width)
    for weight in (whole[columns : 2 * columns], whole[:columns].clone()):
        bias = torch.randn(columns) if has_bias else None
        expected = torch.nn.functional.linear(x, weight, bias)
        torch.testing.assert_close(matmul.linear(x, weight, bias), expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(
            matmul.input_gradient(dy, weight), dy @ weight, rtol=1e-5, atol=1e-5
        )


def test_torch_multiplies_where_there_is_no_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matmul, "HAS_ONEDNN", False)
    x, weight = torch.randn(5, 4), torch.randn(3, 4)
    assert torch.equal(matmul.linear(x, weight, None), x @ weight.T)
    assert torch.equal(matmul.input_gradient(torch.ones(5, 3), weight), torch.ones(5, 3) @ weight)
