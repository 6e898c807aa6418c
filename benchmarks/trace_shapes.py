"""Writes benchmarks/shapes/: every layer and block of the family, as the models run them.

    python benchmarks/trace_shapes.py

One CSV file a kind; the benchmark programs in C++ and Python read them. The first column names the
variant and module; equal shapes stand once for each variant.
"""

from __future__ import annotations

import csv
from pathlib import Path

import torch
from torch import Tensor, nn

import seaformer_kernels as sk
from seaformer_kernels.modules import (
    ClassificationHead,
    FusionGate,
    InvertedResidual,
    Mlp,
    SeaAttention,
    Stem,
)

SHAPES = Path(__file__).with_name("shapes")
SIZES = {"segmentation": 512, "classification": 224}  # of images
COLUMNS = {
    "pointwise": "height width in_channels out_channels",
    "depthwise": "height width channels kernel_size stride",
    "inverted_residual": "height width in_channels hidden_channels out_channels kernel_size stride "
    "expands residual mlp",
    "stem": "height width out_channels",
    "sea_attention": "height width channels key_dim heads",
    "fusion_gate": "height width coarse_height coarse_width in_channels coarse_channels "
    "out_channels",
    "segmentation_head": "height width coarse_height coarse_width in_channels coarse_channels "
    "fused_channels classes",
    "classification_head": "height width channels classes",
}
# The convolutions of a classifier are those of its segmenter on another size of image.
KINDS = {
    "segmentation": [kind for kind in COLUMNS if kind != "classification_head"],
    "classification": ["classification_head"],
}
Found = tuple[str, tuple[int, ...]]  # kind and shape


def describe(module: nn.Module, x: Tensor, *others: Tensor) -> Found | None:
    """What a layer or block is that reads x; None for those that are not traced."""
    height, width = x.shape[-2:]
    if isinstance(module, nn.Conv2d):
        return describe_convolution(module, height, width)
    if isinstance(module, InvertedResidual):
        first, depthwise = module.conv[0].c, module.conv[-3].c
        hidden, out = depthwise.in_channels, module.conv[-1].c.out_channels
        sizes = (height, width, first.in_channels, hidden, out)
        kernel, stride = depthwise.kernel_size[0], depthwise.stride[0]
        flags = (int(first is not depthwise), int(module.residual), 0)
        return "inverted_residual", (*sizes, kernel, stride, *flags)
    if isinstance(module, Mlp):
        channels, hidden = x.shape[1], module.dwconv.in_channels
        return "inverted_residual", (height, width, channels, hidden, channels, 3, 1, 1, 1, 1)
    if isinstance(module, SeaAttention):
        heads = module.num_heads
        key_dim = module.to_q.c.out_channels // heads
        return "sea_attention", (height, width, x.shape[1], key_dim, heads)
    if isinstance(module, Stem):
        return "stem", (height, width, module[0].c.out_channels)
    if isinstance(module, FusionGate):
        (coarse,) = others
        channels = (x.shape[1], coarse.shape[1], module.local_embedding.conv.out_channels)
        return "fusion_gate", (height, width, *coarse.shape[-2:], *channels)
    if isinstance(module, ClassificationHead):
        return "classification_head", (height, width, x.shape[1], module.out_features)
    return None


def describe_convolution(conv: nn.Conv2d, height: int, width: int) -> Found | None:
    """What a convolution is; None for dense ones that are not 1x1, and 1x1 ones that are not."""
    if conv.kernel_size == (1, 1) and conv.groups == 1:
        return "pointwise", (height, width, conv.in_channels, conv.out_channels)
    if conv.kernel_size != (1, 1) and conv.groups > 1:
        shape = (height, width, conv.in_channels, conv.kernel_size[0], conv.stride[0])
        return "depthwise", shape
    return None


def trace(variant: str, task: str) -> dict[Found, str]:
    """The layers and blocks of a variant, each with the first module that has this shape."""
    model = sk.create_model(variant, task)
    seen: dict[Found, str] = {}

    def watch(name: str):
        def hook(module: nn.Module, inputs: tuple) -> None:
            found = describe(module, *inputs) if isinstance(inputs[0], Tensor) else None
            if found is not None and found[0] in KINDS[task]:
                seen.setdefault(found, f"{variant}.{name}")

        return hook

    for name, module in model.named_modules():
        module.register_forward_pre_hook(watch(name))
    with torch.no_grad():
        model(torch.zeros(1, 3, SIZES[task], SIZES[task]))
    if task == "segmentation":
        join_last_gate(seen, f"{variant}.decode_head", model.num_classes)
    return seen


def join_last_gate(seen: dict[Found, str], head: str, classes: int) -> None:
    """Puts a segmentation head in place of its last fusion gate, of which it is one op."""
    gates = [found for found in seen if found[0] == "fusion_gate"]
    del seen[gates[-1]]
    seen["segmentation_head", (*gates[-1][1], classes)] = head


def main() -> None:
    rows: dict[str, list[tuple]] = {kind: [] for kind in COLUMNS}
    for task in KINDS:
        for variant in sk.list_models():
            for (kind, shape), name in trace(variant, task).items():
                rows[kind].append((name, *shape))
    SHAPES.mkdir(exist_ok=True)
    for kind, columns in COLUMNS.items():
        with (SHAPES / f"{kind}.csv").open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["module", *columns.split()])
            writer.writerows(rows[kind])


if __name__ == "__main__":
    main()
