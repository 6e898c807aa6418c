"""Labels by the weights of a checkpoint, which have names."""

import json

import numpy as np
import pytest
import torch
from command_line import expected_labels, files_in, labels_in, make_model, photo, segment
from PIL import Image

from seaformer_kernels.cli.classes import shares_of, total
from seaformer_kernels.data import ADE20K

pytestmark = pytest.mark.usefixtures("in_tmp_path", "one_thread")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.write_bytes(b"nonsense"), "which is a text file"),
        (lambda path: path.write_bytes(b"\x80\x02}"), "cannot be read"),
        (
            lambda path: torch.save(make_model(name="seaformer_small").state_dict(), path),
            "Expected",
        ),
        (lambda path: torch.save(make_model(classes=19).state_dict(), path), "--num-classes"),
    ],
)
def test_wrong_checkpoints_are_told(picture, tmp_path, make, message):
    make(tmp_path / "weights.pth")
    result = segment(picture, "--weights", "weights.pth")
    assert result.exit_code == 1
    assert message in result.stderr and "weights.pth" in result.stderr
    assert files_in(tmp_path / "out") == []


def test_one_class_has_its_name_and_background(picture):
    torch.save(make_model(1, seed=1).state_dict(), "weights.pth")
    with open("names.txt", "w") as file:
        file.write("road\n")
    result = segment(picture, "--weights", "weights.pth", "--classes", "names.txt", "--json", "a")
    assert result.exit_code == 0, result.output
    with open("a") as file:
        names = {(c["label"], c["name"]) for c in json.load(file)["classes"]}
    assert names <= {(0, "background"), (1, "road")} and names


def test_weights_come_from_the_checkpoint(picture, tmp_path):
    model = make_model(seed=7)
    torch.save(model.state_dict(), "weights.pth")
    result = segment(picture, "--weights", "weights.pth")
    assert result.exit_code == 0, result.output
    written = labels_in(tmp_path / "out" / "photo_labels.png")
    expected = expected_labels(photo(), model)
    np.testing.assert_array_equal(written, expected)
    most = shares_of(expected)[0]
    assert f"mostly {ADE20K.classes[most.label]} {most}" in result.stdout
    assert "weights.pth" in result.stderr and "random" not in result.output


def test_classes_are_not_named_after_a_data_set_of_another_count(picture):
    torch.save(make_model(3).state_dict(), "weights.pth")
    result = segment(picture, "--weights", "weights.pth", "--num-classes", 3)
    assert result.exit_code == 0, result.output
    assert "mostly" not in result.stdout and ADE20K.classes[0] not in result.stdout


def test_classes_are_named_as_a_file_says(picture):
    torch.save(make_model(3).state_dict(), "weights.pth")
    with open("names.json", "w") as file:
        json.dump({"0": "left", "1": "right", "2": "middle"}, file)
    result = segment(picture, "--weights", "weights.pth", "--classes", "names.json")
    assert result.exit_code == 0, result.output
    with Image.open("out/photo_labels.png") as written:
        most = shares_of(np.asarray(written))[0]
    assert f"mostly {('left', 'right', 'middle')[most.label]} {most}" in result.stdout


def test_json_tells_the_same_for_programs(tmp_path):
    photo().save("a.png")
    photo(40, 50).save("b.png")
    torch.save(make_model().state_dict(), "weights.pth")
    result = segment(
        "a.png", "b.png", "gone.png", "--weights", "weights.pth", "--json", "new/found.json"
    )
    assert result.exit_code == 1
    found = json.loads((tmp_path / "new" / "found.json").read_text())
    assert found["failed"] == [{"image": "gone.png", "reason": "no such file"}]
    assert (found["model"], found["weights"]) == ("seaformer_tiny", "weights.pth")
    shares = []
    for record, image in zip(found["images"], [photo(), photo(40, 50)], strict=True):
        assert (record["width"], record["height"]) == image.size
        assert set(record["milliseconds"]) == {"read", "predict", "write"}
        labels = labels_in(record["labels"])
        assert labels_in(record["overlay"]).shape == (*labels.shape, 3)
        shares.append(shares_of(labels))
        assert record["classes"] == [
            {"name": ADE20K.classes[s.label], **s._asdict()} for s in shares[-1]
        ]
    assert found["classes"] == [
        {"name": ADE20K.classes[s.label], **s._asdict()} for s in total(shares)
    ]
