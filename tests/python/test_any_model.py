"""optimize on other people's models: the same outputs, or left plain; the model as it was."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
import zoo
from torch import nn
from zoo import reparametrised
from zoo.closeness import assert_as_exact, doubled
from zoo.optimized import fused

pytestmark = pytest.mark.usefixtures("one_thread")

# What takes long in float64, or repeats what a smaller member of the family shows.
SLOW = {
    "efficientnet/torchvision_b1",
    "efficientnet/timm_tf_b0",
    "efficientnet/timm_lite0",
    "mobilenet_v2/timm",
    "regnet/x_400mf",
    "vgg/11_bn",
    "mnasnet/timm",
    "resnet/50",
    "seaformer/segmentation_base",
    "seaformer/segmentation_large",
    "seaformer/classification_small",
    "topformer/base",
    "unet/transposed",
}
MODELS = [
    pytest.param(model, id=model.name, marks=[pytest.mark.slow] if model.name in SLOW else [])
    for model in zoo.models()
]


@pytest.fixture(scope="module", params=MODELS)
def subject(request):
    """A network's facts and the network, which tests share and may not change."""
    return request.param, zoo.create(request.param.name)


def test_outputs(subject):
    model, plain = subject
    fast, exact = fused(plain), doubled(plain)
    with torch.inference_mode():
        for size in ((model.size, model.size), model.other_size):
            x = zoo.images(1, *size, seed=7)
            assert_as_exact(exact(x.double()), plain(x), fast(x))


def test_what_becomes_of_it(subject):
    """The model stays as it was; the copy has its methods and attributes, and can be copied."""
    model, plain = subject[0], copy.deepcopy(subject[1]).train()
    next(plain.children()).eval()
    before = facts(plain), {name: tensor.clone() for name, tensor in plain.state_dict().items()}
    fast = fused(plain)
    after = facts(plain), plain.state_dict()
    assert after[0] == before[0] and list(after[1]) == list(before[1])
    assert all(torch.equal(after[1][name], tensor) for name, tensor in before[1].items())
    assert not memory_of(plain) & memory_of(fast)

    assert not any(module.training for module in fast.modules())
    assert not any(parameter.requires_grad for parameter in fast.parameters())
    for name in dir(plain):
        assert name.startswith("_") or hasattr(fast, name), name
    for entry in fast.report().entries:
        assert entry.kind and (entry.fused or entry.reason)

    x = zoo.images(1, *model.other_size, seed=8)
    with torch.no_grad():
        expected = fast(x)
        for other in (copy.deepcopy(fast), pickle.loads(pickle.dumps(fast))):
            assert_as_exact(expected, expected, other(x))
            assert str(other.report()) == str(fast.report())


def facts(model: nn.Module) -> list[tuple]:
    """Of a model what optimize may not change, but for its tensors."""
    parameters = [(name, p.requires_grad) for name, p in model.named_parameters()]
    modules = [(name, type(one), one.training) for name, one in model.named_modules()]
    return parameters + modules


def memory_of(model: nn.Module) -> set[int]:
    """Where its tensors lie."""
    storages = (tensor.untyped_storage() for tensor in model.state_dict().values())
    return {storage.data_ptr() for storage in storages if storage.nbytes()}


METHODS = {
    "mobilenet_v2/timm": ["forward_features"],
    "efficientnet/timm_tf_lite0": ["forward_features"],
    "resnet/18": ["maps"],
    "seaformer/segmentation_tiny": ["extract_feat", "simple_test"],
    "seaformer/classification_tiny": ["maps"],
    "topformer/tiny": ["extract_feat", "simple_test"],
    "bisenet/v1_resnet18": ["context"],
}


@pytest.mark.parametrize("name", METHODS)
def test_methods(name):
    plain = zoo.create(name)
    fast, exact = fused(plain), doubled(plain)
    x = zoo.images(1, 128, 96, seed=7)
    with torch.inference_mode():
        for method in METHODS[name]:
            outputs = (
                getattr(one, method)(given)
                for one, given in ((exact, x.double()), (plain, x), (fast, x))
            )
            assert_as_exact(*outputs)


def test_parts_of_a_model():
    """They can be called alone, as code that takes features does."""
    plain = zoo.create("mobilenet_v3/torchvision_large")
    fast, exact = fused(plain), doubled(plain)
    x = zoo.images(1, 64, 64, seed=7)
    with torch.inference_mode():
        for count in (1, 2, 5, 13):
            assert_as_exact(
                exact.features[:count](x.double()),
                plain.features[:count](x),
                fast.features[:count](x),
            )


@pytest.mark.parametrize("name", ["mobileone/s0", "repvgg/a0"])
def test_reparametrised_first_or_not(name):
    plain = zoo.create(name)
    deployed = reparametrised.deployed(plain)
    x = zoo.images(1, 64, 64, seed=7)
    with torch.inference_mode():
        exact = doubled(plain)(x.double())
        assert_as_exact(exact, plain(x), fused(plain)(x))
        assert_as_exact(exact, deployed(x), fused(deployed)(x))
    convolutions = [sum(e.fused for e in fused(m).report().entries) for m in (plain, deployed)]
    assert convolutions[0] == convolutions[1]


def test_sizes_in_turn():
    """Nothing is kept of one call for the next."""
    plain = zoo.create("mobilenet_v2/torchvision_050")
    fast = fused(plain)
    inputs = [zoo.images(1, size, 64, seed=size) for size in (64, 33, 80)]
    with torch.inference_mode():
        first = [fast(x) for x in inputs]
        for x, expected in zip(inputs, first, strict=True):
            assert torch.equal(fast(x), expected)
