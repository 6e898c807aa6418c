"""Pictures of labels: the legend and the colours."""

import dataclasses

import numpy as np
from command_line import photo
from PIL import Image

from seaformer_kernels.cli.classes import Classes, Share
from seaformer_kernels.cli.drawing import draw_legend
from seaformer_kernels.cli.options import SegmentationOptions
from seaformer_kernels.data import CITYSCAPES

CLASSES = Classes(CITYSCAPES.classes, np.array(CITYSCAPES.colors, np.uint8))


def shares(count):
    return [Share(label, 1, 1 / count) for label in range(count)]


def drawn(size, count):
    """An image with a legend, and where it differs from the image without one."""
    plain = photo(*size)
    image = plain.copy()
    draw_legend(image, CLASSES, shares(count))
    return np.asarray(image), np.any(np.asarray(image) != np.asarray(plain), axis=2)


def test_legend_shows_the_colours_in_the_lower_left():
    image, changed = drawn((400, 300), 3)
    rows, columns = np.nonzero(changed)
    assert rows.min() >= 150 and columns.max() < 200
    heights = []
    for label in range(3):
        swatch = np.all(image == CLASSES.colours[label], axis=2)
        assert swatch.sum() > 50
        heights.append(np.nonzero(swatch)[0].mean())
    assert heights == sorted(heights)
    assert not np.any(np.all(image == CLASSES.colours[3], axis=2))


def test_legend_leaves_out_what_does_not_fit():
    image, changed = drawn((400, 300), 19)
    assert np.nonzero(changed)[0].min() >= 150
    shown = [np.any(np.all(image == colour, axis=2)) for colour in CLASSES.colours]
    count = sum(shown)
    assert 3 <= count < 19 and all(shown[:count])


def test_small_images_have_no_legend():
    for size in ((64, 48), (40, 1000), (1000, 25)):
        assert not drawn(size, 3)[1].any()


def test_legend_takes_names_of_any_script():
    image = Image.new("RGB", (400, 300))
    classes = Classes(("été 道路",), CLASSES.colours)
    draw_legend(image, classes, shares(1))
    assert np.asarray(image).any()


def test_colours_start_again_past_the_last_class():
    given = dict.fromkeys(field.name for field in dataclasses.fields(SegmentationOptions))
    options = SegmentationOptions(**given | {"dataset": "cityscapes", "num_classes": 21})
    colours = options.classes.colours
    np.testing.assert_array_equal(colours[19:], colours[:2])
