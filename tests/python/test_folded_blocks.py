"""Fused blocks made of folded convolutions, as found in anybody's model, against plain layers."""

from __future__ import annotations

import copy

import pytest
import torch
from op_cases import ACTIVATIONS, Random
from torch import Tensor, nn

from seaformer_kernels import fused
from seaformer_kernels.ops._element import ELEMENTS, name_of

TOLERANCE = {torch.float32: 1e-5, torch.float16: 1e-2, torch.bfloat16: 8e-2}


def folded(conv: nn.Conv2d) -> fused.Folded:
    return fused.Folded(conv.weight.detach().double(), conv.bias.detach().double())


class Block(nn.Module):
    """An inverted residual with squeeze-and-excite, of MobileNetV3 or EfficientNet."""

    def __init__(self, act: str, gate: str, expands: bool = True):
        super().__init__()
        hidden = 40 if expands else 16
        self.expand = nn.Conv2d(16, hidden, 1) if expands else None
        self.depthwise = nn.Conv2d(hidden, hidden, 5, padding=2, groups=hidden)
        self.reduce, self.excite = nn.Conv2d(hidden, 6, 1), nn.Conv2d(6, hidden, 1)
        self.project = nn.Conv2d(hidden, 16, 1)
        self.act, self.gate = act, gate

    def forward(self, x: Tensor) -> Tensor:
        act, gate = ACTIVATIONS[self.act], ACTIVATIONS[self.gate]
        y = x if self.expand is None else act(self.expand(x))
        y = act(self.depthwise(y))
        y = y * gate(self.excite(act(self.reduce(y.mean((2, 3), keepdim=True)))))
        return x + self.project(y)

    def folded(self) -> fused.FoldedInvertedResidual:
        squeeze = fused.FoldedSqueezeExcite(
            folded(self.reduce), folded(self.excite), self.act, self.gate
        )
        return fused.FoldedInvertedResidual(
            self.expand and folded(self.expand),
            folded(self.depthwise),
            folded(self.project),
            kernel_size=5,
            stride=1,
            expand_activation=self.act,
            depthwise_activation=self.act,
            squeeze=squeeze,
        )


@pytest.mark.parametrize("dtype", ELEMENTS, ids=name_of)
@pytest.mark.parametrize("expands", [True, False])
@pytest.mark.parametrize(("act", "gate"), [("hardswish", "hardsigmoid"), ("silu", "sigmoid")])
def test_an_inverted_residual_with_squeeze_and_excite(act, gate, expands, dtype):
    block = Block(act, gate, expands)
    ours = fused.FusedInvertedResidual.from_folded(block.folded(), residual=True, dtype=dtype)
    x = Random(0).tensor(2, 16, 9, 13)
    with torch.no_grad():
        expected = block(x)
    got = ours(x)
    assert got.dtype == dtype
    torch.testing.assert_close(got.float(), expected, rtol=0, atol=TOLERANCE[dtype])
    other = copy.deepcopy(ours)
    other.load_state_dict(ours.state_dict())
    assert torch.equal(other(x), got)


def test_other_squeeze_and_excite_is_refused():
    first, second = (
        fused.FusedInvertedResidual.from_folded(Block("silu", gate).folded(), residual=True)
        for gate in ("sigmoid", "hardsigmoid")
    )
    with pytest.raises(RuntimeError, match=r"classes: 6, got .*classes: 3"):
        first.load_state_dict(second.state_dict())


@pytest.mark.parametrize("dtype", ELEMENTS, ids=name_of)
@pytest.mark.parametrize("act", ACTIVATIONS)
def test_a_pointwise_convolution(act, dtype):
    conv = nn.Conv2d(20, 33, 1)
    ours = fused.FusedPointwise.from_folded(folded(conv), act, dtype=dtype)
    x = Random(0).tensor(1, 20, 7, 5)
    with torch.no_grad():
        expected = ACTIVATIONS[act](conv(x))
    torch.testing.assert_close(ours(x).float(), expected, rtol=0, atol=TOLERANCE[dtype])
