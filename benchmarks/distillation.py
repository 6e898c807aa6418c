"""What each part of SeaFormer++'s distillation brings: mIoU, multiply-adds and latency of each.

    python benchmarks/distillation.py people --data FOLDER --teacher runs/people-seaformer_tiny/best

Trains a student at half resolution alone, with the upsampler, and with one term of the loss after
another, all by `recipes/DATA-half.yaml` for as many epochs; --resume is implied, so that the same
command goes on. Then evaluates the fused forms of all of them and of the teacher, and times their
`predict` of an image of the data, which is halved before for students, in turns, on one core.
Writes ablation.json and ablation.md to --out.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import torch
import yaml

import seaformer_kernels as sk
from seaformer_kernels._files import write_whole
from seaformer_kernels.bench import machine
from seaformer_kernels.bench.rounds import interleave
from seaformer_kernels.bench.tables import spread, table
from seaformer_kernels.data.opening import open_data
from seaformer_kernels.evaluate import InputSize, evaluate_segmentation
from seaformer_kernels.optimize.multiply_adds import count_multiply_adds

RECIPES = Path(__file__).parents[1] / "recipes"
TEACHER = "teacher, whole image"
UPSAMPLER = "+ upsampler"
# What each student has, as changes of the recipe, in which all terms are on.
STUDENTS: dict[str, dict[str, Any]] = {
    "student alone": {"upsample": False, "distillation": None},
    UPSAMPLER: {"distillation": None},
    "+ teacher's classifier": {"distillation.features": 0, "distillation.kl": 0},
    "+ features": {"distillation.kl": 0},
    "+ divergence": {},
}


def input_size(name: str) -> InputSize:
    """What of an image the teacher or a student reads."""
    return InputSize(scale=1.0 if name == TEACHER else 0.5)


def train(
    data: str, folder: Path, teacher: Path, name: str, run: Path, options: Sequence[str]
) -> None:
    """Trains a student to the end; one that is there goes on, or is left as it is."""
    changes = [f"--set={key}={yaml.safe_dump(v).split()[0]}" for key, v in STUDENTS[name].items()]
    if STUDENTS[name].get("distillation", ...) is not None:
        changes.append(f"--teacher={teacher}")
    command = [
        *(sys.executable, "-m", "seaformer_kernels.cli", "train", RECIPES / f"{data}-half.yaml"),
        *("--data", folder, "--out", run, *changes, *options),
    ]
    if (run / "last.pt").exists():
        command.append("--resume")
    print(f"{name}: {' '.join(map(str, command[1:]))}", flush=True)
    subprocess.run(command, check=True)


def timed(fused: dict[str, torch.nn.Module], size: tuple[int, int], seconds: float) -> Any:
    """The seconds of each round of `predict` on an image of the data set."""
    calls = {}
    for name, model in fused.items():
        image = torch.randn(1, 3, *input_size(name).of(size))
        calls[name] = lambda model=model, image=image: model.predict(image, size=size)
    with machine.pinned(1), torch.inference_mode():
        return interleave(calls, seconds, 5)[0]


@click.command()
@click.argument("data_name", metavar="DATA", type=click.Choice(["people", "camvid"]))
@click.option("--data", "folder", type=Path, required=True, help="Folder of the data set.")
@click.option("--teacher", type=Path, required=True, help="Folder of save_pretrained.")
@click.option("--split", default="test", show_default=True, help="What is evaluated.")
@click.option("--out", type=Path, help="Folder of runs and results.  [default: runs/ablation-DATA]")
@click.option("--seconds", default=20.0, show_default=True, help="Of timing.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def main(
    data_name: str,
    folder: Path,
    teacher: Path,
    split: str,
    out: Path | None,
    seconds: float,
    options: tuple[str, ...],
) -> None:
    """Trains and compares students of DATA; behind -- stand options of seaformer train."""
    out = out or Path("runs") / f"ablation-{data_name}"
    runs = {name: out / str(i) for i, name in enumerate(STUDENTS)}
    for name, run in runs.items():
        train(data_name, folder, teacher, name, run, options)

    data = open_data(data_name, folder, split)
    folders = {TEACHER: teacher, **{name: run / "best" for name, run in runs.items()}}
    models = {name: sk.from_pretrained(folder) for name, folder in folders.items()}
    size = tuple(data[0][0].shape[1:])
    fused = {name: sk.optimize(model, whole_graph=True) for name, model in models.items()}
    # All further students are the network of the one that first has the upsampler.
    rounds = timed({name: fused[name] for name in [*fused][:3]}, size, seconds)
    found = {}
    for name, model in models.items():
        result = evaluate_segmentation(fused[name], data, input_size=input_size(name))
        meta = torch.zeros(1, 3, *input_size(name).of(size), device="meta")
        found[name] = {
            "miou": result.miou,
            "multiply_adds": count_multiply_adds(model.to("meta"), meta).total,
            "seconds": rounds.get(name, rounds[UPSAMPLER]),
        }
    rows = [
        [
            name,
            f"{100 * row['miou']:.1f}",
            f"{row['multiply_adds'] / 1e6:.0f}",
            spread([1000 * s for s in row["seconds"]]),
        ]
        for name, row in found.items()
    ]
    columns = [f"on {data_name}", f"{split} mIoU", "M multiply-adds", "ms to labels, 1 thread"]
    facts = machine.describe() | machine.conditions()
    text = (
        f"Multiply-adds and times of {size[1]}x{size[0]}, {facts['cpu']}, median and quartiles:\n\n"
        f"{table(columns, rows)}\n"
    )
    print(f"\n{text}", end="")
    record = {"data": data_name, "split": split, "size": size, "options": options}
    content = json.dumps(record | {"machine": facts, "models": found}, indent=1)
    write_whole(
        {
            out / "ablation.json": lambda path: path.write_text(content),
            out / "ablation.md": lambda path: path.write_text(text),
        }
    )


if __name__ == "__main__":
    main()
