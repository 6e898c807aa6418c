"""`seaformer segment`: what it writes and what it says."""

import numpy as np
import pytest
import torch
from command_line import (
    expected_labels,
    files_in,
    labels_in,
    make_model,
    normalised,
    photo,
    segment,
)
from PIL import Image

import seaformer_kernels as sk
from seaformer_kernels.cli.classes import Share, shares_of, total
from seaformer_kernels.data import ADE20K, DATASETS

pytestmark = pytest.mark.usefixtures("in_tmp_path", "one_thread", "one_network")


@pytest.mark.parametrize(
    ("dataset", "classes"), [("ade20k", 150), ("cityscapes", 19), ("camvid", 11)]
)
def test_labels_are_those_of_predict_in_the_palette_of_the_data_set(
    picture, tmp_path, dataset, classes
):
    result = segment(picture, "--dataset", dataset)
    assert result.exit_code == 0, result.output
    assert files_in(tmp_path / "out") == ["photo_labels.png", "photo_overlay.png"]
    with Image.open(tmp_path / "out" / "photo_labels.png") as written:
        assert written.mode == "P"
        expected = expected_labels(photo(), make_model(classes))
        assert len(np.unique(expected)) > 1
        np.testing.assert_array_equal(np.asarray(written), expected)
        colours = np.array(DATASETS[dataset].colors)
        np.testing.assert_array_equal(np.asarray(written.convert("RGB")), colours[expected])


def test_labels_of_a_half_type(picture, tmp_path):
    options = "--dtype", "float16", "--keep-float32", "decode_head"
    result = segment(picture, *options)
    assert result.exit_code == 0, result.output
    expected = expected_labels(
        photo(), make_model(), dtype=torch.float16, keep_float32=["decode_head"]
    )
    np.testing.assert_array_equal(labels_in(tmp_path / "out" / "photo_labels.png"), expected)
    for wrong, message in (
        (("--dtype", "float8"), "'float8' is not one of 'float32', 'float16', 'bfloat16'"),
        ((*options, "--eager"), "--dtype is of fused networks"),
        (("--dtype", "float16", "--keep-float32", "nothing"), "got 'nothing'"),
    ):
        result = segment(picture, *wrong, "--overwrite")
        assert result.exit_code and message in result.output, result.output


def test_eager_labels_are_those_of_the_plain_model(picture, tmp_path):
    assert segment(picture, "--eager").exit_code == 0
    with torch.no_grad():
        logits = make_model()(normalised(photo()))
    best = torch.nn.functional.interpolate(logits, (48, 64), mode="bilinear").argmax(1)
    np.testing.assert_array_equal(labels_in(tmp_path / "out" / "photo_labels.png"), best[0])


def test_eager_runs_no_op_of_ours(picture, monkeypatch):
    monkeypatch.setattr(sk, "optimize", None)
    monkeypatch.setattr(sk.ops, "upsample_argmax", None)
    assert segment(picture, "--eager").exit_code == 0
    with pytest.raises(AssertionError, match="NoneType"):
        segment(picture, "--overwrite")


def test_labels_come_in_one_call_that_makes_no_logits(picture, monkeypatch):
    # The path that `predict` runs, and the README times.
    monkeypatch.setattr(sk.ops, "upsample_argmax", None)
    monkeypatch.setattr(sk.ops, "network_logits", None)
    result = segment(picture)
    assert result.exit_code == 0, result.output


def test_label_png_has_8_bits_even_for_few_classes(picture, tmp_path):
    # Pillow packs palettes of up to 16 colours into fewer bits, which some readers do not expect.
    assert segment(picture, "--palette", "cityscapes", "--num-classes", 3).exit_code == 0
    header = (tmp_path / "out" / "photo_labels.png").read_bytes()[:26]
    assert (header[24], header[25]) == (8, 3)  # bit depth, colour type


@pytest.mark.parametrize("alpha", [0, 0.5, 1])
def test_overlay_blends_image_and_colours(picture, tmp_path, alpha):
    assert segment(picture, "--alpha", alpha, "--no-legend").exit_code == 0
    labels = labels_in(tmp_path / "out" / "photo_labels.png")
    overlay = labels_in(tmp_path / "out" / "photo_overlay.png")
    colours = np.array(ADE20K.colors)[labels].astype(float)
    blend = (1 - alpha) * np.asarray(photo()) + alpha * colours
    np.testing.assert_allclose(overlay, blend, atol=1)


def test_more_than_256_classes_make_16_bit_labels(picture, tmp_path):
    result = segment(picture, "--num-classes", 300)
    assert result.exit_code == 0, result.output
    written = labels_in(tmp_path / "out" / "photo_labels.png")
    assert written.dtype == np.uint16 and written.max() > 255
    np.testing.assert_array_equal(written, expected_labels(photo(), make_model(300)))
    assert labels_in(tmp_path / "out" / "photo_overlay.png").shape == (48, 64, 3)


def test_resize_changes_what_the_network_sees_and_not_the_size_of_the_labels(picture, tmp_path):
    assert segment(picture, "--resize", "96x80").exit_code == 0
    written = labels_in(tmp_path / "out" / "photo_labels.png")
    np.testing.assert_array_equal(written, expected_labels(photo(), make_model(), (96, 80)))


def test_threads_are_set(picture):
    before = torch.get_num_threads()
    try:
        assert segment(picture, "--threads", before + 1).exit_code == 0
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--model", "seaformer_giant"], "seaformer_large"),
        (["--dataset", "coco"], "cityscapes"),
        (["--resize", "31x512"], "at least 32 pixels"),
        (["--alpha", "2"], "0<=x<=1"),
        (["--threads", "0"], "x>=1"),
        (["--threshold", "0.3"], "of one class (--num-classes 1), got 150 classes"),
        (["--num-classes", "1", "--threshold", "0"], "0<x<1"),
        (["--bit-depth", "7"], "8<=x<=16"),
        (["--max-pixels", "0"], "x>=1"),
        (["--num-classes", "0"], "1<=x<=65536"),
    ],
)
def test_wrong_options_are_usage_errors(picture, args, message):
    result = segment(picture, *args)
    assert result.exit_code == 2 and message in result.stderr


def test_no_image_is_a_usage_error():
    assert segment().exit_code == 2


# One class


@pytest.mark.parametrize("threshold", [None, 0.3, 0.9])
@pytest.mark.parametrize("eager", [False, True])
def test_one_class_is_there_where_its_sigmoid_is_above_the_threshold(
    picture, tmp_path, threshold, eager
):
    options = [] if threshold is None else ["--threshold", threshold]
    result = segment(picture, "--num-classes", 1, *options, *(["--eager"] if eager else []))
    assert result.exit_code == 0, result.output
    with torch.no_grad():
        logits = make_model(1)(normalised(photo()))
    likely = torch.nn.functional.interpolate(logits, (48, 64), mode="bilinear")[0, 0].sigmoid()
    written = labels_in(tmp_path / "out" / "photo_labels.png")
    clear = (likely - (threshold or 0.5)).abs().numpy() > 1e-4
    assert clear.mean() > 0.99
    expected = (likely > (threshold or 0.5)).numpy()
    assert threshold is not None or len(np.unique(expected)) == 2
    np.testing.assert_array_equal(written[clear], expected[clear])


# What it tells


def test_without_weights_it_says_that_labels_mean_nothing(picture):
    result = segment(picture)
    assert "random" in result.stderr and "the labels mean nothing" in result.stderr
    assert "mostly" not in result.stdout


def test_class_names_must_be_as_many_as_classes(picture):
    with open("names.txt", "w") as file:
        file.write("a\nb\n")
    result = segment(picture, "--classes", "names.txt", "--num-classes", 3)
    assert result.exit_code == 2
    assert "--classes names 2 classes, --num-classes says 3." in result.stderr


def test_a_pipe_gets_a_line_for_each_image_and_the_medians(tmp_path):
    photo().save("a.png")
    photo(40, 50).save("b.png")
    lines = segment("a.png", "b.png").stdout.splitlines()
    assert lines[0].startswith("a.png (64x48): read ") and lines[1].startswith("b.png (40x50): ")
    assert lines[2].startswith("median of 2: read ")
    for step in ("predict", "write"):
        assert all(f"{step} " in line for line in lines[:3])


def test_a_terminal_gets_a_table(tmp_path):
    photo().save("[bold]a.png")
    photo(40, 50).save("b.png")
    result = segment("[bold]a.png", "b.png", FORCE_COLOR="1", COLUMNS="120", TERM="xterm")
    assert result.exit_code == 0, result.output
    for text in ("[bold]a.png", "64x48", "40x50", "predict", "median", "share"):
        assert text in result.stdout


def test_shares_are_told_of_all_images_together(tmp_path):
    photo().save("a.png")
    photo(40, 50).save("b.png")
    result = segment("a.png", "b.png")
    shares = shares_of(
        np.concatenate([labels_in(f"out/{name}_labels.png").ravel() for name in "ab"])
    )
    _, table = result.stdout.split("Share of each class in 2 images:")
    rows = [line.split() for line in table.splitlines() if "%" in line]
    assert rows == [[f"{s.share:.2%}", f"{s.pixels:,}", str(s.label)] for s in shares[:20]]


def test_shares_are_counted_largest_first():
    labels = np.array([[1, 1, 1, 5], [0, 0, 1, 1]], np.uint8)
    shares = shares_of(labels)
    assert shares == [Share(1, 5, 0.625), Share(0, 2, 0.25), Share(5, 1, 0.125)]
    assert total([shares, shares_of(np.full((2, 2), 5))]) == [
        Share(1, 5, 5 / 12), Share(5, 5, 5 / 12), Share(0, 2, 2 / 12)
    ]  # fmt: skip
    assert total([]) == []
    assert [str(Share(0, 1, share)) for share in (0.5, 0.0049)] == ["50%", "<1%"]
