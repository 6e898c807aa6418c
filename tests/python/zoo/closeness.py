"""How far outputs may be from those of the same model in float64."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

EPS = 2.0**-23


def doubled(value):
    """A module's copy or a structure of tensors, in float64."""
    if isinstance(value, nn.Module):
        return copy.deepcopy(value).double()
    if isinstance(value, Tensor):
        return value.double() if value.is_floating_point() else value.clone()
    if isinstance(value, dict):
        return {key: doubled(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(doubled(one) for one in value)
    return value


def assert_as_exact(exact, plain, got) -> None:
    """Structures of outputs are the same, but for at most twice the plain model's rounding.

    Args:
        exact: of the model in float64.
        plain: of the model in float32.
        got: of the optimised one.
    """
    if isinstance(plain, Tensor):
        _assert_map(exact, plain, got)
        return
    assert type(got) is type(plain)
    if isinstance(plain, dict):
        assert list(got) == list(plain)
        for key in plain:
            assert_as_exact(exact[key], plain[key], got[key])
    elif isinstance(plain, list | tuple):
        assert len(got) == len(plain)
        for triple in zip(exact, plain, got, strict=True):
            assert_as_exact(*triple)
    else:
        assert got == plain


def _assert_map(exact: Tensor, plain: Tensor, got: Tensor) -> None:
    assert isinstance(got, Tensor) and got.shape == plain.shape and got.dtype == plain.dtype
    if not got.numel():
        return
    if not plain.is_floating_point():  # labels, of which rounding may decide some
        wrong, by_rounding = (int((one != exact).sum()) for one in (got, plain))
        assert wrong <= 2 * by_rounding + 0.002 * got.numel()
        return
    finite = plain.isfinite()
    assert torch.equal(got.isfinite(), finite)
    assert torch.equal(got[~finite].nan_to_num(0, 1, -1), plain[~finite].nan_to_num(0, 1, -1))
    exact, plain, got = exact[finite].double(), plain[finite].double(), got[finite].double()
    if not got.numel():
        return
    allowed = 2 * (plain - exact).abs().max() + 8 * EPS * exact.abs().max()
    assert (got - exact).abs().max() <= allowed
