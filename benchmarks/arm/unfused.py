"""What a network would take with its blocks run layer by layer, by the same kernels."""

from __future__ import annotations

import functools
import re
import sys
from collections import Counter
from pathlib import Path

import count_model

sys.path.append(str(Path(__file__).resolve().parents[1]))
import traced

from seaformer_kernels.fused import (
    FusedFusionGate,
    FusedInvertedResidual,
    FusedMlp,
    FusedSeaAttention,
    FusedSegmentationHead,
    FusedStemBlock,
)

STEM_BLOCK = "planar-512"  # the layer of bench_stem_block that networks run


def _measured_for(variant: str) -> dict[str, str]:
    """By inverted residual of a variant the layer measured for it: the first of the same sizes."""
    first = {shape.text: shape.module for shape in traced.shapes("inverted_residual")}
    own = traced.shapes("inverted_residual", variant)
    return {shape.module: first[shape.text] for shape in own}


@functools.cache
def _blocks(variant: str) -> list[tuple[str, str, str]]:
    """Part, kernel and layer, as the kernel's program names it, of what can run layer by layer."""
    measured_for = _measured_for(variant)
    found = []
    for name, (block, part) in count_model.blocks(variant).items():
        # The transformer's blocks all have the sizes of the first.
        layer = re.sub(r"(?<=transformer_blocks\.)\d+", "0", f"{variant}.{name}")
        if isinstance(block, FusedInvertedResidual | FusedMlp):
            found.append((part, "inverted_residual", measured_for[layer]))
        elif isinstance(block, FusedSeaAttention):
            found.append((part, "sea_attention", layer))
        elif isinstance(block, FusedFusionGate | FusedSegmentationHead):
            found.append((part, "segmentation_head", layer))
        elif isinstance(block, FusedStemBlock):
            found.append((part, "stem_block", STEM_BLOCK))
            behind = layer.replace("stem_block", "layer1")
            found.append((part, "inverted_residual", measured_for[behind]))
    return found


def unfused(row: dict, kernels: list[dict]) -> dict[str, dict[str, int]] | None:
    """Counts and cache figures of a row plus what its blocks take more layer by layer.

    Args:
        row: of a fused network, op by op, or of its `part`.
        kernels: the rows of kernels' layers; where one of the blocks' is not among them, or there
            is no such block, there is no result.
    """
    measured = {(row["kernel"], row["layer"]): row for row in kernels if row["dtype"] == "float32"}
    total = {figures: Counter(row[figures]) for figures in ("counts", "cache")}
    layers = [
        (kernel, layer)
        for part, kernel, layer in _blocks(row["model"])
        if row.get("part", part) == part
    ]
    for kernel, layer in layers:
        fused = measured.get((kernel, layer))
        apart = measured.get((kernel, f"{layer}/unfused"))
        if fused is None or apart is None:
            return None
        for figures, sums in total.items():
            sums.update(apart[figures])
            sums.subtract(fused[figures])
    return {figures: dict(sums) for figures, sums in total.items()} if layers else None
