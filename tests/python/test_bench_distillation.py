"""benchmarks/distillation.py: students by the recipes, and a table of what each part brings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

pytest.importorskip("yaml")
pytest.importorskip("lightning_fabric")
pytest.importorskip("kornia")

import data_trees
from click.testing import CliRunner
from command_line import run
from test_benchmarks import load
from test_optimize import MINI

import seaformer_kernels as sk
from seaformer_kernels.data import PEOPLE
from seaformer_kernels.models.config import FAMILY
from seaformer_kernels.training.run_folder import RunFolder

distillation = load(Path(__file__).parents[2] / "benchmarks/distillation.py", "distillation")


@pytest.mark.slow
def test_the_ablation(tmp_path, monkeypatch, one_thread):
    monkeypatch.setitem(FAMILY, "seaformer_tiny", MINI)
    monkeypatch.setattr(data_trees, "HEIGHT", 66)
    monkeypatch.setattr(data_trees, "WIDTH", 88)
    for name in ("0001", "0002", "0003", "0004"):
        data_trees.draw_image(tmp_path / f"data/images/{name}.jpg")
        data_trees.draw_mask(tmp_path / f"data/labels8/{name}.png", *range(8))
    splits = {"train": ["0001", "0002"], "val": ["0003"], "test": ["0004"]}
    (tmp_path / "data/splits.json").write_text(json.dumps(splits))
    torch.manual_seed(0)
    teacher = sk.create_model("seaformer_tiny", num_classes=8)
    sk.save_pretrained(teacher, tmp_path / "teacher", facts=PEOPLE)

    commands = []

    def in_this_process(command, check):
        assert check
        commands.append([str(word) for word in command])
        done = run(*command[3:])
        assert done.exit_code == 0, done.output

    monkeypatch.setattr(distillation.subprocess, "run", in_this_process)
    words = [
        *("people", "--data", tmp_path / "data", "--teacher", tmp_path / "teacher", "--seconds", 0),
        *("--out", tmp_path / "out", "--", "--epochs", 1, "--batch", 2, "--workers", 0),
        *("--set", "augment.crop=[64, 64]", "--set", "augment.sizes=[1.0]", "--device", "cpu"),
        *("--weights", tmp_path / "teacher"),
    ]
    for first in True, False:
        commands.clear()
        done = CliRunner().invoke(distillation.main, [*map(str, words)], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        assert len(commands) == 5
        assert all(("--resume" in command) == (not first) for command in commands)
    record = json.loads((tmp_path / "out/ablation.json").read_text())
    assert [record[key] for key in ("data", "split", "size")] == ["people", "test", [66, 88]]
    assert record["options"][:2] == ["--epochs", "1"] and record["machine"]["cpu"]
    models = record["models"]
    assert [*models] == [distillation.TEACHER, *distillation.STUDENTS]
    facts, _, *rows = (tmp_path / "out/ablation.md").read_text().splitlines()
    assert "88x66" in facts and len(rows) == 2 + 6
    for name, row in zip(models, rows[2:], strict=True):
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells[:2] == [name, f"{100 * models[name]['miou']:.1f}"]
        assert float(cells[2]) == round(models[name]["multiply_adds"] / 1e6)
        assert len(models[name]["seconds"]) >= 5 and min(models[name]["seconds"]) > 0
    teacher, alone, upsampled, *others = (row["multiply_adds"] for row in models.values())
    assert teacher > upsampled > alone and {*others} == {upsampled}
    said = [RunFolder(tmp_path / "out" / str(i)).recipe.read_text() for i in range(5)]
    assert "upsample: false" in said[0] and "distillation: null" in said[1]
    for text, terms in zip(said[2:], ((1, 1, 0, 0), (1, 1, 1, 0), (1, 1, 1, 1)), strict=True):
        for name, on in zip(("student", "lifted", "features", "kl"), terms, strict=True):
            assert f"  {name}: {float(on)}" in text
