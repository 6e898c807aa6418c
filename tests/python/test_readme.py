"""The README's Python examples run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import seaformer_kernels as sk

README = Path(__file__).parents[2] / "README.md"


def test_python_examples(tmp_path, monkeypatch, capsys):
    examples = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(examples) >= 3
    monkeypatch.chdir(tmp_path)
    model = sk.create_model("seaformer_base", num_classes=150)
    torch.save(model.state_dict(), "seaformer_base.pth")
    if "avx2" not in sk.cpu.supported_isas():
        pytest.skip("the examples force AVX2")
    names: dict = {}
    for example in examples:  # each goes on where the one before it ended
        exec(example, names)
    assert names["logits"].shape == (1, 150, 64, 64)
    assert names["labels"].shape == (1, 512, 512)
    assert "upsample_argmax" in capsys.readouterr().out
