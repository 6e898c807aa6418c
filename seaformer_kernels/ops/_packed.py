"""Packed weights: a header that says what they are, then sections of numbers.

The layout is that of csrc/blocks/packed.h, the same for every instruction set: 16 little-endian
int32, then for each section panels of 16 outputs, their biases first and then, input by input,
their weights; zero where there is no output. Weights have the element type that the header names;
plain arrays, whose outputs have no inputs, and all sections of a stem are float32. Weights of
bfloat16 come by groups of four inputs, each output's side by side, but depthwise ones. Sections of
int8 are laid out in _int8.py.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from seaformer_kernels.ops._activation import Activation, is_activation
from seaformer_kernels.ops._element import ELEMENTS, WITH_INT8, name_of

Weights = tuple[Tensor, Tensor]
"""Weight and bias of a convolution or linear layer, batch norm folded in, both float32."""

MAGIC = 0x4B504653  # "SFPK"
VERSION = 5  # the latest, of what older libraries would misread; older ones are read, too
_VERSION_OF_INT8 = 4
_VERSION_OF_HALF = 3  # those before say nothing of the element
_VERSION_OF_FLOAT32 = 2  # still packed where all is float32, so that older libraries read it
HEADER_BYTES = 64
PANEL = 16
GROUP = 4  # inputs of bfloat16 and int8 side by side
INT8_ARRAYS = 4  # of int32 and float32, before the weights of a panel of int8
MAX_CHANNELS = 1 << 20
EXPANDS = 1  # a flag: there is an expansion before the depthwise convolution
NORMALIZES = 2  # a flag: the stem has a mean and std
READS_RELU = 4  # a flag: the zero point of the int8 input is that behind a ReLU
PADS_SAME = 8  # a flag: padding is TensorFlow's "same"
AVERAGES = 16  # a flag: the pool has means, not the greatest numbers
COUNTS_PADDING = 32  # a flag: in those means
WRITES_RELU = 64  # a flag: the zero point of an inverted residual's int8 output is that, too
BY_WINOGRAD = 128  # a flag: weights of a convolution are transformed for F(2x2, 3x3)
POSITIONS = 16  # learned ones of an axis


class Kind(enum.IntEnum):
    """Which block the weights are for."""

    STEM = 1
    INVERTED_RESIDUAL = 2
    FUSION_GATE = 3
    SEGMENTATION_HEAD = 4
    CLASSIFICATION_HEAD = 5
    POINTWISE = 6
    SEA_ATTENTION = 7
    UPSAMPLING_HEAD = 8
    CONVOLUTION = 9
    DEPTHWISE = 10
    ADD = 11
    SCALE = 12
    CONCAT = 13
    GLOBAL_POOL = 14
    POOL = 15
    RESIZE = 16
    UPSAMPLE = 17
    ACTIVATE = 18
    SLICE = 19
    ADAPTIVE_POOL = 20
    ATTENTION = 21
    RESIZE_ADD = 22


class Section(NamedTuple):
    """Outputs, and the inputs of each."""

    outputs: int
    inputs: int
    depthwise: bool = False  # inputs are taps of one channel

    @property
    def panels(self) -> int:
        """Panels of outputs, the last of which may be less."""
        return -(-self.outputs // PANEL)

    @property
    def rows(self) -> int:
        """Inputs of int8, the last group filled up."""
        return self.inputs if self.depthwise else -(-self.inputs // GROUP) * GROUP

    def byte_length(self, dtype: torch.dtype) -> int:
        """Bytes of it, if its numbers are of this type."""
        if dtype == torch.int8:
            return self.panels * PANEL * (INT8_ARRAYS * 4 + self.rows)
        return self.panels * PANEL * (self.inputs + 1) * dtype.itemsize


@dataclasses.dataclass(frozen=True)
class Header:
    """What the weights say of themselves; fields a kind has no use for are 0.

    Some hold other numbers in a convolution or a pool: see `Window.of`.
    """

    kind: int
    in_channels: int
    hidden_channels: int = 0
    out_channels: int = 0
    kernel_size: int = 0
    stride: int = 0
    expand_activation: int = 0  # of a pointwise convolution: its only one
    depthwise_activation: int = 0
    flags: int = 0
    heads: int = 0  # of SEA attention; of an inverted residual: its squeezed channels
    key_dim: int = 0  # likewise; the activation behind them
    classes: int = 0  # of a segmentation or upsampling head; the gate of squeeze-and-excite
    element: int = 0  # code of the type of maps and weights
    output_activation: int = 0  # of a stem, and of an inverted residual's projection

    @property
    def dtype(self) -> torch.dtype:
        """Of the maps, which for a stem are those it writes."""
        return WITH_INT8[self.element]

    @property
    def squeezed_channels(self) -> int:
        """Of squeeze-and-excite in an inverted residual; 0 if there is none."""
        return self.heads

    @property
    def squeeze_activation(self) -> int:
        """Behind the layer to them."""
        return self.key_dim

    @property
    def squeeze_gate(self) -> int:
        """The activation behind the layer from them."""
        return self.classes

    def sections(self) -> list[tuple[Section, torch.dtype]]:
        """Every section, and the type of its numbers."""
        facts = _KINDS[self.kind]
        if self.dtype == torch.int8 and facts.int8_sections is not None:
            sections = [Section(PANEL, 0), *facts.int8_sections(self)]  # first the scales
            float32 = False
        else:
            sections = facts.sections(self)
            float32 = self.kind == Kind.STEM
        return [
            (section, torch.float32 if float32 or section.inputs == 0 else self.dtype)
            for section in sections
        ]

    def section_lengths(self) -> list[int]:
        """Bytes of every section."""
        return [section.byte_length(dtype) for section, dtype in self.sections()]

    def byte_length(self) -> int:
        """Length of the whole buffer."""
        return HEADER_BYTES + sum(self.section_lengths())


class WeightOverflow(ValueError):
    """A weight that the element type cannot hold."""


def pack(header: Header, *sections: Weights | Tensor) -> Tensor:
    """The buffer of a header and its sections, weights [outputs, ...] and biases [outputs].

    Sections of int8 are given as their bytes.

    Raises:
        WeightOverflow: rounding made an infinity of a weight.
    """
    version = _version(header)
    fields = [MAGIC, version, *(int(value) for value in dataclasses.astuple(header))]
    if version < VERSION:
        fields.pop()
    head = torch.tensor(fields + [0] * (HEADER_BYTES // 4 - len(fields)), dtype=torch.int32)
    body = []
    for weights, (section, dtype) in zip(sections, header.sections(), strict=True):
        if isinstance(weights, Tensor):
            body.append(weights)
            continue
        panels = _rounded(_panels(*weights), dtype)
        body.append((_grouped(panels) if _groups(section, dtype) else panels).flatten())
    if (
        header.kind == Kind.STEM and header.dtype != torch.int8
    ):  # some processors calculate with its weights in the type
        for values in sections[0]:
            _rounded(values, header.dtype)
    return torch.cat([part.view(torch.uint8) for part in (head, *body)])


def _version(header: Header) -> int:
    """The oldest layout that can tell what the header says."""
    is_new = header.kind == Kind.INVERTED_RESIDUAL and (
        header.flags & PADS_SAME or header.squeezed_channels
    )
    if is_new or header.output_activation != _output_activation(header.kind):
        return VERSION
    if header.dtype == torch.int8:
        return _VERSION_OF_INT8
    return _VERSION_OF_HALF if header.element else _VERSION_OF_FLOAT32


def _output_activation(kind: int) -> Activation:
    """What versions before the latest say nothing of."""
    return Activation.RELU if kind == Kind.STEM else Activation.NONE


def section_bytes(header: Header, packed: Tensor) -> tuple[Tensor, ...]:
    """The bytes of each section."""
    return packed[HEADER_BYTES:].split(header.section_lengths())


def unpack(header: Header, packed: Tensor) -> list[Weights]:
    """Weights [outputs, inputs] and biases [outputs] of each section, as float32; not of int8."""
    result = []
    sections = section_bytes(header, packed)
    for (section, dtype), numbers in zip(header.sections(), sections, strict=True):
        inputs, rows = section.inputs, section.outputs
        panels = numbers.view(dtype).float().view(-1, inputs + 1, PANEL)
        if _groups(section, dtype):
            panels = _ungrouped(panels)
        columns = panels.transpose(1, 2).reshape(-1, inputs + 1)
        result.append((columns[:rows, 1:], columns[:rows, 0]))
    return result


def check_buffer(op: str, packed: Tensor) -> None:
    """Raises ValueError unless packed could be a buffer, by what is known without its data."""
    if packed.dtype != torch.uint8 or packed.dim() != 1 or not packed.is_contiguous():
        raise ValueError(
            f"{op}: expected packed weights as a contiguous one-dimensional uint8 tensor, got "
            f"shape {list(packed.shape)} of {packed.dtype}"
        )
    if packed.shape[0] < HEADER_BYTES:
        raise ValueError(
            f"{op}: expected packed weights of at least {HEADER_BYTES} bytes, got {packed.shape[0]}"
        )


def check_length(op: str, header: Header, packed: Tensor) -> None:
    """Raises ValueError unless packed is as long as the header wants it."""
    if packed.shape[0] != header.byte_length():
        raise ValueError(
            f"{op}: expected packed weights of {header.byte_length()} bytes, got {packed.shape[0]}"
        )


def read_header(
    op: str, kind: Kind, packed: Tensor, dtype: torch.dtype | None = None, **expected: int
) -> Header:
    """The header of a buffer that passed `check_buffer`.

    Args:
        op: name for messages.
        kind: the kind the op needs.
        dtype: of the maps, where the call tells.
        expected: fields that the call or its input gives.

    Raises:
        ValueError: the header is not one for this call, or the length does not fit it.
    """
    if packed.data_ptr() % 4:
        raise ValueError(
            f"{op}: expected packed weights aligned to 4 bytes, got address {packed.data_ptr():#x}"
        )
    magic, version, *fields = packed[:HEADER_BYTES].view(torch.int32).tolist()
    if magic != MAGIC:
        raise ValueError(
            f"{op}: expected packed weights that begin with the magic number {MAGIC}, got {magic}"
        )
    if not 1 <= version <= VERSION:
        raise ValueError(
            f"{op}: expected packed weights of layout version 1 to {VERSION}, got version {version}"
        )
    header = Header(*fields[: len(dataclasses.fields(Header))])
    if version == 1 and header.kind == Kind.SEGMENTATION_HEAD:  # had them in another field
        header = dataclasses.replace(header, kernel_size=0, classes=header.kernel_size)
    if header.kind != kind:
        raise ValueError(f"{op}: expected packed weights of kind {kind:d}, got kind {header.kind}")
    if version < _VERSION_OF_HALF:
        header = dataclasses.replace(header, element=0)
    if version < VERSION:
        header = dataclasses.replace(header, output_activation=_output_activation(header.kind))
        if header.kind == Kind.INVERTED_RESIDUAL:
            header = dataclasses.replace(header, heads=0, key_dim=0, classes=0)
    elements = _elements(kind, version)
    if header.element not in elements:
        raise ValueError(
            f"{op}: expected packed weights of layout version {version} with element type "
            f"{_told(elements)}, got {header.element}"
        )
    if dtype is not None and dtype != header.dtype:
        raise ValueError(
            f"{op}: expected packed weights of {name_of(dtype)} for maps of it, got some of "
            f"{name_of(header.dtype)}"
        )
    for name, value in expected.items():
        if getattr(header, name) != value:
            raise ValueError(
                f"{op}: expected packed weights with {name} {value}, got {getattr(header, name)}"
            )
    _check_ranges(op, header)
    check_length(op, header, packed)
    return header


def check_weights(op: str, name: str, weights: Weights, shape: tuple[int | None, ...]) -> None:
    """Raises unless weights are a float32 weight and bias; None in shape stands for any size."""
    if not (
        isinstance(weights, tuple)
        and len(weights) == 2
        and all(isinstance(part, Tensor) for part in weights)
    ):
        raise TypeError(f"{op}: expected {name} as a (weight, bias) tuple of tensors")
    weight, bias = weights
    if weight.dtype != torch.float32 or bias.dtype != torch.float32:
        raise TypeError(
            f"{op}: expected {name} weight and bias of float32, got {weight.dtype} and {bias.dtype}"
        )
    if weight.device.type != "cpu" or bias.device.type != "cpu":
        raise ValueError(
            f"{op}: expected {name} weight and bias on the CPU, got {weight.device} and "
            f"{bias.device}"
        )
    sizes = zip(weight.shape, shape, strict=False)
    if weight.dim() != len(shape) or any(want not in (None, size) for size, want in sizes):
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(
            f"{op}: expected {name} weight of shape [{wanted}], got {list(weight.shape)}"
        )
    if not all(0 < size <= MAX_CHANNELS for size in weight.shape):
        raise ValueError(
            f"{op}: expected {name} weight with 1 to {MAX_CHANNELS} channels, got shape "
            f"{list(weight.shape)}"
        )
    if bias.shape != weight.shape[:1]:
        raise ValueError(
            f"{op}: expected {name} bias of shape {list(weight.shape[:1])}, got {list(bias.shape)}"
        )


def has_element(version: int) -> bool:
    """Whether headers of a layout version name the element type."""
    return version >= _VERSION_OF_HALF


def _elements(kind: int, version: int) -> range:
    """Codes of the types that packed weights of a kind and version can have."""
    if version != _VERSION_OF_INT8:
        return range(len(ELEMENTS))
    return range(len(ELEMENTS), len(WITH_INT8) if _KINDS[kind].int8_sections else len(ELEMENTS))


def _told(elements: range) -> str:
    return " or ".join(f"{code} ({name_of(WITH_INT8[code])})" for code in elements) or "none"


def _panels(weight: Tensor, bias: Tensor) -> Tensor:
    """[panels, 1 + inputs, PANEL]."""
    columns = torch.cat([bias.detach()[:, None], weight.detach().flatten(1)], 1)
    padded = F.pad(columns, (0, 0, 0, -len(columns) % PANEL))
    return padded.unflatten(0, (-1, PANEL)).transpose(1, 2)


def _groups(section: Section, dtype: torch.dtype) -> bool:
    return dtype == torch.bfloat16 and section.inputs > 0 and not section.depthwise


def _grouped(panels: Tensor) -> Tensor:
    """[panels, 1 + inputs, PANEL] by groups of inputs, the last of which may be less."""
    biases, *groups = panels.split([1, *_group_sizes(panels.shape[1] - 1)], 1)
    return torch.cat([biases.flatten(1), *(g.transpose(1, 2).flatten(1) for g in groups)], 1)


def _ungrouped(panels: Tensor) -> Tensor:
    biases, *groups = panels.split([1, *_group_sizes(panels.shape[1] - 1)], 1)
    return torch.cat(
        [biases, *(g.reshape(len(panels), PANEL, -1).transpose(1, 2) for g in groups)], 1
    )


def _group_sizes(inputs: int) -> list[int]:
    return [min(GROUP, inputs - first) for first in range(0, inputs, GROUP)]


def _rounded(values: Tensor, dtype: torch.dtype) -> Tensor:
    rounded = values.to(dtype)
    lost = values[rounded.isinf() & values.isfinite()]
    if len(lost):
        raise WeightOverflow(
            f"expected weights of at most {torch.finfo(dtype).max:g}, as {name_of(dtype)} needs, "
            f"got one of {lost.abs().max():g}"
        )
    return rounded


def _check_ranges(op: str, header: Header) -> None:
    facts = _KINDS[header.kind]
    for name in facts.counts:
        count = getattr(header, name)
        if not 0 < count <= MAX_CHANNELS:
            raise ValueError(
                f"{op}: expected packed weights with 1 to {MAX_CHANNELS} {_words(name)}, "
                f"got {count}"
            )
    for name, values in facts.values.items():
        if getattr(header, name) not in values:
            raise ValueError(
                f"{op}: expected packed weights with {_words(name)} "
                f"{' or '.join(str(int(value)) for value in values)}, got {getattr(header, name)}"
            )
    facts.check(op, header)


def _words(field: str) -> str:
    return field.replace("_", " ")


def _check_inverted_residual(op: str, header: Header) -> None:
    of_int8 = header.dtype == torch.int8
    if of_int8 and header.flags & PADS_SAME:
        raise ValueError(
            f"{op}: expected packed weights of int8 with symmetric padding, got another"
        )
    if of_int8 and max(header.expand_activation, header.depthwise_activation) > Activation.RELU6:
        raise ValueError(
            f"{op}: expected packed weights of int8 with no activation or relu or relu6, got codes "
            f"{header.expand_activation} and {header.depthwise_activation}"
        )
    gates = (Activation.HARDSIGMOID, Activation.SIGMOID)
    if header.squeezed_channels and not (
        0 < header.squeezed_channels <= MAX_CHANNELS
        and is_activation(header.squeeze_activation)
        and header.squeeze_gate in gates
    ):
        raise ValueError(
            f"{op}: expected packed weights with 1 to {MAX_CHANNELS} squeezed channels, a known "
            f"activation behind them and a gate of {gates[0]:d} or {gates[1]:d}, got "
            f"{header.squeezed_channels}, {header.squeeze_activation} and {header.squeeze_gate}"
        )
    if not header.flags & EXPANDS and header.hidden_channels != header.in_channels:
        raise ValueError(
            f"{op}: expected packed weights without an expansion to have as many hidden as input "
            f"channels, got {header.hidden_channels} and {header.in_channels}"
        )


def _check_upsampling_head(op: str, header: Header) -> None:
    if header.hidden_channels != header.in_channels:
        raise ValueError(
            f"{op}: expected packed weights with as many hidden as input channels, got "
            f"{header.hidden_channels} and {header.in_channels}"
        )


def _check_sea_attention(op: str, header: Header) -> None:
    if header.out_channels != header.in_channels:
        raise ValueError(
            f"{op}: expected packed weights with as many output as input channels, got "
            f"{header.out_channels} and {header.in_channels}"
        )
    keys = header.heads * header.key_dim
    values = header.hidden_channels - 2 * keys
    if header.heads < 1 or header.key_dim < 1 or values < 1 or values % header.heads:
        raise ValueError(
            f"{op}: expected packed weights whose heads divide queries, keys and values, got "
            f"{header.heads} heads of {header.key_dim} keys among {header.hidden_channels} channels"
        )


def _check_depthwise(op: str, header: Header) -> None:
    if not header.hidden_channels == header.out_channels == header.in_channels:
        raise ValueError(
            f"{op}: expected packed weights with as many hidden and output as input channels, got "
            f"{header.hidden_channels}, {header.out_channels} and {header.in_channels}"
        )


def _inverted_residual_sections(h: Header) -> list[Section]:
    expand = [Section(h.hidden_channels, h.in_channels)] if h.flags & EXPANDS else []
    depthwise = Section(h.hidden_channels, h.kernel_size**2, depthwise=True)
    squeeze = []
    if h.squeezed_channels:
        squeeze.append(Section(h.squeezed_channels, h.hidden_channels))
        squeeze.append(Section(h.hidden_channels, h.squeezed_channels))
    return [*expand, depthwise, *squeeze, Section(h.out_channels, h.hidden_channels)]


def _int8_stem_sections(h: Header) -> list[Section]:
    return [Section(6, 0), Section(h.out_channels, 27)]


def _gate_sections(h: Header) -> list[Section]:
    return [Section(h.out_channels, h.in_channels), Section(h.out_channels, h.hidden_channels)]


def _head_sections(h: Header) -> list[Section]:
    return [*_gate_sections(h), Section(h.out_channels, 0), Section(h.classes, h.out_channels)]


def _sea_attention_sections(h: Header) -> list[Section]:
    channels, hidden, keys = h.in_channels, h.hidden_channels, h.heads * h.key_dim
    values = hidden - 2 * keys
    depthwise = Section(hidden, h.kernel_size**2, depthwise=True)
    convolutions = [Section(hidden, channels), depthwise, Section(channels, hidden)]
    projections = [Section(values, values), Section(values, values), Section(channels, values)]
    return [*convolutions, *projections, Section(4 * POSITIONS * keys, 0)]


def _upsampling_head_sections(h: Header) -> list[Section]:
    depthwise = Section(h.in_channels, h.kernel_size**2, depthwise=True)
    classifier = Section(h.classes, h.out_channels)
    return [depthwise, Section(h.out_channels, h.in_channels), classifier]


def _convolution_sections(h: Header) -> list[Section]:
    if h.flags & BY_WINOGRAD:
        return [Section(h.out_channels, h.in_channels)] * 16
    return [Section(h.out_channels, h.kernel_size * h.heads * h.in_channels)]


def _linear_sections(h: Header) -> list[Section]:
    return [Section(h.out_channels, h.in_channels)]


class _Activations(tuple):
    """The codes that a field may have: those with names, and leaky ReLUs."""

    def __contains__(self, code: object) -> bool:
        return isinstance(code, int) and is_activation(code)


_ACTIVATIONS = _Activations(Activation)


@dataclasses.dataclass(frozen=True)
class _Facts:
    """What buffers of a kind hold, and which values their headers may have."""

    sections: Callable[[Header], list[Section]]
    counts: tuple[str, ...] = ("in_channels", "out_channels")  # fields from 1 to MAX_CHANNELS
    values: dict[str, Sequence[int]] = dataclasses.field(default_factory=dict)
    check: Callable[[str, Header], None] = lambda op, header: None  # how fields fit each other
    # Behind the scales; None if there is no int8 form.
    int8_sections: Callable[[Header], list[Section]] | None = None


_HIDDEN = ("in_channels", "hidden_channels", "out_channels")
_CLAMPS = (Activation.NONE, Activation.RELU, Activation.RELU6)

# The one place that tells kinds apart; csrc/blocks/kinds.inc has their counterparts.
_KINDS: dict[int, _Facts] = {
    Kind.STEM: _Facts(
        lambda h: [Section(h.out_channels, 27), Section(6, 0)],
        values={"in_channels": (3,), "output_activation": _ACTIVATIONS},
        int8_sections=_int8_stem_sections,
    ),
    Kind.INVERTED_RESIDUAL: _Facts(
        _inverted_residual_sections,
        counts=_HIDDEN,
        values={
            "kernel_size": (3, 5),
            "stride": (1, 2),
            "expand_activation": _ACTIVATIONS,
            "depthwise_activation": _ACTIVATIONS,
            "output_activation": _ACTIVATIONS,
        },
        check=_check_inverted_residual,
        int8_sections=_inverted_residual_sections,
    ),
    Kind.FUSION_GATE: _Facts(_gate_sections, counts=_HIDDEN, int8_sections=_gate_sections),
    Kind.SEGMENTATION_HEAD: _Facts(
        _head_sections,
        counts=(*_HIDDEN, "classes"),
        int8_sections=_head_sections,
    ),
    Kind.CLASSIFICATION_HEAD: _Facts(_linear_sections),
    Kind.POINTWISE: _Facts(_linear_sections, values={"expand_activation": _ACTIVATIONS}),
    Kind.SEA_ATTENTION: _Facts(
        _sea_attention_sections,
        counts=_HIDDEN,
        values={
            "kernel_size": (3,),
            "stride": (1,),
            "expand_activation": (Activation.NONE,),
            "depthwise_activation": (Activation.RELU6,),
            "flags": (EXPANDS,),
        },
        check=_check_sea_attention,
        int8_sections=_sea_attention_sections,
    ),
    Kind.UPSAMPLING_HEAD: _Facts(
        _upsampling_head_sections,
        counts=(*_HIDDEN, "classes"),
        values={
            "kernel_size": (3, 5),
            "stride": (1,),
            "depthwise_activation": _CLAMPS,
            "flags": (0,),
        },
        check=_check_upsampling_head,
    ),
    **{
        kind: _Facts(lambda h: [], counts=("in_channels", "out_channels"))
        for kind in (
            Kind.ADD,
            Kind.SCALE,
            Kind.CONCAT,
            Kind.GLOBAL_POOL,
            Kind.POOL,
            Kind.RESIZE,
            Kind.UPSAMPLE,
            Kind.ACTIVATE,
            Kind.SLICE,
            Kind.ADAPTIVE_POOL,
            Kind.ATTENTION,
            Kind.RESIZE_ADD,
        )
    },
    Kind.DEPTHWISE: _Facts(
        lambda h: [Section(h.in_channels, h.kernel_size**2, depthwise=True)],
        counts=_HIDDEN,
        values={
            "kernel_size": (3, 5, 7),
            "stride": (1, 2),
            "depthwise_activation": _ACTIVATIONS,
            "flags": (0, PADS_SAME),
        },
        check=_check_depthwise,
    ),
    Kind.CONVOLUTION: _Facts(
        _convolution_sections,
        values={
            "expand_activation": _ACTIVATIONS,
            "flags": (0, PADS_SAME, BY_WINOGRAD, PADS_SAME | BY_WINOGRAD),
        },
    ),
}
