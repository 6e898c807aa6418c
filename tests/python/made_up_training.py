"""A small training on made-up images; as a program, one that tests can kill or run twice.

python made_up_training.py FOLDER [--resume] [--double] [--distilled]
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import NamedTuple

import torch
from test_optimize import MINI
from torch.utils.data import Dataset

from seaformer_kernels import ModelFacts
from seaformer_kernels.data import Dataset as Facts
from seaformer_kernels.evaluate import InputSize
from seaformer_kernels.models import SeaFormerSegmenter
from seaformer_kernels.training import (
    DistillationLoss,
    Machine,
    RunFolder,
    SegmentationLoss,
    Stopped,
    Task,
    Trainer,
)
from seaformer_kernels.training.losses import mean_of
from seaformer_kernels.training.objectives import Distilled, Supervised
from seaformer_kernels.training.recipe import parse_recipe
from seaformer_kernels.training.samples import seed_of
from seaformer_kernels.training.tasks import prepared
from seaformer_kernels.training.validation import SegmentationValidation

FACTS = Facts("made up", ("ground", "left", "right"), ((0, 0, 0), (255, 0, 0), (0, 0, 255)))
RECIPE = {
    "task": "segmentation",
    "data": "made up",
    "model": "seaformer_tiny",
    "batch": 4,
    "epochs": 4,
    "augment": {"crop": [64, 64]},
    "optimizer": {"name": "adamw", "lr": 1e-2, "head_lr": 2},
    "schedule": {"name": "poly", "power": 0.9, "warmup_steps": 3},
    "ema": 0.9,
    "clip": 5,
    "dropout": 0.2,
}


class Sample(NamedTuple):
    image: Path
    name: str


class MadeUp(Dataset):
    """Images with two rectangles, of a colour for each class, in noise."""

    task = "segmentation"
    facts = FACTS

    def __init__(self, count: int, seed: int = 0):
        self.samples = [Sample(Path(f"image_{i}.png"), f"image_{i}") for i in range(count)]
        self.seed = seed

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int):
        generator = torch.Generator().manual_seed(seed_of(self.seed, index))
        mask = torch.zeros(64, 64, dtype=torch.uint8)
        for label in (1, 2):
            y, x = (8 * torch.randint(0, 3, (2,), generator=generator)).tolist()
            mask[y : y + 40, x + 16 * (label - 1) :][:, :24] = label
        colors = torch.tensor(((60, 60, 60), (200, 60, 60), (60, 60, 200)), dtype=torch.float32)
        noise = 20 * torch.randn(64, 64, 3, dtype=torch.float32, generator=generator)
        image = (colors[mask.long()] + noise).clamp(0, 255).byte().permute(2, 0, 1)
        mask[:2] = 255
        return image, mask

    def mask(self, index: int):
        return self[index][1]


def augment(image, mask, seed, _of_batch):
    """As little as shows that the seed reaches it."""
    mean, std = (
        torch.tensor(v, dtype=torch.float32).view(3, 1, 1) for v in (FACTS.mean, FACTS.std)
    )
    generator = torch.Generator().manual_seed(seed)
    x = (
        image + 5 * torch.randn(image.shape, dtype=torch.float32, generator=generator) - mean
    ) / std
    return (x.flip(2), mask.long().flip(1)) if seed % 2 else (x, mask.long())


def make_trainer(folder, resume=False, machine=None, save_every=3, distilled=False, **changes):
    """The trainer and the state it goes on from."""
    machine = machine or Machine("cpu", workers=0)
    content = {**RECIPE, **changes}
    recipe = parse_recipe({k: v for k, v in content.items() if v is not None}, Path("made_up"))
    fabric = machine.fabric()
    fabric.launch()
    folder = RunFolder(Path(folder))
    state = None
    if resume:
        state = folder.resume(recipe)
    elif fabric.is_global_zero:
        folder.check_free()
        folder.begin(recipe)
    fabric.barrier()
    torch.manual_seed(recipe.seed)
    size = InputSize(scale=0.5 if distilled else 1.0)
    validation = SegmentationValidation(MadeUp(3, seed=1), size)
    model = SeaFormerSegmenter(MINI, len(FACTS.classes), upsample=distilled)
    loss = SegmentationLoss(torch.tensor([0.5, 1.0, 1.5]))
    objective = Supervised(loss)
    if distilled:
        objective = Distilled(
            DistillationLoss(cross_entropy=mean_of(loss)),
            SeaFormerSegmenter(MINI, len(FACTS.classes)),
            loss,
            lambda weight: fabric.all_reduce(weight, reduce_op="mean"),
        )
    facts = ModelFacts.of(FACTS)
    task = Task(model, MadeUp(8), augment, objective, validation, facts)
    if recipe.quantization is not None:
        task = dataclasses.replace(task, model=prepared(task, recipe.quantization, resume))
    return Trainer(recipe, task, folder, machine, fabric, save_every=save_every), state


def main(folder: str, *words: str) -> None:
    torch.set_num_threads(1)
    if "--double" in words:
        torch.set_default_dtype(torch.float64)  # Fabric turns outputs to it
        machine = Machine("cpu", "64-true", workers=0)
    else:
        machine = Machine("cpu", workers=0)
    trainer, state = make_trainer(
        folder, "--resume" in words, machine=machine, distilled="--distilled" in words
    )
    try:
        trainer.train(state)
    except Stopped as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
