"""Reading images, and what is said of those that cannot be read."""

import builtins
import struct
import sys
import zlib

import numpy as np
import pytest
from command_line import files_in, labels_in, photo, segment
from PIL import Image

from seaformer_kernels.cli import images
from seaformer_kernels.cli.errors import ImageError
from seaformer_kernels.cli.images import Reading

pytestmark = pytest.mark.usefixtures("in_tmp_path", "one_thread", "one_network")


def read(path, **reading):
    return np.asarray(images.read(path, Reading(**reading)).image)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1", "YCbCr"])
def test_modes_become_rgb_as_pillow_converts_them(tmp_path, mode):
    suffix = "tif" if mode == "YCbCr" else "png"
    photo().convert(mode).save(f"a.{suffix}")
    image = images.read(tmp_path / f"a.{suffix}").image
    assert (image.mode, image.size) == ("RGB", (64, 48))
    expected = photo().convert(mode).convert("RGB")
    np.testing.assert_array_equal(np.asarray(image), np.asarray(expected))


def test_cmyk_becomes_rgb(tmp_path):
    Image.new("CMYK", (40, 40), (0, 255, 255, 0)).save("a.tif")
    assert images.read(tmp_path / "a.tif").image.getpixel((0, 0)) == (255, 0, 0)


def test_exif_orientation_turns_the_image_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    photo().save("a.png", exif=exif)
    upright = photo().transpose(Image.Transpose.ROTATE_270)
    np.testing.assert_array_equal(read(tmp_path / "a.png"), np.asarray(upright))
    assert segment("a.png").exit_code == 0
    assert labels_in(tmp_path / "out" / "a_labels.png").shape == (64, 48)


# Values of more than 8 bits


# PNG's types of colour, and how many values a pixel has.
GREY, RGB, GREY_ALPHA, RGBA = (0, 1), (2, 3), (4, 2), (6, 4)


def png_16_bit(path, values, kind):
    """A PNG file of 16-bit values [H, W, channels], which Pillow cannot write for colours."""
    colour_type, channels = kind
    height, width = values.shape[:2]
    assert values.shape[2] == channels
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
            for name, body in chunks
        )
    )


def values_to(most, channels=1):
    """Values [48, 64, channels] from 0 to `most`."""
    values = np.linspace(0, most, 48 * 64 * channels).astype(np.uint16)
    return np.random.default_rng(0).permutation(values).reshape(48, 64, channels)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_greyscale_is_scaled_to_8_bits(tmp_path, suffix):
    values = (np.arange(48 * 64).reshape(48, 64) * 21).astype(np.uint16)
    Image.fromarray(values).save(f"a.{suffix}")
    pixels = read(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(pixels, np.repeat((values >> 8)[..., None], 3, axis=2))


@pytest.mark.parametrize("kind", [GREY, RGB, GREY_ALPHA, RGBA])
@pytest.mark.parametrize("bits", [8, 10, 12, 14])
def test_values_that_do_not_fill_16_bits_are_warned_of_and_scaled_on_request(tmp_path, kind, bits):
    values = values_to((1 << bits) - 1, kind[1])
    path = tmp_path / "a.png"
    png_16_bit(path, values, kind)
    colours = values[..., :3] if kind in (RGB, RGBA) else values[..., :1].repeat(3, 2)
    most = colours.max()
    found = images.read(path)
    assert f"end at {most}," in found.warning and f"--bit-depth, such as {bits}" in found.warning
    np.testing.assert_array_equal(np.asarray(found.image), colours >> 8)
    for depth in range(bits, 17):
        found = images.read(path, Reading(bit_depth=depth))
        assert found.warning is None
        np.testing.assert_array_equal(np.asarray(found.image), colours >> (depth - 8))
    if bits > 8:
        with pytest.raises(ImageError, match=f"up to {most}; --bit-depth {bits - 1} allows"):
            images.read(path, Reading(bit_depth=bits - 1))


@pytest.mark.parametrize("kind", [GREY, RGB, GREY_ALPHA, RGBA])
def test_values_that_fill_16_bits_are_not_warned_of(tmp_path, kind):
    values = values_to(65535, kind[1])
    png_16_bit(tmp_path / "a.png", values, kind)
    found = images.read(tmp_path / "a.png")
    assert found.warning is None
    colours = values[..., :3] if kind in (RGB, RGBA) else values[..., :1].repeat(3, 2)
    np.testing.assert_array_equal(np.asarray(found.image), colours >> 8)


def test_black_is_not_warned_of(tmp_path):
    Image.fromarray(np.zeros((40, 40), np.uint16)).save("a.png")
    assert images.read(tmp_path / "a.png").warning is None


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_of_few_bits(tmp_path, order, compression):
    values = values_to(1023)[..., 0]
    Image.fromarray(values.astype(f"{order}u2")).save("a.tif", compression=compression)
    assert "such as 10" in images.read(tmp_path / "a.tif").warning
    expected = (values >> 2)[..., None].repeat(3, 2)
    np.testing.assert_array_equal(read(tmp_path / "a.tif", bit_depth=10), expected)


def test_pgm_says_its_depth_itself(tmp_path):
    values = values_to(1023)[..., 0]
    (tmp_path / "a.pgm").write_bytes(b"P5 64 48 1023\n" + values.astype(">u2").tobytes())
    for depth in (None, 8, 10, 16):
        found = images.read(tmp_path / "a.pgm", Reading(bit_depth=depth))
        assert found.warning is None
        np.testing.assert_allclose(np.asarray(found.image)[..., 0], values / 1023 * 255, atol=1)


def test_images_of_8_bits_do_not_mind_a_bit_depth(picture):
    np.testing.assert_array_equal(read(picture, bit_depth=12), np.asarray(photo()))


@pytest.mark.parametrize(
    ("dtype", "kind"), [(np.int32, "32-bit integer"), (np.float32, "32-bit floating-point")]
)
@pytest.mark.parametrize("most", [1, 255, 65535])
def test_32_bit_files_are_refused_whatever_they_hold(tmp_path, dtype, kind, most):
    Image.fromarray(values_to(most)[..., 0].astype(dtype)).save("a.tif")
    for depth in (None, 8, 16):
        with pytest.raises(ImageError, match=f"holds {kind} pixels; integers of 8 and 16 bits"):
            images.read(tmp_path / "a.tif", Reading(bit_depth=depth))


def test_a_dark_image_is_segmented_with_a_warning_and_well_on_request(tmp_path):
    values = (np.asarray(photo().convert("L")).astype(np.uint16) << 4) + 7
    Image.fromarray(values).save("dark.png")
    photo().convert("L").save("light.png")
    result = segment("dark.png")
    assert result.exit_code == 0
    assert "dark.png: its values, of 16 bits, end at" in result.stderr
    result = segment("dark.png", "light.png", "--bit-depth", 12, "--overwrite")
    assert "end at" not in result.stderr
    np.testing.assert_array_equal(
        labels_in(tmp_path / "out" / "dark_labels.png"),
        labels_in(tmp_path / "out" / "light_labels.png"),
    )


# HEIC


def test_heic_is_read(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    heif.from_pillow(photo(256, 192)).save(tmp_path / "a.heic", quality=-1)
    difference = read(tmp_path / "a.heic").astype(float) - np.asarray(photo(256, 192))
    assert np.abs(difference).mean() < 5  # colours have half the resolution


def test_heic_is_told_without_its_library(tmp_path, monkeypatch):
    # By its content; a library that another test has registered would read it.
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    for brand in (b"heic", b"mif1"):
        (tmp_path / "a.jpg").write_bytes(b"\0\0\0\x18ftyp" + brand + bytes(16))
        monkeypatch.setattr(Image, "open", refuse)
        with pytest.raises(ImageError, match=r"HEIC.* pip install 'seaformer-kernels\[heic\]'"):
            images.read(tmp_path / "a.jpg")


def refuse(path):
    with builtins.open(path, "rb"):
        raise Image.UnidentifiedImageError


# Failures of an image: the others go on, exit code 1


def write_truncated(path):
    photo(300, 300).save("whole.jpg")
    data = (path.parent / "whole.jpg").read_bytes()
    path.write_bytes(data[: len(data) // 2])


BAD_IMAGES = {
    "missing.png": (lambda path: None, "no such file"),
    "text.png": (lambda path: path.write_text("hello"), "not an image"),
    "empty.jpg": (lambda path: path.write_bytes(b""), "not an image"),
    "cut.jpg": (write_truncated, "truncated"),
    "small.png": (lambda path: photo(31, 64).save(path), "31x64 pixels are too few"),
    "float.tif": (
        lambda path: Image.fromarray(np.ones((40, 40), np.float32)).save(path),
        "32-bit floating-point pixels",
    ),
}


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_a_bad_image_is_told_and_does_not_stop_the_others(picture, tmp_path, name):
    make, message = BAD_IMAGES[name]
    make(tmp_path / name)
    result = segment(name, picture)
    assert result.exit_code == 1
    assert f"{name}: " in result.stderr and message in result.stderr
    assert "1 of 2 images failed" in result.stderr
    assert files_in(tmp_path / "out") == ["photo_labels.png", "photo_overlay.png"]


def test_a_folder_is_not_an_image(tmp_path):
    with pytest.raises(ImageError, match="cannot be read"):
        images.read(tmp_path)


def test_a_decompression_bomb_is_refused(picture, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    result = segment(picture)
    assert result.exit_code == 1 and "decompression bomb" in result.stderr


def test_larger_images_are_read_on_request(picture, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    for allowed in (64 * 48, 1 << 60):
        assert read(picture, max_pixels=allowed).shape == (48, 64, 3)
    with pytest.raises(ImageError, match="decompression bomb, unless --max-pixels allows it"):
        read(picture, max_pixels=64 * 48 - 2)
    assert Image.MAX_IMAGE_PIXELS == 1000
    assert segment(picture, "--max-pixels", 5000).exit_code == 0
