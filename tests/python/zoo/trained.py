"""Weights as training could leave them, from a seed."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


@torch.no_grad()
def trained(model: nn.Module, batch: Tensor | None = None, seed: int = 0) -> nn.Module:
    """The model in eval mode, its maps of one magnitude through the whole depth.

    The statistics of batch norms are those of a batch, then shaken: as in a trained model, they
    fit what comes, but not exactly. Without a batch they are drawn.

    Args:
        model: takes the batch in training mode.
        batch: images [B, 3, H, W].
        seed: of everything.
    """
    generator = torch.Generator().manual_seed(seed)
    norms = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            fan_in = math.prod(module.weight.shape[1:])
            module.weight.normal_(0, fan_in**-0.5, generator=generator)
            if name.endswith("conv_seg"):  # else one class would win everywhere
                module.weight.sub_(module.weight.mean(1, keepdim=True))
        elif isinstance(module, nn.modules.batchnorm._BatchNorm):
            norms.append(module)
            if module.affine:
                module.weight.uniform_(0.6, 1.4, generator=generator)
        if isinstance(getattr(module, "bias", None), Tensor):
            module.bias.normal_(0, 0.2, generator=generator)
    norms = [norm for norm in norms if norm.track_running_stats]
    if norms and batch is not None:
        _measure(model.train(), norms, batch)
    for norm in norms:
        width = norm.num_features
        # A channel that is dead on these would be blown up on anything else.
        norm.running_var.clamp_(min=float(norm.running_var.mean()) / 16 + 1e-4)
        shift = torch.empty(width).normal_(0, 0.1, generator=generator)
        norm.running_mean.add_(shift * norm.running_var.sqrt())
        norm.running_var.mul_(torch.empty(width).uniform_(0.9, 1.2, generator=generator))
    return model.eval()


def _measure(model: nn.Module, norms: list[nn.Module], batch: Tensor) -> None:
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    with torch.random.fork_rng():
        torch.manual_seed(0)  # of dropout
        model(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def images(batch: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Normalised images [B, 3, H, W]: flat cells and noise, so that places differ, and images."""
    cells = noise(batch, 3, -(-height // 16), -(-width // 16), seed=seed)
    flat = cells.repeat_interleave(16, 2).repeat_interleave(16, 3)[:, :, :height, :width]
    return flat + 0.3 * noise(batch, 3, height, width, seed=seed + 1)


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal values."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
