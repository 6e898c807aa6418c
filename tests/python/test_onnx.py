"""Labels traced and exported to ONNX, by both of PyTorch's exporters."""

from __future__ import annotations

import warnings

import pytest
import torch
from test_optimize import SMALL, noise, trained
from torch import nn

import seaformer_kernels as sk
from seaformer_kernels import ops
from seaformer_kernels.models import SeaFormerClassifier, SeaFormerSegmenter

# Shape checks become constants of a trace, exporters deprecate themselves.
pytestmark = pytest.mark.filterwarnings("ignore")

FORMS = ["op by op", "whole graph"] if sk.cpu.info().extension_loaded else ["op by op"]
SIZES = [(96, 128), (65, 100), (40, 33)]


class Labels(nn.Module):
    """A segmenter or classifier, from an image to labels."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.model.predict(image)


@pytest.fixture(scope="module")
def segmenter() -> nn.Module:
    model = trained(SeaFormerSegmenter(SMALL, num_classes=12))
    with torch.no_grad():  # so that every class wins somewhere
        model.decode_head.conv_seg.bias -= model(noise(1, 3, 64, 96)).mean(dim=(0, 2, 3))
    return model


@pytest.fixture(scope="module")
def classifier() -> nn.Module:
    return trained(SeaFormerClassifier(SMALL, num_classes=7))


def in_form(model: nn.Module, form: str) -> nn.Module:
    return model if form == "plain" else sk.optimize(model, whole_graph=form == "whole graph")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["plain", *FORMS])
def test_a_trace_labels_images_of_any_size(segmenter, form):
    labels = Labels(in_form(segmenter, form))
    traced = torch.jit.trace(labels, noise(1, 3, 64, 96))
    for size in SIZES:
        x = noise(2, 3, *size)
        got = traced(x)
        assert got.shape == (2, *size) and got.dtype == torch.uint8
        assert len(got.unique()) > 5
        assert (got != labels(x)).float().mean() < 1e-3  # rounding, where two classes are level


def test_traced_shapes_are_sizes_of_every_op(segmenter):
    logits = noise(1, 5, 6, 9)

    def resized(x):
        side = x.shape[-1] * 8
        return (
            ops.upsample_argmax(x, x.shape[-2:]),
            ops.upsample_argmax(x, side),
            ops.upsample_argmax(x, side, align_corners=True),
        )

    traced = torch.jit.trace(resized, logits)
    other = noise(2, 5, 4, 7)
    for got, expected in zip(traced(other), resized(other), strict=True):
        assert torch.equal(got, expected)


def exported(model: nn.Module, path, dynamo: bool) -> None:
    pytest.importorskip("onnx")
    axes = {0: "batch", 2: "height", 3: "width"}
    if dynamo:
        pytest.importorskip("onnxscript")
        options = {"dynamic_shapes": (axes,)}
    else:
        options = {"dynamic_axes": {"image": axes}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (noise(2, 3, 96, 128),),
            path,
            dynamo=dynamo,
            input_names=["image"],
            output_names=["labels"],
            verbose=False,
            **options,
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "dynamo"), [("segmenter", False), ("segmenter", True), ("classifier", False)]
)
def test_plain_labels_in_onnx(request, tmp_path, task, dynamo):
    labels = Labels(request.getfixturevalue(task))
    path = tmp_path / "labels.onnx"
    exported(labels, path, dynamo)
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for batch, size in zip((1, 2, 3), SIZES, strict=True):
        x = noise(batch, 3, *size)
        expected = labels(x)
        (got,) = session.run(None, {"image": x.numpy()})
        assert got.shape == tuple(expected.shape)
        assert (torch.from_numpy(got) != expected).float().mean() < 1e-3


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("part", ["forward", "predict"])
@pytest.mark.parametrize("dynamo", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_an_optimised_model_says_to_export_the_plain_one(segmenter, tmp_path, form, part, dynamo):
    model = in_form(segmenter, form)
    model = Labels(model) if part == "predict" else model
    with pytest.raises(RuntimeError, match="export the model that optimize was given"):
        exported(model, tmp_path / "fast.onnx", dynamo)


class DropIns(nn.Module):
    """The ops that take plain tensors."""

    def forward(self, image):
        rows, columns = ops.axial_mean(image)
        return rows, columns, ops.upsample_argmax(image, image.shape[-2:])


@pytest.mark.slow
@pytest.mark.parametrize("dynamo", [False, True])
def test_ops_on_plain_tensors_export_as_standard_ones(tmp_path, dynamo):
    onnx = pytest.importorskip("onnx")
    path = tmp_path / "ops.onnx"
    exported(DropIns(), path, dynamo)
    domains = {node.domain for node in onnx.load(path).graph.node}
    assert domains <= {"", "pkg.onnxscript.torch_lib"}
