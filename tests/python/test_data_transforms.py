"""What training does to images: geometry, the rule about classes; all follows from seeds."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

pytest.importorskip("kornia")

from seaformer_kernels.data import IMAGENET_MEAN, IMAGENET_STD
from seaformer_kernels.data.transforms import (
    ClassificationTransform,
    SegmentationTransform,
)

NORM = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}
MEAN, STD = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))


def segmentation(crop=(40, 56), **options):
    return SegmentationTransform(crop, **{"distort": False, **NORM, **options})


def noise(height=48, width=64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)


def blocks(height=48, width=64, side=16):
    """Labels in squares."""
    rows, columns = torch.arange(height) // side, torch.arange(width) // side
    return ((rows[:, None] * 5 + columns) % 7).to(torch.uint8)


def painted(mask):
    """An image that shows the mask: each label is a colour."""
    return torch.stack([mask * 30 + 5, 250 - mask * 30, mask * 20 + 40])


def seen(pixels):
    """The labels that an image of `painted` shows."""
    return ((pixels * STD + MEAN)[0] - 5) / 30


def test_all_of_a_batch_have_the_size_that_follows_from_it():
    transform = segmentation((96, 70), sizes=(1.0, 0.65, 0.3))
    of_batches = []
    for batch in range(12):
        sizes = {tuple(transform(noise(), blocks(), seed, batch)[1].shape) for seed in range(3)}
        assert len(sizes) == 1
        of_batches.append(sizes.pop())
    assert {*of_batches} == {(96, 70), (64, 48), (32, 32)}
    whole = segmentation((96, 70))
    for batch in (0, 5):
        pixels, labels = whole(noise(), blocks(), 1, batch)
        assert torch.equal(pixels, whole(noise(), blocks(), 1)[0]) and labels.shape == (96, 70)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("resize", [None, (100, 60)])
def test_image_and_mask_keep_their_geometry(seed, resize):
    mask = blocks()
    pixels, labels = segmentation(resize=resize)(painted(mask), mask, seed)
    assert pixels.dtype == torch.float32 and pixels.shape == (3, 40, 56)
    assert labels.dtype == torch.int64 and labels.shape == (40, 56)
    inside = labels != 255
    assert inside.any()
    # Where a label's neighbours are all the same, no border blurs what the image shows.
    padded = torch.nn.functional.pad(labels, (2, 2, 2, 2), value=-1).unfold(0, 5, 1).unfold(1, 5, 1)
    even = (padded == labels[..., None, None]).all(-1).all(-1) & inside
    assert even.any()
    assert (seen(pixels) - labels)[even].abs().max() < 0.02
    # And on borders the image lies between the labels: half a pixel off would show as a bias.
    assert (seen(pixels) - labels)[inside].mean().abs() < 0.1
    assert torch.all(pixels[:, ~inside] == 0)


def test_half_a_pixel_would_be_seen():
    # A ramp has the same values wherever it is sampled rightly; its mask holds them rounded down.
    ramp = torch.arange(64).expand(48, 64).to(torch.uint8)
    image = ramp.expand(3, -1, -1).contiguous()
    for seed in range(10):
        transform = segmentation(scale=(2, 2), max_share=1, flip=seed % 2)
        pixels, labels = transform(image, ramp, seed)
        off = (pixels * STD + MEAN)[0] - labels
        inner = off[:, 4:-4]
        assert inner.abs().max() <= 0.5 and inner.mean().abs() < 0.01


def test_a_scale_of_one_copies():
    image, mask = noise(), blocks()
    for seed in range(5):
        pixels, labels = segmentation(scale=(1, 1), flip=0)(image, mask, seed)
        whole = (image - MEAN) / STD
        windows = whole.unfold(1, 40, 1).unfold(2, 56, 1)
        found = (windows == pixels[:, None, None]).all(-1).all(-1).all(0).nonzero()
        ((top, left),) = found.tolist()
        assert torch.equal(labels, mask[top : top + 40, left : left + 56].long())


def test_no_class_fills_more_than_its_share():
    # One class but for a corner: most crops hold nothing else.
    mask = torch.zeros(128, 128, dtype=torch.uint8)
    mask[:40, :40] = 1
    mask[100:, 100:] = 255
    shares = {}
    for max_share in (0.75, 1):
        transform = segmentation((48, 48), scale=(1, 1), max_share=max_share)
        fill = []
        for seed in range(60):
            labels = transform(noise(128, 128), mask, seed)[1]
            counts = torch.bincount(labels.flatten(), minlength=256)[:255]
            fill.append((counts.max() / counts.sum()).item() >= 0.75)
        shares[max_share] = sum(fill) / len(fill)
    assert shares[0.75] < 0.6 < shares[1]


def test_flips_half_the_time():
    ramp = torch.arange(64).expand(48, 64).to(torch.uint8)
    flipped = [
        bool(segmentation(scale=(1, 1))(noise(), ramp, seed)[1].diff(dim=1)[0, 0] < 0)
        for seed in range(100)
    ]
    assert 30 < sum(flipped) < 70


def test_distortion_changes_colours_only():
    image, mask = noise(), blocks()
    means = []
    for seed in range(20):
        plain, labels = segmentation()(image, mask, seed)
        pixels, same = segmentation(distort=True)(image, mask, seed)
        assert torch.equal(labels, same)
        back = pixels * STD + MEAN
        assert back.min() > -0.01 and back.max() < 255.01
        means.append(pixels.mean().item())
        assert plain.shape == pixels.shape
    assert np.std(means) > 0.1


def transforms():
    image, mask = noise(), blocks()
    seg = segmentation(distort=True)
    cls = ClassificationTransform(32, erasing=0.5, **NORM)
    return [lambda seed: seg(image, mask, seed)[0], lambda seed: cls(image, seed)]


@pytest.mark.parametrize("number", range(2))
def test_all_follows_from_the_seed_and_nothing_else(number):
    transform = transforms()[number]
    first = [transform(seed) for seed in range(8)]
    state = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    torch.manual_seed(5)
    random.seed(5)
    np.random.seed(5)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    again = [transform(seed) for seed in reversed(range(8))][::-1]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1] and np.array_equal(np.random.get_state()[1], before[2])
    torch.set_rng_state(state[0])
    assert any(not torch.equal(first[0], other) for other in first[1:])
    assert not torch.equal(first[0], transform(2**62))


@pytest.mark.parametrize("number", range(2))
def test_threads_do_not_disturb_each_other(number):
    transform = transforms()[number]
    alone = [transform(seed) for seed in range(16)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(transform, range(16)))
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


@pytest.mark.parametrize("size", [(300, 40), (33, 500), (1, 1), (64, 64)])
def test_classification_takes_any_image(size):
    for seed in range(4):
        x = ClassificationTransform(32, **NORM)(noise(*size), seed)
        assert x.shape == (3, 32, 32) and x.dtype == torch.float32 and x.isfinite().all()


def test_classification_without_changes_shows_a_part_of_the_image():
    ramp = torch.arange(200).expand(150, 200).to(torch.uint8).expand(3, -1, -1)
    transform = ClassificationTransform(32, randaugment=0, erasing=0, flip=0, **NORM)
    for seed in range(10):
        x = (transform(ramp, seed) * STD + MEAN)[0, 0]
        assert 0 <= x[0] < x[-1] <= 199 and torch.all(x.diff() > 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: segmentation((0, 5)), "crop as height and width of at least 1, got"),
        (lambda: segmentation(resize=(5,)), "resize as height and width"),
        (lambda: segmentation(scale=(2, 1)), "scale as two positive factors, least first, got"),
        (lambda: segmentation(sizes=(1, 0)), r"sizes as positive factors, got \[1, 0\]"),
        (lambda: segmentation(flip=2), r"flip in 0..1, got 2"),
        (lambda: segmentation(max_share=-1), r"max_share in 0..1, got -1"),
        (lambda: segmentation()(noise(), blocks(9, 9), 0), r"\[48, 64\] pixels, got \[9, 9\]"),
        (lambda: segmentation()(noise().float(), blocks(), 0), "got torch.float32"),
        (lambda: ClassificationTransform(0, **NORM), "size as height and width"),
        (lambda: ClassificationTransform(randaugment=31, **NORM), r"in 0..30, got 31"),
        (lambda: ClassificationTransform(area=(0, 1), **NORM), "area as two shares"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
