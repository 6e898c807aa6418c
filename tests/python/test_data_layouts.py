"""Data sets in the layouts that people have on disk."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import torch
from data_trees import (
    CASES,
    HEIGHT,
    WIDTH,
    coco_stuff10k_first_release,
    draw_image,
    imagenet,
    make_folder,
    values_mask,
)
from torch.utils.data import DataLoader

from seaformer_kernels.data import DATASETS
from seaformer_kernels.data.layouts import LAYOUTS
from seaformer_kernels.data.opening import LAYOUT_NAMES, check, open_data
from seaformer_kernels.data.reading import DataError, read_mask


@pytest.mark.parametrize(("name", "make", "labels", "wrong"), CASES)
def test_a_layout_is_read_where_it_lies(tmp_path, name, make, labels, wrong):
    if make is coco_stuff10k_first_release:
        pytest.importorskip("scipy")
    for split in LAYOUTS[name].splits:
        root = tmp_path / split
        root.mkdir()
        expected = make(root, split, list(labels))
        data = open_data(name, root, split)
        check(data)
        assert [sample.name for sample in data.samples] == [expected]
        facts = DATASETS["coco_stuff" if name == "coco_stuff10k" else name]
        assert data.facts == facts
        image, mask = data[0]
        assert image.dtype == torch.uint8 and image.shape == (3, HEIGHT, WIDTH)
        assert mask.dtype == torch.uint8 and mask.shape == (HEIGHT, WIDTH)
        assert torch.equal(mask, torch.from_numpy(values_mask(*labels.values())))

    make(tmp_path / "wrong", "train", [*labels, wrong])
    data = open_data(name, tmp_path / "wrong", "train")
    with pytest.raises(DataError, match=f"{wrong} in "):
        check(data)
    with pytest.raises(DataError, match=rf"got \[{wrong}\]"):
        data[0]


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_class_has_one_value(tmp_path, name):
    make, values = next((make, labels) for of, make, labels, _ in CASES if of == name)
    make(tmp_path, "train", list(values))
    data = open_data(name, tmp_path, "train")
    counted = sorted(label for label in data.labels.values() if label != 255)
    assert counted == list(range(len(data.facts.classes)))


def test_every_published_data_set_can_be_opened():
    assert set(DATASETS) <= set(LAYOUT_NAMES)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_wrong_root_is_told_with_what_is_looked_for(tmp_path, name):
    (tmp_path / "holiday").mkdir()
    with pytest.raises(DataError, match=r"Expected .*/.* in .*, which holds holiday\."):
        open_data(name, tmp_path, "train")
    with pytest.raises(DataError, match=r"Expected a folder of data, got .*nowhere"):
        open_data(name, tmp_path / "nowhere", "train")


def test_unknown_names_and_splits():
    with pytest.raises(DataError, match=r"Expected a data set among ade20k, .*, got 'ade'"):
        open_data("ade", "data", "train")
    with pytest.raises(DataError, match="among train, val, those of ade20k that have labels, got"):
        open_data("ade20k", "data", "test")
    with pytest.raises(DataError, match="no list of classes for ade20k"):
        open_data("ade20k", "data", "train", "classes.txt")


def test_imagenet(tmp_path):
    imagenet(tmp_path, "train")
    imagenet(tmp_path, "val")
    data = open_data("imagenet", tmp_path, "val")
    check(data)
    assert data.classes == ("n01", "n02") and len(data) == 4
    assert [sample.name for sample in data.samples][:2] == ["n01/n01_0", "n01/n01_1"]
    image, label = data[3]
    assert image.dtype == torch.uint8 and image.shape == (3, HEIGHT, WIDTH) and label == 1
    (tmp_path / "order.txt").write_text("n02\nn01\n")
    assert open_data("imagenet", tmp_path, "val", tmp_path / "order.txt").classes == ("n02", "n01")


def test_imagenet_whose_classes_differ(tmp_path):
    imagenet(tmp_path, "train")
    imagenet(tmp_path, "val", ("n01", "n03"))
    with pytest.raises(DataError, match=r"the 2 classes of .*train, got 2; .* has n02, n03"):
        open_data("imagenet", tmp_path, "val")
    draw_image(tmp_path / "test/ILSVRC2012_test_00000001.JPEG")
    with pytest.raises(DataError, match="files only; sort them into such"):
        open_data("imagenet", tmp_path, "test")
    (tmp_path / "train/n00").mkdir()
    with pytest.raises(DataError, match=r"Expected images in .*n00, got none"):
        open_data("imagenet", tmp_path, "train")


def test_folders_with_splits_in_three_ways(tmp_path):
    inside = make_folder(tmp_path / "inside", split="train")
    make_folder(inside, 2, split="val")
    outside = tmp_path / "outside"
    for part, count in (("train", 4), ("val", 2)):
        make_folder(outside / part, count)
    (outside / "classes.txt").write_text("ground\nleft\nright\n")
    listed = make_folder(tmp_path / "listed", 6)
    splits = {"train": ["0", "1", "2", "3"], "val": ["5", "4"]}
    (listed / "splits.json").write_text(json.dumps(splits))
    for root in (inside, outside, listed):
        assert len(open_data("folder", root, "train")) == 4
        data = open_data("folder", root, "val")
        check(data)
        assert len(data) == 2 and data.facts.classes == ("ground", "left", "right")
        assert data[1][1].unique().tolist() == [0, 1, 2, 255]
        with pytest.raises(DataError, match="test"):
            open_data("folder", root, "test")
    assert [sample.name for sample in data.samples] == ["5", "4"]


def test_linked_folders_are_looked_through(tmp_path):
    elsewhere = make_folder(tmp_path / "elsewhere", split="train")
    for kind in "images", "masks":
        linked = tmp_path / "data" / kind / "train"
        linked.mkdir(parents=True)
        (linked / "part").symlink_to(elsewhere / kind / "train", target_is_directory=True)
        (linked / "again").symlink_to(linked, target_is_directory=True)  # has no end
    (elsewhere / "classes.txt").rename(tmp_path / "data/classes.txt")
    data = open_data("folder", tmp_path / "data", "train")
    assert [sample.name for sample in data.samples] == [f"part/{i}" for i in range(4)]


def test_a_folder_without_splits_is_taken_whole_with_a_warning(tmp_path):
    make_folder(tmp_path, 3)
    names = tmp_path / "names.txt"
    names.write_text("a\nb\nc\nd\n")
    with pytest.warns(
        UserWarning, match=r"no folders images/val .* all 3 images are taken for val"
    ):
        data = open_data("folder", str(tmp_path), "val", str(names))
    assert len(data) == 3 and data.facts.classes == ("a", "b", "c", "d")
    assert len(set(data.facts.colors)) == 4


def test_workers_read_the_same(tmp_path):
    data = open_data("folder", make_folder(tmp_path, split="train"), "train")
    loaded = list(DataLoader(data, batch_size=2, num_workers=0))
    assert torch.equal(loaded[0][0][1], data[1][0]) and loaded[0][1].dtype == torch.uint8


@pytest.mark.children
def test_facts_need_neither_pillow_nor_kornia():
    code = (
        "import sys, seaformer_kernels as sk; sk.data.DATASETS['ade20k'];"
        "print([m for m in ('PIL', 'kornia', 'scipy') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"


def png_of_bits(labels: np.ndarray, bits: int) -> bytes:
    """A greyscale PNG of few bits a pixel, which Pillow does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = b""
    for row in labels.tolist():
        digits = "".join(f"{label:0{bits}b}" for label in row)
        digits += "0" * (-len(digits) % 8)
        rows += b"\0" + int(digits, 2).to_bytes(len(digits) // 8, "big")
    header = struct.pack(">IIBBBBB", *labels.shape[::-1], bits, 0, 0, 0, 0)
    image = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + image


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_masks_of_few_bits_hold_labels_as_they_are(tmp_path, bits):
    labels = np.arange(35).reshape(5, 7) % (1 << bits)
    (tmp_path / "mask.png").write_bytes(png_of_bits(labels, bits))
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), labels)
