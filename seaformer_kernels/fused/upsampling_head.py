"""The segmentation head that upsamples, with everything from its resize on as one op."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from seaformer_kernels import ops
from seaformer_kernels.fused.block import FusedBlock, Unservable, check_forward, check_forwards
from seaformer_kernels.fused.folding import Folded
from seaformer_kernels.fused.inverted_residual import FoldedInvertedResidual
from seaformer_kernels.fused.segmentation_head import classification
from seaformer_kernels.modules.segmentation_head import fusions
from seaformer_kernels.modules.upsampling_head import Doubling, UpsamplingHead


class FusedUpsamplingHead(FusedBlock):
    """An `UpsamplingHead` for inference; channels_last logits of the type of the weights out.

    Args:
        packed: from `ops.pack_upsampling_head`.
        num_classes: number of classes.
        gates: the fusions, finest first, each a module of local and coarse features.
        narrow: what makes the map that is resized.

    Attributes:
        graph: the steps from the feature maps to that map.
    """

    def __init__(
        self, packed: Tensor, num_classes: int, gates: Iterable[nn.Module], narrow: nn.Module
    ):
        super().__init__(packed=packed)
        self.num_classes = num_classes
        gates = list(gates)
        graph = fusions(len(gates))
        for step, gate in zip(graph.steps, gates, strict=True):
            self.add_module(step.path, gate)
        self.upsampler = nn.Sequential(OrderedDict(narrow=narrow))  # as the plain head names it
        self.graph = graph.then("upsampler.narrow")

    @classmethod
    def of(cls, head: UpsamplingHead, *, dtype: torch.dtype = torch.float32) -> FusedUpsamplingHead:
        """The fused form of a plain head, in this type.

        The gates and what is before the resize are its own.
        """
        check_forward(head, UpsamplingHead)
        parts = [head.get_submodule(step.path) for step in head.graph.steps]
        *gates, narrow, resize, widen = parts
        check_forwards(resize, Doubling)
        widening = FoldedInvertedResidual.of(widen)
        if widening.expand is not None or widening.stride != 1 or widen.residual:
            raise Unservable(
                "has an inverted residual behind its resize with an expansion, a stride or a "
                "residual"
            )
        fuse, classifier = classification(head)
        # scale * (W y + b) + shift = (scale * W) y + (scale * b + shift)
        project = widening.project.scaled(fuse.weight.flatten())
        project = Folded(project.weight, project.bias + fuse.bias)
        packed = ops.pack_upsampling_head(
            widening.depthwise.rounded(), project.rounded(), classifier.rounded(), dtype=dtype
        )
        return cls(packed, len(classifier.bias), gates, narrow)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        (x,) = self.graph.run(self, *features)
        return ops.upsampling_head(self.in_dtype(x), self.packed, self.num_classes)
