"""The op against PyTorch's interpolate and argmax, on every instruction set this machine has."""

from __future__ import annotations

import concurrent.futures
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from isas import ISAS, force
from torch.nn import functional as F

import seaformer_kernels as sk
from seaformer_kernels import _extension
from seaformer_kernels.reference.upsample_argmax import upsample_argmax as plain

OP = torch.ops.seaformer.upsample_argmax.default


def noise(*shape, seed=0, scale=3.0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def assert_labels(logits, size, labels, align_corners=False):
    """The labels are the argmax, or a class that rounding cannot tell from it.

    Three rounded interpolations in float32: error at most 6 eps times the largest magnitude, on
    each of the two values compared.
    """
    resized = F.interpolate(
        logits.double(), size=size, mode="bilinear", align_corners=align_corners
    )
    picked = resized.gather(1, labels.long()[:, None]).squeeze(1)
    short = resized.amax(1) - picked
    allowed = 12 * 2.0**-24 * logits.abs().max().item() + 1e-37
    worst = short.max().item()
    assert worst <= allowed, (
        f"a label's logit is {worst:.3g} below the largest, {allowed:.3g} allowed"
    )


SHAPES = [
    ((1, 150, 16, 16), (128, 128)),
    ((2, 19, 9, 13), (72, 104)),
    ((1, 19, 9, 13), (70, 99)),
    ((3, 2, 4, 4), (4, 4)),
    ((1, 1, 3, 5), (10, 2)),
    ((1, 256, 5, 5), (40, 33)),
    ((1, 257, 5, 5), (40, 33)),
    ((1, 2000, 3, 4), (24, 32)),
    ((1, 31, 40, 30), (7, 11)),
    ((2, 33, 1, 1), (5, 6)),
    ((1, 17, 1, 9), (1, 90)),
]


@pytest.mark.parametrize(("shape", "size"), SHAPES)
def test_labels_are_those_of_interpolate_and_argmax(isa, shape, size):
    logits = noise(*shape)
    labels = sk.ops.upsample_argmax(logits, size)
    assert labels.shape == (shape[0], *size)
    assert labels.dtype == (torch.uint8 if shape[1] <= 256 else torch.int32)
    assert labels.is_contiguous()
    assert not labels.requires_grad
    assert_labels(logits, size, labels)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 2), st.integers(1, 70), st.integers(1, 12), st.integers(1, 12),
    st.integers(1, 60), st.integers(1, 60), st.integers(0, 1000), st.booleans(), st.booleans(),
)  # fmt: skip
def test_any_shape_and_scale(batch, classes, h, w, out_h, out_w, seed, smooth, align_corners):
    logits = noise(batch, classes, h, w, seed=seed)
    if smooth:
        logits = F.avg_pool2d(logits, 3, stride=1, padding=1)
    for name in ISAS:
        with force(name):
            labels = sk.ops.upsample_argmax(logits, (out_h, out_w), align_corners)
            assert_labels(logits, (out_h, out_w), labels, align_corners)


@pytest.mark.parametrize(("shape", "size"), SHAPES)
def test_align_corners(isa, shape, size):
    logits = noise(*shape)
    labels = sk.ops.upsample_argmax(logits, size, align_corners=True)
    assert labels.shape == (shape[0], *size)
    assert_labels(logits, size, labels, align_corners=True)
    assert torch.equal(sk.ops.upsample_argmax(logits, size, align_corners=False),
                       sk.ops.upsample_argmax(logits, size))  # fmt: skip


@pytest.mark.parametrize("size", [(33, 41), (17, 11), (3, 6), (5, 6), (1, 21), (1, 1)])
def test_exact_ties_between_aligned_corners_go_to_the_lowest_class(isa, size):
    # Steps of a power of two: every product and sum is exact, in any order.
    logits = torch.randint(0, 4, (2, 37, 5, 6), generator=torch.Generator().manual_seed(1)).float()
    assert torch.equal(sk.ops.upsample_argmax(logits, size, True), plain(logits, size, True))


@pytest.mark.parametrize("scale", [1, 2, 3, 5, 7, 8, 11, 16])
def test_sizes_stand_for_scale_factors_that_are_integers(scale):
    logits = noise(1, 5, 6, 13)
    scaled = F.interpolate(logits, scale_factor=scale, mode="bilinear")
    size = tuple(scaled.shape[2:])
    assert torch.equal(F.interpolate(logits, size=size, mode="bilinear"), scaled)
    assert torch.equal(sk.ops.upsample_argmax(logits, size).long(), scaled.argmax(1))


def test_sizes_stand_for_no_scale_factor_whose_size_is_rounded():
    logits = noise(1, 5, 7, 7)

    def by(**arguments):
        return F.interpolate(logits, mode="bilinear", **arguments)

    sized, corners = by(size=(10, 10)), by(size=(10, 10), align_corners=True)
    assert not torch.allclose(by(scale_factor=1.5), sized)
    assert torch.equal(by(scale_factor=1.5, recompute_scale_factor=True), sized)
    assert torch.equal(by(scale_factor=1.5, align_corners=True), corners)


@pytest.mark.parametrize("scale", [(8, 8), (2, 4), (0.5, 1), (1, 1), (16, 2)])
def test_exact_ties_go_to_the_lowest_class(isa, scale):
    # Small integers at power-of-two scales: every product and sum is exact, in any order.
    logits = torch.randint(0, 4, (2, 37, 8, 6), generator=torch.Generator().manual_seed(1)).float()
    size = (int(8 * scale[0]), int(6 * scale[1]))
    assert torch.equal(sk.ops.upsample_argmax(logits, size), plain(logits, size))


def test_all_equal_gives_class_zero(isa):
    assert not sk.ops.upsample_argmax(torch.full((1, 150, 4, 4), -1.5), (32, 32)).any()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("size", [(48, 40), (6, 5), (5, 3), (13, 22), (47, 41), (1, 1), (54, 35)])
def test_nan_and_infinities_as_in_pytorch(isa, value, size, align_corners):
    logits = noise(2, 23, 6, 5)
    hit = torch.rand(logits.shape, generator=torch.Generator().manual_seed(2)) < 0.02
    logits[hit] = value
    labels = sk.ops.upsample_argmax(logits, size, align_corners)
    assert torch.equal(labels, plain(logits, size, align_corners))


def test_masked_classes_as_in_pytorch(isa):
    logits = noise(1, 20, 6, 6)
    logits[:, ::3] = -math.inf
    assert torch.equal(sk.ops.upsample_argmax(logits, (48, 48)), plain(logits, (48, 48)))


def test_large_finite_logits(isa):
    logits = noise(1, 40, 6, 6, scale=1.0).clamp(-3, 3) * 1e38
    assert_labels(logits, (48, 48), sk.ops.upsample_argmax(logits, (48, 48)))
    lowest = torch.full((1, 40, 3, 3), torch.finfo(torch.float32).min)
    lowest[:, 7] = 0
    assert (sk.ops.upsample_argmax(lowest, (24, 24)) == 7).all()


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.contiguous(),
        lambda x: x.contiguous(memory_format=torch.channels_last),
        lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
        lambda x: torch.cat([x, x], 3)[..., :9],
        lambda x: x.repeat_interleave(2, 1)[:, ::2],
        lambda x: x.flip(0).flip(0),
    ],
    ids=["nchw", "channels_last", "transposed", "cropped", "strided", "flipped"],
)
def test_layout_does_not_matter(isa, view):
    logits = noise(2, 21, 7, 9)
    before = logits.clone()
    for align_corners in False, True:
        expected = sk.ops.upsample_argmax(logits, (30, 72), align_corners)
        labels = sk.ops.upsample_argmax(view(logits), (30, 72), align_corners)
        assert torch.equal(labels, expected)
    assert torch.equal(logits, before)


@pytest.mark.parametrize(("c", "h", "w"), [(1, 4, 5), (6, 1, 1), (6, 1, 5), (1, 1, 1), (20, 5, 1)])
def test_axes_of_size_one_in_channels_last(isa, c, h, w):
    logits = noise(2, c, h, w)
    expected = sk.ops.upsample_argmax(logits, (9, 16))
    last = logits.contiguous(memory_format=torch.channels_last)
    assert torch.equal(sk.ops.upsample_argmax(last, (9, 16)), expected)
    assert_labels(logits, (9, 16), expected)


@pytest.mark.parametrize(
    "size",
    [
        [24, 24], (24, 24), torch.Size((24, 24)), 24, torch.tensor(24), np.int64(24),
        (torch.tensor(24), np.int32(24)), (np.uint8(24), 24),
    ],
    ids=repr,
)  # fmt: skip
def test_sizes_as_interpolate_takes_them(size):
    logits = noise(1, 5, 3, 4)
    expected = F.interpolate(logits, size=size, mode="bilinear").argmax(1)
    assert torch.equal(sk.ops.upsample_argmax(logits, size).long(), expected)


@pytest.mark.parametrize(
    "size", [24.0, (24.0, 24), "ab", None, torch.tensor(24.0), torch.tensor([24, 24]), (None, 24)]
)
def test_other_sizes_are_refused(size):
    with pytest.raises(TypeError, match="upsample_argmax: expected size to be two integers, got"):
        sk.ops.upsample_argmax(noise(1, 5, 3, 4), size)


@pytest.mark.parametrize("align_corners", [None, 1, "True"])
def test_other_align_corners_are_refused(align_corners):
    with pytest.raises(TypeError, match="expected align_corners to be True or False, got"):
        sk.ops.upsample_argmax(noise(1, 5, 3, 4), 24, align_corners)


@pytest.mark.parametrize("classes", [2, 19, 300])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_half_logits_give_the_labels_of_the_same_values(isa, classes, layout):
    logits = noise(2, classes, 9, 13).half().to(memory_format=layout)
    for size in (9, 13), (70, 101), (5, 4):
        labels = sk.ops.upsample_argmax(logits, size)
        assert torch.equal(labels, sk.ops.upsample_argmax(logits.float(), size))
        labels = sk.ops.upsample_argmax(logits, size, align_corners=True)
        assert torch.equal(labels, sk.ops.upsample_argmax(logits.float(), size, True))


def test_empty_batch(isa):
    labels = sk.ops.upsample_argmax(torch.empty(0, 5, 4, 4), (8, 8))
    assert labels.shape == (0, 8, 8) and labels.dtype == torch.uint8


def test_any_number_of_threads_gives_equal_labels(isa):
    logits = noise(2, 150, 13, 16)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in range(1, 9):
            torch.set_num_threads(threads)
            results.append(sk.ops.upsample_argmax(logits, (104, 128)))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(result, results[0]) for result in results)


def test_eight_python_threads_at_once(isa):
    inputs = [noise(1, 20 + 13 * i, 9, 9 + i, seed=i) for i in range(8)]
    expected = [sk.ops.upsample_argmax(x, (72, 80)) for x in inputs]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            got = list(pool.map(lambda x: sk.ops.upsample_argmax(x, (72, 80)), inputs))
            assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))


@pytest.mark.parametrize(
    ("logits", "size", "error", "message"),
    [
        (
            torch.zeros(3, 4, 4),
            (8, 8),
            ValueError,
            r"\[batch, classes, height, width\].*\[3, 4, 4\]",
        ),
        (torch.zeros(1, 0, 4, 4), (8, 8), ValueError, r"at least one class.*\[1, 0, 4, 4\]"),
        (torch.zeros(1, 2, 0, 4), (8, 8), ValueError, r"at least one class, row and column"),
        (torch.zeros(1, 2, 4, 4), (0, 8), ValueError, r"both positive.*0, 8"),
        (torch.zeros(1, 2, 4, 4), (8, -1), ValueError, r"both positive.*8, -1"),
        (torch.zeros(1, 2, 4, 4), (8,), ValueError, r"\(height, width\).*8"),
        (torch.zeros(1, 2, 4, 4), (8, 8, 8), ValueError, r"\(height, width\)"),
        (torch.zeros(1, 2, 4, 4), (8.5, 8), TypeError, r"two integers.*8\.5"),
        (torch.zeros(1, 2, 4, 4), 8.5, TypeError, r"two integers.*8\.5"),
        (torch.zeros(1, 2, 4, 4), "88", TypeError, r"two integers.*'88'"),
        (torch.zeros(1, 2, 4, 4).double(), (8, 8), TypeError, r"float32.*float64"),
        (torch.zeros(1, 2, 4, 4).double(), (8, 8), TypeError, r"float32.*float64"),
        (torch.zeros(1, 2, 4, 4, dtype=torch.int64), (8, 8), TypeError, r"float32.*int64"),
        ([[1.0]], (8, 8), TypeError, r"tensor.*list"),
    ],
)
def test_bad_arguments(logits, size, error, message):
    with pytest.raises(error, match=message):
        sk.ops.upsample_argmax(logits, size)


@pytest.mark.parametrize(
    ("logits", "size", "message"),
    [
        (torch.zeros(3, 4, 4), (8, 8), "batch, classes, height, width"),
        (torch.zeros(1, 2, 4, 4).double(), (8, 8), "float32"),
        (torch.zeros(1, 2, 4, 4), (0, 8), "both positive"),
        (torch.zeros(1, 2, 0, 4), (8, 8), "at least one class, row and column"),
    ],
)
def test_the_registered_op_checks_too(logits, size, message):
    with pytest.raises(ValueError, match=message):
        OP(logits, size)
    with pytest.raises(ValueError, match=message):
        torch.ops.seaformer.upsample_argmax(logits.to("meta"), size)


def test_size_may_be_any_sequence_of_integers():
    logits = noise(1, 5, 3, 3)
    expected = sk.ops.upsample_argmax(logits, (8, 9))
    for size in ([8, 9], torch.Size([8, 9])):
        assert torch.equal(sk.ops.upsample_argmax(logits, size), expected)


def test_too_large_an_output_raises():
    with pytest.raises(RuntimeError):
        sk.ops.upsample_argmax(torch.zeros(1, 2, 4, 4), (2**31, 2**31))


def test_labels_carry_no_gradient_and_take_none_away():
    logits = noise(1, 5, 4, 4).requires_grad_()
    labels = sk.ops.upsample_argmax(logits, (8, 8))
    assert not labels.requires_grad
    (logits.sum() + labels.float().mean()).backward()
    assert torch.equal(logits.grad, torch.ones_like(logits))


@pytest.mark.parametrize("shape", [(2, 5, 4, 6), (1, 300, 3, 3)])
@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("more", [(), (True,)], ids=["", "align_corners"])
def test_opcheck(shape, grad, more):
    torch.library.opcheck(OP, (noise(*shape).requires_grad_(grad), [17, 20], *more))


def test_meta_tensors_give_the_shape():
    labels = torch.ops.seaformer.upsample_argmax(torch.empty(2, 300, 4, 4, device="meta"), (9, 8))
    assert labels.shape == (2, 9, 8) and labels.dtype == torch.int32 and labels.is_meta


class Labels(torch.nn.Module):
    def forward(self, x):
        size = 8 * x.shape[2], 8 * x.shape[3]
        return sk.ops.upsample_argmax(x * 2, size), sk.ops.upsample_argmax(x * 2, size, True)


class EarlierLabels(torch.nn.Module):
    """The op as programs hold it that were exported when it had no align_corners."""

    def forward(self, x):
        size = 8 * x.shape[2], 8 * x.shape[3]
        return OP(x * 2, size), OP(x, size)


@pytest.mark.parametrize("module", [Labels(), EarlierLabels()], ids=["now", "earlier"])
def test_export_with_dynamic_sizes(tmp_path, module):
    batch, h, w = (torch.export.Dim(n, min=1, max=4096) for n in ("batch", "h", "w"))
    program = torch.export.export(
        module, (noise(2, 7, 5, 6),), dynamic_shapes=({0: batch, 2: h, 3: w},)
    )
    assert "seaformer.upsample_argmax" in str(program.graph)
    torch.export.save(program, tmp_path / "labels.pt2")
    loaded = torch.export.load(tmp_path / "labels.pt2").module()
    for shape in [(2, 7, 5, 6), (3, 7, 8, 9), (1, 7, 1, 2)]:
        x = noise(*shape, seed=4)
        assert all(map(torch.equal, loaded(x), module(x)))


@pytest.mark.compile
def test_compile_fullgraph(backend):
    compiled = torch.compile(Labels(), fullgraph=True, dynamic=True, backend=backend)
    for shape in [(2, 7, 5, 6), (3, 7, 8, 9), (1, 7, 4, 12)]:
        x = noise(*shape, seed=4)
        assert all(map(torch.equal, compiled(x), Labels()(x)))


@pytest.mark.skipif(_extension.module is None, reason="the native extension is not built")
def test_extra_memory_is_small():
    taken = _extension.module.upsample_argmax_workspace(1, 150, (64, 64), (512, 512), threads=8)
    assert taken < 1 << 20
