"""How an op with a kernel in C++ gets its Python parts."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from seaformer_kernels import _extension  # first: it defines the ops it has
from seaformer_kernels.ops._element import ELEMENTS

Outputs = Tensor | tuple[Tensor, ...]

_library = torch.library.Library("seaformer", "FRAGMENT")


def register(
    schema: str,
    *,
    plain: Callable[..., Outputs],
    fake: Callable[..., Outputs | list[Tensor]],
    differentiable_output: bool = False,
    standard: bool = False,
    needs_extension: bool = False,
) -> Callable[..., Any]:
    """Completes the op of ``schema``, which has no gradient.

    Args:
        schema: as in C++, which defines it when the extension is loaded; otherwise this does, so
            that programs exported on another machine still run.
        plain: the op in plain PyTorch, for devices without a kernel.
        fake: the shape and dtype of the result, and the checks of the arguments.
        differentiable_output: the result could have a gradient, so that an input that wants one
            is refused. Otherwise, as with labels, no gradient is the right one.
        standard: plain consists of ops that any exporter knows, and reads no packed weights.
        needs_extension: plain can only raise.

    Returns:
        The op; see `_call`.
    """
    name = _define(schema, plain, fake, standard)
    if not needs_extension:
        _extension.plain_ops[name] = plain

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError(
            f"{name}: expected inputs that require no gradient, got one that does; use the plain "
            "module to train, or call this inside torch.no_grad() or torch.inference_mode()"
        )

    # Without a rule, an input that requires grad would lose its gradient with no word.
    torch.library.register_autograd(
        f"seaformer::{name}",
        lambda ctx, *grads: (None,) * ctx.inputs,
        setup_context=refuse if differentiable_output else _count_inputs,
        lib=_library,
    )
    return _call(name, plain if standard else None)


def register_differentiable(
    schema: str,
    *,
    plain: Callable[..., Outputs],
    fake: Callable[..., Outputs],
    setup_context: Callable[..., None] | None = None,
    backward: Callable[..., object] | None = None,
) -> Callable[..., Any]:
    """Completes the op of ``schema``, which has a gradient and takes any floating-point dtype.

    Half types are computed in float32, and results rounded. Under autocast it runs in its type if
    that is one of ELEMENTS, else in float32.

    Args:
        schema: as for `register`. For what it has no kernel, C++ calls the same op in plain
            PyTorch, which is defined here as ``_<name>_plain``.
        plain, fake: as for `register`; plain is differentiable.
        setup_context, backward: of `torch.library.register_autograd`. Without them the inputs are
            saved, and gradients are those of plain, computed again; they can be differentiated
            themselves.

    Returns:
        The op; see `_call`.
    """
    plain = _in_float32(plain)
    name = _define(schema, plain, fake, standard=True)
    _extension.plain_ops[name] = plain
    _library.define(f"_{name}_plain{schema.removeprefix(name)}")
    _library.impl(f"_{name}_plain", plain, "CompositeExplicitAutograd")
    torch.library.register_autograd(
        f"seaformer::{name}",
        backward or functools.partial(_differentiate, plain),
        setup_context=setup_context or _save_inputs,
        lib=_library,
    )
    for device in ("cpu", "cuda"):
        cast = functools.partial(_autocast, getattr(torch.ops.seaformer, name), device)
        _library.impl(name, cast, f"Autocast{device.upper()}")
    return _call(name, plain)


def _call(name: str, standard: Callable[..., Outputs] | None) -> Callable[..., Any]:
    """The op, but in the ops of ONNX while a model is exported to it.

    Args:
        standard: what takes its place then; None refuses.
    """
    op = getattr(torch.ops.seaformer, name)

    def call(*args: object) -> Outputs:
        # The cheap question first: ONNX's own imports a good part of the exporter.
        exporting = torch.jit.is_tracing() or torch.compiler.is_exporting()
        if not exporting or not torch.onnx.is_in_onnx_export():
            return op(*args)
        if standard is None:
            raise _not_for_onnx(name)
        return standard(*args)

    return call


def _not_for_onnx(name: str) -> RuntimeError:
    return RuntimeError(
        "torch.onnx.export: expected a plain model, got an optimised one, whose op "
        f"seaformer::{name} ONNX does not have; export the model that optimize was given."
    )


def _define(
    schema: str,
    plain: Callable[..., Outputs],
    fake: Callable[..., Outputs | list[Tensor]],
    standard: bool,
) -> str:
    """Defines an op unless C++ did, with its plain and fake kernels; returns its name."""
    name = schema.split("(", 1)[0]
    if not hasattr(torch.ops.seaformer, name):
        _library.define(schema)

    def checked(*args: object) -> Outputs:
        fake(*args)
        return plain(*args)

    def traced(*args: object) -> Outputs | list[Tensor]:
        # torch.onnx.export also tries torch.compile, which takes the question of `_call` for false.
        if not standard and torch.onnx.is_in_onnx_export():
            raise _not_for_onnx(name)
        return fake(*args)

    _library.impl(name, checked, "CompositeExplicitAutograd")
    torch.library.register_fake(f"seaformer::{name}", traced, lib=_library)
    return name


def _in_float32(plain: Callable[..., Outputs]) -> Callable[..., Outputs]:
    """plain, but for half types: these it computes in float32, and rounds the results."""

    def rounding(first: Tensor, *others: Any) -> Outputs:
        dtype = first.dtype
        if dtype.itemsize != 2:
            return plain(first, *others)
        outputs = plain(*(x.float() if isinstance(x, Tensor) else x for x in (first, *others)))
        if isinstance(outputs, tuple):
            return tuple(y.to(dtype) for y in outputs)
        return outputs.to(dtype)

    return rounding


def _autocast(op: Callable[..., Outputs], device: str, *args: Any) -> Outputs:
    """The op of a device's tensors in autocast's type, as far as there are kernels for it."""
    dtype = torch.get_autocast_dtype(device)
    dtype = dtype if dtype in ELEMENTS else torch.float32

    def cast(x: Any) -> Any:
        wanted = isinstance(x, Tensor) and x.is_floating_point() and x.device.type == device
        return x.to(dtype) if wanted and x.dtype != torch.float64 else x

    with torch.autocast(device, enabled=False):
        return op(*map(cast, args))


def _count_inputs(ctx: Any, inputs: tuple, output: Outputs) -> None:
    ctx.inputs = len(inputs)


def _save_inputs(ctx: Any, inputs: tuple, output: Outputs) -> None:
    ctx.save_for_backward(*(x if isinstance(x, Tensor) else None for x in inputs))
    ctx.others = [None if isinstance(x, Tensor) else x for x in inputs]


def _differentiate(plain: Callable[..., Outputs], ctx: Any, *grads: Tensor) -> tuple:
    """Gradients of plain at the saved inputs."""
    again = torch.is_grad_enabled()  # whether gradients are to be differentiated, too
    device = grads[0].device.type
    with torch.enable_grad(), torch.autocast(device, enabled=False):
        # Views, so that an input computed from another one counts as given.
        inputs = [
            other if x is None else x.view_as(x)
            for x, other in zip(ctx.saved_tensors, ctx.others, strict=True)
        ]
        outputs = plain(*inputs)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        # An output can depend on no input that wants a gradient, though the other one does.
        pairs = [(y, g) for y, g in zip(outputs, grads, strict=True) if y.requires_grad]
        found = torch.autograd.grad(
            [y for y, _ in pairs],
            [x for x, wanted in zip(inputs, ctx.needs_input_grad, strict=True) if wanted],
            [g for _, g in pairs],
            create_graph=again,
            allow_unused=True,
        )
    gradients = iter(found)
    return tuple(next(gradients) if wanted else None for wanted in ctx.needs_input_grad)
