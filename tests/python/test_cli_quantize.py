"""`seaformer quantize`."""

from __future__ import annotations

import importlib.util
import json
import struct
from pathlib import Path

import pytest
from command_line import MODEL, photo, run

import seaformer_kernels as sk


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "photos" / "below"
    folder.mkdir(parents=True)
    for seed in range(8):
        photo(96, 72, seed).save(folder / f"{seed}.png")


def test_it_writes_a_model_file(photos):
    result = run(
        *("quantize", MODEL, "--num-classes", 4, "--data", "photos", "--out", "a.sfm"),
        *("--long-side", 64, "--json", "a.json", "--skip", "backbone.smb1.stem_block"),
        *(("--chart", "a.svg") if importlib.util.find_spec("matplotlib") else ()),
    )
    assert result.exit_code == 0, result.output
    assert "Calibrated on 8 images." in result.output
    assert "a.sfm: segmentation, 4 classes" in result.output
    found = json.loads(Path("a.json").read_text())
    types = {block["path"]: block["dtype"] for block in found["blocks"]}
    assert types["backbone.smb2.layer1"] == "int8"
    assert types["backbone.smb1.stem_block"] == "float32"
    if importlib.util.find_spec("matplotlib"):
        chart = Path("a.svg").read_text()
        assert "backbone.smb2.layer1" in chart  # a comment beside the letters' shapes
        assert "backbone.smb1.stem_block" not in chart
    sk.export_native(sk.create_model(MODEL, num_classes=4), "b.sfm", (0, 0, 0), (1, 1, 1))
    sizes = [Path(name).stat().st_size for name in ("a.sfm", "b.sfm")]
    assert sizes[0] < 0.8 * sizes[1]
    (length,) = struct.unpack_from("<Q", Path("a.sfm").read_bytes(), 8)
    assert length == sizes[0]


def test_bad_charts_and_missing_data_are_named_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for arguments, message in (
        (("--data", ".", "--chart", "a.bmp"), "--chart: expected a .png, .svg or .pdf, got a.bmp"),
        ((), "Missing option '--data', of images that ranges are found on"),
    ):
        result = run("quantize", MODEL, *arguments, "--out", "a.sfm")
        assert result.exit_code == 2
        assert message in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--data", "nowhere"), "calibration_data as a folder of images, got nowhere"),
        (("--data", "photos", "--skip", "head"), "skip to name parts of the model, got 'head'"),
        (("--data", "."), "expected images in calibration_data, got none"),
    ],
)
def test_bad_input_is_named(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    result = run("quantize", MODEL, *arguments, "--out", "a.sfm")
    assert result.exit_code == 1
    assert message in result.output
    assert not (tmp_path / "a.sfm").exists()


def test_the_checkpoint_is_not_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pth").touch()
    result = run("quantize", MODEL, "--weights", "a.pth", "--data", ".", "--out", "./a.pth")
    assert result.exit_code == 2
    assert "is read and would be replaced" in result.output
