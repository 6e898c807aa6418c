"""`seaformer demo`."""

import dataclasses
import sys

import numpy as np
import pytest
from command_line import MODEL, expected_labels, files_in, labels_in, make_model, photo, run

import seaformer_kernels as sk
from seaformer_kernels.cli import demo

pytestmark = pytest.mark.usefixtures("in_tmp_path", "one_thread", "one_network")


def test_demo_compares_with_eager_pytorch(picture, tmp_path):
    result = run("demo", picture, "--model", MODEL, "--repeats", 2, "--out", "out")
    assert result.exit_code == 0, result.output
    assert files_in(tmp_path / "out") == ["photo_labels.png", "photo_overlay.png"]
    for text in ("photo.png, 64x48 pixels", "8x6", "eager PyTorch", "whole", "Labels agree on"):
        assert text in result.stdout
    assert "random" in result.stderr
    written = labels_in(tmp_path / "out" / "photo_labels.png")
    np.testing.assert_array_equal(written, expected_labels(photo(), make_model()))


def test_demo_says_when_the_extension_is_missing(picture, monkeypatch):
    found = dataclasses.replace(
        sk.cpu.info(), extension_loaded=False, extension_reason="it was not built: no compiler"
    )
    monkeypatch.setattr(sk.cpu, "info", lambda: found)
    result = run("demo", picture, "--model", MODEL, "--repeats", 1)
    assert result.exit_code == 0
    assert "it was not built: no compiler" in result.stdout
    assert "both sides are plain PyTorch" in result.stdout


def test_demo_finds_a_photograph_or_asks_for_one(monkeypatch):
    pytest.importorskip("matplotlib")
    assert demo._sample_photo().is_file()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = run("demo")
    assert result.exit_code == 2 and "name an IMAGE" in result.stderr


def test_demo_tells_a_bad_image():
    result = run("demo", "missing.png", "--model", MODEL)
    assert result.exit_code == 1 and "missing.png: no such file" in result.stderr
