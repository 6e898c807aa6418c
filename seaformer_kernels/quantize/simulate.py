"""Blocks in float32 that can behave as their int8 forms do, to calibrate and to train them.

Batch norms are folded in. What int8 rounds is rounded to the same numbers here, with gradients as
if it were not (straight through).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seaformer_kernels import ops
from seaformer_kernels.fused import (
    Folded,
    FoldedInvertedResidual,
    FusedBlock,
    FusedInvertedResidual,
    FusedStem,
    Unservable,
)
from seaformer_kernels.ops._int8 import LEAST, MOST, RATIO_ONE
from seaformer_kernels.quantize.layers import (
    PIXELS,
    Grid,
    least_scale,
    least_scale_of_residual,
    quantize_layer,
    ratio_of,
    real,
    scale_of,
)
from seaformer_kernels.quantize.observers import MinMax

_ACTIVATIONS = {"none": lambda x: x, "relu": F.relu, "relu6": F.relu6}
_SIX = 6 / (MOST - LEAST) * (1 + 1e-5)
_BEYOND_SIX = "has weights beside which int8 cannot clamp at 6"


class EmptyRange(ValueError):
    """A map that was zero throughout."""


class Map(nn.Module):
    """A map between two layers: observes it, or rounds it as int8 does, or leaves it.

    Args:
        activation: behind which it is: "none", "relu" or "relu6".

    Attributes:
        scale: 0-dimensional buffer; 0 until it is known.
        mean: of each channel, where it was observed.
        peaks: the largest magnitude in each channel, likewise; else empty.
        observer: sees what passes; None where nothing is to be observed.
    """

    scale: Tensor

    def __init__(self, activation: str = "none"):
        super().__init__()
        self.activation = activation
        self.register_buffer("scale", torch.zeros(()))
        self.observer: MinMax | None = None
        self.mean: Tensor | None = None
        self.peaks = torch.empty(0)
        self._seen = 0

    @property
    def grid(self) -> Grid:
        zero = 0 if self.activation == "none" else LEAST
        return Grid(float(self.scale), zero)

    @property
    def clamps(self) -> bool:
        """Whether it can clamp where its activation does."""
        return self.activation != "relu6" or float(self.scale) <= _SIX

    @property
    def levels(self) -> int:
        """Steps from 0 to the largest number."""
        return MOST - self.grid.zero

    @property
    def range(self) -> float:
        """The largest number it can hold."""
        return self.grid.most

    def settle(self, least: float = 0.0) -> None:
        """Sets the scale by what was observed, or to the least one it can have.

        Raises:
            EmptyRange: nothing but zeros was observed.
            Unservable: it cannot clamp where its activation does.
        """
        scale = self.observed_scale()
        if scale == 0.0:
            raise EmptyRange("Expected maps that are not zero throughout, got one.")
        self.widen(max(scale, least))

    def observed_scale(self) -> float:
        """By what was observed, else what it is."""
        if self.observer is None:
            return float(self.scale)
        limit = 6.0 if self.activation == "relu6" else float("inf")
        return scale_of(self.observer.range(self.levels, limit), self.activation)

    def widen(self, scale: float) -> None:
        """Sets the scale; raises Unservable if it cannot clamp where its activation does."""
        self.scale.fill_(scale)
        if not self.clamps:
            raise Unservable(_BEYOND_SIX)

    @torch.no_grad()
    def observe(self, x: Tensor) -> None:
        """Takes a map into account."""
        magnitudes = x.detach().abs()
        if self.observer is not None:
            self.observer.see(magnitudes.flatten())
        peaks, mean = magnitudes.amax((0, 2, 3)), x.mean((0, 2, 3)).double()
        self.peaks = torch.maximum(self.peaks, peaks) if len(self.peaks) else peaks
        before = torch.zeros_like(mean) if self.mean is None else self.mean
        self._seen += len(x)
        self.mean = before + (mean - before) * (len(x) / self._seen)

    def forget(self) -> None:
        """Forgets what was observed."""
        self.observer = self.mean = None
        self.peaks = torch.empty(0)
        self._seen = 0

    def rounded(self, x: Tensor) -> Tensor:
        """On its grid, straight through; gradients end where it saturates."""
        grid = self.grid
        x = x.clamp(grid.least, grid.most)
        q = (x.detach() * (1 / grid.scale)).round() * grid.scale
        return x + (q - x).detach()


class Convolution(nn.Conv2d):
    """One with the batch norm behind it folded in."""

    bias: nn.Parameter

    def __init__(self, folded: Folded, *, stride: int = 1, padding: int = 0, groups: int = 1):
        outputs, inputs, size, _ = folded.weight.shape
        super().__init__(inputs * groups, outputs, size, stride, padding, groups=groups)
        weight, bias = folded.rounded()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def folded(self) -> Folded:
        """Weight and bias as they are now."""
        return Folded(self.weight.detach().double(), self.bias.detach().double())


def straight_conv(
    conv: Convolution, x: Tensor, layer: ops.Int8Layer, grid: Grid, scale_out: float
) -> Tensor:
    """A convolution with the weights that its int8 form stands for, straight through."""
    with torch.no_grad():
        weight, bias = real(layer, grid, scale_out)
    weight = conv.weight + (weight - conv.weight).detach()
    bias = conv.bias + (bias - conv.bias).detach()
    return F.conv2d(x, weight, bias, conv.stride, conv.padding, groups=conv.groups)


class SimulatedBlock(nn.Module):
    """What all simulated blocks have.

    Attributes:
        reads: names of the maps that it is called with.
        kind: name of the class it stands for.
        simulating: whether it behaves as its int8 form.
        observing: whether maps are observed.
        stays: why it stays float, as the end of a sentence; None if it does not.
        bias_correction: whether biases make up for what rounding of weights does to the means of
            outputs, as observed.
    """

    reads: tuple[str, ...] = ("input",)
    output: Map

    def __init__(self, kind: str):
        super().__init__()
        self.kind = kind
        self.simulating = False
        self.observing = False
        self.stays: str | None = None
        self.bias_correction = False
        self.register_load_state_dict_post_hook(_stays_as_loaded)

    def maps(self) -> dict[str, Map]:
        """Its maps by name, in order."""
        return {n: child for n, child in self.named_children() if isinstance(child, Map)}

    def settle_inputs(self) -> None:
        """Sets the scales of maps that it reads, where nobody else has."""
        for name in self.reads:
            of: Map = getattr(self, name)
            if not float(of.scale):
                of.settle()

    def settle(self) -> None:
        """Sets the scales of its maps but the input's; raises as `Map.settle`."""
        raise NotImplementedError

    def fused(self, dtype: torch.dtype) -> FusedBlock:
        """The fused form, in a floating-point type or int8."""
        raise NotImplementedError

    @torch.no_grad()
    def _know_ranges(self, *inputs: Tensor) -> None:
        """Takes the ranges of maps from this call, if they are not known."""
        if not self.simulating or float(self.output.scale):
            return
        unknown = [of for of in self.maps().values() if not float(of.scale)]
        for of in unknown:
            of.observer = MinMax()
        self.simulating, self.observing = False, True
        try:
            self(*inputs)
            self.settle_inputs()
            self.settle()
        except Unservable as error:
            self.stays = str(error)
        finally:
            self.simulating, self.observing = self.stays is None, False
            for of in unknown:
                of.forget()

    def _int8(self, conv: Convolution, of: Map, out: Map) -> ops.Int8Layer:
        mean = of.mean if self.bias_correction else None
        return quantize_layer(conv.weight, conv.bias, of.grid, float(out.scale), mean)

    def _convolved(self, conv: Convolution, x: Tensor, of: Map, out: Map) -> Tensor:
        """The convolution, when simulating with the weights that int8 has, straight through."""
        if not self.simulating:
            return conv(x)
        scale = float(out.scale)
        return straight_conv(conv, x, self._int8(conv, of, out), of.grid, scale)

    def _passed(self, name: str, x: Tensor) -> Tensor:
        of: Map = getattr(self, name)
        if self.observing and of.observer is not None:
            of.observe(x)
        return of.rounded(x) if self.simulating else x


class SimulatedInvertedResidual(SimulatedBlock):
    """An `InvertedResidual`, an `Mlp` with or without the residual of its layer, or the like.

    Args:
        folded: its convolutions.
        residual: whether the input is added to the output.
        kind: name of the class it stands for.
    """

    def __init__(self, folded: FoldedInvertedResidual, residual: bool, kind: str):
        super().__init__(kind)
        self.residual = residual
        self.input = Map()
        self.expand: Convolution | None = None
        if folded.expand is not None:
            self.expand = Convolution(folded.expand)
            self.expanded = Map(folded.expand_activation)
        self.depthwise = Convolution(
            folded.depthwise,
            stride=folded.stride,
            padding=folded.kernel_size // 2,
            groups=len(folded.depthwise.bias),
        )
        self.hidden = Map(folded.depthwise_activation)
        self.project = Convolution(folded.project)
        self.output = Map(folded.project_activation)

    def forward(self, x: Tensor) -> Tensor:
        self._know_ranges(x)
        x = y = self._passed("input", x)
        of = self.input
        if self.expand is not None:
            y = self._layer(self.expand, y, of, "expanded")
            of = self.expanded
        y = self._layer(self.depthwise, y, of, "hidden")
        y = self._convolved(self.project, y, self.hidden, self.output)
        if self.residual and self.simulating:
            scale = float(self.output.scale)
            y = _rounded_to(y, scale) + self._residual(x, scale)
        elif self.residual:
            y = x + y
        return self._passed("output", _ACTIVATIONS[self.output.activation](y))

    def _layer(self, conv: Convolution, x: Tensor, of: Map, name: str) -> Tensor:
        out: Map = getattr(self, name)
        return self._passed(name, _ACTIVATIONS[out.activation](self._convolved(conv, x, of, out)))

    def _residual(self, x: Tensor, scale: float) -> Tensor:
        """The input as it is added, on the grid of the output."""
        ratio = ratio_of(float(self.input.scale), scale)
        q = (x.detach() / float(self.input.scale)).round()
        added = (q * (ratio / RATIO_ONE) + 0.5).floor() * scale
        return x + (added - x).detach()

    def settle(self) -> None:
        of = self.input
        if self.expand is not None:
            self.expanded.settle(least_scale(self.expand.weight, self.expand.bias, of.grid))
            of = self.expanded
        self.hidden.settle(least_scale(self.depthwise.weight, self.depthwise.bias, of.grid))
        least = least_scale(self.project.weight, self.project.bias, self.hidden.grid)
        if self.residual:
            least = max(least, least_scale_of_residual(float(self.input.scale)))
        self.output.settle(least)

    def fused(self, dtype: torch.dtype) -> FusedInvertedResidual:
        kernel_size, stride = self.depthwise.kernel_size[0], self.depthwise.stride[0]
        packed = (
            self._packed()
            if dtype == torch.int8
            else self._plain(kernel_size, stride).packed(dtype)
        )
        outputs = len(self.project.bias)
        return FusedInvertedResidual(packed, outputs, kernel_size, stride, self.residual)

    def _plain(self, kernel_size: int, stride: int) -> FoldedInvertedResidual:
        expands = self.expand is not None
        return FoldedInvertedResidual(
            self.expand.folded() if self.expand is not None else None,
            self.depthwise.folded(),
            self.project.folded(),
            kernel_size,
            stride,
            self.expanded.activation if expands else "none",
            self.hidden.activation,
            self.output.activation,
        )

    def _packed(self) -> Tensor:
        of = self.input
        expand = None
        if self.expand is not None:
            expand = self._int8(self.expand, of, self.expanded)
            of = self.expanded
        return ops.pack_int8_inverted_residual(
            expand,
            self._int8(self.depthwise, of, self.hidden),
            self._int8(self.project, self.hidden, self.output),
            input_scale=float(self.input.scale),
            output_scale=float(self.output.scale),
            ratio=(
                ratio_of(float(self.input.scale), float(self.output.scale)) if self.residual else 0
            ),
            stride=self.depthwise.stride[0],
            input_activation=self.input.activation,
            expand_activation=self.expanded.activation if expand else "none",
            depthwise_activation=self.hidden.activation,
            output_activation=self.output.activation,
        )


class SimulatedStem(SimulatedBlock):
    """A `Stem`, which its int8 form runs on whole pixels.

    Args:
        folded: its convolution.
        mean, std: of R, G and B in the range 0..255, with which images are normalised.
        raw: whether the model is to take raw RGB values; this takes normalised images in any case.
    """

    reads = ()
    mean: Tensor
    std: Tensor

    def __init__(self, folded: Folded, mean: tuple[float, ...], std: tuple[float, ...], raw: bool):
        super().__init__("Stem")
        self.raw = raw
        self.conv = Convolution(folded, stride=2, padding=1)
        self.register_buffer("mean", torch.tensor(mean), persistent=False)
        self.register_buffer("std", torch.tensor(std), persistent=False)
        self.output = Map("relu")

    def forward(self, x: Tensor) -> Tensor:
        conv = self.conv
        self._know_ranges(x)
        if not self.simulating:
            return self._passed("output", F.relu(conv(x)))
        mean, std = self.mean.view(-1, 1, 1), self.std.view(-1, 1, 1)
        border = mean.round()
        pixels = (x.detach() * std + mean).round().clamp(0, 255)
        pixels = F.pad(pixels - border, (1, 1, 1, 1)) + border
        with torch.no_grad():
            scale = float(self.output.scale)
            weight, bias = real(quantize_layer(*self._of_pixels(), PIXELS, scale), PIXELS, scale)
            rounded = F.conv2d(pixels.double(), weight.double(), bias.double(), stride=2).float()
        y = conv(x)
        return self._passed("output", F.relu(y + (rounded - y).detach()))

    def normalise_with(self, mean: Sequence[float] | None, std: Sequence[float] | None) -> None:
        """Lets the int8 form take raw RGB values, if there is a mean and std."""
        self.raw = mean is not None and std is not None
        if self.raw:
            self.mean.copy_(torch.tensor(mean))
            self.std.copy_(torch.tensor(std))

    def settle(self) -> None:
        self.output.settle(least_scale(*self._of_pixels(), PIXELS))

    def fused(self, dtype: torch.dtype) -> FusedStem:
        mean, std = self.mean.tolist(), self.std.tolist()
        outputs = len(self.conv.bias)
        if dtype != torch.int8:
            by = (mean, std) if self.raw else (None, None)
            weights = self.conv.weight.detach(), self.conv.bias.detach()
            packed = ops.pack_stem(weights, mean=by[0], std=by[1], dtype=dtype)
            return FusedStem(packed, outputs)
        scale = float(self.output.scale)
        layer = quantize_layer(*self._of_pixels(), PIXELS, scale)
        packed = ops.pack_int8_stem(
            layer, output_scale=scale, mean=mean, std=std, normalizes=self.raw
        )
        return FusedStem(packed, outputs)

    def _of_pixels(self) -> tuple[Tensor, Tensor]:
        """Weight and bias for pixels."""
        weight, bias = self.conv.weight.detach().double(), self.conv.bias.detach().double()
        weight = weight / self.std.double().view(-1, 1, 1)
        return weight, bias - (weight * self.mean.double().view(-1, 1, 1)).flatten(1).sum(1)


class SimulatedSeaLayer(nn.Module):
    """A `SeaLayer` with simulated halves, which have their residuals; or attention is plain."""

    def __init__(self, attn: nn.Module, mlp: SimulatedBlock):
        super().__init__()
        self.attn = attn
        self.mlp: SimulatedBlock = mlp

    def forward(self, x: Tensor) -> Tensor:
        y = self.attn(x)
        return self.mlp(y if isinstance(self.attn, SimulatedBlock) else x + y)


def _stays_as_loaded(block: nn.Module, _: object) -> None:
    """Keeps a block float that was float when its state was saved, as its scales tell."""
    assert isinstance(block, SimulatedBlock)
    if not all(of.clamps for of in block.maps().values()):
        block.stays, block.simulating = _BEYOND_SIX, False


def _rounded_to(x: Tensor, scale: float) -> Tensor:
    return x + ((x.detach() / scale).round() * scale - x).detach()
