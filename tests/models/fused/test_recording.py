"""A recording gives the results of its operations one by one, for batches of any size."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from peftlab.models.fused.dropout import Dropout, DropoutSettings
from peftlab.models.fused.gelu import Gelu, GeluSettings
from peftlab.models.fused.linear import Joined, JoinedLinear, LinearSettings
from peftlab.models.fused.norm import DropoutAddNorm, NormSettings
from peftlab.models.fused.operation import Node, Run
from peftlab.models.fused.recording import EXAMPLES, TOKENS, Given, Recording, Sizes, play
from peftlab.models.fused.rows import Rows, TakeRows
from peftlab.models.fused.tape import apply

WIDTH = 8
GELU = GeluSettings(has_backward=True)


class Sublayer:
    """The program from x to norm(x + linear(gelu(dropout(x)))), of which some rows are taken."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.layer, self.norm = nn.Linear(WIDTH, WIDTH), nn.LayerNorm(WIDTH)
        self.joined = Joined(layers=(self.layer,), adapters=())

    @property
    def parameters(self) -> list[nn.Parameter]:
        return [*self.layer.parameters(), *self.norm.parameters()]

    def __call__(self, run: Run, x: Any, rows: Rows, places: Tensor, key: int) -> Any:
        inner = run(Dropout, DropoutSettings(rows=rows, key=key, probability=0.3), x)
        inner = run(Gelu, GELU, inner)
        inner = run(JoinedLinear, LinearSettings(joined=self.joined, rows=rows, dropouts=()), inner)
        settings = NormSettings(norm=self.norm, rows=rows, key=key, probability=0.3)
        return run(TakeRows, places, run(DropoutAddNorm, settings, inner, x))


class Recorded:
    """A sublayer recorded as it is now, to be called with any batch."""

    def __init__(self, sublayer: Sublayer, *, x_is_needed: bool = True) -> None:
        given = Given()
        x = Node(given.tensor(TOKENS, WIDTH), is_needed=x_is_needed)
        example, position = (given.tensor(TOKENS, dtype=torch.int64) for _ in range(2))
        rows = Rows(example_R=example, position_R=position)
        places, key = given.tensor(EXAMPLES, dtype=torch.int64), given.number()
        self.trained = [p for p in sublayer.parameters if p.requires_grad]
        self.recording = Recording(
            lambda run, x: sublayer(run, x, rows, places, key), given, x, self.trained
        )

    def __call__(self, x: Tensor, rows: Rows, places: Tensor, key: int) -> Tensor:
        others = [rows.example_R, rows.position_R, places]
        sizes = Sizes(tokens=len(x), examples=len(places))
        return play(self.recording, x, others, [key], sizes, self.trained)


def batch(num_tokens: int, num_examples: int) -> tuple[Tensor, Rows, Tensor]:
    x = torch.randn(num_tokens, WIDTH).requires_grad_()
    position_R = torch.arange(num_tokens)
    rows = Rows(example_R=position_R % 3, position_R=position_R)
    return x, rows, torch.randperm(num_tokens)[:num_examples]


def with_gradients(out: Tensor, sources: list[Any]) -> list[Tensor]:
    return [out.detach(), *torch.autograd.grad(out.square().sum(), sources)]


@pytest.mark.parametrize("key", [5, 2**62 + 1])
def test_it_is_equal_to_the_operations_one_by_one(key: int) -> None:
    sublayer = Sublayer()
    recorded = Recorded(sublayer)
    for sizes in ((6, 2), (1, 1), (37, 11)):
        given = batch(*sizes)
        sources = [given[0], *sublayer.parameters]
        whole = with_gradients(recorded(*given, key), sources)
        apart = with_gradients(sublayer(apply, *given, key), sources)
        twins = with_gradients(sublayer(lambda op, *x: op.plain(*x), *given, key), sources)
        for left, right, twin in zip(whole, apart, twins, strict=True):
            assert torch.equal(left, right)
            # Sums over all tokens, of which some cancel.
            torch.testing.assert_close(left, twin, rtol=1e-5, atol=5e-5)


def test_batches_may_be_on_their_way_at_the_same_time() -> None:
    sublayer = Sublayer()
    recorded, sources = Recorded(sublayer), sublayer.parameters
    batches = [batch(9, 2), batch(4, 3)]
    outs = [recorded(*given, 3) for given in batches]
    for out, given in zip(outs, batches, strict=True):
        late = torch.autograd.grad(out.square().sum(), sources)
        alone = torch.autograd.grad(recorded(*given, 3).square().sum(), sources)
        assert all(torch.equal(left, right) for left, right in zip(late, alone, strict=True))


def test_frozen_parameters_and_inputs_get_no_gradient() -> None:
    sublayer, (x, *given) = Sublayer(), batch(6, 2)
    sublayer.layer.weight.requires_grad_(False)
    Recorded(sublayer, x_is_needed=False)(x.detach(), *given, 3).sum().backward()
    assert x.grad is None
    assert sublayer.layer.weight.grad is None
    assert sublayer.layer.bias.grad is not None


def test_where_nothing_is_trained_there_is_no_way_back() -> None:
    sublayer, (x, *given) = Sublayer(), batch(6, 2)
    with_graph = Recorded(sublayer)(x, *given, 3)
    for parameter in sublayer.parameters:
        parameter.requires_grad_(False)
    recorded = Recorded(sublayer, x_is_needed=False)
    assert not recorded.recording.has_backward
    without = recorded(x.detach(), *given, 3)
    assert without.grad_fn is None
    assert torch.equal(with_graph, without)


def test_recorded_or_not_operations_are_gone_back_over_once() -> None:
    sublayer, given = Sublayer(), batch(6, 2)
    for out in (Recorded(sublayer)(*given, 3).sum(), sublayer(apply, *given, 3).sum()):
        out.backward(retain_graph=True)
        with pytest.raises(RuntimeError, match="only once"):
            out.backward()


def test_results_take_over_the_places_of_those_no_longer_read() -> None:
    def chain(length: int) -> Recording:
        given = Given()
        x = Node(given.tensor(TOKENS, WIDTH), is_needed=False)

        def program(run: Run, x: Any) -> Any:
            for _ in range(length):
                x = run(Gelu, GeluSettings(has_backward=False), x)
            return x

        return Recording(program, given, x, [])

    assert chain(9).num_places == chain(3).num_places == 2
    x = torch.randn(5, WIDTH)
    out = play(chain(3), x, [], [], Sizes(tokens=5, examples=1), [])
    plain = nn.functional.gelu(nn.functional.gelu(nn.functional.gelu(x)))
    torch.testing.assert_close(out, plain, rtol=1e-5, atol=1e-6)


def test_it_says_whether_it_reads_what_was_computed_when_it_was_recorded() -> None:
    sublayer = Sublayer()
    assert Recorded(sublayer).recording.reads_only(sublayer.parameters)
    # Two layers whose weights do not lie side by side are read from a copy.
    joined = Joined(layers=(nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)), adapters=())
    _, rows, _ = batch(1, 1)
    settings = LinearSettings(joined=joined, rows=rows, dropouts=())
    given = Given()
    x = Node(given.tensor(TOKENS, WIDTH), is_needed=False)
    recording = Recording(lambda run, x: run(JoinedLinear, settings, x), given, x, [])
    assert not recording.reads_only(joined.parameters)


def test_an_exception_leaves_no_notes_behind() -> None:
    def program(run: Run, x: Any) -> Any:
        run(Gelu, GELU, x)
        raise ValueError("stop")

    given = Given()
    with pytest.raises(ValueError, match="stop"):
        Recording(program, given, Node(given.tensor(TOKENS, WIDTH), is_needed=False), [])
    x = torch.randn(3, WIDTH)
    assert torch.equal(apply(Gelu, GELU, x), Gelu.forward(GELU, x)[0])
