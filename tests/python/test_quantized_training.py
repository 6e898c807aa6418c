"""Recipes that train through int8: a stop changes nothing, and what is kept becomes that model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

pytest.importorskip("lightning_fabric")
pytest.importorskip("yaml")
pytest.importorskip("safetensors")

from made_up_training import FACTS, RECIPE, MadeUp, make_trainer
from test_training import assert_same_run

import seaformer_kernels as sk
from seaformer_kernels.quantize.simulate import SimulatedBlock
from seaformer_kernels.training import (
    Machine,
    RecipeError,
    RunFolder,
    Stopped,
    TrainingError,
    make_task,
)
from seaformer_kernels.training.recipe import parse_recipe

QUANTIZED = {"quantization": {"num_samples": 8}, "epochs": 1}


def normalised(image: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (FACTS.mean, FACTS.std))
    return ((image - mean) / std)[None]


def recipe(**changes):
    return parse_recipe({**RECIPE, **QUANTIZED, **changes}, Path("made_up"))


def test_a_stopped_run_goes_on_to_the_same_curve_and_to_int8(tmp_path, one_thread):
    trainer, _ = make_trainer(tmp_path / "whole", **QUANTIZED)
    state = trainer.network.state_dict()
    scales = {name: value.clone() for name, value in state.items() if name.endswith(".scale")}
    assert scales and all(scale > 0 for scale in scales.values())
    trainer.train()
    after = trainer.trained.state_dict()
    assert all(after[name] == scale for name, scale in scales.items())
    trainer, _ = make_trainer(tmp_path / "stopped", **QUANTIZED)
    trainer.interruption.asked = True
    with pytest.raises(Stopped):
        trainer.train()
    trainer, state = make_trainer(tmp_path / "stopped", resume=True, **QUANTIZED)
    assert state["step"] == 1
    trainer.train(state)
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")

    kept = sk.from_pretrained(tmp_path / "whole" / "best")
    simulated = [part for part in kept.modules() if isinstance(part, SimulatedBlock)]
    assert simulated and all(block.simulating for block in simulated)
    assert kept.facts.classes == FACTS.classes
    small = sk.convert(kept, FACTS.mean, FACTS.std)
    assert {entry.dtype for entry in small.report().int8} == {"int8"}
    image, _ = MadeUp(1, seed=1)[0]
    labels = small.predict(image[None]), kept.predict(normalised(image))
    assert (labels[0] == labels[1]).float().mean() > 0.98


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": None}, "weights to train as int8 from .--weights., got none"),
        ({"quantization": {"skip": ["head"]}}, "expected skip to name parts of the model, got 'h"),
    ],
)
def test_what_does_not_fit_is_told(tmp_path, changes, message):
    sk.create_model("seaformer_tiny", num_classes=3).save_pretrained(tmp_path / "start")
    changes = {"weights": str(tmp_path / "start"), **changes}
    fabric = Machine("cpu").fabric()
    with pytest.raises(TrainingError, match=message):
        make_task(recipe(**changes), MadeUp(8), MadeUp(3), RunFolder(tmp_path), fabric)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"quantization": {"num_samples": 0}}, "quantization.num_samples: expected a positive"),
        ({"quantization": {"observer": "mean"}}, "observer: expected histogram or minmax, got"),
        ({"quantization": {"skip": "head"}}, "quantization.skip: expected a list of texts, got"),
        ({"half": True, "augment": {"crop": [64, 64]}, "distillation": {"teacher": "a"}},
         "quantization: expected none with distillation, got"),
    ],
)  # fmt: skip
def test_wrong_recipes_are_refused(changes, message):
    with pytest.raises(RecipeError, match=message):
        recipe(**changes)
