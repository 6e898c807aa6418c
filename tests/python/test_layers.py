"""The layers: an include or import that points upward or sideways fails here.

csrc/README.md states the rule in words. A new layer is one row of a table below.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "seaformer_kernels"


class Layer(NamedTuple):
    files: str
    may_include: tuple[str, ...]  # {op} stands for the file's own folder under csrc/kernels
    isa_safe: bool = False  # compiled with an ISA's flags, or included by what is
    foreign: bool = False  # may see torch, pybind11 and Python


# Lowest first. The first row that matches a file is its layer; `*` crosses folders.
CPP_LAYERS = (
    Layer("csrc/core/isa.h", (), isa_safe=True),
    Layer("csrc/core/activation.h", (), isa_safe=True),
    Layer("csrc/core/element.h", (), isa_safe=True),
    Layer("csrc/core/panel.h", (), isa_safe=True),
    Layer("csrc/core/pixels.h", ("csrc/core/element.h",), isa_safe=True),
    Layer("csrc/core/quantized.h", ("csrc/core/activation.h",), isa_safe=True),
    Layer("csrc/core/resize_axis.h", (), isa_safe=True),
    Layer("csrc/core/*", ("csrc/core/*",)),
    Layer(
        "csrc/simd/*",
        ("csrc/core/element.h", "csrc/core/quantized.h", "csrc/simd/*"),
        isa_safe=True,
    ),
    Layer("csrc/kernels/*/variants.h", ("csrc/core/*", "csrc/simd/*", "{op}/*")),
    Layer("csrc/kernels/*/pack.cpp", ("csrc/core/*", "{op}/*")),
    Layer("csrc/kernels/*/*", ("csrc/core/*", "csrc/simd/*", "{op}/*"), isa_safe=True),
    Layer("csrc/kernels/*", ("csrc/core/*", "csrc/kernels/*")),
    Layer("csrc/blocks/*", ("csrc/core/*", "csrc/kernels/*", "csrc/blocks/*")),
    Layer("csrc/network/*", ("csrc/core/*", "csrc/kernels/*", "csrc/blocks/*", "csrc/network/*")),
    Layer("csrc/capi/seaformer.h", ()),
    Layer("csrc/capi/*", ("csrc/core/*", "csrc/blocks/*", "csrc/network/*", "csrc/capi/*")),
    Layer("csrc/cli/*", ("csrc/capi/seaformer.h", "csrc/cli/*")),
    Layer("python/*", ("csrc/*", "python/*"), foreign=True),
)
# No C++ header: the linker may keep an ISA file's copy of a std:: inline function for everyone.
ISA_SAFE_HEADERS = {"stddef.h", "stdint.h", "string.h", "arm_neon.h", "immintrin.h"}
FOREIGN_HEADERS = ("torch/", "ATen/", "c10/", "pybind11/", "Python.h")

# Lowest first; modules in one row do not know each other. `__init__` is the package itself.
PYTHON_LAYERS = (
    {"_C", "_files", "_memory"},
    {"_version", "_extension", "data"},
    {"cpu", "reference"},
    {"ops", "graph"},
    {"modules"},
    {"fused", "models"},
    {"optimize"},
    {"quantize"},
    {"__init__"},
    {"evaluate"},
    {"training"},
    {"bench"},
    {"cli"},
)

CPP_SUFFIXES = {".h", ".hpp", ".inc", ".c", ".cc", ".cpp", ".S"}
INCLUDE = re.compile(r"^\s*#\s*include\b\s*(?:([<\"])([^>\"]+)[>\"])?")


def layer_of(path: str) -> Layer | None:
    return next((layer for layer in CPP_LAYERS if fnmatch(path, layer.files)), None)


def cpp_files(root: Path) -> list[str]:
    """Every C++ file of the layers, relative to `root`."""
    files = (*root.glob("csrc/**/*"), *root.glob("python/**/*"))
    return sorted(f.relative_to(root).as_posix() for f in files if f.suffix in CPP_SUFFIXES)


def include_fault(root: Path, path: str, layer: Layer, quote: str, name: str) -> str | None:
    """What is wrong with one include of `path`, if anything."""
    if not name:
        return "an #include that names no file"
    candidates = (os.path.normpath(f"{Path(path).parent}/{name}"), os.path.normpath(f"csrc/{name}"))
    target = next((c for c in candidates if (root / c).is_file()), None)
    if target is None:
        if quote == '"':
            return f'"{name}" is not a file of the project'
        if layer.isa_safe and name not in ISA_SAFE_HEADERS:
            return f"<{name}> is not for files compiled with an instruction set's flags"
        if not layer.foreign and name.startswith(FOREIGN_HEADERS):
            return f"<{name}> is for python/ only"
        return None
    op = "/".join(path.split("/")[:3])
    if not any(fnmatch(target, pattern.format(op=op)) for pattern in layer.may_include):
        return f"{target} lies above or beside it"
    if layer.isa_safe and not layer_of(target).isa_safe:
        return f"{target} is not for files compiled with an instruction set's flags"
    return None


def cpp_faults(root: Path) -> list[str]:
    faults = []
    for path in cpp_files(root):
        layer = layer_of(path)
        if layer is None:
            faults.append(f"{path}: belongs to no layer; add its folder to CPP_LAYERS")
            continue
        for number, line in enumerate((root / path).read_text().splitlines(), start=1):
            if match := INCLUDE.match(line):
                quote, name = match.groups(default="")
                if fault := include_fault(root, path, layer, quote, name):
                    faults.append(f"{path}:{number}: {fault}")
    return faults


def top_name(module: list[str]) -> str:
    """The part of the package that a dotted name, without the package's own, lies in."""
    known = set().union(*PYTHON_LAYERS)
    # `from seaformer_kernels import x` means the module x if there is one, else the package.
    return module[0] if module and module[0] in known else "__init__"


def imports(file: Path, package: Path) -> Iterator[tuple[int, str]]:
    """(line, part of the package) of every import of our own, at any depth of the file."""
    folder = [PACKAGE, *file.relative_to(package).parts[:-1]]
    for node in ast.walk(ast.parse(file.read_text(), str(file))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = folder[: len(folder) - node.level + 1] if node.level else []
            base = base + (node.module.split(".") if node.module else [])
            names = [[*base, alias.name] for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "importlib.import_module":
            names = [str(getattr(arg, "value", "")).split(".") for arg in node.args]
        for name in names:
            if name[0] == PACKAGE:
                yield node.lineno, top_name(name[1:])


def python_faults(package: Path) -> list[str]:
    heights = {name: height for height, row in enumerate(PYTHON_LAYERS) for name in row}
    faults = []
    for file in sorted(package.rglob("*.py")):
        path = file.relative_to(package)
        name = path.parts[0].removesuffix(".py")
        if name not in heights:
            faults.append(f"{path}: belongs to no layer; add {name!r} to PYTHON_LAYERS")
            continue
        for line, target in imports(file, package):
            if target != name and heights[target] >= heights[name]:
                faults.append(f"{path}:{line}: {target} lies above or beside {name}")
    return faults


def test_includes_point_downward():
    faults = cpp_faults(ROOT)
    assert not faults, "\n".join(faults)


def test_imports_point_downward():
    faults = python_faults(ROOT / PACKAGE)
    assert not faults, "\n".join(faults)


def test_only_headers_are_named_so():
    # What is included inside a namespace is no header: it does not stand alone.
    for path in sorted(ROOT.glob("csrc/**/*.[hi]*")):
        guarded = re.search(r"^#(pragma once|ifndef SEAFORMER_H)$", path.read_text(), re.M)
        assert bool(guarded) == (path.suffix == ".h"), path


def test_every_row_has_files():
    # A folder that was renamed would otherwise leave its rule behind.
    used = {layer_of(path) for path in cpp_files(ROOT)}
    assert [layer.files for layer in CPP_LAYERS if layer not in used] == []
    modules = {path.name.removesuffix(".py") for path in (ROOT / PACKAGE).iterdir()} | {"_C"}
    assert set().union(*PYTHON_LAYERS) - modules == set()


CPP_TREE = {
    "csrc/core/isa.h": "",
    "csrc/core/cpu.h": '#include <vector>\n#include "core/isa.h"\n',
    "csrc/simd/neon.h": "#include <arm_neon.h>\n#include <stdint.h>\n",
    "csrc/kernels/conv/conv.h": '#include <stdint.h>\n#include "core/isa.h"\n',
    "csrc/kernels/conv/variants.h": '#include "core/cpu.h"\n#include "kernels/conv/conv.h"\n',
    "csrc/kernels/conv/generic.h": '#include "kernels/conv/conv.h"\n',
    "csrc/kernels/conv/neon.cpp": '#include "simd/neon.h"\n#include "kernels/conv/generic.h"\n',
    "csrc/kernels/pool/pool.h": "",
    "csrc/kernels/kernels.cpp": '#include "kernels/conv/variants.h"\n#include "core/cpu.h"\n',
    "csrc/blocks/conv.h": "",
    "csrc/blocks/conv.cpp": '#include "blocks/conv.h"\n#include "kernels/conv/variants.h"\n',
    "python/checks.h": "#include <torch/tensor.h>\n",
    "python/ops/conv.cpp": '#include "../checks.h"\n#include "blocks/conv.h"\n',
}
PYTHON_TREE = {
    "__init__.py": "from seaformer_kernels import cpu, ops\n",
    "_extension.py": "import importlib\nimportlib.import_module('seaformer_kernels._C')\n",
    "cpu.py": "import torch\nfrom seaformer_kernels import _extension\n",
    "reference/conv.py": "import torch\n",
    "ops/__init__.py": "from .conv import conv\n",
    "ops/conv.py": "from seaformer_kernels.reference import conv\nfrom .. import cpu\n",
    "modules/conv.py": "import seaformer_kernels.ops.conv\n",
    "cli/main.py": "import seaformer_kernels as sk\nfrom seaformer_kernels.modules import conv\n",
}


def write_tree(root: Path, tree: dict[str, str]) -> None:
    for path, text in tree.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def test_a_good_tree_has_no_faults(tmp_path):
    write_tree(tmp_path, CPP_TREE)
    write_tree(tmp_path / PACKAGE, PYTHON_TREE)
    assert cpp_faults(tmp_path) == []
    assert python_faults(tmp_path / PACKAGE) == []


@pytest.mark.parametrize(
    ("path", "line", "fault"),
    [
        ("csrc/core/cpu.h", '#include "simd/neon.h"', "csrc/simd/neon.h lies above"),
        ("csrc/core/isa.h", "#include <vector>", "<vector> is not for"),
        ("csrc/simd/neon.h", '#include "core/isa.h"', "csrc/core/isa.h lies above or beside"),
        ("csrc/simd/neon.h", "#include <algorithm>", "<algorithm> is not for"),
        ("csrc/kernels/conv/conv.h", "#include <cstdint>", "<cstdint> is not for"),
        ("csrc/kernels/conv/generic.h", '#include "core/cpu.h"', "csrc/core/cpu.h is not for"),
        ("csrc/kernels/conv/neon.cpp", "# include<cmath>", "<cmath> is not for"),
        ("csrc/kernels/conv/neon.cpp", '#include "variants.h"', "variants.h is not for"),
        ("csrc/kernels/conv/sve.cpp", "#include <vector>", "<vector> is not for"),
        ("csrc/kernels/conv/conv.h", '#include "kernels/pool/pool.h"', "pool.h lies above"),
        ("csrc/kernels/conv/conv.h", '#include "../pool/pool.h"', "pool.h lies above"),
        ("csrc/kernels/conv/variants.h", '#include "kernels/pool/pool.h"', "pool.h lies above"),
        ("csrc/kernels/kernels.cpp", '#include "blocks/conv.h"', "csrc/blocks/conv.h lies above"),
        ("csrc/kernels/kernels.cpp", "#include <blocks/conv.h>", "csrc/blocks/conv.h lies above"),
        ("csrc/blocks/conv.cpp", '#include "simd/neon.h"', "csrc/simd/neon.h lies above"),
        ("csrc/blocks/conv.cpp", '#include "../../python/checks.h"', "python/checks.h lies above"),
        ("csrc/blocks/conv.cpp", "#include <torch/tensor.h>", "<torch/tensor.h> is for python/"),
        ("csrc/core/cpu.h", "#include <Python.h>", "<Python.h> is for python/"),
        ("csrc/core/cpu.h", '#include "core/gone.h"', '"core/gone.h" is not a file'),
        ("csrc/core/cpu.h", "#include HEADER", "names no file"),
        ("csrc/extra/new.h", "", "belongs to no layer"),
    ],
)
def test_a_bad_include_is_found(tmp_path, path, line, fault):
    write_tree(tmp_path, CPP_TREE)
    write_tree(tmp_path, {path: CPP_TREE.get(path, "") + line})
    (found,) = cpp_faults(tmp_path)
    assert found.startswith(path)
    assert fault in found


@pytest.mark.parametrize(
    ("path", "line", "fault"),
    [
        ("cpu.py", "from seaformer_kernels import ops", "cpu.py:1: ops lies above"),
        ("cpu.py", "from seaformer_kernels.reference import conv", "reference lies above"),
        ("cpu.py", "import seaformer_kernels", "__init__ lies above"),
        ("cpu.py", "from seaformer_kernels import create_model", "__init__ lies above"),
        ("reference/conv.py", "from seaformer_kernels.ops import conv", "ops lies above"),
        ("reference/conv.py", "from ..ops.conv import conv", "ops lies above"),
        ("ops/conv.py", "def f():\n    import seaformer_kernels.modules", "py:2: modules lies"),
        ("modules/conv.py", "from ..cli import main", "cli lies above"),
        ("models/a.py", "importlib.import_module('seaformer_kernels.cli.main')", "cli lies above"),
        ("__init__.py", "from . import cli", "cli lies above"),
        ("extra.py", "", "belongs to no layer"),
    ],
)
def test_a_bad_import_is_found(tmp_path, path, line, fault):
    write_tree(tmp_path / PACKAGE, {**PYTHON_TREE, path: line})
    (found,) = python_faults(tmp_path / PACKAGE)
    assert found.startswith(path)
    assert fault in found
