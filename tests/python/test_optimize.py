"""optimize: the same outputs, what is fused and what is not, and how the result behaves."""

from __future__ import annotations

import copy
import dataclasses
import io
import pickle
import re

import pytest
import torch
from golden import CASES, GoldenCase, parse, state_dict
from isas import ISAS, force
from torch import nn
from torch._dynamo.testing import CompileCounter
from torch.nn.utils import parametrizations

import seaformer_kernels as sk
from seaformer_kernels.fused import FusedPointwise
from seaformer_kernels.models import SeaFormerBackbone, SeaFormerClassifier, SeaFormerSegmenter
from seaformer_kernels.models.config import FAMILY, BlockConfig, SeaFormerConfig, SeaStageConfig
from seaformer_kernels.modules import (
    ClassificationHead,
    ConvBN,
    FusionGate,
    InvertedResidual,
    Mlp,
    SeaAttention,
    SeaLayer,
    SegmentationHead,
    Stem,
    UpsamplingHead,
)
from seaformer_kernels.optimize import Entry

# Every kind of block, and two fusions.
MINI = SeaFormerConfig(
    stem_channels=6,
    stages=(
        (BlockConfig(3, 1, 6, 1), BlockConfig(3, 2, 8, 2)),
        (BlockConfig(5, 2, 8, 2), BlockConfig(5, 2, 8, 1)),
        (BlockConfig(3, 2, 8, 2),),
        (BlockConfig(3, 2, 10, 2),),
        (BlockConfig(3, 2, 12, 2),),
    ),
    sea_stages=(SeaStageConfig(4, 1, 4, 2), SeaStageConfig(5, 2, 4, 2)),
    num_heads=2,
    fusion_channels=(8, 20),
)
# Just as much as compiling and exporting has to meet.
SMALL = dataclasses.replace(MINI, sea_stages=MINI.sea_stages[:1], fusion_channels=(20,))
MEAN, STD = sk.data.IMAGENET_MEAN, sk.data.IMAGENET_STD


def trained(model: nn.Module, seed: int = 0) -> nn.Module:
    """The model in eval mode, with parameters and batch norms as training could leave them."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                fan_in = module.weight[0].numel()
                module.weight.normal_(0, fan_in**-0.5, generator=generator)
            if isinstance(module, nn.BatchNorm2d):
                if module.affine:
                    module.weight.uniform_(0.7, 1.3, generator=generator)
                if module.track_running_stats:
                    module.running_mean.normal_(0, 0.2, generator=generator)
                    module.running_var.uniform_(0.6, 1.4, generator=generator)
            if hasattr(module, "pos_embed"):
                module.pos_embed.normal_(0, 0.3, generator=generator)
            if getattr(module, "bias", None) is not None:
                module.bias.normal_(0, 0.2, generator=generator)
    return model.eval()


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def segmenter() -> SeaFormerSegmenter:
    return trained(SeaFormerSegmenter(MINI, num_classes=5))


def classifier() -> SeaFormerClassifier:
    return trained(SeaFormerClassifier(MINI, num_classes=7))


def upsampler() -> SeaFormerSegmenter:
    return trained(SeaFormerSegmenter(MINI, num_classes=5, upsample=True))


@pytest.fixture
def small() -> nn.Module:
    return trained(SeaFormerSegmenter(SMALL, num_classes=5))


@pytest.fixture(params=[segmenter, classifier, upsampler])
def mini(request) -> nn.Module:
    return request.param()


@torch.inference_mode()
def assert_same(model: nn.Module, fast: nn.Module, *inputs: torch.Tensor) -> None:
    """At most twice as far from float64 as the plain model is, or 8 eps of the largest value."""
    exact_model = copy.deepcopy(model).double()
    outputs = exact_model(*(x.double() for x in inputs)), model(*inputs), fast(*inputs)
    for exact, plain, got in zip(*map(as_list, outputs), strict=True):
        assert got.shape == exact.shape and got.dtype == torch.float32
        if got.numel():
            allowed = 2 * (plain - exact).abs().max() + 8 * 2.0**-23 * exact.abs().max()
            assert (got - exact).abs().max() <= allowed


def as_list(outputs):
    return [outputs] if isinstance(outputs, torch.Tensor) else outputs


class Features(nn.Module):
    """A module of one argument out of one that takes a list of maps."""

    def __init__(self, head: nn.Module):
        super().__init__()
        self.head = head

    def forward(self, *maps: torch.Tensor) -> torch.Tensor:
        return self.head(maps)


BLOCKS = {
    "stem": (lambda: Stem(10), [(2, 3, 9, 13)]),
    "stem, one pixel": (lambda: Stem(16), [(1, 3, 1, 1)]),
    "inverted residual": (lambda: InvertedResidual(8, 8), [(2, 8, 9, 13)]),
    "no expansion": (lambda: InvertedResidual(16, 16, expansion=1), [(1, 16, 7, 1)]),
    "stride 2, size 5": (
        lambda: InvertedResidual(8, 12, kernel_size=5, stride=2, expansion=3),
        [(3, 8, 1, 10)],
    ),
    "empty batch": (lambda: InvertedResidual(8, 8), [(0, 8, 4, 4)]),
    "mlp": (lambda: Mlp(10, 24), [(2, 10, 5, 6)]),
    "attention": (lambda: SeaAttention(12, 4, 3), [(2, 12, 5, 6)]),
    "layer": (lambda: SeaLayer(8, 4, 2, 2), [(2, 8, 5, 6)]),
    "gate": (lambda: FusionGate(6, 10, 18), [(2, 6, 8, 9), (2, 10, 2, 3)]),
    "head, 1 gate": (
        lambda: Features(SegmentationHead([8, 12], [20], 19)),
        [(2, 8, 8, 8), (2, 12, 2, 3)],
    ),
    "head, 3 gates": (
        lambda: Features(SegmentationHead([8, 12, 6, 10], [20, 8, 17], 150)),
        [(1, 8, 8, 9), (1, 12, 4, 5), (1, 6, 2, 2), (1, 10, 1, 1)],
    ),
    "upsampling head, 1 gate": (
        lambda: Features(UpsamplingHead([8, 12], [20], 19)),
        [(2, 8, 8, 8), (2, 12, 2, 3)],
    ),
    "upsampling head, 3 gates": (
        lambda: Features(UpsamplingHead([8, 12, 6, 10], [20, 8, 17], 150)),
        [(1, 8, 1, 9), (1, 12, 4, 5), (1, 6, 2, 2), (1, 10, 1, 1)],
    ),
    "upsampling head, 1 channel": (
        lambda: Features(UpsamplingHead([8, 12], [2], 3)),
        [(1, 8, 3, 5), (1, 12, 2, 3)],
    ),
    "classifier": (lambda: ClassificationHead(20, 10), [(3, 20, 4, 5)]),
    "conv and norm": (lambda: ConvBN(6, 9, 3, stride=2), [(2, 6, 7, 7)]),
    "backbone": (lambda: SeaFormerBackbone(MINI), [(2, 3, 64, 96)]),
}  # fmt: skip


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_each_block_alone(isa, name, layout):
    make, shapes = BLOCKS[name]
    block = trained(make())
    inputs = [noise(*shape, seed=i).to(memory_format=layout) for i, shape in enumerate(shapes)]
    fast = sk.optimize(block)
    assert_same(block, fast, *inputs)
    assert not [m for m in fast.modules() if isinstance(m, nn.BatchNorm2d)]
    assert not fast.report().plain
    str(fast)


@pytest.mark.parametrize("shape", [(1, 3, 64, 96), (3, 3, 33, 47), (0, 3, 32, 32)])
def test_models(isa, mini, shape):
    assert_same(mini, sk.optimize(mini), noise(*shape))


@pytest.mark.slow  # under emulation
@pytest.mark.parametrize("name", CASES)
def test_golden_cases(name):
    case = GoldenCase.load(name)
    model = sk.create_model(*parse(name))
    model.load_state_dict(state_dict(case.model_key))
    fast = sk.optimize(model)
    with torch.inference_mode():
        x = case.input()
        plain_error = case.relative_error("y", model(x))
        assert case.relative_error("y", fast(x)) <= 2 * plain_error + 1e-6
    if "labels" in case.arrays:
        clear = torch.from_numpy(case.arrays["label_margin"]) > 1e-3
        labels = fast.predict(x)
        assert torch.equal(labels[clear], torch.from_numpy(case.arrays["labels"])[clear])


@pytest.mark.parametrize("task", ["segmentation", "classification"])
@pytest.mark.parametrize("name", sk.list_models())
def test_what_is_fused_in_released_models(name, task, tmp_path):
    model = sk.create_model(name, task, num_classes=4)
    torch.save(model.state_dict(), tmp_path / "model.pth")
    sk.load_checkpoint(model, tmp_path / "model.pth")
    report = sk.optimize(model).report()
    config = FAMILY[name]
    layers = sum(stage.depth for stage in config.sea_stages)
    expected = {
        "Stem": 1,
        "InvertedResidual": sum(len(blocks) for blocks in config.stages),
        "Mlp": layers,
        "SeaAttention": layers,
    }
    if task == "segmentation":
        expected |= {"SegmentationHead": 1, "FusionGate": len(config.sea_stages) - 1}
    else:
        expected["ClassificationHead"] = 1
    for kind, count in expected.items():
        assert sum(e.kind == kind and e.fused for e in report.entries) == count, kind
    assert not report.plain
    assert sum(expected.values()) == len(report.entries)


def test_what_is_fused_of_a_head_that_upsamples():
    report = sk.optimize(upsampler()).report((64, 96))
    heads = [entry for entry in report.entries if entry.path.startswith("decode_head")]
    assert heads == [
        Entry("decode_head", "UpsamplingHead"),
        Entry("decode_head.fuse1", "FusionGate"),
        Entry("decode_head.fuse2", "FusionGate"),
        Entry("decode_head.upsampler.narrow", "InvertedResidual"),
    ]
    assert not report.plain and report.fused_share == 1.0


@pytest.mark.parametrize(
    ("part", "other", "reason"),
    [
        ("widen", InvertedResidual(10, 20, expansion=2), "behind its resize with an expansion"),
        ("widen", InvertedResidual(10, 10, expansion=1), "behind its resize with an expansion"),
        ("widen", InvertedResidual(10, 20, kernel_size=7, expansion=1), "kernel size 7"),
        ("resize", nn.Upsample(scale_factor=2, mode="bilinear"), "Upsample where Doubling"),
    ],
)
def test_a_head_that_upsamples_otherwise_stays_plain(part, other, reason):
    model = upsampler()
    if other is not None and part == "widen" and other.residual:
        width = other.conv[-1].bn.num_features
        model.decode_head.linear_fuse = ConvBN(width, width, groups=width, conv_name="conv")
        model.decode_head.conv_seg = nn.Conv2d(width, 5, 1)
    model.decode_head.upsampler.add_module(part, trained(other))
    fast = sk.optimize(model.eval())
    (entry,) = fast.report().plain[:1]
    assert entry.path == "decode_head" and reason in entry.reason
    assert_same(model, fast, noise(1, 3, 64, 64))
    if sk.cpu.info().extension_loaded:
        with pytest.raises(ValueError, match="whole_graph needs a model whose blocks can all be"):
            sk.optimize(model, whole_graph=True)


def test_the_report_reads_well():
    model = segmenter()
    for layer in model.backbone.trans2.transformer_blocks:
        layer.attn.scale = 1.0
    report = sk.optimize(model).report()
    pointwise, stem = (sk.cpu.chosen(name, "float32") for name in ("pointwise", "stem"))
    assert pointwise == stem
    assert str(report) == (
        "Fused or folded: 1 Stem, 11 InvertedResidual, 1 SeaAttention, 3 Mlp, 6 ConvBN, "
        "1 SegmentationHead, 1 FusionGate, 12 Pointwise.\n"
        f"In float32, by {pointwise}: 30.\n"
        "Plain: 2 SeaAttention; each scales by 1.0, not by 1 / sqrt(4):\n"
        "  backbone.trans2.transformer_blocks.0.attn\n"
        "  backbone.trans2.transformer_blocks.1.attn"
    )
    assert report.entries[0] == Entry("backbone.smb1.stem_block", "Stem")
    assert str(sk.optimize(nn.ReLU()).report()) == "Fused or folded: nothing."
    assert "the model itself" in str(sk.optimize(InvertedResidual(8, 8, kernel_size=7)).report())


def test_the_model_itself_stays_untouched(mini):
    mini.train()
    mini.get_submodule("smb2" if isinstance(mini, SeaFormerBackbone) else "decode_head").eval()
    modes = {name: module.training for name, module in mini.named_modules()}
    before = {name: tensor.clone() for name, tensor in mini.state_dict().items()}
    random = torch.get_rng_state()
    fast = sk.optimize(mini)
    assert torch.equal(torch.get_rng_state(), random)
    assert {name: module.training for name, module in mini.named_modules()} == modes
    assert all(p.requires_grad for p in mini.parameters())
    fast(noise(1, 3, 64, 64))
    after = mini.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    kept = {t.data_ptr() for t in before.values()} | {t.data_ptr() for t in after.values()}
    assert not kept & {t.data_ptr() for t in fast.state_dict().values()}
    assert_same(mini.eval(), fast, noise(2, 3, 64, 96))


def test_eval_mode_for_good(mini):
    fast = sk.optimize(mini.train())
    x = noise(2, 3, 64, 64)
    expected = fast(x)
    outer = nn.Sequential(fast)
    assert fast.train() is fast and fast.train(True).eval() is fast
    outer.train()
    assert not any(module.training for module in fast.modules())
    assert torch.equal(outer(x), expected)
    assert not expected.requires_grad
    assert not any(p.requires_grad for p in fast.parameters())


def test_gradients_are_refused(mini):
    fast, x = sk.optimize(mini), noise(1, 3, 64, 64).requires_grad_()
    with pytest.raises(RuntimeError, match=r"no gradient.*use the plain module"):
        fast(x)
    with torch.no_grad():
        fast(x)


def test_every_name_of_a_fused_module_can_be_read(mini):
    for module in sk.optimize(mini).modules():  # torch.jit.trace reads them all
        for name in dir(module):
            getattr(module, name)


def test_attributes_and_methods_of_the_model():
    model = segmenter()
    fast = sk.optimize(model)
    x = noise(2, 3, 64, 70)
    assert fast.num_classes == 5 and fast.config is not None
    assert torch.equal(fast.predict(x, size=(50, 60)), model.predict(x, size=(50, 60)))
    assert len(fast.backbone.features(x)) == 3
    with torch.no_grad():
        for got, expected in zip(
            sk.optimize(model.backbone).features(x), model.backbone.features(x), strict=True
        ):
            torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)
    for name in ("no_such_name", "_private"):
        with pytest.raises(AttributeError, match=name):
            getattr(fast, name)
    model = classifier()
    assert torch.equal(sk.optimize(model).predict(x), model.predict(x))


def test_images_are_still_checked(mini):
    fast = sk.optimize(mini)
    for x, error, message in [
        (noise(1, 3, 31, 64), ValueError, "at least 32x32"),
        (noise(1, 4, 64, 64), ValueError, r"\[B, 3, H, W\]"),
        (torch.zeros(1, 3, 64, 64, dtype=torch.uint8), TypeError, "floating-point tensor .*uint8"),
        (noise(1, 3, 64, 64).double(), TypeError, "float32"),
    ]:
        with pytest.raises(error, match=message):
            fast(x)


@pytest.mark.parametrize("floating", [False, True])
def test_raw_pixels(isa, mini, floating):
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (2, 64, 70, 3), dtype=torch.uint8, generator=generator)
    image = pixels.permute(0, 3, 1, 2)
    normalised = (image - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    fast = sk.optimize(mini, mean=MEAN, std=list(STD))
    with torch.inference_mode():
        got = fast(image.float() if floating else image)
        torch.testing.assert_close(got, mini(normalised), rtol=1e-4, atol=1e-4)
        assert fast.predict(image).shape == mini.predict(normalised).shape
    with pytest.raises(TypeError, match=r"floating-point or uint8 tensor .*int32"):
        fast(image.int())


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        (MEAN, None, "or neither, got only one"),
        (None, STD, "or neither, got only one"),
        (MEAN[:2], STD, "three finite numbers each"),
        (MEAN, (1.0, 0.0, 1.0), "std positive"),
        ((1.0, float("nan"), 1.0), STD, "finite"),
    ],
)
def test_bad_mean_and_std(mean, std, message):
    with pytest.raises(ValueError, match=message):
        sk.optimize(Stem(4), mean=mean, std=std)


def test_mean_and_std_need_a_stem_that_is_fused():
    with pytest.raises(ValueError, match="need a Stem that can be fused, got a model without one"):
        sk.optimize(Mlp(4, 8), mean=MEAN, std=STD)
    model = segmenter()
    model.backbone.smb1.stem_block.register_forward_hook(lambda *_: None)
    with pytest.raises(ValueError, match=r"got backbone\.smb1\.stem_block, which has .*hook"):
        sk.optimize(model, mean=MEAN, std=STD)
    with pytest.raises(TypeError, match=r"no mean and std, got torch\.uint8"):
        sk.optimize(Stem(4))(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))


class OwnForward(InvertedResidual):
    def forward(self, x):
        return 2 * super().forward(x)


class SameForward(InvertedResidual):
    pass


def kernel_size_7():
    return InvertedResidual(8, 8, kernel_size=7)


def hooked():
    block = InvertedResidual(8, 8)
    block.register_forward_hook(lambda module, args, y: y + 1)
    return block


def hooked_inside():
    block = InvertedResidual(8, 8)
    block.conv[0].bn.register_forward_pre_hook(lambda module, args: (args[0] + 1,))
    return block


def patched_inside():
    block = InvertedResidual(8, 8)
    block.conv[1].forward = torch.tanh
    return block


def weight_normed():
    block = InvertedResidual(8, 8)
    torch.nn.utils.weight_norm(block.conv[0].c)
    return block


def parametrized():
    block = InvertedResidual(8, 8)
    parametrizations.weight_norm(block.conv[-1].c)
    return block


def other_activation():
    block = InvertedResidual(8, 8)
    block.conv[1] = nn.GELU()
    return block


def no_statistics():
    block = InvertedResidual(8, 8)
    block.conv[0].bn = nn.BatchNorm2d(32, track_running_stats=False)
    return block


def instance_norm():
    block = InvertedResidual(8, 8)
    block.conv[0].bn = nn.InstanceNorm2d(32)
    return block


def dilated():
    block = InvertedResidual(8, 8)
    block.conv[2].c = nn.Conv2d(32, 32, 3, padding=2, dilation=2, groups=32)
    return block


def reflecting():
    block = Mlp(8, 16)
    block.dwconv = nn.Conv2d(16, 16, 3, padding=1, groups=16, padding_mode="reflect")
    return block


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (kernel_size_7, "kernel size 7 and stride 1; there are kernels for sizes 3 and 5"),
        (lambda: InvertedResidual(8, 8, stride=3), "kernel size 3 and stride 3"),
        (hooked, r"has a forward hook \(InvertedResidual\)"),
        (hooked_inside, r"has a forward hook \(BatchNorm2d\)"),
        (patched_inside, r"has a forward of its own \(ReLU\)"),
        (weight_normed, r"has a forward hook \(Conv2d\)"),
        (parametrized, r"has parametrizations \(ParametrizedConv2d\)"),
        (no_statistics, "has a batch norm without running statistics"),
        (instance_norm, "has InstanceNorm2d where BatchNorm2d is expected"),
        (dilated, r"has a convolution with padding \(2, 2\), not \(1, 1\)"),
        (reflecting, "has a convolution with padding_mode reflect, not zeros"),
    ],
)
def test_what_cannot_be_served_stays_plain(make, reason):
    block = make()
    fast = sk.optimize(nn.Sequential(trained(block), SameForward(8, 8)))
    entry = next(entry for entry in fast.report().plain)
    assert entry.path == "0" and not entry.fused
    assert re.search(reason, entry.reason), entry.reason
    assert entry.reason in str(fast.report())
    assert next(e for e in fast.report().entries if e.path == "1").fused
    x = noise(2, 8, 9, 8)
    with torch.no_grad():
        torch.testing.assert_close(fast.module[0](x), block(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("make", [lambda: OwnForward(8, 8), other_activation])
def test_blocks_that_differ_are_served_by_structure(make):
    block = trained(make())
    fast = sk.optimize(nn.Sequential(block))
    assert any(entry.kind == "InvertedResidual" and entry.fused for entry in fast.report().entries)
    assert_same(nn.Sequential(block), fast, noise(2, 8, 9, 8))


def test_what_is_inside_of_plain_blocks_is_served():
    fast = sk.optimize(hooked_inside().eval())
    assert {(e.path, e.kind, e.fused) for e in fast.report().entries} == {
        ("", "InvertedResidual", False),
        ("conv.0", "ConvBN", False),
        ("conv.0.c", "Pointwise", True),
        ("conv.2", "InvertedResidual", True),
    }
    assert not [m for m in fast.modules() if isinstance(m, nn.Conv2d) and m.groups > 1]


@pytest.mark.parametrize("affine", [False, True])
def test_a_convolution_may_have_a_bias_and_a_norm_may_have_none(affine):
    block = InvertedResidual(8, 12)
    for conv_bn in (block.conv[0], block.conv[2], block.conv[4]):
        conv, bn = conv_bn
        conv.bias = nn.Parameter(torch.zeros(conv.out_channels))
        conv_bn.bn = nn.BatchNorm2d(bn.num_features, affine=affine, eps=0.1)
    fast = sk.optimize(trained(block))
    assert not fast.report().plain
    assert_same(block, fast, noise(2, 8, 9, 8))


def test_a_layer_adds_its_residual_in_the_kernel_only_if_nothing_looks():
    layer = trained(SeaLayer(8, 4, 2, 2))
    x = noise(2, 8, 6, 5)
    seen = []
    layer.mlp.register_forward_hook(lambda module, args, y: seen.append(y))
    fast = sk.optimize(layer)
    assert {(e.path, e.fused) for e in fast.report().entries} >= {("mlp", False), ("mlp.fc1", True)}
    assert_same(trained(SeaLayer(8, 4, 2, 2)), fast, x)
    assert len(seen) == 1

    layer = trained(SeaLayer(8, 4, 2, 2))
    layer.register_forward_hook(lambda module, args, y: seen.append(y))
    fast = sk.optimize(layer)
    assert isinstance(fast.module, SeaLayer)
    assert_same(trained(SeaLayer(8, 4, 2, 2)), fast, x)
    assert len(seen) == 2

    layer = trained(SeaLayer(8, 4, 2, 2))
    layer.mlp = nn.Conv2d(8, 8, 1)
    assert_same(layer, sk.optimize(layer), x)


def test_a_head_keeps_gates_that_cannot_be_served():
    maps = [noise(1, 8, 8, 9), noise(1, 12, 4, 5), noise(1, 6, 2, 2)]
    head = trained(Features(SegmentationHead([8, 12, 6], [20, 8], 5)))
    hook = head.head.fuse1.register_forward_hook(lambda *_: None)
    fast = sk.optimize(head)
    assert [(e.kind, e.path) for e in fast.report().plain] == [("FusionGate", "head.fuse1")]
    assert_same(head, fast, *maps)
    hook.remove()
    head.head.fuse2.register_forward_hook(lambda *_: None)
    fast = sk.optimize(head)
    assert [(e.kind, e.path) for e in fast.report().plain] == [
        ("SegmentationHead", "head"),
        ("FusionGate", "head.fuse2"),
    ]
    assert_same(head, fast, *maps)


def test_hooks_of_plain_modules_still_run(mini):
    calls = []
    mini.register_forward_hook(lambda module, args, y: calls.append(type(module)))
    sk.optimize(mini)(noise(1, 3, 64, 64))
    assert calls == [type(mini)]


class Detector(nn.Module):
    """A user's own model: our blocks in lists, twice in a row, and beside others."""

    def __init__(self):
        super().__init__()
        self.backbone = SeaFormerBackbone(MINI)
        self.shared = InvertedResidual(12, 12)
        self.lateral = nn.ModuleDict({"a": self.shared, "b": nn.Conv2d(12, 12, 1)})
        self.mlp = Mlp(12, 24)
        self.layers = nn.ModuleList(SeaLayer(12, 4, 2, 2) for _ in range(2))
        self.layers[0].mlp = self.layers[1].mlp = self.mlp
        self.norm = nn.BatchNorm2d(12)
        self.missing = None
        self.register_module("nothing", None)

    def forward(self, x):
        y = self.backbone(x)[-1]
        for name in ("a", "b"):
            y = self.lateral[name](self.shared(y))
        for layer in self.layers:
            y = layer(y)
        return self.norm(y + self.mlp(y))


def test_a_users_own_model():
    model = trained(Detector())
    fast = sk.optimize(model)
    assert_same(model, fast, noise(2, 3, 64, 96))
    module = fast.module
    assert module.lateral["a"] is module.shared
    assert module.layers[0].mlp is module.layers[1].mlp
    assert module.layers[0].mlp is not module.mlp  # one adds the residual, the other does not
    paths = [entry.path for entry in fast.report().entries]
    assert "shared" in paths and "lateral.a" not in paths
    assert isinstance(module.norm, nn.BatchNorm2d)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.to("meta"), r"parameter 'backbone\.smb1.*' on device meta"),
        (lambda m: m.double(), r"parameter 'backbone\.smb1.*' of torch\.float64"),
        (lambda m: m.bfloat16(), r"of torch\.bfloat16"),
        (lambda m: m.decode_head.conv_seg.half(), r"'decode_head\.conv_seg\.weight' of torch\.fl"),
        (
            lambda m: m.register_buffer("extra", torch.zeros(2, dtype=torch.float64)),
            "buffer 'extra' of torch.float64",
        ),
        (
            lambda m: m.add_module("lazy", nn.LazyLinear(3)),
            r"parameter 'lazy\.weight' without a shape",
        ),
    ],
)
def test_models_it_cannot_serve(change, message):
    model = segmenter()
    change(model)
    with pytest.raises(ValueError, match=message):
        sk.optimize(model)


def test_what_is_no_plain_model():
    for value in (None, {}, torch.zeros(1), SeaFormerSegmenter):
        with pytest.raises(TypeError, match=r"expected a torch\.nn\.Module, got"):
            sk.optimize(value)
    fast = sk.optimize(segmenter())
    for model in (fast, fast.module, nn.Sequential(fast)):
        with pytest.raises(ValueError, match="optimised already"):
            sk.optimize(model)
    scripted = torch.jit.script(nn.ReLU())
    for model in (scripted, nn.Sequential(torch.compile(nn.ReLU()))):
        with pytest.raises(ValueError, match="optimize first, then compile"):
            sk.optimize(model)


def test_attention_that_stays_plain_uses_fused_convolutions():
    block = trained(SeaAttention(8, 4, 2))
    block.scale = 1.0
    fast = sk.optimize(block)
    assert_same(block, fast, noise(2, 8, 6, 5))
    assert isinstance(fast.module.to_q, FusedPointwise)


def test_state_dict_round_trip(mini, tmp_path):
    fast, other = sk.optimize(mini), sk.optimize(trained(copy.deepcopy(mini), seed=1))
    x = noise(1, 3, 64, 64)
    assert not torch.equal(other(x), fast(x))
    torch.save(fast.state_dict(), tmp_path / "fast.pt")
    state = torch.load(tmp_path / "fast.pt", weights_only=True)
    other.load_state_dict(state)
    assert torch.equal(other(x), fast(x))
    packed = [name for name in state if name.endswith("packed")]
    assert packed and all(state[name].dtype == torch.uint8 for name in packed)


@pytest.mark.parametrize("how", ["pickle", "torch.save", "deepcopy", "copy"])
def test_copies(mini, how):
    fast = sk.optimize(mini)
    if how == "pickle":
        got = pickle.loads(pickle.dumps(fast))
    elif how == "torch.save":
        file = io.BytesIO()
        torch.save(fast, file)
        file.seek(0)
        got = torch.load(file, weights_only=False)
    else:
        got = getattr(copy, how)(fast)
    x = noise(1, 3, 64, 64)
    assert torch.equal(got(x), fast(x))
    assert torch.equal(got.predict(x), fast.predict(x))
    assert got.report() == fast.report()
    if how == "deepcopy":
        for buffer in got.buffers():
            buffer.zero_()
        assert not torch.equal(fast(x), torch.zeros(()))


def test_packed_weights_are_the_same_for_every_isa(mini):
    states = []
    for name in ISAS:
        with force(name):
            states.append(sk.optimize(mini).state_dict())
    for state in states:
        assert all(torch.equal(state[name], states[0][name]) for name in states[0])


@pytest.mark.slow  # under emulation
@torch.no_grad()
def test_export_with_dynamic_sizes(small, tmp_path):
    dim = torch.export.Dim
    dims = {0: dim("batch"), 2: dim("height", min=65), 3: dim("width", min=65)}
    fast = sk.optimize(small)
    program = torch.export.export(fast, (noise(2, 3, 96, 160),), dynamic_shapes={"x": dims})
    assert "seaformer.inverted_residual" in str(program.graph)
    torch.export.save(program, tmp_path / "fast.pt2")
    loaded = torch.export.load(tmp_path / "fast.pt2").module()
    for shape in ((1, 3, 65, 65), (3, 3, 128, 70)):
        torch.testing.assert_close(loaded(noise(*shape)), fast(noise(*shape)))


@pytest.mark.compile
@torch.no_grad()
def test_compiles_once_for_one_image_and_once_for_more(small):
    torch.compiler.reset()
    fast = sk.optimize(small, mean=MEAN, std=STD)
    counter = CompileCounter()
    compiled = torch.compile(fast, fullgraph=True, dynamic=True, backend=counter)
    sizes = [(2, 96, 128), (3, 70, 200), (5, 128, 65), (1, 96, 128), (1, 200, 70), (2, 65, 65)]
    graphs = []
    for batch, height, width in sizes:
        x = noise(batch, 3, height, width).mul(50).add(128).clamp(0, 255).byte()
        torch.testing.assert_close(compiled(x), fast(x), rtol=1e-4, atol=1e-4)
        graphs.append(counter.frame_count)
    assert graphs == [1, 1, 1, 2, 2, 2]


@pytest.mark.slow
@pytest.mark.compile
@torch.no_grad()
def test_compiles_with_inductor(small):
    torch.compiler.reset()
    fast = sk.optimize(small)
    compiled = torch.compile(fast, fullgraph=True)
    x = noise(2, 3, 96, 128)
    torch.testing.assert_close(compiled(x), fast(x), rtol=1e-4, atol=1e-4)
