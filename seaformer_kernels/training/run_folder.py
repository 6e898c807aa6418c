"""The files of one training."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import yaml
from torch import nn

from seaformer_kernels._files import write_whole
from seaformer_kernels.models.pretrained import ModelFacts, save_pretrained
from seaformer_kernels.models.pretrained.config import CONFIG, WEIGHTS
from seaformer_kernels.training.errors import TrainingError
from seaformer_kernels.training.recipe import Recipe, recipe_differences
from seaformer_kernels.training.state import load_state


class RunFolder:
    """Where a training keeps its files.

    Attributes:
        recipe: the recipe as it is used.
        last: the state from which it resumes.
        best: folder of the model that did best on the validation set, for `from_pretrained`.
        metrics: the curve.
        class_weights: how often classes occur.
        overlays: folder of pictures of validations.
        tensorboard: folder of TensorBoard's events.
    """

    def __init__(self, path: Path):
        self.path = path
        self.recipe = path / "recipe.yaml"
        self.last = path / "last.pt"
        self.best = path / "best"
        self.metrics = path / "metrics.csv"
        self.class_weights = path / "class_weights.json"
        self.overlays = path / "overlays"
        self.tensorboard = path / "tensorboard"

    def check_free(self) -> None:
        """Raises TrainingError if there is something in the folder; counts of classes may be."""
        if self.path.is_dir() and {*self.path.iterdir()} - {self.class_weights}:
            raise TrainingError(
                f"{self.path} is there and not empty: --resume goes on with it, --overwrite "
                "replaces the training in it, --out names another."
            )

    def begin(self, recipe: Recipe) -> None:
        """Makes the folder for a new training, without what an older one left.

        Raises:
            TrainingError: it cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for file in (self.last, self.metrics, self.best / CONFIG, self.best / WEIGHTS):
                file.unlink(missing_ok=True)
            for pattern in ("overlays/*.png", "tensorboard/events.out.tfevents.*"):
                for file in self.path.glob(pattern):
                    file.unlink()
            text = yaml.safe_dump(as_dict(recipe), sort_keys=False).encode()
            write_whole({self.recipe: lambda path: path.write_bytes(text)}, flush=True, alone=True)
        except OSError as error:
            raise TrainingError(
                f"Cannot write to the folder {self.path}: {error.strerror}."
            ) from None

    def resume(self, recipe: Recipe) -> dict[str, Any]:
        """The state to go on from.

        Raises:
            TrainingError: there is none, or the recipe is another one.
        """
        state = load_state(self.last)
        changed = recipe_differences(state["recipe"], as_dict(recipe))
        if changed:
            raise TrainingError(
                f"The training in {self.path} has another recipe, which differs in "
                f"{', '.join(changed)}: resume with {self.recipe}, or begin anew in another "
                "folder."
            )
        return state

    def save_best(self, model: nn.Module, facts: ModelFacts) -> None:
        """Writes a model of `create_model`, and the facts that go with it."""
        save_pretrained(model, self.best, facts=facts)


def as_dict(recipe: Recipe) -> dict[str, Any]:
    """A recipe as plain data, as YAML has it."""
    return {name: _plain(value) for name, value in dataclasses.asdict(recipe).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return list(value) if isinstance(value, tuple) else value
