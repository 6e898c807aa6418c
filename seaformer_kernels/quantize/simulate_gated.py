"""Blocks with gates in float32 that can behave as their int8 forms do; see simulate.py.

Their convolutions are of int8; what lies between these and a gate is float32 in both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seaformer_kernels import ops
from seaformer_kernels.fused import (
    Folded,
    FoldedLastFusion,
    FoldedSeaAttention,
    FusedFusionGate,
    FusedSeaAttention,
    FusedSegmentationHead,
)
from seaformer_kernels.modules.segmentation_head import fusions
from seaformer_kernels.quantize.layers import least_scale, quantize_to_float
from seaformer_kernels.quantize.simulate import (
    Convolution,
    Map,
    SimulatedBlock,
    straight_conv,
)

_SIXTH = 6.0  # a gate's ramp goes to 6, which a multiplier takes up


class SimulatedGatedBlock(SimulatedBlock):
    """What these blocks have in common."""

    def _layer_of_floats(self, conv: Convolution, of: Map, unit: float = 1.0) -> ops.Int8Layer:
        mean = of.mean if self.bias_correction else None
        return quantize_to_float(conv.weight, conv.bias, of.grid, unit, mean)

    def _to_floats(self, conv: Convolution, x: Tensor, of: Map) -> Tensor:
        """The convolution, when simulating with the weights that int8 has, straight through."""
        if not self.simulating:
            return conv(x)
        return straight_conv(conv, x, self._layer_of_floats(conv, of), of.grid, 1.0)


class SimulatedSeaAttention(SimulatedGatedBlock):
    """A `SeaAttention` with the residual of its layer.

    Args:
        folded: its convolutions.
        residual: whether the input is added to the output.
    """

    def __init__(self, folded: FoldedSeaAttention, residual: bool):
        super().__init__("SeaAttention")
        self.residual = residual
        self.num_heads = folded.num_heads
        self.keys, self.values = len(folded.queries.bias), len(folded.values.bias)
        self.input = Map()
        parts = (folded.queries, folded.keys, folded.values)
        self.all = Convolution(_joined(parts))
        self.queries_keys_values = Map()
        channels = len(folded.depthwise.bias)
        self.depthwise = Convolution(folded.depthwise, padding=1, groups=channels)
        self.hidden = Map("relu6")
        self.detail = Convolution(folded.detail)
        self.positions = nn.ParameterList(positions.clone() for positions in folded.positions)
        self.attended = Map("relu6")
        self.row, self.column = Convolution(folded.row), Convolution(folded.column)
        self.gated = Map("relu6")
        self.project = Convolution(folded.project)
        self.output = Map()

    def forward(self, x: Tensor) -> Tensor:
        self._know_ranges(x)
        x = self._passed("input", x)
        every = self._convolved(self.all, x, self.input, self.queries_keys_values)
        every = self._passed("queries_keys_values", every)
        hidden = self._convolved(self.depthwise, every, self.queries_keys_values, self.hidden)
        hidden = self._passed("hidden", F.relu6(hidden))
        detail = self._to_floats(self.detail, hidden, self.hidden)
        row = self._axis(every.mean(3), self.positions[:2])[..., None]
        column = self._axis(every.mean(2), self.positions[2:])[:, :, None]
        row = self._to_floats(self.row, self._passed("attended", row), self.attended)
        column = self._to_floats(self.column, self._passed("attended", column), self.attended)
        gated = self._passed("gated", F.relu6(every[:, 2 * self.keys :] + row + column))
        y = F.hardsigmoid(self._to_floats(self.project, gated, self.gated)) * detail
        return self._passed("output", x + y if self.residual else y)

    def _axis(self, means: Tensor, positions: Iterable[Tensor]) -> Tensor:
        """Attention along the last axis of means [B, queries, keys and values, L]."""
        learned = torch.cat([*positions], 1)
        learned = F.interpolate(learned, size=means.shape[-1], mode="linear", align_corners=False)
        queries, keys, values = means.split([self.keys, self.keys, self.values], 1)
        queries, keys = torch.cat([queries, keys], 1).add(learned).split(self.keys, 1)
        q, k, v = (t.unflatten(1, (self.num_heads, -1)) for t in (queries, keys, values))
        weights = (q.shape[2] ** -0.5 * torch.einsum("bhdi,bhdj->bhij", q, k)).softmax(3)
        return F.relu6(torch.einsum("bhij,bhdj->bhdi", weights, v).flatten(1, 2))

    def settle(self) -> None:
        every = self.queries_keys_values
        every.settle(least_scale(self.all.weight, self.all.bias, self.input.grid))
        self.hidden.settle(least_scale(self.depthwise.weight, self.depthwise.bias, every.grid))
        for of in (self.attended, self.gated, self.output):
            of.settle()

    def fused(self, dtype: torch.dtype) -> FusedSeaAttention:
        packed = self._packed() if dtype == torch.int8 else self._plain().packed(dtype)
        key_dim = self.keys // self.num_heads
        return FusedSeaAttention(packed, self.num_heads, key_dim, self.residual)

    def _sizes(self) -> list[int]:
        return [self.keys, self.keys, self.values]

    def _plain(self) -> FoldedSeaAttention:
        every = self.all.folded()
        weights, biases = every.weight.split(self._sizes()), every.bias.split(self._sizes())
        queries, keys, values = map(Folded, weights, biases)
        return FoldedSeaAttention(
            queries,
            keys,
            values,
            self.depthwise.folded(),
            self.detail.folded(),
            self.row.folded(),
            self.column.folded(),
            self.project.folded(),
            tuple(positions.detach() for positions in self.positions),
            self.num_heads,
        )

    def _packed(self) -> Tensor:
        output, gate = float(self.output.scale), float(self.gated.scale)
        every = self._int8(self.all, self.input, self.queries_keys_values)
        parts = (part.split(self._sizes()) for part in every)
        queries, keys, values = map(ops.Int8Layer, *parts)
        return ops.pack_int8_sea_attention(
            queries,
            keys,
            values,
            self._int8(self.depthwise, self.queries_keys_values, self.hidden),
            self._layer_of_floats(self.detail, self.hidden, _SIXTH * output),
            self._layer_of_floats(self.row, self.attended, gate),
            self._layer_of_floats(self.column, self.attended, gate),
            self._layer_of_floats(self.project, self.gated),
            [positions.detach() for positions in self.positions],
            num_heads=self.num_heads,
            input_scale=float(self.input.scale),
            output_scale=output,
            qkv_scale=float(self.queries_keys_values.scale),
            attended_scale=float(self.attended.scale),
            gate_scale=gate,
        )


class SimulatedFusionGate(SimulatedGatedBlock):
    """A `FusionGate`.

    Args:
        local, coarse: its convolutions.
    """

    reads = ("local", "coarse")

    def __init__(self, local: Folded, coarse: Folded):
        super().__init__("FusionGate")
        self.local, self.coarse = Map(), Map()
        self.local_conv, self.coarse_conv = Convolution(local), Convolution(coarse)
        self.output = Map()

    def forward(self, local_features: Tensor, global_features: Tensor) -> Tensor:
        self._know_ranges(local_features, global_features)
        return self._passed("output", self._gated(local_features, global_features))

    def _gated(self, local: Tensor, coarse: Tensor) -> Tensor:
        local, coarse = self._passed("local", local), self._passed("coarse", coarse)
        gate = F.interpolate(
            F.hardsigmoid(self._to_floats(self.coarse_conv, coarse, self.coarse)),
            size=local.shape[-2:],
            mode="bilinear",
            align_corners=False,
        )
        return self._to_floats(self.local_conv, local, self.local) * gate

    def settle(self) -> None:
        self.output.settle()

    def fused(self, dtype: torch.dtype) -> FusedFusionGate:
        if dtype == torch.int8:
            packed = ops.pack_int8_fusion_gate(
                *self._layers(),
                local_scale=float(self.local.scale),
                coarse_scale=float(self.coarse.scale),
                output_scale=float(self.output.scale),
            )
        else:
            local, coarse = self.local_conv.folded(), self.coarse_conv.folded()
            packed = ops.pack_fusion_gate(local.rounded(), coarse.rounded(), dtype=dtype)
        return FusedFusionGate(packed, len(self.local_conv.bias))

    def _layers(self) -> tuple[ops.Int8Layer, ops.Int8Layer]:
        unit = _SIXTH * float(self.output.scale)
        return (
            self._layer_of_floats(self.local_conv, self.local, unit),
            self._layer_of_floats(self.coarse_conv, self.coarse),
        )


class SimulatedLastFusion(SimulatedFusionGate):
    """What a `SegmentationHead` does from its last fusion on.

    Args:
        folded: its convolutions.
        dropout: before the classifier, in training.
    """

    def __init__(self, folded: FoldedLastFusion, dropout: nn.Module):
        super().__init__(folded.local, folded.coarse)
        self.kind = "SegmentationHead"
        self.output = Map("relu")  # the fused map
        self.shift = nn.Parameter(folded.shift.float())
        self.classifier = Convolution(folded.classifier)
        self.dropout = dropout

    def forward(self, local_features: Tensor, global_features: Tensor) -> Tensor:
        self._know_ranges(local_features, global_features)
        gated = self._gated(local_features, global_features)
        fused = self._passed("output", F.relu(gated + self.shift[:, None, None]))
        return self._to_floats(self.classifier, self.dropout(fused), self.output)

    def packed(self, dtype: torch.dtype) -> Tensor:
        """Weights for `ops.segmentation_head`."""
        if dtype != torch.int8:
            return FoldedLastFusion(
                self.local_conv.folded(),
                self.coarse_conv.folded(),
                self.shift.detach().double(),
                self.classifier.folded(),
            ).packed(dtype)
        local, coarse = self._layers()
        return ops.pack_int8_segmentation_head(
            local,
            coarse,
            (self.shift.detach().double() / float(self.output.scale)).float(),
            self._layer_of_floats(self.classifier, self.output),
            local_scale=float(self.local.scale),
            coarse_scale=float(self.coarse.scale),
        )


class SimulatedSegmentationHead(nn.Module):
    """A `SegmentationHead` whose last fusion is simulated.

    Args:
        last: that and what follows.
        gates: the fusions before it, finest first, each a module of local and coarse features.
    """

    def __init__(self, last: SimulatedLastFusion, gates: Iterable[nn.Module]):
        super().__init__()
        gates = list(gates)
        self.graph = fusions(len(gates) + 1).before_last()
        for step, gate in zip(self.graph.steps, gates, strict=True):
            self.add_module(step.path, gate)
        self.last = last

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        return self.last(*self.graph.run(self, *features))

    def fused(self, dtype: torch.dtype) -> FusedSegmentationHead:
        """The fused form, with the gates as they are."""
        gates = [self.get_submodule(step.path) for step in self.graph.steps]
        return FusedSegmentationHead(self.last.packed(dtype), len(self.last.classifier.bias), gates)


def _joined(parts: Sequence[Folded]) -> Folded:
    """Convolutions of one map as one."""
    return Folded(
        torch.cat([part.weight for part in parts]), torch.cat([part.bias for part in parts])
    )
