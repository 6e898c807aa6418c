"""Recipes: those that are there parse, and what is wrong with one is said."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("yaml")
pytest.importorskip("lightning_fabric")

import data_trees
import torch
from data_trees import CASES, coco_stuff10k_first_release, imagenet
from test_optimize import MINI

import seaformer_kernels as sk
from seaformer_kernels.data.opening import open_data
from seaformer_kernels.models.config import FAMILY
from seaformer_kernels.training import (
    Machine,
    RecipeError,
    RunFolder,
    Trainer,
    load_recipe,
    make_task,
)
from seaformer_kernels.training.metrics_log import read_metrics
from seaformer_kernels.training.recipe import recipe_differences
from seaformer_kernels.training.schedules import lr_factor

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))
GOOD = """
task: segmentation
data: folder
model: seaformer_tiny
batch: 8
epochs: 10
augment: {crop: [64, 96]}
optimizer: {name: adamw, lr: 3e-3}
schedule: {name: poly}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("model", sk.list_models())
@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_is_for_every_model(path, model):
    recipe = load_recipe(path, {"model": model})
    assert recipe.model == model
    assert isinstance(recipe.optimizer.lr, float)


def test_recipes_of_all_data_sets_are_there():
    tasks = {(load_recipe(path).task, load_recipe(path).data) for path in RECIPES}
    names = {*sk.data.DATASETS, "coco_stuff10k"}
    others = {("classification", "imagenet"), ("detection", "coco")}
    assert tasks == others | {("segmentation", name) for name in names}
    batches = {load_recipe(path).batch for path in RECIPES if path.stem.startswith("ade20k")}
    assert batches == {16, 32}


def test_what_a_recipe_says(tmp_path):
    recipe = load_recipe(write(tmp_path, GOOD), {"optimizer.lr": 0.5, "weights": "a.pth"})
    assert recipe.augment.crop == (64, 96)
    assert recipe.optimizer.lr == 0.5
    assert recipe.weights == str(tmp_path / "a.pth")
    assert load_recipe(write(tmp_path, GOOD)).optimizer.lr == 3e-3  # YAML 1.1 would say text


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("batch: 8", "batchsize: 8", "unknown key 'batchsize'; expected augment, batch,"),
        ("batch: 8\n", "", "the key 'batch' is missing"),
        ("batch: 8", "batch: eight", "batch: expected an integer, got 'eight'"),
        ("batch: 8", "batch: 8.0", "batch: expected an integer, got 8.0"),
        ("batch: 8", "batch: yes", "batch: expected an integer, got True"),
        ("batch: 8", "batch: 0", "batch: expected a positive integer, got 0"),
        ("batch: 8", "batch: 8\nbatch: 9", "key 'batch' stands twice"),
        ("epochs: 10", "", "expected either epochs or steps, got neither"),
        ("epochs: 10", "epochs: 1\nsteps: 2", "expected either epochs or steps, got both"),
        ("lr: 3e-3", "lr: fast", "optimizer.lr: expected a number or a number for each of sev"),
        ("lr: 3e-3", "lr: -1", "optimizer.lr: expected a positive number, got -1.0"),
        ("lr: 3e-3", "lr: .nan", "optimizer.lr: expected a number"),
        ("lr: 3e-3", "lr: {seaformer_base: 1}", "optimizer.lr: expected one for seaformer_tiny"),
        ("lr: 3e-3", "lr: 1, decay: 1", "optimizer: unknown key 'decay'"),
        ("adamw", "sgd", "optimizer.name: expected adamw or rmsprop, got 'sgd'"),
        ("{name: poly}", "poly", "schedule: expected a mapping of keys, got 'poly'"),
        ("[64, 96]", "[64]", "augment.crop: expected a list of 2 integers, got"),
        ("[64, 96]", "[64, 16]", "augment.crop: expected a height and width from 32 up"),
        ("[64, 96]}", "[62, 96]}\nhalf: true", "from 64 up, of which the model reads half"),
        ("[64, 96]}", "[64, 96], sizes: [1, 0.9]}\nhalf: true", "half, at each of augment.sizes"),
        ("task: segmentation", "task: depth", "task: expected segmentation, classification"),
        (
            "task: segmentation\n",
            "",
            "task: expected segmentation, classification, detection, got '(none)'",
        ),
        ("task: segmentation", "loss: {label_smoothing: 1}\ntask: segmentation", "unknown key 'la"),
        ("batch: 8", "ema: 1.5\nbatch: 8", "ema: expected a number between 0 and 1, got 1.5"),
        ("batch: 8", "loss: {class_weights: [0, 0]}\nbatch: 8", "numbers from 0 up that are not"),
        ("batch: 8", "batch: [", "expected YAML, but"),
        (GOOD, "- a list", "expected a mapping of keys, got"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_key(tmp_path, old, new, message):
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


def test_no_file(tmp_path):
    with pytest.raises(RecipeError, match=r"none.yaml cannot be read: No such file"):
        load_recipe(tmp_path / "none.yaml")


def test_python_in_yaml_is_not_run(tmp_path):
    text = GOOD.replace("batch: 8", "batch: !!python/object/apply:os.getpid []")
    with pytest.raises(RecipeError, match="expected YAML"):
        load_recipe(write(tmp_path, text))


def test_differences_are_dotted_keys():
    before = {"a": 1, "b": {"c": 1, "d": 2}, "e": None}
    after = {"a": 1, "b": {"c": 3, "d": 2}, "f": 1}
    assert recipe_differences(before, after) == ["b.c", "f"]


def test_schedules(tmp_path):
    text = GOOD.replace("{name: poly}", "{name: NAME, power: 2.0, warmup_steps: 10}")
    poly = load_recipe(write(tmp_path, text.replace("NAME", "poly"))).schedule
    cosine = load_recipe(write(tmp_path, text.replace("NAME", "cosine"))).schedule
    assert lr_factor(poly, 0, 100) == pytest.approx(1e-6)
    assert lr_factor(poly, 5, 100) == pytest.approx(0.5 * 0.95**2, rel=1e-5)
    assert lr_factor(poly, 50, 100) == pytest.approx(0.25)
    assert lr_factor(cosine, 50, 100) == pytest.approx(0.5)
    assert lr_factor(cosine, 99, 100) < 1e-3


def layouts():
    """Each recipe with each layout of its data set on disk."""
    for path in RECIPES:
        name = load_recipe(path).data
        if name == "imagenet":
            yield pytest.param(path, imagenet, None, id=f"{path.stem}-imagenet")
        for of, make, labels, _ in CASES:
            if of == name:
                yield pytest.param(path, make, labels, id=f"{path.stem}-{make.__name__}")


@pytest.mark.parametrize(("path", "make", "labels"), [*layouts()])
def test_every_recipe_takes_two_steps(path, make, labels, tmp_path, monkeypatch, one_thread):
    pytest.importorskip("kornia")
    if make is coco_stuff10k_first_release:
        pytest.importorskip("scipy")
    monkeypatch.setitem(FAMILY, "seaformer_tiny", MINI)
    changes = {
        "model": "seaformer_tiny",
        "batch": 2,
        "epochs": None,
        "steps": 2,
        "validate_every": 9,
    }
    task = load_recipe(path).task
    small = {"augment.crop": [160, 160]} if task == "segmentation" else {"augment.size": 64}
    if getattr(load_recipe(path).augment, "resize", None):
        small["augment.resize"] = [64, 96]
    recipe = load_recipe(path, {**changes, **small})
    monkeypatch.setattr(data_trees, "HEIGHT", 66)  # the student halves it
    monkeypatch.setattr(data_trees, "WIDTH", 88)
    for split in "train", "val":
        make(tmp_path / split, split, *([list(labels)] if labels else []))
    data, validation = (open_data(recipe.data, tmp_path / s, s) for s in ("train", "val"))
    data.samples *= 8  # a batch is more than one image, and int8 wants ranges of eight
    needs = [key for key in ("distillation", "quantization") if getattr(recipe, key, None)]
    if needs:
        model = sk.create_model("seaformer_tiny", recipe.task, num_classes=len(data.facts.classes))
        torch.save(model.state_dict(), tmp_path / "given.pth")
        keys = {"distillation": "distillation.teacher", "quantization": "weights"}
        given = {keys[key]: str(tmp_path / "given.pth") for key in needs}
        recipe = load_recipe(path, {**changes, **small, **given})
    folder, machine = RunFolder(tmp_path / "run"), Machine("cpu", workers=0)
    fabric = machine.fabric()
    folder.begin(recipe)
    trainer = Trainer(
        recipe, make_task(recipe, data, validation, folder, fabric), folder, machine, fabric
    )
    assert trainer.train() >= 0
    assert trainer.step == 2
    rows = read_metrics(folder.metrics)
    assert [bool(row["loss"]) for row in rows] == [True, True, False]
    assert folder.best.exists()
