"""Whole models, from the image to logits and to labels, against plain PyTorch (see README.md)."""

from __future__ import annotations

import functools
import itertools
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from implementations import check_close, forced, vector_isas
from torch import Tensor
from torch.nn import functional as F

import seaformer_kernels as sk
from seaformer_kernels import _extension

if _extension.module is None:
    pytest.skip(f"there is no fused op to time: {_extension.reason}", allow_module_level=True)

SIZE = (512, 512)
OUTPUTS = ["logits", "labels"]
THREADS = [1, 2]
EAGER = ["eager", "eager_channels_last"]
COMPILED = "compiled_frozen"
SECONDS = 10.0  # a case

# Where two classes are equal but for rounding, either label is right.
MIN_AGREEMENT = 0.999


Model = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Case:
    variant: str
    threads: int
    output: str

    def __str__(self) -> str:
        return f"{self.variant}-{self.threads}thread-{self.output}"


@functools.cache
def models(variant: str) -> dict[str, Model]:
    """The model of a variant, optimised and plain, by name; they have the same weights."""
    torch.manual_seed(0)
    plain = sk.create_model(variant).requires_grad_(False)
    # Other than fresh ones, so that folding them is work.
    for module in plain.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.uniform_(0.5, 1.5)
            module.running_mean.normal_(0.0, 0.1)
    torch.nn.init.normal_(plain.decode_head.conv_seg.weight, std=1.0)  # labels that differ
    eager_channels_last = sk.create_model(variant).requires_grad_(False)
    eager_channels_last.load_state_dict(plain.state_dict())
    eager_channels_last.to(memory_format=torch.channels_last)
    return {
        "ours": sk.optimize(plain),
        "eager": plain,
        "eager_channels_last": eager_channels_last,
    }


@functools.lru_cache(maxsize=1)
def compiled(variant: str, threads: int) -> tuple[Model, Model]:
    """The plain model and `labels`, compiled for a number of threads, which their code contains."""
    assert torch.get_num_threads() == threads
    torch.compiler.reset()
    model, to_labels = torch.compile(models(variant)["eager"]), torch.compile(labels)
    with torch._inductor.config.patch(freezing=True):
        to_labels(model(images()["eager"]))
    return model, to_labels


@functools.cache
def images() -> dict[str, Tensor]:
    """One image, in the layout that suits each model best."""
    image = torch.randn(1, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    channels_last = image.contiguous(memory_format=torch.channels_last)
    return {"eager": image, "eager_channels_last": channels_last}


def labels(logits: Tensor) -> Tensor:
    """The label of every pixel of the image, in plain PyTorch."""
    return F.interpolate(logits, SIZE, mode="bilinear", align_corners=False).argmax(1)


def prepare(case: Case, implementations: list[str]) -> dict[str, Callable[[], Tensor]]:
    """The implementations by name, on the same image; all give the same result."""
    functions = {name: function(case, name) for name in implementations}
    if case.output == "logits":
        check_close(functions, tolerance=1e-3)
        return functions
    expected = functions["eager"]()
    for name, call in functions.items():
        with forced(name):
            agreement = (call() == expected).float().mean().item()
        assert agreement > MIN_AGREEMENT, f"{name}: only {agreement:.3%} of the labels are right"
    return functions


def function(case: Case, implementation: str) -> Callable[[], Tensor]:
    """What an implementation does in a case."""
    image = images().get(implementation, images()["eager"])
    if implementation == COMPILED:
        model, to_labels = compiled(case.variant, case.threads)
    elif implementation in EAGER:
        model, to_labels = models(case.variant)[implementation], labels
    else:
        model = models(case.variant)["ours"]
        if case.output == "labels":
            return lambda: model.predict(image)
    if case.output == "logits":
        return lambda: model(image)
    return lambda: to_labels(model(image))


def peers(config: pytest.Config) -> list[str]:
    """What ours are held against; compiling takes a minute or two for each variant."""
    compilers = (os.environ.get("CXX", ""), "g++", "clang++")
    compiles = not config.getoption("quick") and any(map(shutil.which, compilers))
    return [*EAGER, COMPILED] if compiles else EAGER


def pytest_generate_tests(metafunc):
    quick = metafunc.config.getoption("quick")
    variants = sk.list_models()[:1] if quick else sk.list_models()
    if metafunc.function is test_threads:
        metafunc.parametrize("implementation", ["2 threads", "1 thread"])
        metafunc.parametrize("variant", variants)
        return
    metafunc.parametrize("implementation", [*vector_isas(), *peers(metafunc.config)])
    cases = [Case(*case) for case in itertools.product(variants, THREADS, OUTPUTS)]
    metafunc.parametrize("case", cases, ids=str)


def test_model(case, implementation, interleaved, request):
    others = peers(request.config)
    with torch.inference_mode():
        interleaved(
            str(case),
            implementation,
            lambda: prepare(case, [*vector_isas(), *others]),
            labels={
                "model": case.variant,
                "threads": str(case.threads),
                "image to": case.output,
            },
            peers=others,
            threads=case.threads,
            seconds=SECONDS,
            family=f"image to {case.output}, threads: {case.threads}",
            memory=True,
        )


def test_threads(variant, implementation, interleaved):
    """How many times faster two threads are than one, both ours."""

    def prepare() -> dict[str, Callable[[], Tensor]]:
        model, image = models(variant)["ours"], images()["eager"]

        def run(threads: int) -> Tensor:
            torch.set_num_threads(threads)
            return model(image)

        return {"2 threads": lambda: run(2), "1 thread": lambda: run(1)}

    with torch.inference_mode():
        interleaved(
            f"{variant}-threads",
            implementation,
            prepare,
            labels={"model": variant, "image to": "logits"},
            peers=["1 thread"],
            threads=2,
            seconds=SECONDS,
        )
