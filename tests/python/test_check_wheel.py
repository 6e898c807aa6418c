"""tests/arm/check_wheel.py: what is wrong with an aarch64 library is found and named."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).resolve().parents[1] / "arm" / "check_wheel.py"
COMPILER = "aarch64-linux-gnu-g++"
COUNTER = "#include <atomic>\nstd::atomic<int> n; int next() { return n.fetch_add(1); }"

spec = importlib.util.spec_from_file_location("check_wheel", FILE)
check_wheel = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check_wheel)

cross = pytest.mark.skipif(
    shutil.which(COMPILER) is None, reason=f"{COMPILER} is missing (package g++-aarch64-linux-gnu)"
)


@pytest.mark.parametrize(
    "mnemonic", ["cas", "casal", "caspal", "swp", "swpab", "ldaddal", "ldclrlh", "stsmax", "ldumin"]
)
def test_lse_mnemonics_are_known(mnemonic):
    text = f"0000000000000010 <f()>:\n  10:\t b8e00020 \t{mnemonic}\tw0, w0, [x1]\n"
    assert list(check_wheel.lse_instructions(text)) == [("f()", mnemonic)]


@pytest.mark.parametrize("mnemonic", ["ldaxr", "stlxr", "stp", "ldr", "add", "cset", "stlr"])
def test_others_are_not_lse(mnemonic):
    text = f"0000000000000010 <f()>:\n  10:\t b8e00020 \t{mnemonic}\tw0, w0, [x1]\n"
    assert list(check_wheel.lse_instructions(text)) == []


def test_versions_are_compared_by_number():
    assert check_wheel.newest(["GLIBC_2.9", "GLIBC_2.28", "GLIBC_2.17"]) == "GLIBC_2.28"
    assert check_wheel.newest(["CXXABI_1.3.9", "CXXABI_1.3.11"]) == "CXXABI_1.3.11"


@cross
@pytest.mark.parametrize(
    ("flags", "fault"),
    [
        (["-march=armv8-a", "-mno-outline-atomics", "-Wl,-z,max-page-size=65536"], None),
        (["-march=armv8.1-a", "-Wl,-z,max-page-size=65536"], "next() has ldaddal"),
        (["-mno-outline-atomics", "-Wl,-z,max-page-size=4096"], "aligned to 0x10000, got 0x1000"),
    ],
)
def test_faults_of_a_library(tmp_path, flags, fault):
    (tmp_path / "n.cpp").write_text(COUNTER)
    library = tmp_path / "n.so"
    command = [COMPILER, "-O2", "-shared", "-fPIC", *flags, tmp_path / "n.cpp", "-o", library]
    subprocess.run(command, check=True)
    faults = list(check_wheel.library_faults(library))
    assert any(fault in found for found in faults) if fault else faults == []


@cross
def test_a_library_of_this_machine_is_refused(tmp_path):
    compiler = shutil.which("c++")
    if compiler is None or "x86_64" not in subprocess.getoutput(f"{compiler} -dumpmachine"):
        pytest.skip("needs c++ for x86-64")
    (tmp_path / "n.cpp").write_text(COUNTER)
    command = [compiler, "-shared", "-fPIC", tmp_path / "n.cpp", "-o", tmp_path / "n.so"]
    subprocess.run(command, check=True)
    (fault,) = check_wheel.library_faults(tmp_path / "n.so")
    assert "expected a library for AArch64, got one for" in fault


@pytest.mark.parametrize(
    ("found", "faults"),
    [
        ({"sym_tag": "manylinux_2_26_aarch64", "external_libs": {"libtorch_cpu.so": None}}, []),
        ({"sym_tag": "manylinux_2_28_aarch64", "external_libs": {}}, []),
        ({"sym_tag": "manylinux_2_34_aarch64", "external_libs": {}}, ["got manylinux_2_34"]),
        ({"sym_tag": "linux_aarch64", "external_libs": {"libomp.so": None}}, ["linux_", "libomp"]),
    ],
)
def test_faults_that_auditwheel_finds(monkeypatch, capsys, found, faults):
    found = {**found, "versioned_symbols": {"libc.so.6": ["GLIBC_2.9", "GLIBC_2.17"]}}
    monkeypatch.setattr(check_wheel, "output_of", lambda *_: check_wheel.json.dumps(found))
    messages = list(check_wheel.symbol_faults(Path("any.whl")))
    assert len(messages) == len(faults)
    assert all(part in message for part, message in zip(faults, messages, strict=True))
    assert "needs GLIBC_2.17 of libc.so.6" in capsys.readouterr().out


def test_weights_that_a_wheel_lacks_are_named(monkeypatch, tmp_path):
    (tmp_path / "people-tiny").mkdir()
    monkeypatch.setattr(check_wheel, "WEIGHTS", tmp_path)
    folder = "seaformer_kernels/weights/people-tiny/"
    files = {f"{folder}{name}" for name in ("config.json", "model.safetensors", "NOTICE")}
    assert list(check_wheel.weights_faults(files)) == []
    (fault,) = check_wheel.weights_faults(files - {f"{folder}NOTICE"})
    assert fault == f"expected {folder}NOTICE, got a wheel without it"


def test_usage_without_a_wheel():
    done = subprocess.run([sys.executable, FILE], capture_output=True, text=True)
    assert done.returncode == 1
    assert "usage" in done.stderr
