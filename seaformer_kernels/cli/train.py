"""`seaformer train`: train a model by a recipe."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

import seaformer_kernels as sk
from seaformer_kernels.cli.options import THREADS
from seaformer_kernels.cli.outputs import show
from seaformer_kernels.cli.params import LocalPath, Weights, WeightsSource


@click.command()
@click.argument("recipe", metavar="RECIPE", type=LocalPath())
@click.option(
    "--data",
    "data_path",
    type=LocalPath(),
    required=True,
    metavar="PATH",
    help="Folder of the data set.",
)
@click.option(
    "--out",
    type=LocalPath(),
    metavar="FOLDER",
    help="Folder of the run.  [default: runs/RECIPE-MODEL]",
)
@click.option("--resume", is_flag=True, help="Go on with the run in the folder.")
@click.option("--overwrite", is_flag=True, help="Replace the run in the folder.")
@click.option(
    "--classes",
    type=LocalPath(),
    metavar="FILE",
    help="Names of the classes, for a data set of your own.",
)
@click.option("--check/--no-check", default=True, help="Look through the data before training.")
@click.option("--model", type=click.Choice(sk.list_models()), help="In place of the recipe's.")
@click.option("--epochs", type=click.IntRange(min=1), help="In place of the recipe's length.")
@click.option("--batch", type=click.IntRange(min=1), help="In place of the recipe's.")
@click.option(
    "--weights",
    type=WeightsSource(),
    metavar="FILE|FOLDER|NAME",
    help="What to start from: a checkpoint, or a model as --weights of segment names it.",
)
@click.option(
    "--teacher",
    type=WeightsSource(),
    metavar="FILE|FOLDER|NAME",
    help="The teacher of a recipe with distillation.",
)
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="In place of the recipe's, such as optimizer.lr=1e-3. May be repeated.",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where the network runs.",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "32-true", "16-mixed", "bf16-mixed"]),
    default="auto",
    show_default=True,
    help="Mixed precision; auto takes it on CUDA.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    help="Processes that read and augment images.",
)
@THREADS
@click.option(
    "--save-every",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    help="Steps from one saved state to the next.",
)
def train(
    recipe: Path,
    data_path: Path,
    out: Path | None,
    resume: bool,
    overwrite: bool,
    classes: Path | None,
    check: bool,
    device: Any,
    precision: Any,
    workers: int,
    threads: int | None,
    save_every: int,
    **changes: Any,
) -> None:
    """Train a model by RECIPE, a YAML file that says what to train, on what, and how.

    The folder of the run gets recipe.yaml, the recipe as it was used; metrics.csv, the curve;
    best/, the model that did best on the validation set, which --weights takes everywhere; last.pt,
    from which --resume goes on to the same curve; overlays/, pictures of validations; and, where
    TensorBoard is installed, tensorboard/. Ctrl-C saves and stops.

    Several processes: torchrun --nproc-per-node 2 -m seaformer_kernels.cli train ...
    """
    import torch

    try:
        from seaformer_kernels import training
        from seaformer_kernels.data.opening import check as check_data
        from seaformer_kernels.data.opening import open_data
        from seaformer_kernels.data.reading import DataError
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"Training needs {error.name}: pip install 'seaformer-kernels[train]'"
        ) from None
    if threads:
        torch.set_num_threads(threads)
    try:
        chosen = training.load_recipe(recipe, _changes(**changes))
        training.check_weights(chosen)
        folder = training.RunFolder(out or Path("runs") / f"{recipe.stem}-{chosen.model}")
        machine = training.Machine(device, precision, workers)
        fabric = machine.fabric()
        fabric.launch()
        zero = fabric.is_global_zero
        state = None
        if resume:
            state = folder.resume(chosen)
        elif zero and not overwrite:
            folder.check_free()
        to_train, to_validate = (
            open_data(chosen.data, data_path, split, classes) for split in ("train", "val")
        )
        if check and zero:
            check_data(to_train)
            check_data(to_validate)
        task = training.make_task(chosen, to_train, to_validate, folder, fabric, resume)
        if zero and not resume:
            folder.begin(chosen)  # only now, as all else is known to be in order
        fabric.barrier()
        trainer = training.Trainer(
            chosen, task, folder, machine, fabric, Display() if zero else None, save_every
        )
        best = trainer.train(state)
    except training.Stopped as error:
        if not fabric.is_global_zero:
            raise SystemExit(130) from None
        click.echo(f"{error} The same command with --resume goes on.", err=True)
        raise SystemExit(130) from None
    except (training.RecipeError, training.TrainingError, DataError, sk.CheckpointError) as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:  # a checkpoint that is not there, a disk that is full
        raise click.ClickException(str(error)) from None
    if zero:
        name = task.validation.metrics[0]
        click.echo(f"Best {name} {best:.4f}; the model is in {show(folder.best)}.")


def _changes(
    changes: tuple[str, ...], weights: Weights | None, teacher: Weights | None, **given: Any
) -> dict[str, Any]:
    """What the command line says in place of the recipe."""
    from seaformer_kernels.training.strict import parse_value

    found = {name: value for name, value in given.items() if value is not None}
    if "epochs" in found:
        found["steps"] = None
    if weights is not None:
        found["weights"] = str(weights.path.absolute())
    if teacher is not None:
        found["distillation.teacher"] = str(teacher.path.absolute())
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals or not key:
            raise click.UsageError(f"--set: expected KEY=VALUE, got {change!r}.")
        try:
            found[key] = parse_value(value)
        except ValueError as error:
            raise click.UsageError(f"--set {key}: {error}") from None
    if "steps" in found and "epochs" not in found:
        found["epochs"] = None
    return found


class Display:
    """A progress bar on a terminal, else a line for each epoch and validation."""

    def begins(self, step: int, steps: int, steps_per_epoch: int) -> None:
        """So many of the steps are done."""
        self.steps, self.steps_per_epoch = steps, steps_per_epoch
        console = Console(stderr=True)
        self.progress = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}  loss {task.fields[loss]:.4f}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self.bar = self.progress.add_task("", total=steps, completed=step, epoch=1, loss=0.0)
        self.progress.start()
        self._begin_epoch()
        if step:
            self._say(f"Going on after step {step} of {steps}.")

    def step(self, row: dict[str, Any]) -> None:
        """A step is done."""
        self.losses.append(row["loss"])
        self.progress.update(self.bar, completed=row["step"], epoch=row["epoch"], loss=row["loss"])
        if row["step"] % self.steps_per_epoch == 0 or row["step"] == self.steps:
            rate = len(self.losses) / (time.monotonic() - self.since)
            self._say(
                f"epoch {row['epoch']}, step {row['step']} of {self.steps}: loss "
                f"{sum(self.losses) / len(self.losses):.4f}, lr {row['lr']:.2e}, "
                f"{rate:.2f} steps a second"
            )
            self._begin_epoch()

    def validates(self) -> None:
        """A validation begins."""

    def validated(self, metrics: dict[str, float], best: bool) -> None:
        """A validation is done."""
        text = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())
        self._say(f"  validation: {text}{' (best)' if best else ''}")
        self.since = time.monotonic()

    def ends(self) -> None:
        """The run ends, or stops."""
        self.progress.stop()

    def _say(self, text: str) -> None:
        if self.progress.disable:
            click.echo(text)
        else:  # above the bar
            self.progress.console.print(text, highlight=False, markup=False)

    def _begin_epoch(self) -> None:
        self.losses: list[float] = []
        self.since = time.monotonic()
