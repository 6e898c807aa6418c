"""benchmarks/: what it measures with, and a short run of the suite."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

import seaformer_kernels as sk
from seaformer_kernels.bench import implementations, machine
from seaformer_kernels.ops._element import ELEMENTS

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"


def load(path: Path, name: str):
    """The module at `path`, with its folder importable while it loads."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module


onednn = load(BENCHMARKS / "onednn.py", "onednn")
traced = load(BENCHMARKS / "traced.py", "traced")
blocks = load(BENCHMARKS / "blocks.py", "blocks")
trace_shapes = load(BENCHMARKS / "trace_shapes.py", "trace_shapes")
compare = load(BENCHMARKS / "compare.py", "compare")
measuring = load(BENCHMARKS / "conftest.py", "benchmarks_conftest")
arm = load(BENCHMARKS / "arm" / "bench_upsample_argmax.py", "arm_bench_upsample_argmax")
count_layers = load(BENCHMARKS / "arm" / "count_layers.py", "count_layers")


def test_ratios_are_of_the_same_round():
    result = measuring.Result(
        labels={"case": "x"},
        seconds={"ours": [1e-3, 2e-3, 4e-3], "peer": [3e-3, 6e-3, 12e-3]},
        calls={"ours": 1, "peer": 1},
        peers=["peer"],
    )
    assert result.ratios("ours", "peer") == pytest.approx([3.0] * 3)
    columns, rows = measuring.summary(result)
    assert columns == ("case", "rounds", "ours", "ours, ms", "peer, ms", "peer / ours")
    assert rows == [["x", "3", "ours", "2 [1.5, 3]", "6 [4.5, 9]", "3 [3, 3]"]]


def test_medians_are_over_the_cases_of_a_family():
    def result(family, a, b):
        seconds = {"ours": [1.0] * 3, "a": [a] * 3, "b": [b] * 3}
        return measuring.Result({}, seconds, dict.fromkeys(seconds, 1), ["a", "b"], family)

    results = [result("f", 2.0, 3.0), result("", 9.0, 9.0), result("f", 4.0, 1.0)]
    assert measuring.medians(results) == [
        ["f", "2", "ours", "a", "3", "2 to 4"],
        ["f", "2", "ours", "b", "2", "1 to 3"],
        ["f", "2", "ours", "the fastest", "1.5", "1 to 2"],
    ]


def test_close_results_pass_and_others_are_named():
    x = torch.linspace(-2, 1, 7)
    implementations.check_close({"a": lambda: x + 1e-5, "b": lambda: x})
    with pytest.raises(AssertionError, match=r"^a: differs by 0\.001, allowed are 0\.0002"):
        implementations.check_close({"a": lambda: x + 1e-3, "b": lambda: x})


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("activation", ["none", "relu", "relu6", "hardsigmoid"])
def test_onednn_convolutions_are_convolutions(monkeypatch, activation, fused):
    if fused and not onednn.FUSED:
        pytest.skip("this torch has no fused convolutions")
    monkeypatch.setattr(onednn, "FUSED", fused)
    torch.manual_seed(0)
    x = torch.randn(2, 8, 9, 11).contiguous(memory_format=torch.channels_last) * 4
    activate = {"none": lambda y: y, "hardsigmoid": F.hardsigmoid, "relu6": F.relu6, "relu": F.relu}
    with torch.no_grad():
        for options in ({}, {"stride": 2, "padding": 2, "groups": 8}):
            conv = torch.nn.Conv2d(8, 8, 5 if options else 1, **options)
            call = onednn.Convolution(conv, x.shape, activation)
            torch.testing.assert_close(call(x), activate[activation](conv(x)))
        conv = torch.nn.Conv2d(8, 8, 1)
        torch.testing.assert_close(onednn.Convolution(conv, x.shape)(x, x), conv(x) + x)


def test_shapes_are_those_of_the_models():
    variant = sk.list_models()[0]
    found: dict[str, list[tuple]] = {kind: [] for kind in trace_shapes.COLUMNS}
    for task in trace_shapes.KINDS:
        for (kind, sizes), name in trace_shapes.trace(variant, task).items():
            found[kind].append((name, sizes))
    for kind, expected in found.items():
        rows = [(s.module, tuple(s.sizes.values())) for s in traced.shapes(kind, variant)]
        assert rows == expected != []


@pytest.mark.parametrize("kind", trace_shapes.COLUMNS)
def test_equal_sizes_stand_once(kind):
    sizes = [tuple(s.sizes.values()) for s in traced.shapes(kind)]
    assert len(sizes) == len(set(sizes))


@pytest.mark.parametrize("dtype", ELEMENTS)
@pytest.mark.parametrize("kind", [*trace_shapes.COLUMNS][2:])
def test_forms_of_a_block_agree(kind, dtype):
    for shape in traced.shapes(kind, sk.list_models()[0]):
        sides = {name for name in shape.sizes if name.endswith(("height", "width"))}
        small = {k: min(size, 16) if k in sides else size for k, size in shape.sizes.items()}
        block = blocks.make_block(dataclasses.replace(shape, sizes=small), dtype)
        forms = {"fused": block.fused, "onednn": block.onednn or block.eager, "eager": block.eager}
        with torch.inference_mode():
            implementations.check_close(
                {name: functools.partial(form, *block.inputs) for name, form in forms.items()},
                dtype,
            )


@pytest.mark.parametrize("with_rich", [True, False])
def test_table_holds_every_row_in_one_line(monkeypatch, with_rich):
    if with_rich:
        pytest.importorskip("rich")
    else:
        monkeypatch.setitem(sys.modules, "rich", None)
    rows = [["1" * 90, "2 [1, 3]"], ["4", "5 [4, 6]"]]
    lines = measuring.table(("a long heading", "b"), rows).splitlines()
    assert lines[0].split() == ["a", "long", "heading", "b"]
    assert [line.split() for line in lines[-2:]] == [[a, *b.split()] for a, b in rows]


def arm_counts(smooth_fused: int, noise_fused: int) -> dict:
    totals = {
        ("smooth", "fused"): smooth_fused,
        ("smooth", "brute"): 90_000_000,
        ("noise", "fused"): noise_fused,
        ("noise", "brute"): 90_000_000,
    }
    return {run: {"window": 0, "total": n, "vec_fma": n, "sve": 0} for run, n in totals.items()}


@pytest.mark.parametrize(
    ("smooth", "noise", "missed"),
    [
        (5_000_000, 90_000_000, []),
        (5_000_001, 90_000_000, [("smooth", "fused")]),
        (5_000_000, 90_000_001, [("noise", "fused")]),
    ],
)
def test_arm_targets(monkeypatch, capsys, smooth, noise, missed):
    counts = arm_counts(smooth, noise)
    assert arm.missed(counts) == missed
    monkeypatch.setattr(arm, "count_runs", lambda *_: counts)
    monkeypatch.setattr(sys, "argv", ["bench_upsample_argmax.py"])
    assert arm.main() == (1 if missed else 0)
    heading, *rows = capsys.readouterr().out.splitlines()
    assert heading.split() == ["logits", "method", "total", "vec_fma", "target"]
    assert [tuple(row.split()[:2]) for row in rows if "missed" in row] == missed


def test_arm_count_without_a_program_is_one_sentence(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["bench_upsample_argmax.py", str(tmp_path / "missing")])
    assert arm.main() == 2
    assert "no such program" in capsys.readouterr().err


def test_layer_counts_are_summed_up_by_the_way_they_run():
    counted = [(1.1, "a"), (1.5, "b"), (1.2, "c"), (1.4, "a/unfused")]
    assert count_layers.summary(counted, "") == [
        "3 layers: median 1.200, at most 1.500 (b)",
        "1 layers unfused: median 1.400, at most 1.400 (a/unfused)",
    ]
    with pytest.raises(count_layers.count.CountError, match="expected a layer with 'x' in its"):
        count_layers.summary([], "x")


def run_suite(name: str, *options: str) -> str:
    suite = str(BENCHMARKS / name)
    command = [sys.executable, "-m", "pytest", suite, "-p", "no:cacheprovider", *options]
    # As a worker of pytest-xdist, which it would take itself for, it would time nothing.
    alone = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_XDIST")}
    done = subprocess.run(command, cwd=ROOT, env=alone, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(not sk.cpu.supported_isas(), reason="needs the native extension")
def test_suite_reports_a_ratio_for_every_implementation(tmp_path):
    path = tmp_path / "run.json"
    out = run_suite(
        "bench_upsample_argmax.py",
        "--quick",
        "--budget=0",
        "-k=smooth and channels_last and 1thread",
        "--dtype=float16",
        f"--benchmark-json={path}",
    )
    isas, peers = sk.cpu.supported_isas(), ["eager_argmax", "eager_max"]
    rows = [line.split() for line in out.splitlines() if line.startswith("64x64x150-512x512 ")]
    assert [row[7] for row in rows] == isas
    assert {row[4] for row in rows} == {"float16"}
    assert "interleaved rounds" in out and "load average:" in out

    saved = json.loads(path.read_text())
    assert saved["machine_info"]["seaformer"].keys() == machine.describe().keys()
    assert set(saved["conditions"]) == {"date", "load_average"}
    benchmarks = {b["params"]["implementation"]: b for b in saved["benchmarks"]}
    assert list(benchmarks) == [*isas, *peers]
    assert len({b["group"] for b in benchmarks.values()}) == 1
    for isa in isas:
        info = benchmarks[isa]["extra_info"]
        assert benchmarks[isa]["stats"]["rounds"] == 3
        for peer in peers:
            low, median, high = info[f"times_faster_than_{peer}_quartiles"]
            assert 0 < low <= median <= high
    (case,) = compare.read(path).cases.values()
    assert set(case.ours) == set(isas)
    assert {len(seconds) for seconds in case.calibration.values()} == {3}


@pytest.mark.slow
@pytest.mark.skipif(not sk.cpu.supported_isas(), reason="needs the native extension")
@pytest.mark.parametrize(
    ("suite", "match", "family"),
    [
        ("bench_pointwise.py", "conv_seg", "1x1 convolutions in float32, threads: 1"),
        ("bench_blocks.py", "fuse1", "fusion_gate in float32, threads: 1"),
    ],
)
def test_suites_sum_up_their_families(suite, match, family):
    out = run_suite(suite, "--quick", "--budget=0", f"-k={match}")
    rows = [line for line in out.splitlines() if line.startswith(family)]
    assert len(rows) == 3 * len(implementations.vector_isas())  # two peers and the fastest
