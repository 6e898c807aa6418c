"""What a network would take with its inverted residuals run layer by layer, by the same kernels."""

from __future__ import annotations

import re
from collections import Counter

import seaformer_kernels as sk
from seaformer_kernels.bench.models import plain_model
from seaformer_kernels.modules.fused import FusedInvertedResidual, FusedMlp, FusedStemBlock

STEM_BLOCK = "planar-512"  # the layer of bench_stem_block that networks run


def _blocks(variant: str) -> dict[str, list[str]]:
    """By kernel the layers, as its program names them, whose blocks can be run layer by layer."""
    found: dict[str, list[str]] = {"inverted_residual": [], "stem_block": []}
    for name, module in sk.optimize(plain_model(variant, "logits")).named_modules():
        path = f"{variant}.{name.removeprefix('module.')}"
        # The transformer's blocks all have the sizes of the first.
        path = re.sub(r"(?<=transformer_blocks\.)\d+", "0", path)
        if isinstance(module, FusedInvertedResidual | FusedMlp):
            found["inverted_residual"].append(path)
        elif isinstance(module, FusedStemBlock):
            found["stem_block"].append(STEM_BLOCK)
            found["inverted_residual"].append(path.replace("stem_block", "layer1"))
    return found


def unfused(
    network: dict[str, dict[str, int]], variant: str, kernels: list[dict]
) -> dict[str, dict[str, int]] | None:
    """Counts and cache figures of the network plus what its blocks take more layer by layer.

    Args:
        network: `counts` and `cache` of the fused network, op by op.
        kernels: the rows of kernels' layers; where one of the blocks' is not among them there is
            no result.
    """
    measured = {(row["kernel"], row["layer"]): row for row in kernels}
    total = {figures: Counter(network[figures]) for figures in ("counts", "cache")}
    for kernel, layers in _blocks(variant).items():
        for layer in layers:
            fused = measured.get((kernel, layer))
            apart = measured.get((kernel, f"{layer}/unfused"))
            if fused is None or apart is None:
                return None
            for figures, sums in total.items():
                sums.update(apart[figures])
                sums.subtract(fused[figures])
    return {figures: dict(sums) for figures, sums in total.items()}
