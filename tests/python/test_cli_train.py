"""seaformer train: from a folder of pictures to a model, as docs/start/train.md says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import torch

pytest.importorskip("yaml")
pytest.importorskip("lightning_fabric")
pytest.importorskip("kornia")

from command_line import run
from made_up_training import MadeUp
from PIL import Image
from test_optimize import MINI

import seaformer_kernels as sk
from seaformer_kernels.models.config import FAMILY
from seaformer_kernels.training.metrics_log import read_metrics

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/start/train.md").read_text()
QUICK = ["--set", "augment.crop=[64, 64]", "--workers", 0, "--device", "cpu"]


@pytest.fixture(autouse=True)
def mini(monkeypatch, one_thread):
    monkeypatch.setitem(FAMILY, "seaformer_tiny", MINI)


@pytest.fixture
def folder(in_tmp_path):
    """What the page asks for: a folder of pictures, and its recipe."""
    for split, count in ("train", 8), ("val", 3):
        data = MadeUp(count, seed=count)
        for i in range(count):
            image, mask = data[i]
            for kind, pixels in ("images", image.permute(1, 2, 0)), ("masks", mask):
                path = Path("pictures", kind, split, f"{i}.png")
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels.numpy()).save(path)
    Path("pictures/classes.txt").write_text("\n".join(MadeUp.facts.classes) + "\n")
    (recipe,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    Path("pictures.yaml").write_text(recipe)


def commands() -> list[list[str]]:
    text = "\n".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)).replace("\\\n", " ")
    return [shlex.split(line)[1:] for line in text.splitlines() if line.startswith("seaformer ")]


@pytest.mark.usefixtures("folder")
def test_the_page_runs_as_written():
    pytest.importorskip("matplotlib")
    assert len(Path("pictures.yaml").read_text().splitlines()) == 10
    train, resume, *others = commands()
    done = run(*train, *QUICK, "--epochs", 10)
    assert done.exit_code == 0, done.output
    assert {path.name for path in Path("runs/pictures").iterdir()} >= {
        "best", "class_weights.json", "last.pt", "metrics.csv", "overlays", "recipe.yaml"
    }  # fmt: skip
    assert sk.from_pretrained("runs/pictures/best").facts.classes == MadeUp.facts.classes
    rows = read_metrics(Path("runs/pictures/metrics.csv"))
    assert [int(row["step"]) for row in rows if row["loss"]] == [*range(1, 11)]
    done = run(*resume, *QUICK, "--epochs", 10)
    assert done.exit_code == 0, done.output
    assert "Going on after step 10 of 10" in done.output
    for command in others:
        done = run(*command)
        assert done.exit_code == 0, (command, done.output)
    assert Path("pictures.sfm").stat().st_size > 1000
    assert len([*Path("labels").glob("*_overlay.png")]) == 3


@pytest.mark.slow
@pytest.mark.usefixtures("folder")
def test_what_was_trained_as_int8_is_taken_as_int8():
    sk.create_model("seaformer_tiny", num_classes=3).save_pretrained("start")
    train = ["train", "pictures.yaml", "--data", "pictures", *QUICK, "--out", "run"]
    done = run(*train, "--epochs", 1, "--weights", "start", "--set", "quantization.num_samples=8")
    assert done.exit_code == 0, done.output
    best = ("--weights", "run/best")
    evaluate = ("evaluate", "--data", "pictures", *best)
    for command in (
        (*evaluate, "--engine", "plain", "--engine", "fused-int8", "--calibrate", "nowhere"),
        ("segment", "pictures/images/val", *best, "--out", "labels"),
        ("quantize", *best, "--out", "a.sfm"),
        ("export", *best, "--out", "b.sfm"),
    ):
        done = run(*command)
        assert done.exit_code == 0, (command, done.output)
    assert Path("a.sfm").read_bytes() == Path("b.sfm").read_bytes()
    for command, message in (
        (evaluate, "for a model that was trained as int8, got fused"),
        (("export", *best, "--out", "c.sfm", "--keep-float32", "backbone"), "--keep-float32 is of"),
        (("quantize", *best, "--out", "c.sfm", "--chart", "c.png"), "--chart is of errors beside"),
    ):
        done = run(*command)
        assert done.exit_code in (1, 2)
        assert message in " ".join(done.output.split())


@pytest.mark.usefixtures("folder")
def test_what_is_refused():
    train, *_ = commands()
    quick = [*QUICK, "--epochs", 1]
    assert run(*train, *quick).exit_code == 0
    again = run(*train, *quick)
    assert again.exit_code == 1
    assert "--resume goes on with it, --overwrite replaces" in again.output
    changed = run(*train, *quick, "--resume", "--set", "optimizer.lr=1")
    assert changed.exit_code == 1
    assert "differs in optimizer.lr" in changed.output
    assert run(*train, *quick, "--overwrite").exit_code == 0
    wrong = run(*train, *quick, "--set", "optimizer.speed=1")
    assert "pictures.yaml: optimizer: unknown key 'speed'" in wrong.output
    wrong = run(*train, *quick, "--set", "optimizer.lr")
    assert "expected KEY=VALUE" in wrong.output
    kept = Path("runs/pictures/last.pt").read_bytes()
    wrong = run(*train, *quick, "--overwrite", "--weights", "none.pth")
    assert wrong.exit_code == 1
    assert "none.pth, which does not exist" in wrong.output
    assert Path("runs/pictures/last.pt").read_bytes() == kept  # nothing was replaced yet


@pytest.mark.usefixtures("folder")
def test_initial_weights_of_another_head():
    torch.manual_seed(3)
    torch.save(sk.create_model("seaformer_tiny", num_classes=7).state_dict(), "seven.pth")
    train, *_ = commands()
    options = [*QUICK, "--set", "optimizer.lr=1e-9", "--set", "ema=null"]
    done = run(*train, *options, "--epochs", 1, "--weights", "seven.pth")
    assert done.exit_code == 0, done.output
    before = torch.load("seven.pth", weights_only=True)
    after = torch.load("runs/pictures/last.pt", weights_only=True)["model"]
    name = "backbone.smb2.layer1.conv.0.c.weight"
    torch.testing.assert_close(after[name], before[name], rtol=0, atol=1e-6)
    assert after["decode_head.conv_seg.weight"].shape[0] == 3


def test_a_classifier(in_tmp_path):
    for split in "train", "val":
        data = MadeUp(4, seed=len(split))
        for i in range(4):
            path = Path("images", split, f"n{i % 2}", f"{i}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(data[i][0].permute(1, 2, 0).numpy()).save(path)
    done = run(
        "train", ROOT / "recipes/imagenet.yaml", "--data", "images", "--out", "run", "--model",
        "seaformer_tiny", "--batch", 2, "--epochs", 1, "--set", "augment.size=64", "--workers", 0,
        "--set", "schedule.warmup_steps=1",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "Best top1" in done.output
    assert len(read_metrics(Path("run/metrics.csv"))) == 3


def test_help_names_everything():
    text = run("train", "--help").output
    for word in ("RECIPE", "--data", "--resume", "--overwrite", "--set", "metrics.csv", "torchrun"):
        assert word in text
