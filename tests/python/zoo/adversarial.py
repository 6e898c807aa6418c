"""Modules that a rewriter by structure is likely to get wrong, each for one reason."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, prune, spectral_norm
from torch.nn.utils.parametrize import register_parametrization

from zoo.trained import noise

WIDTH = 8
SHAPE = (2, WIDTH, 12, 10)
CASES: dict[str, Case] = {}


@dataclass(frozen=True)
class Case:
    """One module.

    Attributes:
        make: constructor with fresh weights.
        inputs: makes the arguments of some calls.
        layouts: of maps among the inputs that are contiguous.
    """

    make: Callable[[], nn.Module]
    inputs: Callable[[], list[tuple]]
    layouts: tuple[torch.memory_format, ...] = (torch.contiguous_format, torch.channels_last)


def case(
    *shapes: tuple[int, ...], inputs: Callable[[], list[tuple]] | None = None, **options: object
):
    """Registers a module or a function that makes one; without anything, one map is the input."""

    def made() -> list[tuple]:
        return [(noise(*shape, seed=i),) for i, shape in enumerate(shapes or (SHAPE,), 1)]

    def register(make):
        CASES[make.__name__] = Case(make, inputs or made, **options)
        return make

    return register


def conv_bn(inp=WIDTH, out=WIDTH, kernel=1, stride=1, groups=1, act: nn.Module | None = None):
    """The sequence that everybody fuses."""
    conv = nn.Conv2d(inp, out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out), *([] if act is None else [act]))


def inverted_residual(inp=WIDTH, out=WIDTH, stride=1):
    """The block that everybody fuses, without its residual."""
    mid = 3 * inp
    return nn.Sequential(
        *conv_bn(inp, mid, act=nn.ReLU6(inplace=True)),
        *conv_bn(mid, mid, 3, stride, mid, act=nn.ReLU6(inplace=True)),
        *conv_bn(mid, out),
    )


class OneBlock(nn.Module):
    """What most of the modules here have."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(WIDTH)
        self.block = inverted_residual()
        self.pointwise = nn.Conv2d(WIDTH, WIDTH, 1)

    def forward(self, x):
        return self.block(F.relu(self.bn(self.conv(x))))


# Modules that are called in another way than usual.


@case()
def hook_that_changes_the_output():
    module = OneBlock()
    module.block[0].register_forward_hook(lambda module, args, y: y + 1)
    return module


@case()
def pre_hook_that_changes_the_input():
    module = OneBlock()
    module.bn.register_forward_pre_hook(lambda module, args: (args[0] * 2,))
    return module


@case()
def hook_on_an_activation():
    module = OneBlock()
    module.block[2].register_forward_hook(lambda module, args, y: y * 0.5)
    return module


@case()
def hook_on_a_sequence():
    module = OneBlock()
    module.block.register_forward_hook(lambda module, args, y: y.flip(1))
    return module


@case()
def hook_with_kwargs():
    module = OneBlock()
    module.block[3].register_forward_pre_hook(
        lambda module, args, kwargs: ((args[0] - 1,), kwargs), with_kwargs=True
    )
    return module


class Doubled(nn.Module):
    def forward(self, weight):
        return 2 * weight


@case()
def parametrized_weight():
    module = OneBlock()
    register_parametrization(module.block[0], "weight", Doubled())
    return module


@case()
def parametrized_batch_norm():
    module = OneBlock()
    register_parametrization(module.bn, "weight", Doubled())
    return module


@case()
def weight_norm_by_parametrization():
    module = OneBlock()
    parametrizations.weight_norm(module.conv)
    return module


@case()
def spectral_norm_by_hook():
    module = OneBlock()
    spectral_norm(module.block[6])
    return module


@case()
def pruned():
    module = OneBlock()
    prune.l1_unstructured(module.conv, "weight", amount=0.5)
    return module


@case()
def forward_of_the_instance():
    module = OneBlock()
    module.block.forward = module.conv.forward
    return module


@case()
class OwnCall(OneBlock):
    def __call__(self, x):
        return 3 * super().__call__(x)


@case()
class ForwardPastHooks(OneBlock):
    """Calls `forward` itself, so that the hook does not run."""

    def __init__(self):
        super().__init__()
        self.conv.register_forward_hook(lambda module, args, y: y + 100)

    def forward(self, x):
        return self.bn(self.conv.forward(x))


@case()
class SequenceWithOwnForward(nn.Sequential):
    def __init__(self):
        super().__init__(*inverted_residual())

    def forward(self, x):
        for i, layer in enumerate(self):
            if i != 3:
                x = layer(x)
        return x


# Branches.


@case()
class BranchOnGradMode(OneBlock):
    def forward(self, x):
        if torch.is_grad_enabled():
            return self.bn(self.conv(x))
        return self.block(x)


@case()
class BranchOnInferenceMode(OneBlock):
    def forward(self, x):
        if torch.is_inference_mode_enabled():
            return self.bn(self.conv(x))
        return self.block(x)


@case()
class BranchOnTraining(OneBlock):
    def forward(self, x):
        return self.block(x) if self.training else self.bn(self.conv(x))


@case((2, WIDTH, 12, 10), (1, WIDTH, 20, 20), (3, WIDTH, 12, 10))
class BranchOnSize(OneBlock):
    def forward(self, x):
        if x.shape[-1] > 16:
            return self.block(x)
        return self.bn(self.conv(x)) if x.size(0) > 2 else self.pointwise(x)


@case(inputs=lambda: [(noise(*SHAPE),), (noise(*SHAPE) + 1,), (noise(*SHAPE) - 1,)])
class BranchOnValues(OneBlock):
    def forward(self, x):
        return self.block(x) if x.mean() > 0.5 else self.bn(self.conv(x))


@case(inputs=lambda: [(noise(*SHAPE),), (noise(*SHAPE).to(memory_format=torch.channels_last),)])
class BranchOnLayout(OneBlock):
    """With a contiguous image, everything is contiguous in plain PyTorch."""

    def forward(self, x):
        contiguous = x.is_contiguous()
        x = self.block(x)
        return x + 1 if x.is_contiguous() == contiguous else x - 1


@case()
class BranchOnStrides(OneBlock):
    def forward(self, x):
        x = self.block(x)
        return x if x.stride(1) != 1 else -x


@case()
class BranchOnDtype(OneBlock):
    def forward(self, x):
        return self.block(x) if x.dtype in (torch.float32, torch.float64) else x


@case(inputs=lambda: [(noise(*SHAPE),), (None,)])
class OptionalInput(OneBlock):
    def forward(self, x=None):
        return self.block(torch.ones(1, WIDTH, 4, 4).to(self.conv.weight)) if x is None else x


class Flagged(OneBlock):
    """Whose `flag` users flip."""

    def __init__(self):
        super().__init__()
        self.flag = False

    def forward(self, x):
        x = self.block(x)
        return F.relu(x) if self.flag else self.bn(self.conv(x))


# Modules and weights in several places.


@case()
class SharedConv(OneBlock):
    def forward(self, x):
        return self.bn(self.conv(F.relu(self.conv(x))))


@case()
class SharedBlock(OneBlock):
    def forward(self, x):
        return self.block(F.avg_pool2d(self.block(x), 2))


@case()
class SharedBatchNorm(OneBlock):
    def forward(self, x):
        return self.bn(self.conv(x)) + self.bn(self.pointwise(x))


@case()
class SharedConvOwnBatchNorms(OneBlock):
    def __init__(self):
        super().__init__()
        self.other = nn.BatchNorm2d(WIDTH)

    def forward(self, x):
        return self.bn(self.conv(x)) - self.other(self.conv(x))


@case()
class SharedActivation(OneBlock):
    """One ReLU everywhere, as in ResNet."""

    def __init__(self):
        super().__init__()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.relu(self.pointwise(self.relu(self.bn(self.conv(x)))))


@case()
class SharedParameter(OneBlock):
    def __init__(self):
        super().__init__()
        self.other = nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False)
        self.other.weight = self.conv.weight

    def forward(self, x):
        return self.bn(self.conv(x)) + self.other(x)


@case()
class BatchNormWeightElsewhere(OneBlock):
    def forward(self, x):
        x = self.bn(self.conv(x))
        return x * self.bn.weight.view(1, -1, 1, 1) + self.bn.running_mean.view(1, -1, 1, 1)


@case()
class ConvWeightElsewhere(OneBlock):
    """What is folded into the weight must not show in its other use."""

    def forward(self, x):
        return self.bn(self.conv(x)) + F.conv2d(x, self.conv.weight, padding=1)


@case()
class WeightAsOutput(OneBlock):
    def forward(self, x):
        return self.bn(self.conv(x)), self.conv.weight.square().sum(), self.bn.weight.mean()


@case()
class ConvOutputElsewhere(OneBlock):
    def forward(self, x):
        y = self.conv(x)
        return F.relu(self.bn(y)) + y


@case()
class ConvOutputReturned(OneBlock):
    def forward(self, x):
        y = self.conv(x)
        return self.bn(y), y


@case()
class InnerMapReturned(OneBlock):
    def forward(self, x):
        maps = []
        for layer in self.block:
            x = layer(x)
            maps.append(x)
        return maps


@case()
class SlicedSequence(OneBlock):
    """Runs a part of a block, and the block."""

    def forward(self, x):
        return self.block[:5](x).mean(1, keepdim=True) + self.block(x)


# Writing in place.


@case()
class AddsInPlace(OneBlock):
    def forward(self, x):
        y = self.block(x)
        y += x
        return y


@case()
class AddsInPlaceUnderTwoNames(OneBlock):
    """What was summed is read again by the name that it had before."""

    def forward(self, x):
        y = self.block(x)
        z = y
        z += x
        return F.relu(y + z)


@case()
class WritesItsInput(OneBlock):
    """The caller sees it, and the residual is what was written."""

    def forward(self, x):
        y = self.block(x)
        x.add_(1)
        return y + x


@case()
class WritesItsInputFirst(OneBlock):
    def forward(self, x):
        return self.block(x.mul_(2)) + x


@case()
class ReluOnTheResidual(OneBlock):
    """In place, on the map that is also the residual."""

    def __init__(self):
        super().__init__()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        x = self.bn(self.conv(x))
        identity = x
        return self.block(self.relu(x)) + identity


@case()
class ReluOnTheInput(nn.Module):
    """As of pre-activation blocks; the caller sees it."""

    def __init__(self):
        super().__init__()
        self.relu = nn.ReLU(inplace=True)
        self.block = inverted_residual()

    def forward(self, x):
        return self.block(self.relu(x)) + x


@case()
class WritesThroughAView(OneBlock):
    def forward(self, x):
        x = self.pointwise(x)
        first, _ = x.chunk(2, dim=1)
        first.add_(1)
        return self.block(x) + x


@case()
class AssignsToASlice(OneBlock):
    def forward(self, x):
        x = self.block(x)
        x[:, ::2] = 0
        x[..., 0] *= 2
        return self.bn(self.conv(x))


@case()
class WritesBetweenConvAndNorm(OneBlock):
    def forward(self, x):
        y = self.conv(x)
        y.clamp_(min=-0.5)
        return self.bn(y)


@case()
class OutArgument(OneBlock):
    def forward(self, x):
        y = self.conv(x)
        torch.mul(y, 2, out=y)
        return self.bn(y)


# Dropout and what else is random.


@case()
class DropoutAtEvaluation(OneBlock):
    def forward(self, x):
        x = F.dropout(self.block(x), 0.5, training=self.training)
        return F.dropout2d(self.bn(self.conv(x)), 0.5, training=False)


class DropoutForever(OneBlock):
    """Monte Carlo dropout; its outputs are 0 or twice those of `undropped`."""

    def undropped(self, x):
        return F.relu(self.bn(self.conv(x)))

    def forward(self, x):
        return F.dropout(self.undropped(x), 0.5, training=True)


class DropoutModuleForever(DropoutForever):
    """As by a module that refuses to evaluate."""

    class _Dropout(nn.Dropout):
        def forward(self, x):
            return F.dropout(x, self.p, True)

    def __init__(self):
        super().__init__()
        self.dropout = self._Dropout(0.5)

    def forward(self, x):
        return self.dropout(self.undropped(x))


@case()
class StochasticDepth(OneBlock):
    def forward(self, x):
        if self.training and torch.rand(()) < 0.5:
            return x
        return x + self.block(x)


# Convolutions and norms that are not what they look like.


class StandardisedConv2d(nn.Conv2d):
    def forward(self, x):
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        weight = weight / (weight.std((1, 2, 3), keepdim=True) + 1e-5)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


@case()
def standardised_convolution():
    return nn.Sequential(StandardisedConv2d(8, 8, 1), nn.BatchNorm2d(8), nn.ReLU())


class ScaledConv2d(nn.Conv2d):
    def _conv_forward(self, x, weight, bias):
        return super()._conv_forward(x, 0.5 * weight, bias)


@case()
def convolution_with_own_inner_forward():
    return nn.Sequential(ScaledConv2d(8, 8, 1), nn.BatchNorm2d(8), nn.ReLU())


class OffsetBatchNorm2d(nn.BatchNorm2d):
    def forward(self, x):
        return super().forward(x) + 1


@case()
def batch_norm_with_own_forward():
    return nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), OffsetBatchNorm2d(8), nn.ReLU())


class SteepReLU(nn.ReLU):
    def forward(self, x):
        return super().forward(x) * 1.5


@case()
def activation_with_own_forward():
    return nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), SteepReLU())


def _convolution(name, *args, **kwargs):
    def make():
        conv = nn.Conv2d(8, *args, **kwargs)
        return nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels), nn.ReLU6(inplace=True))

    make.__name__ = f"convolution_{name}"
    case()(make)


for _mode in ("reflect", "circular", "replicate"):
    _convolution(f"padding_{_mode}", 8, 3, padding=1, padding_mode=_mode)
    _convolution(f"depthwise_padding_{_mode}", 8, 3, padding=1, padding_mode=_mode, groups=8)
_convolution("dilated", 8, 3, padding=2, dilation=2)
_convolution("depthwise_dilated", 8, 3, padding=2, dilation=2, groups=8)
_convolution("depthwise_dilated_one_way", 8, 3, padding=(2, 1), dilation=(2, 1), groups=8)
_convolution("1x3", 8, (1, 3), padding=(0, 1))
_convolution("depthwise_3x1", 8, (3, 1), padding=(1, 0), groups=8)
_convolution("depthwise_5x3", 8, (5, 3), padding=(2, 1), groups=8)
_convolution("depthwise_9x9", 8, 9, padding=4, groups=8)
_convolution("depthwise_even", 8, 4, padding=1, groups=8)
_convolution("depthwise_without_padding", 8, 3, groups=8)
_convolution("depthwise_much_padding", 8, 3, padding=3, groups=8)
_convolution("depthwise_uneven_stride", 8, 3, stride=(2, 1), padding=1, groups=8)
_convolution("depthwise_stride_3", 8, 5, stride=3, padding=2, groups=8)
_convolution("depthwise_multiplier", 16, 3, padding=1, groups=8)
_convolution("padding_same", 8, 3, padding="same")
_convolution("padding_valid", 8, 3, padding="valid", stride=2)
_convolution("pointwise_stride_2", 8, 1, stride=2)
_convolution("pointwise_padded", 8, 1, padding=1)
_convolution("pointwise_grouped", 16, 1, groups=4)
_convolution("grouped", 16, 3, padding=1, groups=2)
_convolution("with_bias", 8, 3, padding=1, bias=True)
_convolution("one_channel_out", 1, 1)


@case()
def transposed_convolution():
    return nn.Sequential(
        nn.ConvTranspose2d(8, 6, 3, stride=2, padding=1, output_padding=1, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
    )


@case()
def batch_norm_before():
    """Its shift does not pass through the zeros of the padding."""
    return nn.Sequential(nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU())


@case()
def two_batch_norms():
    return nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8), nn.BatchNorm2d(8), nn.ReLU())


@case()
def batch_norm_behind_the_activation():
    return nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(8))


@case()
def batch_norm_without_affine():
    return nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8, affine=False), nn.ReLU())


@case()
def batch_norm_of_the_batch():
    """In training mode forever."""
    return nn.Sequential(
        nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8, track_running_stats=False), nn.ReLU()
    )


@case()
class FunctionalBatchNormOfTheBatch(OneBlock):
    def forward(self, x):
        bn = self.bn
        return F.relu(F.batch_norm(self.conv(x), None, None, bn.weight, bn.bias, True, 0.1, bn.eps))


@case()
class FunctionalBatchNormWithAnotherEps(OneBlock):
    def forward(self, x):
        bn = self.bn
        mean, var = bn.running_mean, bn.running_var
        return F.batch_norm(self.conv(x), mean, var, bn.weight, bn.bias, eps=0.1)


@case()
class FunctionalBatchNormSwapped(OneBlock):
    """Weight and bias the other way round."""

    def forward(self, x):
        bn = self.bn
        y = self.conv(x)
        return F.batch_norm(y, running_mean=bn.running_mean, running_var=bn.running_var,
                            weight=bn.bias, bias=bn.weight)  # fmt: skip


@case()
def other_norms():
    return nn.Sequential(
        nn.Conv2d(8, 8, 1), nn.GroupNorm(2, 8), nn.ReLU(), nn.Conv2d(8, 8, 1),
        nn.InstanceNorm2d(8, affine=True), nn.ReLU6(),
    )  # fmt: skip


@case()
def batch_norm_with_large_eps():
    return nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8, eps=0.5), nn.ReLU())


# Activations that look like others.


def _activation(name: str, act: Callable[[Tensor], Tensor] | nn.Module):
    class Activated(OneBlock):
        def __init__(self):
            super().__init__()
            if isinstance(act, nn.Module):
                self.act = act

        def forward(self, x):
            one = self.act if isinstance(act, nn.Module) else act
            x = one(self.bn(self.conv(x)))
            return one(self.block(x)), one(self.pointwise(x))

    Activated.__name__ = f"activation_{name}"
    Activated.__qualname__ = Activated.__name__
    globals()[Activated.__name__] = Activated  # so that it pickles
    case()(Activated)


def _in_place(x: Tensor) -> Tensor:
    F.hardswish(x, inplace=True)
    return x


_activation("clamp_0_5", lambda x: x.clamp(0, 5))
_activation("clamp_0_6", lambda x: torch.clamp(x, 0, 6))
_activation("clamp_min", lambda x: x.clamp(min=0))
_activation("clamp_min_1", lambda x: x.clamp_min(0.1))
_activation("hardtanh", nn.Hardtanh())
_activation("hardtanh_0_6", nn.Hardtanh(0.0, 6.0))
_activation("hardtanh_0_2", F.hardtanh_)
_activation("threshold", nn.Threshold(0.1, 20.0))
_activation("maximum", lambda x: torch.maximum(x, torch.zeros_like(x)))
_activation("leaky_relu", nn.LeakyReLU())
_activation("leaky_relu_02", nn.LeakyReLU(0.2, inplace=True))
_activation("prelu", nn.PReLU(WIDTH))
_activation("elu", nn.ELU())
_activation("hardswish", nn.Hardswish(inplace=True))
_activation("hardswish_in_place", _in_place)
_activation("hardswish_by_hand", lambda x: x * F.relu6(x + 3) / 6)
_activation("hardswish_by_hand_reordered", lambda x: x * (F.relu6(x + 3.0) * (1 / 6)))
_activation("hardswish_off_by_one", lambda x: x * F.relu6(x + 2) / 6)
_activation("hardswish_not_divided", lambda x: x * F.relu6(x + 3) / 5)
_activation("hardswish_of_another", lambda x: x.flip(1) * F.relu6(x + 3) / 6)
_activation("hardsigmoid", nn.Hardsigmoid())
_activation("hardsigmoid_by_hand", lambda x: F.relu6(x + 3) / 6)
_activation("hardsigmoid_of_keras", lambda x: (0.2 * x + 0.5).clamp(0, 1))
_activation("silu", nn.SiLU(inplace=True))
_activation("silu_by_hand", lambda x: x * torch.sigmoid(x))
_activation("silu_in_place", lambda x: x.mul_(x.sigmoid()))
_activation("quick_gelu", lambda x: x * torch.sigmoid(1.702 * x))
_activation("gelu", nn.GELU())
_activation("gelu_tanh", nn.GELU(approximate="tanh"))
_activation("mish", nn.Mish())
_activation("softplus", nn.Softplus())
_activation("sigmoid", torch.sigmoid)
_activation("relu_squared", lambda x: F.relu(x).square())


# Side effects.


@case()
class StoresAFeature(OneBlock):
    def forward(self, x):
        self.feature = F.relu(self.bn(self.conv(x)))
        return self.block(self.feature)


@case()
class Counts(OneBlock):
    """In a buffer, a list and a number, and its output depends on them."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.seen, self.number = [], 0

    def forward(self, x):
        self.calls += 1
        self.number += 1
        self.seen.append(tuple(x.shape))
        return self.block(x) * self.calls + self.number


@case(SHAPE, (1, WIDTH, 5, 7), SHAPE)
class LazyBuffer(OneBlock):
    """Positions that are made for the first size, and again for each new one."""

    def __init__(self):
        super().__init__()
        self.positions = None

    def forward(self, x):
        h, w = x.shape[-2:]
        if self.positions is None or self.positions.shape != (h, w):
            self.positions = torch.arange(h * w, dtype=torch.float32).view(h, w) / (h * w)
        return self.block(x) + self.positions


@case()
class MovingAverage(OneBlock):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(1, WIDTH, 1, 1))

    def forward(self, x):
        x = self.block(x)
        self.mean.lerp_(x.mean((0, 2, 3), keepdim=True), 0.1)
        return x - self.mean


# What goes in and out.


@case(inputs=lambda: [(noise(*SHAPE), noise(*SHAPE, seed=1)), (noise(*SHAPE), None, 2.0)])
class SeveralInputs(OneBlock):
    def forward(self, x, skip=None, scale=1.0, *, relu=True):
        x = self.block(x) * scale
        if skip is not None:
            x = x + skip
        return F.relu(x) if relu else x


@case(inputs=lambda: [({"image": noise(*SHAPE), "sizes": [3, 4]},)])
class DictInput(OneBlock):
    def forward(self, batch):
        return {"map": self.block(batch["image"]), "sizes": batch["sizes"], "name": "a"}


Pair = namedtuple("Pair", "low high")


@case()
class NamedTupleOutput(OneBlock):
    def forward(self, x):
        return Pair(self.bn(self.conv(x)), self.block(x))


@case()
class ReturnsItsInput(OneBlock):
    def forward(self, x):
        return x


@case()
class InputAmongOutputs(OneBlock):
    def forward(self, x):
        return [x, self.block(x), (x.shape, 3)]


@case()
class DoubleInside(OneBlock):
    def forward(self, x):
        y = self.block(x).double()
        return (y - y.mean()).to(x.dtype) + self.pointwise(x)


@case(inputs=lambda: [(noise(WIDTH, 12, 10),)])
class WithoutBatch(OneBlock):
    """Convolutions take maps [C, H, W] too."""

    def forward(self, x):
        return F.relu(self.pointwise(F.relu(self.conv(x))))


@case((0, WIDTH, 12, 10), (1, WIDTH, 1, 1), (5, WIDTH, 2, 33))
class OddShapes(OneBlock):
    pass


@case(
    inputs=lambda: [
        (noise(2, 2 * WIDTH, 12, 10)[:, ::2],),
        (noise(2, WIDTH, 24, 30)[:, :, ::2, ::3],),
        (noise(2, WIDTH, 10, 12).transpose(2, 3),),
        (noise(1, WIDTH, 1, 1).expand(2, -1, 12, 10),),
        (noise(2, 12, 10, 2 * WIDTH).permute(0, 3, 1, 2)[:, :WIDTH],),
    ]
)
class OddStrides(OneBlock):
    pass


def _special() -> list[tuple]:
    maps = []
    for value in (float("nan"), float("inf"), -float("inf")):
        x = noise(*SHAPE)
        x[1, 3, 5, 5] = value
        maps.append((x,))
    return maps


@case(inputs=_special)
class SpecialValues(OneBlock):
    def forward(self, x):
        x = F.hardswish(self.pointwise(x)) + F.silu(x) + F.relu6(x)
        return x + self.bn(F.relu(self.conv(x)))


# Residuals that are not.


@case()
class ResidualOfAnotherMap(OneBlock):
    def forward(self, x):
        return self.block(F.relu(x)) + x


@case()
class ResidualTwice(OneBlock):
    def forward(self, x):
        return self.block(x) + 2 * x


@case()
class ResidualSubtracted(OneBlock):
    def forward(self, x):
        return torch.sub(self.block(x), x), x - self.block(x)


@case()
class ResidualWithAlpha(OneBlock):
    def forward(self, x):
        return torch.add(self.block(x), x, alpha=3)


@case()
class ResidualBroadcast(OneBlock):
    def forward(self, x):
        return self.block(x) + x.mean((2, 3), keepdim=True) + x[:1] + x[:, :1]


@case((1, WIDTH, 12, 10), (1, WIDTH, 1, 1))
class ResidualOfAShrunkMap(nn.Module):
    """Which fits by broadcasting where the map is a single pixel."""

    def __init__(self):
        super().__init__()
        self.block = inverted_residual(stride=2)

    def forward(self, x):
        y = self.block(x)
        return y + F.interpolate(x, size=y.shape[-2:], mode="nearest")


@case()
class ResidualAcrossAnActivation(OneBlock):
    def forward(self, x):
        return F.relu(self.block(x)) + x


@case()
class GateOfAnotherMap(OneBlock):
    """Squeeze-and-excite whose gate is of another map than it scales."""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(WIDTH, 4, 1), nn.Conv2d(4, WIDTH, 1)

    def forward(self, x):
        y = F.relu(self.bn(self.conv(x)))
        gate = self.fc2(F.relu(self.fc1(F.adaptive_avg_pool2d(x, 1)))).sigmoid()
        return self.pointwise(y * gate)


@case()
class GateOfTheMaximum(GateOfAnotherMap):
    def forward(self, x):
        y = F.relu(self.bn(self.conv(x)))
        gate = self.fc2(F.relu(self.fc1(F.adaptive_max_pool2d(y, 1)))).sigmoid()
        return self.pointwise(y * gate)


@case()
class GateOfPixels(GateOfAnotherMap):
    def forward(self, x):
        y = F.relu(self.bn(self.conv(x)))
        return self.pointwise(y * self.fc2(F.relu(self.fc1(y.mean(1, keepdim=True).expand_as(y)))))


# Code that knows the layout of memory.


@case(layouts=(torch.contiguous_format,))
class ViewsBehindABlock(OneBlock):
    def forward(self, x):
        y = self.block(x)
        return y.view(y.size(0), -1), y.view(y.size(0), 2, 4, *y.shape[2:]).sum(2)


@case(layouts=(torch.contiguous_format,))
class ViewsBehindAConvolution(OneBlock):
    def forward(self, x):
        y = F.relu(self.bn(self.conv(x)))
        return y.view(-1), y.view(*y.shape[:2], -1).softmax(-1)


@case()
class ContiguousDemanded(OneBlock):
    def forward(self, x):
        y = self.block(x)
        if x.is_contiguous() and not y.is_contiguous():
            raise ValueError("Expected a contiguous map.")
        return self.bn(self.conv(y))


@case()
class Shuffles(OneBlock):
    def forward(self, x):
        y = self.block(x)
        y = y.view(y.size(0), 2, 4, y.size(2), y.size(3)).transpose(1, 2)
        return self.block(y.reshape(x.shape))


# Ways to write a forward.


@case()
class LoopsOverAttributes(OneBlock):
    def __init__(self):
        super().__init__()
        self.count = 3
        for i in range(self.count):
            setattr(self, f"block{i}", inverted_residual())
        self.extra = nn.ModuleDict({"a": conv_bn(), "b": nn.Identity()})

    def forward(self, x):
        for i in range(self.count):
            x = x + getattr(self, f"block{i}")(x)
        for module in reversed(self.extra.values()):
            x = module(x)
        return x


@case()
class OtherMethods(OneBlock):
    def features(self, x):
        return self.block(x)

    def forward(self, *args, **kwargs):
        try:
            return self.features(*args, **kwargs).unknown
        except AttributeError:
            return self.features(*args)


@case()
class WithoutGrad(OneBlock):
    @torch.no_grad()
    def forward(self, x):
        return self.block(x)


@case()
class FrozenInside(OneBlock):
    """Sets modes of its parts in each call, as code that freezes batch norms does."""

    def forward(self, x):
        self.bn.eval()
        return self.block(self.bn(self.conv(x)))


@case()
class Permuted(OneBlock):
    """Linear layers on the last axis, convolutions between."""

    def __init__(self):
        super().__init__()
        self.norm, self.linear = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        y = self.linear(self.norm(self.block(x).permute(0, 2, 3, 1)))
        return self.conv(y.permute(0, 3, 1, 2))


@case((2, WIDTH, 8, 8))
class NotTheAxisOfChannels(OneBlock):
    """Concatenates, averages and softmaxes along the wrong axis."""

    def forward(self, x):
        y = self.block(x)
        y = torch.cat([y, x], dim=2).mean(dim=(1, 3), keepdim=True) + y.repeat(1, 1, 2, 1)
        return self.conv(y).softmax(dim=2), y.argmax(dim=3)


@case()
class ResizesOtherwise(OneBlock):
    """Resize and argmax in ways that the labels' kernel does not have."""

    def forward(self, x):
        y = self.pointwise(x)
        size = (30, 23)
        near = F.interpolate(y, size=size, mode="nearest").argmax(1)
        cubic = F.interpolate(y, size=size, mode="bicubic", align_corners=False).argmax(1)
        kept = F.interpolate(y, size=size, mode="bilinear").argmax(1, keepdim=True)
        flat = F.interpolate(y, scale_factor=2.5, mode="bilinear").flatten(1).argmax(1)
        rows = F.interpolate(y, size=size, mode="bilinear").argmax(2)
        least = F.interpolate(y, size=size, mode="bilinear").argmin(1)
        return near, cubic, kept, flat, rows, least


@case()
class ResizedAndUsed(OneBlock):
    """Labels, and the resized logits too."""

    def forward(self, x):
        y = F.interpolate(self.pointwise(x), size=(30, 23), mode="bilinear", align_corners=True)
        best, labels = y.softmax(1).max(dim=1)
        return best, labels, y.argmax(dim=1), y
