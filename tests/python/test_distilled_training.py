"""Recipes with a teacher: what they build, and that a stop or more processes change nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("lightning_fabric")
pytest.importorskip("yaml")

import made_up_training
from made_up_training import RECIPE, MadeUp
from test_distillation import CLASSES, model
from test_training import assert_same_run, tensors

import seaformer_kernels as sk
from seaformer_kernels.training import (
    DistillationLoss,
    Machine,
    RecipeError,
    RunFolder,
    SegmentationLoss,
    TrainingError,
    check_weights,
    halved,
    load_recipe,
    make_task,
)
from seaformer_kernels.training.losses import mean_of
from seaformer_kernels.training.metrics_log import read_metrics
from seaformer_kernels.training.objectives import Distilled, Supervised
from seaformer_kernels.training.recipe import parse_recipe
from seaformer_kernels.training.state import load_state

ROOT = Path(__file__).parents[2]
PROGRAM = Path(made_up_training.__file__)


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(4, 3, 64, 64, generator=generator)
    masks = torch.randint(0, CLASSES, (4, 64, 64), generator=generator)
    masks[:2, :40] = 255  # halves of the batch that weigh differently
    return images, masks


def test_the_sum_over_shares_of_a_batch_is_that_of_the_batch(batch):
    images, masks = batch
    teacher, student = model(), model(upsample=True, seed=1).eval()
    loss = SegmentationLoss(torch.tensor([0.5, 1, 1, 2, 3]))
    distillation = DistillationLoss(1, 2, 3, 4, cross_entropy=mean_of(loss))
    mean = loss.weight_of(masks) / 2
    total, weight = Distilled(distillation, teacher, loss, lambda x: x)(student, images, masks)
    whole = (total / weight).item()
    shares = Distilled(distillation, teacher, loss, lambda _: mean)
    parts = [shares(student, images[i : i + 2], masks[i : i + 2]) for i in (0, 2)]
    assert parts[0].weight < parts[1].weight
    halves = sum(p.total for p in parts) / sum(p.weight for p in parts)
    assert halves.item() == pytest.approx(whole, rel=1e-5)
    terms = distillation(student, teacher, images, halved(images), masks)
    assert whole == pytest.approx(sum(terms.values()).item(), rel=1e-5)
    assert not any(p.requires_grad for p in teacher.parameters())


def test_half_the_image_without_a_teacher(batch):
    images, masks = batch
    student = model(upsample=True).eval()
    loss = SegmentationLoss()
    assert Supervised(loss, halves=True)(student, images, masks) == loss(
        student(halved(images)), masks
    )


def recipe(**changes):
    distillation = {"teacher": "teacher.pth", "kl": 2, "temperature": 3}
    content = {**RECIPE, "half": True, "upsample": True, "distillation": distillation, **changes}
    return parse_recipe(content, Path("folder/made_up.yaml"))


def test_what_recipes_say():
    found = recipe()
    assert found.half and found.upsample and found.distillation.kl == 2.0
    assert found.distillation.teacher == str(Path("folder/teacher.pth"))
    for changes, message in [
        ({"half": False}, "half: expected true with distillation, got False"),
        ({"augment": {"crop": [48, 64]}}, "crop: expected a height and width from 64 up"),
        ({"distillation": {"teacher_model": "x"}}, "teacher_model: expected one of seaformer_tiny"),
        ({"distillation": {"kl": -1}}, "distillation: Expected a weight of 'kl' from 0 up"),
        ({"distillation": {"temperature": 0}}, "distillation: Expected a positive temperature"),
        ({"distillation": {"teachers": "x"}}, "distillation: unknown key 'teachers'"),
    ]:
        with pytest.raises(RecipeError, match=message):
            recipe(**changes)
    with pytest.raises(TrainingError, match=r"weights of a teacher \(--teacher\), got none"):
        check_weights(recipe(distillation={}))
    check_weights(recipe())
    check_weights(recipe(distillation=None))


@pytest.mark.parametrize("name", ["people-half", "camvid-half"])
def test_recipes_of_students(name):
    found = load_recipe(ROOT / "recipes" / f"{name}.yaml", {"distillation.teacher": "/t.pth"})
    assert found.half and found.upsample and found.distillation.teacher == "/t.pth"
    assert all(side % 16 == 0 for side in found.augment.crop)  # features then agree in size


def test_the_task_of_a_recipe(tmp_path):
    torch.manual_seed(0)
    teacher = sk.create_model("seaformer_tiny", num_classes=3)
    torch.save(teacher.state_dict(), tmp_path / "teacher.pth")
    fabric = Machine("cpu", workers=0).fabric()
    folder = RunFolder(tmp_path / "run")

    def task(**distillation):
        given = {"teacher": str(tmp_path / "teacher.pth"), **distillation}
        return make_task(recipe(distillation=given), MadeUp(4), MadeUp(2), folder, fabric)

    made = task()
    assert made.model.upsample and made.validation.input_size.scale == 0.5
    assert isinstance(made.objective, Distilled)
    for name, tensor in made.objective.teacher.state_dict().items():
        assert torch.equal(tensor, teacher.state_dict()[name])
    with pytest.raises(sk.CheckpointError):
        task(teacher_model="seaformer_small")
    torch.save(sk.create_model("seaformer_tiny", num_classes=4).state_dict(), tmp_path / "4.pth")
    with pytest.raises(TrainingError, match="all weights of a teacher of 3 classes"):
        task(teacher=str(tmp_path / "4.pth"))


@pytest.mark.slow
def test_a_stop_changes_nothing(tmp_path, one_thread):
    folder = tmp_path / "unbroken"
    made_up_training.make_trainer(folder, distilled=True)[0].train()
    rows = read_metrics(folder / "metrics.csv")
    assert float(rows[-1]["miou"]) > 0
    trainer, _ = made_up_training.make_trainer(tmp_path / "run", distilled=True)
    step = trainer._train_step

    def stop(*batch):
        row, _ = step(*batch)
        return row, trainer.step == 4

    trainer._train_step = stop
    with pytest.raises(Exception, match="after step 5 of 8"):
        trainer.train()
    trainer, state = made_up_training.make_trainer(tmp_path / "run", resume=True, distilled=True)
    trainer.train(state)
    assert_same_run(folder, tmp_path / "run")
    assert not [name for name in tensors(load_state(folder / "last.pt")) if "teacher" in name]


@pytest.mark.slow
@pytest.mark.children
def test_two_processes_follow_the_curve_of_one(tmp_path):
    words = ("--double", "--distilled")
    try:
        made_up_training.main(tmp_path / "one", *words)
    finally:
        torch.set_default_dtype(torch.float32)
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run([sys.executable, *command, PROGRAM, tmp_path / "two", *words], check=True)
    rows = [read_metrics(tmp_path / name / "metrics.csv") for name in ("one", "two")]
    # Further on, batch norms of maps of a pixel or two make much of little roundings.
    for one, two in zip(*(each[:3] for each in rows), strict=True):
        for name, value in one.items():
            assert float(two[name] or 0) == pytest.approx(float(value or 0), rel=1e-9), name
