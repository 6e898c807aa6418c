"""A model of fused blocks as the steps of a plan, whatever its classes are called."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import fx, nn
from torch.nn import functional as F

from seaformer_kernels import ops
from seaformer_kernels.fused import (
    FusedAttention,
    FusedBlock,
    FusedClassificationHead,
    FusedFusionGate,
    FusedPointwise,
    FusedSegmentationHead,
    FusedStemBlock,
    Unservable,
)
from seaformer_kernels.graph import Untraceable, trace
from seaformer_kernels.ops._facts import packed_facts
from seaformer_kernels.optimize.structure.read import Values, is_leaf
from seaformer_kernels.optimize.structure.rules import argument, is_vector, pair
from seaformer_kernels.optimize.structure.sizes import divided
from seaformer_kernels.optimize.structure.values import (
    Activated,
    Averaged,
    Called,
    Convolution,
    Given,
    Labels,
    Linear,
    Mean,
    Product,
    Reshaped,
    Resized,
    Slice,
    Sum,
    Value,
)


@dataclass(frozen=True)
class Output:
    """The place of a map in what a model returns.

    Attributes:
        number: which of the maps that come out of the plan.
        is_vector: whether it has lost the axes of a map.
    """

    number: int
    is_vector: bool = False


class PlannedModel:
    """The steps of a model.

    Args:
        module: of fused blocks and what there are steps for between them.

    Attributes:
        steps: in the order in which they run.
        task: classification if a vector comes out, segmentation if it is one map, else MAP.
        outputs: the maps that come out, each once.
        num_classes: channels of the first of them.
        gives_labels: whether the model makes labels, at the image's size, of that map.
        nest: what the model returns, with an `Output` in the place of every map.
        normalizes: whether the first step takes raw RGB values.

    Raises:
        Unservable: something else is in it.
    """

    def __init__(self, module: nn.Module):
        try:
            graph = trace(module, is_leaf)
            self._values = Values(graph, module)
        except Untraceable as reason:
            raise Unservable(str(reason)) from None
        self._module = module
        self.steps: list[ops.Step] = []
        self.normalizes = False
        self._maps: dict[Value, tuple[int, int]] = {}  # numbers and channels
        self._channels: dict[int, int] = {}  # of those that come out
        if len(self._values.given) != 1:
            raise Unservable("takes other things than one tensor")
        self.gives_labels = False
        self.outputs: list[int] = []
        self.nest = self._nest(self._values.result)
        if not self.outputs:
            raise Unservable("gives no map")
        self.num_classes = self._channels[self.outputs[0]]
        self.task = ops.Task.MAP
        if isinstance(self.nest, Output):
            vector = self.nest.is_vector
            self.task = ops.Task.CLASSIFICATION if vector else ops.Task.SEGMENTATION

    def _nest(self, result: object) -> object:
        """What comes out, whose steps it adds."""
        if isinstance(result, fx.Node):
            return self._output(result)
        if isinstance(result, tuple) and hasattr(result, "_fields"):
            return type(result)(*map(self._nest, result))
        if isinstance(result, list | tuple):
            return (list if isinstance(result, list) else tuple)(map(self._nest, result))
        if isinstance(result, dict):
            return {key: self._nest(value) for key, value in result.items()}
        if result is None:
            return None
        raise Unservable(f"gives other things than maps ({type(result).__name__})")

    def _output(self, node: fx.Node) -> Output:
        output = self._values[node]
        logits = self._logits(output)
        if logits is not output:
            if node is not self._values.result:
                raise Unservable("gives labels among other things")
            self.gives_labels = True
        number, channels = self._map(logits)
        if number == 0:
            raise Unservable("gives its image")
        if number not in self.outputs:
            self.outputs.append(number)
            self._channels[number] = channels
        return Output(self.outputs.index(number), _is_flat(logits))

    def _logits(self, output: Value) -> Value:
        """What labels are made of, or the output itself."""
        if not isinstance(output, Labels):
            return output
        scores = output.scores
        bilinear = isinstance(scores, Resized) and scores.is_bilinear
        if bilinear and self._like(scores) is self._values.given[0]:
            return scores.inputs[0]
        raise Unservable("makes labels of another size than the image's")

    def _map(self, value: Value) -> tuple[int, int]:
        """The number and the channels of a map, of which it adds the steps."""
        if value not in self._maps:
            self._maps[value] = self._add(value)
        return self._maps[value]

    def _step(self, packed: torch.Tensor, inputs: tuple[int, ...], residual: bool = False) -> int:
        self.steps.append(ops.Step(packed, inputs, residual))
        return len(self.steps)

    def _add(self, value: Value) -> tuple[int, int]:
        if isinstance(value, Given):
            return 0, 3
        if isinstance(value, Linear) and value.is_identity:
            return self._map(value.inputs[0])
        if isinstance(value, Called):
            return self._called(value)
        if isinstance(value, Convolution) and value.is_pointwise:  # a linear layer, if it is left
            (number, _) = self._map(value.inputs[0])
            packed = ops.pack_pointwise(value.folded.rounded(), activation=value.activation)
            return self._step(packed, (number,)), len(value.folded.bias)
        if isinstance(value, Activated) and isinstance(value.inputs[0], Sum):
            return self._sum(value.inputs[0], value.activation)
        if isinstance(value, Sum):
            return self._sum(value, "none")
        if isinstance(value, Activated):
            number, channels = self._map(value.inputs[0])
            dtype = ops.common_dtype(self.steps, [number])
            packed = ops.pack_activate(channels, value.activation, dtype=dtype)
            return self._step(packed, (number,)), channels
        if isinstance(value, Mean):
            number, channels = self._map(value.inputs[0])
            return self._step(ops.pack_global_pool(channels), (number,)), channels
        if isinstance(value, Product) and is_vector(value.inputs[1]):
            (number, channels), (vector, _) = map(self._map, value.inputs)
            return self._step(ops.pack_scale(channels), (number, vector)), channels
        if isinstance(value, Resized):
            return self._resized(value)
        if isinstance(value, Averaged):
            (number, channels), (like, width) = map(self._map, (value.inputs[0], value.like))
            packed = ops.pack_adaptive_pool(channels, width, value.stride)
            return self._step(packed, (number, like)), channels
        if isinstance(value, Slice):
            number, channels = self._map(value.inputs[0])
            kept = range(channels)[value.channels]
            dtype = ops.common_dtype(self.steps, [number])
            packed = ops.pack_slice(channels, kept.start, len(kept), dtype=dtype)
            return self._step(packed, (number,)), len(kept)
        return self._other(value)

    def _called(self, value: Called) -> tuple[int, int]:
        block = value.block
        if isinstance(block, FusedSegmentationHead) and len(block.graph.steps):
            raise Unservable("has a head with gates of its own")
        numbers = tuple(self._map(x)[0] for x in value.inputs)
        self.normalizes |= getattr(block, "normalizes", False)
        number = self._blocks(block, numbers)
        facts = packed_facts(self.steps[-1].packed)
        width = facts["classes" if isinstance(block, FusedSegmentationHead) else "out_channels"]
        return number, int(width)

    def _blocks(self, block: FusedBlock, maps: tuple[int, ...]) -> int:
        for packed, residual in parts_of(block):
            maps = (self._step(packed, maps, residual),)
        return maps[0]

    def _sum(self, value: Sum, activation: str) -> tuple[int, int]:
        for resized, other in (value.inputs, value.inputs[::-1]) if activation == "none" else ():
            if self._is_resized_to(resized, other) and resized.used_only_by(set(value.nodes)):
                number, channels = self._map(resized.inputs[0])
                like, width = self._map(other)
                if channels == width:
                    how = {"mode": resized.mode, "align_corners": resized.align_corners}
                    packed = ops.pack_resize_add(channels, **how)
                    return self._step(packed, (number, like)), channels
        (first, channels), (second, _) = map(self._map, value.inputs)
        dtype = ops.common_dtype(self.steps, [first, second])
        packed = ops.pack_add(channels, activation=activation, dtype=dtype)
        return self._step(packed, (first, second)), channels

    def _is_resized_to(self, value: Value, other: Value) -> bool:
        """Whether a map is known to be resized to the size of another."""
        like = self._like(value)
        return like is not None and _sized_by(like) is _sized_by(other)

    def _like(self, value: Value) -> Value | None:
        """The map to whose size another is resized."""
        found = divided(value.size) if isinstance(value, Resized) and value.scale is None else None
        return self._values[found[0]] if found is not None and found[1] == 1 else None

    def _resized(self, value: Resized) -> tuple[int, int]:
        number, channels = self._map(value.inputs[0])
        how = {"mode": value.mode, "align_corners": value.align_corners}
        if value.mode == "nearest":  # which rounds nothing on the way
            how["dtype"] = ops.common_dtype(self.steps, [number])
        if value.scale is not None:
            times, other = value.scale
            if times != other or times > ops.MOST_TIMES:
                raise Unservable(f"resizes by {value.scale}")
            packed = ops.pack_upsample(channels, times, **how)
            return self._step(packed, (number,)), channels
        asked = self._like(value)
        if asked is None:
            raise Unservable("resizes to a size that is no map's")
        like, like_channels = self._map(asked)
        packed = ops.pack_resize(channels, like_channels, **how)
        return self._step(packed, (number, like)), channels

    def _other(self, value: Value) -> tuple[int, int]:
        node = value.node
        pool = self._pool_of(node)
        if pool is not None and len(value.inputs) == 1:
            number, channels = self._map(value.inputs[0])
            return self._step(ops.pack_pool(channels, **pool), (number,)), channels
        if node.target in (torch.cat, torch.concat) and argument(node, 1, "dim", 0) in (1, -3):
            maps = [self._map(self._values[x]) for x in node.args[0]]
            (number, channels), *others = maps
            for other, width in others:
                number = self._step(ops.pack_concat(channels, width), (number, other))
                channels += width
            return number, channels
        raise Unservable(f"does what there is no step for ({_name(node, self._module)})")

    def _pool_of(self, node: fx.Node) -> dict[str, object] | None:
        """The arguments of `ops.pack_pool`, of a node that pools by windows."""
        if node.op == "call_module":
            pool = self._module.get_submodule(node.target)
            if type(pool) not in (nn.MaxPool2d, nn.AvgPool2d):
                return None
            facts = {name: getattr(pool, name, default) for name, default in _POOL_DEFAULTS.items()}
            average = isinstance(pool, nn.AvgPool2d)
        elif node.target in (F.max_pool2d, F.avg_pool2d):
            average = node.target is F.avg_pool2d
            names = _AVERAGE_ARGUMENTS if average else _MAXIMUM_ARGUMENTS
            given = dict(zip(names, node.args[1:], strict=False)) | dict(node.kwargs)
            facts = _POOL_DEFAULTS | given
        else:
            return None
        kernel = pair(facts["kernel_size"])
        stride, dilation = pair(facts["stride"] or kernel), pair(facts["dilation"])
        square = stride[0] == stride[1] and dilation[0] == dilation[1]
        if facts["ceil_mode"] or facts["return_indices"] or facts["divisor_override"] or not square:
            return None
        return {
            "kernel_size": kernel,
            "stride": stride[0],
            "padding": pair(facts["padding"]),
            "dilation": dilation[0],
            "average": average,
            "counts_padding": bool(facts["count_include_pad"]),
        }


_POOL_DEFAULTS: dict[str, object] = {
    "kernel_size": 1,
    "stride": None,
    "padding": 0,
    "dilation": 1,
    "ceil_mode": False,
    "return_indices": False,
    "count_include_pad": True,
    "divisor_override": None,
}
_MAXIMUM_ARGUMENTS = ["kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices"]
_AVERAGE_ARGUMENTS = [
    "kernel_size",
    "stride",
    "padding",
    "ceil_mode",
    "count_include_pad",
    "divisor_override",
]


def parts_of(block: FusedBlock) -> list[tuple[torch.Tensor, bool]]:
    """The packed weights of the steps that a block stands for, and whether they add their input."""
    # A plan has the stem and the block behind it apart: the network sees what it can join.
    if isinstance(block, FusedAttention):
        return [(block.packed, False), (block.attention, False)]
    if isinstance(block, FusedStemBlock):
        return [(block.stem, False), (block.block, block.residual)]
    return [(block.packed, getattr(block, "residual", False))]


def _sized_by(value: Value) -> Value:
    """The first of the maps of one size that a value is made of."""
    while isinstance(value, Sum | Activated | Linear) or (
        isinstance(value, Called) and isinstance(value.block, FusedPointwise | FusedFusionGate)
    ):
        value = value.inputs[0]
    return value


def _is_flat(value: Value) -> bool:
    """Whether a value has lost the axes of a map."""
    while not isinstance(value, Mean):
        if isinstance(value, Called) and isinstance(value.block, FusedClassificationHead):
            return True
        if not is_vector(value):
            return False
        if isinstance(value, Reshaped):
            return not value.is_map
        (value,) = value.inputs
    return not value.is_map


def _name(node: fx.Node, module: nn.Module) -> str:
    if node.op == "call_module":
        return type(module.get_submodule(node.target)).__name__
    return node.target if isinstance(node.target, str) else node.target.__name__
