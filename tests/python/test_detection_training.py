"""Training a detector: the loss falls, a stop changes nothing, and the page runs as written."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

pytest.importorskip("yaml")
pytest.importorskip("lightning_fabric")
pytest.importorskip("kornia")
pytest.importorskip("faster_coco_eval")

from command_line import run
from detection_scenes import CLASSES, Scenes, write_scenes
from PIL import Image
from test_optimize import MINI
from test_training import assert_same_run, losses

from seaformer_kernels.models.config import FAMILY
from seaformer_kernels.training import (
    Machine,
    RecipeError,
    RunFolder,
    Trainer,
    TrainingError,
    load_recipe,
    make_task,
)
from seaformer_kernels.training.metrics_log import read_metrics
from seaformer_kernels.training.recipe import parse_recipe

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/start/detection.md").read_text()
RECIPE = {
    "task": "detection",
    "data": "coco",
    "model": "seaformer_tiny",
    "head": "light",
    "batch": 2,
    "epochs": 4,
    "augment": {"size": [64, 64], "scale": [0.9, 1.1], "distort": False},
    "optimizer": {"name": "adamw", "lr": 5e-3},
    "schedule": {"name": "step"},
    "validate_every": 4,
}


@pytest.fixture(autouse=True)
def mini(monkeypatch, one_thread):
    monkeypatch.setitem(FAMILY, "seaformer_tiny", MINI)


def make_trainer(path, resume=False, training=None, **changes):
    machine = Machine("cpu", workers=0)
    recipe = parse_recipe({**RECIPE, **changes}, Path("made_up"))
    fabric = machine.fabric()
    fabric.launch()
    folder = RunFolder(path)
    state = folder.resume(recipe) if resume else None
    if not resume:
        folder.begin(recipe)
    task = make_task(recipe, training or Scenes(4), Scenes(3, seed=1), folder, fabric)
    return Trainer(recipe, task, folder, machine, fabric), state


def test_the_loss_falls_and_a_stopped_run_goes_on_to_the_same_curve(tmp_path):
    trainer, _ = make_trainer(tmp_path / "whole")
    trainer.train()
    curve = losses(tmp_path / "whole")
    assert len(curve) == 8
    assert min(curve[-3:]) < 0.8 * curve[0]
    rows = read_metrics(tmp_path / "whole/metrics.csv")
    assert 0 <= float(rows[-1]["ap50"]) <= 1
    assert (tmp_path / "whole/overlays/step_000008.png").is_file()

    trainer, _ = make_trainer(tmp_path / "stopped")

    def stop(row):
        if row["step"] == 5:
            raise KeyboardInterrupt

    trainer.observer.step = stop
    with pytest.raises(TrainingError, match="Stopped after step 5"):
        trainer.train()
    trainer, state = make_trainer(tmp_path / "stopped", resume=True)
    assert state["step"] == 4
    trainer.train(state)
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


def test_what_is_kept_says_all_of_it(tmp_path):
    trainer, _ = make_trainer(tmp_path / "run", epochs=1)
    trainer.train()
    config = json.loads((tmp_path / "run/best/config.json").read_text())
    assert (config["task"], config["head"], config["category_ids"]) == (
        "detection",
        "light",
        [7, 30],
    )
    assert list(config["id2label"].values()) == list(CLASSES)
    assert config["input_longer_side"] == 64


@pytest.mark.slow
def test_it_learns_scenes_by_heart(tmp_path):
    trainer, _ = make_trainer(
        tmp_path / "run", epochs=150, validate_every=150, schedule={"name": "cosine"},
        augment={"size": [96, 96], "flip": 0, "distort": False},
    )  # fmt: skip
    trainer.task.validation.data = trainer.task.data
    trainer.train()
    assert float(read_metrics(tmp_path / "run/metrics.csv")[-1]["ap50"]) > 0.9


def test_other_categories_are_refused(tmp_path):
    training = Scenes(4)
    training.category_ids = (1, 2)
    with pytest.raises(TrainingError, match="the same categories to train and to validate"):
        make_trainer(tmp_path / "run", training=training)


def test_data_of_another_task_is_refused(tmp_path):
    training = Scenes(4)
    training.task = "segmentation"
    with pytest.raises(TrainingError, match="data set for detection, got coco, which is for segm"):
        make_trainer(tmp_path / "run", training=training)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"augment": {"size": [16, 64]}}, "augment.size: expected a height and width from 32"),
        ({"augment": {"size": [64, 64], "scale": [2, 1]}}, "augment.scale: expected a positive"),
        ({"augment": {"size": [64, 64], "mosaic": 2}}, "augment.mosaic: expected a number from 0"),
        ({"loss": {"box": "iou"}}, "loss.box: expected smooth_l1 or giou"),
        ({"loss": {"alpha": 2.0}}, "loss.alpha: expected a number from 0 to 1"),
        ({"loss": {"gamma": -1.0}}, "loss.gamma: expected a number from 0"),
        ({"head": "heavy"}, "head: expected retina or light"),
        ({"schedule": {"name": "step", "drops": [1.5]}}, "schedule.drops: expected numbers"),
    ],
)
def test_what_a_recipe_may_not_say(changes, message):
    with pytest.raises(RecipeError, match=message):
        parse_recipe({**RECIPE, **changes}, Path("made_up"))


@pytest.mark.parametrize("name", ["coco_detection_1x", "coco_detection_3x"])
def test_recipes_of_coco(name):
    recipe = load_recipe(ROOT / f"recipes/{name}.yaml")
    assert (recipe.task, recipe.data, recipe.batch) == ("detection", "coco", 16)
    assert recipe.epochs == {"coco_detection_1x": 12, "coco_detection_3x": 36}[name]
    assert recipe.augment.mosaic == 0


def commands() -> list[list[str]]:
    text = "\n".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)).replace("\\\n", " ")
    return [shlex.split(line)[1:] for line in text.splitlines() if line.startswith("seaformer ")]


def test_the_page_runs_as_written(in_tmp_path):
    (recipe,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    Path("things.yaml").write_text(recipe)
    write_scenes(Path("things"), train=8, val=3)
    train, evaluate, detect = commands()
    quick = ["--set", "augment.size=[64, 64]", "--workers", 0, "--device", "cpu", "--epochs", 1]
    result = run(*train, *quick)
    assert result.exit_code == 0, result.output
    assert "Best ap 0." in result.output
    result = run(*evaluate, "--engine", "plain", "--json", "found.json", "--overlays", "sheet.png")
    assert result.exit_code == 0, result.output
    assert re.search(r"plain: AP [\d.]+, AP50 [\d.]+, AP75 [\d.]+, AP small", result.output)
    assert re.search(r"^disc: AP [\d.]+$", result.output, re.MULTILINE)
    found = json.loads(Path("found.json").read_text())
    assert [one["name"] for one in found["engines"]["plain"]["classes"]] == list(CLASSES)
    result = run(*detect, "--eager", "--score", 0)
    assert result.exit_code == 0, result.output
    assert "found" in result.output
    with Image.open("found/0001_boxes.png") as picture:
        assert picture.size == (96, 96)
    results = json.loads(Path("results.json").read_text())
    assert {one["image_id"] for one in results} <= {1, 2, 3}
    assert {one["category_id"] for one in results} <= {7, 30}
    for one in results:
        left, top, width, height = one["bbox"]
        assert 0 <= left <= left + width <= 96.001
        assert 0 <= top <= top + height <= 96.001


def test_an_image_that_fails_does_not_stop_the_others(in_tmp_path):
    write_scenes(Path("."), train=2)
    Path("images/train/0003.png").write_text("no image")
    args = ["--model", "seaformer_tiny", "--num-classes", 2, "--eager", "--out", "out"]
    result = run("detect", "images/train", *args, "--json", "all.json", "--score", 0)
    assert result.exit_code == 1
    assert "1 of 3 images failed:" in result.stderr
    assert "0003.png: not an image of a kind that can be read" in result.stderr
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "0001_boxes.png",
        "0002_boxes.png",
    ]
    assert {one["category_id"] for one in json.loads(Path("all.json").read_text())} <= {0, 1}
    result = run("detect", "images/train/0001.png", *args)
    assert result.exit_code == 2
    assert "--overwrite replaces it" in result.stderr


def test_evaluate_tells_what_is_not_for_detection(in_tmp_path):
    write_scenes(Path("."), val=1)
    trainer, _ = make_trainer(Path("run"), epochs=1)
    trainer.train()
    common = ["evaluate", "--data", ".", "--task", "detection", "--weights", "run/best"]
    result = run(*common, "--flip")
    assert result.exit_code == 2
    assert "--flip is for segmentation, got detection" in result.stderr
