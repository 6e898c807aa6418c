"""benchmarks/arm/count_model.py and what it runs on ARM, here without the emulator."""

from __future__ import annotations

import ctypes
import importlib.util
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

ARM = Path(__file__).resolve().parents[2] / "benchmarks" / "arm"
TINY = "seaformer_tiny"


def load(name: str):
    """The module of benchmarks/arm, with that folder importable while it loads."""
    spec = importlib.util.spec_from_file_location(name, ARM / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(ARM))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(ARM))
    return module


count_model = load("count_model")
run_model = load("run_model")


class Markers:
    """A library of markers that logs its calls."""

    def __init__(self):
        self.calls = []

    def begin_window(self):
        self.calls.append("begin")

    def end_window(self):
        self.calls.append("end")


@pytest.fixture(scope="module")
def ideal() -> dict[str, int]:
    return count_model.ideal_fmas(TINY)


@pytest.fixture
def markers(monkeypatch) -> Iterator[Markers]:
    markers = Markers()
    monkeypatch.setattr(ctypes, "CDLL", lambda _: markers)
    threads = torch.get_num_threads()
    yield markers
    torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "published_gmacs"),
    [
        (TINY, 0.6),
        ("seaformer_small", 1.1),
        ("seaformer_base", 1.8),
        ("seaformer_large", 6.5),
    ],
)
def test_ideal_is_a_quarter_of_the_published_multiply_adds(variant, published_gmacs):
    total = count_model.ideal_fmas(variant)[""]
    assert total == pytest.approx(published_gmacs * 1e9 / 4, rel=0.07)


def test_ideal_of_float16_has_eight_lanes(ideal):
    assert count_model.ideal_fmas(TINY, "float16")[""] == ideal[""] // 2


def test_ours_is_of_the_type_asked_for():
    modules = run_model.our_model(TINY, "ours", torch.float16).modules()
    types = {module.dtype for module in modules if isinstance(module, run_model.FusedBlock)}
    assert types == {torch.float16}


def test_ideal_of_a_block_is_that_of_its_layers(ideal):
    stem, behind = 27, 9 + 16  # one op
    assert ideal["backbone.smb1.stem_block"] == 256 * 256 * 16 * (stem + behind) // 4


@pytest.mark.slow
def test_every_window_has_a_name_that_the_ideal_knows(markers, capsys, ideal):
    run_model.main("markers.so", TINY, "64", "ours:labels", "eager:labels", "ours:blocks")
    *names, last = capsys.readouterr().out.replace("window ", "").split()
    assert markers.calls == ["begin", "end"] * (len(names) + 1)
    assert (names[:2], last) == (["ours:labels", "eager:labels"], "ours:blocks")
    blocks = names[2:]
    assert {*blocks, ""} == set(ideal)
    assert sum(ideal[name] for name in blocks) == ideal[""]


@pytest.mark.slow
def test_eager_blocks_end_where_ours_do(markers, capsys):
    run_model.main("markers.so", TINY, "64", "ours:blocks", "eager:blocks")
    names = capsys.readouterr().out.replace("window ", "").split()
    half = len(names) // 2
    assert names[half:] == [*names[: half - 1], "eager:blocks"]
    plain = run_model.our_model(TINY, "eager")
    ends = run_model.ends_of_blocks(plain, run_model.our_model(TINY, "ours"))
    assert ends["backbone.smb1.stem_block"] is plain.backbone.smb1.layer1
    assert ends["backbone.smb1.layer2"] is plain.backbone.smb1.layer2


def test_rows_of_blocks():
    windows = {name: {"total": total} for name, total in {"head.gate": 30, "head": 110}.items()}
    rows = count_model.block_rows(windows, {"head.gate": 20, "head": 100})
    assert rows == [["head.gate", "30", "20", "10", "1.500"], ["head", "110", "100", "10", "1.100"]]


@pytest.mark.parametrize("dtype", count_model.TARGETS)
@pytest.mark.parametrize(("flags", "ours"), [([], "ours"), (["--whole"], "whole")])
@pytest.mark.parametrize(("share", "code"), [(1.0, 0), (1.001, 1)])
def test_target_decides_the_exit_code(monkeypatch, capsys, share, code, flags, ours, dtype):
    ideal = count_model.ideal_fmas(TINY, dtype)[""]
    total = int(ideal * count_model.TARGETS[dtype][TINY] * share)

    def count_runs(variant, runs, cpu):
        assert runs == [f"{ours}:logits:{dtype}"]
        return {f"{ours}:logits:{dtype}": {"total": total, "vec_fma": 7}}

    monkeypatch.setattr(count_model, "count_runs", count_runs)
    monkeypatch.setattr(sys, "argv", ["count_model.py", "--dtype", dtype, *flags])
    assert count_model.main() == code
    row = capsys.readouterr().out.splitlines()[-1].split()
    assert row[:5] == [TINY, ours, "logits", f"{total:,}", "7"]
    assert row[-2] == ("missed:" if code else "met:")


def test_missing_site_is_one_sentence(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(count_model, "SITE", tmp_path / "missing")
    monkeypatch.setattr(sys, "argv", ["count_model.py"])
    assert count_model.main() == 2
    assert "make_site.sh makes it" in capsys.readouterr().err


def test_unknown_variant_is_one_sentence(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["count_model.py", "huge"])
    with pytest.raises(SystemExit) as stopped:
        count_model.main()
    assert stopped.value.code == 2
    assert "got 'huge'" in capsys.readouterr().err


@pytest.mark.skipif(
    not all(map(shutil.which, ["aarch64-linux-gnu-g++", "qemu-aarch64", "g++"])),
    reason="needs the Debian packages g++, g++-aarch64-linux-gnu and qemu-user",
)
def test_markers_as_a_library_delimit_windows(monkeypatch, tmp_path):
    count = count_model.count
    library, program = tmp_path / "libmarkers.so", tmp_path / "program"
    monkeypatch.setattr(count_model, "MARKERS", library)
    count_model.build_markers()
    source = tmp_path / "program.cpp"
    source.write_text("""
        #include <cstdio>
        extern "C" { void begin_window(); void end_window(); }
        int main() {
          for (int i = 0; i < 2; ++i) {
            begin_window();
            end_window();
          }
          puts("named");
        }""")
    flags = [f"-L{tmp_path}", f"-Wl,-rpath,{tmp_path}", "-lmarkers", "-Wl,-z,now"]
    count.run(["aarch64-linux-gnu-g++", "-o", str(program), str(source), *flags])
    windows, printed = count.count_command(
        lambda plugin: [*count.emulator(), "-plugin", plugin, str(program)], "program"
    )
    assert printed == "named\n"
    assert len(windows) == 2
    assert 0 < windows[0]["total"] == windows[1]["total"] < 20
