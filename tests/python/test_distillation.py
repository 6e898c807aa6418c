"""The terms of distillation: where they are least, whom they teach, and what they cost."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from test_optimize import MINI, SMALL
from torch import nn
from torch.nn import functional as F

from seaformer_kernels.models import SeaFormerClassifier, SeaFormerSegmenter
from seaformer_kernels.training import DistillationLoss, halved

CLASSES = 5


def model(upsample: bool = False, seed: int = 0, config=SMALL) -> SeaFormerSegmenter:
    torch.manual_seed(seed)
    made = SeaFormerSegmenter(config, CLASSES, upsample=upsample)
    nn.init.normal_(made.decode_head.conv_seg.weight)
    return made.train()


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, 3, 64, 96, generator=generator)
    masks = torch.randint(0, CLASSES, (2, 64, 96), generator=generator)
    masks[:, :7] = 255
    return images, masks


def only(name: str, weight: float = 1.0, **options) -> DistillationLoss:
    weights = dict.fromkeys(("student", "lifted", "features", "kl"), 0.0)
    return DistillationLoss(**(weights | {name: weight}), **options)


def test_a_copy_of_the_teacher_at_its_resolution_has_nothing_to_learn(batch):
    images, masks = batch
    teacher = model()
    student = copy.deepcopy(teacher).eval()
    terms = DistillationLoss(temperature=3)(student, teacher, images, images, masks)
    assert list(terms) == ["student", "lifted", "features", "kl"]
    assert terms["features"].item() == pytest.approx(0, abs=1e-6)
    assert terms["kl"].item() == pytest.approx(0, abs=1e-6)
    # Through either classifier, which are one.
    logits = F.interpolate(student(images), (64, 96), mode="bilinear")
    expected = F.cross_entropy(logits, masks, ignore_index=255).item()
    assert terms["student"].item() == pytest.approx(expected, rel=1e-5)
    assert terms["lifted"].item() == pytest.approx(expected, rel=1e-5)
    other = DistillationLoss()(model(seed=1).eval(), teacher, images, images, masks)
    assert other["features"] > 1e-3 and other["kl"] > 1e-3


def test_terms_are_what_they_say(batch):
    images, masks = batch
    teacher, student = model(), model(upsample=True, seed=1).eval()
    terms = DistillationLoss(2, 3, 4, 5, temperature=2.5)(
        student, teacher, images, halved(images), masks
    )
    teacher.eval()

    def features(of: nn.Module, x: torch.Tensor) -> torch.Tensor:
        (y,) = of.decode_head.graph.run(of.decode_head, *of.backbone(x))
        return F.relu(of.decode_head.linear_fuse(y))

    with torch.no_grad():
        ours, theirs = features(student, halved(images)), features(teacher, images)
        logits, targets = student(halved(images)), teacher(images)
        through = teacher.decode_head.conv_seg(ours)
    assert ours.shape == theirs.shape == (2, 20, 8, 12)

    def entropy(x: torch.Tensor) -> float:
        resized = F.interpolate(x, (64, 96), mode="bilinear")
        return F.cross_entropy(resized, masks, ignore_index=255).item()

    cosine = (ours * theirs).sum(1) / (ours.norm(dim=1) * theirs.norm(dim=1)).clamp(min=1e-8)
    p, q = (targets / 2.5).softmax(1).double(), (logits / 2.5).softmax(1).double()
    divergence = (p * (p / q).log()).sum(1).mean().item() * 2.5**2
    expected = {
        "student": 2 * entropy(logits),
        "lifted": 3 * entropy(through),
        "features": 4 * (1 - cosine).mean().item(),
        "kl": 5 * divergence,
    }
    assert {k: v.item() for k, v in terms.items()} == pytest.approx(expected, rel=1e-4)


def learning(student: nn.Module) -> set[str]:
    """The parameters that logits depend on: not those of a last stage that no fusion reads."""
    student = copy.deepcopy(student)
    student.zero_grad()
    student(torch.randn(2, 3, 32, 48)).square().mean().backward()
    return {name for name, p in student.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", ["student", "lifted", "features", "kl"])
def test_gradients_reach_the_student_alone(batch, name):
    images, masks = batch
    teacher, student = model(), model(upsample=True, seed=1)
    before = copy.deepcopy(teacher.state_dict())
    modes = [module.training for module in teacher.modules()]
    (term,) = only(name)(student, teacher, images, halved(images), masks).values()
    term.backward()
    assert all(p.grad is None for p in teacher.parameters())
    got = {n for n, p in student.named_parameters() if p.grad is not None}
    assert all(p.grad.any() for n, p in student.named_parameters() if ".upsampler." in n)
    classifier = {"decode_head.conv_seg.weight", "decode_head.conv_seg.bias"}
    # Its own classifier has no part in two of the terms.
    assert got == learning(student) - (classifier if name in ("lifted", "features") else set())
    assert all(torch.equal(before[n], t) for n, t in teacher.state_dict().items())
    assert [module.training for module in teacher.modules()] == modes
    assert not student.decode_head.linear_fuse._forward_hooks


def test_terms_that_are_off_cost_nothing(batch, monkeypatch):
    images, masks = batch
    teacher, student = model(), model(upsample=True, seed=1)

    def call(*_):
        raise AssertionError("the teacher was called")

    for name in ("student", "lifted"):
        monkeypatch.setattr(teacher, "forward", call)
        terms = only(name)(student, teacher, images, halved(images), masks)
        assert list(terms) == [name]
    counted = []
    monkeypatch.undo()
    for name in ("features", "kl"):
        loss = only(name, cross_entropy=lambda *_: counted.append(1))
        assert list(loss(student, teacher, images, halved(images), masks)) == [name]
    assert counted == []


def test_a_teacher_learns_no_statistics_and_drops_nothing(batch):
    images, masks = batch
    teacher = model().train()
    student = model(upsample=True, seed=1).eval()
    loss = only("kl")
    values = {loss(student, teacher, images, halved(images), masks)["kl"].item() for _ in range(3)}
    assert len(values) == 1


def test_sizes_that_differ_and_a_student_without_an_upsampler(batch):
    teacher = model()
    for upsample in (False, True):
        student = model(upsample, seed=1)
        for height, width in (64, 96), (65, 97), (70, 66):
            images = torch.randn(2, 3, height, width)
            masks = torch.randint(0, CLASSES, (2, height, width))
            assert halved(images).shape == (2, 3, -(-height // 2), -(-width // 2))
            terms = DistillationLoss()(student, teacher, images, halved(images), masks)
            assert all(term.isfinite() and term > 0 for term in terms.values())


def test_a_batch_without_labels_has_no_entropy(batch):
    images, masks = batch
    teacher, student = model(), model(upsample=True, seed=1)
    terms = DistillationLoss()(student, teacher, images, halved(images), masks.fill_(255))
    assert terms["student"] == terms["lifted"] == 0
    assert all(term.isfinite() for term in terms.values())


def test_half_precision_is_computed_in_32_bits(batch):
    images, masks = batch
    teacher, student = model(), model(upsample=True, seed=1).eval()
    expected = DistillationLoss()(student, teacher, images, halved(images), masks)
    with torch.autocast("cpu", torch.bfloat16):
        terms = DistillationLoss()(student, teacher, images, halved(images), masks)
    for name, term in terms.items():
        assert term.dtype == torch.float32
        assert term.item() == pytest.approx(expected[name].item(), rel=0.1)


def test_learns(batch):
    images, masks = batch
    teacher, student = model().eval(), model(upsample=True, seed=1)
    loss = DistillationLoss(0, 0, 1, 1)
    optimizer = torch.optim.AdamW(student.parameters(), 3e-3)
    values = []
    for _ in range(12):
        total = sum(loss(student, teacher, images, halved(images), masks).values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        values.append(total.item())
    assert values[-1] < 0.8 * values[0]


def test_a_wrapped_student(batch):
    images, masks = batch
    teacher, student = model(), model(upsample=True, seed=1).eval()
    loss = DistillationLoss()
    expected = loss(student, teacher, images, halved(images), masks)
    got = loss(nn.DataParallel(student), teacher, images, halved(images), masks)
    assert all(torch.equal(got[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kl": -1}, "weight of 'kl' from 0 up, got -1"),
        ({"lifted": math.nan}, "weight of 'lifted' from 0 up, got nan"),
        ({"student": 0, "lifted": 0, "features": 0, "kl": 0}, "above 0, got none"),
        ({"temperature": 0}, "positive temperature, got 0"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        DistillationLoss(**options)


def test_models_that_do_not_fit(batch):
    images, masks = batch
    student = model(upsample=True)
    with pytest.raises(ValueError, match="of the same classes, got 5 and 6"):
        DistillationLoss()(student, SeaFormerSegmenter(SMALL, 6), images, images, masks)
    with pytest.raises(TypeError, match="as teacher, got SeaFormerClassifier with 0"):
        DistillationLoss()(student, SeaFormerClassifier(SMALL, 5), images, images, masks)
    wide = model(config=MINI)
    wide.decode_head.linear_fuse = nn.Identity()
    wide.decode_head.conv_seg = nn.Conv2d(24, CLASSES, 1)
    with pytest.raises(ValueError, match=r"terms lifted and features, got 20 .* and 24 of the te"):
        DistillationLoss()(student, wide, images, images, masks)


def test_a_wider_teacher_teaches_by_its_distribution(batch):
    images, masks = batch
    config = SMALL.__class__(**{**vars(SMALL), "fusion_channels": (24,)})
    teacher, student = model(config=config), model(upsample=True, seed=1)
    loss = DistillationLoss(lifted=0, features=0)
    assert list(loss(student, teacher, images, halved(images), masks)) == ["student", "kl"]
