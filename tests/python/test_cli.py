"""The command line: what it writes, what it says, and how it fails."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

pytest.importorskip("click")
pytest.importorskip("rich")
pytest.importorskip("PIL")

from click.testing import CliRunner
from PIL import Image

import seaformer_kernels as sk
from seaformer_kernels.cli import demo, images, main
from seaformer_kernels.cli.commands import seaformer
from seaformer_kernels.cli.errors import ImageError
from seaformer_kernels.cli.palettes import PALETTES
from seaformer_kernels.cli.segment import most_frequent

MODEL = "seaformer_tiny"


@pytest.fixture(autouse=True)
def same_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(*args, **env):
    result = CliRunner().invoke(seaformer, [str(arg) for arg in args], env=env)
    # Anything but a chosen exit would be a traceback for the user.
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def segment(*args, **env):
    return run("segment", "--model", MODEL, "--out", "out", *args, **env)


def photo(width=64, height=48, seed=0):
    """Smooth blobs, so that neighbouring pixels have reason to share a label."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "photo.png"
    photo().save(path)
    return path


def make_model(classes=150, seed=0, name=MODEL):
    torch.manual_seed(seed)
    return sk.create_model(name, num_classes=classes)


MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def pixels(image, resize=None):
    scaled = image.resize(resize, Image.Resampling.BILINEAR) if resize else image
    return torch.tensor(np.asarray(scaled)).permute(2, 0, 1)[None]


def expected_labels(image, model, resize=None):
    fast = sk.optimize(model, mean=MEAN, std=STD)
    return fast.predict(pixels(image, resize), size=image.size[::-1])[0].numpy()


def labels_in(path):
    with Image.open(path) as image:
        return np.asarray(image)


def files_in(folder):
    return sorted(path.name for path in folder.iterdir())


# Results


@pytest.mark.parametrize(("palette", "classes"), [("ade20k", 150), ("cityscapes", 19)])
def test_labels_are_those_of_predict_in_the_palette_of_the_data_set(
    picture, tmp_path, palette, classes
):
    result = segment(picture, "--palette", palette)
    assert result.exit_code == 0, result.output
    assert files_in(tmp_path / "out") == ["photo_labels.png", "photo_overlay.png"]
    with Image.open(tmp_path / "out" / "photo_labels.png") as written:
        assert written.mode == "P"
        expected = expected_labels(photo(), make_model(classes))
        assert len(np.unique(expected)) > 1
        np.testing.assert_array_equal(np.asarray(written), expected)
        colours = PALETTES[palette].colours
        np.testing.assert_array_equal(np.asarray(written.convert("RGB")), colours[expected])


def test_eager_labels_are_those_of_the_plain_model(picture, tmp_path):
    assert segment(picture, "--eager").exit_code == 0
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    with torch.no_grad():
        logits = make_model()((pixels(photo()) - mean) / std)
    best = torch.nn.functional.interpolate(logits, (48, 64), mode="bilinear").argmax(1)
    np.testing.assert_array_equal(labels_in(tmp_path / "out" / "photo_labels.png"), best[0])


def test_eager_runs_no_op_of_ours(picture, monkeypatch):
    monkeypatch.setattr(sk, "optimize", None)
    monkeypatch.setattr(sk.ops, "upsample_argmax", None)
    assert segment(picture, "--eager").exit_code == 0
    with pytest.raises(AssertionError, match="NoneType"):
        segment(picture, "--overwrite")


def test_label_png_has_8_bits_even_for_few_classes(picture, tmp_path):
    # Pillow packs palettes of up to 16 colours into fewer bits, which some readers do not expect.
    assert segment(picture, "--palette", "cityscapes", "--num-classes", 3).exit_code == 0
    header = (tmp_path / "out" / "photo_labels.png").read_bytes()[:26]
    assert (header[24], header[25]) == (8, 3)  # bit depth, colour type


@pytest.mark.parametrize("alpha", [0, 0.5, 1])
def test_overlay_blends_image_and_colours(picture, tmp_path, alpha):
    assert segment(picture, "--alpha", alpha).exit_code == 0
    labels = labels_in(tmp_path / "out" / "photo_labels.png")
    overlay = labels_in(tmp_path / "out" / "photo_overlay.png")
    colours = PALETTES["ade20k"].colours[labels].astype(float)
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


def test_weights_come_from_the_checkpoint(picture, tmp_path):
    model = make_model(seed=7)
    torch.save(model.state_dict(), "weights.pth")
    result = segment(picture, "--weights", "weights.pth")
    assert result.exit_code == 0, result.output
    written = labels_in(tmp_path / "out" / "photo_labels.png")
    expected = expected_labels(photo(), model)
    np.testing.assert_array_equal(written, expected)
    assert most_frequent(expected, PALETTES["ade20k"].names)[0] in result.stdout
    assert "weights.pth" in result.stderr and "random" not in result.output


def test_without_weights_it_says_that_labels_mean_nothing(picture):
    result = segment(picture)
    assert "random" in result.stderr and "the labels mean nothing" in result.stderr
    assert "mostly" not in result.stdout


def test_threads_are_set(picture):
    assert segment(picture, "--threads", 1).exit_code == 0
    assert torch.get_num_threads() == 1


# What it tells


def test_a_pipe_gets_a_line_for_each_image_and_the_medians(tmp_path):
    photo().save("a.png")
    photo(40, 50).save("b.png")
    lines = segment("a.png", "b.png").stdout.splitlines()
    assert lines[0].startswith("a.png (64x48): read ") and lines[1].startswith("b.png (40x50): ")
    assert lines[2].startswith("median of 2: read ")
    for step in ("network", "labels", "write"):
        assert all(f"{step} " in line for line in lines[:3])


def test_a_terminal_gets_a_table(tmp_path):
    photo().save("[bold]a.png")
    photo(40, 50).save("b.png")
    result = segment("[bold]a.png", "b.png", FORCE_COLOR="1", COLUMNS="120", TERM="xterm")
    assert result.exit_code == 0, result.output
    for text in ("[bold]a.png", "64x48", "40x50", "network", "median"):
        assert text in result.stdout


def test_most_frequent_labels_are_named_with_their_share():
    labels = np.array([[1, 1, 1, 5], [0, 0, 1, 1]], np.uint8)
    assert most_frequent(labels, ("a", "b")) == ["b 62%", "a 25%", "class 5 12%"]


# Reading


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1", "YCbCr"])
def test_modes_become_rgb_as_pillow_converts_them(tmp_path, mode):
    suffix = "tif" if mode == "YCbCr" else "png"
    photo().convert(mode).save(f"a.{suffix}")
    image = images.read(tmp_path / f"a.{suffix}")
    assert (image.mode, image.size) == ("RGB", (64, 48))
    expected = photo().convert(mode).convert("RGB")
    np.testing.assert_array_equal(np.asarray(image), np.asarray(expected))


def test_cmyk_becomes_rgb(tmp_path):
    Image.new("CMYK", (40, 40), (0, 255, 255, 0)).save("a.tif")
    assert images.read(tmp_path / "a.tif").getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_greyscale_is_scaled_to_8_bits(tmp_path, suffix):
    values = (np.arange(48 * 64).reshape(48, 64) * 21).astype(np.uint16)
    Image.fromarray(values).save(f"a.{suffix}")
    pixels = np.asarray(images.read(tmp_path / f"a.{suffix}"))
    np.testing.assert_array_equal(pixels, np.repeat((values >> 8)[..., None], 3, axis=2))


def test_exif_orientation_turns_the_image_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    photo().save("a.png", exif=exif)
    upright = photo().transpose(Image.Transpose.ROTATE_270)
    np.testing.assert_array_equal(np.asarray(images.read(tmp_path / "a.png")), np.asarray(upright))
    assert segment("a.png").exit_code == 0
    assert labels_in(tmp_path / "out" / "a_labels.png").shape == (64, 48)


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
        "float32 pixels",
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


def test_a_decompression_bomb_is_refused(picture, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    result = segment(picture)
    assert result.exit_code == 1 and "decompression bomb" in result.stderr


def allocate_too_much(x):
    return torch.empty(1 << 60, dtype=torch.uint8)  # a real failure of torch's allocator


def raise_memory_error(x):
    raise MemoryError


@pytest.mark.parametrize(
    ("forward", "size"),
    [(allocate_too_much, "1,152,921,504.6 GB"), (raise_memory_error, "input alone takes 0 MB")],
)
def test_out_of_memory_tells_image_and_sizes(picture, tmp_path, monkeypatch, forward, size):
    monkeypatch.setattr(sk, "create_model", lambda *args, **kwargs: forward)
    result = segment(picture, "--eager")
    assert result.exit_code == 1
    assert "photo.png: out of memory at 64x48 pixels" in result.stderr and size in result.stderr
    assert files_in(tmp_path / "out") == []


def test_more_pixels_than_memory_holds_are_refused_before_any_is_taken(picture):
    result = segment(picture, "--resize", "99999x99999")
    assert result.exit_code == 1
    assert "out of memory at 99999x99999 pixels (the network takes more than 320.0 GB" in (
        result.stderr
    )


def test_other_errors_are_not_taken_for_lack_of_memory(picture, monkeypatch):
    def forward(x):
        raise RuntimeError("a bug")

    monkeypatch.setattr(sk, "create_model", lambda *args, **kwargs: forward)
    with pytest.raises(AssertionError, match="a bug"):
        segment(picture, "--eager")


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


# Failures of the whole command


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


def test_an_output_folder_that_is_a_file_is_told(picture, tmp_path):
    (tmp_path / "out").write_text("")
    result = segment(picture)
    assert result.exit_code == 1
    assert "Cannot write to the output folder out: it is not a folder." in result.stderr


def test_an_empty_folder_is_told(tmp_path):
    (tmp_path / "photos").mkdir()
    result = segment("photos")
    assert result.exit_code == 2 and "no images in the folder photos" in result.stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--model", "seaformer_giant"], "seaformer_large"),
        (["--palette", "coco"], "cityscapes"),
        (["--resize", "512"], "such as 512x512"),
        (["--resize", "31x512"], "at least 32 pixels"),
        (["--alpha", "2"], "0<=x<=1"),
        (["--threads", "0"], "x>=1"),
        (["--num-classes", "0"], "1<=x<=65536"),
    ],
)
def test_wrong_options_are_usage_errors(picture, args, message):
    result = segment(picture, *args)
    assert result.exit_code == 2 and message in result.stderr


def test_no_image_is_a_usage_error():
    assert segment().exit_code == 2


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


def test_a_wrong_forced_isa_is_told(monkeypatch):
    def info():
        raise ValueError("SEAFORMER_FORCE_ISA: unknown ISA 'z80'")

    monkeypatch.setattr(sk.cpu, "info", info)
    result = run("info")
    assert result.exit_code == 1 and "unknown ISA 'z80'" in result.stderr


def test_without_click_one_sentence_names_the_extra():
    code = (
        "import sys; sys.modules['click'] = None\n"
        "from seaformer_kernels.cli import main; sys.exit(main())"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr == ("The command line needs click: pip install 'seaformer-kernels[cli]'\n")


@pytest.mark.parametrize("library", ["rich", "PIL"])
def test_without_its_other_libraries_too(library, monkeypatch, capsys):
    for name in [name for name in sys.modules if name.startswith("seaformer_kernels.cli.")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.partition(".")[0] == library]:
        monkeypatch.setitem(sys.modules, name, None)
    assert main() == 1
    assert f"needs {library}: pip install" in capsys.readouterr().err


# The other commands


def test_version():
    assert sk.__version__ in run("--version").stdout


def test_info():
    result = run("info")
    assert result.exit_code == 0
    assert sk.__version__ in result.stdout and torch.__version__ in result.stdout
    assert json.loads(run("info", "--json").stdout) == json.loads(
        json.dumps(sk.cpu.info().to_dict())
    )


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


# Palettes


def test_palettes_have_the_published_entries():
    ade, city = PALETTES["ade20k"], PALETTES["cityscapes"]
    for palette, classes in ((ade, 150), (city, 19)):
        assert palette.colours.shape == (classes, 3) and palette.colours.dtype == np.uint8
        assert len(set(palette.names)) == len(palette.names) == classes
    assert len(np.unique(city.colours, axis=0)) == 19
    assert len(np.unique(ade.colours, axis=0)) == 149  # road and skyscraper are both grey
    known = {
        "wall": (120, 120, 120), "sky": (6, 230, 230), "person": (150, 5, 61),
        "skyscraper": (140, 140, 140), "bulletin board": (184, 255, 0), "flag": (92, 0, 255),
    }  # fmt: skip
    assert {name: tuple(ade.colours[ade.names.index(name)]) for name in known} == known
    known = {"road": (128, 64, 128), "sky": (70, 130, 180), "bicycle": (119, 11, 32)}
    assert {name: tuple(city.colours[city.names.index(name)]) for name in known} == known


def test_colours_start_again_past_the_last_class():
    colours = PALETTES["cityscapes"].resized(21)
    np.testing.assert_array_equal(colours[19:], colours[:2])


def test_a_folder_is_not_an_image(tmp_path):
    with pytest.raises(ImageError, match="cannot be read"):
        images.read(tmp_path)
