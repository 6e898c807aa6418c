"""Engines: the same labels by plain PyTorch, fused ops, one op, and the native program."""

import math
import os
import shutil
from pathlib import Path

import pytest
import torch
from evaluate_cases import FACTS, MemoryData, picture, segmenter
from test_optimize import MINI, trained
from torch import nn

import seaformer_kernels as sk
from seaformer_kernels.evaluate import (
    InputSize,
    SegmentationMetrics,
    SlidingWindow,
    Views,
    evaluate_classification,
    evaluate_segmentation,
)
from seaformer_kernels.evaluate.classification import Classification, centre
from seaformer_kernels.evaluate.engines import (
    ENGINES,
    HALF_ENGINES,
    EngineError,
    NativeEngine,
    TorchEngine,
    make_engine,
)
from seaformer_kernels.evaluate.run import run
from seaformer_kernels.evaluate.segmentation import Segmentation
from seaformer_kernels.models import SeaFormerClassifier

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).parents[2]
PROGRAM = Path(os.environ.get("SEAFORMER_NATIVE", ROOT / "build/release/seaformer-native"))

needs_program = pytest.mark.skipif(
    shutil.which(PROGRAM) is None, reason="seaformer-native is not built (make test-cpp)"
)
needs_extension = pytest.mark.skipif(
    not sk.cpu.info().extension_loaded, reason="the native extension is missing"
)


class Photos:
    """Made-up data for classification."""

    classes = tuple("abcdefg")
    mean, std = FACTS.mean, FACTS.std
    samples = MemoryData(((64, 64),) * 8).samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return picture(70, 90 + index, index), index % 7


def engines(model: nn.Module, *names: str) -> list:
    return [make_engine(name, model, FACTS.mean, FACTS.std, PROGRAM) for name in names]


def by_hand(model: nn.Module, data: MemoryData):
    """The metrics, in plain PyTorch from image to labels."""
    metrics = SegmentationMetrics(5)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (FACTS.mean, FACTS.std))
    with torch.no_grad():
        for image, mask in (data[i] for i in range(len(data))):
            logits = model((image[None] - mean) / std)
            logits = nn.functional.interpolate(logits, mask.shape, mode="bilinear")
            metrics.update(logits.argmax(1)[0], mask)
    return metrics.compute()


@needs_extension
def test_engines_agree():
    model, data = segmenter(), MemoryData()
    names = [*ENGINES[:3], *HALF_ENGINES[:2]]
    found = run(Segmentation(FACTS, Views()), engines(model, *names), data)
    expected = by_hand(model, data)
    assert list(found.results) == names
    assert found.compared == sum(height * width for height, width in data.sizes)
    assert found.differing["plain"] == 0
    assert max(found.differing[name] for name in ENGINES[:3]) <= found.compared * 1e-3
    assert found.differing["fused-float16"] == found.differing["whole-graph-float16"]
    # Classes of untrained networks are close to each other.
    assert 0 < found.differing["fused-float16"] <= found.compared * 3e-2
    assert found.results["plain"].confusion.equal(expected.confusion)
    for name, result in found.results.items():
        allowed = 2e-3 if name in ENGINES else 2e-2
        assert result.miou == pytest.approx(expected.miou, abs=allowed)
    assert not found.failures and list(found.scores) == [s.name for s in data.samples]


def test_differing_labels_are_counted():
    class Shifted(TorchEngine):
        def labels(self, x, size):
            labels = super().labels(x, size)
            labels[..., :2] = (labels[..., :2] + 1) % 5
            return labels

    model, data = segmenter(), MemoryData()
    pair = [TorchEngine("right", model), Shifted("shifted", model)]
    found = run(Segmentation(FACTS, Views()), pair, data)
    assert found.differing == {"right": 0, "shifted": sum(2 * height for height, _ in data.sizes)}


@pytest.mark.parametrize("kind", ["plain", "optimised", "raw optimised"])
def test_evaluate_segmentation(kind):
    model, data = segmenter(), MemoryData()
    expected = by_hand(model, data)
    if kind != "plain":
        model = sk.optimize(model, *((FACTS.mean, FACTS.std) if "raw" in kind else ()))
    got = evaluate_segmentation(model.train(), data, progress=False)
    assert got.miou == pytest.approx(expected.miou, abs=2e-3)
    assert got.names == FACTS.classes
    assert model.training == (kind == "plain"), "the mode is left as it was"
    small = evaluate_segmentation(model, data, input_size=InputSize(exact=(40, 40)), flip=True)
    assert small.miou != got.miou


def test_any_module_that_makes_logits():
    model = nn.Conv2d(3, 5, 1)
    got = evaluate_segmentation(model, MemoryData(), progress=False)
    assert got.confusion.sum() == sum((height - 3) * width for height, width in MemoryData.sizes)


def test_a_model_that_upsamples_reads_half_the_image():
    seen = []

    class Student(nn.Conv2d):
        upsample = True

        def forward(self, x):
            seen.append(tuple(x.shape[2:]))
            return super().forward(x)

    evaluate_segmentation(Student(3, 5, 1), MemoryData(((64, 50),)), progress=False)
    assert seen == [(32, 25)]


def test_another_number_of_classes():
    with pytest.raises(ValueError, match="model of 5 classes, as made up has, got one of 9"):
        evaluate_segmentation(sk.create_model("seaformer_tiny", num_classes=9), MemoryData())


def classifier() -> SeaFormerClassifier:
    return trained(SeaFormerClassifier(MINI, num_classes=7))


def test_evaluate_classification():
    model, data = classifier(), Photos()
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (data.mean, data.std))
    ranks = []
    with torch.no_grad():
        for image, target in (data[i] for i in range(len(data))):
            logits = model((centre(image, 72, 64)[None] - mean) / std)[0]
            ranks.append(logits.argsort(descending=True).tolist().index(target))
    expected = sum(r == 0 for r in ranks) / 8, sum(r < 5 for r in ranks) / 8
    got = evaluate_classification(model, data, shorter_side=72, crop=64, progress=False)
    assert (got.top1, got.top5, got.count) == (*expected, 8)
    assert expected[0] < expected[1] < 1, "the case tells top-1 from top-5"


def test_the_square_in_the_middle_is_pillows():
    image_module = pytest.importorskip("PIL.Image")
    middle = pytest.importorskip("test_cli_classify").middle
    image = picture(301, 411)
    pillow = image_module.fromarray(image.permute(1, 2, 0).numpy())
    expected = torch.tensor(list(middle(pillow).tobytes())).view(224, 224, 3)
    got = centre(image).permute(1, 2, 0)
    assert (got.int() - expected).abs().max() <= 2
    with pytest.raises(ValueError, match="Expected at least 224 pixels a side, got 411x100"):
        centre(picture(100, 411), None, 224)


@needs_program
def test_native_labels():
    model, data = segmenter(), MemoryData()
    found = run(Segmentation(FACTS, Views(InputSize(scale=1.5))), engines(model, *ENGINES), data)
    assert not found.failures
    assert found.differing["native"] == found.differing["fused"] <= found.compared * 1e-3


@needs_program
def test_native_classes():
    model, data = classifier(), Photos()
    task = Classification(7, 72, 64)
    found = run(task, engines(model, "plain", "native"), data)
    assert found.differing == {"plain": 0, "native": 0}
    assert found.results["native"] == found.results["plain"]


def program(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "seaformer-native"
    path.write_text("\n".join(["#!/bin/sh", *lines]))
    path.chmod(0o755)
    return path


@pytest.mark.children
def test_a_program_that_fails(tmp_path):
    broken = program(tmp_path, "echo 'seaformer-native: no such luck' >&2", "exit 1")
    engine = NativeEngine(segmenter(), FACTS.mean, FACTS.std, broken)
    found = run(Segmentation(FACTS, Views()), [engine], MemoryData())
    assert len(found.failures) == 5 and math.isnan(found.results["native"].miou)
    message = "seaformer-native failed with code 1: seaformer-native: no such luck"
    assert found.failures["beach/0"] == message


def test_a_program_that_is_missing(tmp_path, monkeypatch):
    with pytest.raises(EngineError, match=r"Expected the program .* at .*nowhere.* how to build"):
        NativeEngine(segmenter(), program=tmp_path / "nowhere")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match="among the commands, as no path is given"):
        NativeEngine(segmenter())


def test_what_engines_cannot_do(tmp_path):
    with pytest.raises(
        ValueError, match=r"engine among plain, fused, whole-graph, native, .*, got 'x'"
    ):
        make_engine("x", segmenter())
    engine = NativeEngine(segmenter(), FACTS.mean, FACTS.std, program(tmp_path))
    for views in (
        Views(flip=True),
        Views(window=SlidingWindow((9, 9), (9, 9))),
        Views(scales=(1, 2)),
    ):
        with pytest.raises(EngineError, match="neither windows, flips nor scales"):
            Segmentation(FACTS, views).check(engine)
    Segmentation(FACTS, Views(InputSize(scale=2))).check(engine)
    with pytest.raises(ValueError, match="engines, each once, got plain, plain"):
        run(Segmentation(FACTS, Views()), engines(segmenter(), "plain", "plain"), MemoryData())
