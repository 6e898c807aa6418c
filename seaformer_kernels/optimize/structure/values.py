"""What the nodes of a graph make, once norms and activations are part of the convolutions."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from torch import Tensor, fx

from seaformer_kernels.fused import Folded, FusedBlock

Padding = tuple[int, int] | str  # of rows and columns at each side; "same" as TensorFlow has it


@dataclass(frozen=True, eq=False)
class Value:
    """What one node makes, or several that are one operation.

    Attributes:
        node: whose value it is.
        nodes: all that it stands for; without those of its inputs.
        inputs: the values that it is made of.
    """

    node: fx.Node
    nodes: tuple[fx.Node, ...]
    inputs: tuple[Value, ...]

    def since(self, *beginnings: Value) -> set[fx.Node]:
        """The nodes of it and of what it is made of, up to and without some values.

        Of nodes that ask for sizes, those whose answers nobody else reads.
        """
        found: set[fx.Node] = set()
        questions: list[Value] = []
        queue: list[Value] = [self]
        while queue:
            value = queue.pop()
            if value in beginnings:
                continue
            if isinstance(value, Question):
                questions.append(value)
                queue += [x for x in value.inputs if isinstance(x, Question)]
            else:
                found.update(value.nodes)
                queue += value.inputs
        for question in questions:  # those that read others' answers come first
            if question.used_only_by(found):
                found.update(question.nodes)
        return found

    def used_only_by(self, nodes: Collection[fx.Node]) -> bool:
        """Whether nobody else reads it."""
        return set(self.node.users) <= set(nodes)


class Given(Value):
    """An input of the graph."""


class Other(Value):
    """Anything that is not understood."""


class Question(Value):
    """Sizes of a map, and numbers made of them."""

    @property
    def asked(self) -> set[Value]:
        """The maps that it is about."""
        found: set[Value] = set()
        for value in self.inputs:
            found |= value.asked if isinstance(value, Question) else {value}
        return found


@dataclass(frozen=True, eq=False)
class Convolution(Value):
    """A convolution with what is folded into it; of a vector, also a linear layer.

    Attributes:
        folded: weight [out, in / groups, height, width] and bias.
        stride, padding, dilation: of rows and columns.
        groups: of channels.
        activation: behind it, as ops name them.
    """

    folded: Folded
    stride: tuple[int, int] = (1, 1)
    padding: Padding = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    activation: str = "none"

    @property
    def kernel_size(self) -> tuple[int, int]:
        """Height and width of the kernel."""
        height, width = self.folded.weight.shape[2:]
        return height, width

    @property
    def in_channels(self) -> int:
        """Width of the input."""
        return self.folded.weight.shape[1] * self.groups

    @property
    def is_pointwise(self) -> bool:
        """Whether it is a dense product at every pixel."""
        return (
            self.kernel_size == self.stride == (1, 1)
            and self.padding in ((0, 0), "same")
            and self.groups == 1
        )

    @property
    def is_depthwise(self) -> bool:
        """Whether each channel is by itself."""
        return self.groups == self.in_channels == len(self.folded.bias)


@dataclass(frozen=True, eq=False)
class Affine(Value):
    """A scale and a shift of each channel, float64, and perhaps an activation."""

    scale: Tensor
    shift: Tensor
    activation: str = "none"


@dataclass(frozen=True, eq=False)
class Activated(Value):
    """An activation of a value that it is no part of."""

    activation: str


@dataclass(frozen=True, eq=False)
class Linear(Value):
    """factor * x + shift, with the same numbers everywhere."""

    factor: float = 1.0
    shift: float = 0.0

    @property
    def is_identity(self) -> bool:
        """Whether it is the value itself."""
        return (self.factor, self.shift) == (1, 0)


@dataclass(frozen=True, eq=False)
class Reshaped(Linear):
    """A vector with or without the axes of a map."""

    is_map: bool = True


class Sum(Value):
    """Of two maps of one size."""


class Product(Value):
    """Of two maps, the second of the first's size or one vector for all pixels."""


@dataclass(frozen=True, eq=False)
class Mean(Value):
    """Of all pixels of a map; a vector.

    Attributes:
        is_map: whether it has the axes of a map.
    """

    is_map: bool


@dataclass(frozen=True, eq=False)
class Averaged(Value):
    """The means of as many parts of a map; its further inputs are questions, of which size.

    Attributes:
        like: the map whose height and width, divided and rounded up, are the size.
        stride: what they are divided by.
    """

    like: Value
    stride: int


@dataclass(frozen=True, eq=False)
class Parts(Value):
    """A map's channels in groups.

    Attributes:
        sizes: of the groups, or that of all but the last.
    """

    sizes: int | tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Slice(Value):
    """Some channels of a map.

    Attributes:
        channels: which ones.
    """

    channels: slice


@dataclass(frozen=True, eq=False)
class Attended(Value):
    """Attention of all pixels, made of queries, keys and values; and questions about sizes.

    Attributes:
        heads: among which the channels are divided.
        key_dim: channels of a head's queries.
        scale: of the scores.
        activation: behind it.
    """

    heads: int
    key_dim: int
    scale: float
    activation: str = "none"


@dataclass(frozen=True, eq=False)
class Squeezed(Value):
    """A map times a gate of each channel, that its mean makes by way of two layers.

    Attributes:
        reduce, expand: the layers.
    """

    reduce: Convolution
    expand: Convolution


@dataclass(frozen=True, eq=False)
class Resized(Value):
    """A map at another size; its further inputs are questions, of which size.

    Attributes:
        align_corners: as `torch.nn.functional.interpolate` has it.
        size: height and width as the node's arguments have them, None if there is a scale.
        scale: whole numbers that height and width grow by.
        mode: "bilinear" or "nearest".
    """

    align_corners: bool
    size: object
    scale: tuple[int, int] | None = None
    mode: str = "bilinear"

    @property
    def is_bilinear(self) -> bool:
        """Whether it is that with the corners of pixels aligned, as convolutions have them."""
        return self.mode == "bilinear" and not self.align_corners


class Probabilities(Value):
    """The softmax of a map along its channels."""


class Greatest(Value):
    """The greatest channel of every pixel, and which one it is."""


class Labels(Value):
    """Which channel of every pixel is the greatest, the first of equal ones."""

    @property
    def scores(self) -> Value:
        """What is compared, before a softmax, which leaves the order as it is."""
        (scores,) = self.inputs
        return scores.inputs[0] if isinstance(scores, Probabilities) else scores


@dataclass(frozen=True, eq=False)
class Called(Value):
    """What a fused block makes."""

    block: FusedBlock
