"""benchmarks/arm/bench_arm.py: names of loops, networks layer by layer; update_readme.py."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import seaformer_kernels as sk

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path[:0] = [str(BENCHMARKS), str(BENCHMARKS / "arm")]
import bench_arm  # noqa: E402
import loops  # noqa: E402
import unfused  # noqa: E402

update_readme = pytest.importorskip("update_readme", reason="the charts need matplotlib")
del sys.path[:2]

TINY = "seaformer_tiny"


@pytest.mark.parametrize(
    ("function", "short"),
    [
        (
            "seaformer::neon::(anonymous namespace)::run(seaformer::Pointwise const&)",
            "run(Pointwise)",
        ),
        (
            "void seaformer::neon::(anonymous namespace)::sum_tiles<3, 1, 8, 2>("
            "seaformer::Depthwise const&, long, long) [clone .constprop.0]",
            "sum_tiles<3, 1, 8, 2>(Depthwise)",
        ),
        (
            "void seaformer::scalar::(anonymous namespace)::column<6, (seaformer::Last)0>(float*)",
            "column<6, (Last)0>(float)",
        ),
        ("main", "main"),
    ],
)
def test_functions_have_short_names_that_tell_them_apart(function, short):
    assert loops.short_name(function) == short


def row(kernel: str, layer: str, total: int) -> dict:
    counts = {"counts": {"total": total}, "cache": {"misses": 1}}
    return {"kernel": kernel, "layer": layer, "dtype": "float32"} | counts


def blocks(stages: str = "111 11 11 1 1") -> list[str]:
    """The layers of Tiny's inverted residuals; each of its transformers' MLPs counts twice."""
    layers = [
        f"{TINY}.backbone.smb{stage}.layer{layer + 1}"
        for stage, count in enumerate(stages.split(), 1)
        for layer in range(len(count))
    ]
    return layers + [f"{TINY}.backbone.trans{n}.transformer_blocks.0.mlp" for n in (1, 2)]


def test_unfused_network_has_what_the_layers_of_its_blocks_take_more():
    kernels = [row("stem_block", "planar-512", 50), row("stem_block", "planar-512/unfused", 53)]
    for layer in blocks():
        kernels += [row("inverted_residual", layer, 100)]
        kernels += [row("inverted_residual", f"{layer}/unfused", 110)]
    for n in (1, 2):
        attention = f"{TINY}.backbone.trans{n}.transformer_blocks.0.attn"
        for way, total in (("", 100), ("/map", 1), ("/unfused", 101)):
            kernels += [row("sea_attention", attention + way, total)]
    for part in ("decode_head", "decode_head.fuse1"):
        for way, total in (("", 100), ("/unfused", 105)):
            kernels += [row("segmentation_head", f"{TINY}.{part}{way}", total)]
    ours = {"model": TINY, "implementation": "ours", "output": "logits", "dtype": "float32"}
    ours |= {"counts": {"total": 10_000}, "cache": {"misses": 7}}
    fused, apart = bench_arm.with_unfused([ours], kernels)
    assert fused == ours
    assert apart["implementation"] == "ours unfused"
    assert apart["counts"] == {"total": 10_000 + 3 + 10 * (9 + 2 * 2) + 2 * 2 + 2 * 5}
    assert apart["cache"] == {"misses": 7}
    assert bench_arm.with_unfused([ours], kernels[:-1]) == [ours]
    more = {"stage 3": 2 * 10, "attention": 2 * 2, "head": 2 * 5}
    parts = [ours | {"part": part} for part in more]
    rows = bench_arm.with_unfused(parts, kernels)
    for fused, apart in zip(rows[::2], rows[1::2], strict=True):
        assert fused["part"] == apart["part"]
        assert apart["counts"] == {"total": 10_000 + more[fused["part"]]}
    half = ours | {"dtype": "float16"}
    assert bench_arm.with_unfused([half], kernels) == [half]
    assert bench_arm.with_unfused([ours | {"part": "none"}], kernels) == [ours | {"part": "none"}]


@pytest.mark.slow
@pytest.mark.parametrize("variant", sk.list_models())
@pytest.mark.parametrize(
    ("kernel", "files", "least"),
    [
        ("inverted_residual", ["inverted_residual"], 12),
        ("sea_attention", ["sea_attention"], 4),
        ("segmentation_head", ["fusion_gate", "segmentation_head"], 2),
    ],
)
def test_every_block_has_a_layer_that_is_measured(variant, kernel, files, least):
    measured = {shape.module for file in files for shape in unfused.traced.shapes(file)}
    named = [layer for _, by, layer in unfused._blocks(variant) if by == kernel]
    assert len(named) >= least
    assert set(named) <= measured


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_parts_are_sums_of_their_blocks(monkeypatch, dtype):
    def count_runs(model, runs, cpu, plugin, options):
        (run,) = runs
        assert run in (f"ours:blocks:{dtype}", f"eager:blocks:{dtype}")
        figure = "total" if plugin == bench_arm.count.COUNT else "misses"
        return {
            name: {"window": 1, figure: fmas}
            for name, fmas in bench_arm.count_model.ideal_fmas(model, dtype).items()
        }

    monkeypatch.setattr(bench_arm.count_model, "count_runs", count_runs)
    jobs = bench_arm.part_jobs(TINY, dtype, bench_arm.CACHES, "max")
    rows = bench_arm.joined([row for job in jobs for row in job.run()])
    assert {row["implementation"] for row in rows} == {"ours", "eager"}
    ours = {row["part"]: row for row in rows if row["implementation"] == "ours"}
    assert list(ours)[:2] == ["stem", "stage 1"]
    for row in rows:
        assert row["counts"] == {"total": row["ideal_fmas"]} == {"total": row["cache"]["misses"]}
    for row in rows:
        row["cache"]["memory_bytes"] = 2**20 if row["implementation"] == "ours" else 2**21
    lines = bench_arm.part_table(rows).splitlines()
    assert [cell.strip() for cell in lines[2].split("|")[1:-1]] == [
        *("tiny", dtype, "stem", "13.6" if dtype == "float32" else "6.82"),
        *("1.000", "1.000", "1", "2"),
    ]
    assert len(lines) == 2 + len(ours)
    total = bench_arm.count_model.ideal_fmas(TINY, dtype)[""]
    assert sum(row["ideal_fmas"] for row in ours.values()) == pytest.approx(
        total, abs=len(bench_arm.count_model.blocks(TINY))
    )


def test_report_has_a_row_for_each_inference_and_part():
    counts = {"total": 30, "vec_fma": 20}
    cache = dict.fromkeys(("l1_misses", "l2_misses", "l2_bytes", "memory_bytes"), 2**20)
    row = {"model": TINY, "implementation": "ours", "output": "logits", "dtype": "float32"}
    row |= {"ideal_fmas": 20}
    row |= {"counts": counts, "cache": cache}
    record = {"cpu": "max", "caches": {}, "absent": {"x": "gone"}, "kernels": [], "times": []}
    record |= {"networks": [row], "parts": [row | {"part": "stem"}]}
    text = bench_arm.report(record)
    assert "Absent: x (gone)." in text
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    assert [r[:4] + r[6:7] for r in rows if r[:2] == ["tiny", "ours"]] == [
        ["tiny", "ours", "logits", "float32", "1.500"]
    ]
    assert [r[4:] for r in rows if r[:3] == ["tiny", "float32", "stem"]] == [["1.500", "1"]]


def test_types_stand_below_one_another_and_peers_beside_ours():
    counts = {"float32": {"whole": 8, "ours": 9, "mnn": 12, "onnxruntime": 10}}
    counts["float16"] = {"whole": 4, "ours": 5, "mnn": 7}
    rows = [
        {"model": TINY, "implementation": name, "output": "logits", "dtype": dtype}
        | {"counts": {"total": total * 10**6}}
        for dtype, by in counts.items()
        for name, total in by.items()
    ]
    lines = bench_arm.type_table([*rows, rows[0] | {"output": "labels"}]).splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert cells[0][2:] == [
        *("whole, M", "ours, M", "mnn, M", "onnxruntime, M"),
        *("mnn / whole", "onnxruntime / whole"),
    ]
    assert cells[2:] == [
        ["tiny", "float32", "8", "9", "12", "10", "1.50", "1.25"],
        ["tiny", "float16", "4", "5", "7", "", "1.75", ""],
    ]


def test_runtimes_without_the_type_are_not_run_in_it():
    processes = bench_arm.PROCESSES
    assert bench_arm.in_type(processes, "float32") == [*processes]
    assert [*processes[:2], *processes[3:]] == bench_arm.in_type(processes, "float16")
    assert processes[2] == ("onnxruntime",)


def test_counts_alone_are_rows_without_caches():
    row = {"model": TINY, "implementation": "ours", "output": "logits", "dtype": "float32"}
    row |= {"counts": {"total": 3, "vec_fma": 1}, "ideal_fmas": 2}
    assert bench_arm.joined([row]) == []
    assert bench_arm.joined([row], ["counts"]) == [row]
    cells = bench_arm.network_table([row]).splitlines()[-1].split("|")[1:-1]
    assert [cell.strip() for cell in cells[-5:]] == ["1.500", "", "", "", ""]
    types = [row, row | {"dtype": "float16"}]
    found = {"counts_only": True, "networks": types, "kernels": [], "parts": []}
    assert [*update_readme.arm_blocks(found)] == ["arm-types"]


def test_only_marked_blocks_of_known_names_are_replaced():
    page = "a\n<!-- bench: x -->\nold\n<!-- end -->\nb\n<!-- bench: y -->\nkept\n<!-- end -->\n"
    once = update_readme.replaced(page, {"x": "| new \\1 |"})
    assert once == page.replace("old", "\n| new \\1 |\n")
    assert update_readme.replaced(once, {"x": "| new \\1 |"}) == once


def test_pages_have_a_marker_for_every_block():
    pages = "".join(page.read_text() for page in update_readme.PAGES)
    blocks = ["front", "machine", "networks", "networks-half"]
    blocks += ["arm-networks", "arm-types", "arm-kernels", "arm-parts"]
    for name in blocks:
        assert pages.count(f"<!-- bench: {name} -->") == 1


FRONT = """<!-- bench: front -->

| | a | b | c | d |
|-|-|-|-|-|
| kept | 1 | 1 | 1 | |
| x | 2 | 2 | 2 | 2 |

<!-- end -->
"""


def test_each_suite_replaces_its_rows_of_the_readme():
    page = update_readme.with_rows(FRONT, {"x": ["3", "", "", ""]})
    lines = [line.split("|")[1:-1] for line in page.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line] for line in lines]
    assert rows[0] == ["", "tiny", "small", "base", "large"]
    assert rows[2:] == [["kept", "1", "1", "1", ""], ["x", "3", "", "", ""]]
    assert update_readme.with_rows("no block", {"x": ["3"]}) == "no block"


def test_rows_of_the_readme_name_the_best_other_runtime():
    times = {"avx2 whole graph": 1.0, "avx2": 2.0, "scalar": 0.1, "eager": 9.0}
    times |= {"eager_channels_last": 3.0, "ncnn": 5.0, "openvino": 4.0}
    implementations = [
        {"name": name, "median_s": value / 1e3, "ours": name.split()[0] in ("avx2", "scalar")}
        for name, value in times.items()
    ]
    case = {"model": TINY, "output": "labels", "threads": 1, "height": 512, "width": 512}
    case |= {"dtype": "float32", "split": {"isa": "avx2"}, "implementations": implementations}
    assert update_readme.suite_rows({"cases": [case]}) == {
        "ms to labels, whole graph": ["1", "", "", ""],
        "ms to labels, op by op": ["2", "", "", ""],
        "ms to labels, best other runtime": ["4", "", "", ""],
        "ms to labels, eager PyTorch": ["9", "", "", ""],
    }
    counts = {"whole": 10, "ours": 11, "ours unfused": 5, "ncnn": 13, "onnxruntime": 12}
    networks = [
        {"model": TINY, "output": "logits", "implementation": name, "counts": {"total": total}}
        | {"ideal_fmas": 10, "dtype": "float32"}
        for name, total in counts.items()
    ]
    assert update_readme.arm_rows({"networks": networks}) == {
        "ARM instructions an ideal FMA, whole graph": ["1.00", "", "", ""],
        "ARM instructions an ideal FMA, op by op": ["1.10", "", "", ""],
        "ARM instructions an ideal FMA, best other runtime": ["1.20", "", "", ""],
    }


def test_the_readme_has_the_rows_that_the_suites_write():
    readme = update_readme.PAGES[0].read_text()
    for row in ("whole graph", "op by op", "best other runtime", "eager PyTorch"):
        for of in ("ms to logits", "ms to labels", "ARM instructions an ideal FMA"):
            assert f"| {of}, {row} " in readme
