"""Small made-up data sets, as they lie on disk."""

from __future__ import annotations

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 6, 8


def draw_image(path, size=(WIDTH, HEIGHT), mode="RGB", **save):
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = size
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path, **save)
    return path


def values_mask(*values, size=(WIDTH, HEIGHT)):
    """A mask in which these values follow each other."""
    return np.resize(np.array(values, dtype=np.uint8), size[::-1])


def draw_mask(path, *values, size=(WIDTH, HEIGHT), mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values_mask(*values, size=size))
    if mode == "P":
        image.putpalette([i // 3 for i in range(768)])
    image.save(path) if mode in "LP" else image.convert(mode).save(path)
    return path


def make_folder(root, count=4, classes=("ground", "left", "right"), split=None):
    """images/ and masks/ with a list of classes."""
    (root / "classes.txt").parent.mkdir(parents=True, exist_ok=True)
    (root / "classes.txt").write_text("\n".join(classes) + "\n")
    for i in range(count):
        draw_image(root / "images" / (split or "") / f"{i}.png")
        draw_mask(root / "masks" / (split or "") / f"{i}.png", *range(len(classes)), 255)
    return root
