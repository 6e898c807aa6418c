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
from data_trees import HEIGHT, WIDTH, draw_image, draw_mask, make_folder, values_mask
from torch.utils.data import DataLoader

from seaformer_kernels.data import DATASETS
from seaformer_kernels.data.layouts import LAYOUTS
from seaformer_kernels.data.opening import LAYOUT_NAMES, check, open_data
from seaformer_kernels.data.reading import DataError, read_mask


def ade20k(root, split, values):
    part = {"train": "training", "val": "validation"}[split]
    draw_image(root / f"ADEChallengeData2016/images/{part}/ADE_{split}_1.jpg")
    draw_mask(root / f"ADEChallengeData2016/annotations/{part}/ADE_{split}_1.png", *values)
    return f"ADE_{split}_1"


def cityscapes(root, split, values, tail="labelIds"):
    name = "ulm/ulm_000000_000019"
    draw_image(root / f"leftImg8bit/{split}/{name}_leftImg8bit.png")
    draw_mask(root / f"gtFine/{split}/{name}_gtFine_{tail}.png", *values)
    draw_image(root / f"gtFine/{split}/{name}_gtFine_color.png")
    return name


def cityscapes_train_ids(root, split, values):
    cityscapes(root, split, [200])  # is not looked at
    return cityscapes(root, split, values, "labelTrainIds")


def camvid(root, split, values):
    draw_image(root / f"images/{split}/0001TP_006690.jpg")
    draw_mask(root / f"labels/{split}/0001TP_006690.png", *values)
    return "0001TP_006690"


def camvid_segnet(root, split, values):
    draw_image(root / f"CamVid/{split}/0001TP_006690.png")
    draw_mask(root / f"CamVid/{split}annot/0001TP_006690.png", *values)
    (root / f"CamVid/{split}.txt").write_text("/SegNet/CamVid/a.png /SegNet/CamVid/b.png\n")
    return "0001TP_006690"


def people(root, split, values):
    for name in ("0001", "0002"):
        draw_image(root / f"images/{name}.jpg")
        draw_mask(root / f"labels8/{name}.png", *values)
    others = [s for s in ("train", "val", "test") if s != split]
    splits = {split: ["0002"], others[0]: ["0001"]}
    (root / "splits.json").write_text(json.dumps(splits))
    return "0002"


def pascal_context(root, split, values):
    base = root / "VOCdevkit/VOC2010"
    for name in ("2008_000002", "2008_000003", "2008_000004"):
        draw_image(base / f"JPEGImages/{name}.jpg")
    draw_mask(base / "SegmentationClassContext/2008_000003.png", *values, mode="P")
    listed = base / f"ImageSets/SegmentationContext/{split}.txt"
    listed.parent.mkdir(parents=True, exist_ok=True)
    listed.write_text("2008_000003\n")
    return "2008_000003"


def coco_stuff(root, split, values):
    draw_image(root / f"images/{split}2017/000000000009.jpg")
    draw_mask(root / f"annotations/{split}2017/000000000009.png", *values)
    (root / f"annotations/instances_{split}2017.json").write_text("{}")
    return "000000000009"


def coco_stuff_maps(root, split, values):
    draw_image(root / f"{split}2017/000000000009.jpg", mode="L")
    draw_mask(root / f"stuffthingmaps/{split}2017/000000000009.png", *values)
    return "000000000009"


def coco_stuff_train_ids(root, split, values):
    coco_stuff(root, split, [11])
    draw_mask(root / f"annotations/{split}2017/000000000009{'_labelTrainIds'}.png", *values)
    return "000000000009"


def coco_stuff10k(root, split, values):
    part = {"train": "train2014", "val": "test2014", "test": "test2014"}[split]
    draw_image(root / f"images/{part}/COCO_1.jpg")
    draw_mask(root / f"annotations/{part}/COCO_1.png", *values)
    return "COCO_1"


def coco_stuff10k_train_ids(root, split, values):
    coco_stuff10k(root, split, [12])
    part = {"train": "train2014", "val": "test2014", "test": "test2014"}[split]
    draw_mask(root / f"annotations/{part}/COCO_1_labelTrainIds.png", *values)
    return "COCO_1"


def coco_stuff10k_first_release(root, split, values):
    from scipy.io import savemat

    draw_image(root / "images/COCO_1.jpg")
    draw_image(root / "images/COCO_2.jpg")
    (root / "annotations").mkdir()
    savemat(root / "annotations/COCO_1.mat", {"S": values_mask(*values), "names": ["person"]})
    savemat(root / "annotations/COCO_2.mat", {"S": values_mask(200)})
    (root / "imageLists").mkdir()
    (root / f"imageLists/{'train' if split == 'train' else 'test'}.txt").write_text("COCO_1\n")
    return "COCO_1"


CITYSCAPES_34 = {
    0: 255,
    4: 255,
    7: 0,
    8: 1,
    14: 255,
    17: 5,
    23: 10,
    28: 15,
    29: 255,
    33: 18,
    255: 255,
}
# By the names of COCO's ids: person, traffic light, street sign (unused), stop sign, toothbrush.
COCO = {1: 0, 10: 9, 11: 10, 13: 11, 90: 79, 92: 80, 182: 170}
CASES = [
    ("ade20k", ade20k, {0: 255, 1: 0, 2: 1, 150: 149, 255: 255}, 151),
    ("cityscapes", cityscapes, CITYSCAPES_34, 34),
    ("cityscapes", cityscapes_train_ids, {0: 0, 18: 18, 255: 255}, 19),
    ("camvid", camvid, {0: 0, 10: 10, 11: 255}, 12),
    ("camvid", camvid_segnet, {0: 0, 10: 10, 11: 255}, 12),
    ("people", people, {0: 0, 7: 7}, 8),
    ("pascal_context_59", pascal_context, {0: 255, 1: 0, 59: 58}, 60),
    ("pascal_context_60", pascal_context, {0: 0, 59: 59, 255: 255}, 60),
    ("coco_stuff", coco_stuff, {**{k - 1: v for k, v in COCO.items()}, 255: 255}, 11),
    ("coco_stuff", coco_stuff_maps, {**{k - 1: v for k, v in COCO.items()}, 255: 255}, 90),
    ("coco_stuff", coco_stuff_train_ids, {0: 0, 170: 170, 255: 255}, 171),
    ("coco_stuff10k", coco_stuff10k, {0: 255, **COCO}, 12),
    ("coco_stuff10k", coco_stuff10k_train_ids, {0: 0, 170: 170, 255: 255}, 171),
    ("coco_stuff10k", coco_stuff10k_first_release, {0: 255, **COCO}, 183),
]


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


def imagenet(root, split, classes=("n01", "n02")):
    for name in classes:
        for i in range(2):
            draw_image(root / split / name / f"{name}_{i}.JPEG", format="JPEG")
    return root


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
