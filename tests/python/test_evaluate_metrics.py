"""Metrics of evaluation: the figures of torchmetrics and scikit-learn."""

import math

import pytest
import torch
from torch import Tensor

from seaformer_kernels.evaluate import ClassificationMetrics, SegmentationMetrics

CLASSES = 6


def random_labels(ignored: int | None = 255) -> tuple[Tensor, Tensor]:
    """Predictions without class 4, and a mask without 3 and 4, some of it ignored."""
    torch.manual_seed(0)
    labels = torch.tensor([0, 1, 2, 3, 5])[torch.randint(5, (3, 41, 37))]
    mask = torch.tensor([0, 1, 2, 5])[torch.randint(4, labels.shape)]
    mask = torch.where(torch.rand(mask.shape) < 0.5, labels.clamp(max=2), mask)
    if ignored is not None:
        mask[torch.rand(mask.shape) < 0.2] = ignored
    return labels, mask


@pytest.mark.parametrize("ignored", [255, -1, 2, None])
def test_equal_to_torchmetrics(ignored):
    classification = pytest.importorskip("torchmetrics.functional.classification")
    labels, mask = random_labels(ignored)
    metrics = SegmentationMetrics(CLASSES, ignored)
    for image in zip(labels, mask, strict=True):
        metrics.update(*image)
    got = metrics.compute()
    settings = {"num_classes": CLASSES, "ignore_index": ignored}
    torch.testing.assert_close(
        got.confusion,
        classification.multiclass_confusion_matrix(labels, mask, **settings),
        rtol=0,
        atol=0,
    )
    iou, accuracy = (
        score(labels, mask, average=None, **settings).double()
        for score in (classification.multiclass_jaccard_index, classification.multiclass_accuracy)
    )
    # Where we say NaN, torchmetrics says 0.
    torch.testing.assert_close(torch.tensor(got.class_iou).nan_to_num(), iou.float())
    torch.testing.assert_close(torch.tensor(got.class_accuracy).nan_to_num(), accuracy.float())
    micro = classification.multiclass_accuracy(labels, mask, average="micro", **settings)
    assert got.pixel_accuracy == pytest.approx(micro.item())
    assert got.miou == pytest.approx(iou[~torch.tensor(got.class_iou).isnan()].mean().item())


def test_equal_to_sklearn():
    sklearn = pytest.importorskip("sklearn.metrics")
    labels, mask = random_labels()
    metrics = SegmentationMetrics(CLASSES)
    metrics.update(labels.byte(), mask.byte())
    got = metrics.compute()
    truth, found = mask[mask != 255].numpy(), labels[mask != 255].numpy()
    known = list(range(CLASSES))
    expected = sklearn.confusion_matrix(truth, found, labels=known)
    assert got.confusion.tolist() == expected.tolist()
    present = [0, 1, 2, 3, 5]  # in labels or predictions
    iou = sklearn.jaccard_score(truth, found, labels=present, average=None)
    assert [got.class_iou[label] for label in present] == pytest.approx(iou.tolist())
    assert got.miou == pytest.approx(iou.mean())
    assert got.pixel_accuracy == pytest.approx(sklearn.accuracy_score(truth, found))
    recall = sklearn.recall_score(truth, found, labels=[0, 1, 2, 5], average=None)
    assert got.mean_accuracy == pytest.approx(recall.mean())


def test_by_hand():
    metrics = SegmentationMetrics(4, names="abcd")
    metrics.update(torch.tensor([[0, 0, 1, 2]]), torch.tensor([[0, 1, 1, 255]]))
    assert metrics.counts.tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    got = metrics.compute()
    assert got.class_iou[:2] == (0.5, 0.5) and got.miou == 0.5
    # Class 2 is predicted on an ignored pixel only; class 3 is nowhere.
    assert all(map(math.isnan, got.class_iou[2:] + got.class_accuracy[2:]))
    assert got.pixel_accuracy == 2 / 3
    assert got.class_accuracy[:2] == (1, 0.5) and got.mean_accuracy == 0.75
    assert got.name(3) == "d"
    metrics.update(torch.tensor([3]), torch.tensor([0]))
    assert metrics.compute().class_iou[3] == 0  # a class that is only predicted counts
    metrics.reset()
    nothing = metrics.compute()
    assert math.isnan(nothing.miou) and math.isnan(nothing.pixel_accuracy)
    assert got.confusion.sum() == 3, "a result does not change with its metrics"


@pytest.mark.parametrize("classes", [2, 5, 50])
def test_top_k_equals_torchmetrics(classes):
    classification = pytest.importorskip("torchmetrics.functional.classification")
    torch.manual_seed(classes)
    scores, target = torch.randn(64, classes), torch.randint(classes, (64,))
    scores[::2].scatter_add_(1, target[::2, None], torch.full((32, 1), 2.0))
    metrics = ClassificationMetrics(classes)
    for part in zip(scores.split(10), target.split(10), strict=True):
        metrics.update(*part)
    got = metrics.compute()
    for top, value in (1, got.top1), (5, got.top5):
        expected = classification.multiclass_accuracy(
            scores, target, classes, average="micro", top_k=min(top, classes)
        )
        assert value == pytest.approx(expected.item())
    assert got.count == 64


def test_ties_go_to_the_lowest_class():
    metrics = ClassificationMetrics(8)
    metrics.update(torch.zeros(8, 8), torch.arange(8))
    assert metrics.counts.tolist() == [8, 1, 5]
    metrics.reset()
    assert math.isnan(metrics.compute().top1)


@pytest.mark.parametrize(
    ("labels", "mask", "message"),
    [
        ([0, 4], [0, 0], "Expected predicted labels from 0 to 3.* got 4 .1 of the pixels"),
        ([0, 0], [9, -2], r"labels in the mask from 0 to 3, or 255 \(ignored\), got -2, 9 \(2 of"),
        ([0], [0, 0], r"of one shape, got \[1\] and \[2\]"),
    ],
)
def test_wrong_labels(labels, mask, message):
    metrics = SegmentationMetrics(4)
    with pytest.raises(ValueError, match=message):
        metrics.update(torch.tensor(labels), torch.tensor(mask))
    assert metrics.counts.sum() == 0


def test_wrong_types_and_counts():
    with pytest.raises(TypeError, match=r"a mask of integers, got torch\.float32"):
        SegmentationMetrics(4).update(torch.zeros(1, dtype=torch.long), torch.zeros(1))
    with pytest.raises(ValueError, match="positive integer, got 0"):
        SegmentationMetrics(0)
    with pytest.raises(ValueError, match="Expected 4 names of classes, got 2"):
        SegmentationMetrics(4, names=["a", "b"])


@pytest.mark.parametrize(
    ("scores", "target", "message"),
    [
        (torch.zeros(2, 3), [0, 0], r"scores \[B, 4\], got \[2, 3\]"),
        (torch.zeros(2, 4), [0], r"each of 2 images, got \[1\]"),
        (torch.zeros(1, 4), [4], "classes from 0 to 3, got 4"),
        (torch.full((1, 4), math.nan), [0], "got NaN"),
    ],
)
def test_wrong_scores(scores, target, message):
    metrics = ClassificationMetrics(4)
    with pytest.raises(ValueError, match=message):
        metrics.update(scores, torch.tensor(target))
    assert metrics.counts.sum() == 0
