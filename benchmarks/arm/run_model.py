"""Runs whole inferences on ARM, each between markers; count_model.py starts this in the emulator.

    python run_model.py MARKERS (NETWORK SIDE IMPLEMENTATION:OUTPUT[:DTYPE]...)...

MARKERS is markers.cpp as a shared library, NETWORK a name that networks.py knows, SIDE that of the
image, IMPLEMENTATION `ours`, `whole` (ours as one op), `eager`, `onnxruntime`, `ncnn` or `mnn`,
OUTPUT `logits` or `labels` (of other people's networks `logits`), DTYPE an element type, float32
unless given. Models of the other runtimes lie in the folder that the environment's
SEAFORMER_ARM_MODELS names (peer_models.py). Of ours and eager, `blocks` makes a window of each
block that ours has fused, from the end of the one before it. Prints a line `window NAME` for each
window.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from pathlib import Path

import networks
import torch
from torch import Tensor, nn

import seaformer_kernels as sk
from seaformer_kernels.bench.models import ToLabels
from seaformer_kernels.bench.traffic import named_modules
from seaformer_kernels.fused.block import FusedBlock

WARM_UP = 1


def our_model(
    variant: str, implementation: str, dtype: torch.dtype = torch.float32
) -> nn.Module | None:
    """The model of a variant, plain or optimised; None if the implementation is not ours."""
    if implementation == "eager":
        return networks.plain(variant, "logits").to(dtype)
    if implementation in ("ours", "whole"):
        whole = implementation == "whole"
        return sk.optimize(networks.plain(variant, "logits"), whole_graph=whole, dtype=dtype)
    return None


def inference(
    model: nn.Module | None,
    variant: str,
    side: int,
    implementation: str,
    output: str,
    dtype: torch.dtype,
) -> Callable[[Tensor], Tensor]:
    """What maps an image to the output; `model` is that of `our_model`."""
    if model is None:
        import peer_models

        folder = Path(os.environ["SEAFORMER_ARM_MODELS"])
        return peer_models.load(implementation, folder, variant, side, output, dtype)
    if output == "labels":
        model = ToLabels(model) if implementation == "eager" else model.predict
    return (lambda x: model(x.to(dtype))) if implementation == "eager" else model


def ends_of_blocks(model: nn.Module, fused: nn.Module) -> dict[str, nn.Module]:
    """By name of each block that ours has fused: the module of a model that ends where it does.

    Args:
        model: plain or optimised.
        fused: the optimised one of the same variant.
    """
    modules = dict(named_modules(model))
    ends: dict[str, nn.Module] = {}
    name = ""
    for path, module in named_modules(fused):
        if isinstance(module, FusedBlock):
            name = path
            ends[name] = modules[name]
        elif isinstance(module, nn.Identity) and not isinstance(modules[path], nn.Identity):
            ends[name] = modules[path]  # a plain block that the op before it does as well
    return ends


def mark_blocks(ends: dict[str, nn.Module], markers: ctypes.CDLL) -> list[str]:
    """Begins a window at the end of each module; the list grows by its name as one ends."""
    ended: list[str] = []

    def lap(name: str) -> None:
        markers.end_window()
        ended.append(name)
        markers.begin_window()

    for name, module in ends.items():
        module.register_forward_hook(lambda *_, name=name: lap(name))
    return ended


@torch.inference_mode()
def main(library: str, *arguments: str) -> None:
    torch.set_num_threads(1)
    markers = ctypes.CDLL(library)
    words = iter(arguments)
    for run in words:
        if ":" not in run:  # a network, whose runs follow
            variant, side = run, int(next(words))
            image = torch.randn(1, 3, side, side)
            continue
        implementation, output, *given = run.split(":")
        dtype = getattr(torch, *given) if given else torch.float32
        model = our_model(variant, implementation, dtype)
        infer = inference(model, variant, side, implementation, output, dtype)
        for _ in range(WARM_UP):
            infer(image)
        blocks: dict[str, nn.Module] = {}
        if output == "blocks":
            fused = model if implementation == "ours" else our_model(variant, "ours", dtype)
            blocks = ends_of_blocks(model, fused)
        ended = mark_blocks(blocks, markers)
        markers.begin_window()
        infer(image)
        markers.end_window()
        for name in (*ended, run):
            print("window", name, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
