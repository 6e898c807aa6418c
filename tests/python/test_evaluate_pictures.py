"""Pictures of evaluations."""

import math

import pytest
import torch

pytest.importorskip("PIL")
np = pytest.importorskip("numpy")

from evaluate_cases import FACTS, MemoryData, picture, segmenter  # noqa: E402

from seaformer_kernels.evaluate import SegmentationMetrics, Views, pictures  # noqa: E402
from seaformer_kernels.evaluate.engines import TorchEngine  # noqa: E402
from seaformer_kernels.evaluate.segmentation import Segmentation  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


def test_overlay():
    image, labels = picture(2, 3), torch.tensor([[0, 1, 2], [3, 4, 255]])
    drawn = np.asarray(pictures.overlay(image, labels, FACTS, alpha=1.0))
    assert [tuple(pixel) for pixel in drawn.reshape(-1, 3)] == [*FACTS.colors, (0, 0, 0)]
    photograph = np.asarray(pictures.overlay(image, labels, FACTS, alpha=0.0))
    assert (photograph == image.permute(1, 2, 0).numpy()).all()


def test_worst():
    scores = {"a": 0.5, "b": math.nan, "c": 0.1, "d": 0.9, "e": 0.1}
    assert pictures.worst(scores, 3) == ["c", "e", "a"]
    assert pictures.worst({"b": math.nan}, 3) == []


@pytest.mark.parametrize("draw", [pictures.draw_comparison, pictures.draw_overlays])
def test_sheets(draw):
    data, engine = MemoryData(), TorchEngine("one", segmenter(), FACTS.mean, FACTS.std)
    task = Segmentation(FACTS, Views())
    names = ["beach/4", "beach/1"]
    sheet = np.asarray(draw(task, engine, data, names))
    colors = {tuple(color) for color in sheet.reshape(-1, 3)}
    assert colors >= set(FACTS.colors), "there is a legend"
    higher = np.asarray(draw(task, engine, data, [*names, "beach/0", "beach/3"]))
    assert higher.shape[0] > sheet.shape[0]
    with pytest.raises(ValueError, match="such as 'beach/0', got 'beach/9'"):
        draw(task, engine, data, ["beach/9"])
    with pytest.raises(ValueError, match="got none"):
        draw(task, engine, data, [])


def test_rows_of_a_comparison_are_photograph_truth_prediction():
    class Labelled(MemoryData):  # each pixel: of one that is ignored there is no prediction
        def __getitem__(self, index):
            image, mask = super().__getitem__(index)
            return image, mask % 255

    class Truth(TorchEngine):
        def labels(self, x, size):
            return Labelled()[0][1][None]

    engine, task = Truth("truth", segmenter()), Segmentation(FACTS, Views())
    sheet = np.asarray(pictures.draw_comparison(task, engine, Labelled(), ["beach/0"])).astype(int)
    column = (sheet.shape[1] - 12) // 3
    photo, truth, prediction = (
        sheet[60:350, 12 + i * column : i * column + column] for i in range(3)
    )
    assert (truth == prediction).all()
    assert (photo != truth).any()


@pytest.mark.parametrize("classes", [5, 40])
@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_confusion(tmp_path, classes, suffix):
    pytest.importorskip("matplotlib")
    metrics = SegmentationMetrics(classes, names=[f"<kind> ${i}_{{ & $_" for i in range(classes)])
    metrics.update(torch.arange(4).repeat(9), torch.arange(36) % 3)
    pictures.draw_confusion(metrics.compute(), tmp_path / "any.part", suffix)
    begin = (tmp_path / "any.part").read_bytes()[:5]
    assert begin == {"png": b"\x89PNG\r", "svg": b"<?xml"}[suffix]


def test_confusion_without_matplotlib(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'seaformer-kernels\[train\]'"):
        pictures.draw_confusion(SegmentationMetrics(2).compute(), tmp_path / "x.png")
