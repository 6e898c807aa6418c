"""Training through int8: `prepare_qat` and `convert`."""

from __future__ import annotations

import functools

import pytest
import torch
from test_quantize import (  # noqa: F401
    blocks,
    decibels,
    int8_in_plain_pytorch,
    outputs,
    settled,
)
from torch import nn

import seaformer_kernels as sk
from seaformer_kernels import modules
from seaformer_kernels.data import IMAGENET_MEAN, IMAGENET_STD

prepare = functools.partial(sk.prepare_qat, show_progress=False)


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return blocks()


@pytest.fixture(scope="module")
def pixels() -> list[torch.Tensor]:
    g = torch.Generator().manual_seed(3)
    small = torch.rand(9, 3, 8, 8, generator=g)
    large = nn.functional.interpolate(small, size=(48, 64), mode="bilinear")
    return list((large * 255).round().to(torch.uint8))


@pytest.fixture(scope="module")
def images(pixels) -> list[torch.Tensor]:
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return [(x - mean) / std for x in pixels]


def trained(model: nn.Module, images, steps: int = 3) -> nn.Module:
    x = torch.stack(images)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
    return model


def test_it_trains_as_the_int8_model_it_will_be(model, images, pixels):
    prepared = prepare(model, images)
    assert all(p.requires_grad for p in prepared.parameters())
    assert not prepared.training
    assert decibels(outputs(prepared, images), outputs(model, images)) > 20
    before = outputs(prepared, images).square().mean()
    trained(prepared, images)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in prepared.parameters())
    wanted = outputs(prepared, images)
    assert wanted.square().mean() < before
    # The same numbers, but where float sums fall on the other side of a half.
    found = sk.convert(prepared)
    assert decibels(outputs(found, images), wanted) > 35
    raw = sk.convert(prepared, IMAGENET_MEAN, IMAGENET_STD)
    assert decibels(outputs(raw, pixels), wanted) > 35
    assert [entry.path for entry in found.report().int8][:2] == ["stem", "first"]
    assert (outputs(prepared, images) == wanted).all()


def test_the_plain_model_stays(images):
    plain = blocks().train()
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    prepared = prepare(plain, images)
    assert prepared.training
    trained(prepared, images, 1)
    assert all((before[name] == value).all() for name, value in plain.state_dict().items())


def test_it_goes_on_from_a_state_dict(model, images):
    first = trained(prepare(model, images), images)
    again = prepare(model)
    again.load_state_dict(first.state_dict())
    assert (outputs(again, images) == outputs(first, images)).all()
    assert (
        outputs(trained(again, images), images) == outputs(trained(first, images), images)
    ).all()
    wanted, found = sk.convert(first).state_dict(), sk.convert(again).state_dict()
    assert all((found[name] == value).all() for name, value in wanted.items())


def test_blocks_that_stay_float_do_so_when_loaded(images):
    torch.manual_seed(0)
    wide = settled(nn.Sequential(modules.Stem(8), modules.Mlp(8, 16), modules.Mlp(8, 16)))
    with torch.no_grad():
        wide[1].dwconv.weight.mul_(500)
    first, again = prepare(wide, images), prepare(wide)
    again.load_state_dict(first.state_dict())
    assert [block.simulating for block in again] == [True, False, True]
    assert (outputs(again, images) == outputs(first, images)).all()
    assert [entry.dtype for entry in sk.convert(again).report().entries] == [
        "int8", "float32", "int8"
    ]  # fmt: skip


def test_a_folder_keeps_it_with_its_ranges(tmp_path, pixels):
    pytest.importorskip("safetensors")
    prepared = prepare(sk.create_model("seaformer_tiny", num_classes=4), pixels, skip="decode_head")
    sk.save_pretrained(prepared, tmp_path)
    found = sk.from_pretrained(tmp_path)
    x = [image / 255 - 0.5 for image in pixels[:2]]
    assert (outputs(found, x) == outputs(prepared, x)).all()
    assert found.quantization.skip == ("decode_head",)
    with pytest.raises(TypeError, match="float32 for a model of prepare_qat"):
        sk.from_pretrained(tmp_path, dtype=torch.float16)
    with pytest.raises(ValueError, match="expected float32 for a model of prepare_qat, whose"):
        sk.save_pretrained(prepared, tmp_path, dtype=torch.float16)
    for make in sk.optimize, prepare, lambda model: sk.quantize(model, pixels):
        with pytest.raises(ValueError, match="expected a plain model, got one of prepare_qat"):
            make(found)


def test_the_first_batch_gives_ranges(model, images):
    prepared = prepare(model)
    with pytest.raises(ValueError, match=r"^convert: .* one that was never called \(stem\)"):
        sk.convert(prepared)
    assert decibels(outputs(prepared, images), outputs(model, images)) > 15
    assert decibels(outputs(sk.convert(prepared), images), outputs(prepared, images)) > 35


def test_weights_that_outgrow_the_limits_convert(images):
    torch.manual_seed(0)
    prepared = prepare(
        nn.Sequential(modules.Stem(8), modules.InvertedResidual(8, 8)).eval(), images
    )
    with torch.no_grad():
        for parameter in prepared[1].parameters():
            parameter.mul_(40)
    assert outputs(sk.convert(prepared), images).isfinite().all()


def test_segmenters_keep_their_class(pixels):
    plain = sk.create_model("seaformer_tiny", num_classes=4)
    prepared = prepare(plain)
    assert type(prepared) is type(plain)
    x = torch.stack(pixels).float() / 255 - 0.5
    assert prepared.predict(x).shape == (9, 48, 64)
    found = sk.convert(prepared, IMAGENET_MEAN, IMAGENET_STD)
    assert found.predict(torch.stack(pixels)).shape == (9, 48, 64)


def test_bad_models_are_named(model):
    with pytest.raises(ValueError, match="convert: expected a model of prepare_qat, got a Sequen"):
        sk.convert(model)
    with pytest.raises(TypeError, match=r"prepare_qat: expected a torch\.nn\.Module"):
        sk.prepare_qat(3)
    with pytest.raises(ValueError, match="prepare_qat: expected images in calibration_data, got"):
        sk.prepare_qat(model, [])
