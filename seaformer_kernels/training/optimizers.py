"""Optimisers, and which parameters they treat how."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW, Optimizer

from seaformer_kernels.models.checkpoint.matching import HEADS
from seaformer_kernels.training.recipe import OptimizerRecipe


class RMSpropTF(Optimizer):
    """RMSprop as TensorFlow has it, which published recipes are tuned for.

    torch's differs: the mean square begins at 0 and not at 1, so that first steps are large; eps
    is added outside the root; and the momentum does not hold the learning rate of its steps.

    Args:
        params: parameters or groups of them.
        lr: learning rate.
        alpha: decay of the mean square.
        eps: added to the mean square.
        momentum: of the steps.
        weight_decay: added to the gradient, times the parameter.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        alpha: float = 0.9,
        eps: float = 1e-3,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
    ):
        defaults = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "momentum": momentum,
            "weight_decay": weight_decay,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step; returns what `closure`, which computes the loss again, returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                grad = p.grad
                if group["weight_decay"]:
                    grad = grad.add(p, alpha=group["weight_decay"])
                state = self.state[p]
                if not state:
                    state["square_avg"] = torch.ones_like(p)
                    state["momentum_buffer"] = torch.zeros_like(p)
                square = state["square_avg"]
                square.mul_(group["alpha"]).addcmul_(grad, grad, value=1 - group["alpha"])
                step = state["momentum_buffer"].mul_(group["momentum"])
                step.addcdiv_(grad, (square + group["eps"]).sqrt_(), value=group["lr"])
                p.sub_(step)
        return loss


def parameter_groups(
    model: nn.Module, lr: float, weight_decay: float, head_lr: float
) -> list[dict[str, Any]]:
    """The parameters by learning rate and decay.

    Batch norms, biases and position embeddings do not decay (SeaFormer's recipes).

    Args:
        model: a segmenter or classifier.
        lr: learning rate of the backbone.
        weight_decay: of what decays.
        head_lr: factor on the learning rate of the head.
    """
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            head = name.startswith(HEADS)
            decays = parameter.ndim > 1 and "pos_emb" not in name
            groups.setdefault((head, decays), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": lr * (head_lr if head else 1),
            "weight_decay": weight_decay if decays else 0.0,
        }
        for (head, decays), parameters in groups.items()
    ]


def make_optimizer(model: nn.Module, recipe: OptimizerRecipe, fused: bool = False) -> Optimizer:
    """The optimiser of a recipe, in one call for all parameters if there is a fused one."""
    if not isinstance(recipe.lr, float):
        raise TypeError(f"Expected the learning rate of one model, got {recipe.lr!r}.")
    groups = parameter_groups(model, recipe.lr, recipe.weight_decay, recipe.head_lr)
    if recipe.name == "adamw":
        return AdamW(groups, recipe.lr, betas=recipe.betas, fused=fused or None)
    return RMSpropTF(
        groups, recipe.lr, alpha=recipe.alpha, eps=recipe.eps, momentum=recipe.momentum
    )
