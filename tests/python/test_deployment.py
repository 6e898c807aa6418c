"""docs/start/deployment.md: other processes, with and without Python, have the same labels."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import seaformer_kernels as sk

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
LIBRARY = Path(sk.__file__).with_name("libseaformer_ops.so")
MODEL, CLASSES = "seaformer_tiny", 19
MEAN, STD = sk.data.IMAGENET_MEAN, sk.data.IMAGENET_STD

pytestmark = [
    pytest.mark.slow,
    pytest.mark.compile,
    pytest.mark.children,
    pytest.mark.skipif(not LIBRARY.exists(), reason="the native extension is not built"),
]


def run(*command: object) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Holds photo.ppm and, in exported/, what the example writes."""
    pytest.importorskip("PIL")
    folder = tmp_path_factory.mktemp("deployment")
    (folder / "photo.ppm").write_bytes(b"P6\n# a comment\n120 100\n255\n" + pixels().tobytes())
    exporter = EXAMPLES / "export_segmenter.py"
    options = ("--model", MODEL, "--num-classes", CLASSES, "--out", folder / "exported")
    run(sys.executable, exporter, *options)
    return folder


def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (100, 120, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def fast() -> sk.OptimizedModel:
    """The model that the example exports."""
    torch.manual_seed(0)
    return sk.optimize(sk.create_model(MODEL, num_classes=CLASSES), mean=MEAN, std=STD)


@pytest.fixture(scope="module")
def expected(fast) -> str:
    """What the examples are to print."""
    labels = fast.predict(torch.from_numpy(pixels()).permute(2, 0, 1)[None])[0].numpy()
    counts = np.bincount(labels.ravel())
    assert len(counts.nonzero()[0]) > 1
    checksum = sum(int(label) * (i % 65521 + 1) for i, label in enumerate(labels.ravel()))
    return f"labels 100x120, mostly {counts.argmax()}, checksum {checksum}\n"


FORMS = [("segmenter.pt2",), ("segmenter_aoti.pt2", "--aoti")]


@pytest.mark.parametrize("form", FORMS)
def test_in_a_process_that_imports_the_package(folder, expected, form):
    file, *options = form
    script = EXAMPLES / "label_image.py"
    image = folder / "photo.ppm"
    assert run(sys.executable, script, folder / "exported" / file, image, *options) == expected


@pytest.mark.parametrize("form", FORMS)
def test_with_the_library_alone(folder, expected, form):
    file, *options = form
    without_package = (
        "import runpy, sys; sys.modules['seaformer_kernels'] = None; "
        "runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    )
    arguments = (folder / "exported" / file, folder / "photo.ppm", "--library", LIBRARY, *options)
    script = EXAMPLES / "label_image.py"
    assert run(sys.executable, "-c", without_package, script, *arguments) == expected


@pytest.mark.parametrize("form", FORMS)
def test_sizes_are_free(folder, fast, form):
    file = str(folder / "exported" / form[0])
    aoti = "--aoti" in form
    labeller = torch._inductor.aoti_load_package(file) if aoti else torch.export.load(file).module()
    for batch, height, width in ((1, 65, 65), (2, 96, 70), (3, 130, 257)):
        images = torch.randint(0, 256, (batch, height, width, 3), dtype=torch.uint8)
        assert torch.equal(labeller(images), fast.predict(images.permute(0, 3, 1, 2)))


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    """The C++ example, built."""
    if not shutil.which("cmake") or not shutil.which("c++"):
        pytest.skip("needs cmake and a C++ compiler")
    build = tmp_path_factory.mktemp("aoti_cpp")
    prefix = f"-DCMAKE_PREFIX_PATH={torch.utils.cmake_prefix_path}"
    run("cmake", "-S", EXAMPLES / "aoti_cpp", "-B", build, "-DCMAKE_BUILD_TYPE=Release", prefix)
    run("cmake", "--build", build)
    return build / "label_image"


def test_from_cpp(folder, expected, program):
    package = folder / "exported" / "segmenter_aoti.pt2"
    assert run(program, LIBRARY, package, folder / "photo.ppm") == expected


def test_cpp_errors_are_told(folder, program):
    package = folder / "exported" / "segmenter_aoti.pt2"
    photo = (folder / "photo.ppm").read_bytes()
    bad = {
        "cut.ppm": (photo[:-1], "is cut short"),
        "other.ppm": (b"P5" + photo[2:], "is not a binary PPM image of 8 bits"),
        "header.ppm": (photo[:9], "is not a binary PPM image"),
    }
    for name, (content, message) in bad.items():
        (folder / name).write_bytes(content)
        done = subprocess.run(
            [program, LIBRARY, package, folder / name], capture_output=True, text=True
        )
        assert done.returncode == 1 and message in done.stderr
    done = subprocess.run([program, "none.so", package, "none.ppm"], capture_output=True, text=True)
    assert done.returncode == 1 and "none.so" in done.stderr


@pytest.mark.skipif(not shutil.which("ldd"), reason="needs ldd")
def test_neither_program_nor_library_needs_python(program):
    for file in (program, LIBRARY):
        libraries = run("ldd", file)
        assert "libtorch_cpu" in libraries and "libpython" not in libraries
        assert "libtorch_python" not in libraries


def test_the_snippets_of_the_documentation(tmp_path, monkeypatch):
    torch.compiler.reset()
    snippets = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs/start/deployment.md").read_text(), re.DOTALL
    )
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for snippet in snippets:
        exec(snippet, names)
    assert names["library"].exists()
    assert names["labels"].shape == (480, 640) and names["labels"].dtype == torch.uint8
    assert names["logits"].shape == (1, 19, 30, 40)
