"""The blocks of shapes/ in each form: one op of ours, plain PyTorch, convolutions of oneDNN."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable

import torch
from onednn import Convolution, serves
from torch import Tensor, nn
from torch.nn import functional as F
from traced import Shape

from seaformer_kernels.fused import (
    FusedClassificationHead,
    FusedFusionGate,
    FusedInvertedResidual,
    FusedMlp,
    FusedSeaAttention,
    FusedSegmentationHead,
    FusedStem,
    folded_convolution,
)
from seaformer_kernels.modules import (
    ClassificationHead,
    ConvBN,
    FusionGate,
    InvertedResidual,
    Mlp,
    SeaAttention,
    SegmentationHead,
    Stem,
)

Call = Callable[..., Tensor]


@dataclasses.dataclass
class Block:
    """One block three times, with the same weights, and maps that it reads.

    Attributes:
        inputs: channels_last.
        fused: one op.
        eager: the plain module, batch norms folded, channels_last.
        onednn: its convolutions fused with what follows them; None if it is no sequence of them.
    """

    inputs: tuple[Tensor, ...]
    fused: Call
    eager: Call
    onednn: Call | None


def make_block(shape: Shape, dtype: torch.dtype = torch.float32) -> Block:
    """The block of a shape in a type, with random weights."""
    torch.manual_seed(0)
    makers = {
        "stem": _stem,
        "inverted_residual": _mlp if shape.sizes.get("mlp") else _inverted_residual,
        "sea_attention": _sea_attention,
        "fusion_gate": _fusion_gate,
        "segmentation_head": _segmentation_head,
        "classification_head": _classification_head,
    }
    with torch.no_grad():
        block = makers[shape.kind](shape, dtype)
    return block if serves(dtype) else dataclasses.replace(block, onednn=None)


def _stem(s: Shape, dtype: torch.dtype) -> Block:
    plain = Stem(s["out_channels"]).eval()
    image = _map(3, s["height"], s["width"], dtype)
    convolution = Convolution(_folded(plain, dtype)[0], image.shape, "relu")
    return Block((image,), FusedStem.of(plain, dtype=dtype), _folded(plain, dtype), convolution)


def _inverted_residual(s: Shape, dtype: torch.dtype) -> Block:
    channels = s["in_channels"]
    plain = InvertedResidual(
        channels,
        s["out_channels"],
        kernel_size=s["kernel_size"],
        expansion=s["hidden_channels"] // channels,
        stride=s["stride"],
    ).eval()
    x = _map(channels, s["height"], s["width"], dtype)
    eager = _folded(plain, dtype)
    *expand, depthwise, project = [m for m in eager.conv if isinstance(m, nn.Conv2d)]
    sequence = _sequence(
        x, [(conv, "relu") for conv in (*expand, depthwise)], project, residual=plain.residual
    )
    return Block((x,), FusedInvertedResidual.of(plain, dtype=dtype), eager, sequence)


def _mlp(s: Shape, dtype: torch.dtype) -> Block:
    plain = Mlp(s["in_channels"], s["hidden_channels"]).eval()
    x = _map(s["in_channels"], s["height"], s["width"], dtype)
    eager = _folded(plain, dtype)
    sequence = _sequence(
        x, [(eager.fc1, "none"), (eager.dwconv, "relu6")], eager.fc2, residual=True
    )
    return Block(
        (x,), FusedMlp.of(plain, residual=True, dtype=dtype), lambda x: x + eager(x), sequence
    )


def _sea_attention(s: Shape, dtype: torch.dtype) -> Block:
    plain = SeaAttention(s["channels"], s["key_dim"], s["heads"]).eval()
    x = _map(s["channels"], s["height"], s["width"], dtype)
    eager = _folded(plain, dtype)
    return Block(
        (x,), FusedSeaAttention.of(plain, residual=True, dtype=dtype), lambda x: x + eager(x), None
    )


def _fusion_gate(s: Shape, dtype: torch.dtype) -> Block:
    plain = FusionGate(s["in_channels"], s["coarse_channels"], s["out_channels"]).eval()
    inputs = _two_maps(s, dtype)
    eager = _folded(plain, dtype)
    return Block(inputs, FusedFusionGate.of(plain, dtype=dtype), eager, _gate(eager, *inputs))


def _segmentation_head(s: Shape, dtype: torch.dtype) -> Block:
    plain = SegmentationHead(
        (s["in_channels"], s["coarse_channels"]), (s["fused_channels"],), s["classes"]
    ).eval()
    inputs = _two_maps(s, dtype)
    eager, fused = _folded(plain, dtype), FusedSegmentationHead.of(plain, dtype=dtype)
    gate = _gate(eager.fuse1, *inputs)
    of_gate = gate(*inputs).shape
    scale = Convolution(eager.linear_fuse, of_gate, "relu")
    classify = Convolution(eager.conv_seg, of_gate)
    return Block(
        inputs,
        lambda *maps: fused(maps),
        lambda *maps: eager(maps),
        lambda *maps: classify(scale(gate(*maps))),
    )


def _classification_head(s: Shape, dtype: torch.dtype) -> Block:
    plain = ClassificationHead(s["channels"], s["classes"]).eval().requires_grad_(False)
    x = _map(s["channels"], s["height"], s["width"], dtype)
    fused = FusedClassificationHead.of(plain, dtype=dtype)
    return Block((x,), fused, plain.to(dtype), None)


def _folded(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A copy in a type without batch norms, channels_last, that needs no gradient."""

    def fold(parent: nn.Module) -> None:
        for name, child in parent.named_children():
            if isinstance(child, ConvBN):
                setattr(parent, name, folded_convolution(child))
            else:
                fold(child)

    module = copy.deepcopy(module)
    fold(module)
    return module.requires_grad_(False).to(dtype, memory_format=torch.channels_last)


def _sequence(
    x: Tensor, activated: list[tuple[nn.Conv2d, str]], last: nn.Conv2d, residual: bool
) -> Call:
    """Convolutions with their activations, then one without, to which x may be added."""
    size, layers = x.shape, []
    for conv, activation in activated:
        layers.append(Convolution(conv, size, activation))
        size = _output_size(conv, size)
    project = Convolution(last, size)

    def run(x: Tensor) -> Tensor:
        y = x
        for layer in layers:
            y = layer(y)
        return project(y, x if residual else None)

    return run


def _output_size(conv: nn.Conv2d, size: torch.Size) -> torch.Size:
    batch, _, *sides = size
    return torch.Size([batch, conv.out_channels, *(-(-n // conv.stride[0]) for n in sides)])


def _gate(gate: FusionGate, local: Tensor, coarse: Tensor) -> Call:
    """A folded gate by oneDNN's convolutions, for maps of these sizes."""
    embed = Convolution(gate.local_embedding, local.shape)
    act = Convolution(gate.global_act, coarse.shape, "hardsigmoid")

    def run(local: Tensor, coarse: Tensor) -> Tensor:
        opening = F.interpolate(
            act(coarse), size=local.shape[-2:], mode="bilinear", align_corners=False
        )
        return embed(local) * opening

    return run


def _two_maps(s: Shape, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    return (
        _map(s["in_channels"], s["height"], s["width"], dtype),
        _map(s["coarse_channels"], s["coarse_height"], s["coarse_width"], dtype),
    )


def _map(channels: int, height: int, width: int, dtype: torch.dtype) -> Tensor:
    x = torch.randn(1, channels, height, width, dtype=dtype)
    return x.contiguous(memory_format=torch.channels_last)
