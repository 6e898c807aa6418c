"""Int8 ops with parts of float32: kernels against the plain form, and that against float ops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from int8_layers import float_layer, layer, real
from torch import Tensor

from seaformer_kernels import ops
from seaformer_kernels.ops.fusion_gate import _plain as plain_gate
from seaformer_kernels.ops.sea_attention import _plain as plain_attention
from seaformer_kernels.ops.segmentation_head import _plain as plain_head
from seaformer_kernels.ops.segmentation_head import _plain_labels as plain_labels

GATE_SCALES = {"local_scale": 0.05, "coarse_scale": 0.03}
STEP = 0.04  # of what is behind the gate
FINE = 6 / 255  # a step behind a ReLU6
SEA_SCALES = {
    "input_scale": 0.02,
    "output_scale": 0.04,
    "qkv_scale": 0.03,
    "attended_scale": FINE,
    "gate_scale": FINE,
}


def random_map(*sizes: int, seed: int = 9) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-128, 128, sizes, generator=generator, dtype=torch.int8)


@dataclass
class Gate:
    """Maps and layers that a fusion gate and a head begin with."""

    local: int = 9
    coarse: int = 17
    out: int = 21
    batch: int = 1
    size: tuple[int, int] = (5, 6)
    coarse_size: tuple[int, int] = (3, 4)
    spread: float = 20  # of local products

    def maps(self) -> tuple[Tensor, Tensor]:
        return (
            random_map(self.batch, self.local, *self.size),
            random_map(self.batch, self.coarse, *self.coarse_size, seed=8),
        )

    def layers(self) -> tuple[ops.Int8Layer, ops.Int8Layer]:
        return (
            float_layer(self.out, self.local, 1, 1, size=self.spread, seed=1),
            float_layer(self.out, self.coarse, 1, 1, size=3, seed=2),
        )

    def packed(self) -> Tensor:
        return ops.pack_int8_fusion_gate(*self.layers(), **GATE_SCALES, output_scale=STEP)

    def behind(self, classes: int = 7) -> tuple[Tensor, ops.Int8Layer]:
        """Shift and classifier of a head."""
        shift = 20 * torch.randn(self.out, generator=torch.Generator().manual_seed(3))
        return shift, float_layer(classes, self.out, 1, 1, size=5, seed=4)

    def packed_head(self, classes: int = 7) -> Tensor:
        return ops.pack_int8_segmentation_head(*self.layers(), *self.behind(classes), **GATE_SCALES)


GATES = [
    Gate(batch=2, size=(1, 1), coarse_size=(1, 1)),
    Gate(1, 1, 1, size=(1, 1), coarse_size=(3, 2)),
    Gate(size=(5, 6), coarse_size=(5, 6)),
    Gate(64, 128, 96, batch=2, size=(8, 12), coarse_size=(2, 3)),
    Gate(5, 3, 16, size=(9, 1), coarse_size=(3, 1)),
    Gate(33, 4, 15, size=(1, 25), coarse_size=(1, 4)),
    Gate(batch=3, size=(6, 23), coarse_size=(4, 5)),
    Gate(size=(4, 5), coarse_size=(9, 11)),
    Gate(batch=0),
]


@dataclass
class Attention:
    """A map and layers of SEA attention."""

    channels: int = 20
    heads: int = 2
    key_dim: int = 8
    value_dim: int = 16
    batch: int = 1
    size: tuple[int, int] = (5, 7)
    residual: bool = False

    @property
    def arguments(self) -> tuple[int, int, bool]:
        return self.heads, self.key_dim, self.residual

    def map(self) -> Tensor:
        return random_map(self.batch, self.channels, *self.size)

    def layers(self) -> list[ops.Int8Layer]:
        channels, keys, values = (
            self.channels,
            self.heads * self.key_dim,
            self.heads * self.value_dim,
        )
        wide = 2 * keys + values
        return [
            layer(keys, channels, 1, 1, seed=1),
            layer(keys, channels, 1, 1, seed=2),
            layer(values, channels, 1, 1, seed=3),
            layer(wide, 1, 3, 3, seed=4),
            float_layer(channels, wide, 1, 1, size=30, seed=5),
            float_layer(values, values, 1, 1, size=50, seed=6),
            float_layer(values, values, 1, 1, size=50, seed=7),
            float_layer(channels, values, 1, 1, size=3, seed=8),
        ]

    def positions(self) -> list[Tensor]:
        generator = torch.Generator().manual_seed(1)
        keys = self.heads * self.key_dim
        return [torch.randn(1, keys, 16, generator=generator) for _ in range(4)]

    def packed(self, **changes) -> Tensor:
        given = {"num_heads": self.heads, **SEA_SCALES} | changes
        return ops.pack_int8_sea_attention(*self.layers(), self.positions(), **given)


ATTENTIONS = [
    Attention(1, 1, 1, 1, batch=2, size=(1, 1)),
    Attention(6, 2, 3, 5, size=(3, 4), residual=True),
    Attention(20, 4, 8, 16, batch=2, size=(9, 7), residual=True),
    Attention(17, 2, 16, 33, size=(16, 16)),
    Attention(32, 8, 4, 8, batch=2, size=(5, 31), residual=True),
    Attention(batch=0),
]


def assert_near(got: Tensor, expected: Tensor, share: float, most: int = 1) -> None:
    """Both int8 maps are the same but for a share of numbers, which are some steps off."""
    assert got.dtype == expected.dtype == torch.int8
    assert got.shape == expected.shape and got.stride() == expected.stride()
    steps = (got.int() - expected.int()).abs()
    assert not steps.numel() or steps.max() <= most
    assert (steps > 0).sum() <= 2 + share * steps.numel()


@pytest.mark.parametrize("case", GATES, ids=str)
def test_fusion_gates_equal_the_plain_form(isa, case):
    arguments = (*case.maps(), case.packed(), case.out)
    assert_near(ops.fusion_gate(*arguments), plain_gate(*arguments), 0.002)


@pytest.mark.parametrize("case", GATES, ids=str)
def test_heads_equal_the_plain_form(isa, case):
    arguments = (*case.maps(), case.packed_head(), 7)
    got, expected = ops.segmentation_head(*arguments), plain_head(*arguments)
    assert got.dtype == expected.dtype == torch.float32
    assert got.shape == expected.shape and got.stride() == expected.stride()
    multiplier = case.behind()[1].multiplier[:, None, None]
    errors = (got - expected).abs() / multiplier
    if not errors.numel():
        return
    assert errors.max() <= 127.01  # a step of one fused number
    assert (errors > 0.5).sum() <= 2 + 0.02 * errors.numel()


def test_labels_equal_the_plain_form(isa):
    case = GATES[3]
    arguments = (*case.maps(), case.packed_head(32), 32, (17, 30))
    got, expected = ops.segmentation_labels(*arguments), plain_labels(*arguments)
    assert got.dtype == expected.dtype == torch.uint8
    assert (got != expected).sum() <= 0.01 * got.numel()


@pytest.mark.parametrize("case", ATTENTIONS, ids=str)
def test_attention_equals_the_plain_form(isa, case):
    arguments = (case.map(), case.packed(), *case.arguments)
    assert_near(ops.sea_attention(*arguments), plain_attention(*arguments), 0.03, most=4)


def real_gate(case: Gate) -> tuple[tuple[Tensor, Tensor], ...]:
    """Float weights of a gate: local products are sixths of steps."""
    local, coarse = case.layers()
    return (
        real(local, GATE_SCALES["local_scale"], 6 * STEP),
        real(coarse, GATE_SCALES["coarse_scale"], 1.0),
    )


def real_maps(case: Gate) -> list[Tensor]:
    return [x * scale for x, scale in zip(case.maps(), GATE_SCALES.values(), strict=True)]


def test_a_fusion_gate_stands_for_a_float_one():
    case = Gate(batch=2, size=(8, 9))
    packed = ops.pack_fusion_gate(*real_gate(case))
    expected = ops.fusion_gate(*real_maps(case), packed, case.out)
    got = plain_gate(*case.maps(), case.packed(), case.out)
    assert (got - (expected / STEP).clamp(-128, 127)).abs().max() <= 0.501


def test_a_head_stands_for_a_float_one():
    case = Gate(batch=2, size=(8, 9), spread=5)
    shift, classifier = case.behind()
    packed = ops.pack_segmentation_head(*real_gate(case), shift * STEP, real(classifier, STEP, 1.0))
    expected = ops.segmentation_head(*real_maps(case), packed, 7)
    got = plain_head(*case.maps(), case.packed_head(), 7)
    # Half a step of each fused number.
    bounds = classifier.weight.flatten(1).int().abs().sum(1) * classifier.multiplier / 2
    assert ((got - expected).abs() <= 1.001 * bounds[:, None, None]).all()


@pytest.mark.parametrize("residual", [False, True])
def test_attention_stands_for_a_float_one(residual):
    case = Attention(batch=2, size=(8, 9), residual=residual)
    *qkv, depthwise, detail, row, column, project = case.layers()
    step = SEA_SCALES["qkv_scale"]
    weights = (
        *(real(given, SEA_SCALES["input_scale"], step) for given in qkv),
        real(depthwise, step, FINE),
        real(detail, FINE, 6 * SEA_SCALES["output_scale"]),
        real(row, FINE, FINE),
        real(column, FINE, FINE),
        real(project, FINE, 1.0),
    )
    float_packed = ops.pack_sea_attention(*weights, case.positions(), num_heads=case.heads)
    x = case.map() // 2  # so that hardly a query, key or value saturates
    expected = ops.sea_attention(x * SEA_SCALES["input_scale"], float_packed, *case.arguments)
    expected = (expected / SEA_SCALES["output_scale"]).clamp(-128, 127)
    errors = plain_attention(x, case.packed(), *case.arguments) - expected
    assert errors.square().mean().sqrt() <= 0.03 * expected.square().mean().sqrt()


CALLS: dict[str, Callable[[], tuple]] = {
    "fusion_gate": lambda: (*Gate(batch=2).maps(), Gate().packed(), 21),
    "segmentation_head": lambda: (*Gate(batch=2).maps(), Gate().packed_head(), 7),
    "segmentation_labels": lambda: (*Gate(batch=2).maps(), Gate().packed_head(), 7, (9, 10)),
    "sea_attention": lambda: (Attention(batch=2).map(), Attention().packed(), 2, 8, True),
}


@pytest.mark.parametrize("op", CALLS)
def test_opcheck(op):
    torch.library.opcheck(getattr(torch.ops.seaformer, op).default, CALLS[op]())


@pytest.mark.parametrize("op", CALLS)
def test_other_layouts_and_meta_tensors(op):
    arguments = CALLS[op]()
    call = getattr(ops, op)
    expected = call(*arguments)
    strided = [
        x.contiguous(memory_format=torch.channels_last)
        if isinstance(x, Tensor) and x.dim() == 4
        else x
        for x in arguments
    ]
    assert torch.equal(call(*strided), expected)
    fake = call(*(x.to("meta") if isinstance(x, Tensor) else x for x in arguments))
    assert fake.dtype == expected.dtype
    assert fake.shape == expected.shape and fake.stride() == expected.stride()


@pytest.mark.parametrize("op", CALLS)
def test_other_weights_are_refused(op):
    packed = {
        "fusion_gate": Gate().packed,
        "sea_attention": Attention().packed,
    }.get(op, Gate().packed_head)()
    floats = [
        x.float() if isinstance(x, Tensor) and x.dtype == torch.int8 else x for x in CALLS[op]()
    ]
    # The fake kernel of a gate looks at the length first.
    with pytest.raises(ValueError, match=r"of (float32 for maps of it|\d+ bytes), got"):
        getattr(ops, op)(*(packed if x is packed else x for x in floats))


def overflowing(given: ops.Int8Layer) -> ops.Int8Layer:
    return given._replace(bias=torch.full_like(given.bias, 1 << 22))


def infinite(given: ops.Int8Layer) -> ops.Int8Layer:
    return given._replace(multiplier=torch.full_like(given.multiplier, torch.inf))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (overflowing, r"expected {} sums below 2\^22"),
        (infinite, "expected finite {} multipliers"),
        (lambda x: x._replace(weight=x.weight[:, :0]), r"expected {} weight of shape \["),
        (lambda x: x._replace(bias=x.bias.float()), "expected {} weight, bias and multiplier of"),
    ],
    ids=["sums", "multipliers", "shape", "type"],
)
def test_limits_of_layers_are_held(change, message):
    local, coarse = Gate().layers()
    shift, classifier = Gate().behind()
    error = TypeError if "bias and" in message else ValueError
    for name, layers in {
        "local": (change(local), coarse),
        "coarse": (local, change(coarse)),
    }.items():
        with pytest.raises(error, match=message.format(name)):
            ops.pack_int8_fusion_gate(*layers, **GATE_SCALES, output_scale=1.0)
        with pytest.raises(error, match=message.format(name)):
            ops.pack_int8_segmentation_head(*layers, shift, classifier, **GATE_SCALES)
    with pytest.raises(error, match=message.format("classifier")):
        ops.pack_int8_segmentation_head(local, coarse, shift, change(classifier), **GATE_SCALES)
    case = Attention()
    names = ("detail", "row", "column", "project")
    for i, name in enumerate(names, len(case.layers()) - len(names)):
        layers = case.layers()
        layers[i] = change(layers[i])
        with pytest.raises(error, match=message.format(name)):
            ops.pack_int8_sea_attention(
                *layers, case.positions(), num_heads=case.heads, **SEA_SCALES
            )


def test_bad_calls_are_refused():
    local, coarse = Gate().layers()
    shift, classifier = Gate().behind()
    with pytest.raises(ValueError, match="pack_int8_fusion_gate: expected positive scales"):
        ops.pack_int8_fusion_gate(local, coarse, **GATE_SCALES, output_scale=0.0)
    with pytest.raises(ValueError, match="pack_int8_segmentation_head: expected positive scales"):
        ops.pack_int8_segmentation_head(
            local, coarse, shift, classifier, local_scale=0.1, coarse_scale=-0.1
        )
    with pytest.raises(TypeError, match="expected shift as a float32 tensor"):
        ops.pack_int8_segmentation_head(local, coarse, shift.double(), classifier, **GATE_SCALES)
    with pytest.raises(ValueError, match=r"expected shift of shape \[21\]"):
        ops.pack_int8_segmentation_head(local, coarse, shift[1:], classifier, **GATE_SCALES)
    case = Attention()
    with pytest.raises(ValueError, match="pack_int8_sea_attention: expected positive scales"):
        case.packed(gate_scale=float("nan"))
    with pytest.raises(ValueError, match="expected num_heads to divide keys and values"):
        case.packed(num_heads=3)
    scales = {"num_heads": case.heads, **SEA_SCALES}
    with pytest.raises(ValueError, match="expected 4 tensors of positions"):
        ops.pack_int8_sea_attention(*case.layers(), case.positions()[1:], **scales)
    fractions, *others = case.layers()
    fractions = fractions._replace(multiplier=fractions.multiplier + 1e-7)
    with pytest.raises(ValueError, match=r"expected queries multipliers .* whole multiples"):
        ops.pack_int8_sea_attention(fractions, *others, case.positions(), **scales)
