"""Models as training wraps them."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from seaformer_kernels.models.wrappers import unwrapped


@pytest.fixture(scope="module")
def process_group(tmp_path_factory):
    file = tmp_path_factory.mktemp("gloo") / "store"
    torch.distributed.init_process_group("gloo", f"file://{file}", world_size=1, rank=0)
    yield
    torch.distributed.destroy_process_group()


WRAPPERS = {
    "data_parallel": nn.DataParallel,
    "distributed": nn.parallel.DistributedDataParallel,
    "compiled": lambda model: torch.compile(model, backend="eager"),
    "average": AveragedModel,
    "compiled_distributed": lambda model: torch.compile(
        nn.parallel.DistributedDataParallel(model), backend="eager"
    ),
    "average_of_compiled": lambda model: AveragedModel(torch.compile(model, backend="eager")),
}


@pytest.fixture(params=WRAPPERS)
def wrap(request):
    if "distributed" in request.param:
        if not torch.distributed.is_available():
            pytest.skip("this torch has no torch.distributed")
        request.getfixturevalue("process_group")
    return WRAPPERS[request.param]


def test_what_is_wrapped_is_found(wrap):
    model = nn.Sequential(nn.Conv2d(1, 1, 1))
    inner = unwrapped(wrap(model))
    assert type(inner) is nn.Sequential
    assert inner[0].weight.shape == model[0].weight.shape


def test_other_modules_stay_themselves():
    class Holder(nn.Module):
        def __init__(self):
            super().__init__()
            self.module = nn.Conv2d(1, 1, 1)

    for model in (nn.Conv2d(1, 1, 1), Holder()):
        assert unwrapped(model) is model
