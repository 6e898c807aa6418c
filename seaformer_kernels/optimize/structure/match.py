"""Values that one op can make."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from seaformer_kernels.fused import (
    Folded,
    FoldedInvertedResidual,
    FoldedLastFusion,
    FoldedSqueezeExcite,
    FusedAttention,
    FusedBlock,
    FusedClassificationHead,
    FusedConvolution,
    FusedDepthwise,
    FusedFusionGate,
    FusedInvertedResidual,
    FusedPointwise,
    FusedSegmentationHead,
    FusedStem,
    UpsampledLabels,
)
from seaformer_kernels.optimize.structure.check import agree
from seaformer_kernels.optimize.structure.values import (
    Affine,
    Attended,
    Called,
    Convolution,
    Labels,
    Linear,
    Mean,
    Product,
    Question,
    Resized,
    Squeezed,
    Sum,
    Value,
)

_HALF_KERNEL = {(3, 3): (1, 1), (5, 5): (2, 2), (7, 7): (3, 3)}  # of depthwise ones: their padding
_MOST_TAPS = 7  # of a dense kernel, along each axis


@dataclass(frozen=True)
class Match:
    """Something that one op can make.

    Attributes:
        kind: of block, as reports name it.
        output: what is made.
        inputs: what it is made of.
        make: the block of an element type; it raises WeightOverflow.
        channels: widths of the inputs; none where it need not be tried.
        takes_list: whether the block is called with a list of maps.
        further: what it is called with behind the maps, as nodes have it.
        normalizing: as make, of a block that takes raw images and normalises them with this mean
            and standard deviation; None if there is no such block.
    """

    kind: str
    output: Value
    inputs: tuple[Value, ...]
    make: Callable[[torch.dtype], FusedBlock]
    channels: tuple[int, ...]
    takes_list: bool = False
    further: tuple[object, ...] = ()
    normalizing: Callable[..., FusedBlock] | None = None

    def __post_init__(self) -> None:
        # Blocks are tried in float32 and, where that is the type, used as they are.
        object.__setattr__(self, "make", functools.cache(self.make))

    def call(self, block: nn.Module, *maps: Tensor) -> object:
        """What a block makes of maps."""
        return block(list(maps)) if self.takes_list else block(*maps)

    def agrees(self, original: Callable[..., object]) -> bool:
        """Whether its block does on random maps what the original does."""
        if not self.channels:  # there is nothing to try
            return True
        fused = functools.partial(self.call, self.make(torch.float32))
        return agree(original, fused, self.channels)

    @property
    def nodes(self) -> set[fx.Node]:
        """All that it takes the place of."""
        return self.output.since(*self.inputs)


def matches(value: Value) -> Iterator[Match]:
    """The blocks that make a value, those of most operations first."""
    for find in _FINDERS:
        match = find(value)
        if match is not None and _is_closed(match):
            yield match


def _is_closed(match: Match) -> bool:
    """Whether nobody outside reads what is made on the way, or asks for its size."""
    nodes = match.nodes
    last = match.output.node
    return all(node is last or set(node.users) <= nodes for node in nodes)


def _pointwise(value: Value) -> Match | None:
    if not isinstance(value, Convolution) or not value.is_pointwise:
        return None
    return Match(
        "Pointwise",
        value,
        value.inputs,
        lambda dtype: FusedPointwise.from_folded(value.folded, value.activation, dtype=dtype),
        (value.in_channels,),
    )


def _stem(value: Value) -> Match | None:
    """The first layer of most networks."""
    if not isinstance(value, Convolution):
        return None
    if (value.in_channels, value.groups, value.kernel_size, value.stride) != (3, 1, (3, 3), (2, 2)):
        return None
    if value.padding != (1, 1) or value.dilation != (1, 1):
        return None
    make = functools.partial(FusedStem.from_folded, value.folded, value.activation)
    return Match(
        "Stem", value, value.inputs, lambda dtype: make(dtype=dtype), (3,), normalizing=make
    )


def _dense(value: Value) -> Match | None:
    if not isinstance(value, Convolution) or value.groups != 1:
        return None
    (stride, other), (dilation, another) = value.stride, value.dilation
    if max(value.kernel_size) > _MOST_TAPS or stride > 4 or (stride, dilation) != (other, another):
        return None
    return Match(
        "Convolution",
        value,
        value.inputs,
        lambda dtype: FusedConvolution.from_folded(
            value.folded,
            stride=stride,
            padding=value.padding,
            dilation=dilation,
            activation=value.activation,
            dtype=dtype,
        ),
        (value.in_channels,),
    )


def _classification_head(value: Value) -> Match | None:
    """A linear layer of a map's mean."""
    if not isinstance(value, Convolution) or not value.is_pointwise or value.activation != "none":
        return None
    (mean,) = value.inputs
    while isinstance(mean, Linear) and mean.is_identity:  # a dropout
        (mean,) = mean.inputs
    if not isinstance(mean, Mean) or mean.is_map:
        return None

    def make(dtype: torch.dtype) -> FusedBlock:
        return FusedClassificationHead.from_folded(value.folded, dtype=dtype)

    return Match("ClassificationHead", value, mean.inputs, make, (value.in_channels,))


def _depthwise(value: Value) -> Match | None:
    if not isinstance(value, Convolution) or not _is_served_depthwise(value):
        return None
    return Match(
        "Depthwise",
        value,
        value.inputs,
        lambda dtype: FusedDepthwise.from_folded(
            value.folded,
            stride=value.stride[0],
            padding=_padding_name(value),
            activation=value.activation,
            dtype=dtype,
        ),
        (value.in_channels,),
    )


def _inverted_residual(value: Value) -> Match | None:
    """x + project(depthwise(expand(x))), with neither residual nor expansion if there is none."""
    if not isinstance(value, Sum):
        return _without_residual(value, value, residual=None)
    for block, residual in (value.inputs, value.inputs[::-1]):
        match = _without_residual(block, value, residual)
        if match is not None:
            return match
    return None


def _without_residual(block: Value, output: Value, residual: Value | None) -> Match | None:
    if not isinstance(block, Convolution) or not block.is_pointwise:
        return None
    project = block
    (filtered,) = project.inputs
    squeeze = None
    if isinstance(filtered, Squeezed):
        squeeze = FoldedSqueezeExcite(
            filtered.reduce.folded,
            filtered.expand.folded,
            filtered.reduce.activation,
            filtered.expand.activation,
        )
        (filtered,) = filtered.inputs
    if not isinstance(filtered, Convolution) or not _is_served_depthwise(filtered):
        return None
    if filtered.kernel_size == (7, 7):  # by itself only
        return None
    depthwise = filtered
    (given,) = depthwise.inputs
    expand = None
    if (
        isinstance(given, Convolution)
        and given.is_pointwise
        and given is not residual
        and given.used_only_by(set(depthwise.nodes))
        and not _is_projection(given)
    ):
        expand = given
        (given,) = given.inputs
    if residual is not None and given is not residual:
        return None
    if residual is not None and depthwise.stride != (1, 1):
        return None

    def make(dtype: torch.dtype) -> FusedBlock:
        folded = FoldedInvertedResidual(
            expand.folded if expand else None,
            depthwise.folded,
            project.folded,
            depthwise.kernel_size[0],
            depthwise.stride[0],
            expand_activation=expand.activation if expand else "none",
            depthwise_activation=depthwise.activation,
            project_activation=project.activation,
            squeeze=squeeze,
            padding=_padding_name(depthwise),
        )
        return FusedInvertedResidual.from_folded(folded, residual is not None, dtype=dtype)

    channels = expand.in_channels if expand else depthwise.in_channels
    return Match("InvertedResidual", output, (given,), make, (channels,))


def _is_projection(conv: Convolution) -> bool:
    """Whether a 1x1 convolution is better taken with the depthwise one before it."""
    (before,) = conv.inputs
    if isinstance(before, Squeezed):
        (before,) = before.inputs
    return (
        isinstance(before, Convolution)
        and _is_served_depthwise(before)
        and before.used_only_by(set(conv.nodes))
    )


def _gate(value: Value) -> Match | None:
    """local(x) * resize(h_sigmoid(coarse(y))), as `FusionGate` has it."""
    found = _gated(value)
    if found is None:
        return None
    local, coarse = found

    def make(dtype: torch.dtype) -> FusedBlock:
        return FusedFusionGate.from_folded(local.folded, coarse.folded, dtype=dtype)

    inputs = local.inputs[0], coarse.inputs[0]
    return Match("FusionGate", value, inputs, make, (local.in_channels, coarse.in_channels))


def _attention(value: Value) -> Match | None:
    """Attention of all pixels, with the 1x1 convolutions that make queries, keys and values."""
    if not isinstance(value, Attended):
        return None
    *maps, x = *value.inputs[:3], next(iter(value.inputs[0].inputs), None)
    if not all(
        isinstance(conv, Convolution)
        and conv.is_pointwise
        and conv.activation == "none"
        and conv.inputs == (x,)
        for conv in maps
    ):
        return None
    questions = [question for question in value.inputs[3:] if isinstance(question, Question)]
    if not all(question.asked <= {x, *maps} for question in questions):
        return None
    q, k, v = (conv.folded for conv in maps)

    def make(dtype: torch.dtype) -> FusedBlock:
        to_scale = torch.full_like(q.bias, value.scale * value.key_dim**0.5)
        parts = (q.scaled(to_scale), k, v)
        folded = Folded(torch.cat([p.weight for p in parts]), torch.cat([p.bias for p in parts]))
        how = (value.heads, value.key_dim, value.activation)
        return FusedAttention.from_folded(folded, *how, dtype=dtype)

    return Match("Attention", value, (x,), make, (maps[0].in_channels,))


def _labels(value: Value) -> Match | None:
    """argmax(interpolate(x)), also of what is between 0 and 1."""
    if not isinstance(value, Labels):
        return None
    scores = value.scores
    if not isinstance(scores, Resized) or scores.mode != "bilinear":
        return None
    logits, *questions = scores.inputs
    block = UpsampledLabels(scores.align_corners, scores.scale)
    further = () if scores.size is None else (scores.size,)
    make = functools.partial(_made, block)
    return Match("Labels", value, (logits, *questions), make, (), further=further)


def _made(block: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A block that is there already, of its own type."""
    return block


def _gated(value: Value) -> tuple[Convolution, Convolution] | None:
    if not isinstance(value, Product):
        return None
    for local, gate in (value.inputs, value.inputs[::-1]):
        if (
            not isinstance(local, Convolution)
            or not isinstance(gate, Resized)
            or not gate.is_bilinear
        ):
            continue
        coarse, *questions = gate.inputs
        if (
            local.is_pointwise
            and local.activation == "none"
            and isinstance(coarse, Convolution)
            and coarse.is_pointwise
            and coarse.activation == "hardsigmoid"
            and all(q.asked <= {local, local.inputs[0]} for q in questions)  # of one size
            and questions
        ):
            return local, coarse
    return None


def _head(value: Value) -> Match | None:
    """classifier(relu(scale * gate + shift)), as `SegmentationHead` ends."""
    if not isinstance(value, Convolution) or not value.is_pointwise or value.activation != "none":
        return None
    (fused,) = value.inputs
    if isinstance(fused, Convolution) and fused.is_depthwise and fused.kernel_size == (1, 1):
        scale, shift = fused.folded.weight.flatten(), fused.folded.bias
    elif isinstance(fused, Affine):
        scale, shift = fused.scale, fused.shift
    else:
        return None
    if fused.activation != "relu" or (found := _gated(fused.inputs[0])) is None:
        return None
    local, coarse = found
    last = FoldedLastFusion(local.folded.scaled(scale), coarse.folded, shift, value.folded)
    inputs = local.inputs[0], coarse.inputs[0]
    channels = local.in_channels, coarse.in_channels

    def make(dtype: torch.dtype) -> FusedBlock:
        return FusedSegmentationHead(last.packed(dtype), len(value.folded.bias))

    return Match("SegmentationHead", value, inputs, make, channels, takes_list=True)


def _residual_call(value: Value) -> Match | None:
    """x + block(x), of a block that can add its input."""
    if not isinstance(value, Sum):
        return None
    for called, x in (value.inputs, value.inputs[::-1]):
        if not isinstance(called, Called) or called.inputs != (x,):
            continue
        block = called.block.with_residual()
        if block is not None:
            make = functools.partial(_made, block)
            return Match(block.kind, value, (x,), make, ())
    return None


def _is_served_depthwise(conv: Convolution) -> bool:
    return (
        conv.is_depthwise
        and conv.kernel_size in _HALF_KERNEL
        and conv.stride in ((1, 1), (2, 2))
        and conv.dilation == (1, 1)
        and conv.padding in ("same", _HALF_KERNEL[conv.kernel_size])
    )


def _padding_name(conv: Convolution) -> str:
    """As ops name it: padding by half the kernel is symmetric."""
    return "same" if conv.padding == "same" else "symmetric"


_FINDERS: tuple[Callable[[Value], Match | None], ...] = (
    _head,
    _inverted_residual,
    _gate,
    _attention,
    _residual_call,
    _labels,
    _classification_head,
    _pointwise,
    _depthwise,
    _stem,
    _dense,
)
