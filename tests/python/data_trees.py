"""Small made-up data sets, as they lie on disk.

A function of a layout writes one image of a split, whose mask repeats the values; gives its name.
"""

from __future__ import annotations

import json

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 6, 8


def draw_image(path, size=None, mode="RGB", **save):
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = size or (WIDTH, HEIGHT)
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path, **save)
    return path


def values_mask(*values, size=None):
    """A mask in which these values follow each other."""
    return np.resize(np.array(values, dtype=np.uint8), (size or (WIDTH, HEIGHT))[::-1])


def draw_mask(path, *values, size=None, mode="L"):
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


def imagenet(root, split, classes=("n01", "n02")):
    for name in classes:
        for i in range(2):
            draw_image(root / split / name / f"{name}_{i}.JPEG", format="JPEG")
    return root


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
# Name of the data set, layout, what values of the masks are labels, a value that is none.
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
