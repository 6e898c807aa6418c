"""Detectors: their maps, anchors and predictions, plain and fused."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from golden import manifest, recipe, state_dict
from test_models import MINI
from torch import Tensor, nn

import seaformer_kernels as sk
from seaformer_kernels.data.letterbox import Letterbox
from seaformer_kernels.models import SeaFormerBackbone, SeaFormerDetector
from seaformer_kernels.modules.anchors import (
    anchor_boxes,
    anchor_sizes,
    decode_boxes,
    encode_boxes,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "detector.json"
HEADS = ["retina", "light"]
STRIDES = (8, 16, 32, 64, 128)


def mini(head: str = "retina", num_classes: int = 3) -> SeaFormerDetector:
    """A small detector with weights that follow from their names alone."""
    model = SeaFormerDetector(MINI, num_classes, head).eval()
    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    made = recipe.make_state(shapes)
    model.load_state_dict({name: torch.from_numpy(np.asarray(a)) for name, a in made.items()})
    return model


@pytest.fixture(scope="module", params=HEADS)
def detector(request) -> SeaFormerDetector:
    return mini(request.param)


def image(height: int = 96, width: int = 128, batch: int = 1) -> Tensor:
    case = f"detector_{height}x{width}"
    return torch.from_numpy(recipe.make_input(case, (batch, 3, height, width)))


def flat(maps: tuple[list[Tensor], list[Tensor]]) -> list[Tensor]:
    return [*maps[0], *maps[1]]


# Golden answers: our own, in float64


def samples(x: Tensor) -> list[float]:
    """A map's sum, sum of squares and 16 values spread over it."""
    x = x.double().flatten()
    places = torch.linspace(0, len(x) - 1, 16).long()
    return [x.sum().item(), x.square().sum().item(), *x[places].tolist()]


@torch.no_grad()
def golden() -> dict[str, list[list[float]]]:
    """What the golden file holds; `python tests/python/test_detector.py` writes it anew."""
    return {head: list(map(samples, flat(mini(head).double()(image().double())))) for head in HEADS}


@pytest.mark.parametrize("dtype, bound", [(torch.float64, 1e-9), (torch.float32, 2e-5)])
@torch.no_grad()
def test_maps_are_what_they_were(detector, dtype, bound):
    expected = json.loads(GOLDEN.read_text())[detector.head_name]
    maps = flat(mini(detector.head_name).to(dtype)(image().to(dtype)))
    for got, values in zip(map(samples, maps), expected, strict=True):
        total, squares, *some = values
        largest = max(map(abs, some))
        assert got[2:] == pytest.approx(some, abs=bound * largest)
        assert got[1] == pytest.approx(squares, rel=10 * bound)
        assert got[0] == pytest.approx(total, abs=10 * bound * math.sqrt(squares * 1e4))


# The model


@pytest.mark.parametrize("height, width", [(32, 32), (33, 47), (100, 200)])
@torch.no_grad()
def test_maps_have_the_sizes_of_their_levels(detector, height, width):
    classes, boxes = detector(torch.randn(2, 3, height, width))
    sizes, rows, columns = [], height, width
    for level in range(len(STRIDES)):
        stride = STRIDES[level]
        rows, columns = -(-height // stride), -(-width // stride)
        sizes.append((rows, columns))
    assert [tuple(x.shape) for x in classes] == [(2, 27, *size) for size in sizes]
    assert [tuple(x.shape) for x in boxes] == [(2, 36, *size) for size in sizes]


@pytest.mark.parametrize("name, retina, light", [
    ("seaformer_tiny", 11.13, 2.22), ("seaformer_small", 13.45, 4.52),
])  # fmt: skip
def test_parameters_are_near_those_of_the_paper(name, retina, light):
    for head, expected in ("retina", retina), ("light", light):
        with torch.device("meta"):
            model = sk.create_model(name, "detection", head=head)
        count = sum(parameter.numel() for parameter in model.parameters())
        assert count / 1e6 == pytest.approx(expected, abs=0.01)


def test_a_new_head_tells_its_prior_of_objects():
    with torch.no_grad():
        classes, _ = sk.create_model("seaformer_tiny", "detection")(torch.zeros(1, 3, 64, 64))
    for logits in classes:
        assert logits.sigmoid().median() == pytest.approx(0.01, rel=0.5)


def test_every_stage_gives_a_map_behind_its_sea_layers():
    backbone = SeaFormerBackbone(MINI, every_stage=True).eval()
    with torch.no_grad():
        maps = backbone(torch.randn(1, 3, 64, 64))
        coarsest = SeaFormerBackbone(MINI).eval()
        coarsest.load_state_dict(backbone.state_dict())
        assert torch.equal(coarsest(x := torch.randn(1, 3, 64, 64))[-1], backbone(x)[-1])
    assert [x.shape[1] for x in maps] == list(MINI.stage_channels)
    assert [64 // x.shape[2] for x in maps] == list(MINI.stage_strides) == [8, 16, 32, 64]


@pytest.mark.parametrize("head", HEADS)
def test_every_parameter_trains(head):
    model = SeaFormerDetector(MINI, 3, head).train()
    sum(x.square().mean() for x in flat(model(torch.randn(2, 3, 160, 160)))).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(
    "options, message",
    [
        ({"task": "detection", "head": "heavy"}, "a head among retina, light, got 'heavy'"),
        ({"task": "segmentation", "head": "retina"}, "head for detection only, got 'retina' for"),
        ({"task": "detection", "upsample": True}, "upsample for segmentation only"),
        ({"task": "detection", "num_classes": 0}, "num_classes as a positive integer, got 0"),
    ],
)
def test_other_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        sk.create_model("seaformer_tiny", **options)


def test_a_classifier_fills_the_backbone():
    file = io.BytesIO()
    torch.save({f"module.{name}": x for name, x in state_dict("cls_tiny").items()}, file)
    for head in HEADS:
        file.seek(0)
        model = sk.create_model("seaformer_tiny", "detection", head=head)
        report = sk.load_checkpoint(model, file)
        assert report.loaded == len(manifest("cls_tiny")) - 2
        assert report.ignored == ("module.linear.weight", "module.linear.bias")
        assert all(name.startswith(("neck.", "head.")) for name in report.fresh)
        weight = state_dict("cls_tiny")["smb1.stem_block.0.c.weight"]
        assert torch.equal(model.backbone.smb1.stem_block[0].c.weight, weight)


def test_a_folder_brings_the_same_detector_back(tmp_path, detector):
    pytest.importorskip("safetensors")
    detector.save_pretrained(tmp_path)
    content = json.loads((tmp_path / "config.json").read_text())
    assert (content["task"], content["head"]) == ("detection", detector.head_name)
    assert "dropout" not in content
    back = sk.from_pretrained(tmp_path)
    with torch.no_grad():
        for got, expected in zip(flat(back(image())), flat(detector(image())), strict=True):
            assert torch.equal(got, expected)


# Anchors


def test_anchors_are_those_computed_by_hand():
    sizes = anchor_sizes(STRIDES)
    assert sizes.shape == (5, 9, 2) and sizes.dtype == torch.float32
    # Ratio 0.5, 1 and 2 of a side of 32 at stride 8, then a scale of 2^(1/3).
    assert sizes[0, 0].tolist() == pytest.approx([32 * 2**0.5, 32 / 2**0.5])
    assert sizes[0, 3].tolist() == [32, 32]
    assert sizes[0, 6].tolist() == pytest.approx([32 / 2**0.5, 32 * 2**0.5])
    assert sizes[4, 4].tolist() == pytest.approx([512 * 2 ** (1 / 3)] * 2)
    boxes = anchor_boxes((8, 16), [(2, 3), (1, 2)])
    assert [len(level) for level in boxes] == [54, 18]
    at = (1 * 3 + 2) * 9 + 3  # row 1, column 2
    assert boxes[0][at].tolist() == [16 - 16, 8 - 16, 16 + 16, 8 + 16]
    with pytest.raises(ValueError, match="maps of 2 levels, got 1"):
        anchor_boxes((8, 16), [(2, 3)])


def test_encoding_undoes_decoding():
    anchors = torch.cat(anchor_boxes(STRIDES, [(3, 4), (2, 2), (1, 1), (1, 1), (1, 1)])).double()
    deltas = torch.randn(len(anchors), 4, dtype=torch.float64)
    torch.testing.assert_close(encode_boxes(decode_boxes(deltas, anchors), anchors), deltas)
    wide = decode_boxes(torch.tensor([0.0, 0.0, 9.0, 0.0]), torch.tensor([0.0, 0.0, 10.0, 10.0]))
    assert wide.tolist() == pytest.approx([5 - 312.5, 0, 5 + 312.5, 10])


# Letterbox


@pytest.mark.parametrize(
    "box, scaled, size",
    [
        (Letterbox.fit((100, 200), (320, 320)), (160, 320), (320, 320)),
        (Letterbox.fit((333, 100), (64, 96)), (64, 19), (64, 96)),
        (Letterbox.fit((1, 5000), (320, 320)), (1, 320), (320, 320)),
        (Letterbox.stretch((100, 200), (320, 320)), (320, 320), (320, 320)),
        (Letterbox((480, 640), (800, 1067), (800, 1088)), (800, 1067), (800, 1088)),
    ],
)
def test_boxes_go_there_and_back(box, scaled, size):
    assert (box.scaled, box.input) == (scaled, size)
    height, width = box.image
    whole = torch.tensor([[0.0, 0.0, width, height]])
    assert box.to_input(whole).tolist() == [[0, 0, scaled[1], scaled[0]]]
    assert torch.equal(box.to_image(box.to_input(whole)), whole)
    some = torch.rand(50, 4, dtype=torch.float64) * torch.tensor([width, height] * 2)
    torch.testing.assert_close(box.to_image(box.to_input(some)), some)
    outside = torch.tensor([-5.0, -5.0, 1e6, 1e6])
    assert torch.equal(box.to_image(outside), whole[0])


def test_an_image_is_placed_at_the_top_left():
    box = Letterbox.fit((20, 40), (48, 32))
    placed = box.place(torch.full((2, 3, 20, 40), 7.0), fill=[1, 2, 3])
    assert placed.shape == (2, 3, 48, 32)
    torch.testing.assert_close(placed[:, :, :16], torch.full((2, 3, 16, 32), 7.0))
    assert torch.equal(placed[0, :, 16:].flatten(1).unique(dim=1), torch.tensor([[1.0], [2], [3]]))
    raw = box.place(torch.full((3, 20, 40), 7, dtype=torch.uint8), fill=9)
    assert raw.dtype == torch.uint8 and raw[0, 40, 0] == 9
    with pytest.raises(ValueError, match=r"an image \[\.\.\., C, 20, 40\], got \[3, 40, 20\]"):
        box.place(torch.zeros(3, 40, 20))
    with pytest.raises(ValueError, match="image as two positive integers"):
        Letterbox.fit((0, 3), (5, 5))
    with pytest.raises(ValueError, match="fits into"):
        Letterbox((5, 5), (9, 9), (8, 9))


# Predictions


class OneBox(nn.Module):
    """A head that finds one object of class 1, its box the square anchor at a cell of level 0."""

    def __init__(self, row: int, column: int):
        super().__init__()
        self.at = row, column

    def forward(self, levels: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        classes = [x.new_full((len(x), 27, *x.shape[2:]), -20) for x in levels]
        boxes = [x.new_zeros(len(x), 36, *x.shape[2:]) for x in levels]
        classes[0][:, 3 * 3 + 1, self.at[0], self.at[1]] = 4
        return classes, boxes


def test_a_box_is_found_where_it_is_in_the_image():
    model = mini()
    model.head = OneBox(5, 8)  # centre (64, 40), side 32
    (found,) = model.predict(image())
    assert len(found) == 1 and found.classes.tolist() == [1]
    assert found.boxes.tolist() == [[48, 24, 80, 56]]
    assert found.scores.tolist() == pytest.approx([torch.tensor(4.0).sigmoid().item()])
    (half,) = model.predict(torch.zeros(3, 48, 64), (96, 128))
    assert half.boxes.tolist() == [[24, 12, 40, 28]]
    (wide,) = model.predict(torch.zeros(3, 30, 64), (128, 128))  # 60 rows of it
    assert wide.boxes.tolist() == [[24, 12, 40, 28]]
    (stretched,) = model.predict(torch.zeros(3, 30, 64), (120, 128), keep_ratio=False)
    assert stretched.boxes.tolist() == [[24, 6, 40, 14]]


def test_images_of_any_sizes_and_batches(detector):
    batch = image(batch=2)
    one, two = detector.predict(batch, score_threshold=0.3, max_detections=7)
    assert 0 < len(one) <= 7 and one.scores.diff().le(0).all()
    assert one.boxes.dtype == torch.float32 and one.classes.dtype == torch.int64
    assert (one.boxes[:, 2:] >= one.boxes[:, :2]).all()
    assert one.boxes.min() >= 0 and (one.boxes.max(0).values[2:] <= torch.tensor([128, 96])).all()
    again = detector.predict([batch[0], image(40, 50)[0], batch[1]], score_threshold=0.3,
                             max_detections=7)  # fmt: skip
    for got, expected in (again[0], one), (again[2], two):
        torch.testing.assert_close(got.boxes, expected.boxes, rtol=1e-4, atol=1e-3)
        assert torch.equal(got.classes, expected.classes)


def test_predicting_leaves_the_mode_as_it_was(detector):
    detector.train()
    before = {name: x.clone() for name, x in detector.state_dict().items()}
    detector.predict(image(), top_k=40)
    assert detector.training
    assert all(torch.equal(before[name], x) for name, x in detector.state_dict().items())
    detector.eval()


@pytest.mark.parametrize(
    "images, size, error, message",
    [
        (torch.zeros(1, 3, 31, 64), None, ValueError, "at least 32x32 pixels, got 31x64"),
        (torch.zeros(1, 4, 64, 64), None, ValueError, r"\[B, 3, H, W\], got \[1, 4, 64, 64\]"),
        (torch.zeros(1, 3, 64, 64).byte(), None, TypeError, r"got dtype torch\.uint8"),
        (["photo"], None, TypeError, "got str"),
        (torch.zeros(1, 3, 64, 64), (0, 64), ValueError, "size as two positive integers"),
        (torch.zeros(1, 3, 64, 64), (64, 31), ValueError, "at least 32x32 pixels, got 64x31"),
    ],
)
def test_other_images_are_refused(detector, images, size, error, message):
    with pytest.raises(error, match=message):
        detector.predict(images, size)


# Fused


@torch.no_grad()
def test_fused_maps_are_as_near_the_truth_as_plain_ones(detector):
    fast = sk.optimize(detector)
    assert not fast.report().plain, fast.report()
    assert fast.report((96, 128)).fused_share == 1
    for x in image(), image(33, 47, batch=2):
        truth = mini(detector.head_name).double()(x.double())
        for got, plain, exact in zip(fast(x), detector(x), truth, strict=True):
            errors = [
                max((a - b).abs().max().item() for a, b in zip(maps, exact, strict=True))
                for maps in (got, plain)
            ]
            assert errors[0] <= 2 * errors[1]


def test_a_fused_head_still_shares_its_weights_over_levels():
    fast = sk.optimize(mini())
    blocks = [name for name, _ in fast.module.head.named_children()]
    assert blocks == ["class_tower", "box_tower", "class_out", "box_out"]
    assert len(fast.report().entries) == len({entry.path for entry in fast.report().entries})
    packed = [name for name, _ in fast.module.head.named_buffers()]
    assert len(packed) == 10


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@torch.no_grad()
def test_half_types(detector, dtype):
    fast = sk.optimize(detector, dtype=dtype)
    for got, expected in zip(flat(fast(image())), flat(detector(image())), strict=True):
        assert got.dtype == dtype
        largest = expected.abs().max()
        assert (got - expected).abs().max() <= 60 * torch.finfo(dtype).eps * largest


def test_raw_images_are_normalised_and_padded_with_the_mean(detector):
    mean, std = (120.0, 110.0, 100.0), (60.0, 61.0, 62.0)
    detector.facts = sk.ModelFacts(mean=mean, std=std)
    raw = torch.randint(0, 256, (1, 3, 40, 80), dtype=torch.uint8)
    normalised = (raw - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    (expected,) = detector.predict(normalised, max_detections=5, top_k=40)
    (got,) = sk.optimize(detector, mean, std).predict(raw, max_detections=5, top_k=40)
    torch.testing.assert_close(got.scores, expected.scores, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(got.boxes, expected.boxes, rtol=1e-3, atol=1e-2)
    (padded,) = detector.predict(normalised, (96, 96), max_detections=5, top_k=40)
    (got,) = sk.optimize(detector, mean, std).predict(
        raw.float(), (96, 96), max_detections=5, top_k=40
    )
    torch.testing.assert_close(got.scores, padded.scores, rtol=1e-4, atol=1e-5)
    detector.facts = None


# One head each: tracing the backbone is what takes the time, and that is the same for both.


def test_exports_with_free_sizes():
    from torch.export import Dim, export

    detector = mini("light")
    batch, height, width = Dim("b", max=8), Dim("h", min=129, max=640), Dim("w", min=129, max=640)
    program = export(
        detector, (torch.randn(2, 3, 160, 192),), dynamic_shapes=({0: batch, 2: height, 3: width},)
    )
    x = image(150, 260)
    with torch.no_grad():
        for got, expected in zip(flat(program.module()(x)), flat(detector(x)), strict=True):
            torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.compile
def test_compiles_in_one_graph():
    detector = mini("retina")
    compiled = torch.compile(sk.optimize(detector), fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        for got, expected in zip(flat(compiled(image())), flat(detector(image())), strict=True):
            torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(golden()) + "\n")
