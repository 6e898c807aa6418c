"""The block ops against plain PyTorch in float64, and what they refuse."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import inspect
import itertools
import math
from functools import partial

import op_cases as cases
import pytest
import torch
from op_cases import SIMPLE, Call, Case, Random
from torch.nn import functional as F

import seaformer_kernels as sk
from seaformer_kernels import _extension
from seaformer_kernels.ops import _winograd
from seaformer_kernels.ops._element import ELEMENTS, WITH_INT8, listed, name_of
from seaformer_kernels.ops._packed import Kind


def assert_near(case: Case, got: torch.Tensor, *inputs: torch.Tensor) -> None:
    """At most twice as far from float64 as plain layers are, or 4 eps of the largest value."""
    inputs = inputs or case.inputs
    exact = case.expected(*(x.double() for x in inputs))
    assert got.shape == exact.shape and got.dtype == case.dtype
    if got.numel() == 0:
        return
    plain = (case.expected(*(x.to(case.dtype) for x in inputs)).double() - exact).abs().max().item()
    errors = (got.double() - exact).abs()
    allowed = 2 * plain + 4 * torch.finfo(case.dtype).eps * exact.abs().max().item()
    worst = errors.argmax().item()
    assert errors.max() <= allowed, (
        f"element {worst}: got {got.flatten()[worst]}, expected {exact.flatten()[worst]}, "
        f"allowed error {allowed:.3g}"
    )


@pytest.fixture(params=SIMPLE)
def simple(request) -> Case:
    return SIMPLE[request.param]()


@pytest.fixture(params=itertools.product(SIMPLE, ELEMENTS), ids=str)
def typed(request) -> Case:
    op, dtype = request.param
    return SIMPLE[op](dtype=dtype)


ir, gate, head = cases.inverted_residual, cases.fusion_gate, cases.segmentation_head
upsampling = cases.upsampling_head
SHAPES = [
    partial(cases.stem),
    partial(cases.stem, out=32, batch=3, h=33, w=47),
    partial(cases.stem, out=5, h=1, w=1),
    partial(cases.stem, out=17, h=1, w=30),
    partial(cases.stem, out=15, h=31, w=1),
    partial(cases.stem, out=16, batch=2, h=64, w=96, normalise=True),
    partial(cases.stem, out=16, h=5, w=6, normalise=True),
    partial(cases.stem, batch=0),
    *(partial(cases.stem, out=18, h=12, w=15, act=act) for act in cases.ACTIVATIONS),
    partial(cases.stem_block),
    partial(cases.stem_block, residual=True, batch=3, h=33, w=47),
    partial(cases.stem_block, 5, 9, 5, h=1, w=1),
    partial(cases.stem_block, 17, 8, 3, 2, h=1, w=30),
    partial(cases.stem_block, 32, 32, residual=True, batch=2, h=64, w=96, normalise=True),
    partial(cases.stem_block, batch=0),
    partial(ir),
    partial(ir, 16, None, 16, residual=True, h=20, w=37),
    partial(ir, 16, 64, 16, stride=2, h=32, w=33),
    partial(ir, 16, 48, 16, residual=True, batch=3, h=19, w=24),
    partial(ir, 32, 96, 32, 5, residual=True, h=17, w=40),
    partial(ir, 16, 48, 32, 5, 2, h=31, w=30),
    partial(ir, 33, 99, 17, 5, 2, batch=2, h=2, w=3),
    partial(ir, 1, 1, 1, h=5, w=5),
    partial(ir, 3, None, 5, 5, 2, h=1, w=1),
    partial(ir, 7, 21, 7, residual=True, h=1, w=13),
    partial(ir, 7, 21, 9, stride=2, h=13, w=1),
    partial(ir, 160, 320, 160, acts=("none", "relu6"), residual=True, h=4, w=5),
    partial(ir, 24, 48, 24, acts=("none", "relu6"), h=8, w=8),
    partial(ir, 6, 10, 4, acts=("hardsigmoid", "none"), h=6, w=6),
    partial(ir, 6, 10, 4, acts=("relu6", "relu"), h=6, w=6),
    partial(ir, 8, 24, 8, 3, 1, padding="same", residual=True),
    partial(ir, 8, 24, 8, 3, 2, padding="same", h=8, w=32),
    partial(ir, 8, None, 9, 5, 2, padding="same", batch=2, h=6, w=7),
    partial(ir, batch=0, residual=True),
    *(partial(ir, 20, 56, 20, acts=(act,) * 3, residual=True) for act in cases.ACTIVATIONS),
    *(partial(ir, 20, None, 24, 5, 2, acts=(act,) * 3) for act in cases.ACTIVATIONS),
    partial(ir, squeeze=(6, "relu", "hardsigmoid"), residual=True),
    partial(ir, 16, None, 16, stride=2, squeeze=(8, "relu", "hardsigmoid"), h=56, w=56),
    partial(ir, 32, None, 16, acts=("none", "silu"), squeeze=(8, "silu", "sigmoid"), h=20, w=21),
    partial(
        ir,
        112,
        672,
        112,
        5,
        acts=("hardswish", "hardswish"),
        residual=True,
        squeeze=(168, "relu", "hardsigmoid"),
        h=14,
        w=14,
    ),
    partial(
        ir,
        40,
        240,
        40,
        5,
        acts=("silu", "silu"),
        residual=True,
        batch=3,
        squeeze=(10, "silu", "sigmoid"),
        h=9,
        w=13,
    ),
    partial(ir, 5, 7, 3, 5, 2, acts=("gelu",) * 3, squeeze=(1, "gelu", "sigmoid"), h=1, w=1),
    partial(ir, batch=0, squeeze=(2, "relu", "sigmoid")),
    partial(ir, 80, 200, 80, acts=("hardswish", "hardswish"), residual=True, h=14, w=14),
    partial(ir, 40, 240, 40, 5, acts=("silu", "silu"), residual=True, h=14, w=14),
    partial(gate),
    partial(gate, 32, 128, 64, 3, (40, 56), (10, 14)),
    partial(gate, 5, 7, 33, 2, (9, 11), (1, 1)),
    partial(gate, 16, 16, 16, 1, (1, 1), (4, 6)),
    partial(gate, 1, 1, 1, 1, (1, 20), (5, 1)),
    partial(gate, 8, 8, 15, 1, (4, 6), (7, 13)),
    partial(gate, 8, 8, 8, 1, (6, 6), (6, 6)),
    partial(gate, batch=0),
    partial(head),
    partial(head, 64, 160, 96, 150, 2, (16, 20), (2, 3)),
    partial(head, 5, 7, 33, 1, 3, (9, 11), (1, 1)),
    partial(head, 16, 16, 16, 257, 1, (1, 1), (4, 6)),
    partial(head, 8, 8, 15, 21, 1, (4, 6), (7, 13)),
    partial(head, batch=0),
    partial(upsampling),
    partial(upsampling, 48, 96, 150, batch=2, h=8, w=9),
    partial(upsampling, 33, 17, 1, 5, 3, 5, 7),
    partial(upsampling, 16, 16, 257, h=1, w=1),
    partial(upsampling, 1, 1, 2, h=1, w=21),
    partial(upsampling, 64, 40, 21, 5, h=13, w=1),
    partial(upsampling, batch=0),
    partial(cases.classification_head),
    partial(cases.classification_head, 160, 1000, 3, 7, 5),
    partial(cases.classification_head, 1, 1, 2, 1, 1),
    partial(cases.classification_head, 33, 17, 1, 1, 50),
    partial(cases.classification_head, batch=0),
    partial(cases.pointwise),
    partial(cases.pointwise, 16, 64, "none", 1, 20, 31),
    partial(cases.pointwise, 96, 150, "relu6", 2, 9, 7),
    *(partial(cases.pointwise, 33, 17, act, 3, 5, 3) for act in cases.ACTIVATIONS),
    partial(cases.pointwise, 1, 1, h=1, w=1),
    partial(cases.pointwise, 7, 33, h=1, w=29),
    partial(cases.pointwise, batch=0),
    partial(cases.depthwise),
    partial(cases.depthwise, 64, 5, 2, "same", "relu6", batch=2, h=14, w=27),
    partial(cases.depthwise, 33, 7, 1, h=10, w=31),
    partial(cases.depthwise, 16, 7, 2, "same", "none", h=8, w=8),
    partial(cases.depthwise, 16, 3, 2, "same", h=1, w=2),
    partial(cases.depthwise, 1, 5, h=1, w=1),
    partial(cases.depthwise, batch=0),
    partial(cases.convolution),
    partial(cases.convolution, 3, 16, (3, 3), 2, h=33, w=40, act="relu6"),
    partial(cases.convolution, 3, 24, (7, 7), 2, (3, 3), batch=2, h=17, w=24, act="none"),
    partial(cases.convolution, 64, 33, batch=2, h=14, w=14),
    partial(cases.convolution, 16, 32, (1, 1), 2, (0, 0), h=9, w=8),
    partial(cases.convolution, 16, 32, (1, 1), 1, (0, 0), h=9, w=8),
    partial(cases.convolution, 8, 8, (1, 1), 3, (1, 0), h=9, w=8),
    partial(cases.convolution, 5, 7, (1, 7), 1, (0, 3), batch=2, h=4, w=5),
    partial(cases.convolution, 5, 7, (5, 1), 4, (2, 0), h=14, w=3, act="hardsigmoid"),
    partial(cases.convolution, 16, 17, (3, 3), 1, (12, 12), 12, h=10, w=13),
    partial(cases.convolution, 16, 17, (3, 2), 2, (0, 4), 3, h=7, w=3),
    partial(cases.convolution, 3, 16, (3, 3), 2, (), h=32, w=33),
    partial(cases.convolution, 6, 8, (4, 5), 3, (), 2, batch=3, h=11, w=1),
    partial(cases.convolution, 16, 17, (3, 3), 1, (), h=9, w=12, act="silu"),  # by Winograd
    partial(cases.convolution, 1, 1, h=1, w=1),
    partial(cases.convolution, batch=0),
    partial(cases.sea_attention),
    partial(cases.sea_attention, 128, 4, 16, 32, size=(16, 16), residual=True),
    partial(cases.sea_attention, 24, 3, 5, 9, 2, (1, 9)),
    partial(cases.sea_attention, 24, 3, 5, 9, 2, (9, 1), residual=True),
    partial(cases.sea_attention, 16, 2, 24, 48, 3, (17, 33)),
    partial(cases.sea_attention, 8, 1, 16, 32, size=(3, 140)),
    partial(cases.sea_attention, batch=0),
]
CASES = [make(dtype=dtype) for dtype in ELEMENTS for make in SHAPES]


def shape_id(case: Case) -> str:
    sizes = [*(list(x.shape) for x in case.inputs), *case.arguments]
    sizes = [size for size in sizes if not isinstance(size, torch.dtype)]
    return f"{case.op} {name_of(case.dtype)} {' '.join(map(str, sizes))}".replace(", ", "x")


@pytest.mark.parametrize("case", CASES, ids=shape_id)
def test_equals_the_plain_layers(isa, case):
    got = case()
    assert_near(case, got)
    if got.dim() == 4:
        assert got.stride() == torch.empty(got.shape, memory_format=torch.channels_last).stride()
    else:
        assert got.is_contiguous()


VIEWS = {
    "nchw": lambda x: x.contiguous(),
    "channels_last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "transposed": lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
    "cropped": lambda x: torch.cat([x, x], 3)[..., : x.shape[3]],
    "cropped pixels": lambda x: torch.cat([x, x], 1).contiguous(memory_format=torch.channels_last)[
        :, : x.shape[1]
    ],
    "strided": lambda x: x.repeat_interleave(2, 2)[:, :, ::2],
    "expanded": lambda x: x[:, :, :1, :1].expand(x.shape),
}


@pytest.mark.parametrize("view", VIEWS)
def test_layout_does_not_matter(isa, simple, view):
    inputs = [VIEWS[view](x) for x in simple.inputs]
    before = [x.clone() for x in inputs]
    assert_near(simple, simple(*inputs), *inputs)
    assert all(torch.equal(x, y) for x, y in zip(inputs, before, strict=True))


@pytest.mark.parametrize("make", [cases.stem, cases.stem_block])
@pytest.mark.parametrize("view", ["nchw", "channels_last", "cropped"])
@pytest.mark.parametrize("dtype", ELEMENTS, ids=name_of)
def test_stem_reads_bytes(isa, make, view, dtype):
    case = make(18, batch=2, h=13, w=20, normalise=True, dtype=dtype)
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (2, 3, 13, 20), dtype=torch.uint8, generator=generator)
    got = case(VIEWS[view](image))
    assert_near(case, got, image.float())


@pytest.mark.parametrize("dtype", ELEMENTS[1:], ids=name_of)
@pytest.mark.parametrize("make", [cases.stem, cases.stem_block])
def test_stem_reads_images_of_any_type(isa, make, dtype):
    for case in make(), make(dtype=dtype):
        (image,) = (x.to(dtype) for x in case.inputs)
        for call in case, case.registered:
            assert torch.equal(call(image), call(image.float()))


@pytest.mark.parametrize("make", [cases.stem, cases.stem_block])
def test_bytes_need_a_mean_and_std(make):
    image = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    case = make()
    for call in (case, case.registered, case.plain):
        with pytest.raises(ValueError, match=rf"^{case.op}: expected a float32 image, .*no mean"):
            call(image)
    old = make(normalise=True)
    expected = old(image)
    fields_of_old = old.packed[:64].view(torch.int32)
    fields_of_old[10] = 0  # as packed before there was a flag for a mean and std
    for call in (old, old.registered, old.plain):
        torch.testing.assert_close(call(image), expected)


@pytest.mark.parametrize(
    ("block", "got"),
    [
        (lambda: ir(16, 32, 16).packed, "got one of 16 that expands"),
        (lambda: ir(8, None, 16).packed, "got one of 8"),
        (
            lambda: ir(16, None, 16, squeeze=(4, "relu", "sigmoid")).packed,
            "got one of 16 that squeezes",
        ),
        (lambda: ir(16, None, 16, dtype=torch.float16).packed, "in float32, got one.* in float16"),
        (lambda: cases.stem().packed, "kind 2, got kind 1"),
        (lambda: ir(16, None, 16).packed[:-4], "of 1792 bytes, got 1788"),
        (lambda: ir(16, None, 16).packed[None], "contiguous one-dimensional uint8"),
    ],
)
def test_a_stem_block_refuses_another_block_behind(block, got):
    case = dataclasses.replace(cases.stem_block(), behind=(block(),))
    for call in (case, case.registered, case.plain):
        with pytest.raises(ValueError, match=f"^stem_block: expected packed weights.* {got}"):
            call()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nan_and_infinities_as_in_pytorch(isa, typed, value):
    for number in range(len(typed.inputs)):
        inputs = [x.clone() for x in typed.inputs]
        inputs[number][0, 1, -1, -1] = value
        got = typed(*inputs)
        plain = typed.expected(*(x.to(typed.dtype) for x in inputs))
        assert math.isinf(value) or plain.isnan().any()
        tolerance = 1e-5 if typed.dtype == torch.float32 else 8 * torch.finfo(typed.dtype).eps
        torch.testing.assert_close(got, plain, equal_nan=True, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ELEMENTS, ids=name_of)
@pytest.mark.parametrize("act", cases.ACTIVATIONS)
def test_special_values_of_activations_as_in_pytorch(isa, act, dtype):
    weights = torch.ones(1, 1, 1, 1), torch.zeros(1)
    packed = sk.ops.pack_pointwise(weights, activation=act, dtype=dtype)
    values = [math.nan, math.inf, -math.inf, 1e4, -1e4, 100.0, -100.0, 3.0, -3.0, 0.0]
    x = torch.tensor(values).to(dtype).view(1, 1, 1, -1)
    expected = cases.ACTIVATIONS[act](x.float()).to(dtype)
    tolerance = 1e-6 if dtype == torch.float32 else 2 * torch.finfo(dtype).eps
    got = sk.ops.pointwise(x, packed, 1)
    torch.testing.assert_close(got, expected, equal_nan=True, rtol=tolerance, atol=tolerance)


# Types that cannot hold the largest numbers of float32.
NARROW = [dtype for dtype in ELEMENTS if torch.finfo(dtype).max < 1e38]


@pytest.mark.parametrize("dtype", NARROW, ids=name_of)
def test_the_ends_of_a_half_type(isa, dtype):
    """Its largest and smallest numbers, zeros, and what overflows, through a 1x1 convolution."""
    largest, least = torch.finfo(dtype).max, torch.finfo(dtype).smallest_normal
    values = torch.tensor([largest, -largest, 6e4, least, -least / 4, 0.0, -0.0, 1.0])
    values = torch.cat([values, torch.tensor([math.inf, -math.inf, math.nan])]).to(dtype)
    channels = len(values)
    for scale in (1.0, 2.0, 0.5):
        weights = scale * torch.eye(channels)[:, :, None, None], torch.zeros(channels)
        packed = sk.ops.pack_pointwise(weights, dtype=dtype)
        for number, value in enumerate(values):
            x = torch.zeros(1, channels, 5, 7, dtype=dtype)
            x[:, number] = value
            got = sk.ops.pointwise(x, packed, channels)
            expected = F.conv2d(x, weights[0].to(dtype))
            assert got.dtype == dtype
            torch.testing.assert_close(got, expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype", NARROW, ids=name_of)
def test_a_weight_that_overflows_is_refused(dtype):
    weight, bias = torch.zeros(3, 2, 1, 1), torch.zeros(3)
    bias[1] = -torch.finfo(dtype).max
    sk.ops.pack_pointwise((weight, bias), dtype=dtype)
    bias[1] *= 1.25
    with pytest.raises(ValueError, match=rf"at most .*, as {name_of(dtype)} needs, got one of"):
        sk.ops.pack_pointwise((weight, bias), dtype=dtype)
    bias[1] = math.inf  # was no number before, and is for the user to see
    sk.ops.pack_pointwise((weight, bias), dtype=dtype)
    stem = torch.full((16, 3, 3, 3), 1.25 * torch.finfo(dtype).max), torch.zeros(16)
    sk.ops.pack_stem(stem)
    with pytest.raises(ValueError, match=rf"at most .*, as {name_of(dtype)} needs, got one of"):
        sk.ops.pack_stem(stem, dtype=dtype)


def test_maps_of_another_type_than_the_weights_are_refused(simple):
    if simple.op.startswith("stem"):
        return
    for dtype in ELEMENTS[1:]:
        wide, narrow = simple.inputs, SIMPLE[simple.op](dtype=dtype)
        for case, inputs in (simple, narrow.inputs), (narrow, wide):
            for call in (case, case.registered, case.plain):
                with pytest.raises(ValueError, match=f"^{simple.op}: expected packed .* got"):
                    call(*inputs)
        if len(wide) > 1:
            mixed = wide[0], narrow.inputs[1]
            for call in (simple, simple.registered, simple.plain):
                with pytest.raises(ValueError, match=f"^{simple.op}: expected .* got"):
                    call(*mixed)


@pytest.mark.parametrize("make", [cases.stem, cases.stem_block])
def test_a_stem_writes_what_its_weights_say(make):
    wide, narrow = make(), make(dtype=torch.float16)
    for case, other in (wide, narrow), (narrow, wide):
        wrong = dataclasses.replace(case, arguments=other.arguments)
        for call in (wrong, wrong.registered, wrong.plain):
            with pytest.raises(ValueError, match=rf"^{case.op}: expected dtype b?float\d\d.*, got"):
                call()
        wrong = dataclasses.replace(case, arguments=(*case.arguments[:-1], torch.int16))
        with pytest.raises(ValueError, match=f"expected dtype to be {listed(WITH_INT8)}"):
            wrong()


PACKS = [n for n in sk.ops.__all__ if n.startswith("pack_") and n != "pack_plan"]


@pytest.mark.parametrize("pack", [n for n in PACKS if "int8" not in n])
def test_packing_names_the_types_there_are(pack):
    parameters = inspect.signature(getattr(sk.ops, pack)).parameters.values()
    needed = {p.name: None for p in parameters if p.default is p.empty}
    with pytest.raises(ValueError, match=f"^{pack}: expected dtype to be .*float16, got float64"):
        getattr(sk.ops, pack)(**needed, dtype=torch.float64)


def test_any_number_of_threads_gives_equal_results(isa, typed):
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3, 5):
            torch.set_num_threads(threads)
            results.append(typed())
    finally:
        torch.set_num_threads(before)
    if isa == "pytorch":
        return  # plain PyTorch makes no such promise
    assert all(torch.equal(result, results[0]) for result in results)


def test_python_threads_at_once(isa, simple):
    expected = simple()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for got in pool.map(lambda _: simple(), range(16)):
            torch.testing.assert_close(got, expected)


@pytest.mark.skipif(_extension.module is None, reason="the native extension is not built")
def test_the_extension_has_a_kernel(simple):
    assert torch._C._dispatch_has_kernel_for_dispatch_key(simple.overload.name(), "CPU")


# The layout, written out element by element as csrc/blocks/packed.h tells it.


def floats(packed: torch.Tensor) -> list[float]:
    return packed[64:].view(torch.float32).tolist()


def fields(packed: torch.Tensor) -> list[int]:
    return packed[:64].view(torch.int32).tolist()


def section(weight: torch.Tensor, bias: torch.Tensor, group: int = 1) -> list[float]:
    """Inputs come by groups of so many, each output's side by side; the last may be less."""
    rows, values = weight.flatten(1).tolist(), bias.tolist()
    out = []
    for panel in range(0, len(values), 16):
        lanes = range(panel, panel + 16)
        out += [values[n] if n < len(values) else 0.0 for n in lanes]
        inputs = range(weight[0].numel())
        for first in inputs[::group]:
            ks = inputs[first : first + group]
            out += [rows[n][k] if n < len(values) else 0.0 for n in lanes for k in ks]
    return out


MAGIC = 0x4B504653


def test_layout_of_a_stem():
    weights = Random(0).weights(20, 3, 3, 3)
    packed = sk.ops.pack_stem(weights, mean=(1, 2, 3), std=(2, 4, 8))
    assert fields(packed) == [MAGIC, 2, 1, 3, 0, 20, 3, 2, 0, 0, 2] + [0] * 5
    assert floats(packed) == [*section(*weights), 1, 2, 3, 0.5, 0.25, 0.125, *[0] * 10]
    packed = sk.ops.pack_stem(weights)
    assert fields(packed) == [MAGIC, 2, 1, 3, 0, 20, 3, 2] + [0] * 8
    assert floats(packed)[-16:] == [0, 0, 0, 1, 1, 1, *[0] * 10]


def test_layout_of_an_inverted_residual():
    random = Random(0)
    expand, depthwise = random.weights(24, 5, 1, 1), random.weights(24, 1, 5, 5)
    project = random.weights(17, 24, 1, 1)
    packed = sk.ops.pack_inverted_residual(
        expand,
        depthwise,
        project,
        stride=2,
        expand_activation="none",
        depthwise_activation="relu6",
    )
    assert fields(packed) == [MAGIC, 2, 2, 5, 24, 17, 5, 2, 0, 2, 1] + [0] * 5
    assert floats(packed) == [*section(*expand), *section(*depthwise), *section(*project)]
    packed = sk.ops.pack_inverted_residual(None, depthwise, project)
    assert fields(packed) == [MAGIC, 2, 2, 24, 24, 17, 5, 1, 0, 1, 0] + [0] * 5
    assert floats(packed) == [*section(*depthwise), *section(*project)]


def test_layout_of_the_heads():
    random = Random(0)
    local, coarse = random.weights(20, 5, 1, 1), random.weights(20, 7, 1, 1)
    shift, classifier = random.tensor(20), random.weights(3, 20, 1, 1)
    gate = sk.ops.pack_fusion_gate(local, coarse)
    assert fields(gate) == [MAGIC, 2, 3, 5, 7, 20] + [0] * 10
    assert floats(gate) == [*section(*local), *section(*coarse)]
    head = sk.ops.pack_segmentation_head(local, coarse, shift, classifier)
    assert fields(head) == [MAGIC, 2, 4, 5, 7, 20] + [0] * 7 + [3, 0, 0]
    assert floats(head) == [*floats(gate), *shift.tolist(), *[0] * 12, *section(*classifier)]
    depthwise, project = random.weights(5, 1, 3, 3), random.weights(20, 5, 1, 1)
    upsampling = sk.ops.pack_upsampling_head(depthwise, project, classifier)
    assert fields(upsampling) == [MAGIC, 2, 8, 5, 5, 20, 3, 1, 0, 1] + [0] * 3 + [3, 0, 0]
    assert floats(upsampling) == [
        *section(*depthwise), *section(*project), *section(*classifier)
    ]  # fmt: skip
    linear = random.weights(9, 33)
    packed = sk.ops.pack_classification_head(linear)
    assert fields(packed) == [MAGIC, 2, 5, 33, 0, 9] + [0] * 10
    assert floats(packed) == section(*linear)


def test_layout_of_a_pointwise_convolution():
    weights = Random(0).weights(17, 5, 1, 1)
    packed = sk.ops.pack_pointwise(weights, activation="relu6")
    assert fields(packed) == [MAGIC, 2, 6, 5, 0, 17, 0, 0, 2] + [0] * 7
    assert floats(packed) == section(*weights)
    assert fields(sk.ops.pack_pointwise(weights))[8] == 0


def test_layout_of_output_activations():
    """Of the newest version, unless it is what older ones mean anyway."""
    weights = Random(0).weights(17, 3, 3, 3)
    packed = sk.ops.pack_stem(weights, activation="none")
    assert fields(packed) == [MAGIC, 5, 1, 3, 0, 17, 3, 2] + [0] * 8
    assert fields(sk.ops.pack_stem(weights, activation="silu"))[15] == 5
    assert fields(sk.ops.pack_stem(weights))[1::14] == [2, 0]
    packed = ir(acts=("relu", "hardswish", "relu6"), dtype=torch.float16).packed
    assert fields(packed) == [MAGIC, 5, 2, 8, 24, 8, 3, 1, 1, 4, 1] + [0] * 3 + [1, 2]
    assert fields(ir(acts=("silu", "gelu")).packed)[1::14] == [2, 0]


def test_layout_of_squeeze_and_excite():
    packed = ir(5, None, 3, squeeze=(33, "silu", "sigmoid")).packed
    assert fields(packed) == [MAGIC, 5, 2, 5, 5, 3, 3, 1, 0, 1, 0, 33, 5, 6, 0, 0]
    assert len(packed) == 64 + 4 * 16 * (10 + 3 * 6 + 34 + 6)


@pytest.mark.parametrize(
    ("field", "value"), [(11, -1), (11, 7), (11, 1 << 30), (12, 9), (12, -1), (13, 1), (13, 8)]
)
def test_wrong_fields_of_squeeze_and_excite_are_refused(field, value):
    case = ir(squeeze=(6, "relu", "sigmoid"))
    refused(case, with_field(case, field, value))


@pytest.mark.parametrize("code", [-1, 9, 0x007FFFFF, 0x7F800000])
@pytest.mark.parametrize(
    "case", [cases.stem(act="none"), ir(acts=("relu", "relu", "relu"))], ids=["stem", "block"]
)
def test_an_unknown_output_activation_is_refused(case, code):
    refused(case, with_field(case, 15, code))


@pytest.mark.parametrize("dtype", ELEMENTS[1:], ids=name_of)
def test_layout_of_half_types(dtype):
    """Weights and biases are of the type; plain arrays, and all of a stem, are float32."""

    def body(*parts: torch.Tensor | list[float]) -> list[int]:
        parts = [torch.tensor(x).to(dtype) if isinstance(x, list) else x for x in parts]
        return torch.cat([part.view(torch.uint8) for part in parts]).tolist()

    code = ELEMENTS.index(dtype)
    random = Random(0)
    local, coarse = random.weights(20, 5, 1, 1), random.weights(20, 7, 1, 1)
    shift, classifier = random.tensor(20), random.weights(3, 20, 1, 1)
    head = sk.ops.pack_segmentation_head(local, coarse, shift, classifier, dtype=dtype)
    assert fields(head) == [MAGIC, 3, 4, 5, 7, 20] + [0] * 7 + [3, code, 0]
    shifts = F.pad(shift, (0, 12))
    group = 4 if dtype == torch.bfloat16 else 1
    assert head[64:].tolist() == body(
        section(*local, group), section(*coarse, group), shifts, section(*classifier, group)
    )
    expand, depthwise = random.weights(24, 6, 1, 1), random.weights(24, 1, 3, 3)
    project = random.weights(17, 24, 1, 1)
    residual = sk.ops.pack_inverted_residual(expand, depthwise, project, dtype=dtype)
    assert residual[64:].tolist() == body(
        section(*expand, group), section(*depthwise), section(*project, group)
    )
    attention = cases.sea_attention(dtype=dtype).packed
    positions = cases.sea_attention().packed[-4 * 4 * 16 * 8 :]
    assert fields(attention)[14] == code
    assert torch.equal(attention[-len(positions) :], positions)
    stem = cases.stem(dtype=dtype).packed
    assert fields(stem) == [MAGIC, 3, *fields(cases.stem().packed)[2:14], code, 0]
    assert floats(stem) == floats(cases.stem().packed)


def w(*shape, dtype=torch.float32):
    return torch.zeros(shape, dtype=dtype), torch.zeros(shape[:1], dtype=dtype)


@pytest.mark.parametrize(
    ("pack", "error", "message"),
    [
        (lambda: sk.ops.pack_stem(w(4, 3, 5, 5)), ValueError, r"\[any, 3, 3, 3\], got \[4, 3, 5"),
        (lambda: sk.ops.pack_stem(w(4, 3, 3)), ValueError, r"\[any, 3, 3, 3\], got \[4, 3, 3\]"),
        (lambda: sk.ops.pack_stem(w(0, 3, 3, 3)), ValueError, "1 to 1048576 channels"),
        (lambda: sk.ops.pack_stem(w(4, 3, 3, 3, dtype=torch.float64)), TypeError, "float64"),
        (
            lambda: sk.ops.pack_stem(tuple(part.to("meta") for part in w(4, 3, 3, 3))),
            ValueError,
            "on the CPU, got meta and meta",
        ),
        (lambda: sk.ops.pack_stem(torch.zeros(4, 3, 3, 3)), TypeError, r"\(weight, bias\)"),
        (lambda: sk.ops.pack_stem(w(4, 3, 3, 3), mean=(1, 2), std=(1, 1, 1)), ValueError, "three"),
        (lambda: sk.ops.pack_stem(w(4, 3, 3, 3), std=(1, 0, 1)), ValueError, "std positive"),
        (
            lambda: sk.ops.pack_stem((torch.zeros(4, 3, 3, 3), torch.zeros(5))),
            ValueError,
            r"bias of shape \[4\], got \[5\]",
        ),
        (
            lambda: sk.ops.pack_inverted_residual(None, w(4, 1, 7, 7), w(4, 4, 1, 1)),
            ValueError,
            "3x3 or 5x5 and stride 1 or 2, got 7x7 and 1",
        ),
        (
            lambda: sk.ops.pack_inverted_residual(None, w(4, 1, 3, 3), w(4, 4, 1, 1), stride=3),
            ValueError,
            "got 3x3 and 3",
        ),
        (
            lambda: sk.ops.pack_inverted_residual(w(5, 2, 1, 1), w(4, 1, 3, 3), w(4, 4, 1, 1)),
            ValueError,
            r"expand weight of shape \[4, any, 1, 1\]",
        ),
        (
            lambda: sk.ops.pack_inverted_residual(None, w(4, 1, 3, 3), w(4, 5, 1, 1)),
            ValueError,
            r"project weight of shape \[any, 4, 1, 1\]",
        ),
        (
            lambda: sk.ops.pack_inverted_residual(
                None, w(4, 1, 3, 3), w(4, 4, 1, 1), depthwise_activation="swish"
            ),
            ValueError,
            "expected an activation among none, relu, relu6, hardsigmoid",
        ),
        (
            lambda: sk.ops.pack_inverted_residual(
                None, w(4, 1, 3, 3), w(4, 4, 1, 1), squeeze=(w(2, 4, 1, 1), w(4, 2, 1, 1))
            ),
            TypeError,
            "expected squeeze as a SqueezeExcite, got tuple",
        ),
        (
            lambda: sk.ops.pack_inverted_residual(
                None,
                w(4, 1, 3, 3),
                w(4, 4, 1, 1),
                squeeze=sk.ops.SqueezeExcite(w(2, 4, 1, 1), w(4, 3, 1, 1)),
            ),
            ValueError,
            r"squeeze expand weight of shape \[4, 2, 1, 1\]",
        ),
        (
            lambda: sk.ops.pack_inverted_residual(
                None,
                w(4, 1, 3, 3),
                w(4, 4, 1, 1),
                squeeze=sk.ops.SqueezeExcite(w(2, 4, 1, 1), w(4, 2, 1, 1), gate="relu"),
            ),
            ValueError,
            "expected hardsigmoid or sigmoid as the gate of squeeze, got 'relu'",
        ),
        (
            lambda: sk.ops.pack_fusion_gate(w(4, 5, 1, 1), w(3, 5, 1, 1)),
            ValueError,
            r"coarse weight of shape \[4, any, 1, 1\]",
        ),
        (
            lambda: sk.ops.pack_segmentation_head(
                w(4, 5, 1, 1), w(4, 5, 1, 1), torch.zeros(3), w(2, 4, 1, 1)
            ),
            ValueError,
            r"shift of shape \[4\], got \[3\]",
        ),
        (
            lambda: sk.ops.pack_segmentation_head(
                w(4, 5, 1, 1), w(4, 5, 1, 1), torch.zeros(4), w(2, 3, 1, 1)
            ),
            ValueError,
            r"classifier weight of shape \[any, 4, 1, 1\]",
        ),
        (
            lambda: sk.ops.pack_upsampling_head(w(4, 1, 7, 7), w(8, 4, 1, 1), w(2, 8, 1, 1)),
            ValueError,
            "3x3 or 5x5, got 7x7",
        ),
        (
            lambda: sk.ops.pack_upsampling_head(w(4, 1, 3, 3), w(8, 5, 1, 1), w(2, 8, 1, 1)),
            ValueError,
            r"project weight of shape \[any, 4, 1, 1\]",
        ),
        (
            lambda: sk.ops.pack_upsampling_head(w(4, 1, 3, 3), w(8, 4, 1, 1), w(2, 9, 1, 1)),
            ValueError,
            r"classifier weight of shape \[any, 8, 1, 1\]",
        ),
        (lambda: sk.ops.pack_classification_head(w(4, 5, 1)), ValueError, r"\[any, any\]"),
        (lambda: sk.ops.pack_pointwise(w(4, 5)), ValueError, r"\[any, any, 1, 1\], got \[4, 5\]"),
        (
            lambda: sk.ops.pack_pointwise(w(4, 5, 1, 1), activation="swish"),
            ValueError,
            "among none, relu, relu6, hardsigmoid, hardswish, silu, sigmoid, gelu, gelu_tanh, "
            r"leaky_relu\(0.01\) with any positive slope, got 'swish'",
        ),
        *[
            (
                lambda slope=slope: sk.ops.pack_pointwise(
                    w(4, 5, 1, 1), activation=f"leaky_relu({slope})"
                ),
                ValueError,
                "any positive slope, got 'leaky_relu",
            )
            for slope in ("-0.1", "0.0", "1e-40", "inf", "nan", "1e39", "")
        ],
    ],
)
def test_pack_says_what_it_expected(pack, error, message):
    with pytest.raises(error, match=message):
        pack()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[(0, 1), (1, 0), (1, 4), (1, 6), (2, 0), (2, 99), (3, 0), (3, 2), (3, 1 << 30)],
        *[(5, 0), (5, 3), (5, -1)],
    ],
)
def test_a_wrong_header_is_refused(simple, field, value):
    refused(simple, with_field(simple, field, value))


@pytest.mark.parametrize(
    ("field", "value"), [(1, 1), (1, 2), (14, 0), (14, len(ELEMENTS)), (14, -1)]
)
def test_a_wrong_element_type_is_refused(typed, field, value):
    if typed.dtype != torch.float32:
        refused(typed, with_field(typed, field, value))


@pytest.mark.parametrize(
    ("op", "field", "value"),
    [
        ("inverted_residual", 4, 0),  # hidden channels
        ("inverted_residual", 4, 23),
        ("inverted_residual", 4, 40),
        ("inverted_residual", 6, 5),  # kernel size
        ("inverted_residual", 7, 2),  # stride
        ("inverted_residual", 8, 9),  # activations
        ("inverted_residual", 8, -1),
        ("inverted_residual", 9, 9),
        ("inverted_residual", 10, 0),  # flags
        ("fusion_gate", 4, 11),
        ("fusion_gate", 4, 0),
        ("segmentation_head", 4, 11),
        ("segmentation_head", 5, 40),
        ("segmentation_head", 13, 18),  # classes
        ("segmentation_head", 13, 0),
        ("upsampling_head", 4, 8),  # hidden channels
        ("upsampling_head", 5, 40),
        ("upsampling_head", 6, 5),  # kernel size
        ("upsampling_head", 6, 2),
        ("upsampling_head", 7, 2),  # stride
        ("upsampling_head", 9, 3),  # activation
        ("upsampling_head", 9, -1),
        ("upsampling_head", 10, 1),  # flags
        ("upsampling_head", 13, 18),  # classes
        ("upsampling_head", 13, 0),
        ("pointwise", 8, 9),  # activation
        ("pointwise", 8, 0x7F800000),  # infinite slope
        ("pointwise", 8, -1),
        ("depthwise", 4, 8),  # hidden channels
        ("depthwise", 5, 40),  # output channels
        ("depthwise", 6, 5),  # kernel size
        ("depthwise", 6, 4),
        ("depthwise", 7, 2),  # stride
        ("depthwise", 9, 99),  # activation
        ("depthwise", 9, -1),
        ("depthwise", 10, 1),  # flags
        ("convolution", 4, 2),  # padding
        ("convolution", 4, -1),
        ("convolution", 6, 2),  # kernel
        ("convolution", 6, 0),
        ("convolution", 11, 5),
        ("convolution", 7, 2),  # stride
        ("convolution", 8, -1),  # activation
        ("convolution", 8, 99),
        ("convolution", 10, 8),  # flags
        ("convolution", 12, 2),  # dilation
        ("convolution", 13, 0),  # padding
        ("sea_attention", 4, 33),
        ("sea_attention", 5, 9),
        ("sea_attention", 6, 5),
        ("sea_attention", 7, 2),
        ("sea_attention", 8, 1),
        ("sea_attention", 9, 1),
        ("sea_attention", 10, 0),
        ("sea_attention", 10, 3),
    ],
)
def test_a_wrong_field_is_refused(op, field, value):
    case = SIMPLE[op]()
    refused(case, with_field(case, field, value))


def test_convolution_takes_weights_of_before_winograd(monkeypatch):
    """Older files have a 3x3 convolution's weights as they are."""
    new = cases.convolution(16, 16)
    with monkeypatch.context() as patched:
        patched.setattr(_winograd, "_LEAST_INPUTS", 17)
        old = cases.convolution(16, 16)
    assert len(old.packed) < len(new.packed)
    for case in old, new:
        assert_near(case, sk.ops.convolution(*case.inputs, case.packed, *case.arguments))


def with_field(case: Case, field: int, value: int) -> torch.Tensor:
    packed = case.packed.clone()
    packed[:64].view(torch.int32)[field] = value
    return packed


def of_version_1(packed: torch.Tensor) -> torch.Tensor:
    """The buffer that layout version 1 had in its place: no field for classes."""
    packed = packed.clone()
    header = packed[:64].view(torch.int32)
    header[1] = 1
    if header[2] == Kind.SEGMENTATION_HEAD:
        header[6] = header[13]
    header[13] = 0
    return packed


def test_weights_of_version_1_compute_the_same(isa, simple):
    packed = of_version_1(simple.packed)
    if fields(packed)[2] in (Kind.UPSAMPLING_HEAD, Kind.CONVOLUTION):  # which there were not
        return refused(simple, packed)
    assert not torch.equal(packed, simple.packed)
    for call in (simple, simple.plain):
        assert torch.equal(call(packed=packed), call())
    refused(simple, packed[:-4])


def refused(case: Case, packed: torch.Tensor) -> None:
    for call in (case, case.registered, case.plain):
        with pytest.raises(ValueError, match=rf"^{case.op}: expected .*\bpacked weights.*, got "):
            call(packed=packed)


BROKEN = {
    "empty": lambda p: p[:0],
    "header only": lambda p: p[:64],
    "short": lambda p: p[:-1],
    "long": lambda p: torch.cat([p, p[:4]]),
    "int8": lambda p: p.view(torch.int8),
    "float32": lambda p: p.view(torch.float32),
    "matrix": lambda p: p[None],
    "strided": lambda p: torch.stack([p, p], 1)[:, 0],
    "misaligned": lambda p: torch.cat([p[:1], p])[1:],
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_wrong_buffer_is_refused(simple, broken):
    refused(simple, BROKEN[broken](simple.packed))


def test_weights_of_another_op_are_refused(simple):
    for make in SIMPLE.values():
        packed = make().packed
        if fields(packed)[2] != fields(simple.packed)[2]:
            refused(simple, packed)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (lambda x: x[0], "expected .* of shape .*, got "),
        (lambda x: x[:, :0], "expected .*, got "),
        (lambda x: x[:, :, :0], "expected .* at least one .*row and column, got "),
        (lambda x: x[..., :0], "expected .* at least one .*row and column, got "),
        (lambda x: x[:, 1:], "expected .*, got "),
        (lambda x: x.double(), "expected (a )?float32"),
        (lambda x: x.double(), "expected (a )?float32"),
    ],
)
def test_a_wrong_input_is_refused(simple, shape, message):
    for number in range(len(simple.inputs)):
        inputs = [shape(x) if i == number else x for i, x in enumerate(simple.inputs)]
        with pytest.raises(ValueError, match=f"^{simple.op}: {message}"):
            simple.registered(*inputs)
        with pytest.raises((TypeError, ValueError), match=f"^{simple.op}: {message}"):
            simple(*inputs)


@pytest.mark.parametrize(
    ("op", "position", "value"),
    [
        ("stem", 0, 32),
        ("stem", 0, 0),
        ("stem_block", 0, 17),
        ("stem_block", 0, 0),
        ("stem_block", 1, 7),
        ("stem_block", 2, 2),
        ("stem_block", 2, 0),
        ("inverted_residual", 0, 16),
        ("inverted_residual", 0, -8),
        ("inverted_residual", 1, 5),
        ("inverted_residual", 1, 7),
        ("inverted_residual", 2, 2),
        ("inverted_residual", 2, 0),
        ("fusion_gate", 0, 40),
        ("fusion_gate", 0, -1),
        ("segmentation_head", 0, 18),
        ("segmentation_head", 0, 0),
        ("upsampling_head", 0, 18),
        ("upsampling_head", 0, 0),
        ("classification_head", 0, 17),
        ("classification_head", 0, -2),
        ("pointwise", 0, 40),
        ("pointwise", 0, 0),
        ("depthwise", 0, 5),
        ("depthwise", 0, 4),
        ("depthwise", 1, 2),
        ("depthwise", 1, 0),
        ("convolution", 0, 40),
        ("convolution", 1, [3, 1]),
        ("convolution", 1, [8, 3]),
        ("convolution", 1, [3]),
        ("convolution", 2, 2),
        ("convolution", 2, 5),
        ("convolution", 3, [1, 0]),
        ("convolution", 3, [1, -1]),
        ("convolution", 3, [4, 1]),
        ("convolution", 3, []),
        ("convolution", 4, 2),
        ("convolution", 4, 0),
    ],
)
def test_a_wrong_number_is_refused(op, position, value):
    case = SIMPLE[op]()
    arguments = [value if i == position else old for i, old in enumerate(case.arguments)]
    wrong = dataclasses.replace(case, arguments=tuple(arguments))
    for call in (wrong, wrong.registered):
        with pytest.raises(ValueError, match=f"^{op}: expected .*, got "):
            call()


def test_a_residual_needs_equal_shapes():
    for case in (ir(8, 24, 16), ir(8, 24, 8, stride=2)):
        case.arguments = (*case.arguments[:3], True)
        with pytest.raises(ValueError, match=r"^inverted_residual: expected stride 1 and .*, got "):
            case()


@pytest.mark.parametrize("op", ["fusion_gate", "segmentation_head"])
def test_both_maps_hold_as_many_images(op):
    case = SIMPLE[op]()
    local, coarse = case.inputs
    with pytest.raises(ValueError, match=rf"^{op}: expected .*batch.*, got "):
        case(local, coarse.repeat(2, 1, 1, 1))


def test_wrong_types_are_named(simple):
    with pytest.raises(TypeError, match=rf"^{simple.op}: expected \w+ as a tensor, got NoneType"):
        simple(None, *simple.inputs[1:])
    with pytest.raises(TypeError, match=rf"^{simple.op}: expected \w+ as a tensor, got bytes"):
        simple(packed=b"")
    wrong = dataclasses.replace(simple, arguments=("8", *simple.arguments[1:]))
    with pytest.raises(TypeError, match=rf"^{simple.op}: expected \w+ as an integer, got str"):
        wrong()


def test_gradients_are_refused(simple):
    for number in range(len(simple.inputs)):
        inputs = [x.clone().requires_grad_(i == number) for i, x in enumerate(simple.inputs)]
        for call in (simple, simple.registered):
            with pytest.raises(RuntimeError, match=rf"^{simple.op}: .*no gradient.*no_grad"):
                call(*inputs)
            with torch.no_grad():
                assert not call(*inputs).requires_grad
        with torch.inference_mode():
            simple(*inputs)


def test_opcheck(typed):
    torch.library.opcheck(typed.overload, typed.all_arguments())


@pytest.mark.parametrize("case", [c for c in CASES if c.inputs[0].shape[0] != 1], ids=shape_id)
def test_the_fake_kernel_tells_shape_and_strides(case):
    fake = case.registered(*(x.to("meta") for x in case.inputs), packed=case.packed.to("meta"))
    real = case()
    assert fake.is_meta and fake.dtype == real.dtype
    assert fake.shape == real.shape and fake.stride() == real.stride()


@pytest.mark.parametrize("broken", ["empty", "int8", "matrix"])
def test_the_fake_kernel_checks_what_needs_no_data(simple, broken):
    inputs = [x.to("meta") for x in simple.inputs]
    with pytest.raises(ValueError, match=f"^{simple.op}: expected packed"):
        simple.registered(*inputs, packed=BROKEN[broken](simple.packed).to("meta"))
    with pytest.raises(ValueError, match=f"^{simple.op}: expected "):
        simple.registered(*(x[0] for x in inputs), packed=simple.packed.to("meta"))


def resized(case: Case, batch: int, h: int, w: int) -> list[torch.Tensor]:
    """Other inputs: the first of this size, a coarser one behind it."""
    sizes = [(h, w), ((h + 2) // 3, (w + 1) // 2)]
    return [
        Random(3).tensor(batch, x.shape[1], *size)
        for x, size in zip(case.inputs, sizes, strict=False)
    ]


def test_export_with_dynamic_sizes(simple, tmp_path):
    # torch.export wants to know that a computed size is not 1.
    least = 3 if simple.op.startswith("stem") else 1
    batch = torch.export.Dim("batch", min=1, max=64)
    dims = []
    for number in range(len(simple.inputs)):
        h, w = (torch.export.Dim(f"{n}{number}", min=least, max=4096) for n in "hw")
        dims.append({0: batch, 2: h, 3: w})
    call = Call(simple)
    program = torch.export.export(call, tuple(resized(simple, 2, 6, 8)), dynamic_shapes=((*dims,),))
    assert f"seaformer.{simple.op}" in str(program.graph)
    torch.export.save(program, tmp_path / "op.pt2")
    loaded = torch.export.load(tmp_path / "op.pt2").module()
    for size in [(2, 6, 8), (3, 7, 12), (1, least, 4)]:
        inputs = resized(simple, *size)
        torch.testing.assert_close(loaded(*inputs), call(*inputs))


class Chain(torch.nn.Module):
    """One op after the other."""

    def __init__(self):
        super().__init__()
        self.stem = Call(cases.stem(16))
        self.fine = Call(ir(16, 48, 8))
        self.coarse = Call(ir(16, 48, 12, 5, 2))
        self.gate = Call(cases.fusion_gate(8, 12, 8))
        self.head = Call(cases.segmentation_head(8, 12, 20, 19))
        self.classify = Call(cases.classification_head(12, 10))
        self.pointwise = Call(cases.pointwise(12, 12))

    def forward(self, image):
        x = self.stem(image)
        fine, coarse = self.fine(x), self.coarse(x)
        coarse = self.pointwise(coarse)
        return self.head(self.gate(fine, coarse), coarse), self.classify(coarse)


@pytest.mark.slow
@pytest.mark.compile
def test_compile_fullgraph(backend):
    chain = Chain()
    compiled = torch.compile(chain, fullgraph=True, dynamic=True, backend=backend)
    for size in [(2, 3, 16, 20), (3, 3, 21, 12), (1, 3, 9, 14)]:
        image = Random(3).tensor(*size)
        torch.testing.assert_close(compiled(image), chain(image))


@pytest.mark.parametrize("dtype", ELEMENTS, ids=name_of)
@pytest.mark.parametrize("classes", [1, 21, 257])
def test_segmentation_labels_are_those_of_the_logits(isa, classes, dtype):
    case = cases.segmentation_head(16, 24, 20, classes, 2, (6, 9), (2, 4), dtype=dtype)
    size = (37, 50)
    got = sk.ops.segmentation_labels(*case.inputs, case.packed, classes, size)
    assert torch.equal(got, sk.ops.upsample_argmax(case(), size))
    empty = [x[:0] for x in case.inputs]
    assert sk.ops.segmentation_labels(*empty, case.packed, classes, size).shape == (0, *size)


def test_segmentation_labels_in_a_graph(isa):
    case = cases.segmentation_head()
    arguments = (*case.inputs, case.packed, *case.arguments, (9, 10))
    torch.library.opcheck(torch.ops.seaformer.segmentation_labels.default, arguments)
    wants = tuple(x.clone().requires_grad_() for x in case.inputs)
    assert not sk.ops.segmentation_labels(*wants, *arguments[2:]).requires_grad


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": (0, 4)}, "both positive"),
        ({"size": (4,)}, "both positive"),
        ({"size": 4.5}, "two integers"),
        ({"num_classes": 99}, "99"),
        ({"local": torch.zeros(1, 8, 8, 8, dtype=torch.float64)}, "float32"),
        ({"packed": torch.zeros(64, dtype=torch.uint8)}, "magic"),
    ],
)
def test_segmentation_labels_refuse(isa, change, message):
    case = cases.segmentation_head()
    names = ("local", "coarse", "packed", "num_classes")
    arguments = dict(zip(names, (*case.inputs, case.packed, *case.arguments), strict=True))
    with pytest.raises((TypeError, ValueError), match=message):
        sk.ops.segmentation_labels(**arguments | {"size": (9, 10)} | change)
