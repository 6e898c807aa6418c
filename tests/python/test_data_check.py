"""What is wrong with a data set is said before training begins, with how much and where."""

from __future__ import annotations

import json
import re
import warnings

import numpy as np
import pytest
import torch
from data_trees import draw_image, draw_mask, make_folder
from PIL import Image

from seaformer_kernels.data.opening import check, open_data
from seaformer_kernels.data.reading import DataError


def open_train(root):
    return open_data("folder", root, "train")


@pytest.fixture
def root(tmp_path):
    return make_folder(tmp_path / "data", split="train")


def cut(path):
    path.write_bytes(path.read_bytes()[:-40])


def no_mask(root):
    (root / "masks/train/2.png").unlink()


def no_image(root):
    (root / "images/train/1.png").unlink()


def same_name(root):
    draw_image(root / "images/train/3.jpg")


def jpeg_masks(root):
    for path in list((root / "masks/train").iterdir()):
        path.unlink()
        draw_image(path.with_suffix(".jpg"))


def empty_split(root):
    for folder in ("images", "masks"):
        for path in (root / folder / "train").iterdir():
            path.unlink()


def no_classes(root):
    (root / "classes.txt").unlink()


def empty_classes(root):
    (root / "classes.txt").write_text("\n \n")


def class_twice(root):
    (root / "classes.txt").write_text("ground\nleft\nground\n")


def too_many_classes(root):
    (root / "classes.txt").write_text("\n".join(map(str, range(256))))


def classes_of_no_text(root):
    (root / "classes.txt").write_bytes(b"\xff\xfe\xfa")


def no_masks(root):
    (root / "masks/train").rename(root / "masks/training")


def splits_of_other_names(root):
    (root / "splits.json").write_text(json.dumps({"train": ["train/0", "train/9"]}))


def splits_that_overlap(root):
    (root / "splits.json").write_text(json.dumps({"train": ["a", "b"], "val": ["b"]}))


def splits_that_are_none(root):
    (root / "splits.json").write_text("[1]")


def splits_cut_off(root):
    (root / "splits.json").write_text('{"train": [')


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (no_mask, r"Expected a mask of the same name for each image .* for 1 of 4: .*2\.png"),
        (no_image, r"Expected an image of the same name for each mask .* for 1 of 4: .*1\.png"),
        (same_name, r"Expected one file a name, got 3\.(jpg|png) and 3\.(jpg|png)"),
        (jpeg_masks, r"Expected masks as PNG files .*, got 0\.jpg, 1\.jpg, 2\.jpg and 1 more"),
        (empty_split, "Expected images with masks in .*, got none"),
        (no_classes, r"one name a line, got .*classes\.txt \(No such file"),
        (empty_classes, r"Expected names in .*classes\.txt, one a line, got none"),
        (class_twice, r"each name once in .*classes\.txt, got again: ground"),
        (too_many_classes, "Expected up to 255 classes in .*, got 256"),
        (classes_of_no_text, r"one name a line, got .*classes\.txt \("),
        (no_masks, r"Expected masks/train/ in .*, which holds classes\.txt, images, masks"),
        (splits_of_other_names, r"an image for each name in .*, got none for 1 of 2: train/9"),
        (splits_that_overlap, r"each name once in .*splits\.json, got again: b"),
        (splits_that_are_none, "Expected a list of names for each split in"),
        (splits_cut_off, "Expected JSON with the names of each split in"),
    ],
)
def test_what_is_found_on_opening(root, harm, message):
    harm(root)
    with pytest.raises(DataError, match=message):
        open_train(root)


def rgb_mask(root):
    draw_mask(root / "masks/train/1.png", 1, mode="RGB")


def deep_mask(root):
    Image.fromarray(np.zeros((6, 8), np.uint16)).save(root / "masks/train/1.png")


def deep_image(root):
    Image.fromarray(np.zeros((6, 8), np.uint16)).save(root / "images/train/1.png")


def other_size(root):
    draw_mask(root / "masks/train/1.png", 1, size=(6, 8))


def labels_out_of_range(root):
    draw_mask(root / "masks/train/1.png", 1, 3, 7, 7)
    draw_mask(root / "masks/train/2.png", 3)


def cut_image(root):
    cut(root / "images/train/2.png")


def cut_jpeg(root):
    (root / "images/train/2.png").unlink()
    cut(draw_image(root / "images/train/2.jpg", size=(80, 60)))


def cut_mask(root):
    labels = np.random.default_rng(0).integers(0, 3, 48)  # do not compress to nothing
    cut(draw_mask(root / "masks/train/2.png", *labels))


def text_for_image(root):
    (root / "images/train/0.png").write_text("not a picture")


def empty_file(root):
    (root / "images/train/0.png").write_bytes(b"")


def sideways(root):
    (root / "images/train/0.png").unlink()
    exif = Image.Exif()
    exif[0x0112] = 6
    draw_image(root / "images/train/0.jpg", exif=exif)


@pytest.mark.parametrize(
    ("harm", "message", "index"),
    [
        (rgb_mask, r"mask of one channel .*, got mode RGB in .*1\.png", 1),
        (deep_mask, r"mask of one channel .*, got mode I;16 in .*1\.png", 1),
        (deep_image, r"8 bits a channel, got mode I;16 in .*images/train/1\.png; convert", 1),
        (other_size, r"another in 1 of 4: .*masks/train/1\.png \(6x8, not 8x6\)", 1),
        (
            labels_out_of_range,
            r"among 0\.\.2, 255 for 3 classes, got 3 in 60 pixels, 7 in 24 pixels, in 2 of 4 "
            r"masks: .*1\.png, .*2\.png",
            2,
        ),
        (cut_image, r"Expected a whole image, got one that fails \(.*\): .*images/train/2\.png", 2),
        (cut_jpeg, r"Expected a whole image, .*images/train/2\.jpg", 2),
        (cut_mask, r"Expected a whole image, .*masks/train/2\.png", 2),
        (text_for_image, r"got a file of another kind: .*images/train/0\.png", 0),
        (empty_file, r"got a file of another kind: .*images/train/0\.png", 0),
        (sideways, r"upright as EXIF says, .*: .*0\.png \(8x6, not 6x8\)", 0),
    ],
)
def test_what_check_finds_and_reading_refuses(root, harm, message, index):
    check(open_train(root))
    harm(root)
    data = open_train(root)
    with pytest.raises(DataError, match=message) as found:
        check(data)
    assert "\n" not in str(found.value)
    with pytest.raises(DataError):
        data[index]


def test_all_faults_are_told_at_once(root):
    rgb_mask(root)
    cut_mask(root)
    cut_image(root)
    draw_mask(root / "masks/train/0.png", 9)
    draw_mask(root / "masks/train/3.png", 0, size=(3, 3))
    with pytest.raises(DataError) as found:
        check(open_train(root))
    unreadable, sizes, labels = str(found.value).splitlines()
    assert unreadable.startswith("Files of 2 of 4 samples cannot be used. Expected")
    assert "3.png (3x3, not 8x6)" in sizes and "9 in 48 pixels" in labels


def test_a_file_that_goes_after_opening_is_told(root):
    data = open_train(root)
    (root / "images/train/0.png").unlink()
    for sizes in (True, False):
        with pytest.raises(DataError, match=r"Expected an image file, got none at .*0\.png"):
            check(data, sizes=sizes)


def test_masks_without_a_label_are_warned_of(root):
    draw_mask(root / "masks/train/1.png", 255)
    with pytest.warns(UserWarning, match=r"No pixel counts in 1 of 4 masks: .*1\.png"):
        check(open_train(root))
    for i in range(4):
        draw_mask(root / f"masks/train/{i}.png", 255)
    with pytest.raises(DataError, match="Expected masks with labels, got none that counts"):
        check(open_train(root))


def test_a_sound_set_passes_in_silence_and_tells_how_far_it_is(root):
    seen = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check(open_train(root), workers=3, progress=lambda done, of: seen.append((done, of)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_classification_is_checked_too(tmp_path):
    for i in range(2):
        draw_image(tmp_path / f"train/cat/{i}.jpg", size=(80, 60))
    data = open_data("imagenet", tmp_path, "train")
    check(data)
    cut(tmp_path / "train/cat/1.jpg")
    with pytest.raises(DataError, match=r"Expected a whole image, .*cat/1\.jpg"):
        check(data)


def test_image_and_mask_are_turned_upright_alike(root):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    pixels = np.zeros((6, 8, 3), np.uint8)
    pixels[0, 0] = 200
    labels = np.zeros((6, 8), np.uint8)
    labels[0, 0] = 2
    Image.fromarray(pixels).save(root / "images/train/0.png", exif=exif)
    Image.fromarray(labels).save(root / "masks/train/0.png", exif=exif)
    data = open_train(root)
    check(data)
    image, mask = data[0]
    assert image.shape == (3, 8, 6) and mask.shape == (8, 6)
    assert mask[0, 5] == 2 and image[:, 0, 5].tolist() == [200] * 3
    assert mask.count_nonzero() == 1


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_modes_of_masks_that_hold_labels(root, mode):
    draw_mask(root / "masks/train/0.png", 0, mode="L")
    image = Image.fromarray(np.eye(6, 8, dtype=np.uint8))
    if mode == "1":
        image = image.point(lambda v: 255 * v).convert("1")
    elif mode == "P":
        image.putpalette([255 - i // 3 for i in range(768)])
    image.save(root / "masks/train/0.png")
    assert torch.equal(open_train(root)[0][1], torch.eye(6, 8, dtype=torch.uint8))


def test_images_of_other_modes_become_rgb(root):
    for i, mode in enumerate(("L", "RGBA", "P", "1")):
        draw_image(root / f"images/train/{i}.png", mode=mode)
    data = open_train(root)
    check(data)
    assert all(image.shape == (3, 6, 8) for image, _ in (data[i] for i in range(4)))


def test_hidden_files_are_no_samples(root):
    (root / "images/train/._0.png").write_bytes(b"x")
    (root / "masks/train/.DS_Store").write_bytes(b"x")
    assert len(open_train(root)) == 4
    assert re.fullmatch(r"\d", open_train(root).samples[0].name)
