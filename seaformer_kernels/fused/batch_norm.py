"""What a batch norm in eval mode does to a map, whichever class it is of."""

import copy

import torch
from torch import Tensor, nn

from seaformer_kernels.fused.block import Unservable

_DEFAULT_EPS = 1e-5  # of frozen batch norms that write it into their forward

# Their forward in eval mode is known. Other classes are tried out.
_KNOWN = (nn.BatchNorm2d, nn.SyncBatchNorm)


def scale_and_shift(norm: nn.Module, channels: int) -> tuple[Tensor, Tensor]:
    """Scale and shift [channels] in float64, so that the norm maps x to scale * x + shift.

    Args:
        norm: a BatchNorm2d or SyncBatchNorm in eval mode; an Identity, as folding leaves behind; or
            any module with running_mean, running_var, perhaps weight, bias and eps, as frozen batch
            norms are, which gives on random maps what they say.
        channels: of the map.

    Raises:
        Unservable: it has no running statistics, or does something else.
    """
    if type(norm) is nn.Identity:
        return torch.ones(channels).double(), torch.zeros(channels).double()
    mean, variance, weight, bias = (
        getattr(norm, name, None) for name in ("running_mean", "running_var", "weight", "bias")
    )
    name = type(norm).__name__
    if mean is None or variance is None:
        if isinstance(norm, nn.modules.batchnorm._BatchNorm):
            raise Unservable("has a batch norm without running statistics")
        raise Unservable(f"has {name} where BatchNorm2d is expected")
    eps = getattr(norm, "eps", _DEFAULT_EPS)
    given = [value for value in (mean, variance, weight, bias) if value is not None]
    if not isinstance(eps, float | int) or not all(
        isinstance(value, Tensor) and value.shape == (channels,) for value in given
    ):
        raise Unservable(f"has {name} whose statistics are not one number for each channel")
    scale, shift = affine_of(mean, variance, weight, bias, eps)
    if type(norm) not in _KNOWN:
        _try_out(norm, scale, shift)
    return scale, shift


def affine_of(
    mean: Tensor, variance: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor]:
    """Scale and shift in float64 of a batch norm with these statistics and parameters."""
    scale = (variance.detach().double() + eps).rsqrt()
    if weight is not None:
        scale = scale * weight.detach().double()
    shift = -mean.detach().double() * scale
    if bias is not None:
        shift = shift + bias.detach().double()
    return scale, shift


def _try_out(norm: nn.Module, scale: Tensor, shift: Tensor) -> None:
    """Raises Unservable unless the norm does on random maps what scale and shift say."""
    name = type(norm).__name__
    norm = copy.deepcopy(norm)  # calls may change it
    mean, deviation = _along(norm.running_mean.detach()), _along(norm.running_var.detach()).sqrt()
    magnitude = (scale * norm.running_mean).abs() + shift.abs()
    generator = torch.Generator().manual_seed(0)
    for size in (2, len(scale), 3, 5), (1, len(scale), 1, 1), (3, len(scale), 8, 4):
        noise = torch.randn(size, generator=generator)
        for x in noise * deviation + mean, noise:  # what it was made for, and anything else
            scaled = _along(scale) * x.double()
            try:
                got = norm(x.clone())
            except Exception as error:
                message = f"has {name}, which fails on a map ({type(error).__name__}: {error})"
                raise Unservable(message) from error
            allowed = 8 * 2.0**-23 * (scaled.abs() + _along(magnitude)) + 1e-30
            if (
                not isinstance(got, Tensor)
                or got.shape != x.shape
                or not ((got.double() - scaled - _along(shift)).abs() <= allowed).all()
            ):
                raise Unservable(f"has {name}, which does not normalise by its running statistics")


def _along(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1)
