"""How an op with a kernel in C++ gets its Python parts."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from seaformer_kernels import _extension

_library = torch.library.Library("seaformer", "FRAGMENT")


def register(schema: str, *, plain: Callable[..., Tensor], fake: Callable[..., Tensor]) -> None:
    """Completes the op of ``schema``, whose outputs carry no gradient.

    Args:
        schema: as in C++, which defines it when the extension is loaded; otherwise this does, so
            that programs exported on another machine still run.
        plain: the op in plain PyTorch, for devices without a kernel.
        fake: the shape and dtype of the result, and the checks of the arguments.
    """
    name = schema.split("(", 1)[0]
    if _extension.module is None:
        _library.define(schema)

    def checked(*args: object) -> Tensor:
        fake(*args)
        return plain(*args)

    _library.impl(name, checked, "CompositeExplicitAutograd")
    torch.library.register_fake(f"seaformer::{name}", fake, lib=_library)
    # Without a rule, an input that requires grad would lose its gradient with no word.
    torch.library.register_autograd(
        f"seaformer::{name}",
        lambda ctx, *grads: (None,) * ctx.inputs,
        setup_context=_count_inputs,
        lib=_library,
    )


def _count_inputs(ctx: object, inputs: tuple, output: Tensor) -> None:
    ctx.inputs = len(inputs)
