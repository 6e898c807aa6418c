"""Detectors as one op, and backbones of which several maps come out."""

from __future__ import annotations

import copy
import functools
import io
import pickle

import numpy as np
import pytest
import torch
from test_detector import mini
from test_native import needs_program, run

import seaformer_kernels as sk
from seaformer_kernels.models import SeaFormerBackbone, SeaFormerDetector
from seaformer_kernels.models.config import FAMILY

MEAN, STD = sk.data.IMAGENET_MEAN, sk.data.IMAGENET_STD


@functools.cache  # nothing changes it
def detector(head: str = "light") -> SeaFormerDetector:
    torch.manual_seed(3)
    model = sk.create_model("seaformer_tiny", "detection", num_classes=5, head=head)
    with torch.no_grad():  # scores on both sides of the threshold, boxes of some size
        model.head.class_out.weight.mul_(20 if head == "retina" else 1)
        model.head.box_out.weight.mul_(0.1)
    return model


@functools.cache
def whole_detector() -> torch.nn.Module:
    return sk.optimize(detector(), whole_graph=True)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def pixels(*shape: int, seed: int = 0) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=random)


def assert_equal_maps(got, wanted) -> None:
    for a, b in zip((*got[0], *got[1]), (*wanted[0], *wanted[1]), strict=True):
        assert torch.equal(a, b)


def assert_equal_objects(got, wanted) -> None:
    for a, b in zip(got, wanted, strict=True):
        assert torch.equal(a.boxes, b.boxes)
        assert torch.equal(a.scores, b.scores)
        assert torch.equal(a.classes, b.classes)


@pytest.mark.parametrize(
    ("head", "dtype"),
    [
        ("retina", torch.float32),
        ("light", torch.float32),
        ("light", torch.float16),
        ("light", torch.bfloat16),
    ],
)
def test_maps_and_objects_are_those_of_its_ops(head, dtype):
    model = detector(head)
    steps = sk.optimize(model, MEAN, STD, dtype=dtype)
    whole = sk.optimize(model, MEAN, STD, dtype=dtype, whole_graph=True)
    for shape in ((2, 3, 96, 130), (1, 3, 65, 67)):
        x = pixels(*shape)
        assert_equal_maps(whole(x), steps(x))
        wanted = steps.predict(x, score_threshold=0.2)
        assert sum(map(len, wanted)) > 10
        assert_equal_objects(whole.predict(x, score_threshold=0.2), wanted)
        size = {"size": (80, 96), "max_detections": 7, "iou_threshold": 0.3}
        assert_equal_objects(whole.predict(x, **size), steps.predict(x, **size))


@pytest.mark.parametrize("head", ["retina", pytest.param("light", marks=pytest.mark.slow)])
def test_int8_is_one_op_whose_outputs_are_float(head, tmp_path):
    model = mini(head)
    images = [pixels(3, 64, 64, seed=seed) for seed in range(8)]
    steps, whole = (
        sk.quantize(model, images, mean=MEAN, std=STD, whole_graph=whole_graph, show_progress=False)
        for whole_graph in (False, True)
    )
    x = pixels(2, 3, 70, 93, seed=20)
    assert_equal_maps(whole(x), steps(x))
    assert_equal_objects(
        whole.predict(x, score_threshold=0.01), steps.predict(x, score_threshold=0.01)
    )
    exact = sk.optimize(model, MEAN, STD)(x)
    for got, wanted in zip((*steps(x)[0], *steps(x)[1]), (*exact[0], *exact[1]), strict=True):
        assert got.dtype == torch.float32
        noise_of = (got - wanted).std() / wanted.std()
        assert noise_of < 0.3
    dtypes = {entry.path: entry.dtype for entry in steps.report().entries}
    assert {dtypes[f"head.{name}_out"] for name in ("class", "box")} == {"float32"}
    assert dtypes["neck.lateral.0"] == dtypes["neck.extra"] == "float32"
    towers = {dtype for path, dtype in dtypes.items() if path.startswith("head.class_tower")}
    assert towers == {"int8" if head == "light" else "float32"}
    assert not steps.report().plain
    assert sk.export_native(whole, tmp_path / "model.sfm").task == "detection"


def test_int8_leaves_a_head_that_is_skipped():
    images = [pixels(3, 64, 64, seed=seed) for seed in range(8)]
    kept = sk.quantize(mini("light"), images, skip=["head.box_tower"], show_progress=False)
    dtypes = {entry.path: entry.dtype for entry in kept.report().entries}
    assert dtypes["head"] == "float32"


def test_objects_are_those_of_plain_pytorch():
    model = detector()
    x = noise(1, 3, 128, 128)
    (wanted,) = model.predict(x)
    (got,) = whole_detector().predict(x)
    assert len(got) == len(wanted)
    torch.testing.assert_close(got.scores, wanted.scores, rtol=1e-3, atol=1e-4)


def test_the_shared_head_is_stored_once():
    whole = sk.optimize(detector("retina"), whole_graph=True)
    weights = sum(p.numel() for p in detector("retina").parameters())
    assert len(whole.plan) < 4.3 * 16 / 9 * weights  # transformed for Winograd's convolution


@pytest.mark.parametrize("name", ["seaformer_tiny", "seaformer_large"])
def test_a_backbone_gives_all_its_maps(name):
    torch.manual_seed(0)
    backbone = SeaFormerBackbone(FAMILY[name]).eval()
    steps, whole = sk.optimize(backbone), sk.optimize(backbone, whole_graph=True)
    for shape in ((2, 3, 64, 100), (1, 3, 33, 47)):
        x = noise(*shape)
        for got in (whole(x), whole.features(x)):
            for a, b in zip(got, steps(x), strict=True):
                assert torch.equal(a, b)


def test_what_a_model_returns_keeps_its_nest():
    class Nested(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = torch.nn.Conv2d(3, 8, 3, stride=2, padding=1)
            self.second = torch.nn.Conv2d(8, 4, 1)

        def forward(self, x):
            fine = self.first(x).relu()
            coarse = self.second(fine)
            return {"maps": [fine, coarse], "again": (fine, None)}

    model = Nested().eval()
    whole = sk.optimize(model, whole_graph=True)
    got, wanted = whole(noise(1, 3, 40, 50)), model(noise(1, 3, 40, 50))
    assert got.keys() == wanted.keys()
    assert got["again"][1] is None
    for a, b in zip(
        (*got["maps"], got["again"][0]), (*wanted["maps"], wanted["again"][0]), strict=True
    ):
        torch.testing.assert_close(a, b)


def test_copies_and_state():
    whole = sk.optimize(detector(), MEAN, STD, whole_graph=True)
    x = pixels(1, 3, 96, 96)
    wanted = whole.predict(x)
    for other in (copy.deepcopy(whole), pickle.loads(pickle.dumps(whole))):
        assert_equal_objects(other.predict(x), wanted)
    file = io.BytesIO()
    torch.save(whole.state_dict(), file)
    file.seek(0)
    torch.manual_seed(9)
    fresh = sk.create_model("seaformer_tiny", "detection", num_classes=5, head="light")
    other = sk.optimize(fresh, MEAN, STD, whole_graph=True)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert_equal_objects(other.predict(x), wanted)


def test_exports_with_dynamic_sizes():
    whole = whole_detector()
    axes = {0: torch.export.Dim("B", max=8), 2: torch.export.Dim("H", min=129, max=999)}
    axes[3] = torch.export.Dim("W", min=129, max=999)
    exported = torch.export.export(whole, (noise(2, 3, 150, 130),), dynamic_shapes=(axes,))
    for shape in ((2, 3, 150, 130), (3, 3, 170, 281)):
        x = noise(*shape)
        assert_equal_maps(exported.module()(x), whole(x))


def test_opcheck():
    whole = whole_detector().module
    x = noise(2, 3, 70, 81)
    torch.library.opcheck(
        torch.ops.seaformer.network_maps.default, (x, whole.plan, list(whole.outputs))
    )
    torch.library.opcheck(
        torch.ops.seaformer.network_detections.default,
        (x, whole.plan, 5, [70, 81], 0.1, 100, 0.5, 20),
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, w: sk.ops.network_maps(x, w.plan, w.outputs[:8]), "of each of the plan's 10"),
        (lambda x, w: sk.ops.network_maps(x, w.plan, (7, *w.outputs[1:])), "got 7 channels"),
        (lambda x, w: sk.ops.network_maps(x[:, :2], w.plan, w.outputs), "batch, 3, height"),
        (lambda x, w: sk.ops.network_detections(x, w.plan, 6, (9, 9)), "6 classes, got 5"),
        (lambda x, w: sk.ops.network_detections(x, w.plan, 5, (0, 9)), "a height from 1 to"),
        (lambda x, w: sk.ops.network_detections(x, w.plan, 5, (9, 9), 2.0), "from 0 to 1"),
        (
            lambda x, w: sk.ops.network_detections(x, w.plan, 5, (9, 9), top_k=0),
            "1 box of a level or more",
        ),
        (
            lambda x, w: sk.ops.network_detections(x, w.plan, 5, (9, 9), max_detections=0),
            "detections",
        ),
        (lambda x, w: sk.ops.network_logits(x, w.plan, 5, 8), "one map comes out"),
        (lambda x, w: sk.ops.network_labels(x, w.plan, 5, (9, 9)), "segmentation"),
    ],
)
def test_refuses_what_does_not_fit(call, message):
    whole = whole_detector().module
    with pytest.raises(ValueError, match=message):
        call(noise(1, 3, 64, 64), whole)


@needs_program
def test_the_program_finds_the_same(tmp_path):
    model = detector()
    file = sk.export_native(model, tmp_path / "model.sfm", MEAN, STD)
    assert file.task == "detection"
    assert file.num_classes == 5
    assert "detection, 5 classes" in run(file.path, "--info")
    x = pixels(1, 3, 97, 120)
    image = tmp_path / "image.ppm"
    rgb = x[0].permute(1, 2, 0).contiguous().numpy()
    image.write_bytes(b"P6\n120 97\n255\n" + rgb.tobytes())
    (wanted,) = sk.optimize(model, MEAN, STD, whole_graph=True).predict(x)
    assert len(wanted) > 5
    lines = [line.split() for line in run(file.path, image).splitlines() if "box" in line]
    assert [int(line[1].rstrip(":")) for line in lines] == wanted.classes.tolist()
    found = torch.tensor([[float(line[2].rstrip(",")), *map(float, line[4:])] for line in lines])
    torch.testing.assert_close(found[:, 0], wanted.scores, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(found[:, 1:], wanted.boxes, rtol=1e-2, atol=0.1)


@needs_program
def test_the_program_draws_boxes(tmp_path):
    file = sk.export_native(detector(), tmp_path / "model.sfm", MEAN, STD)
    pixels_ = np.zeros((64, 80, 3), np.uint8)
    image, drawn = tmp_path / "image.ppm", tmp_path / "drawn.ppm"
    image.write_bytes(b"P6\n80 64\n255\n" + pixels_.tobytes())
    said = run(file.path, image, "-o", drawn)
    assert drawn.read_bytes().startswith(b"P6\n80 64\n255\n")
    assert (drawn.read_bytes() != image.read_bytes()) == ("box" in said)
    assert "one for detection" in run(file.path, image, "--size", "8x8", code=2)
