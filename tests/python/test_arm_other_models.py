"""benchmarks/arm/count_other_models.py: who is counted how, and what a report keeps and names."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("click")

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path[:0] = [str(BENCHMARKS), str(BENCHMARKS / "arm")]
import count_other_models as script  # noqa: E402

del sys.path[:2]

MODEL = "mobilenet_v2"


def row(total: int, implementation: str = "ours", dtype: str = "float32", form: str = "whole"):
    facts = {"model": MODEL, "side": 224, "dtype": dtype, "implementation": implementation}
    return facts | {"form": form, "ideal_fmas": 5 * 10**6, "counts": {"total": total * 10**6}}


def cells(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]


def test_the_best_of_the_others_is_compared_with_ours():
    rows = [row(6), row(12, "ncnn"), row(9, "mnn"), row(3, dtype="float16", form="ours")]
    assert cells(script.count_table(rows)) == [
        [MODEL, "224", "float32", "whole graph", "6", "", "12", "9", "1.200", "1.50"],
        [MODEL, "224", "float16", "op by op", "3", "", "", "", "0.600", ""],
    ]


def test_what_is_not_counted_anew_stays():
    ncnn, mnn = (f"{MODEL} 224 in float32 by {name}" for name in ("ncnn", "mnn"))
    record = {"networks": [row(6), row(12, "ncnn")], "absent": {mnn: "it crashed"}}
    record = script.updated(record, [row(5)], {})
    assert record == {"networks": [row(5), row(12, "ncnn")], "absent": {mnn: "it crashed"}}
    record = script.updated(record, [row(9, "mnn")], {ncnn: "it crashed"})
    assert record == {"networks": [row(5), row(9, "mnn")], "absent": {ncnn: "it crashed"}}
    assert f"Not there: {ncnn} (it crashed)." in script.report(record)


@pytest.fixture
def emulator(monkeypatch) -> list[list[str]]:
    """Counts of one instruction without an emulator; the list gets what it would run."""
    ran: list[list[str]] = []

    def count_native(program, args, cpu):
        ran.append(args[1:])
        return [{"window": 0, "total": 1}]

    def count_guest(arguments, cpu, environment):
        ran.append(arguments)
        runs = [word for word in arguments if ":" in word]
        if runs[0].startswith("mnn") and "mnasnet/torchvision" in arguments:
            raise script.count.CountError("it crashed\nhere")
        return [(run, {"window": 0, "total": 1}) for run in runs]

    def convert(name, network, side, output):
        if name == "onnxruntime":
            raise RuntimeError("no such operator")

    monkeypatch.setattr(script.count, "count", count_native)
    monkeypatch.setattr(script.count_model, "count_guest", count_guest)
    monkeypatch.setattr(script.count, "build_plugin", lambda name: None)
    monkeypatch.setattr(script.count_model, "build_markers", lambda: None)
    monkeypatch.setattr(script.peer_models, "install", lambda name: None)
    monkeypatch.setattr(script.peer_models, "convert", convert)
    monkeypatch.setattr(script, "_plain", lambda model: None)
    monkeypatch.setattr(script.networks, "multiply_adds", lambda network, side: 10**6)
    monkeypatch.setattr(script.sk, "export_native", lambda *args, **kwargs: None)
    return ran


def test_ours_is_a_model_file_and_a_runtime_one_process(emulator, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(
        sys, "argv", ["script", "--model", MODEL, "--size", "64", "--out", str(tmp_path)]
    )
    assert script.main() == 0
    runs = [[f"{name}:logits:{dtype}" for dtype in script.DTYPES] for name in ("mnn", "ncnn")]
    network = [script.SOURCES[MODEL], "64"]
    assert sorted(emulator) == [*[["best", "64", "count"]] * 2, *(network + own for own in runs)]
    record = json.loads((tmp_path / script.FILE).read_text())
    assert {script.row_case(r)[2:] for r in record["networks"]} == {
        (dtype, name) for dtype in script.DTYPES for name in ("ours", "ncnn", "mnn")
    }
    assert record["absent"] == {
        f"{MODEL} 64 in float32 by onnxruntime": "it does not convert: no such operator"
    }
    assert capsys.readouterr().out == (tmp_path / script.FILE).with_suffix(".md").read_text()


def test_a_crash_takes_only_the_model_that_caused_it(emulator, tmp_path):
    cases = [(model, 64, "float32", "mnn") for model in (MODEL, "mnasnet")]
    rows, absent = script.count_all(cases, "max", tmp_path)
    assert [script.row_case(r) for r in rows] == cases[:1]
    assert absent == {"mnasnet 64 in float32 by mnn": "it crashed"}
    assert len(emulator) == 3


def test_a_model_without_a_whole_graph_is_counted_op_by_op(emulator, monkeypatch, tmp_path):
    def refuse(*args, **kwargs):
        raise ValueError("it is not wholly steps")

    monkeypatch.setattr(script.sk, "export_native", refuse)
    rows, absent = script.count_all([(MODEL, 64, "float16", "ours")], "max", tmp_path)
    assert [(r["form"], r["dtype"]) for r in rows] == [("ours", "float16")] and not absent
    assert emulator == [[script.SOURCES[MODEL], "64", "ours:logits:float16"]]
