"""What the package says of the processor, and the choice of an instruction set."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import seaformer_kernels as sk
from seaformer_kernels import _extension

native = pytest.mark.skipif(_extension.module is None, reason="the native extension is not built")


def run_python(code, **env):
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
        timeout=300,
    )


@native
def test_info_tells_isas_reasons_and_choices():
    info = sk.cpu.info()
    assert info.extension_loaded and info.extension_reason is None
    assert {isa.name for isa in info.isas} == {
        *("amx_bf16", "avx512_fp16", "avx512", "avx2"),
        *("neon_bf16", "neon_fp16", "neon_i8mm", "neon_dot", "neon", "scalar"),
    }
    for isa in info.isas:
        assert isa.supported == (isa.reason == "")
    assert info.active_isa == sk.cpu.supported_isas()[0]
    assert [kernel.name for kernel in info.kernels if kernel.dtype == "float32"] == [
        "activate",
        "axial",
        "bilinear",
        "box_overlap",
        "convert",
        "depthwise",
        "logit_scan",
        "pointwise",
        "squeeze_excite",
        "stem",
        "upsample_argmax",
        "winograd",
    ]
    assert all(kernel.chosen in kernel.variants for kernel in info.kernels)
    for dtype in "float16", "bfloat16":
        typed = {kernel.name for kernel in info.kernels if kernel.dtype == dtype}
        assert typed == {
            *("activate", "axial", "bilinear", "convert", "depthwise", "pointwise"),
            *("logit_scan", "squeeze_excite", "stem"),
        }
        assert f"kernel pointwise of {dtype}: " in str(info)
    int8 = [kernel.name for kernel in info.kernels if kernel.dtype == "int8"]
    assert int8 == ["int8_convert", "int8_depthwise", "int8_gate", "int8_pointwise"]
    for dtype in "float32", "float16", "bfloat16":
        for kernel in "pointwise", "convert":  # which there is one of
            assert sk.cpu.chosen(kernel, dtype) in sk.cpu.supported_isas()
    assert json.loads(json.dumps(info.to_dict()))["version"] == sk.__version__
    for text in (info.active_isa, "upsample_argmax", "this library is built for"):
        assert text in str(info)


@native
@pytest.mark.parametrize(
    "kernel", sk.cpu.info().kernels, ids=lambda kernel: f"{kernel.name} {kernel.dtype}"
)
def test_a_kernel_has_the_variants_that_have_files(kernel):
    of_the_type = {
        "x86_64": {"float16": ["avx512_fp16"], "bfloat16": ["amx_bf16"]},
        "aarch64": {
            "float16": ["neon_fp16"],
            "bfloat16": ["neon_bf16"],
            "int8": ["neon_i8mm", "neon_dot"],
        },
    }
    of_all = {"x86_64": ["avx512", "avx2", "scalar"], "aarch64": ["neon", "scalar"]}
    machine = sk.cpu.info().machine
    folder = Path(__file__).parents[2] / "csrc" / "kernels" / kernel.name
    if machine not in of_all or not folder.exists():
        pytest.skip("needs the sources, on x86-64 or ARM Linux")
    isas = of_the_type[machine].get(kernel.dtype, []) + of_all[machine]
    files = [isa for isa in isas if (folder / f"{isa}.cpp").exists()]
    if kernel.dtype != "float32":  # a file need not have every type
        files = [isa for isa in files if isa in kernel.variants]
    assert list(kernel.variants) == files and files[-1] == "scalar"


@native
def test_force_isa_holds_inside_the_block_only():
    before = sk.cpu.info().active_isa
    with sk.cpu.force_isa("scalar"):
        assert sk.cpu.info().active_isa == "scalar"
        assert {kernel.chosen for kernel in sk.cpu.info().kernels} == {"scalar"}
        with sk.cpu.force_isa(before):
            assert sk.cpu.info().active_isa == before
        assert sk.cpu.info().active_isa == "scalar"
    assert sk.cpu.info().active_isa == before


@native
def test_force_isa_is_released_after_an_error():
    before = sk.cpu.info().active_isa
    with pytest.raises(ZeroDivisionError), sk.cpu.force_isa("scalar"):
        raise ZeroDivisionError
    assert sk.cpu.info().active_isa == before


@native
def test_unknown_or_missing_isa_lists_what_there_is():
    with pytest.raises(ValueError, match=r"unknown ISA 'mmx'.*scalar"), sk.cpu.force_isa("mmx"):
        pass
    for isa in sk.cpu.info().isas:
        if not isa.supported:
            expected = f"'{isa.name}' cannot be used here.*scalar"
            with pytest.raises(ValueError, match=expected), sk.cpu.force_isa(isa.name):
                pass
    with pytest.raises(TypeError, match="name of an ISA, got int"), sk.cpu.force_isa(3):
        pass


@native
@pytest.mark.children
def test_environment_forces_an_isa():
    done = run_python(
        "import seaformer_kernels as sk; print(sk.cpu.info().active_isa)",
        SEAFORMER_FORCE_ISA="scalar",
    )
    assert done.stdout.strip() == "scalar", done.stderr


@native
@pytest.mark.children
def test_environment_with_an_unknown_isa_raises_and_lists():
    done = run_python(
        "import torch, seaformer_kernels as sk\n"
        "x = torch.zeros(1, 2, 3, 3)\n"
        "for call in (sk.cpu.info, lambda: sk.ops.upsample_argmax(x, (4, 4))):\n"
        "    try: call()\n"
        "    except ValueError as error: print(error)\n",
        SEAFORMER_FORCE_ISA="sse9",
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 2, done.stdout + done.stderr
    for line in lines:
        assert "SEAFORMER_FORCE_ISA" in line and "'sse9'" in line and "scalar" in line


WITHOUT_EXTENSION = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name == "seaformer_kernels._C":
            raise {error}
sys.meta_path.insert(0, Block())
import torch, seaformer_kernels as sk
from torch.nn import functional as F
info = sk.cpu.info()
assert not info.extension_loaded and info.active_isa == "pytorch", info
print(info.extension_reason)
ours = [name.split("::") for name in torch._C._dispatch_get_all_op_names()]
registered = set(name for library, name in ours if library == "seaformer" and name[0] != "_")
whole = set("network_" + what for what in ["detections", "labels", "logits", "maps"])
# They have no form in plain PyTorch.
named = [kernel.name for kernel in info.kernels]
assert named == sorted(registered - whole) and "sea_attention" in named, named
assert all(kernel.chosen == "pytorch" for kernel in info.kernels)
x = torch.randn(2, 7, 5, 6)
labels = sk.ops.upsample_argmax(x, (40, 48))
assert torch.equal(labels, F.interpolate(x, (40, 48), mode="bilinear").argmax(1).to(torch.uint8))
torch.library.opcheck(torch.ops.seaformer.upsample_argmax.default, (x, [40, 48]))
model = sk.create_model("seaformer_tiny")
assert model.predict(torch.randn(1, 3, 64, 64)).shape == (1, 64, 64)
assert sk.cpu.supported_isas() == []
try:
    with sk.cpu.force_isa("scalar"): pass
except RuntimeError as error: print(error)
"""


@native  # whose absence is then played
@pytest.mark.children
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("ModuleNotFoundError('no module', name=name)", "it was not built"),
        ("ImportError('broken library')", "could not be loaded: broken library"),
    ],
)
def test_without_the_extension_everything_runs_in_plain_pytorch(error, reason):
    done = run_python(WITHOUT_EXTENSION.format(error=error))
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.strip().splitlines()
    assert reason in first and reason in second and "needs the native extension" in second
