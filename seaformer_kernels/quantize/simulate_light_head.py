"""The light detection head, whose towers can behave as their int8 forms do."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seaformer_kernels.fused import FoldedLightHead, FusedPointwise
from seaformer_kernels.modules.retina_head import Maps, classes_and_boxes, shared_towers
from seaformer_kernels.quantize.simulate import Convolution, SimulatedInvertedResidual


class SimulatedLightHead(nn.Module):
    """A `LightHead` whose layers are simulated blocks, one for each level; its outputs are float.

    The batch norms of a level are folded in, so each level has weights and maps of its own.
    """

    def __init__(self, folded: FoldedLightHead):
        super().__init__()
        self.class_tower, self.box_tower = (
            nn.ModuleList(
                nn.ModuleList(
                    SimulatedInvertedResidual(block, False, "SeparableLayer") for block in levels
                )
                for levels in tower
            )
            for tower in (folded.class_tower, folded.box_tower)
        )
        self.class_out = Convolution(folded.class_out)
        self.box_out = Convolution(folded.box_out)
        self.depth, self.levels = len(folded.class_tower), len(folded.class_tower[0])
        self.graph = shared_towers(
            [[(f"{layer}.{level}",) for layer in range(self.depth)] for level in range(self.levels)]
        )

    def forward(self, levels: Sequence[Tensor]) -> Maps:
        return classes_and_boxes(self.graph.run(self, *levels))

    def blocks(self) -> dict[str, SimulatedInvertedResidual]:
        """Those of both towers, by their names here."""
        return {
            name: block
            for name, block in self.named_modules()
            if isinstance(block, SimulatedInvertedResidual)
        }

    def fused_outputs(self, dtype: torch.dtype) -> dict[str, FusedPointwise]:
        """What is behind the towers in this type, by its name here."""
        return {
            name: FusedPointwise.from_folded(conv.folded(), dtype=dtype)
            for name, conv in (("class_out", self.class_out), ("box_out", self.box_out))
        }
