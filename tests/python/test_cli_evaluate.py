"""`seaformer evaluate`."""

import json

import numpy as np
import pytest
import torch
from command_line import MODEL, make_model, photo, run
from PIL import Image

from seaformer_kernels.data.opening import open_data
from seaformer_kernels.evaluate import SegmentationResult, evaluate_classification
from seaformer_kernels.evaluate.segmentation import evaluate_segmentation

pytestmark = pytest.mark.usefixtures("in_tmp_path", "one_thread")

NAMES = ["sky", "sea", "[b]sand"]
SIZES = [(64, 64), (80, 45), (64, 64)]


@pytest.fixture
def beach(tmp_path):
    """A folder with images, masks and weights; what to evaluate it with."""
    for folder in "images", "masks":
        (tmp_path / "data" / folder).mkdir(parents=True)
    for i, size in enumerate(SIZES):
        photo(*size, seed=i).save(tmp_path / f"data/images/photo{i}.png")
        mask = np.asarray(photo(*size, seed=i + 9))[..., 0] // 86
        mask[:2] = 255
        Image.fromarray(mask).save(tmp_path / f"data/masks/photo{i}.png")
    (tmp_path / "names.txt").write_text("\n".join(NAMES))
    torch.save(make_model(3).state_dict(), tmp_path / "weights.pth")
    return ("--data", "data", "--classes", "names.txt", "--weights", "weights.pth")


def evaluate(*args):
    return run("evaluate", "--model", MODEL, *args)


def expected(**how) -> SegmentationResult:
    data = open_data("folder", "data", "val", "names.txt")
    return evaluate_segmentation(make_model(3), data, progress=False, **how)


def found(result) -> dict:
    assert result.exit_code == 0, result.output
    with open("found.json") as file:
        return json.load(file)


def test_engines_and_files(beach):
    pytest.importorskip("matplotlib")
    files = ("--confusion", "c.png", "--worst", "w.png", "--overlays", "o.jpg")
    result = evaluate(
        *beach, "--engine", "plain", "--engine", "fused", "--json", "found.json", *files
    )
    content = found(result)
    truth = expected()
    plain, fused = content["engines"]["plain"], content["engines"]["fused"]
    assert plain["confusion"] == truth.confusion.tolist()
    assert plain["miou"] == pytest.approx(truth.miou)
    assert [c["name"] for c in plain["classes"]] == NAMES
    assert plain["labels_unlike_first"] == 0
    assert fused["labels_unlike_first"] <= 20
    assert content["labels"] == sum(width * height for width, height in SIZES)
    assert [image["image"] for image in content["images"]] == ["photo0", "photo1", "photo2"]
    assert content["classes"] == NAMES and content["failed"] == []
    first, second, *classes = result.stdout.splitlines()
    labels = f"{content['labels']:,}"
    assert first.startswith(f"plain: mIoU {100 * truth.miou:.2f}, pixel accuracy ")
    assert first.endswith(f"labels unlike plain 0 of {labels}")
    assert second.startswith("fused: mIoU ")
    assert [line.partition(":")[0] for line in classes] == NAMES
    for name in "c.png", "w.png", "o.jpg":
        with Image.open(name) as image:
            image.load()


def test_views(beach):
    from seaformer_kernels.evaluate import InputSize, SlidingWindow

    views = (
        "--resize",
        "96x64",
        "--crop",
        "64",
        "--stride",
        "32x40",
        "--flip",
        "--scales",
        "1,1.5",
    )
    content = found(evaluate(*beach, *views, "--json", "found.json", "--engine", "plain"))
    assert content["sizes and views"] == {
        "input": {
            **{"exact": [64, 96], "short_side": None, "long_side": None},
            **{"scale": 1.0, "divisor": 1},
        },
        "window": {"crop": [64, 64], "stride": [40, 32]},
        "flip": True,
        "scales": [1.0, 1.5],
    }
    truth = expected(
        input_size=InputSize(exact=(64, 96)),
        sliding_window=SlidingWindow((64, 64), (40, 32)),
        flip=True,
        scales=(1, 1.5),
    )
    assert content["engines"]["plain"]["confusion"] == truth.confusion.tolist()


def test_classes_that_are_nowhere_are_told_as_such(beach):
    for i, size in enumerate(SIZES):
        Image.new("L", size, 255).save(f"data/masks/photo{i}.png")
    result = evaluate(*beach, "--json", "found.json", "--worst", "w.png")
    assert "w.png is not drawn: all pixels are ignored" in result.stderr
    content = found(result)["engines"]["fused"]
    assert content["miou"] is None and content["classes"][0]["iou"] is None
    assert result.stdout.startswith("fused: mIoU -, pixel accuracy -, mean accuracy -")


def test_a_failed_image(beach):
    with open("data/images/photo1.png", "wb") as file:
        file.write(b"no image")
    result = evaluate(*beach, "--json", "found.json", "--state", "state.json")
    assert result.exit_code == 1
    assert "1 of 3 images failed:\nphoto1: " in result.stderr
    with open("found.json") as file:
        content = json.load(file)
    assert [failed["image"] for failed in content["failed"]] == ["photo1"]
    assert len(content["images"]) == 2
    photo(*SIZES[1], seed=1).save("data/images/photo1.png")
    again = evaluate(*beach, "--json", "found.json", "--state", "state.json", "--overwrite")
    assert found(again)["engines"]["fused"]["confusion"] == expected().confusion.tolist()


def test_a_state_of_other_options(beach):
    assert evaluate(*beach, "--state", "state.json").exit_code == 0
    result = evaluate(*beach, "--state", "state.json", "--flip")
    assert result.exit_code == 1
    assert "state.json, which is of one with other sizes and views." in result.stderr


def test_classification(tmp_path):
    for name in "cat", "dog":
        (tmp_path / "data/val" / name).mkdir(parents=True)
        for i in range(2):
            photo(300, 280, seed=ord(name[0]) + i).save(tmp_path / f"data/val/{name}/{i}.jpg")
    torch.save(make_model(2, task="classification").state_dict(), "weights.pth")
    arguments = ("--task", "classification", "--data", "data", "--weights", "weights.pth")
    content = found(evaluate(*arguments, "--json", "found.json", "--engine", "plain"))
    data = open_data("imagenet", "data", "val")
    truth = evaluate_classification(make_model(2, task="classification"), data, progress=False)
    assert content["engines"]["plain"]["top1"] == truth.top1
    assert content["engines"]["plain"]["top5"] == 1
    assert content["task"] == "classification" and content["labels"] == 4
    for option in ("--flip",), ("--confusion", "c.png"), ("--scales", "2"):
        result = evaluate(*arguments, *option)
        assert result.exit_code == 2
        assert f"{option[0]} is for segmentation, got classification" in result.stderr
    result = evaluate(*arguments, "--crop", "64x96")
    assert result.exit_code == 2 and "square in classification, got 64x96" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--stride", "64"), "--stride is of windows, whose size --crop says"),
        (("--crop", "64", "--stride", "96"), "left out, got (96, 96)"),
        (("--resize", "64", "--short-side", "64"), "got both"),
        (("--scales", "1,x"), "expected factors up to 16, such as 0.75,1,1.25, got '1,x'"),
        (("--scales", "0"), "expected factors"),
        (("--task", "classification", "--dataset", "folder"), "expected data for it, got folder"),
        (("--confusion", "c.txt"), "expected a .png, .svg or .pdf, got c.txt"),
        (("--worst", "w.svg"), "sheet as .png or .jpg, got w.svg"),
        (("--overlay-image", "photo0"), "whose file --overlays says"),
        (("--overlays", "o.png", "--overlay-image", "x"), "a name such as photo0, got x"),
        (("--state", "a.json", "--json", "a.json"), "named twice"),
        (("--json", "weights.pth", "--overwrite"), "is read and would be replaced"),
        (("--worst", "a.png", "--confusion", "a.png"), "would be written twice"),
        (("--engine", "native", "--native-program", "no"), "at no, got nothing that can be run"),
        (("--data", "nowhere"), "nowhere"),
        (("--weights", "nowhere.pth"), "nowhere.pth"),
        (("--weights", "names.txt"), "names.txt"),
    ],
)
def test_wrong_usage(beach, arguments, message):
    result = evaluate(*beach, *arguments)
    assert result.exit_code in (1, 2) and message in result.stderr.replace("\n", " ")
    assert result.stdout == ""


def test_weights_of_another_number_of_classes(beach):
    torch.save(make_model(7).state_dict(), "weights.pth")
    result = evaluate(*beach)
    assert result.exit_code == 1
    assert f"Was {MODEL} trained for segmentation with 3 classes?" in result.stderr


def test_nothing_is_replaced_unasked(beach):
    with open("found.json", "w") as file:
        file.write("mine")
    result = evaluate(*beach, "--json", "found.json")
    assert result.exit_code == 2 and "found.json exists; --overwrite replaces" in result.stderr
    with open("found.json") as file:
        assert file.read() == "mine"


def test_tables_on_a_terminal(beach, monkeypatch):
    import rich.console

    terminal = rich.console.Console
    monkeypatch.setattr(
        "seaformer_kernels.cli.accuracy.Console", lambda: terminal(force_terminal=True, width=100)
    )
    result = evaluate(*beach, "--engine", "plain", "--engine", "fused")
    assert result.exit_code == 0
    assert "labels unlike plain" in result.stdout and "[b]sand" in result.stdout
