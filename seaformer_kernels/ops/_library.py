"""How an op with a kernel in C++ gets its Python parts."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from seaformer_kernels import _extension  # noqa: F401  (first: it defines the ops it has)

_library = torch.library.Library("seaformer", "FRAGMENT")


def register(
    schema: str,
    *,
    plain: Callable[..., Tensor],
    fake: Callable[..., Tensor],
    differentiable_output: bool = False,
) -> None:
    """Completes the op of ``schema``, which has no gradient.

    Args:
        schema: as in C++, which defines it when the extension is loaded; otherwise this does, so
            that programs exported on another machine still run.
        plain: the op in plain PyTorch, for devices without a kernel.
        fake: the shape and dtype of the result, and the checks of the arguments.
        differentiable_output: the result could have a gradient, so that an input that wants one
            is refused. Otherwise, as with labels, no gradient is the right one.
    """
    name = schema.split("(", 1)[0]
    if not hasattr(torch.ops.seaformer, name):
        _library.define(schema)

    def checked(*args: object) -> Tensor:
        fake(*args)
        return plain(*args)

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError(
            f"{name}: expected inputs that require no gradient, got one that does; use the plain "
            "module to train, or call this inside torch.no_grad() or torch.inference_mode()"
        )

    _library.impl(name, checked, "CompositeExplicitAutograd")
    torch.library.register_fake(f"seaformer::{name}", fake, lib=_library)
    # Without a rule, an input that requires grad would lose its gradient with no word.
    torch.library.register_autograd(
        f"seaformer::{name}",
        lambda ctx, *grads: (None,) * ctx.inputs,
        setup_context=refuse if differentiable_output else _count_inputs,
        lib=_library,
    )


def _count_inputs(ctx: object, inputs: tuple, output: Tensor) -> None:
    ctx.inputs = len(inputs)
