"""docs/make_front_picture.py: the picture at the head of the README."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

Image = pytest.importorskip("PIL.Image")
DOCS = Path(__file__).resolve().parents[2] / "docs"
sys.path.insert(0, str(DOCS))
front = pytest.importorskip("make_front_picture", reason="the chart needs matplotlib")
sys.path.remove(str(DOCS))


@pytest.fixture
def record() -> dict:
    times = {"avx2": 0.002, "avx2 whole graph": 0.001, "scalar": 0.5, "eager": 0.009}
    implementations = [
        {"name": name, "median_s": value, "ours": name != "eager"} for name, value in times.items()
    ]
    case = {"model": "seaformer_base", "output": "labels", "height": 64, "width": 96}
    case |= {
        "threads": 1,
        "dtype": "float32",
        "split": {"isa": "avx2"},
        "implementations": implementations,
    }
    return {"cases": [case]}


def test_the_chart_has_ours_and_the_peers_fastest_first(record):
    title, found = front.times(record, "base")
    assert title == "Base, 96x64: ms to labels"
    assert list(found.items()) == [
        ("whole graph (ours)", 1.0),
        ("op by op (ours)", 2.0),
        ("eager PyTorch", 9.0),
    ]
    with pytest.raises(SystemExit, match="no times of tiny"):
        front.times(record, "tiny")


def test_images_of_any_shape_give_a_picture(record, tmp_path, monkeypatch):
    photo, overlay, bench, out = (
        tmp_path / name for name in ("p.jpg", "o.png", "b.json", "out.png")
    )
    Image.new("L", (90, 40)).save(photo)
    Image.new("RGB", (90, 40)).save(overlay)
    bench.write_text(json.dumps(record))
    monkeypatch.setattr(sys, "argv", ["x", *map(str, (photo, overlay, bench)), "--out", str(out)])
    front.main()
    with Image.open(out) as picture:
        assert picture.width > 2 * picture.height
