"""The loop: steps, validations, and a state on disk from which it goes on as if never stopped."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from seaformer_kernels._memory import is_out_of_memory
from seaformer_kernels.models.pretrained import ModelFacts
from seaformer_kernels.training.errors import Stopped, TrainingError
from seaformer_kernels.training.interruption import Interruption, ignore_in_worker
from seaformer_kernels.training.machine import Machine
from seaformer_kernels.training.metrics_log import MetricsLog
from seaformer_kernels.training.optimizers import make_optimizer
from seaformer_kernels.training.parallel import share_batch
from seaformer_kernels.training.recipe import Recipe
from seaformer_kernels.training.run_folder import RunFolder, as_dict
from seaformer_kernels.training.samples import Batches, TrainingSamples, seed_of
from seaformer_kernels.training.schedules import lr_factor
from seaformer_kernels.training.state import random_states, restore_random_states, save_state
from seaformer_kernels.training.validation import Validation

Row = dict[str, Any]


class Observer:
    """Is told of what happens, in the process of rank 0; does nothing with it."""

    def begins(self, step: int, steps: int, steps_per_epoch: int) -> None:
        """So many of the steps are done."""

    def step(self, row: Row) -> None:
        """A step is done; the row has the columns of `metrics_log.STEP_COLUMNS`."""

    def validates(self) -> None:
        """A validation begins."""

    def validated(self, metrics: dict[str, float], best: bool) -> None:
        """A validation is done; whether it is the best until now."""

    def ends(self) -> None:
        """The run ends, or stops for whatever reason."""


@dataclass(frozen=True)
class Task:
    """What the loop does not know of its task.

    Attributes:
        model: the network, with its initial weights.
        data: the training set; `data.samples[i].image` is the file of a sample.
        augment: makes (input, target) of an image, a target, a seed, and one of the batch.
        objective: gives a `LossSum` of the model, inputs and targets.
        validation: tells how good it is.
        facts: what goes with the weights that are kept.
    """

    model: nn.Module
    data: Any
    augment: Any
    objective: nn.Module
    validation: Validation
    facts: ModelFacts


class Trainer:
    """Trains the model of a task as a recipe says.

    Everything random is a function of the recipe's seed and of torch's generator, whose state is
    kept; the number of processes and workers changes nothing but rounding.

    Args:
        recipe: for one model.
        task: what is trained.
        folder: where the files go.
        machine: what it runs on.
        fabric: made by the machine, and launched.
        observer: is told what happens.
        save_every: steps from one saved state to the next; each epoch ends with one, too.

    Raises:
        TrainingError: the recipe does not fit the data.
    """

    def __init__(
        self,
        recipe: Recipe,
        task: Task,
        folder: RunFolder,
        machine: Machine,
        fabric: Fabric,
        observer: Observer | None = None,
        save_every: int = 200,
    ):
        self.recipe = recipe
        self.task = task
        self.folder = folder
        self.machine = machine
        self.fabric = fabric
        self.observer = observer or Observer()
        self.save_every = save_every
        self.interruption = Interruption()

        world = fabric.world_size
        if recipe.batch % world:
            raise TrainingError(
                f"Expected a batch that {world} processes can share evenly, got {recipe.batch}."
            )
        self.steps_per_epoch = len(task.data) // recipe.batch
        if not self.steps_per_epoch:
            raise TrainingError(
                f"Expected at least as many training images as a batch has, {recipe.batch}, got "
                f"{len(task.data)}."
            )
        self.steps = recipe.steps or (recipe.epochs or 0) * self.steps_per_epoch

        # What is kept is a model as others build it, without the layers of several processes.
        self._kept = copy.deepcopy(task.model)
        self.network = task.model.train()
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        share_batch(self.network, fabric.global_rank, world, recipe.dropout)
        # On CUDA it would scale gradients itself, which clipping has to come after.
        fused = fabric.device.type == "cpu"
        self.optimizer = make_optimizer(self.network, recipe.optimizer, fused)
        self._lrs = [group["lr"] for group in self.optimizer.param_groups]
        self._model, self._optimizer = fabric.setup(self.network, self.optimizer)
        self.objective = task.objective.to(fabric.device)
        self.average: AveragedModel | None = None
        if recipe.ema is not None:
            average = get_ema_multi_avg_fn(recipe.ema)
            self.average = AveragedModel(self.network, multi_avg_fn=average, use_buffers=True)
            self.average.requires_grad_(False)
        self.step = 0
        self.best = -math.inf
        self._validated = 0  # the step of the last validation

    @property
    def trained(self) -> nn.Module:
        """The model whose weights are validated and kept: the average if there is one."""
        return self.network if self.average is None else self.average.module

    def train(self, state: dict[str, Any] | None = None) -> float:
        """Trains up to the last step, from the first or from a state that was saved.

        Returns:
            The best of the first metric of the validations.

        Raises:
            Stopped: SIGINT or SIGTERM came; the state is saved.
            TrainingError: the loss or the gradient is no finite number, or memory ran out.
        """
        # The same on all processes: each takes its share of what is drawn.
        torch.manual_seed(seed_of(self.recipe.seed))
        if state is not None:
            self._restore(state)
        self._log = self._open_log() if self.fabric.is_global_zero else None
        if self.fabric.is_global_zero:
            self.observer.begins(self.step, self.steps, self.steps_per_epoch)
        try:
            with self.interruption.watched():
                self._loop()
        except KeyboardInterrupt:
            raise Stopped(
                f"Stopped after step {self.step}; {self.folder.last} has the last saved state."
            ) from None
        except (MemoryError, RuntimeError) as error:
            if "DataLoader worker (pid" in str(error):
                raise TrainingError(
                    "A process that reads images ended, perhaps for lack of memory; --workers 0 "
                    f"does without: {str(error).splitlines()[0]}"
                ) from None
            if not is_out_of_memory(error):
                raise
            raise TrainingError(
                f"Memory ran out at a batch of {self.recipe.batch} in step {self.step}: lower "
                "batch, or the crop in augment."
            ) from None
        finally:
            if self._log:
                self._log.close()
                self.observer.ends()
        return self.best

    def _loop(self) -> None:
        if self._validation_due():
            self._validate()
        for images, target, indices in self._batches():
            row, stop = self._train_step(images, target, indices)
            self.step += 1
            self._tell(row)
            if self.fabric.is_global_zero:
                self.observer.step(row)
            due = self._validation_due()
            if (
                due
                or stop
                or self.step % self.steps_per_epoch == 0
                or not (self.step % self.save_every)
            ):
                self.save()
            if stop:
                raise Stopped(f"Stopped after step {self.step} of {self.steps}; all is saved.")
            if due:
                self._validate()

    def _batches(self) -> Iterable[tuple[Tensor, Tensor, Tensor]]:
        recipe, fabric = self.recipe, self.fabric
        samples = TrainingSamples(self.task.data, self.task.augment, recipe.seed)
        batches = Batches(
            len(self.task.data),
            recipe.batch,
            recipe.seed,
            fabric.global_rank,
            fabric.world_size,
            self.step,
            self.steps,
        )
        return DataLoader(
            samples,
            batch_sampler=batches,
            num_workers=self.machine.workers,
            pin_memory=fabric.device.type == "cuda",
            worker_init_fn=ignore_in_worker,
            generator=torch.Generator(),  # else it draws from the one whose state is kept
        )

    def _train_step(self, images: Tensor, target: Tensor, indices: Tensor) -> tuple[Row, bool]:
        """One step; its row, and whether a process was asked to stop."""
        device = self.fabric.device
        factor = lr_factor(self.recipe.schedule, self.step, self.steps)
        for group, lr in zip(self.optimizer.param_groups, self._lrs, strict=True):
            group["lr"] = lr * factor
        images = images.to(device, non_blocking=True, memory_format=torch.channels_last)
        target = target.to(device, non_blocking=True)

        loss = self.objective(self._model, images, target)
        asked = torch.tensor(float(self.interruption.asked), device=device)
        totals = torch.stack([loss.total.detach().double(), loss.weight.double(), asked.double()])
        summed: Any = self.fabric.all_reduce(totals, reduce_op="sum")
        total, weight, stop = summed.tolist()
        mean = total / max(weight, 1e-12)
        self._check_finite("loss", mean, indices)
        # DDP takes the mean over processes.
        share = self.fabric.world_size / max(weight, 1e-12)
        self._optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(loss.total * share)
        clipped: Any = self.fabric.clip_gradients(
            self._model,
            self._optimizer,
            max_norm=self.recipe.clip or math.inf,
            error_if_nonfinite=False,
        )
        norm = clipped.item()
        if not self.fabric.strategy.precision.state_dict():  # a scaler leaves out such a step
            self._check_finite("gradient", norm, indices)
        self._optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.network)
        row = {
            "step": self.step + 1,
            "epoch": self._epoch(self.step + 1),
            "lr": self.optimizer.param_groups[0]["lr"],
            "loss": mean,
            "gradient_norm": norm,
        }
        return row, stop > 0

    def _check_finite(self, what: str, value: float, indices: Tensor) -> None:
        if math.isfinite(value):
            return
        gathered: Any = self.fabric.all_gather(indices.to(self.fabric.device))
        files = [str(self.task.data.samples[i].image) for i in gathered.flatten().tolist()]
        kept = f"{self.folder.last} has the last good state" if self.step else "nothing was saved"
        raise TrainingError(
            f"The {what} became {value} in step {self.step + 1}: lower optimizer.lr or set clip, "
            f"or look at the images of the batch; {kept}. They are {', '.join(files)}."
        )

    def _validation_due(self) -> bool:
        if self.step == self._validated:
            return False
        epochs, rest = divmod(self.step, self.steps_per_epoch)
        return self.step == self.steps or (not rest and epochs % self.recipe.validate_every == 0)

    def _validate(self) -> None:
        zero = self.fabric.is_global_zero
        model = self.trained.eval()
        with self.interruption.at_once():
            if zero:
                self.observer.validates()
            try:
                metrics = self.task.validation.evaluate(model)
                picture = self.task.validation.draw(model) if zero else None
            except ValueError as error:
                raise TrainingError(f"The validation failed: {error}") from None
        self.network.train()
        self._validated = self.step
        value = metrics[self.task.validation.metrics[0]]
        best = value > self.best
        if best:
            self.best = value
            if zero:
                self._kept.load_state_dict(model.state_dict())
                self.folder.save_best(self._kept, self.task.facts)
        if zero:
            self._tell({"step": self.step, "epoch": self._epoch(self.step), **metrics})
            if picture is not None:
                self.folder.overlays.mkdir(exist_ok=True)
                picture.save(self.folder.overlays / f"step_{self.step:06}.png")
            self.observer.validated(metrics, best)
        self.save()

    def save(self) -> None:
        """Writes the state, from which `train` goes on to the same curve."""
        if not self.fabric.is_global_zero:
            return
        state = {
            "recipe": as_dict(self.recipe),
            "step": self.step,
            "validated": self._validated,
            "best": self.best,
            "model": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average and self.average.state_dict(),
            "precision": self.fabric.strategy.precision.state_dict(),
            "random": random_states(),
        }
        save_state(self.folder.last, state)

    def _restore(self, state: dict[str, Any]) -> None:
        self.step = state["step"]
        self.best = state["best"]
        self._validated = state["validated"]
        self.network.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        if state["precision"]:
            self.fabric.strategy.precision.load_state_dict(state["precision"])
        restore_random_states(state["random"])

    def _open_log(self) -> MetricsLog:
        folder = self.folder
        metrics = tuple(self.task.validation.metrics)
        return MetricsLog(folder.metrics, self.step, self._validated, metrics, folder.tensorboard)

    def _tell(self, row: Row) -> None:
        if self._log:
            self._log.write(row)

    def _epoch(self, step: int) -> int:
        """The epoch, from 1, that a step, from 1, belongs to."""
        return (step - 1) // self.steps_per_epoch + 1
