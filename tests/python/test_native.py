"""export_native, and the program that runs its files: the labels are Python's."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from golden import CASE_PARAMS, GoldenCase, parse, state_dict

import seaformer_kernels as sk

pytest.importorskip("click")
Image = pytest.importorskip("PIL.Image")

from click.testing import CliRunner  # noqa: E402

from seaformer_kernels.cli.commands import seaformer  # noqa: E402

ROOT = Path(__file__).parents[2]
MEAN, STD = sk.data.IMAGENET_MEAN, sk.data.IMAGENET_STD
# tests/arm/test_native.sh names an emulator and the program that it runs.
PROGRAM = os.environ.get("SEAFORMER_NATIVE", str(ROOT / "build/release/seaformer-native")).split()

needs_program = pytest.mark.skipif(
    shutil.which(PROGRAM[-1]) is None, reason="seaformer-native is not built (make test-cpp)"
)
emulated = len(PROGRAM) > 1


def run(*arguments: object, code: int = 0) -> str:
    done = subprocess.run(
        [*PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def golden_model(key: str) -> torch.nn.Module:
    name, task = parse(key)
    model = sk.create_model(name, task)
    model.load_state_dict(state_dict(key))
    return model


def pixels(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array).permute(2, 0, 1)[None]


# Photographs that come with packages, and the sizes that they are tested at.
PHOTOGRAPHS = {
    "portrait": ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg", (256, 300)),
    "temple": ("sklearn", "datasets/images/china.jpg", (320, 213)),
    "flower": ("sklearn", "datasets/images/flower.jpg", (131, 97)),
}


def photographs() -> dict[str, np.ndarray]:
    """Images [H, W, 3]: photographs, or where their package is missing others with such detail."""
    found = {}
    for seed, (name, (package, path, size)) in enumerate(PHOTOGRAPHS.items()):
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            found[f"instead of {name}"] = synthetic(seed, *size)
            continue
        with Image.open(Path(spec.origin).parent / path) as file:
            found[name] = np.asarray(file.convert("RGB").resize(size)).copy()
    return found


def synthetic(seed: int, width: int, height: int) -> np.ndarray:
    """An image with detail at every scale, falling off with it."""
    random = np.random.default_rng(seed)
    image = np.zeros((height, width, 3))
    for side in (3, 7, 17, 41, 97):
        noise = random.integers(0, 256, (side, side, 3), dtype=np.uint8)
        scaled = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
        image += (np.asarray(scaled) - 127.5) / side**0.7 * 2
    return (image + 127.5).clip(0, 255).astype(np.uint8)


PHOTOS = photographs()
PHOTO = [*PHOTOS.values()][-1]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> tuple[torch.nn.Module, Path]:
    """An optimised model, and its file."""
    fast = sk.optimize(golden_model("seg_tiny"), MEAN, STD)
    path = tmp_path_factory.mktemp("native") / "tiny.sfm"
    sk.export_native(fast, path)
    return fast, path


def save_ppm(path: Path, image: np.ndarray) -> Path:
    Image.fromarray(image).save(path, format="PPM")
    return path


def read_labels(path: Path) -> np.ndarray:
    """Of a PGM, whose 16-bit values pillow does not read alike in all versions."""
    _, size, most, data = path.read_bytes().split(b"\n", 3)
    width, height = map(int, size.split())
    return np.frombuffer(data, ">u2" if int(most) > 255 else "u1").reshape(height, width)


def assert_same_labels(got: np.ndarray, expected: torch.Tensor) -> None:
    """Equal; where Python has no kernels and rounds otherwise, but for near-ties."""
    agreeing = (got == expected.numpy()).mean()
    assert agreeing == 1 if sk.cpu.info().extension_loaded else agreeing > 0.999


@needs_program
@pytest.mark.parametrize("photo", PHOTOS)
def test_labels_of_photographs(tiny, tmp_path, photo):
    fast, model = tiny
    ppm = save_ppm(tmp_path / "photo.ppm", PHOTOS[photo])
    printed = run(model, ppm, "-o", tmp_path / "labels.pgm", "--repeat", 2, "--threads", 2)
    assert "load" in printed and "median" in printed
    with torch.inference_mode():
        expected = fast.predict(pixels(PHOTOS[photo]))[0]
    got = read_labels(tmp_path / "labels.pgm")
    assert_same_labels(got, expected)


@needs_program
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@torch.inference_mode()
def test_labels_of_a_half_type(tmp_path, dtype):
    model, keep = golden_model("seg_tiny"), ["backbone.smb1", "decode_head.fuse1"]
    path = tmp_path / "half.sfm"
    sk.export_native(model, path, MEAN, STD, dtype=dtype, keep_float32=keep)
    fast = sk.optimize(model, MEAN, STD, dtype=dtype, keep_float32=keep)
    run(path, save_ppm(tmp_path / "photo.ppm", PHOTO), "-o", tmp_path / "labels.pgm")
    assert_same_labels(read_labels(tmp_path / "labels.pgm"), fast.predict(pixels(PHOTO))[0])
    assert f"{str(dtype).removeprefix('torch.')} weights and maps" in run(path, "--info")


@needs_program
@pytest.mark.parametrize("case", [case for case in CASE_PARAMS if case.values[0].startswith("seg")])
@torch.inference_mode()
def test_labels_of_golden_cases(tmp_path, case):
    golden = GoldenCase.load(case)
    model = golden_model(golden.model_key)
    report = sk.export_native(model, tmp_path / "model.sfm", MEAN, STD)
    assert report.bytes == (tmp_path / "model.sfm").stat().st_size
    fast = sk.optimize(model, MEAN, STD)
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    # The cases are of normalised images: those that normalise to nearly the same.
    images = (golden.input() * std + mean).round().clamp(0, 255).byte()
    for image in images:
        raw = image.permute(1, 2, 0).contiguous().numpy()
        (tmp_path / "image.raw").write_bytes(raw.tobytes())
        height, width, _ = raw.shape
        run(
            *(tmp_path / "model.sfm", tmp_path / "image.raw", "--raw", f"{width}x{height}"),
            *("-o", tmp_path / "labels.raw", "--size", "75x61"),
        )
        got = np.fromfile(tmp_path / "labels.raw", np.uint8).reshape(61, 75)
        assert_same_labels(got, fast.predict(image[None], (61, 75))[0])


@needs_program
@pytest.mark.skipif(emulated, reason="it has other instruction sets")
def test_instruction_sets(tiny, tmp_path, isa):
    fast, model = tiny
    ppm = save_ppm(tmp_path / "photo.ppm", PHOTO)
    run(model, ppm, "-o", tmp_path / "labels.pgm", "--isa", isa)
    expected = fast.predict(pixels(PHOTO))[0]
    assert_same_labels(read_labels(tmp_path / "labels.pgm"), expected)


@pytest.mark.slow
@needs_program
def test_many_classes(tmp_path):
    torch.manual_seed(0)
    model = sk.create_model("seaformer_tiny", num_classes=300)
    sk.export_native(model, tmp_path / "model.sfm", MEAN, STD)
    ppm = save_ppm(tmp_path / "photo.ppm", PHOTO)
    run(tmp_path / "model.sfm", ppm, "-o", tmp_path / "labels.pgm")
    run(tmp_path / "model.sfm", ppm, "-o", tmp_path / "labels.raw")
    got = read_labels(tmp_path / "labels.pgm")
    raw = np.fromfile(tmp_path / "labels.raw", np.int32).reshape(got.shape)
    np.testing.assert_array_equal(got, raw)
    fast = sk.optimize(model, MEAN, STD)
    assert_same_labels(got, fast.predict(pixels(PHOTO))[0])


@needs_program
def test_labels_of_a_model_that_upsamples(tmp_path):
    torch.manual_seed(0)
    model = sk.create_model("seaformer_tiny", num_classes=8, upsample=True)
    torch.nn.init.normal_(model.decode_head.conv_seg.weight)
    sk.export_native(model, tmp_path / "model.sfm", MEAN, STD)
    ppm = save_ppm(tmp_path / "photo.ppm", PHOTO)
    height, width = (2 * side for side in PHOTO.shape[:2])
    size = ("--size", f"{width}x{height}")
    run(tmp_path / "model.sfm", ppm, "-o", tmp_path / "labels.pgm", *size)
    expected = sk.optimize(model, MEAN, STD).predict(pixels(PHOTO), (height, width))[0]
    assert len(expected.unique()) > 2
    assert_same_labels(read_labels(tmp_path / "labels.pgm"), expected)


@needs_program
def test_classes_of_an_image(tmp_path):
    model = golden_model("cls_tiny")
    sk.export_native(model, tmp_path / "model.sfm", MEAN, STD)
    ppm = save_ppm(tmp_path / "photo.ppm", PHOTO)
    printed = run(tmp_path / "model.sfm", ppm, "--info")
    best = int(sk.optimize(model, MEAN, STD).predict(pixels(PHOTO)))
    assert printed.startswith("classification, 1000 classes")
    assert printed.splitlines()[2].startswith(f"class {best}: ")


@needs_program
def test_failures_are_one_sentence(tiny, tmp_path):
    _, model = tiny
    ppm = save_ppm(tmp_path / "photo.ppm", PHOTO)
    assert "No such file" in run(tmp_path / "none.sfm", ppm, code=1)
    assert "Is a directory" in run(tmp_path, ppm, code=1)
    assert "do not begin like one" in run(ppm, ppm, code=1)
    (tmp_path / "empty.sfm").touch()
    assert "at least 64 bytes, got 0" in run(tmp_path / "empty.sfm", ppm, code=1)
    data = bytearray(model.read_bytes())
    (tmp_path / "short.sfm").write_bytes(data[:-1])
    assert "that its header states" in run(tmp_path / "short.sfm", ppm, code=1)
    data[-1] ^= 1
    (tmp_path / "damaged.sfm").write_bytes(data)
    assert "it is damaged" in run(tmp_path / "damaged.sfm", ppm, code=1)

    assert "expected a binary PPM" in run(model, model, code=1)
    for text in "P6\n99999 99999\n255\n", "P6\n4 4\n65535\n" + 96 * "x", "P6\n", "P6 # 4\n 4 4":
        (tmp_path / "bad.ppm").write_text(text)
        assert "expected" in run(model, tmp_path / "bad.ppm", code=1)
    assert "bytes of pixels" in run(model, ppm, "--raw", "3x3", code=1)
    assert "No such file" in run(model, ppm, "-o", tmp_path / "no" / "x.pgm", code=1)
    assert "usage" in run(code=2)
    assert "expected a number from 1 to 256" in run(model, ppm, "--threads", "0", code=2)
    assert "expected WxH" in run(model, ppm, "--size", "8", code=2)
    assert "unknown option --fast" in run(model, ppm, "--fast", code=2)
    assert "usage" in run("--help")
    assert run("--version").strip() == sk.__version__


@needs_program
@pytest.mark.parametrize("of", ["photo.ppm", "model.sfm"])
@pytest.mark.parametrize("spell", ["same", "dotted", "symbolic link", "hard link"])
def test_inputs_are_not_replaced(tiny, tmp_path, of, spell):
    files = {
        "photo.ppm": save_ppm(tmp_path / "photo.ppm", PHOTO),
        "model.sfm": Path(shutil.copy(tiny[1], tmp_path / "model.sfm")),
    }
    before = files[of].read_bytes()
    output = str(files[of])
    if spell == "dotted":
        output = f"{tmp_path}/./{of}"
    elif spell != "same":
        output = str(tmp_path / "labels.pgm")
        (os.symlink if spell == "symbolic link" else os.link)(files[of], output)
    message = run(files["model.sfm"], files["photo.ppm"], "-o", output, code=2)
    assert f"-o: expected a file other than {files[of]}, which it would replace" in message
    assert files[of].read_bytes() == before


@pytest.mark.skipif(emulated, reason="it is for this machine")
@needs_program
def test_example_in_c(tiny, tmp_path):
    compiler = shutil.which("cc")
    library = ROOT / "build/release/libseaformer.so"
    if compiler is None or not library.exists():
        pytest.skip("cc or libseaformer.so is missing")
    program = tmp_path / "label"
    flags = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'csrc'}"]
    source = ROOT / "examples/native_c/main.c"
    link = [str(library), f"-Wl,-rpath,{library.parent}"]
    subprocess.run([compiler, *flags, str(source), *link, "-o", str(program)], check=True)
    _, model = tiny
    done = subprocess.run([program, model], check=True, capture_output=True, text=True)
    assert done.stdout.startswith("the top left pixel is of class ")
    done = subprocess.run([program, source], capture_output=True, text=True)
    assert done.returncode == 1 and "do not begin like one" in done.stderr


@pytest.mark.skipif(emulated, reason="it is for this machine")
def test_library_exports_its_header():
    library = ROOT / "build/release/libseaformer.so"
    if not library.exists() or shutil.which("nm") is None:
        pytest.skip("libseaformer.so or nm is missing")
    listed = subprocess.run(
        ["nm", "-D", "--defined-only", library], check=True, capture_output=True, text=True
    )
    exported = {line.split()[-1] for line in listed.stdout.splitlines()}
    header = (ROOT / "csrc/capi/seaformer.h").read_text()
    assert exported == set(re.findall(r"^SEAFORMER_API [^(]*?\b(seaformer_\w+)\(", header, re.M))


def test_plain_and_optimised_models_make_one_file(tiny, tmp_path):
    _, path = tiny
    sk.export_native(golden_model("seg_tiny"), tmp_path / "plain.sfm", MEAN, STD)
    assert (tmp_path / "plain.sfm").read_bytes() == path.read_bytes()
    if sk.cpu.info().extension_loaded:
        whole = sk.optimize(golden_model("seg_tiny"), MEAN, STD, whole_graph=True)
        sk.export_native(whole, tmp_path / "whole.sfm")
        assert (tmp_path / "whole.sfm").read_bytes() == path.read_bytes()


def test_writes_all_or_nothing(tiny, tmp_path, monkeypatch):
    fast, path = tiny
    target = tmp_path / "model.sfm"
    target.write_text("before")

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            sk.export_native(fast, target)
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]
    sk.export_native(fast, target)
    assert target.read_bytes() == path.read_bytes()
    assert list(tmp_path.iterdir()) == [target]


def test_refuses_what_it_cannot_export(tiny, tmp_path):
    fast, _ = tiny
    model = golden_model("seg_tiny")
    with pytest.raises(ValueError, match="expected mean and std, as programs give raw RGB"):
        sk.export_native(model, tmp_path / "x")
    with pytest.raises(ValueError, match="for a plain model only"):
        sk.export_native(fast, tmp_path / "x", MEAN, STD)
    with pytest.raises(ValueError, match="for a plain model only"):
        sk.export_native(fast, tmp_path / "x", dtype=torch.float16)
    model.backbone.smb3.layer1.register_forward_hook(print)
    with pytest.raises(ValueError, match=r"backbone.smb3.layer1 has InvertedResidual where"):
        sk.export_native(model, tmp_path / "x", MEAN, STD)
    with pytest.raises(ValueError, match="the model, a FusedSegmentationHead, cannot be traced"):
        sk.export_native(sk.optimize(model.decode_head), tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_command(tmp_path):
    out = tmp_path / "model.sfm"
    arguments = ["export", "seaformer_tiny", "--out", str(out), "--num-classes", "19"]
    result = CliRunner().invoke(seaformer, arguments)
    assert result.exit_code == 0, result.output
    assert "segmentation, 19 classes" in result.output
    assert out.read_bytes().startswith(b"SeaForm\n")
    whole = out.stat().st_size
    result = CliRunner().invoke(seaformer, [*arguments, "--dtype", "float16"])
    assert result.exit_code == 0 and result.output.endswith("bytes in float16\n"), result.output
    assert out.stat().st_size < 0.55 * whole
    arguments[3] = str(tmp_path / "no" / "model.sfm")
    result = CliRunner().invoke(seaformer, arguments)
    assert result.exit_code == 1 and "cannot be written: No such file" in result.output
