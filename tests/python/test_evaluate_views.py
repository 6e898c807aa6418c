"""Windows, flips, scales and sizes: the labels that averaging by hand gives."""

import pytest
import torch
from evaluate_cases import FACTS, picture, segmenter
from torch import Tensor
from torch.nn import functional as F

from seaformer_kernels.evaluate import InputSize, SlidingWindow, Views
from seaformer_kernels.evaluate.engines import TorchEngine
from seaformer_kernels.ops import upsample_argmax

pytestmark = pytest.mark.usefixtures("one_thread")


class Function:
    """An engine that is any function from images to logits."""

    name = "function"
    gives_logits = True

    def __init__(self, function):
        self.function = function

    def logits(self, x: Tensor) -> Tensor:
        return self.function(x.float())

    def labels(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        return upsample_argmax(self.logits(x), size)


@pytest.fixture(scope="module")
def mini() -> TorchEngine:
    return TorchEngine("mini", segmenter(), FACTS.mean, FACTS.std)


def agreement(a: Tensor, b: Tensor) -> float:
    assert a.shape == b.shape
    return (a == b).float().mean().item()


@pytest.mark.parametrize(
    ("side", "crop", "stride", "expected"),
    [
        (10, 4, 3, [(0, 4), (3, 7), (6, 10)]),
        (11, 4, 3, [(0, 4), (3, 7), (6, 10), (7, 11)]),
        (4, 4, 3, [(0, 4)]),
        (3, 4, 4, [(0, 3)]),
        (5, 4, 4, [(0, 4), (1, 5)]),
    ],
)
def test_where_windows_lie(side, crop, stride, expected):
    windows = [*SlidingWindow((crop, 9), (stride, 9)).of((side, 9))]
    assert [(rows.start, rows.stop) for rows, _ in windows] == expected
    assert {(columns.start, columns.stop) for _, columns in windows} == {(0, 9)}


def test_windows_of_a_function_of_single_pixels_change_nothing():
    engine = Function(lambda x: x)
    image = picture(50, 61)
    window = SlidingWindow((20, 32), (13, 10))
    assert Views(window=window).labels(engine, image).equal(image.argmax(0))


def test_overlaps_are_means_of_logits():
    # All logits of a window are the means of its colours, so that each pixel's tell its windows.
    engine = Function(lambda x: x.mean((2, 3), keepdim=True).expand(x.shape))
    image, window = picture(50, 61), SlidingWindow((20, 32), (13, 10))
    total, count = torch.zeros(3, 50, 61), torch.zeros(50, 61)
    for top in (0, 13, 26, 30):
        for left in (0, 10, 20, 29):
            view = image[:, top : top + 20, left : left + 32].float()
            total[:, top : top + 20, left : left + 32] += view.mean((1, 2))[:, None, None]
            count[top : top + 20, left : left + 32] += 1
    assert count.min() >= 1 and count.max() > 4
    expected = (total / count).argmax(0)
    assert len(expected.unique()) > 1
    assert Views(window=window).labels(engine, image).equal(expected.to(torch.uint8))


@pytest.mark.parametrize("crop", [(64, 80), (500, 80)])
def test_a_window_as_large_as_the_image_is_the_image(mini, crop):
    image, window = picture(64, 80), SlidingWindow(crop, (30, 30))
    assert Views(window=window).labels(mini, image).equal(Views().labels(mini, image))
    flipped = Views(flip=True).labels(mini, image)
    assert Views(window=window, flip=True).labels(mini, image).equal(flipped)


def test_windows_of_the_network(mini):
    image = picture(64, 96)
    left, right = (
        F.interpolate(mini.logits(image[None, :, :, part]), (64, 64), mode="bilinear")
        for part in (slice(0, 64), slice(32, 96))
    )
    middle = (left[..., 32:] + right[..., :32]) / 2
    expected = torch.cat([left[..., :32], middle, right[..., 32:]], 3).argmax(1)[0]
    got = Views(window=SlidingWindow((64, 64), (32, 32))).labels(mini, image)
    assert agreement(got, expected) > 0.999


def test_flips_are_symmetric(mini):
    views = Views(flip=True)
    image = picture(48, 70)
    labels = views.labels(mini, image)
    assert agreement(views.labels(mini, image.flip(-1)), labels.flip(-1)) > 0.999
    # The network itself is not.
    one = Views().labels(mini, image)
    assert agreement(Views().labels(mini, image.flip(-1)), one.flip(-1)) < 0.999


def test_flips_and_scales_are_means_of_softmax(mini):
    image, scales = picture(45, 80), (0.75, 1.0, 1.5)
    total = 0
    for scale in scales:
        size = (int(45 * scale + 0.5), int(80 * scale + 0.5))
        x = F.interpolate(image[None], size, mode="bilinear", antialias=True)
        for flip in (False, True):
            logits = mini.logits(x.flip(3) if flip else x)
            logits = F.interpolate(logits.flip(3) if flip else logits, (45, 80), mode="bilinear")
            total = total + logits.softmax(1)
    views = Views(flip=True, scales=scales)
    assert agreement(views.labels(mini, image), total.argmax(1)[0]) > 0.999
    assert agreement(views.labels(mini, image), Views().labels(mini, image)) < 1


@pytest.mark.parametrize(
    "views",
    [
        Views(InputSize(exact=(64, 96))),
        Views(InputSize(short_side=40), flip=True),
        Views(InputSize(scale=2), SlidingWindow((64, 64), (50, 50))),
    ],
)
def test_labels_have_the_size_of_the_image(mini, views):
    labels = views.labels(mini, picture(33, 61))
    assert labels.shape == (33, 61) and len(labels.unique()) > 1


@pytest.mark.parametrize(
    ("given", "scale", "expected"),
    [
        ({}, 1, (480, 640)),
        ({}, 0.5, (240, 320)),
        ({"exact": (512, 512)}, 1, (512, 512)),
        ({"exact": (512, 512), "scale": 0.5}, 2, (512, 512)),
        ({"short_side": 512}, 1, (512, 683)),
        ({"long_side": 320}, 1, (240, 320)),
        ({"short_side": 512, "long_side": 600}, 1, (450, 600)),
        ({"short_side": 512, "divisor": 32}, 1, (512, 704)),
        ({"scale": 0.5, "divisor": 64}, 1, (256, 320)),
        ({"scale": 1e-6}, 1, (1, 1)),
    ],
)
def test_input_sizes(given, scale, expected):
    assert InputSize(**given).of((480, 640), scale) == expected


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: InputSize(exact=(3, 3), short_side=3), "got both"),
        (lambda: InputSize(divisor=0), "positive values, got .*divisor=0"),
        (lambda: SlidingWindow((3, 0), (1, 1)), "positive crop and stride"),
        (lambda: SlidingWindow((3, 3), (4, 1)), r"left out, got \(4, 1\)"),
        (lambda: Views(scales=()), r"positive scales, got \(\)"),
        (lambda: Views(scales=(1, -1)), "positive scales"),
    ],
)
def test_what_makes_no_sense(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_an_image_too_small_for_the_network(mini):
    with pytest.raises(ValueError, match="32"):
        Views().labels(mini, picture(20, 64))
