"""The models against the reference's own answers, and the promises of their interface."""

import pytest
import torch
from golden import CASE_PARAMS, CASES, MODELS, GoldenCase, manifest, parse, state_dict
from torch import nn
from torch.export import Dim

from seaformer_kernels.models import SeaFormerSegmenter, create_model, list_models
from seaformer_kernels.models.config import BlockConfig, SeaFormerConfig, SeaStageConfig
from seaformer_kernels.modules import FusionGate, InvertedResidual, SeaAttention

SEGMENTATION_CASES = [case for case in CASE_PARAMS if case.values[0].startswith("seg")]

# Every kind of block once: compiles and exports in a fraction of the time a released model takes.
MINI = SeaFormerConfig(
    stem_channels=4,
    stages=(
        (BlockConfig(3, 1, 4, 1), BlockConfig(3, 2, 8, 2)),
        (BlockConfig(5, 2, 8, 2),),
        (BlockConfig(3, 2, 8, 2),),
        (BlockConfig(3, 2, 8, 2),),
        (BlockConfig(3, 2, 12, 2),),
    ),
    sea_stages=(SeaStageConfig(after_stage=5, depth=1, key_dim=4, mlp_ratio=2),),
    num_heads=2,
    fusion_channels=(8,),
)


def golden_model(case: GoldenCase) -> nn.Module:
    model = create_model(*parse(case.name))
    model.load_state_dict(state_dict(case.model_key))
    return model


@pytest.fixture(scope="module", params=["segmentation", "classification"])
def tiny(request) -> nn.Module:
    torch.manual_seed(0)
    return create_model("seaformer_tiny", request.param)


@pytest.fixture(scope="module")
def mini() -> nn.Module:
    torch.manual_seed(0)
    return SeaFormerSegmenter(MINI, num_classes=5).eval()


def assert_near(got: torch.Tensor, expected: torch.Tensor) -> None:
    """Equal within 1e-5 of the largest value, what float32 may lose over the whole network."""
    assert got.shape == expected.shape
    error = (got - expected).abs().max() / expected.abs().max()
    assert error <= 1e-5, f"relative error {error:.2e}"


@pytest.mark.parametrize("key", MODELS)
def test_names_shapes_and_order_are_those_of_released_checkpoints(key):
    got = {name: list(t.shape) for name, t in create_model(*parse(key)).state_dict().items()}
    assert list(got.items()) == list(manifest(key).items())


def test_golden_files_cover_every_model():
    assert {parse(key)[0] for key in MODELS} == set(list_models())
    assert {parse(name)[0] for name in CASES} == set(list_models())


@pytest.mark.parametrize("dtype, bound", [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("name", CASE_PARAMS)
@torch.no_grad()
def test_logits_and_features_equal_the_reference(name, dtype, bound):
    case = GoldenCase.load(name)
    model = golden_model(case).to(dtype)
    x = case.input().to(dtype)
    assert case.relative_error("y", model(x)) <= bound
    if case.features:
        maps = model.backbone(x)
        errors = {f: case.relative_error(f, m) for f, m in zip(case.features, maps, strict=True)}
        assert max(errors.values()) <= bound, errors


@pytest.mark.parametrize("name", SEGMENTATION_CASES)
def test_labels_equal_the_reference(name):
    case = GoldenCase.load(name)
    labels = golden_model(case).predict(case.input())
    clear = torch.from_numpy(case.arrays["label_margin"]) > 1e-3
    assert clear.float().mean() > 0.9
    assert torch.equal(labels[clear], torch.from_numpy(case.arrays["labels"])[clear])


@pytest.mark.parametrize("height, width", [(32, 32), (33, 47), (100, 36)])
@torch.no_grad()
def test_any_size_from_32_and_any_batch(tiny, height, width):
    x = torch.randn(3, 3, height, width)
    logits = tiny(x)
    cells = (-(-height // 8), -(-width // 8))
    assert logits.shape == ((3, 150, *cells) if hasattr(tiny, "decode_head") else (3, 1000))
    assert_near(tiny(x[1:2]), logits[1:2])


@torch.no_grad()
def test_memory_format_does_not_matter(tiny):
    x = torch.randn(2, 3, 64, 96)
    assert_near(tiny(x.to(memory_format=torch.channels_last)), tiny(x))


@torch.no_grad()
def test_runs_in_bfloat16():
    model = create_model("seaformer_tiny").bfloat16()
    x = torch.randn(1, 3, 32, 64, dtype=torch.bfloat16)
    assert model(x).dtype == torch.bfloat16
    assert model.predict(x).dtype == torch.uint8


@pytest.mark.parametrize(
    "x, error, message",
    [
        (None, TypeError, r"floating-point tensor .* got NoneType\."),
        (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), TypeError, r"got dtype torch\.uint8\."),
        (torch.zeros(3, 32, 32), ValueError, r"\[B, 3, H, W\], got \[3, 32, 32\]\."),
        (torch.zeros(1, 4, 32, 32), ValueError, r"\[B, 3, H, W\], got \[1, 4, 32, 32\]\."),
        (torch.zeros(1, 3, 31, 64), ValueError, r"at least 32x32 pixels, got 31x64"),
        (torch.zeros(1, 3, 64, 31), ValueError, r"at least 32x32 pixels, got 64x31"),
    ],
)
def test_other_inputs_are_refused(tiny, x, error, message):
    for call in (tiny, tiny.predict):
        with pytest.raises(error, match=message):
            call(x)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("seaformer_huge",), "seaformer_tiny, seaformer_small, seaformer_base, seaformer_large"),
        (("seaformer_tiny", "pose"), "segmentation, classification, detection, got 'pose'"),
        (("seaformer_tiny", "segmentation", 0), "positive integer, got 0"),
        (("seaformer_tiny", "classification", 1.5), "positive integer, got 1.5"),
        (("seaformer_tiny", "classification", 5, True), "upsample for segmentation only"),
    ],
)
def test_create_model_says_what_there_is(arguments, message):
    with pytest.raises(ValueError, match=message):
        create_model(*arguments)


def test_create_model_is_seeded_by_torch_and_in_eval_mode():
    models = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        models.append(create_model("seaformer_tiny", num_classes=3))
    first, same, other = (model.state_dict() for model in models)
    assert not any(module.training for module in models[0].modules())
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(
        first["decode_head.conv_seg.weight"], other["decode_head.conv_seg.weight"]
    )


def test_fresh_model_trains_every_parameter(tiny):
    tiny.train()
    logits = tiny(torch.randn(2, 3, 128, 128))
    logits.square().mean().backward()
    tiny.eval()
    idle = [
        n for n, p in tiny.named_parameters() if not p.grad.isfinite().all() or not p.grad.any()
    ]
    tiny.zero_grad()
    assert idle == []


@torch.no_grad()
def test_dropout_acts_in_training_only(tiny):
    x = torch.randn(1, 3, 64, 64)
    assert torch.equal(tiny(x), tiny(x))
    dropout = (tiny.decode_head if hasattr(tiny, "decode_head") else tiny.linear).dropout
    dropout.train()
    assert not torch.equal(tiny(x), tiny(x))
    dropout.eval()


def test_predict_evaluates_and_restores_every_mode(tiny):
    x = torch.randn(1, 3, 64, 64)
    expected = tiny.predict(x)
    frozen = next(module for module in tiny.modules() if isinstance(module, nn.BatchNorm2d))
    tiny.train()
    frozen.eval()
    modes = [module.training for module in tiny.modules()]
    before = {name: tensor.clone() for name, tensor in tiny.state_dict().items()}

    assert torch.equal(tiny.predict(x), expected)
    with pytest.raises(ValueError):
        tiny.predict(x[:, :2])

    assert [module.training for module in tiny.modules()] == modes
    assert all(torch.equal(before[name], t) for name, t in tiny.state_dict().items())
    tiny.eval()


@pytest.mark.parametrize("num_classes, dtype", [(256, torch.uint8), (257, torch.int32)])
def test_predict_labels_are_argmax_of_resized_logits(num_classes, dtype):
    torch.manual_seed(0)
    model = create_model("seaformer_tiny", num_classes=num_classes)
    x = torch.randn(2, 3, 40, 72)
    for size in (None, (31, 90)):
        labels = model.predict(x, size=size)
        with torch.no_grad():
            logits = nn.functional.interpolate(model(x), size or (40, 72), mode="bilinear")
        top = logits.topk(2, dim=1).values
        clear = top[:, 0] - top[:, 1] > 1e-5 * top.abs().max()
        assert clear.float().mean() > 0.9
        assert labels.dtype == dtype
        assert labels.shape == (2, *(size or (40, 72)))
        assert torch.equal(labels[clear].long(), logits.argmax(1)[clear])


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (64, 71)])
@torch.no_grad()
def test_a_head_that_upsamples_doubles_its_map(size):
    torch.manual_seed(0)
    plain = SeaFormerSegmenter(MINI, num_classes=5).eval()
    model = SeaFormerSegmenter(MINI, num_classes=5, upsample=True).eval()
    assert model.upsample and not plain.upsample
    own = model.state_dict().keys() - plain.state_dict().keys()
    assert own == {n for n in model.state_dict() if n.startswith("decode_head.upsampler.")}
    assert not model.load_state_dict(plain.state_dict(), strict=False).unexpected_keys
    x = torch.randn(2, 3, *size)
    lifted, logits = model(x), plain(x)
    assert lifted.shape == (2, 5, *(2 * side for side in logits.shape[2:]))
    assert model.predict(x).shape == (2, *size)
    assert model.predict(x, (150, 130)).shape == (2, 150, 130)

    # What the parts do, one after another.
    head, features = model.decode_head, model.backbone(x)
    fused = head.fuse1(*features)
    assert torch.equal(fused, plain.decode_head.fuse1(*features))
    resized = nn.functional.interpolate(
        head.upsampler.narrow(fused), scale_factor=2, mode="bilinear", align_corners=False
    )
    expected = head.upsampler.widen(resized)
    assert torch.equal(head.upsampler(fused), expected)
    assert torch.equal(lifted, head.conv_seg(head.linear_fuse(expected).relu()))


def test_a_head_that_upsamples_trains_every_parameter():
    torch.manual_seed(0)
    model = SeaFormerSegmenter(MINI, num_classes=5, upsample=True).train()
    model(torch.randn(2, 3, 128, 128)).square().mean().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_predict_classifies():
    torch.manual_seed(0)
    model = create_model("seaformer_tiny", "classification", num_classes=7)
    x = torch.randn(4, 3, 64, 64)
    labels = model.predict(x)
    assert labels.dtype == torch.int64
    assert torch.equal(labels, model(x).argmax(1))


@pytest.mark.slow
@torch.no_grad()
def test_compiles_as_one_graph_for_any_size(mini):
    torch.compiler.reset()
    compiled = torch.compile(mini, fullgraph=True, dynamic=True, backend="eager")
    for shape in ((2, 3, 96, 128), (3, 3, 70, 200)):
        x = torch.randn(shape)
        assert_near(compiled(x), mini(x))


@torch.no_grad()
def check_export(model: nn.Module) -> None:
    dims = {0: Dim("batch"), 2: Dim("height", min=65), 3: Dim("width", min=65)}
    program = torch.export.export(model, (torch.randn(2, 3, 96, 160),), dynamic_shapes=(dims,))
    for shape in ((1, 3, 65, 65), (3, 3, 128, 70)):
        x = torch.randn(shape)
        assert_near(program.module()(x), model(x))


@pytest.mark.slow
def test_exports_with_dynamic_batch_height_and_width(mini):
    check_export(mini)
    check_export(SeaFormerSegmenter(MINI, num_classes=5, upsample=True).eval())


@pytest.mark.slow
def test_released_architecture_exports(tiny):
    check_export(tiny)


@pytest.mark.parametrize("expansion", [1, 3])
def test_inverted_residual_adds_its_input_when_shapes_agree(expansion):
    x = torch.randn(2, 8, 9, 7)
    for stride, width, residual in ((1, 8, True), (1, 12, False), (2, 8, False)):
        block = InvertedResidual(8, width, kernel_size=5, expansion=expansion, stride=stride).eval()
        nn.init.zeros_(block.conv[-1].bn.weight)
        expected = x if residual else torch.zeros(2, width, -(-9 // stride), -(-7 // stride))
        assert torch.equal(block(x), expected)


@pytest.mark.parametrize("height, width", [(1, 1), (1, 7), (5, 1), (20, 3)])
@torch.no_grad()
def test_sea_attention_treats_rows_and_columns_alike(height, width):
    torch.manual_seed(0)
    block = SeaAttention(12, key_dim=4, num_heads=2).eval().double()
    mirror = SeaAttention(12, key_dim=4, num_heads=2).eval().double()
    mirror.load_state_dict(
        {
            name.replace("row", "-")
            .replace("column", "row")
            .replace("-", "column"): tensor.transpose(2, 3) if tensor.dim() == 4 else tensor
            for name, tensor in block.state_dict().items()
        }
    )
    x = torch.randn(2, 12, height, width, dtype=torch.float64)
    torch.testing.assert_close(mirror(x.transpose(2, 3)), block(x).transpose(2, 3))


@torch.no_grad()
def test_fusion_gate_opens_and_closes():
    gate = FusionGate(6, 10, 4).eval()
    local, coarse = torch.randn(1, 6, 8, 12), torch.randn(1, 10, 3, 5)
    nn.init.zeros_(gate.global_act.bn.weight)
    for bias, opening in ((3.0, 1.0), (0.0, 0.5), (-3.0, 0.0)):
        nn.init.constant_(gate.global_act.bn.bias, bias)
        torch.testing.assert_close(gate(local, coarse), opening * gate.local_embedding(local))
