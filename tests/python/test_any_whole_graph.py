"""Whole graphs and model files of other people's models."""

from __future__ import annotations

import pytest
import torch
import zoo
from torch import nn
from torch.nn import functional as F
from zoo.closeness import assert_as_exact, doubled

import seaformer_kernels as sk
from seaformer_kernels import ops

pytestmark = pytest.mark.skipif(
    not sk.cpu.info().extension_loaded, reason="whole graphs need the native extension"
)
MEAN, STD = sk.data.IMAGENET_MEAN, sk.data.IMAGENET_STD

WHOLE = [
    "mobilenet_v1/torchvision",
    "mobilenet_v2/torchvision_050",
    "mobilenet_v3/torchvision_small",
    pytest.param("mobilenet_v3/timm_small_tf", marks=pytest.mark.slow),
    pytest.param("mnasnet/torchvision", marks=pytest.mark.slow),
    pytest.param("efficientnet/timm_b0", marks=pytest.mark.slow),
    pytest.param("efficientnet/timm_tf_lite0", marks=pytest.mark.slow),
    pytest.param("resnet/18", marks=pytest.mark.slow),
    "seaformer/segmentation_tiny",
    "topformer/tiny",
    pytest.param("topformer/base", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("name", WHOLE)
def test_networks(name):
    model = next(one for one in zoo.models() if one.name == name)
    plain = zoo.create(name)
    whole = sk.optimize(plain, whole_graph=True)
    exact = doubled(plain)
    with torch.inference_mode():
        for size in ((model.size, model.size), model.other_size):
            x = zoo.images(2, *size, seed=7)
            assert_as_exact(exact(x.double()), plain(x), whole(x))
    assert whole.report((64, 64)).fused_share == 1.0


class Between(nn.Module):
    """What there is between blocks: sums, concatenation, pools, resizes, products, labels."""

    def __init__(self, labels: bool = False):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.average = nn.AvgPool2d(2, count_include_pad=False)
        self.one = nn.Conv2d(8, 8, 3, padding=1)
        self.gate = nn.Conv2d(8, 8, 1)
        self.two = nn.Conv2d(24, 5, 1)
        self.labels = labels

    def forward(self, image):
        x = F.relu(self.stem(image))
        y = self.pool(x)
        y = F.relu(self.one(y) + y)
        z = self.average(y) * torch.sigmoid(self.gate(y.mean((2, 3), keepdim=True)))
        z = F.interpolate(z, y.shape[2:], mode="bilinear", align_corners=True)
        up = F.interpolate(y, scale_factor=2, mode="bilinear")
        down = F.interpolate(up, size=z.shape[-2:], mode="bilinear", align_corners=False)
        scores = self.two(torch.cat([y, z, down], 1))
        if not self.labels:
            return scores
        return F.interpolate(scores, image.shape[2:], mode="bilinear").argmax(1)


def test_what_is_between_blocks():
    model = zoo.trained(Between())
    whole, exact = sk.optimize(model, whole_graph=True), doubled(model)
    with torch.inference_mode():
        for size in (32, 40), (64, 24):
            x = zoo.images(2, *size, seed=1)
            assert_as_exact(exact(x.double()), model(x), whole(x))


class Attends(nn.Module):
    """Attention of all pixels and what is around it, as others write it."""

    def __init__(self, activation: nn.Module):
        super().__init__()
        self.stem = nn.Conv2d(3, 24, 3, stride=2, padding=1)
        self.down = nn.Conv2d(24, 12, 3, stride=2, padding=1)
        self.qkv = nn.ModuleList(nn.Conv2d(24, n, 1) for n in (12, 12, 20))
        self.project = nn.Sequential(activation, nn.Conv2d(20, 24, 1))

    def attend(self, x):
        b, _, h, w = x.shape
        q, k, v = (conv(x) for conv in self.qkv)
        q = q.view(b, 2, 6, h * w).transpose(-2, -1) * 0.3
        v = v.view(b, 2, 10, h * w).transpose(2, 3)
        scores = (q @ k.view(b, 2, 6, h * w)) / 2
        mixed = F.softmax(scores, dim=3).matmul(v)
        return self.project(mixed.transpose(3, 2).reshape(b, 20, h, w))

    def forward(self, image):
        x = F.relu(self.stem(image))
        y = F.relu(self.down(x))
        size = (y.shape[2] + 2) // 3, (y.shape[3] - 1) // 3 + 1
        z = F.adaptive_avg_pool2d(x, size)
        one, other = torch.split(z + self.attend(z), 12, 1)
        y = F.interpolate(one, y.shape[-2:], mode="bilinear") + y
        return y + F.interpolate(other[:, :12], size=(y.size(2), y.size(3)))


@pytest.mark.parametrize("activation", [nn.ReLU6(), nn.Hardswish()])
def test_attention_of_all_pixels(activation):
    model = zoo.trained(Attends(activation))
    fast, whole = sk.optimize(model), sk.optimize(model, whole_graph=True)
    assert "1 Attention" in str(fast.report())
    exact = doubled(model)
    with torch.inference_mode():
        for size in (32, 40), (61, 24):
            x = zoo.images(2, *size, seed=1)
            for one in fast, whole:
                assert_as_exact(exact(x.double()), model(x), one(x))


class ResizesByMore(nn.Module):
    """To sizes that are a map's, but for some arithmetic."""

    def __init__(self, size):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.size = size

    def forward(self, x):
        y = self.stem(x)
        return F.interpolate(y, self.size(y), mode="bilinear")


@pytest.mark.parametrize(
    "size",
    [
        lambda y: (y.shape[2] * 2, y.shape[3] * 2),
        lambda y: (y.shape[2] + 1, y.shape[3]),
        lambda y: (y.shape[3], y.shape[2]),
        lambda y: (y.shape[2], y.shape[2]),
    ],
)
def test_sizes_of_no_map(size):
    with pytest.raises(ValueError, match="resizes to a size that is no map's"):
        sk.optimize(ResizesByMore(size), whole_graph=True)


def test_labels_are_what_the_model_makes():
    model = zoo.trained(Between(labels=True))
    whole = sk.optimize(model, whole_graph=True)
    x = zoo.images(2, 48, 40, seed=2)
    with torch.inference_mode():
        got, expected = whole(x), model(x)
    assert got.dtype == torch.int64 and (got != expected).float().mean() < 2e-3
    assert torch.equal(whole.predict(x).long(), got)


class Pyramid(nn.Module):
    """Maps in lists, summed in place at a size that is made a tuple."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(c, 8, 3, 2, 1) for c in (3, 8, 8))
        self.last = nn.Conv2d(8, 5, 1)

    def maps(self, x):
        made = []
        for layer in self.layers:
            made.append(x := F.relu(layer(x)))
        return [F.interpolate(y, scale_factor=2, mode="bilinear") for y in made]

    def forward(self, x):
        maps = self.maps(x)
        total = maps[0]
        for other in maps[1:]:
            total += F.interpolate(other, tuple(total.size()[2:]), mode="bilinear")
        return self.last(total)


class SumsUnderTwoNames(nn.Module):
    """y changes as z does, which a plan of separate maps would not see."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.last = (
            nn.Conv2d(3, 8, 3, 2, 1),
            nn.Conv2d(8, 8, 1),
            nn.Conv2d(8, 4, 1),
        )

    def forward(self, x):
        y = z = self.one(x)
        z += self.two(y)
        return self.last(y + z)


def test_lists_of_maps():
    model = zoo.trained(Pyramid())
    whole, exact = sk.optimize(model, whole_graph=True), doubled(model)
    with torch.inference_mode():
        x = zoo.images(2, 48, 40, seed=1)
        assert_as_exact(exact(x.double()), model(x), whole(x))


def test_sums_in_place_that_are_read_again():
    with pytest.raises(ValueError, match="changes a map in place that may be read again"):
        sk.optimize(SumsUnderTwoNames(), whole_graph=True)


def test_raw_pixels_and_model_files(tmp_path):
    model = zoo.create("mobilenet_v3/torchvision_small")
    pixels = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    normalised = (pixels - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    raw = sk.optimize(model, mean=MEAN, std=STD)
    file = sk.export_native(model, tmp_path / "model.sfm", mean=MEAN, std=STD)
    assert (file.task, file.num_classes) == ("classification", 1000)
    plan = torch.frombuffer(bytearray(file.path.read_bytes()), dtype=torch.uint8)
    with torch.inference_mode():
        expected = model(normalised)
        scale = expected.abs().max()
        assert (raw(pixels) - expected).abs().max() < 1e-3 * scale
        got = ops.network_logits(pixels, plan, 1000, *ops.network.scale_of(plan))
        assert (got - expected).abs().max() < 1e-3 * scale


@pytest.mark.parametrize(
    "name", ["mobilenet_v3/torchvision_small", "seaformer/segmentation_tiny", "topformer/tiny"]
)
def test_half_types(name):
    model = zoo.create(name)
    whole = sk.optimize(model, dtype=torch.float16, whole_graph=True)
    blocks = sk.optimize(model, dtype=torch.float16)
    assert {entry.dtype for entry in blocks.report().entries if entry.fused} == {"float16"}
    x = zoo.images(1, 128, 128, seed=4)
    with torch.inference_mode():
        expected = model(x)
        for fast in (whole, blocks):
            error = (fast(x).float() - expected).abs().max()
            assert error < 3e-2 * expected.abs().max()


class Half(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, groups=1)
        self.rest = nn.Conv2d(4, 4, 3, groups=2)

    def forward(self, x):
        return self.rest(self.conv(x))


class Flips(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        return self.conv(x).flip(3)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Half(), "got rest, which has 2 groups of several channels"),
        (Flips(), "wholly steps of a plan, but the model, a Flips, does what there is no step for"),
    ],
)
def test_what_is_no_plan(model, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        sk.optimize(model, whole_graph=True)
    with pytest.raises(ValueError, match=r"expected a model that is wholly blocks|need a Stem"):
        sk.export_native(model, tmp_path / "x", mean=MEAN, std=STD)
    assert not list(tmp_path.iterdir())


def test_copies(tmp_path):
    whole = sk.optimize(zoo.create("mobilenet_v2/torchvision_050"), whole_graph=True)
    torch.save(whole, tmp_path / "model.pt")
    other = torch.load(tmp_path / "model.pt", weights_only=False)
    x = zoo.images(1, 64, 64, seed=3)
    assert torch.equal(other(x), whole(x))
    other.load_state_dict(whole.state_dict())
