"""What an optimised model is to code that expects a plain one, and what it says of itself."""

from __future__ import annotations

import copy
import inspect
import pickle
import warnings

import pytest
import torch
from test_optimize import BLOCKS, MINI, Features, noise, trained
from torch import nn

import seaformer_kernels as sk
from seaformer_kernels.models import SeaFormerBackbone, SeaFormerClassifier, SeaFormerSegmenter
from seaformer_kernels.modules import InvertedResidual, Mlp, SeaLayer
from seaformer_kernels.optimize.multiply_adds import count_multiply_adds

FORMS = [False, True] if sk.cpu.info().extension_loaded else [False]


class Foreign(nn.Module):
    """A user's model with a signature of its own."""

    def __init__(self):
        super().__init__()
        self.backbone = SeaFormerBackbone(MINI)

    def forward(self, pixels, *, scale: float = 1.0, flip=None):
        return scale * self.backbone(pixels)[-1]


def segmenter() -> nn.Module:
    return trained(SeaFormerSegmenter(MINI, num_classes=5))


MODELS = {
    "segmenter": segmenter,
    "classifier": lambda: trained(SeaFormerClassifier(MINI, num_classes=7)),
    "foreign": lambda: trained(Foreign()),
}
PAIRS = [(name, whole) for name in MODELS for whole in FORMS if not (whole and name == "foreign")]


def parameters(function) -> list:
    """Names, kinds and defaults; annotations may be written in two ways."""
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


@pytest.mark.parametrize(("name", "whole"), PAIRS)
def test_the_signature_is_that_of_the_model(name, whole):
    model = MODELS[name]()
    fast = sk.optimize(model, whole_graph=whole)
    for form in fast, copy.deepcopy(fast), copy.copy(fast), pickle.loads(pickle.dumps(fast)):
        assert parameters(form.forward) == parameters(model.forward)
        assert isinstance(form, sk.OptimizedModel) and type(form).__name__ == "OptimizedModel"
        if hasattr(model, "predict"):
            assert parameters(form.predict) == parameters(model.predict)
    x = noise(1, 3, 64, 64)
    keywords = {next(iter(inspect.signature(model.forward).parameters)): x}
    assert torch.equal(fast(**keywords), fast(x))
    with pytest.raises(TypeError):
        fast(x, no_such_argument=1)


@pytest.mark.parametrize("name", [name for name in BLOCKS if name != "layer"])
def test_the_signature_is_that_of_the_block(name):
    block = trained(BLOCKS[name][0]())
    block = block.head if isinstance(block, Features) else block
    assert parameters(sk.optimize(block).forward) == parameters(block.forward)


@pytest.mark.parametrize("whole", FORMS)
def test_export_takes_dynamic_shapes_by_name(whole):
    fast = sk.optimize(segmenter(), whole_graph=whole)
    sides = {name: torch.export.Dim(name, min=65, max=4096) for name in ("height", "width")}
    shapes = {"x": {2: sides["height"], 3: sides["width"]}}
    program = torch.export.export(fast, (noise(1, 3, 96, 128),), dynamic_shapes=shapes)
    x = noise(1, 3, 70, 130)
    with torch.inference_mode():
        torch.testing.assert_close(program.module()(x), fast(x))


@pytest.mark.parametrize("whole", FORMS)
def test_device_and_dtype(whole):
    fast = sk.optimize(segmenter(), whole_graph=whole)
    first = next(fast.parameters())
    assert (fast.device, fast.dtype) == (first.device, first.dtype)
    assert (fast.device, fast.dtype) == (torch.device("cpu"), torch.float32)
    # The answer is no part of the model.
    assert first.numel() == 0 and not first.requires_grad
    assert not list(fast.named_parameters()) and not list(nn.Sequential(fast).parameters())
    assert all(value.dtype == torch.uint8 for value in fast.state_dict().values())
    assert fast.load_state_dict(fast.state_dict()).missing_keys == []
    assert next(fast.to("meta").parameters()).device == fast.device == torch.device("meta")


def test_real_parameters_of_plain_parts_are_the_parameters():
    model = nn.Sequential(InvertedResidual(8, 8), nn.Conv2d(8, 8, 1, groups=2)).eval()
    fast = sk.optimize(model)
    assert [id(p) for p in fast.parameters()] == [id(p) for _, p in fast.named_parameters()]
    assert len(list(fast.parameters())) == 2
    with pytest.warns(UserWarning, match="fused nothing"):
        empty = sk.optimize(nn.ReLU())
    assert empty.device == torch.device("cpu") and len(list(empty.parameters())) == 1


class TestNothingFused:
    """The warning where not one block was fused."""

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (
                lambda: nn.Sequential(nn.BatchNorm2d(4), nn.ReLU()),
                "with convolutions or linear layers, got Sequential without any",
            ),
            (
                lambda: nn.ModuleList([nn.Conv2d(4, 4, 1, groups=2), nn.Linear(3, 3)]),
                "none of 2 blocks could be served, such as 0, which has 2 groups of several",
            ),
        ],
    )
    def test_it_is_said_once(self, make, message):
        with pytest.warns(UserWarning, match=message) as caught:
            sk.optimize(make())
        assert len(caught) == 1
        assert caught[0].filename == __file__

    @pytest.mark.parametrize("block", [Mlp(8, 16), SeaLayer(8, 4, 2, 2)])
    def test_one_block_is_enough(self, block):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            sk.optimize(nn.Sequential(nn.Conv2d(3, 8, 1), block))


def mlp_of_its_own() -> nn.Module:
    mlp = Mlp(8, 16)
    mlp.forward = torch.tanh
    for layer in (mlp.fc1, mlp.fc2):
        layer.forward = torch.tanh
    del mlp.fc1, mlp.fc2
    return mlp


class TestMultiplyAdds:
    """The share of fused ops, and what it is a share of."""

    @pytest.mark.parametrize(("name", "whole"), PAIRS)
    def test_all_of_a_model_that_is_fused_throughout(self, name, whole):
        report = sk.optimize(MODELS[name](), whole_graph=whole).report((64, 96))
        assert report.fused_share == 1.0 and report.input_size == (64, 96)
        assert "In fused ops: 100.0% of the multiply-adds for an image of 64x96." in str(report)

    @pytest.mark.parametrize("name", MODELS)
    def test_fused_and_plain_forms_count_alike(self, name):
        model, x = MODELS[name](), noise(1, 3, 64, 96)
        plain = count_multiply_adds(model, x)
        fast = count_multiply_adds(sk.optimize(model), x)
        assert plain.fused == 0 and fast.fused == fast.total
        # A head folds its depthwise 1x1 convolution, so that a little is saved.
        assert 0.99 * plain.total < fast.total <= plain.total

    def test_a_part_of_it(self):
        model = segmenter()
        for part in model.backbone.smb2.layer1.modules():
            part.register_forward_hook(lambda *_: None)
        counts = count_multiply_adds(model, noise(1, 3, 64, 96))
        left = counts.by_module["backbone.smb2.layer1"] / counts.total
        assert left > 0.05
        report = sk.optimize(model).report(input_size=(64, 96))
        assert report.fused_share == pytest.approx(1 - left, abs=0.01)
        assert sk.optimize(model).report().fused_share is None

    def test_a_known_count(self):
        model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Flatten(2), nn.Linear(60, 2))
        counts = count_multiply_adds(model, noise(1, 3, 6, 10))
        assert counts.by_module == {"": 6480 + 480, "0": 6480, "2": 480}

    def test_the_model_stays_as_it_was(self):
        fast = sk.optimize(segmenter())
        x = noise(1, 3, 64, 64)
        before = fast(x)
        fast.report((32, 32))
        assert torch.equal(fast(x), before)

    @pytest.mark.parametrize(
        ("size", "error", "message"),
        [
            (64, TypeError, r"input_size to be \(height, width\), got 64"),
            ((64,), TypeError, "got .64,."),
            ((64.0, 64), TypeError, "got .64.0, 64."),
            ((0, 64), ValueError, "positive input_size, got .0, 64."),
            ((16, 64), ValueError, "at least 32x32"),
        ],
    )
    def test_sizes_that_are_none(self, size, error, message):
        with pytest.raises(error, match=message):
            sk.optimize(segmenter()).report(size)
