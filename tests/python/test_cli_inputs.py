"""Which images the arguments name."""

import os
from pathlib import Path

import numpy as np
import pytest
from command_line import MODEL, files_in, photo, run, segment
from PIL import Image

from seaformer_kernels.cli.inputs import find, suffixes

pytestmark = pytest.mark.usefixtures("in_tmp_path", "one_thread", "one_network")


def test_a_folder_stands_for_its_images(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("b.png", "a.jpg", ".hidden.png"):
        photo().save(folder / name)
    (folder / "notes.txt").write_text("not an image, and not taken for one")
    for _ in range(2):  # the second time its own results lie beside the images
        result = run("segment", "--model", MODEL, "--out", folder, "--overwrite", folder)
        assert result.exit_code == 0, result.output
        assert "median of 2" in result.stdout
    assert len(files_in(folder)) == 8


def test_an_image_named_twice_is_segmented_once(picture):
    result = segment(picture, picture.parent / "." / "photo.png", picture.parent)
    assert result.exit_code == 0, result.output
    assert result.stdout.count("read ") == 1


def test_an_empty_folder_is_told(tmp_path):
    (tmp_path / "photos").mkdir()
    result = segment("photos")
    assert result.exit_code == 2 and "no images in the folder photos" in result.stderr


def test_all_that_pillow_reads_is_picked_up(tmp_path):
    assert {
        ".jpg", ".jpeg", ".jfif", ".jpe", ".jp2", ".png", ".pgm", ".ppm", ".tga", ".qoi", ".webp",
        ".tif", ".bmp", ".gif", ".heic",
    } <= suffixes()  # fmt: skip
    assert not {".pdf", ".eps", ".mpg", ".h5", ".txt", ""} & suffixes()
    (tmp_path / "photos").mkdir()
    for suffix in ("jfif", "JPE", "pgm", "tga", "qoi"):
        photo().convert("L" if suffix == "pgm" else "RGB").save(f"photos/{suffix}.{suffix}")
    assert len(find([Path("photos")], recursive=False)) == 5


def test_every_suffix_that_pillow_writes_and_reads_can_be_segmented(tmp_path):
    (tmp_path / "photos").mkdir()
    formats = {}
    for suffix in sorted(suffixes()):
        formats.setdefault(Image.registered_extensions().get(suffix), suffix)
    for format_, suffix in formats.items():
        if format_ in Image.SAVE and format_ not in {"ICO", "ICNS", "PALM"}:  # own sizes
            modes = {"MSP": "1", "XBM": "1", "BLP": "P"}
            photo().convert(modes.get(format_, "RGB")).save(f"photos/{format_}{suffix}")
    count = len(files_in(tmp_path / "photos"))
    assert count > 12
    result = segment("photos")
    assert result.exit_code == 0, result.output
    assert f"median of {count}" in result.stdout


def make_tree():
    for path in ("photos/a.png", "photos/b/a.png", "photos/b/c/a.png", "photos/.git/a.png"):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        photo(seed=len(path)).save(path)


def test_folders_below_are_left_alone_unless_asked_for(tmp_path):
    make_tree()
    assert segment("photos").exit_code == 0
    assert files_in(tmp_path / "out") == ["a_labels.png", "a_overlay.png"]
    (tmp_path / "photos" / "a.png").unlink()
    result = segment("photos")
    assert result.exit_code == 2 and "--recursive looks into the folders below" in result.stderr


def test_results_of_folders_below_lie_in_folders_below(tmp_path):
    make_tree()
    os.symlink("..", "photos/b/up")  # would never end
    for _ in range(2):  # the second time with results beside the images
        out = tmp_path / "photos" / "b"
        result = run(
            "segment", "--model", MODEL, "--out", out, "photos", "--recursive", "--overwrite"
        )
        assert result.exit_code == 0, result.output
        assert "median of 3" in result.stdout
    for name in ("a", "b/a", "b/c/a"):
        assert (out / f"{name}_labels.png").is_file() and (out / f"{name}_overlay.png").is_file()
    assert np.asarray(Image.open(out / "b/c/a_labels.png")).shape == (48, 64)


@pytest.mark.parametrize(
    "args",
    [
        ["segment", "http://example.org/a.jpg"],
        ["segment", "HTTPS://example.org/a.jpg"],
        ["segment", "photo.png", "--weights", "s3://bucket/base.pth"],
        ["segment", "photo.png", "--classes", "https://example.org/names.json"],
        ["segment", "photo.png", "--out", "file:///tmp"],
        ["classify", "https://example.org/a.jpg"],
        ["demo", "https://example.org/a.jpg"],
        ["export", "seaformer_tiny", "--out", "a.sfm", "--weights", "https://example.org/a.pth"],
    ],
)
def test_addresses_are_not_fetched(picture, args):
    result = run(*args)
    assert result.exit_code == 2
    address = next(arg for arg in args if "://" in arg)
    text = " ".join(result.stderr.split())
    assert f"got {address}; addresses are not fetched, download it first" in text
