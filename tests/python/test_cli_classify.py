"""`seaformer classify`."""

import json

import numpy as np
import pytest
import torch
from command_line import MODEL, make_model, photo, pixels, run
from PIL import Image

import seaformer_kernels as sk
from seaformer_kernels.data import IMAGENET_MEAN, IMAGENET_STD

pytestmark = pytest.mark.usefixtures("in_tmp_path", "one_thread")


CLASSES = 7
NAMES = [f"kind {i}" for i in range(CLASSES)]


@pytest.fixture
def checkpoint(tmp_path):
    """Weights with scores that differ from class to class."""
    model = make_model(CLASSES, task="classification")
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    (tmp_path / "names.json").write_text(json.dumps(NAMES))
    return model


def classify(*args, **env):
    return run("classify", "--model", MODEL, *args, **env)


def scores_of(model, image):
    fast = sk.optimize(model, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    return fast(pixels(image))[0].softmax(0).numpy()


def middle(image):
    """The shorter side of a landscape scaled to 256, then the middle 224x224."""
    scaled = image.resize((256 * image.width // image.height, 256), Image.Resampling.BICUBIC)
    left = round((scaled.width - 224) / 2)
    return scaled.crop((left, 16, left + 224, 240))


def told(path="found.json"):
    with open(path) as file:
        return json.load(file)


@pytest.mark.parametrize("eager", [False, True])
def test_scores_are_those_of_the_middle_of_the_image(checkpoint, eager):
    photo(301, 200).save("a.png")
    result = classify(
        "a.png", "--weights", "weights.pth", "--classes", "names.json", "--top", CLASSES,
        "--json", "found.json", *(["--eager"] if eager else []),
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    (found,) = told()["images"]
    expected = scores_of(checkpoint, middle(photo(301, 200)))
    by_label = {c["label"]: c["score"] for c in found["classes"]}
    # Pillow's pixels are up to two levels others; a square one pixel aside is 0.3 off.
    np.testing.assert_allclose([by_label[i] for i in range(CLASSES)], expected, rtol=0.05)
    scores = [c["score"] for c in found["classes"]]
    assert scores == sorted(scores, reverse=True) and np.isclose(sum(scores), 1)
    assert all(c["name"] == NAMES[c["label"]] for c in found["classes"])
    assert set(found["milliseconds"]) == {"read", "predict"}


def test_resize_takes_the_whole_image(checkpoint):
    photo(100, 80).save("a.png")
    result = classify(
        "a.png", "--weights", "weights.pth", "--num-classes", CLASSES, "--resize", "96x64",
        "--json", "found.json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    scaled = photo(100, 80).resize((96, 64), Image.Resampling.BILINEAR)
    expected = scores_of(checkpoint, scaled)
    (found,) = told()["images"]
    assert len(found["classes"]) == 5  # the usual --top
    for c in found["classes"]:
        assert c["name"] is None
        assert c["score"] == pytest.approx(float(expected[c["label"]]), rel=1e-5)


def test_a_pipe_gets_a_line_with_names(checkpoint):
    photo().save("a.png")
    photo(seed=1).save("b.png")
    result = classify(
        "a.png",
        "b.png",
        "--weights",
        "weights.pth",
        "--classes",
        "names.json",
        "--top",
        2,
        "--eager",
    )
    lines = result.stdout.splitlines()
    assert lines[0].startswith("a.png (64x48): read ") and "; likeliest kind " in lines[0]
    assert lines[0].count("kind ") == 2 and lines[0].count("%") == 2
    assert lines[2].startswith("median of 2: read ")


def test_a_terminal_gets_a_table(checkpoint):
    photo().save("a.png")
    result = classify(
        "a.png", "--weights", "weights.pth", "--classes", "names.json", "--top", 3, "--eager",
        FORCE_COLOR="1", COLUMNS="120", TERM="xterm",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "likeliest" in result.stdout and result.stdout.count("kind ") == 3


def test_without_names_or_weights_classes_are_numbers(picture):
    result = classify(picture)
    assert result.exit_code == 0, result.output
    assert "likeliest class " in result.stdout and "the labels mean nothing" in result.stderr


def test_one_class_has_its_sigmoid(picture):
    result = classify(picture, "--num-classes", 1, "--json", "found.json")
    assert result.exit_code == 0, result.output
    (found,) = told()["images"][0]["classes"]
    assert found["label"] == 0 and 0 < found["score"] < 1


def test_failures_do_not_stop_the_others(picture, tmp_path):
    (tmp_path / "text.jpg").write_text("hello")
    result = classify("text.jpg", picture, "--json", "found.json")
    assert result.exit_code == 1
    assert "text.jpg: not an image" in result.stderr
    assert "1 of 2 images failed" in result.stderr
    assert [f["image"] for f in told()["failed"]] == ["text.jpg"] and len(told()["images"]) == 1


def test_a_checkpoint_of_another_task_or_count_is_told(picture, tmp_path):
    torch.save(make_model().state_dict(), "segmenter.pth")
    torch.save(make_model(5, task="classification").state_dict(), "five.pth")
    for name in ("segmenter.pth", "five.pth"):
        result = classify(picture, "--weights", name)
        assert result.exit_code == 1 and name in result.stderr
        assert "Was it trained for classification with 1000 classes" in result.stderr
