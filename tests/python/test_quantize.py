"""Models of int8 by `quantize`: their numbers, what is refused, and what they are to torch."""

from __future__ import annotations

import copy
import functools
import importlib
import io
import math
from collections import OrderedDict

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import seaformer_kernels as sk
from seaformer_kernels import _extension, modules
from seaformer_kernels.data import IMAGENET_MEAN, IMAGENET_STD
from seaformer_kernels.quantize import observers
from seaformer_kernels.quantize.layers import (
    Grid,
    least_scale,
    quantize_layer,
    reach,
    real,
    scale_of,
)
from seaformer_kernels.quantize.simulate import Map

quantize = functools.partial(sk.quantize, show_progress=False)


def has_int8() -> bool:
    """Whether int8 maps have kernels, or need none: the extension is missing."""
    layer = sk.ops.Int8Layer(
        torch.ones(8, 1, 3, 3, dtype=torch.int8), torch.zeros(8).int(), torch.zeros(8)
    )
    project = layer._replace(weight=torch.ones(8, 8, 1, 1, dtype=torch.int8))
    packed = sk.ops.pack_int8_inverted_residual(
        None, layer, project, input_scale=1.0, output_scale=1.0
    )
    try:
        sk.ops.inverted_residual(torch.zeros(1, 8, 2, 2, dtype=torch.int8), packed, 8, 3)
    except (TypeError, ValueError):
        return False
    return True


HAS_INT8 = has_int8()


@pytest.fixture(scope="module", autouse=True)
def int8_in_plain_pytorch():
    """Until there are kernels."""
    patch = pytest.MonkeyPatch()
    for name in () if HAS_INT8 else ("inverted_residual", "stem", "stem_block"):
        module = importlib.import_module(f"seaformer_kernels.ops.{name}")
        op, plain = getattr(module, f"_{name}"), _extension.plain_ops[name]

        def call(*args, op=op, plain=plain):
            return (plain if torch.int8 in (args[0].dtype, args[-1]) else op)(*args)

        patch.setattr(module, f"_{name}", call)
    yield
    patch.undo()


def settled(model: nn.Module) -> nn.Module:
    """With batch norms as trained ones have them: maps have a spread of about 1."""
    torch.manual_seed(1)
    model.train()
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.momentum = None
    with torch.no_grad():
        for _ in range(4):
            model(torch.randn(2, 3, 64, 64))
    return model.eval()


def blocks() -> nn.Module:
    """The parts that there are int8 kernels for."""
    torch.manual_seed(0)
    return settled(
        nn.Sequential(
            OrderedDict(
                stem=modules.Stem(16),
                first=modules.InvertedResidual(16, 16, expansion=1),
                down=modules.InvertedResidual(16, 24, kernel_size=5, stride=2),
                same=modules.InvertedResidual(24, 24, expansion=3),
                layer=modules.SeaLayer(24, 8, 2, 2),
                last=modules.Mlp(24, 48),
            )
        )
    )


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return blocks()


@pytest.fixture(scope="module")
def images() -> list[Tensor]:
    """Smooth ones, normalised: whole pixels."""
    g = torch.Generator().manual_seed(3)
    small = torch.rand(12, 3, 8, 8, generator=g)
    large = nn.functional.interpolate(small, size=(48, 64), mode="bilinear")
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return list(((large * 255).round() - mean) / std)


@pytest.fixture(scope="module")
def pixels(images) -> list[Tensor]:
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return [(x * std + mean).round().to(torch.uint8) for x in images]


def decibels(got: Tensor, wanted: Tensor) -> float:
    return float(10 * torch.log10(wanted.square().sum() / (got - wanted).square().sum()))


def outputs(model: nn.Module, images: list[Tensor]) -> Tensor:
    with torch.no_grad():
        return model(torch.stack(images))


# Layers.


@pytest.mark.parametrize("zero", [0, -128])
@pytest.mark.parametrize("size", [1e-6, 1e-2, 1.0, 1e3])
def test_a_layer_is_within_half_a_step(zero, size):
    torch.manual_seed(2)
    weight, bias = size * torch.randn(20, 33, 1, 1), size * torch.randn(20)
    weight[3], bias[4] = 0, 0
    grid = Grid(0.02, zero)
    scale = max(least_scale(weight, bias, grid), float(reach(weight, bias, grid).max()) / 1000)
    layer = quantize_layer(weight, bias, grid, scale)
    got_weight, got_bias = real(layer, grid, scale)
    # Weights are coarser only where sums would not be exact otherwise.
    assert (got_bias - bias).abs().max() <= 2 * scale
    assert (got_weight - weight).abs().max() <= 2 * scale / grid.scale


def test_limits_hold_for_any_layer():
    from seaformer_kernels.ops._int8 import check_layer

    torch.manual_seed(2)
    for number in range(40):
        shape = (5, 2000, 1, 1) if number % 2 else (5, 1, 5, 5)
        weight = torch.randn(shape).abs() * 10.0 ** (number % 7 - 3)
        weight[0] *= 1e-6
        bias = torch.randn(5) * 10.0 ** (number % 5)
        grid = Grid(10.0 ** (number % 3 - 1), -128 * (number % 4 > 1))
        layer = quantize_layer(weight, bias, grid, least_scale(weight, bias, grid))
        check_layer("test", "any", layer, (None, None, None, None), grid.zero, 0)


def test_biases_make_up_for_rounded_weights():
    torch.manual_seed(2)
    weight, bias, mean = torch.randn(9, 40, 1, 1), torch.randn(9), torch.rand(40).double()
    grid = Grid(1 / 255, -128)
    exact = weight.flatten(1).double() @ mean + bias

    def off(layer):
        w, b = real(layer, grid, 0.1)
        return (w.flatten(1).double() @ mean + b - exact).abs().max()

    assert off(quantize_layer(weight, bias, grid, 0.1, mean)) < 1e-3
    assert off(quantize_layer(weight, bias, grid, 0.1)) > 1e-3


def test_observers():
    torch.manual_seed(2)
    x = torch.randn(100_000).abs()
    outlier = torch.tensor([60.0])
    ranges = {}
    for name, make in observers.OBSERVERS.items():
        seen = make()
        for part in (x[:10], x, outlier, torch.zeros(5)):
            seen.see(part)
        ranges[name] = seen.range(127, float("inf"))
        assert seen.range(255, 6.0) <= 6.0
        assert make().range(127, 6.0) == 0.0
    assert ranges["minmax"] == 60.0
    assert 3.0 < ranges["histogram"] < 50.0
    assert scale_of(12.0, "relu6") == pytest.approx(6 / 255)
    assert scale_of(12.7, "none") == pytest.approx(0.1)


def test_a_map_rounds_as_int8_does():
    of = Map("relu")
    of.widen(0.25)
    x = torch.tensor([-3.0, 0.1, 0.4, 63.0, 80.0], requires_grad=True)
    y = of.rounded(x)
    assert y.tolist() == [0.0, 0.0, 0.5, 63.0, 63.75]
    y.sum().backward()
    assert x.grad.tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]


# Models.


@pytest.fixture(scope="module")
def quantized(model, images) -> sk.OptimizedModel:
    return quantize(model, images)


def test_the_output_is_near(model, quantized, images):
    assert decibels(outputs(quantized, images), outputs(model, images)) > 20
    assert quantized.report().signal_to_noise > 20


def test_calibration_computes_as_the_kernels_do(quantized, images, model):
    """What is reported comes from a simulation; it must be of the same model."""
    found = decibels(outputs(quantized, images[:4]), outputs(model, images[:4]))
    assert found == pytest.approx(quantized.report().signal_to_noise, abs=0.3)


def test_the_plain_model_stays(images):
    plain = blocks()
    before = copy.deepcopy(plain.state_dict())
    wanted = outputs(plain, images)
    quantize(plain, images)
    assert all((before[name] == value).all() for name, value in plain.state_dict().items())
    assert (outputs(plain, images) == wanted).all()


def test_maps_between_blocks_have_one_scale(quantized):
    from seaformer_kernels.ops._int8 import scales

    stem, _, down, same, *_ = quantized.module
    assert type(stem).__name__ == "FusedStemBlock"
    assert scales(stem.stem)[1] == scales(stem.block)[0]
    assert scales(stem.block)[1] == scales(down.packed)[0]
    assert scales(down.packed)[1] == scales(same.packed)[0]


def test_raw_pixels_give_the_same(model, quantized, images, pixels):
    raw = quantize(model, pixels, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    wanted = outputs(quantized, images)
    assert decibels(outputs(raw, pixels), wanted) > 40
    assert (outputs(raw, [x.float() for x in pixels]) == outputs(raw, pixels)).all()


def test_report_names_every_block(quantized):
    report = quantized.report()
    by_path = {entry.path: entry for entry in report.entries}
    assert [e.path for e in report.int8] == [
        *("stem", "first", "down", "same", "layer.attn", "layer.mlp", "last"),
    ]
    assert [of.name for of in by_path["down"].maps] == ["input", "expanded", "hidden", "output"]
    for entry in report.int8:
        assert entry.signal_to_noise > 20
        assert all(of.scale > 0 and of.range <= of.peak * 1.01 for of in entry.maps)
    text = str(report)
    assert "Calibrated on 12 images." in text


def test_skipped_parts_stay(model, images):
    some = quantize(model, images, skip=["stem", "layer"], rest=torch.float16)
    dtypes = {entry.path: entry.dtype for entry in some.report().entries}
    assert dtypes["stem"] == dtypes["layer.mlp"] == "float16"
    assert dtypes["down"] == "int8"
    assert decibels(outputs(some, images).float(), outputs(model, images)) > 20


@pytest.mark.parametrize("options", [{}, {"observer": "minmax"}])
def test_equalization_and_bias_correction_help(model, images, options):
    def quality(**more):
        return quantize(model, images, **options, **more).report().signal_to_noise

    assert quality() > quality(equalize=False, bias_correction=False)


def test_channels_of_unlike_range_are_equalized(images):
    torch.manual_seed(0)
    block = settled(nn.Sequential(modules.Stem(8), modules.InvertedResidual(8, 8, expansion=3)))
    with torch.no_grad():  # nothing that is computed changes
        factors = torch.logspace(-1.5, 0, 24)
        expand, _, depthwise, *_ = block[1].conv
        expand.bn.weight.mul_(factors)
        expand.bn.bias.mul_(factors)
        depthwise.c.weight.div_(factors.view(-1, 1, 1, 1))
    without, with_ = (
        quantize(block, images, equalize=on).report().signal_to_noise for on in (False, True)
    )
    assert with_ > without + 3


def test_blocks_go_back_to_float_until_the_drop_is_met(model, images):
    wanted = outputs(sk.optimize(model), images)

    def evaluate(candidate):
        return -float((outputs(candidate, images) - wanted).abs().mean())

    all_int8 = quantize(model, images, evaluate=evaluate).report()
    assert len(all_int8.evaluated) == 2
    drop = all_int8.evaluated[0][1] - all_int8.evaluated[1][1]
    found = quantize(model, images, evaluate=evaluate, max_drop=drop / 3)
    report = found.report()
    assert 0 < len(report.int8) < len(all_int8.int8)
    assert evaluate(found) >= -drop / 3
    kept = [entry for entry in report.entries if getattr(entry, "stays", None)]
    assert kept and all(entry.dtype == "float32" for entry in kept)
    none = quantize(model, images, evaluate=evaluate, max_drop=0.0).report()
    assert none.int8 == ()


def test_a_shared_block_stays_shared(images):
    torch.manual_seed(0)
    block = modules.InvertedResidual(8, 8)
    twice = settled(nn.Sequential(modules.Stem(8), block, nn.Identity(), block))
    found = quantize(twice, images)
    assert found.module[1] is found.module[3]
    assert decibels(outputs(found, images), outputs(twice, images)) > 15


def test_state_dicts_and_copies(model, quantized, images):
    wanted = outputs(quantized, images)
    other = quantize(model, [x.flip(-1) * 0.7 for x in images])
    assert (outputs(other, images) != wanted).any()
    other.load_state_dict(quantized.state_dict())
    assert (outputs(other, images) == wanted).all()
    buffer = io.BytesIO()
    torch.save(quantized, buffer)
    buffer.seek(0)
    assert (outputs(torch.load(buffer, weights_only=False), images) == wanted).all()
    with pytest.raises(RuntimeError, match=r"dtype: int8, .*got dtype: float32"):
        quantized.load_state_dict(sk.optimize(model).state_dict(), strict=False)


@pytest.mark.skipif(not HAS_INT8, reason="needs kernels for int8 maps")
def test_export_gives_the_same(quantized, images):
    x = torch.stack(images[:2])
    program = torch.export.export(
        quantized,
        (x,),
        dynamic_shapes=({2: torch.export.Dim("h", min=33), 3: torch.export.Dim("w", min=33)},),
    )
    y = torch.stack(images)[:2, :, :40, :50]
    with torch.no_grad():
        assert (program.module()(y) == quantized(y)).all()


@pytest.mark.compile
@pytest.mark.skipif(not HAS_INT8, reason="needs kernels for int8 maps")
def test_compiles_without_breaks(quantized, images):
    x = torch.stack(images[:2])
    compiled = torch.compile(quantized, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        assert (compiled(x) == quantized(x)).all()


# Calibration data.


def test_any_source_of_images(model, images, pixels, tmp_path):
    wanted = outputs(quantize(model, images), images)
    for number, x in enumerate(pixels):
        Image.fromarray(x.permute(1, 2, 0).numpy()).save(tmp_path / f"{number:02}.png")
    stacked = torch.stack(images)
    labelled = torch.utils.data.TensorDataset(stacked, torch.zeros(12))
    for data in (
        stacked,
        (x for x in images),
        [{"image": x[None]} for x in images],
        torch.utils.data.DataLoader(labelled, 5),
    ):
        assert (outputs(quantize(model, data), images) == wanted).all()
    for data in (pixels, tmp_path, str(tmp_path)):
        assert decibels(outputs(quantize(model, data), images), wanted) > 30
    arrays = [np.asarray(x) for x in images]
    assert (outputs(quantize(model, arrays, transform=torch.from_numpy), images) == wanted).all()


def test_no_more_images_than_asked_for(model, images):
    seen = []

    def reading():
        for number in range(1000):
            seen.append(number)
            yield images[number % 12]

    assert quantize(model, reading(), num_samples=10).report().samples == 10
    assert len(seen) == 10


@pytest.mark.parametrize(
    ("data", "options", "error", "message"),
    [
        ([], {}, ValueError, "expected images in calibration_data, got none"),
        ([torch.zeros(3, 64, 64)] * 3, {}, ValueError, "at least 8 images .*, got 3"),
        (5, {}, TypeError, "iterable of images or batches, or a folder, got int"),
        ("/nowhere", {}, ValueError, "a folder of images, got /nowhere"),
        ([torch.zeros(1, 64, 64)], {}, TypeError, r"got shape \[1, 64, 64\] as item 0"),
        (["picture"], {}, TypeError, "got str as item 0"),
        ([torch.full((3, 64, 64), math.nan)] * 9, {}, ValueError, "got NaN or infinity in item 0"),
        ([], {"observer": "median"}, ValueError, "observer histogram or minmax, got 'median'"),
        ([], {"num_samples": 0}, ValueError, "num_samples from 1 up, got 0"),
        ([], {"max_drop": 1.0}, ValueError, "max_drop from 0 up with evaluate"),
        ([], {"skip": ["nothing"]}, ValueError, "skip to name parts of the model, got 'nothing'"),
        ([], {"mean": (1, 2, 3)}, ValueError, "mean and std, or neither"),
        ([], {"rest": torch.int8}, ValueError, "float32, float16 or bfloat16, got int8"),
        ([], {"skip": [""]}, ValueError, "without any that is not skipped"),
    ],
)
def test_bad_input_is_named(model, data, options, error, message):
    with pytest.raises(error, match=f"^quantize: expected .*{message}|^quantize: .*{message}"):
        quantize(model, data, **options)


def test_a_map_of_zeros_is_named(images):
    torch.manual_seed(0)
    dead = settled(nn.Sequential(modules.Stem(8), modules.InvertedResidual(8, 8)))
    with torch.no_grad():
        dead[1].conv[0].bn.weight.zero_()
        dead[1].conv[0].bn.bias.fill_(-1)
    with pytest.raises(ValueError, match=r"zero throughout, got one in 1; .*skip=\['1'\]"):
        quantize(dead, images)


def test_models_without_int8_kernels_are_refused(images):
    with pytest.raises(
        ValueError, match=r"blocks that there are int8 kernels for .*got Sequential"
    ):
        quantize(nn.Sequential(nn.Conv2d(3, 3, 1)), images)
    with pytest.raises(TypeError, match=r"quantize: expected a torch.nn.Module"):
        quantize(3, images)
    with pytest.raises(ValueError, match="quantize: expected a plain model, got one that is opt"):
        quantize(sk.optimize(blocks()), images)


def test_hardly_clamped_blocks_stay_float(images):
    torch.manual_seed(0)
    wide = settled(nn.Sequential(modules.Stem(8), modules.Mlp(8, 16)))
    with torch.no_grad():
        wide[1].dwconv.weight.mul_(500)
    found = quantize(wide, images).report()
    (entry,) = [entry for entry in found.entries if entry.path == "1"]
    assert entry.dtype == "float32"
    assert "int8 cannot clamp at 6" in entry.stays
