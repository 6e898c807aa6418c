"""Builds the native extension with CMake; everything else is in pyproject.toml.

SEAFORMER_BUILD_EXTENSION=auto (default) tries, and installs plain PyTorch if that fails, leaving
the reason where seaformer_kernels.cpu.info() finds it; 1 makes a failure an error; 0 does not try.
CMAKE_ARGS is added to CMake's command line, and CMAKE_TOOLCHAIN_FILE works as everywhere.
SEAFORMER_BUILD_DIR names CMake's folder, which may be another build's with the same compiler: the
core, which they have in common, is then compiled once.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
REASON_FILE = "_build_failure.txt"


def torch_dir() -> Path:
    """Folder of the installed torch package, found without importing it."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        raise RuntimeError(
            "torch is not installed in the building environment; install it first and build with "
            "--no-build-isolation"
        )
    return Path(spec.origin).parent


class CMakeBuild(build_ext):
    """One extension, `_C`; CMake builds it together with the library of ops it links to."""

    def run(self) -> None:
        mode = os.environ.get("SEAFORMER_BUILD_EXTENSION", "auto")
        if mode not in ("auto", "0", "1"):
            raise SystemExit(f"SEAFORMER_BUILD_EXTENSION: expected auto, 0 or 1, got {mode!r}")
        target = Path(self.get_ext_fullpath("seaformer_kernels._C")).resolve().parent
        target.mkdir(parents=True, exist_ok=True)
        reason_file = target / REASON_FILE
        reason_file.unlink(missing_ok=True)
        try:
            if mode == "0":
                raise RuntimeError("SEAFORMER_BUILD_EXTENSION=0 left it out")
            self.build_with_cmake(target)
        except (RuntimeError, OSError, ImportError) as error:
            if mode == "1":
                raise
            for stale in (*target.glob("_C.*.so"), *target.glob("libseaformer_ops.*")):
                stale.unlink(missing_ok=True)
            reason_file.write_text(f"{error}\n")
            self.extensions = []
            self.warn(f"seaformer_kernels is installed without its native extension: {error}")

    def build_with_cmake(self, target: Path) -> None:
        import pybind11

        cmake = shutil.which("cmake")
        if cmake is None:
            raise RuntimeError("cmake was not found (pip install cmake ninja)")
        own = ROOT / "build" / f"extension-{sys.implementation.cache_tag}-{self.plat_name}"
        build = Path(os.environ.get("SEAFORMER_BUILD_DIR") or own)
        configure = [
            cmake,
            *("-S", str(ROOT), "-B", str(build)),
            *(["-G", "Ninja"] if shutil.which("ninja") else []),
            "-DCMAKE_BUILD_TYPE=Release",
            f"-DSEAFORMER_TORCH_DIR={torch_dir()}",
            f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
            f"-DPython_EXECUTABLE={sys.executable}",
            f"-DPython_INCLUDE_DIR={sysconfig.get_path('include')}",
            *shlex.split(os.environ.get("CMAKE_ARGS", "")),  # last, so that it has the last word
        ]
        for command in (
            [*configure, "--fresh"],
            [cmake, "--build", str(build), "--target", "seaformer_ops", "_C"],
            [cmake, "--install", str(build), "--prefix", str(target), "--component", "extension"],
        ):
            run_quietly(command)

    def get_outputs(self) -> list[str]:
        target = Path(self.get_ext_fullpath("seaformer_kernels._C")).parent
        patterns = ("*.so", "*.dylib", REASON_FILE)
        return [str(path) for pattern in patterns for path in target.glob(pattern)]


def run_quietly(command: list[str]) -> None:
    """Runs a command; a failure's message is one line that begins where the errors do."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(done.stdout)
    if done.returncode != 0:
        lines = done.stdout.splitlines()
        first = next((i for i, line in enumerate(lines) if "error" in line.lower()), -5)
        errors = " ".join(" ".join(lines[first:][:5]).split())
        raise RuntimeError(f"{Path(command[0]).name} {command[1]} failed: {errors}")


setup(
    ext_modules=[Extension("seaformer_kernels._C", sources=[])],
    cmdclass={"build_ext": CMakeBuild},
)
