"""The networks that optimize is held against are what they are called."""

from __future__ import annotations

import golden
import pytest
import torch
import zoo
from zoo import reparametrised
from zoo.reference_seaformer import seaformer_classifier, seaformer_segmenter

pytestmark = pytest.mark.usefixtures("one_thread")

# Published parameters in millions of the networks that are built in full.
PARAMETERS = {
    "mobilenet_v1/torchvision": 4.2,
    "mobilenet_v2/torchvision": 3.5,
    "mobilenet_v2/timm_tf": 3.5,
    "mobilenet_v3/torchvision_small": 2.5,
    "mobilenet_v3/timm_large": 5.5,
    "mnasnet/torchvision": 4.4,
    "efficientnet/torchvision_b0": 5.3,
    "efficientnet/torchvision_b1": 7.8,
    "efficientnet/timm_lite0": 4.7,
    "ghostnet/timm": 5.2,
    "shufflenet_v2/torchvision": 2.3,
    "resnet/18": 11.7,
    "resnet/50": 25.6,
    "regnet/x_400mf": 5.5,
    "regnet/y_400mf": 4.3,
    "squeezenet/1_1": 1.2,
    "convnext/atto": 3.7,
    "vit/tiny": 5.7,
    "lraspp/mobilenet_v3_large": 3.2,
    "topformer/tiny": 1.4,
    "topformer/base": 5.1,
}


def test_how_many_there_are():
    models = zoo.models()
    assert len(models) >= 30 and len({model.family for model in models}) >= 10


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters(name):
    with torch.device("meta"):
        model = next(model for model in zoo.models() if model.name == name).make()
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(
        PARAMETERS[name], abs=0.05
    )


@pytest.mark.parametrize("key", golden.MODELS)
def test_the_references_checkpoints_fit(key):
    """Name by name and shape by shape."""
    task, variant = key.split("_")
    with torch.device("meta"):
        model = {"seg": seaformer_segmenter, "cls": seaformer_classifier}[task](variant)
    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    assert shapes == golden.manifest(key)


@pytest.mark.parametrize("name", golden.CASE_PARAMS)
def test_the_references_outputs(name):
    case = golden.GoldenCase.load(name)
    task, variant = case.model_key.split("_")
    model = {"seg": seaformer_segmenter, "cls": seaformer_classifier}[task](variant).eval()
    model.load_state_dict(golden.state_dict(case.model_key))
    with torch.inference_mode():
        assert case.relative_error("y", model(case.input())) < 1e-5


@pytest.mark.parametrize("name", ["mobileone/s0", "repvgg/a0"])
def test_reparametrised(name):
    model = zoo.create(name)
    deployed = reparametrised.deployed(model)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in deployed.modules())
    x = zoo.images(1, 64, 64, seed=3)
    with torch.inference_mode():
        torch.testing.assert_close(deployed(x), model(x), rtol=1e-3, atol=1e-4)
