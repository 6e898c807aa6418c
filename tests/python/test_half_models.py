"""optimize(dtype=...): models in half types, parts kept in float32, and what overflows."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch
from golden import CASE_PARAMS, GoldenCase, parse, state_dict
from test_optimize import (
    MEAN,
    SMALL,
    STD,
    Detector,
    classifier,
    noise,
    segmenter,
    trained,
    upsampler,
)
from torch import nn
from torch._dynamo.testing import CompileCounter

import seaformer_kernels as sk
from seaformer_kernels.models import SeaFormerSegmenter
from seaformer_kernels.modules import ConvBN, InvertedResidual, Mlp, SeaLayer, Stem
from seaformer_kernels.ops._element import ELEMENTS, NAMES, name_of
from seaformer_kernels.optimize import Entry

needs_extension = pytest.mark.skipif(
    not sk.cpu.info().extension_loaded, reason="a whole network in one op needs the extension"
)
EXTENSION = sk.cpu.info().extension_loaded
# Op by op, and as one op where there is the extension.
FORMS = [False, pytest.param(True, marks=needs_extension)]


@pytest.fixture(params=ELEMENTS[1:], ids=name_of)
def dtype(request) -> torch.dtype:
    return request.param


def images(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def assert_near(got: torch.Tensor, expected: torch.Tensor, dtype: torch.dtype) -> None:
    """Within 16 roundings of the type, of the largest value."""
    allowed = 8 * torch.finfo(dtype).eps * expected.abs().max()
    assert (got.double() - expected.double()).abs().max() <= allowed


@pytest.mark.parametrize("make", [segmenter, classifier, upsampler])
@pytest.mark.parametrize("whole", FORMS)
@torch.inference_mode()
def test_models(isa, make, whole, dtype):
    model = make()
    fast = sk.optimize(model, whole_graph=whole, dtype=dtype)
    assert fast.dtype == dtype and next(fast.parameters()).dtype == dtype
    for shape in (1, 3, 64, 96), (3, 3, 33, 47), (0, 3, 32, 32):
        x = noise(*shape)
        y, expected = fast(x), model(x)
        assert y.dtype == dtype and y.shape == expected.shape
        if len(x):
            assert_near(y, expected, dtype)
        assert_near(fast(x.to(dtype)), fast(x), dtype) if len(x) else fast(x.to(dtype))
    assert fast.predict(x).dtype == model.predict(x).dtype


@pytest.mark.parametrize("case", CASE_PARAMS)
@torch.inference_mode()
def test_golden_cases(case, dtype):
    """Labels are those of float32 where rounding in the type cannot decide."""
    golden = GoldenCase.load(case)
    model = sk.create_model(*parse(golden.model_key))
    model.load_state_dict(state_dict(golden.model_key))
    fast, wide = sk.optimize(model, dtype=dtype), sk.optimize(model)
    x = golden.input()
    eps = torch.finfo(dtype).eps
    assert golden.relative_error("y", fast(x)) <= 32 * eps
    if "labels" in golden.arrays:
        logits = wide(x)
        margin = torch.from_numpy(golden.arrays["label_margin"])
        clear = margin > eps * logits.abs().max()  # which is two roundings
        same = fast.predict(x) == wide.predict(x)
        assert clear.float().mean() > 0.5
        assert same[clear].float().mean() >= 0.999
        assert same.float().mean() >= 0.98


@needs_extension
@pytest.mark.parametrize("make", [segmenter, classifier, upsampler])
@pytest.mark.parametrize("keep", [(), ("smb2",), ("head", "trans1", "smb4"), ("smb1.layer1",)])
@torch.inference_mode()
def test_the_whole_graph_gives_the_same_bits(isa, make, keep, dtype):
    model = make()
    names = [name for name, _ in model.named_modules()]
    ends = {"head": ("decode_head", "linear")}
    keep = [n for k in keep for n in names if n.endswith(ends.get(k, k))]
    forms = [
        sk.optimize(model, MEAN, STD, whole, dtype=dtype, keep_float32=keep)
        for whole in (False, True)
    ]
    for x in images(2, 3, 65, 97), images(1, 3, 40, 32).float():
        plain, whole = (fast(x) for fast in forms)
        assert plain.dtype == whole.dtype and torch.equal(plain, whole)
        plain, whole = (fast.predict(x) for fast in forms)
        assert torch.equal(plain, whole)


@torch.inference_mode()
def test_raw_pixels(isa, dtype):
    fast = sk.optimize(segmenter(), MEAN, STD, dtype=dtype)
    image = images(2, 3, 64, 70)
    assert torch.equal(fast(image), fast(image.float()))
    assert torch.equal(fast(image), fast(image.to(dtype)))  # which holds them exactly


@torch.inference_mode()
def test_what_is_kept_in_float32(dtype):
    model = segmenter()
    keep = ["decode_head", "backbone.smb1.stem_block", "backbone.trans2"]
    fast = sk.optimize(model, dtype=dtype, keep_float32=keep)
    for entry in fast.report().entries:
        kept = any(entry.path.startswith(name) for name in keep)
        assert entry.dtype == ("float32" if kept else name_of(dtype)), entry
    x = noise(1, 3, 64, 96)
    assert fast(x).dtype == torch.float32
    assert fast.backbone(x)[0].dtype == dtype
    errors = [
        (sk.optimize(model, dtype=dtype, keep_float32=kept)(x) - model(x)).abs().max()
        for kept in ([], [""])
    ]
    assert errors[1] < errors[0] / 20
    assert fast.report().entries[1].dtype == name_of(dtype)


@pytest.mark.parametrize(
    ("keep", "error", "message"),
    [
        (["backbone.smb9"], ValueError, "name blocks, or what they are in, .*'backbone.smb9'"),
        ("decode_hea", ValueError, "got 'decode_hea'"),
        (["backbone.smb1.stem_block.0"], ValueError, "got 'backbone.smb1.stem_block.0'"),
        ([3], TypeError, r"expected keep_float32 as names of parts, got \[3\]"),
    ],
)
def test_names_of_no_part(keep, error, message):
    with pytest.raises(error, match=message):
        sk.optimize(segmenter(), dtype=torch.float16, keep_float32=keep)
    fast = sk.optimize(segmenter(), dtype=torch.float16, keep_float32="decode_head")
    assert fast.report().entries[-1].dtype == "float32"


@pytest.mark.parametrize("wrong", [torch.float64, torch.int8, "float16"])
def test_types_there_are_none_of(wrong):
    with pytest.raises(ValueError, match=f"optimize: expected dtype to be {NAMES}, got"):
        sk.optimize(segmenter(), dtype=wrong)


@pytest.mark.parametrize("dtype", [torch.float16])
@torch.inference_mode()
def test_a_weight_that_overflows_once_it_is_folded(dtype):
    model = segmenter()
    block = model.backbone.smb2.layer1
    conv, norm = block.conv[-1]
    norm.running_var.fill_(1e-30)  # so that folding multiplies by 1 / sqrt(eps), 316
    limit = torch.finfo(dtype).max
    conv.weight[0, 0] = 2 * limit / 316
    with pytest.raises(ValueError, match=r"smb2\.layer1; keep_float32=.*float32") as raised:
        sk.optimize(model, dtype=dtype)
    remedy = str(raised.value).split("keep_float32=")[1].split("]")[0].strip("['")
    fast = sk.optimize(model, dtype=dtype, keep_float32=[remedy])
    assert [e.path for e in fast.report().entries if e.dtype == "float32"] == [remedy]
    model.backbone.trans1.transformer_blocks[0].mlp.fc1.c.weight[0, 0] = limit * 1e6
    with pytest.raises(ValueError, match=r"trans1.transformer_blocks.0.mlp; keep_float32="):
        sk.optimize(model, dtype=dtype, keep_float32=[remedy])
    with pytest.raises(ValueError, match=r"in the model itself; keep_float32=\[''\]"):
        sk.optimize(block, dtype=dtype)
    sk.optimize(block, dtype=dtype, keep_float32=[""])


@torch.inference_mode()
def test_what_stays_plain_is_float32_and_reads_half_maps(dtype):
    model = trained(Detector())
    fast = sk.optimize(model, dtype=dtype)
    x = noise(2, 3, 64, 96)
    y = fast(x)
    assert y.dtype == torch.float32  # of the batch norm at its end
    assert_near(y, model(x), dtype)
    assert {e.dtype for e in fast.report().entries} == {name_of(dtype)}
    assert_near(pickle.loads(pickle.dumps(fast))(x), model(x), dtype)

    model = segmenter()
    model.backbone.smb3[0].register_forward_hook(lambda *_: None)
    model.backbone.smb1.stem_block.register_forward_hook(lambda *_: None)
    model.decode_head.register_forward_hook(lambda *_: None)
    fast = sk.optimize(model, dtype=dtype)
    for image in noise(2, 3, 64, 96), noise(2, 3, 64, 96).to(dtype):
        assert_near(fast(image), model(image.float()), dtype)
    assert all(e.dtype == "float32" for e in fast.report().plain)


@torch.inference_mode()
def test_blocks_alone(isa, dtype):
    for block, shape in [
        (Stem(10), (2, 3, 9, 13)),
        (InvertedResidual(8, 12, kernel_size=5, stride=2), (3, 8, 5, 10)),
        (Mlp(10, 24), (2, 10, 5, 6)),
        (SeaLayer(8, 4, 2, 2), (2, 8, 5, 6)),
    ]:
        trained(block)
        x = noise(*shape)
        y = sk.optimize(block, dtype=dtype)(x)
        assert y.dtype == dtype
        assert_near(y, block(x), dtype)
    fast = sk.optimize(trained(ConvBN(6, 9, 3)), dtype=dtype)
    assert fast(noise(2, 6, 7, 7).to(dtype)).dtype == dtype
    grouped = nn.Sequential(nn.Conv2d(6, 6, 3, groups=2), nn.Conv2d(6, 4, 1))
    fast = sk.optimize(trained(grouped), dtype=dtype, keep_float32=["1"])
    assert fast(noise(2, 6, 7, 7).to(dtype)).dtype == torch.float32


def test_the_report_tells_types_and_kernels(dtype):
    report = sk.optimize(segmenter(), dtype=dtype, keep_float32=["decode_head"]).report((64, 96))
    assert report.entries[0] == Entry("backbone.smb1.stem_block", "Stem", dtype=name_of(dtype))
    assert f"In {name_of(dtype)}, by " in str(report) and "In float32, by " in str(report)
    assert report.fused_share == 1.0
    assert {e.kernel for e in report.entries} <= {*sk.cpu.supported_isas(), "pytorch"}
    assert not Entry("x", "Mlp", "has a hook").kernel and not Entry("x", "ConvBN").kernel


@pytest.mark.parametrize("whole", FORMS)
@torch.inference_mode()
def test_copies_pickles_and_state_dicts(whole, dtype):
    fast = sk.optimize(segmenter(), MEAN, STD, whole, dtype=dtype)
    x = images(1, 3, 40, 48)
    expected = fast(x)
    for other in copy.deepcopy(fast), pickle.loads(pickle.dumps(fast)):
        assert torch.equal(other(x), expected) and other.dtype == dtype
        assert other.report() == fast.report()
    file = io.BytesIO()
    torch.save(fast.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    other = sk.optimize(trained(segmenter(), seed=1), MEAN, STD, whole, dtype=dtype)
    other.load_state_dict(state)
    assert torch.equal(other(x), expected)
    wide = sk.optimize(segmenter(), MEAN, STD, whole)
    with pytest.raises(RuntimeError, match=f"dtype.*: float32.*got.*{name_of(dtype)}"):
        wide.load_state_dict(state)
    with pytest.raises(RuntimeError, match=f"dtype.*: {name_of(dtype)}.*got.*float32"):
        fast.load_state_dict(wide.state_dict())


def test_weights_take_half_the_memory(dtype):
    model = sk.create_model("seaformer_tiny")
    sizes = [
        sum(buffer.nbytes for buffer in sk.optimize(model, dtype=dtype_).buffers())
        for dtype_ in (torch.float32, dtype)
    ]
    assert sizes[1] < 0.53 * sizes[0]


def test_gradients_are_refused(dtype):
    fast = sk.optimize(segmenter(), dtype=dtype)
    with pytest.raises(RuntimeError, match=r"no gradient.*use the plain module"):
        fast(noise(1, 3, 64, 64).requires_grad_())


@pytest.mark.parametrize("whole", FORMS)
@torch.no_grad()
def test_export_with_dynamic_sizes(whole, dtype, tmp_path):
    model = trained(SeaFormerSegmenter(SMALL, num_classes=5))
    keep = ["backbone.smb3"]
    fast = sk.optimize(model, MEAN, STD, whole, dtype=dtype, keep_float32=keep)
    dim = torch.export.Dim
    dims = {0: dim("batch"), 2: dim("height", min=65), 3: dim("width", min=65)}
    program = torch.export.export(fast, (images(2, 3, 96, 160),), dynamic_shapes={"x": dims})
    torch.export.save(program, tmp_path / "fast.pt2")
    loaded = torch.export.load(tmp_path / "fast.pt2").module()
    for shape in (1, 3, 65, 65), (3, 3, 128, 70):
        y = loaded(images(*shape))
        assert y.dtype == dtype and torch.equal(y, fast(images(*shape)))


@pytest.mark.compile
@pytest.mark.parametrize("whole", FORMS)
@torch.no_grad()
def test_compiles_in_one_graph(whole, dtype):
    torch.compiler.reset()
    model = trained(SeaFormerSegmenter(SMALL, num_classes=5))
    fast = sk.optimize(model, MEAN, STD, whole, dtype=dtype)
    counter = CompileCounter()
    compiled = torch.compile(fast, fullgraph=True, dynamic=True, backend=counter)
    for size in (64, 80), (70, 66):
        x = images(2, 3, *size)
        assert torch.equal(compiled(x), fast(x))
    assert counter.frame_count == 1


def test_checkpoints_of_half_types_load(tmp_path):
    """Into plain models, which stay float32."""
    for half in torch.float16, torch.bfloat16:
        model = segmenter().to(half)
        torch.save(model.state_dict(), tmp_path / "half.pth")
        loaded = segmenter()
        trained(loaded, seed=1)
        assert not sk.load_checkpoint(loaded, tmp_path / "half.pth").fresh
        for name, value in loaded.state_dict().items():
            expected = model.state_dict()[name]
            assert torch.equal(value, expected.to(value.dtype)), name
            assert value.dtype in (torch.float32, torch.int64)


@torch.inference_mode()
def test_the_self_made_head_of_a_half_backbone():
    """Maps of both types meet in a user's own module."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = InvertedResidual(8, 8)
            self.head = nn.Conv2d(8, 4, 1)

        def forward(self, x):
            return self.head(self.block(x) + x)

    net = trained(Net())
    x = noise(1, 8, 9, 7)
    assert_near(sk.optimize(net, dtype=torch.float16)(x), net(x), torch.float16)
