"""Calls of the block ops, each with the same in plain PyTorch layers."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import seaformer_kernels as sk
from seaformer_kernels.data import IMAGENET_MEAN, IMAGENET_STD
from seaformer_kernels.ops._element import ELEMENTS
from seaformer_kernels.ops._plan import element_at, memory_of
from seaformer_kernels.reference.upsample_argmax import upsample_argmax

ACTIVATIONS = {
    "none": lambda x: x,
    "relu": F.relu,
    "relu6": F.relu6,
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "silu": F.silu,
    "sigmoid": torch.sigmoid,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "leaky_relu(0.1)": lambda x: F.leaky_relu(x, 0.1),
}


@dataclass
class Case:
    """One call, `op(*inputs, packed, *arguments)`, and what it should answer.

    An op of two blocks takes the packed weights `behind`, too.
    """

    op: str
    inputs: tuple[Tensor, ...]
    packed: Tensor
    arguments: tuple
    expected: Callable[..., Tensor]  # of inputs, in their dtype
    behind: tuple[Tensor, ...] = ()

    def __call__(self, *inputs: Tensor, packed: Tensor | None = None) -> Tensor:
        """The op, as users call it."""
        return getattr(sk.ops, self.op)(*self.all_arguments(*inputs, packed=packed))

    def all_arguments(self, *inputs: Tensor, packed: Tensor | None = None) -> tuple:
        """What the op is called with."""
        packed = self.packed if packed is None else packed
        return (*(inputs or self.inputs), packed, *self.behind, *self.arguments)

    @property
    def dtype(self) -> torch.dtype:
        """Of what it answers and, but for images, of its inputs."""
        return ELEMENTS[element_at(memory_of(self.packed))]

    @property
    def overload(self) -> torch._ops.OpOverload:
        """The op, as torch registered it."""
        return getattr(torch.ops.seaformer, self.op).default

    def plain(self, *inputs: Tensor, packed: Tensor | None = None) -> Tensor:
        """What the op is where the extension is missing."""
        return plain_form(self.op)(*self.all_arguments(*inputs, packed=packed))

    def registered(self, *inputs: Tensor, packed: Tensor | None = None) -> Tensor:
        """The registered op, without the checks of `sk.ops`."""
        return self.overload(*self.all_arguments(*inputs, packed=packed))


def plain_form(op: str) -> Callable[..., object]:
    """The checks of an op, then its form in plain PyTorch."""
    suffix = "_labels" if op == "segmentation_labels" else ""
    module = importlib.import_module(
        f"seaformer_kernels.ops.{'segmentation_head' if suffix else op}"
    )
    fake = getattr(module, f"_fake{suffix}")
    names = (f"_plain{suffix}", "plain")
    plain = next((getattr(module, n) for n in names if hasattr(module, n)), upsample_argmax)

    def checked(*args: object) -> object:
        fake(*args)
        return plain(*args)

    return checked


class Call(nn.Module):
    """A module that does some work around the op of a case."""

    def __init__(self, case: Case):
        super().__init__()
        self.call = lambda *inputs: case(*inputs, packed=self.packed)
        self.register_buffer("packed", case.packed)

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.call(*(x + x for x in inputs)) * 0.5


class Random:
    """Tensors from a seed; weights hold values of a type, as float32."""

    def __init__(self, seed: int, dtype: torch.dtype = torch.float32):
        self._generator = torch.Generator().manual_seed(seed)
        self._dtype = dtype

    def tensor(self, *shape: int, scale: float = 1.0) -> Tensor:
        return scale * torch.randn(*shape, generator=self._generator)

    def weights(self, out: int, *rest: int) -> tuple[Tensor, Tensor]:
        """Weight and bias of outputs of about the inputs' size."""
        fan_in = torch.Size(rest).numel()
        parts = self.tensor(out, *rest, scale=fan_in**-0.5), self.tensor(out, scale=0.3)
        weight, bias = (part.to(self._dtype).float() for part in parts)
        return weight, bias


def conv(x: Tensor, weights: tuple[Tensor, Tensor], **options: int) -> Tensor:
    """conv2d in the dtype of x."""
    return F.conv2d(x, *(part.to(x.dtype) for part in weights), **options)


def stem(
    out: int = 16,
    batch: int = 1,
    h: int = 8,
    w: int = 8,
    normalise: bool = False,
    act: str = "relu",
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Case:
    random = Random(seed)
    weights = random.weights(out, 3, 3, 3)
    mean, std = (IMAGENET_MEAN, IMAGENET_STD) if normalise else (None, None)
    image = random.tensor(batch, 3, h, w)
    if normalise:
        image = image.mul(64).add(128).clamp(0, 255)

    def expected(x: Tensor) -> Tensor:
        if normalise:
            x = x if x.is_floating_point() else x.float()
            x = (x - x.new_tensor(mean).view(3, 1, 1)) / x.new_tensor(std).view(3, 1, 1)
        return ACTIVATIONS[act](conv(x, weights, stride=2, padding=1))

    packed = sk.ops.pack_stem(weights, mean=mean, std=std, activation=act, dtype=dtype)
    return Case("stem", (image,), packed, (out, dtype), expected)


def stem_block(
    channels: int = 16,
    out: int = 16,
    k: int = 3,
    stride: int = 1,
    *,
    residual: bool = False,
    batch: int = 1,
    h: int = 8,
    w: int = 8,
    normalise: bool = False,
    dtype: torch.dtype = torch.float32,
) -> Case:
    first = stem(channels, batch, h, w, normalise, dtype=dtype)
    second = inverted_residual(
        channels, None, out, k, stride, residual=residual, seed=1, dtype=dtype
    )
    return Case(
        "stem_block",
        first.inputs,
        first.packed,
        (*second.arguments, dtype),
        lambda x: second.expected(first.expected(x)),
        (second.packed,),
    )


def inverted_residual(
    channels: int = 8,
    hidden: int | None = 24,
    out: int = 8,
    k: int = 3,
    stride: int = 1,
    *,
    residual: bool = False,
    acts: tuple[str, str] | tuple[str, str, str] = ("relu", "relu"),
    padding: str = "symmetric",
    squeeze: tuple[int, str, str] | None = None,
    batch: int = 1,
    h: int = 7,
    w: int = 9,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Case:
    random = Random(seed, dtype)
    width = hidden or channels
    expand = random.weights(width, channels, 1, 1) if hidden else None
    depthwise, project = random.weights(width, 1, k, k), random.weights(out, width, 1, 1)
    last = (*acts, "none")[2]
    layers = None
    if squeeze:
        to = random.weights(squeeze[0], width, 1, 1), random.weights(width, squeeze[0], 1, 1)
        layers = sk.ops.SqueezeExcite(*to, *squeeze[1:])
    packed = sk.ops.pack_inverted_residual(
        expand,
        depthwise,
        project,
        stride=stride,
        expand_activation=acts[0],
        depthwise_activation=acts[1],
        project_activation=last,
        padding=padding,
        squeeze=layers,
        dtype=dtype,
    )

    def expected(x: Tensor) -> Tensor:
        y = ACTIVATIONS[acts[0]](conv(x, expand)) if expand else x
        y = padded(y, (k, k), stride, () if padding == "same" else (k // 2, k // 2), 1)
        y = conv(y, depthwise, stride=stride, groups=width)
        y = ACTIVATIONS[acts[1]](y)
        if layers:
            factors = conv(y.mean((2, 3), keepdim=True), layers.reduce)
            factors = conv(ACTIVATIONS[layers.activation](factors), layers.expand)
            y = y * ACTIVATIONS[layers.gate](factors)
        y = ACTIVATIONS[last](conv(y, project))
        return x + y if residual else y

    x = random.tensor(batch, channels, h, w, scale=3.0).to(dtype)
    return Case("inverted_residual", (x,), packed, (out, k, stride, residual), expected)


def gate(local: Tensor, coarse: Tensor, of_local: tuple, of_coarse: tuple) -> Tensor:
    opening = F.hardsigmoid(conv(coarse, of_coarse))
    return conv(local, of_local) * F.interpolate(
        opening, size=local.shape[-2:], mode="bilinear", align_corners=False
    )


def fusion_gate(
    local: int = 8,
    coarse: int = 12,
    out: int = 20,
    batch: int = 1,
    size: tuple[int, int] = (8, 8),
    coarse_size: tuple[int, int] = (3, 5),
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Case:
    random = Random(seed, dtype)
    weights = random.weights(out, local, 1, 1), random.weights(out, coarse, 1, 1)
    inputs = (
        random.tensor(batch, local, *size).to(dtype),
        random.tensor(batch, coarse, *coarse_size, scale=3.0).to(dtype),
    )
    packed = sk.ops.pack_fusion_gate(*weights, dtype=dtype)
    return Case("fusion_gate", inputs, packed, (out,), lambda x, y: gate(x, y, *weights))


def segmentation_head(
    local: int = 8,
    coarse: int = 12,
    fused: int = 20,
    classes: int = 19,
    batch: int = 1,
    size: tuple[int, int] = (8, 8),
    coarse_size: tuple[int, int] = (3, 5),
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Case:
    random = Random(seed, dtype)
    of_local, of_coarse = random.weights(fused, local, 1, 1), random.weights(fused, coarse, 1, 1)
    shift, classifier = random.tensor(fused), random.weights(classes, fused, 1, 1)
    inputs = (
        random.tensor(batch, local, *size).to(dtype),
        random.tensor(batch, coarse, *coarse_size, scale=3.0).to(dtype),
    )

    def expected(x: Tensor, y: Tensor) -> Tensor:
        z = gate(x, y, of_local, of_coarse) + shift.to(x.dtype)[:, None, None]
        return conv(F.relu(z), classifier)

    packed = sk.ops.pack_segmentation_head(of_local, of_coarse, shift, classifier, dtype=dtype)
    return Case("segmentation_head", inputs, packed, (classes,), expected)


def upsampling_head(
    channels: int = 9,
    fused: int = 20,
    classes: int = 19,
    k: int = 3,
    batch: int = 1,
    h: int = 5,
    w: int = 6,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Case:
    random = Random(seed, dtype)
    depthwise = random.weights(channels, 1, k, k)
    project, classifier = (
        random.weights(fused, channels, 1, 1),
        random.weights(classes, fused, 1, 1),
    )

    def expected(x: Tensor) -> Tensor:
        size = [2 * side for side in x.shape[2:]]
        y = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
        y = F.relu(conv(y, depthwise, padding=k // 2, groups=channels))
        return conv(F.relu(conv(y, project)), classifier)

    x = random.tensor(batch, channels, h, w, scale=3.0).to(dtype)
    packed = sk.ops.pack_upsampling_head(depthwise, project, classifier, dtype=dtype)
    return Case("upsampling_head", (x,), packed, (classes,), expected)


def classification_head(
    channels: int = 20,
    classes: int = 10,
    batch: int = 1,
    h: int = 4,
    w: int = 4,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Case:
    random = Random(seed, dtype)
    weights = random.weights(classes, channels)
    x = random.tensor(batch, channels, h, w).to(dtype)

    def expected(x: Tensor) -> Tensor:
        return F.linear(x.mean((2, 3)), *(part.to(x.dtype) for part in weights))

    packed = sk.ops.pack_classification_head(weights, dtype=dtype)
    return Case("classification_head", (x,), packed, (classes,), expected)


def pointwise(
    channels: int = 20,
    out: int = 18,
    act: str = "relu",
    batch: int = 1,
    h: int = 4,
    w: int = 5,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Case:
    random = Random(seed, dtype)
    weights = random.weights(out, channels, 1, 1)
    x = random.tensor(batch, channels, h, w, scale=3.0).to(dtype)
    packed = sk.ops.pack_pointwise(weights, activation=act, dtype=dtype)
    return Case("pointwise", (x,), packed, (out,), lambda x: ACTIVATIONS[act](conv(x, weights)))


def padded(x: Tensor, k: tuple[int, int], stride: int, padding: tuple, dilation: int) -> Tensor:
    """x with zeros around it; without padding as TensorFlow's "same" has them."""
    around = []
    for axis in (1, 0):  # as F.pad takes them
        if padding:
            around += [padding[axis]] * 2
            continue
        size = x.shape[2 + axis]
        out = math.ceil(size / stride)
        total = max((out - 1) * stride + dilation * (k[axis] - 1) + 1 - size, 0)
        around += [total // 2, total - total // 2]
    return F.pad(x, around)


def depthwise(
    channels: int = 9,
    k: int = 3,
    stride: int = 1,
    padding: str = "symmetric",
    act: str = "relu",
    batch: int = 1,
    h: int = 7,
    w: int = 9,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Case:
    random = Random(seed, dtype)
    weights = random.weights(channels, 1, k, k)
    packed = sk.ops.pack_depthwise(
        weights, stride=stride, padding=padding, activation=act, dtype=dtype
    )
    around = () if padding == "same" else (k // 2, k // 2)

    def expected(x: Tensor) -> Tensor:
        x = padded(x, (k, k), stride, around, 1)
        return ACTIVATIONS[act](conv(x, weights, stride=stride, groups=channels))

    x = random.tensor(batch, channels, h, w, scale=3.0).to(dtype)
    return Case("depthwise", (x,), packed, (k, stride), expected)


def convolution(
    channels: int = 8,
    out: int = 12,
    k: tuple[int, int] = (3, 3),
    stride: int = 1,
    padding: tuple = (1, 1),
    dilation: int = 1,
    act: str = "relu",
    batch: int = 1,
    h: int = 7,
    w: int = 9,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Case:
    random = Random(seed, dtype)
    weights = random.weights(out, channels, *k)
    packed = sk.ops.pack_convolution(
        weights,
        stride=stride,
        padding=padding or "same",
        dilation=dilation,
        activation=act,
        dtype=dtype,
    )

    def expected(x: Tensor) -> Tensor:
        x = padded(x, k, stride, padding, dilation)
        return ACTIVATIONS[act](conv(x, weights, stride=stride, dilation=dilation))

    x = random.tensor(batch, channels, h, w, scale=3.0).to(dtype)
    arguments = (out, list(k), stride, list(padding), dilation)
    return Case("convolution", (x,), packed, arguments, expected)


def sea_attention(
    channels: int = 8,
    heads: int = 2,
    key_dim: int = 4,
    value_dim: int = 8,
    batch: int = 1,
    size: tuple[int, int] = (5, 7),
    *,
    residual: bool = False,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Case:
    random = Random(seed, dtype)
    keys, values = heads * key_dim, heads * value_dim
    wide = 2 * keys + values
    qkv = [random.weights(width, channels, 1, 1) for width in (keys, keys, values)]
    depthwise = random.weights(wide, 1, 3, 3)
    detail = random.weights(channels, wide, 1, 1)
    row, column = random.weights(values, values, 1, 1), random.weights(values, values, 1, 1)
    project = random.weights(channels, values, 1, 1)
    positions = [random.tensor(1, keys, 16) for _ in range(4)]
    packed = sk.ops.pack_sea_attention(
        *qkv, depthwise, detail, row, column, project, positions, num_heads=heads, dtype=dtype
    )

    def attend(means: list[Tensor], learned: list[Tensor], weights: tuple) -> Tensor:
        length = means[0].shape[-1]
        for i in range(2):
            shift = F.interpolate(learned[i].to(means[i].dtype), length, mode="linear")
            means[i] = means[i] + shift
        q, k, v = (mean.unflatten(1, (heads, -1)) for mean in means)
        shares = (torch.einsum("bhdi,bhdj->bhij", q, k) / key_dim**0.5).softmax(3)
        out = torch.einsum("bhij,bhdj->bhdi", shares, v).flatten(1, 2)
        return conv(F.relu6(out)[..., None], weights)

    def expected(x: Tensor) -> Tensor:
        q, k, v = (conv(x, weights) for weights in qkv)
        details = F.relu6(conv(torch.cat([q, k, v], 1), depthwise, padding=1, groups=wide))
        rows = attend([y.mean(3) for y in (q, k, v)], positions[:2], row)
        columns = attend([y.mean(2) for y in (q, k, v)], positions[2:], column).transpose(2, 3)
        y = F.hardsigmoid(conv(F.relu6(v + rows + columns), project)) * conv(details, detail)
        return x + y if residual else y

    x = random.tensor(batch, channels, *size, scale=2.0).to(dtype)
    return Case("sea_attention", (x,), packed, (heads, key_dim, residual), expected)


# One call of each op, for what does not depend on sizes.
SIMPLE: dict[str, Callable[..., Case]] = {
    "stem": stem,
    "stem_block": stem_block,
    "inverted_residual": inverted_residual,
    "fusion_gate": fusion_gate,
    "segmentation_head": segmentation_head,
    "upsampling_head": upsampling_head,
    "classification_head": classification_head,
    "pointwise": pointwise,
    "depthwise": depthwise,
    "convolution": convolution,
    "sea_attention": sea_attention,
}
