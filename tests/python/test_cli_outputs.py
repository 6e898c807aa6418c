"""Result files: nothing is lost and nothing is there in part."""

import os

import pytest
import torch
from command_line import MODEL, files_in, make_model, photo, run, segment
from PIL import Image

from seaformer_kernels.cli import outputs

pytestmark = pytest.mark.usefixtures("in_tmp_path", "one_thread", "one_network")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_write_leaves_no_file(picture, tmp_path, monkeypatch, error):
    whole = Image.Image.save

    def save(self, path, *args, **kwargs):
        whole(self, path, *args, **kwargs)
        if len(files_in(tmp_path / "out")) == 2:  # the overlay, after the labels
            raise error

    monkeypatch.setattr(Image.Image, "save", save)
    result = segment(picture)
    assert result.exit_code == 1
    assert files_in(tmp_path / "out") == []
    if isinstance(error, OSError):
        assert "photo.png: results cannot be written: No space left" in result.stderr


def test_json_that_cannot_be_written_is_told(picture, tmp_path, monkeypatch):
    def fail(*args):
        raise OSError(28, "No space left on device")

    write = outputs.write_whole
    monkeypatch.setattr(
        outputs, "write_whole", lambda files: fail() if "a.json" in str(files) else write(files)
    )
    result = segment(picture, "--json", "a.json")
    assert result.exit_code == 1
    assert "a.json cannot be written: No space left on device" in result.stderr


def test_two_images_with_the_same_stem_are_refused_before_any_work(tmp_path):
    photo().save("a.png")
    (tmp_path / "b").mkdir()
    photo().save("b/A.jpg")
    result = segment("a.png", "b/A.jpg")
    assert result.exit_code == 2
    assert "a.png" in result.stderr and "same name" in result.stderr
    assert not (tmp_path / "out").exists()


def test_results_are_replaced_only_on_request(picture, tmp_path):
    assert segment(picture).exit_code == 0
    before = (tmp_path / "out" / "photo_labels.png").read_bytes()
    result = segment(picture, "--resize", "96x96")
    assert result.exit_code == 2 and "--overwrite" in result.stderr
    assert (tmp_path / "out" / "photo_labels.png").read_bytes() == before
    assert segment(picture, "--resize", "96x96", "--overwrite").exit_code == 0
    assert (tmp_path / "out" / "photo_labels.png").read_bytes() != before


def test_results_never_replace_an_image_to_segment(tmp_path):
    for name in ("a.png", "a_labels.png"):
        photo().save(name)
    result = run("segment", "--out", ".", "--overwrite", "a.png", "a_labels.png")
    assert result.exit_code == 2 and "would be replaced" in result.stderr


@pytest.mark.parametrize("file", ["photo.png", "weights.pth", "names.txt", "link.pth"])
@pytest.mark.parametrize("command", ["segment", "classify"])
def test_json_never_replaces_what_is_read(picture, tmp_path, command, file):
    torch.save({}, "weights.pth")
    os.symlink("weights.pth", "link.pth")
    (tmp_path / "names.txt").write_text("a\nb\n")
    before = (tmp_path / file).read_bytes()
    result = run(
        command, picture, "--weights", "weights.pth", "--classes", "names.txt", "--json", file,
        "--overwrite",
    )  # fmt: skip
    assert result.exit_code == 2 and f"{file} is read and would be replaced." in result.stderr
    assert (tmp_path / file).read_bytes() == before


@pytest.mark.parametrize("command", ["segment", "classify"])
def test_json_is_replaced_only_on_request(picture, tmp_path, command):
    (tmp_path / "a.json").write_text("mine")
    args = [command, picture, "--model", MODEL, "--json", "a.json"]
    result = run(*args)
    assert result.exit_code == 2 and "a.json exists; --overwrite replaces it." in result.stderr
    assert (tmp_path / "a.json").read_text() == "mine"
    assert run(*args, "--overwrite").exit_code == 0
    assert (tmp_path / "a.json").read_text() != "mine"


def test_json_is_not_written_over_labels(picture):
    result = segment(picture, "--json", "out/photo_labels.png")
    assert result.exit_code == 2 and "would be written twice" in result.stderr


def test_export_never_replaces_its_checkpoint(tmp_path):
    torch.save(make_model().state_dict(), "weights.pth")
    before = (tmp_path / "weights.pth").read_bytes()
    result = run("export", MODEL, "--weights", "weights.pth", "--out", "./weights.pth")
    assert result.exit_code == 2 and "is read and would be replaced" in result.stderr
    assert (tmp_path / "weights.pth").read_bytes() == before


def test_demo_never_replaces_its_image(tmp_path):
    photo().save("a_labels.png")
    os.symlink("a_labels.png", "a.png")
    before = (tmp_path / "a_labels.png").read_bytes()
    result = run("demo", "a.png", "--model", MODEL, "--out", ".")
    assert result.exit_code == 2 and "would be replaced" in result.stderr
    assert (tmp_path / "a_labels.png").read_bytes() == before


def test_an_output_folder_that_is_a_file_is_told(picture, tmp_path):
    (tmp_path / "out").write_text("")
    result = segment(picture)
    assert result.exit_code == 1
    assert "Cannot write to the output folder out: it is not a folder." in result.stderr
