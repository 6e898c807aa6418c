"""COCO's format: what is read, and that what is broken is refused with a sentence."""

from __future__ import annotations

import copy
import json
import random
import re
import warnings

import pytest
import torch

pytest.importorskip("PIL")
pytest.importorskip("kornia")

from detection_scenes import CLASSES, SIDE, Scenes, annotations, objects_of, write_scenes

from seaformer_kernels.data.coco import read_coco
from seaformer_kernels.data.opening import check, open_data
from seaformer_kernels.data.reading import DataError
from seaformer_kernels.data.transforms import DetectionTransform

MEAN, STD = (128.0, 128.0, 128.0), (64.0, 64.0, 64.0)


@pytest.fixture
def root(tmp_path):
    return write_scenes(tmp_path, train=2)


def read(root, content):
    file = root / "some.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_coco(file, root / "images/train")


def test_a_folder_is_read(root):
    data = open_data("coco", root, "train")
    check(data)
    assert (data.classes, data.category_ids, data.task) == (CLASSES, (7, 30), "detection")
    expected = Scenes(2)
    for i in range(2):
        image, objects = data[i]
        wanted_image, wanted = expected[i]
        assert torch.equal(image, wanted_image)
        for one, other in zip(objects, wanted, strict=True):
            assert one == other if isinstance(one, int) else torch.equal(one, other)


@pytest.mark.parametrize(
    ("file", "folder"),
    [
        ("annotations/instances_train2017.json", "train2017"),
        ("annotations/instances_train.json", "images/train2017"),
        ("train.json", "images"),
        ("train/_annotations.coco.json", "train"),
    ],
)
def test_where_tools_put_it(root, tmp_path, file, folder):
    other = tmp_path / "other"
    (other / file).parent.mkdir(parents=True)
    (root / "annotations/train.json").rename(other / file)
    (other / folder).mkdir(parents=True, exist_ok=True)
    for image in (root / "images/train").iterdir():
        image.rename(other / folder / image.name)
    assert len(open_data("coco", other, "train")) == 2


def test_classes_are_in_the_order_of_their_ids(root):
    content = annotations()
    content["categories"].reverse()
    data = read(root, content)
    assert data.classes == CLASSES
    assert data.objects[0].classes.tolist() == [0, 1]


def test_boxes_are_cut_and_those_without_area_left_out(root):
    content = annotations()
    boxes = content["annotations"]
    boxes[0]["bbox"] = [-10, 5, 1000, 20.5]
    boxes[1]["bbox"] = [SIDE, 0, 5, 5]
    boxes[2]["bbox"] = [3, 3, -2, 5]
    boxes[3]["bbox"] = [3, 3, 1e-9, 5]
    with pytest.warns(UserWarning, match=r"3 of 4 boxes in .* have no area"):
        data = read(root, content)
    assert data.dropped == 3
    assert data.objects[0].boxes.tolist() == [[0, 5, SIDE, 25.5]]
    assert data.objects[1].boxes.shape == (0, 4)


def test_what_may_be_missing(root):
    content = annotations()
    for entry in content["annotations"]:
        del entry["area"], entry["iscrowd"], entry["id"]
    content["annotations"][1]["iscrowd"] = True
    first = read(root, content).objects[0]
    assert first.crowd.tolist() == [False, True]
    torch.testing.assert_close(first.areas, (first.boxes[:, 2:] - first.boxes[:, :2]).prod(1))


def put(*path_and_value):
    *path, last, value = path_and_value

    def change(content):
        for key in path:
            content = content[key]
        if value is KeyError:
            del content[last]
        else:
            content[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("images", KeyError), "expected images, got annotations, categories"),
        (put("annotations", {}), "annotations: expected a list, got {}"),
        (put("categories", []), "categories: expected at least one"),
        (put("images", []), "images: expected at least one"),
        (put("images", 0, 3), r"images\[0\]: expected an object, got 3"),
        (put("images", 1, "id", 1), r"images\[1\].id: expected each id once, got 1"),
        (put("images", 1, "id", "1"), r"images\[1\].id: expected an integer, got '1'"),
        (put("images", 1, "id", 1 << 60), r"images\[1\].id: expected an integer up to"),
        (put("images", 0, "width", KeyError), r"images\[0\]: the key 'width' is missing"),
        (put("images", 0, "height", 0), r"images\[0\].height: expected an integer 1\.\."),
        (put("images", 0, "file_name", "../x.png"), "expected a path below the folder of images"),
        (put("images", 0, "file_name", "/etc/x.png"), "expected a path below the folder of images"),
        (put("images", 0, "file_name", ""), "expected the name of a file"),
        (put("images", 0, "file_name", "0002.jpg"), "expected each name once"),
        (put("images", 0, "file_name", "gone.png"), r"got none for 1 of 2: .*gone\.png"),
        (put("categories", 0, "name", "\x1b[2J"), "expected a printable name"),
        (put("categories", 1, "id", 7), r"categories\[1\].id: expected each id once"),
        (put("annotations", 0, "bbox", KeyError), r"annotations\[0\]: the key 'bbox' is missing"),
        (put("annotations", 0, "bbox", [1, 2, 3]), "expected left, top, width and height"),
        (put("annotations", 0, "bbox", [1, 2, 3, "4"]), "expected left, top, width and height"),
        (put("annotations", 0, "bbox", [1, 2, 3, True]), "expected left, top, width and height"),
        (put("annotations", 0, "bbox", [1, 2, 3, 10**400]), "expected left, top, width and height"),
        (put("annotations", 0, "bbox", [1, 2, 3, float("nan")]), "NaN is not a number"),
        (put("annotations", 0, "image_id", 99), "expected the id of one of images, got 99"),
        (put("annotations", 0, "category_id", 8), "expected the id of one of categories, got 8"),
        (put("annotations", 0, "area", -1), "expected a number from 0 up, got -1"),
        (put("annotations", 0, "iscrowd", 2), "expected 0 or 1, got 2"),
    ],
)
def test_what_is_wrong_is_told(root, change, message):
    content = annotations()
    change(content)
    with pytest.raises(DataError, match=message):
        read(root, content)


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, '{"images": 1e999}', "\ud800"])
def test_what_is_no_such_file(root, text):
    file = root / "some.json"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(DataError, match=re.escape(str(file))):
        read_coco(file, root)
    with pytest.raises(DataError, match="cannot be read"):
        read_coco(root, root)


def test_any_change_of_a_file_is_read_or_refused(root):
    draws = random.Random(0)
    values = [None, True, -1, 0, 1e300, "", "x", [], {}, [1], {"id": 1}, 10**30, KeyError]
    for _ in range(400):
        content = copy.deepcopy(annotations())
        for _ in range(draws.randint(1, 3)):
            at = content
            while True:
                keys = list(at) if isinstance(at, dict) else list(range(len(at)))
                if not keys:
                    break
                key = draws.choice(keys)
                if isinstance(at[key], dict | list) and draws.random() < 0.8:
                    at = at[key]
                    continue
                put(key, draws.choice(values))(at)
                break
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                data = read(root, content)
            except DataError as error:
                assert len(str(error)) < 500
                continue
        for objects, (width, height) in zip(data.objects, data.sizes, strict=True):
            most = torch.tensor([width, height, width, height])
            assert ((objects.boxes >= 0) & (objects.boxes <= most)).all()
            assert (objects.boxes[:, 2:] > objects.boxes[:, :2]).all()


def test_check_looks_at_images(root):
    content = annotations()
    content["images"][1]["width"] = SIDE + 1
    (root / "annotations/train.json").write_text(json.dumps(content))
    data = open_data("coco", root, "train")
    with pytest.raises(DataError, match=r"annotations of their images' size.* in 1 of 2: .*0002"):
        check(data)
    with pytest.raises(DataError, match=f"Expected an image of {SIDE + 1}x{SIDE}"):
        data[1]
    content["annotations"] = []
    (root / "annotations/train.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="Expected boxes in the data set, got none"):
        check(open_data("coco", root, "train"))


def transform(size=(64, 64), **changes):
    given = {"flip": 0.0, "distort": False, "most": 3, "mean": MEAN, "std": STD}
    return DetectionTransform(size, **{**given, **changes})


def test_boxes_stay_with_what_they_are_of():
    # The pixels of a box are white, all others black: whatever is done, it can be seen.
    image = torch.zeros(3, 60, 80, dtype=torch.uint8)
    image[:, 20:45, 10:50] = 255
    objects = objects_of([(10, 20, 50, 45)], [1])
    for seed in range(60):
        augment = transform((96, 64), scale=(0.5, 2.0), flip=0.5, keep_ratio=bool(seed % 2))
        x, target = augment(image, objects, seed)
        assert x.shape == (3, 96, 64)
        white = (x[0] > 1).nonzero()
        if (target[:, 4] < 0).all():
            continue
        left, top, right, bottom, label = target[0].tolist()
        assert label == 1
        low, high = white.amin(0).tolist(), (white.amax(0) + 1).tolist()
        found = torch.tensor([left, top, right, bottom])
        torch.testing.assert_close(
            found, torch.tensor([low[1], low[0], high[1], high[0]]).float(), atol=1.6, rtol=0
        )


def test_crowds_and_what_is_mostly_outside_are_not_shown():
    image = torch.zeros(3, 64, 64, dtype=torch.uint8)
    objects = objects_of([(0, 0, 9, 9), (5, 5, 60, 60)], [0, 1], crowd=[True, False])
    _, target = transform()(image, objects, 0)
    assert target[0].tolist() == [5, 5, 60, 60, 1]
    assert (target[1:] == -1).all()
    corner = objects_of([(0, 0, 8, 8)], [0])
    shown = [transform(scale=(4, 4))(image, corner, seed)[1][0, 4].item() for seed in range(30)]
    assert -1 in shown


def test_a_mosaic_shows_four_images():
    data = Scenes(5)
    augment = transform((128, 128), mosaic=1.0, data=data, most=data.most_objects)
    x, target = augment(*data[0], 3)
    assert x.shape == (3, 128, 128)
    assert target.shape == (8, 5)
    assert (target[:, 4] >= 0).sum() == 8
    quarters = {(b[0] >= 64, b[1] >= 64) for b in target.tolist()}
    assert len(quarters) == 4
    assert torch.equal(x, augment(*data[0], 3)[0])
    with pytest.raises(ValueError, match="Expected data for a mosaic"):
        transform(mosaic=0.5)
