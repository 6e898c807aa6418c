"""What the linker sees of the built extension: no code of a wide instruction set leaks out."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from seaformer_kernels import _extension, cpu

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = "libseaformer_ops.so"

# What compilers and linkers bring in by themselves, and the C functions that kernels may call.
ALLOWED = {
    *("memcmp", "memcpy", "memmove", "memset"),
    *("__stack_chk_fail", "__stack_chk_guard", "_GLOBAL_OFFSET_TABLE_"),
}

if not sys.platform.startswith("linux"):
    pytest.skip("reads ELF files, which only Linux has here", allow_module_level=True)
for tool in ("nm", "readelf"):
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is missing (package binutils)", allow_module_level=True)


def run(*command: str | Path) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def symbols(file: Path, *options: str) -> Iterator[tuple[str, str]]:
    """(nm's letter, demangled name) of every symbol."""
    for line in run("nm", "--demangle", *options, file).splitlines():
        kind, name = re.fullmatch(r"[0-9a-f]* +(\S) (.+)", line).groups()
        yield kind, name


def isa_object_faults(file: Path, isa: str) -> list[str]:
    """What in an object file of one instruction set could be run on a processor without it."""
    faults = []
    for kind, name in symbols(file):
        if kind in "VvWwu":
            faults.append(f"{name} is weak: the linker may keep this copy for everyone")
        elif kind == "U" and name not in ALLOWED:
            faults.append(f"{name} comes from elsewhere, and is not in ALLOWED")
        elif kind.isupper() and kind != "U" and not name.startswith(f"seaformer::{isa}::"):
            faults.append(f"{name} is defined outside of namespace seaformer::{isa}")
        elif name.startswith(("_GLOBAL__sub_I_", "global constructors keyed to")):
            faults.append(f"{name} runs when the library is loaded")
    return faults


@pytest.fixture(scope="module")
def isa_objects() -> dict[Path, str]:
    """Object file -> instruction set, from every build tree of this machine."""
    found = {}
    for pattern in ("release", "extension-*"):
        for file in sorted(ROOT.glob(f"build/{pattern}/csrc/CMakeFiles/*.dir/kernels/*/*.o")):
            target = file.relative_to(ROOT).parts[4]
            if target != "seaformer_core.dir":
                found[file] = target.removeprefix("seaformer_").removesuffix(".dir")
    if not found:
        pytest.skip("there is no build tree (build/release or build/extension-*)")
    return found


@pytest.fixture(scope="module")
def extension() -> Path:
    """The folder of the installed extension."""
    if _extension.module is None:
        pytest.skip(f"the native extension is missing: {_extension.reason}")
    return Path(_extension.module.__file__).parent


def test_isa_objects_keep_to_themselves(isa_objects):
    faults = [
        f"{file.relative_to(ROOT)}: {fault}"
        for file, isa in isa_objects.items()
        for fault in isa_object_faults(file, isa)
    ]
    assert not faults, "\n".join(faults)


def test_every_compiled_variant_has_an_object(isa_objects, extension):
    looked_at = {(file.parent.name, isa) for file, isa in isa_objects.items()}
    compiled = {(kernel.name, isa) for kernel in cpu.info().kernels for isa in kernel.variants}
    assert compiled - looked_at == set()


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("namespace seaformer::avx2 { void f() {} int x = 1; }", None),
        ("namespace seaformer::avx2 { inline void f() {} void (*p)() = f; }", "is weak"),
        ("namespace seaformer::avx2 { template <int> int x = 1; int& y = x<1>; }", "is weak"),
        ("namespace seaformer::avx2 { extern int x; int* y = &x; }", "comes from elsewhere"),
        ("namespace seaformer { void f() {} }", "is defined outside of"),
        ("static int x = new int == nullptr;", "runs when the library is loaded"),
    ],
)
def test_a_bad_object_is_found(tmp_path, code, fault):
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("c++ is missing (package g++)")
    (tmp_path / "code.cpp").write_text(code)
    run(compiler, "-std=c++17", "-c", tmp_path / "code.cpp", "-o", tmp_path / "code.o")
    faults = isa_object_faults(tmp_path / "code.o", "avx2")
    assert any(fault in found for found in faults) if fault else faults == []


def test_library_exports_what_its_map_lists(extension):
    patterns = re.findall(r"seaformer::[^;]+(?=;)", (ROOT / "python/exports.map").read_text())
    exported = [name for _, name in symbols(extension / LIBRARY, "-D", "--defined-only")]
    assert [s for s in exported if not any(fnmatchcase(s, p) for p in patterns)] == []
    assert [p for p in patterns if not any(fnmatchcase(s, p) for s in exported)] == []


def test_library_uses_only_the_stable_part_of_torch(extension):
    # torch's C++ symbols change between releases, its C functions do not.
    used = [name for _, name in symbols(extension / LIBRARY, "-D", "--undefined-only")]
    assert [s for s in used if re.search(r"\b(at|c10|caffe2|torch)::|^Py|^_Py", s)] == []
    assert any(s.startswith("aoti_torch_") for s in used)


@pytest.mark.parametrize("library", [LIBRARY, "_C"])
def test_library_is_found_and_loads_without_libpython(extension, library):
    file = Path(_extension.module.__file__) if library == "_C" else extension / library
    entries = re.findall(r"\((\w+)\)[^\[]*\[(.*)\]", run("readelf", "-dW", file))
    needed = [value for tag, value in entries if tag == "NEEDED"]
    assert needed
    assert [name for name in needed if name.startswith("libpython")] == []
    (runpath,) = (value for tag, value in entries if tag in ("RPATH", "RUNPATH"))
    assert runpath.startswith("$ORIGIN")
