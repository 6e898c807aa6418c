"""Models as training wraps them."""

from __future__ import annotations

import pytest
import torch
from test_optimize import MEAN, MINI, STD, noise, trained
from torch import nn
from torch.optim.swa_utils import AveragedModel

import seaformer_kernels as sk
from seaformer_kernels.models import SeaFormerSegmenter
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

    scripted = torch.jit.trace(nn.Conv2d(1, 1, 1), torch.zeros(1, 1, 1, 1))
    for model in (nn.Conv2d(1, 1, 1), Holder(), scripted, nn.Sequential(scripted)):
        assert unwrapped(model) is model


@pytest.fixture(scope="module")
def segmenter() -> nn.Module:
    return trained(SeaFormerSegmenter(MINI, num_classes=5))


@torch.inference_mode()
def test_optimize_serves_what_is_wrapped(segmenter, wrap):
    x = noise(1, 3, 64, 96)
    fast = sk.optimize(wrap(segmenter), MEAN, STD)
    expected = sk.optimize(segmenter, MEAN, STD)
    assert torch.equal(fast(x), expected(x))
    assert fast.report() == expected.report()
    assert fast.state_dict().keys() == expected.state_dict().keys()
    if sk.cpu.info().extension_loaded:
        whole = sk.optimize(wrap(segmenter), MEAN, STD, whole_graph=True)
        assert torch.equal(whole(x), expected(x))


def test_export_native_serves_what_is_wrapped(segmenter, wrap, tmp_path):
    sk.export_native(segmenter, tmp_path / "plain.sfm", MEAN, STD)
    sk.export_native(wrap(segmenter), tmp_path / "wrapped.sfm", MEAN, STD)
    assert (tmp_path / "wrapped.sfm").read_bytes() == (tmp_path / "plain.sfm").read_bytes()


@pytest.mark.parametrize("make", [nn.DataParallel, WRAPPERS["compiled"]])
def test_an_optimised_model_inside(segmenter, make, tmp_path):
    fast = make(sk.optimize(segmenter, MEAN, STD))
    with pytest.raises(ValueError, match="optimised already"):
        sk.optimize(fast)
    sk.export_native(fast, tmp_path / "fast.sfm")
    sk.export_native(segmenter, tmp_path / "plain.sfm", MEAN, STD)
    assert (tmp_path / "fast.sfm").read_bytes() == (tmp_path / "plain.sfm").read_bytes()
