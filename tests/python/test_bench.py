"""`seaformer bench`: its plan, its record, its tables and charts, and a short run."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import time
from concurrent.futures.process import BrokenProcessPool

import pytest
import torch

pytest.importorskip("click")

from click.testing import CliRunner

import seaformer_kernels as sk
from seaformer_kernels.bench import (
    alone,
    contenders,
    limits,
    machine,
    peers,
    processes,
    record,
    suite,
    tables,
    traffic,
)
from seaformer_kernels.bench.models import ToLabels, image, multiply_adds, plain_model
from seaformer_kernels.bench.split import Split
from seaformer_kernels.cli.commands import seaformer
from seaformer_kernels.ops._element import ELEMENTS, WITH_INT8, name_of

TINY = "seaformer_tiny"
native = pytest.mark.skipif(not sk.cpu.supported_isas(), reason="needs the native extension")


@pytest.fixture(scope="module")
def found():
    """The record of a short run beside a peer that works, one that fails and one that is absent."""
    isas = tuple(sk.cpu.supported_isas())
    settings = suite.Settings(isas=isas, seconds=0, min_rounds=4, processes=0)
    patch = pytest.MonkeyPatch()

    def fail(*_):
        raise RuntimeError("no such layer\nand more")

    extra = {"broken": peers.Peer(fail), "gone": peers.Peer(fail, packages=("no_such_package",))}
    patch.setattr(suite, "PEERS", peers.PEERS | extra)
    patch.setattr(contenders, "PEERS", peers.PEERS | extra)
    names = ("eager", "broken", "gone")
    sizes = [(64, 64), (64, 96)]
    cases = suite.product([TINY], sizes, [1], ["logits", "labels"], names)
    cases += suite.product([TINY], sizes[:1], [1], ["logits"], names, [torch.float16])
    try:
        return suite.run(cases, settings, log=lambda _: None)
    finally:
        patch.undo()


@pytest.mark.slow
@native
def test_a_run_is_a_record_with_everything_in_it(found):
    record.check(json.loads(json.dumps(found)))
    assert found["absent"] == {"gone": "not installed: no_such_package"}
    assert [case["dtype"] for case in found["cases"]] == ["float32"] * 4 + ["float16"]
    ours = [f"{isa}{form}" for isa in sk.cpu.supported_isas() for form in ("", " whole graph")]
    for case in found["cases"]:
        assert case["failed"] == {"broken": "RuntimeError: no such layer"}
        beside = ["eager"] if case["dtype"] == "float32" else []
        assert [*case["not_in_type"]] == ([] if beside else ["eager"])
        assert [i["name"] for i in case["implementations"]] == [*ours, *beside]
        for i in case["implementations"]:
            assert len(i["seconds"]) == 4
            assert 0 < i["min_s"] <= i["median_s"] <= i["p95_s"]
            assert set(i["times_faster"]) == ({*beside} if i["ours"] else set())
            assert (i["weights_bytes"] or 0) > 0 or not i["ours"]
            assert bool(i["arena_bytes"]) == i["name"].endswith("whole graph")
        assert set(case["calibration_s"]) == {"multiply-adds", "cache"}
        assert list(case["alone_s"]) == ours
        for seconds in (*case["calibration_s"].values(), *case["alone_s"].values()):
            assert len(seconds) == 4 and min(seconds) > 0
        split = case["split"]["seconds"]
        head = "head" if case["output"] == "logits" else "head to labels"
        assert {"stem", "stage 1", "attention", "mlp", head, "between blocks"} <= set(split)
        assert all(len(seconds) == 4 and min(seconds) > 0 for seconds in split.values())
        macs = multiply_adds(TINY, case["height"], case["width"])[""]
        assert sum(part["macs"] for part in case["work"].values()) == macs


@pytest.mark.slow
@native
def test_report_has_every_case_and_names_what_is_missing(found):
    text = tables.report(found)
    assert "`gone` is absent (not installed: no_such_package)." in text
    assert "`broken` failed on tiny 96x64: RuntimeError: no such layer." in text
    assert text.count("`eager` is absent in float16 (eager_channels_last is there).") == 1
    assert "## Image to logits in float16, 1 thread" in text
    assert text.count("| tiny 96x64") == 2 * (2 * 2 * len(sk.cpu.supported_isas()) + 1 + 1)
    for line in text.splitlines():
        assert line.count("|") == 0 or line.startswith("| ")


@pytest.mark.slow
@native
def test_charts_are_drawn(found, tmp_path):
    charts = pytest.importorskip("seaformer_kernels.bench.charts", exc_type=ImportError)
    names = {path.name for path in charts.draw(found, tmp_path, formats=["svg"])}
    assert names == {
        f"{n}.svg" for n in ["latency-logits", "latency-labels", "parts", "roofline", "pixels"]
    } | {f"{n}-float16.svg" for n in ["latency-logits", "parts", "roofline"]}
    for name in names:
        assert "</svg>" in (tmp_path / name).read_text()


@native
def test_no_case_is_begun_that_would_end_too_late(monkeypatch):
    small, large = suite.product([TINY], [(64, 64), (64, 128)], [1], ["logits"], ["eager"])
    assert suite.likely_seconds(large, [(small, 3.0)]) == 6.0
    assert suite.likely_seconds(small, [(large, 3.0), (large, 2.0)]) == 2.0
    half = dataclasses.replace(small, dtype=torch.float16)
    assert suite.likely_seconds(half, [(small, 3.0), (half, 2.0)]) == 2.0
    other = dataclasses.replace(small, model="seaformer_base")
    assert suite.likely_seconds(large, [(other, 4.0), (other, 5.0)]) == 10.0
    assert suite.likely_seconds(small, [(dataclasses.replace(small, peers=()), 1.0)]) == 1.0
    assert suite.likely_seconds(small, []) == 0.0
    assert suite.likely_seconds(large, [(small, 3.0)], steady=1.0) == 1.0 + 2 * 2.0
    assert suite.likely_seconds(large, [(small, 3.0)], steady=4.0) == 3.0
    monkeypatch.setattr(suite, "run_case", lambda *_: time.sleep(0.03) or {})
    monkeypatch.setattr(suite, "measure_limits", lambda *_: [])
    cases = suite.product([TINY], [(64, 64)] * 5, [1], ["logits"], [])
    settings = suite.Settings(isas=("scalar",), minutes=0.05 / 60)
    result = suite.run(cases, settings, log=lambda _: None)
    assert 1 <= len(result["cases"]) <= 2
    late = cases[len(result["cases"]) :]
    assert result["skipped"] == {str(case): suite.OVER for case in late}


@native
def test_nothing_measured_is_lost_when_ours_is_wrong_or_the_run_interrupted(monkeypatch):
    outcomes = iter([{"first": 1}, suite.Mismatch("differs"), {"third": 1}, KeyboardInterrupt()])

    def run_case(*_):
        outcome = next(outcomes)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    monkeypatch.setattr(suite, "run_case", run_case)
    monkeypatch.setattr(suite, "measure_limits", lambda *_: [])
    cases = suite.product([TINY], [(64, side) for side in range(64, 69)], [1], ["logits"], [])
    result = suite.run(cases, suite.Settings(isas=("scalar",)), log=lambda _: None)
    assert result["cases"] == [{"first": 1}, {"third": 1}]
    reasons = ["differs", "interrupted", "interrupted"]
    named = [str(cases[1]), str(cases[3]), str(cases[4])]
    assert result["skipped"] == dict(zip(named, reasons, strict=True))


def heap_settings() -> dict[str, str | None]:
    return {name: os.environ.get(name) for name in alone.STEADY_HEAP}


@pytest.mark.slow
@pytest.mark.children
def test_calls_in_new_processes_have_the_environment_given(monkeypatch):
    kept, *unset = alone.STEADY_HEAP
    monkeypatch.setenv(kept, "5")
    for name in unset:
        monkeypatch.delenv(name, raising=False)
    before = heap_settings()
    assert processes.call(heap_settings, environment=alone.STEADY_HEAP) == alone.STEADY_HEAP
    assert heap_settings() == before
    with pytest.raises(BrokenProcessPool):
        processes.call(os._exit, 1)


@native
@pytest.mark.slow
@pytest.mark.children
def test_ours_alone_has_the_rounds_of_all_processes():
    (case,) = suite.product([TINY], [(64, 64)], [1], ["logits"], [])
    own = alone.measure(case, ["scalar"], seconds=0, min_rounds=5, count=2)
    assert list(own["ours"]) == ["scalar", "scalar whole graph"]
    assert {len(seconds) for named in own.values() for seconds in named.values()} == {6}


@native
def test_a_case_whose_process_died_is_named(monkeypatch):
    def die(*_):
        raise BrokenProcessPool

    monkeypatch.setattr(alone, "measure", die)
    cases = suite.product([TINY], [(64, 64)], [1], ["logits"], [])
    settings = suite.Settings(isas=("scalar",), seconds=0, min_rounds=1)
    result = suite.run(cases, settings, log=lambda _: None)
    assert result["cases"] == []
    assert result["skipped"] == {str(cases[0]): "the process died"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (
            lambda r: r.update(schema="x"),
            "expected a record of schema 'seaformer-bench/3', got 'x'",
        ),
        (
            lambda r: r.update(schema="seaformer-bench/2"),
            "expected a record of schema 'seaformer-bench/3', got 'seaformer-bench/2'",
        ),
        (lambda r: r["cases"][0].pop("dtype"), r"expected the field 'dtype' in the record.cases"),
        (lambda r: r.pop("limits"), "expected the field 'limits' in the record"),
        (lambda r: r.update(skipped={"x": 1}), r"expected str in the record.skipped.x, got int"),
        (
            lambda r: r["cases"][0].update(width=True),
            r"expected int in the record.cases\[0\].width",
        ),
        (lambda r: r.update(cases={}), "expected a list in the record.cases, got dict"),
    ],
)
@native
def test_what_is_no_record_is_refused(found, break_it, message):
    broken = copy.deepcopy(found)
    break_it(broken)
    with pytest.raises(ValueError, match=message):
        record.check(broken)


@native
@pytest.mark.slow
@pytest.mark.skipif(len(machine.cores()) < 2, reason="needs two cores")
def test_several_numbers_of_threads_run_in_processes_of_their_own(capfd):
    cases = suite.product([TINY], [(64, 64)], [1, 2], ["logits"], ["eager"])
    settings = suite.Settings(isas=("scalar",), seconds=0, min_rounds=2)
    result = suite.run([*cases, cases[0]], settings)
    record.check(result)
    assert [case["threads"] for case in result["cases"]] == [1, 2, 1]
    assert "[2/3] seaformer_tiny 64x64 to logits in float32, 2 threads" in capfd.readouterr().err


def test_plan_starts_with_what_matters_and_checks_names():
    cases = suite.default_plan(quick=True)
    assert {case.model for case in cases} == {TINY}
    assert {case.output for case in cases[:2]} == {"logits", "labels"}
    assert not {"compiled_frozen", "executorch"} & set(cases[0].peers)
    assert set(suite.default_plan()[0].peers) == set(peers.PEERS)
    assert len({(c.height, c.width) for c in suite.default_plan()}) == 4
    assert {case.dtype for case in cases} == {torch.float32}
    both = suite.default_plan(quick=True, dtypes=[torch.float32, torch.float16])
    assert len(both) == 2 * len(cases)
    assert [case.dtype for case in both[:4]] == [torch.float32] * 2 + [torch.float16] * 2
    with pytest.raises(ValueError, match=r"expected models among .*, got 'huge'"):
        suite.default_plan(names=["huge"])
    with pytest.raises(ValueError, match="threads, one a core, got 9999"):
        suite.default_plan(threads=[9999])


def test_laps_add_up_and_leave_no_hooks():
    model = sk.optimize(plain_model(TINY, "logits"))
    now = iter(range(10**6))
    split = Split(model, lambda: model.predict(image(64, 64)), clock=lambda: float(next(now)))
    split()
    (lap,) = split.laps
    assert lap["attention"] == 4  # blocks, each between two readings of the clock
    assert lap["head to labels"] == 2  # the gate inside reads the clock once more
    assert split.rounds(1, 1) == {part: [seconds] for part, seconds in lap.items()}
    split.laps = [{"stem": float(lap)} for lap in (7, 1, 2, 3, 4)]
    assert split.rounds(2, 2) == {"stem": [1.5, 3.5]}
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert "labels" not in vars(model.decode_head)


def test_wrong_results_are_told():
    contenders.check("x", torch.tensor([1.0, 2.0005]), torch.tensor([1.0, 2.0]))
    with pytest.raises(contenders.Mismatch, match=r"^x: differs .* by 0\.\d+ in the mean"):
        contenders.check("x", torch.tensor([1.01, 2.01]), torch.tensor([1.0, 2.0]))
    with pytest.raises(contenders.Mismatch, match=r"^x: differs from plain PyTorch by 0\.1"):
        contenders.check("x", torch.tensor([1.0, 2.1]), torch.tensor([1.0, 2.0]))
    with pytest.raises(contenders.Mismatch, match=r"only 50\.000% of the labels"):
        contenders.check("x", torch.tensor([1, 2]), torch.tensor([1, 3]))


@pytest.mark.parametrize("dtype", ELEMENTS[1:])
def test_half_types_may_differ_by_their_rounding(dtype):
    expected = torch.linspace(1.0, 2.0, 9)
    allowed = contenders.ROUNDINGS * torch.finfo(dtype).eps
    contenders.check("x", expected * (1 + 0.9 * allowed), expected, dtype)
    for factor, told in ((1 + 1.1 * allowed, "differs"), (float("nan"), "by nan")):
        with pytest.raises(contenders.Mismatch, match=told):
            contenders.check("x", expected * factor, expected, dtype)
    labels = torch.arange(1000)
    wrong = torch.where(labels < 1000 * (1 - 1.1 * allowed), labels, -1)
    with pytest.raises(contenders.Mismatch, match="of the labels"):
        contenders.check("x", wrong, labels, dtype)


def test_who_is_given_which_type():
    names = ["eager", "onnxruntime", "ncnn"]
    assert suite.without(names, (), torch.float32) == {}
    assert suite.without(names, ["eager"], torch.float16).keys() == {"onnxruntime"}
    assert suite.without(names, (), torch.int8).keys() == {"eager", "ncnn"}


def test_int8_has_a_form_of_its_own(monkeypatch):
    shapes = []

    def to_int8(form, images):
        shapes.extend(image.shape for image in images)
        return f"{form} in int8"

    peer = peers.Peer(lambda *_: None, lambda *_: "form", to_int8=to_int8)
    monkeypatch.setitem(peers.PEERS, "peer", peer)
    converter, plain = contenders.Converter(), torch.nn.Identity()
    for dtype in torch.float32, torch.int8:
        converter.convert("peer", "key", plain, image(32, 64), dtype)
    found = [converter.get("peer", "key", plain, d)[0] for d in (torch.float32, torch.int8)]
    assert found == ["form", "form in int8"]
    assert shapes == [(1, 3, 32, 64)] * 8


def test_int8_may_lose_much_but_not_be_another_network():
    expected = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    contenders.check("x", 1.5 * expected, expected, torch.int8)
    with pytest.raises(contenders.Mismatch):
        contenders.check("x", expected.flip(3), expected, torch.int8)


@pytest.mark.parametrize("dtype", ELEMENTS[1:])
def test_peers_that_calculate_in_float32_whatever_the_type_are_told(monkeypatch, dtype):
    def ignoring(model, image, threads, dtype):
        return lambda x: x.sin()

    def following(model, image, threads, dtype):
        return lambda x: x.to(dtype).sin()

    def result(peer, dtype):
        monkeypatch.setitem(contenders.PEERS, "peer", peer)
        return contenders.load_peer("peer", (None, None), torch.ones(3), 1, dtype).call()

    assert result(peers.Peer(following, hinted=True), dtype).dtype == dtype
    assert torch.equal(
        result(peers.Peer(ignoring, hinted=True), torch.float32), torch.ones(3).sin()
    )
    with pytest.raises(contenders.NotInType, match=f"asked for {name_of(dtype)} it calculates"):
        result(peers.Peer(ignoring, hinted=True), dtype)


@native
@pytest.mark.parametrize("dtype", ELEMENTS[1:])
def test_half_types_keep_half_the_memory(dtype):
    plain, x = plain_model(TINY, "logits"), image(256, 256)
    kept = {}
    with torch.inference_mode():
        for each in torch.float32, dtype:
            isa = sk.cpu.supported_isas()[0]
            ours = contenders.load_ours(plain, x, "logits", isa, whole_graph=True, dtype=each)
            kept[each] = suite._kept_bytes(f"{isa} whole graph", ours)
    for what, wide in kept[torch.float32].items():
        assert 0.45 * wide < kept[dtype][what] < 0.55 * wide, what


@native
def test_limits_are_those_of_the_instruction_set():
    peaks = [limits.fma_peak(isa, 1) for isa in sk.cpu.supported_isas()]
    assert peaks[0] > 2 * peaks[-1] > 1e8  # vectors against scalars
    assert limits.copy_bandwidth() > 1e8


@pytest.mark.slow
@pytest.mark.parametrize("output", ["logits", "labels"])
@pytest.mark.parametrize("name", [name for name, peer in peers.PEERS.items() if not peer.slow])
@pytest.mark.parametrize("dtype", WITH_INT8)
def test_peers_compute_what_pytorch_does(name, output, dtype):
    if missing := peers.PEERS[name].missing():
        pytest.skip(f"not installed: {missing}")
    plain, x = plain_model(TINY, output), image(64, 96)
    assert isinstance(plain, ToLabels) == (output == "labels")
    converter = contenders.Converter()
    with torch.inference_mode():
        if reason := suite.without([name], (), dtype).get(name):
            pytest.skip(reason)
        converter.convert(name, "key", plain, x, dtype)
        converted = converter.get(name, "key", plain, dtype)
        try:
            contender = contenders.load_peer(name, converted, x, 1, dtype)
        except contenders.NotInType as error:
            pytest.skip(str(error))
        contenders.check(name, contender.call(), plain(x), dtype)


@pytest.mark.slow
@native
@pytest.mark.children
def test_command_writes_its_files(tmp_path):
    options = "--model seaformer_tiny --size 64 --threads 1 --peer eager --seconds 0 --no-charts"
    options += " --dtype float32 --dtype float16"
    result = CliRunner().invoke(seaformer, ["bench", *options.split(), "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bench.json", "bench.md"]
    assert len(record.load(tmp_path / "bench.json")["cases"]) == 4
    refused = CliRunner().invoke(seaformer, ["bench", "--size", "5"])
    assert refused.exit_code == 2 and "at least 32 pixels" in refused.output


@pytest.mark.slow
@native
def test_traffic_is_that_of_the_blocks():
    model, x = sk.optimize(plain_model(TINY, "logits")), image(64, 64)
    stem = traffic.work(TINY, model, x)["stem"]
    packed = sum(b.nbytes for b in model.backbone.smb1.stem_block.buffers())
    assert stem["bytes"] == 4 * (3 * 64 * 64 + 16 * 32 * 32) + packed  # the map behind layer1
