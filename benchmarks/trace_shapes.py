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
from seaformer_kernels.modules import InvertedResidual, Mlp

SHAPES = Path(__file__).with_name("shapes")
SIZE = 512
COLUMNS = {
    "pointwise": "height width in_channels out_channels",
    "depthwise": "height width channels kernel_size stride",
    "inverted_residual": "height width in_channels hidden_channels out_channels kernel_size stride "
    "expands residual mlp",
}


def describe(module: nn.Module, x: Tensor) -> tuple[str, tuple[int, ...]] | None:
    """Kind and shape of a layer or block that read x; None for others."""
    if not isinstance(module, (nn.Conv2d, InvertedResidual, Mlp)):
        return None
    height, width = x.shape[-2:]
    if isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1) and module.groups == 1:
        return "pointwise", (height, width, module.in_channels, module.out_channels)
    if isinstance(module, nn.Conv2d) and module.groups > 1 and module.kernel_size[0] > 1:
        kernel, stride = module.kernel_size[0], module.stride[0]
        return "depthwise", (height, width, module.in_channels, kernel, stride)
    if isinstance(module, nn.Conv2d):
        return None
    if isinstance(module, InvertedResidual):
        first, depthwise = module.conv[0].c, module.conv[-3].c
        hidden, kernel, stride = depthwise.in_channels, depthwise.kernel_size[0], depthwise.stride[0]
        out, expands = module.conv[-1].c.out_channels, first is not depthwise
        sizes = (height, width, first.in_channels, hidden, out, kernel, stride)
        return "inverted_residual", (*sizes, int(expands), int(module.residual), 0)
    channels, hidden = x.shape[1], module.dwconv.in_channels
    return "inverted_residual", (height, width, channels, hidden, channels, 3, 1, 1, 1, 1)


def trace(variant: str) -> dict[tuple[str, tuple[int, ...]], str]:
    """(kind, shape) -> the first module of the variant that has it."""
    model = sk.create_model(variant)
    seen: dict[tuple[str, tuple[int, ...]], str] = {}

    def watch(name: str):
        def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            found = describe(module, inputs[0])
            if found is not None:
                seen.setdefault(found, f"{variant}.{name}")

        return hook

    for name, module in model.named_modules():
        module.register_forward_pre_hook(watch(name))
    with torch.no_grad():
        model(torch.zeros(1, 3, SIZE, SIZE))
    return seen


def main() -> None:
    rows: dict[str, list[tuple]] = {kind: [] for kind in COLUMNS}
    for variant in sk.list_models():
        for (kind, shape), name in trace(variant).items():
            rows[kind].append((name, *shape))
    SHAPES.mkdir(exist_ok=True)
    for kind, columns in COLUMNS.items():
        with (SHAPES / f"{kind}.csv").open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["module", *columns.split()])
            writer.writerows(rows[kind])


if __name__ == "__main__":
    main()
