"""Parts of training held against what they should equal."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

pytest.importorskip("yaml")
pytest.importorskip("lightning_fabric")

from made_up_training import MadeUp
from test_optimize import MINI

from seaformer_kernels.models import SeaFormerClassifier, SeaFormerSegmenter
from seaformer_kernels.training import ClassificationLoss, SegmentationLoss
from seaformer_kernels.training.class_weights import balanced, counted_once
from seaformer_kernels.training.optimizers import RMSpropTF, parameter_groups
from seaformer_kernels.training.parallel import SharedDropout, share_batch


def logits_and_mask(batch=2):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(batch, 3, 5, 4, generator=generator)
    mask = torch.randint(0, 3, (batch, 20, 16), generator=generator)
    mask[:, :3] = 255
    return logits, mask


def resized(logits, mask):
    return F.interpolate(logits, mask.shape[1:], mode="bilinear", align_corners=False)


@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 1.0, 3.0])])
def test_segmentation_loss_is_torchs(weights):
    logits, mask = logits_and_mask()
    total, weight = SegmentationLoss(weights)(logits, mask)
    expected = F.cross_entropy(resized(logits, mask), mask, weights, ignore_index=255)
    torch.testing.assert_close(total / weight, expected)


def test_a_mask_without_labels_weighs_nothing():
    logits, mask = logits_and_mask()
    for loss in (SegmentationLoss(), SegmentationLoss(threshold=0.7)):
        total, weight = loss(logits, torch.full_like(mask, 255))
        assert total == 0
        assert weight == 0


@pytest.mark.parametrize(("threshold", "share"), [(0.5, 0.01), (0.01, 0.25), (1.0, 1.0)])
def test_hard_examples(threshold, share):
    logits, mask = logits_and_mask()
    weights = torch.tensor([0.5, 1.0, 3.0])
    total, weight = SegmentationLoss(weights, threshold, share)(logits, mask)
    expected, count = 0.0, 0.0
    for one, labels in zip(resized(logits, mask), mask, strict=True):
        likely = one.softmax(0).permute(1, 2, 0)[labels != 255]
        labels = labels[labels != 255]
        likely = likely[range(len(labels)), labels]
        limit = max(threshold, likely.sort().values[int(-(-share * len(labels) // 1)) - 1].item())
        hard = likely <= limit * (1 + 1e-6)
        assert share > 0.9 or 0 < hard.sum() < len(labels)
        expected += (-likely[hard].log() * weights[labels[hard]]).sum()
        count += weights[labels[hard]].sum()
    torch.testing.assert_close(total / weight, expected / count)


def test_classification_loss_is_torchs():
    logits, labels = torch.randn(4, 6), torch.tensor([0, 5, 2, 2])
    total, weight = ClassificationLoss(0.1)(logits, labels)
    expected = F.cross_entropy(logits, labels, label_smoothing=0.1)
    torch.testing.assert_close(total / weight, expected)


def test_class_weights(tmp_path, monkeypatch):
    weights = balanced(torch.tensor([100, 400, 0, 25]))
    torch.testing.assert_close(weights, torch.tensor([2.0, 1.0, 0.0, 4.0]) * 3 / 7)
    data, file = MadeUp(2), tmp_path / "run" / "counts.json"
    masks = torch.stack([data[0][1], data[1][1]])
    counts = torch.tensor([(masks == label).sum() for label in range(3)])
    assert torch.equal(counted_once(data, 3, file), balanced(counts))
    monkeypatch.setattr(MadeUp, "__getitem__", None)  # not looked at again
    assert torch.equal(counted_once(data, 3, file), balanced(counts))
    with pytest.raises(TypeError):  # other images are
        counted_once(MadeUp(1), 3, file)


def test_rmsprop_as_tensorflow_has_it():
    p = nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = RMSpropTF([p], lr=0.1, alpha=0.9, eps=1e-3, momentum=0.5, weight_decay=0.01)
    x, square, step = p.detach().clone().double(), torch.ones(2).double(), torch.zeros(2).double()
    for lr in (0.1, 0.05, 0.05):
        optimizer.param_groups[0]["lr"] = lr
        optimizer.zero_grad()
        (p**3).sum().backward()
        optimizer.step()
        gradient = 3 * x**2 + 0.01 * x
        square = 0.9 * square + 0.1 * gradient**2
        step = 0.5 * step + lr * gradient / (square + 1e-3).sqrt()
        x = x - step
    torch.testing.assert_close(p.detach().double(), x, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("make", [SeaFormerSegmenter, SeaFormerClassifier])
def test_parameter_groups(make):
    model = make(MINI, 5)
    names = {id(p): name for name, p in model.named_parameters()}
    groups = parameter_groups(model, lr=0.1, weight_decay=0.01, head_lr=10)
    assert sorted(names) == sorted(id(p) for group in groups for p in group["params"])
    for group in groups:
        for p in group["params"]:
            name = names[id(p)]
            plain = "pos_emb" in name or name.endswith("bias") or ".bn." in name
            assert group["weight_decay"] == (0 if plain else 0.01), name
            head = name.startswith(("decode_head", "linear"))
            assert group["lr"] == pytest.approx(1.0 if head else 0.1), name


@pytest.mark.parametrize("shape", [(4, 6, 5, 3), (4, 6)])
def test_processes_share_what_is_dropped(shape):
    x = torch.ones(8, *shape[1:])
    whole_channels = len(shape) == 4

    def drop(x, rank, world):
        torch.manual_seed(1)
        return SharedDropout(0.5, whole_channels, rank, world).train()(x)

    whole = drop(x, 0, 1)
    assert set(whole.unique().tolist()) == {0, 2}
    assert torch.equal(whole, torch.cat([drop(x[:4], 0, 2), drop(x[4:], 1, 2)]))
    if whole_channels:
        assert (whole.flatten(2).std(2) == 0).all()


def test_dropout_of_a_model_is_shared():
    model = SeaFormerSegmenter(MINI, 5, dropout=0.3)
    names = [*model.state_dict()]
    share_batch(model, 0, 1, None)
    assert model.decode_head.dropout.p == 0.3
    share_batch(model, 0, 1, 0.1)
    assert [*model.state_dict()] == names
