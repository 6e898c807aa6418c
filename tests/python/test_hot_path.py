"""What runs between an image and its result: this package's ops, and memory for their outputs."""

from __future__ import annotations

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

import seaformer_kernels as sk

MEAN, STD = sk.data.IMAGENET_MEAN, sk.data.IMAGENET_STD
MEMORY = {"aten::empty"}
NETWORK = {"seaformer::inverted_residual", "seaformer::sea_attention"}
HEADS = {
    "segmentation": {"seaformer::fusion_gate", "seaformer::segmentation_head"},
    "classification": {"seaformer::classification_head"},
}

pytestmark = pytest.mark.skipif(
    not sk.cpu.info().extension_loaded, reason="without the extension the ops are plain PyTorch"
)


def ops_run(call, *inputs) -> set[str]:
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        call(*inputs)
    return {event.name for event in profiler.events()}


@pytest.mark.parametrize("task", HEADS)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name != "seaformer_tiny" else ())
        for name in sk.list_models()
    ],
)
@torch.inference_mode()
def test_only_our_ops_run(name, task):
    model = sk.create_model(name, task, num_classes=5)
    # Only Large has an expansion behind its stem.
    stem = "seaformer::stem" if name == "seaformer_large" else "seaformer::stem_block"
    expected = MEMORY | NETWORK | HEADS[task] | {stem}
    plain = sk.optimize(model)
    assert ops_run(plain, torch.zeros(1, 3, 64, 96)) == expected

    raw = sk.optimize(model, mean=MEAN, std=STD)
    image = torch.zeros(2, 64, 96, 3, dtype=torch.uint8).permute(0, 3, 1, 2)
    assert ops_run(raw, image) == expected
    if task == "segmentation":
        labelled = expected - {"seaformer::segmentation_head"} | {"seaformer::segmentation_labels"}
        assert ops_run(raw.predict, image) == labelled


def test_other_ops_would_be_seen():
    model = sk.create_model("seaformer_tiny", num_classes=5)
    for part in model.backbone.smb3.layer1.modules():
        part.register_forward_hook(lambda module, args, y: y)
    assert "aten::convolution" in ops_run(sk.optimize(model), torch.zeros(1, 3, 64, 64))
