"""Whole models to logits, against other runtimes (see README.md)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from implementations import check_close
from peers import PEERS
from torch import Tensor, nn

import seaformer_kernels as sk
from seaformer_kernels import _extension

if _extension.module is None:
    pytest.skip(f"there is no fused op to time: {_extension.reason}", allow_module_level=True)

SIZE = (512, 512)
OURS = "ours"
ABSENT = {name: missing for name, peer in PEERS.items() if (missing := peer.missing())}
PRESENT = [name for name in PEERS if name not in ABSENT]

# The largest difference from plain PyTorch, as a share of its largest logit.
TOLERANCE = 1e-3


def plain_model(variant: str) -> nn.Module:
    """With other statistics of batch norms than fresh ones, so that folding them is work."""
    torch.manual_seed(0)
    model = sk.create_model(variant).requires_grad_(False)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.uniform_(0.5, 1.5)
            module.running_mean.normal_(0.0, 0.1)
    return model


def prepare(variant: str) -> dict[str, Callable[[], Tensor]]:
    """The implementations by name, on the same image; each gives what plain PyTorch does."""
    plain = plain_model(variant)
    image = torch.randn(1, 3, *SIZE)
    models = {OURS: sk.optimize(plain)}
    models |= {name: PEERS[name].convert(plain, image) for name in PRESENT}
    functions = {name: lambda model=model: model(image) for name, model in models.items()}
    check_close(functions | {"eager": lambda: plain(image)}, TOLERANCE)
    return functions


def pytest_generate_tests(metafunc):
    variants = sk.list_models()[:1] if metafunc.config.getoption("quick") else sk.list_models()
    metafunc.parametrize("implementation", [OURS, *PEERS])
    metafunc.parametrize("variant", variants)


# The converters trace the model, whose checks of its input are not for other sizes.
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning")
def test_peers(variant, implementation, interleaved):
    if implementation in ABSENT:
        pytest.skip(f"{implementation} is absent: no {', '.join(ABSENT[implementation])}")
    with torch.inference_mode():
        interleaved(
            variant,
            implementation,
            lambda: prepare(variant),
            labels={"model": variant, "absent": ", ".join(ABSENT) or "none"},
            peers=PRESENT,
            threads=1,
        )
