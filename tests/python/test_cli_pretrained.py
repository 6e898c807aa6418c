"""Commands with the weights of a folder, which says model, classes, mean, std and size."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import labels_in, make_model, photo, pixels, run
from PIL import Image
from test_optimize import MINI, trained

import seaformer_kernels as sk
from seaformer_kernels.cli import demo
from seaformer_kernels.cli.params import weights_in
from seaformer_kernels.data import PEOPLE
from seaformer_kernels.models import ModelFacts, SeaFormerClassifier, SeaFormerSegmenter
from seaformer_kernels.models.pretrained import packaged

pytestmark = pytest.mark.usefixtures("in_tmp_path", "one_thread")

FACTS = ModelFacts.of(PEOPLE, mean=(90.0, 100.0, 110.0), std=(50.0, 60.0, 70.0))


@pytest.fixture
def model() -> SeaFormerSegmenter:
    return saved("model")


def saved(folder: str, **options: bool) -> SeaFormerSegmenter:
    model = trained(SeaFormerSegmenter(MINI, 8, **options)).eval()
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (FACTS.mean, FACTS.std))
    with torch.no_grad():  # every class somewhere
        logits = model((pixels(photo()) - mean) / std)
        model.decode_head.conv_seg.bias -= logits.mean((0, 2, 3))
    model.save_pretrained(folder, facts=FACTS)
    return model


def expected(model, image: Image.Image, resize=None) -> np.ndarray:
    fast = sk.optimize(model, FACTS.mean, FACTS.std)
    return fast.predict(pixels(image, resize), size=image.size[::-1])[0].numpy()


def with_longer_side(side: int) -> None:
    path = Path("model/config.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "input_longer_side": side}))


def test_a_folder_says_all_that_segment_needs(model, picture):
    result = run("segment", picture, "--weights", "model", "--out", "out", "--json", "found.json")
    assert result.exit_code == 0, result.output
    assert "Loaded model: a SeaFormer of its own, 8 classes, trained on people." in result.stderr
    labels = expected(model, photo())
    assert len(np.unique(labels)) > 1
    np.testing.assert_array_equal(labels_in("out/photo_labels.png"), labels)
    with Image.open("out/photo_labels.png") as written:
        colours = np.array(PEOPLE.colors)[labels]
        np.testing.assert_array_equal(np.asarray(written.convert("RGB")), colours)
    found = json.loads(Path("found.json").read_text())
    assert found["weights"] == "model"
    assert {c["name"] for c in found["classes"]} == {PEOPLE.classes[i] for i in np.unique(labels)}


def test_plain_pytorch_takes_mean_and_std_of_the_folder(model, picture):
    assert run("segment", picture, "--weights", "model", "--out", "out", "--eager").exit_code == 0
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (FACTS.mean, FACTS.std))
    with torch.no_grad():
        logits = model((pixels(photo()) - mean) / std)
    best = torch.nn.functional.interpolate(logits, (48, 64), mode="bilinear").argmax(1)[0]
    np.testing.assert_array_equal(labels_in("out/photo_labels.png"), best)


@pytest.mark.parametrize(
    ("size", "side", "seen"),
    [
        ((120, 90), 64, (64, 48)),
        ((90, 120), 64, (48, 64)),
        ((40, 36), 80, (80, 72)),
        ((320, 40), 64, (256, 32)),
    ],
)
def test_the_folder_says_at_what_size_images_are_seen(model, size, side, seen):
    with_longer_side(side)
    photo(*size).save("a.png")
    assert run("segment", "a.png", "--weights", "model", "--out", "out").exit_code == 0
    np.testing.assert_array_equal(
        labels_in("out/a_labels.png"), expected(model, photo(*size), seen)
    )


def test_a_network_that_upsamples_sees_half_the_image():
    model = saved("student", upsample=True)
    photo(96, 80).save("a.png")
    assert run("segment", "a.png", "--weights", "student", "--out", "out").exit_code == 0
    np.testing.assert_array_equal(
        labels_in("out/a_labels.png"), expected(model, photo(96, 80), (48, 40))
    )


def test_resize_has_the_last_word(model, picture):
    with_longer_side(200)
    given = ["segment", picture, "--weights", "model", "--out", "out", "--resize", "48x40"]
    assert run(*given).exit_code == 0
    np.testing.assert_array_equal(
        labels_in("out/photo_labels.png"), expected(model, photo(), (48, 40))
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--model", "seaformer_tiny"],
            "of seaformer_tiny, got model, which is a SeaFormer",
        ),
        (["--num-classes", "7"], "for 7 classes, got model, which is for 8"),
        (["--dataset", "ade20k"], "--dataset says ade20k"),
        (["--dataset", "people"], "mean or std are not those of model"),
        (["--classes", "names.txt"], "--classes names 2 classes, the weights have 8"),
    ],
)
def test_options_that_say_otherwise_are_refused(model, picture, options, message):
    Path("names.txt").write_text("a\nb\n")
    result = run("segment", picture, "--weights", "model", "--out", "out", *options)
    assert result.exit_code == 2 and message in result.stderr
    assert not Path("out").exists()


def test_options_that_say_the_same_are_fine(picture):
    make_model(8).save_pretrained("model", facts=PEOPLE)
    same = ["--model", "seaformer_tiny", "--num-classes", "8", "--dataset", "people"]
    result = run("segment", picture, "--weights", "model", "--out", "out", *same)
    assert result.exit_code == 0, result.output


def test_a_folder_without_names_takes_those_of_a_data_set(picture):
    make_model(8).save_pretrained("model")
    result = run("segment", picture, "--weights", "model", "--dataset", "people", "--out", "out")
    assert result.exit_code == 0, result.output
    most = np.bincount(labels_in("out/photo_labels.png").ravel()).argmax()
    assert f"mostly {PEOPLE.classes[most]} " in result.stdout


def test_classify_takes_a_folder(picture):
    model = trained(SeaFormerClassifier(MINI, 3)).eval()
    model.save_pretrained("model", facts=ModelFacts(classes=("cat", "dog", "cow")))
    given = ["--weights", "model", "--resize", "64x48"]
    result = run("classify", picture, *given, "--json", "found.json")
    assert result.exit_code == 0, result.output
    best = json.loads(Path("found.json").read_text())["images"][0]["classes"][0]
    fast = sk.optimize(model, sk.data.IMAGENET_MEAN, sk.data.IMAGENET_STD)
    assert best["label"] == int(fast.predict(pixels(photo())))
    assert best["name"] == ("cat", "dog", "cow")[best["label"]]
    result = run("segment", picture, "--weights", "model")
    assert result.exit_code == 2
    assert "for segmentation, got model, which is for classification." in result.stderr


def test_export_takes_a_folder_and_its_mean_and_std(model):
    result = run("export", "--weights", "model", "--out", "a.sfm")
    assert result.exit_code == 0, result.output
    sk.export_native(model, "b.sfm", FACTS.mean, FACTS.std)
    assert Path("a.sfm").read_bytes() == Path("b.sfm").read_bytes()
    result = run("export", "seaformer_tiny", "--weights", "model", "--out", "a.sfm")
    assert result.exit_code == 2 and "it needs no name of a model" in result.stderr
    result = run("export", "--out", "c.sfm")
    assert result.exit_code == 2 and "Expected a MODEL" in result.stderr
    for file in "model/config.json", "model/model.safetensors":
        result = run("export", "--weights", "model", "--out", file)
        assert result.exit_code == 2 and "is read and would be replaced" in result.stderr


def test_a_folder_that_is_not_right_is_told(model, picture):
    Path("model/config.json").write_text("{}")
    result = run("segment", picture, "--weights", "model")
    assert result.exit_code == 2 and "Expected model_type 'seaformer'" in result.stderr
    result = run("segment", picture, "--weights", "owner/name")
    assert result.exit_code == 2 and "hf download owner/name" in result.stderr


# What comes with the package


@pytest.fixture
def people_tiny(tmp_path, monkeypatch) -> SeaFormerSegmenter:
    """A package that comes with people-tiny."""
    monkeypatch.setattr(packaged, "FOLDER", tmp_path / "packaged")
    model = trained(make_model(8)).eval()
    facts = ModelFacts.of(PEOPLE, input_longer_side=96)
    model.save_pretrained(packaged.FOLDER / demo.WEIGHTS, facts=facts, dtype=torch.float16)
    return sk.from_pretrained(demo.WEIGHTS)


def test_the_demo_shows_what_comes_with_the_package(people_tiny, picture):
    result = run("demo", picture, "--repeats", 1, "--out", "out")
    assert result.exit_code == 0, result.output
    assert "random" not in result.output
    for text in "8 classes, 96x72 pixels", "weights  people-tiny", "Share of each class", "hair":
        assert text in result.stdout
    fast = sk.optimize(people_tiny, sk.data.IMAGENET_MEAN, sk.data.IMAGENET_STD)
    labels = fast.predict(pixels(photo(), (96, 72)), size=(48, 64))[0].numpy()
    np.testing.assert_array_equal(labels_in("out/photo_labels.png"), labels)


def test_the_sample_photograph_is_shown_small(people_tiny):
    pytest.importorskip("matplotlib")
    for options, size in ([], "110x128"), (["--resize", "96x112"], "96x112"):
        result = run("demo", "--repeats", 1, "--out", "out", *options)
        assert result.exit_code == 0, result.output
        assert f"8 classes, {size} pixels" in result.stdout


@pytest.mark.parametrize("option", [["--model", "seaformer_tiny"], ["--num-classes", "8"]])
def test_the_demo_takes_random_weights_of_a_model_that_is_named(people_tiny, picture, option):
    result = run("demo", picture, "--repeats", 1, "--out", "out", "--resize", "64x48", *option)
    assert result.exit_code == 0, result.output
    assert "weights  random, seeded" in result.stdout and "Share" not in result.stdout


def test_the_demo_is_content_without_packaged_weights(picture, monkeypatch, tmp_path):
    monkeypatch.setattr(packaged, "FOLDER", tmp_path / "nothing")
    result = run("demo", picture, "--repeats", 1, "--out", "out", "--resize", "64x48")
    assert result.exit_code == 0, result.output
    assert "weights  random, seeded" in result.stdout
    assert "the labels mean nothing" in result.stderr


def test_packaged_weights_are_found_by_name(people_tiny, picture):
    result = run("segment", picture, "--weights", "people-tiny", "--out", "out")
    assert result.exit_code == 0, result.output
    assert "Loaded people-tiny: seaformer_tiny, 8 classes, trained on people." in result.stderr
    assert weights_in("people-tiny").files[0] == packaged.FOLDER / "people-tiny" / "config.json"
    result = run("segment", picture, "--weights", "people-tyny")
    assert result.exit_code == 2 and "(people-tiny), got 'people-tyny'" in result.stderr
