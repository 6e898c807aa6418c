"""Running the command line in tests, and what it works on."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch

pytest.importorskip("click")
pytest.importorskip("rich")
pytest.importorskip("PIL")

from click.testing import CliRunner
from PIL import Image

import seaformer_kernels as sk
from seaformer_kernels.cli.commands import seaformer
from seaformer_kernels.data import IMAGENET_MEAN, IMAGENET_STD

MODEL = "seaformer_tiny"

create_model, optimize = sk.create_model, sk.optimize  # tests put others in their place
create_model_once, optimize_once = map(functools.cache, (create_model, optimize))


def run(*args, **env):
    result = CliRunner().invoke(seaformer, [str(arg) for arg in args], env=env)
    # Anything but a chosen exit would be a traceback for the user.
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def segment(*args, **env):
    return run("segment", "--model", MODEL, "--out", "out", *args, **env)


def photo(width=64, height=48, seed=0):
    """Smooth blobs, so that neighbouring pixels have reason to share a label."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def make_model(classes=150, seed=0, name=MODEL, task="segmentation"):
    torch.manual_seed(seed)
    return create_model(name, task, classes)


def pixels(image, resize=None):
    scaled = image.resize(resize, Image.Resampling.BILINEAR) if resize else image
    return torch.tensor(np.asarray(scaled)).permute(2, 0, 1)[None]


def expected_labels(image, model, resize=None, **precision):
    fast = optimize(model, mean=IMAGENET_MEAN, std=IMAGENET_STD, **precision)
    return fast.predict(pixels(image, resize), size=image.size[::-1])[0].numpy()


def normalised(image):
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (pixels(image) - mean) / std


def labels_in(path):
    with Image.open(path) as image:
        return np.asarray(image)


def files_in(folder):
    return sorted(path.name for path in folder.iterdir())
