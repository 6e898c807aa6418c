"""benchmarks/other_models.py: a table of times and ratios, and what could not run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("click")

from click.testing import CliRunner
from test_benchmarks import load

other_models = load(Path(__file__).parents[2] / "benchmarks/other_models.py", "other_models")


def run(out: Path, *words: str) -> tuple[str, list[dict]]:
    """What is printed, and the cases of the record."""
    words = ("--size", "64", "--seconds", "0", "--out", str(out), *words)
    done = CliRunner().invoke(other_models.main, words, catch_exceptions=False)
    assert done.exit_code == 0
    text = (out / "other_models.md").read_text()
    assert text in done.output
    return text, json.loads((out / "other_models.json").read_text())["cases"]


def test_a_short_run(tmp_path):
    text, (logits, labels) = run(tmp_path, "--model", "seaformer_tiny", "--peer", "eager")
    assert (logits["output"], labels["output"]) == ("logits", "labels")
    for case in (logits, labels):
        assert {"op by op", "eager"} <= set(case["seconds"])
        assert len(case["seconds"]["eager"]) == len(case["seconds"]["op by op"]) >= 5
        assert 0 <= case["facts"]["op by op"]["fused_share"] <= 1
        assert "whole graph" in case["seconds"] or case["failed"]["whole graph"]
    assert "faster than eager" in text


def test_what_has_no_result_is_named(tmp_path, monkeypatch):
    def wrong(*args):
        return lambda x: other_models.torch.zeros(1, 1000)

    peer = other_models.PEERS["eager_channels_last"]
    monkeypatch.setitem(
        other_models.PEERS, "eager_channels_last", type(peer)(wrong, only_float32="it is wrong")
    )
    words = ("--model", "mobilenet_v2", "--peer", "eager_channels_last")
    text, (case,) = run(tmp_path, *words)
    assert "eager_channels_last" not in case["seconds"]
    assert "Not there: eager_channels_last: Mismatch" in text
    text, (case,) = run(tmp_path, *words, "--dtype", "bfloat16")
    assert "Not there: eager_channels_last: ValueError: it is wrong" in text
    assert case["dtype"] == "bfloat16"


def test_every_model_has_its_network_and_its_targets():
    names = {model.name for model in other_models.zoo.models()}
    for model in other_models.MODELS.values():
        assert model.source in names and "logits" in model.wanted
