"""Facts of data sets."""

import pytest

from seaformer_kernels import data

COUNTS = {
    "ade20k": 150,
    "cityscapes": 19,
    "camvid": 11,
    "people": 8,
    "pascal_context_59": 59,
    "pascal_context_60": 60,
    "coco_stuff": 171,
}


@pytest.mark.parametrize("name", data.DATASETS)
def test_each_class_has_a_name_and_a_colour(name):
    found = data.DATASETS[name]
    assert found.name == name
    assert len(found.classes) == len(set(found.classes)) == len(found.colors) == COUNTS[name]
    same = 1 if name == "ade20k" else 0  # road and skyscraper are both grey
    assert len(set(found.colors)) == COUNTS[name] - same
    assert all(len(color) == 3 and set(color) <= set(range(256)) for color in found.colors)
    assert all(class_ == class_.strip() and class_ for class_ in found.classes)
    assert found.ignore_label >= COUNTS[name]


KNOWN = {
    "ade20k": {
        "wall": (0, (120, 120, 120)),
        "sky": (2, (6, 230, 230)),
        "person": (12, (150, 5, 61)),
        "skyscraper": (48, (140, 140, 140)),
        "bulletin board": (144, (184, 255, 0)),
        "flag": (149, (92, 0, 255)),
    },
    "cityscapes": {
        "road": (0, (128, 64, 128)),
        "sky": (10, (70, 130, 180)),
        "bicycle": (18, (119, 11, 32)),
    },
    "camvid": {"sky": (0, (128, 128, 128)), "bicyclist": (10, (0, 128, 192))},
    # Pascal VOC's colours: its person is label 15.
    "pascal_context_60": {"background": (0, (0, 0, 0)), "chair": (17, (128, 64, 0))},
    "pascal_context_59": {"aeroplane": (0, (128, 0, 0)), "cow": (19, (0, 64, 128))},
    "coco_stuff": {"toothbrush": (79, None), "banner": (80, None), "wood": (170, None)},
}


@pytest.mark.parametrize("name", KNOWN)
def test_published_entries(name):
    found = data.DATASETS[name]
    for class_, (label, color) in KNOWN[name].items():
        assert found.classes[label] == class_
        assert color is None or found.colors[label] == color
