"""Decoding and non-maximum suppression against plain PyTorch, on every instruction set."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from isas import ISAS, force

import seaformer_kernels as sk
from seaformer_kernels.reference import detections as plain

NMS = torch.ops.seaformer.batched_nms.default
DECODE = torch.ops.seaformer.decode_detections.default
STRIDES = [8, 16, 32]
LEVELS = [(13, 12), (7, 6), (4, 3)]


def boxes_of(count, seed=0, classes=3):
    """Boxes that overlap a lot, scores with ties, classes far apart."""
    random = torch.Generator().manual_seed(seed)
    corner = 100 * torch.rand(count, 2, generator=random)
    extent = 5 + 40 * torch.rand(count, 2, generator=random)
    scores = torch.randint(0, 64, (count,), generator=random) / 64
    labels = torch.randint(0, classes, (count,), generator=random) * 10**12 - 7
    return torch.cat((corner, corner + extent), 1), scores, labels


def maps_of(classes=5, anchors=9, batch=2, dtype=torch.float32, seed=0, levels=LEVELS):
    """Maps of a detector with many equal logits; sizes of anchors."""
    random = torch.Generator().manual_seed(seed)

    def some(channels, scale):
        return [
            (torch.randn(batch, channels, *size, generator=random) * 8)
            .round()
            .mul(scale / 8)
            .to(dtype)
            .to(memory_format=torch.channels_last)
            for size in levels
        ]

    sizes = 10 + 40 * torch.rand(len(levels), anchors, 2, generator=random)
    return some(anchors * classes, 2.0), some(anchors * 4, 0.5), sizes


def assert_same(got, wanted):
    for name, a, b in zip(("boxes", "scores", "classes", "counts"), got, wanted, strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        assert torch.equal(a.nan_to_num(-1), b.nan_to_num(-1)), name


class TestBatchedNms:
    @pytest.mark.parametrize("count", [0, 1, 2, 17, 300])
    @pytest.mark.parametrize("threshold", [0, 0.3, 0.5, 1])
    def test_against_plain(self, isa, count, threshold):
        given_ = boxes_of(count)
        kept = sk.ops.batched_nms(*given_, threshold)
        assert kept.dtype == torch.int64
        assert torch.equal(kept, plain.batched_nms(*given_, threshold))

    def test_what_is_no_number(self, isa):
        boxes, scores, classes = boxes_of(200)
        scores[::9] = torch.tensor([math.nan, math.inf, -math.inf, -0.0, 0.0]).repeat(5)[:23]
        boxes[::13, 2] = math.nan
        boxes[5::13, 1] = -math.inf
        kept = sk.ops.batched_nms(boxes, scores, classes, 0.4)
        assert torch.equal(kept, plain.batched_nms(boxes, scores, classes, 0.4))
        assert scores[kept[0]].isnan()

    def test_a_threshold_is_exceeded_not_reached(self):
        boxes = torch.tensor([[0.0, 0, 2, 1], [1, 0, 3, 1], [0, 0, 1, 1]])  # overlaps 1/3 and 1/2
        scores, classes = torch.tensor([3.0, 2, 1]), torch.zeros(3, dtype=torch.int64)
        assert sk.ops.batched_nms(boxes, scores, classes, 0.5).tolist() == [0, 1, 2]
        assert sk.ops.batched_nms(boxes, scores, classes, 0.49).tolist() == [0, 1]
        assert sk.ops.batched_nms(boxes, scores, classes, 0.3).tolist() == [0]
        assert sk.ops.batched_nms(boxes, scores, torch.arange(3), 0.0).tolist() == [0, 1, 2]

    def test_many_boxes_on_threads(self):
        given_ = boxes_of(4_500, classes=400)
        assert torch.equal(sk.ops.batched_nms(*given_, 0.5), plain.batched_nms(*given_, 0.5))

    def test_any_strides(self):
        boxes, scores, classes = boxes_of(50)
        kept = sk.ops.batched_nms(boxes.T.contiguous().T, scores, classes, 0.5)
        assert torch.equal(kept, plain.batched_nms(boxes, scores, classes, 0.5))

    @pytest.mark.parametrize(
        ("change", "error", "message"),
        [
            ({"boxes": torch.zeros(3, 5)}, ValueError, r"boxes of shape \[count, 4\], got \[3, 5"),
            ({"scores": torch.zeros(2)}, ValueError, r"shape \[3\], got \[2\] and \[3\]"),
            ({"classes": torch.zeros(3)}, TypeError, "classes of torch.int64, got torch.float32"),
            ({"boxes": torch.zeros(3, 4).double()}, TypeError, "boxes of torch.float32, got"),
            ({"iou_threshold": 1.5}, ValueError, "iou_threshold from 0 to 1, got 1.5"),
            ({"iou_threshold": math.nan}, ValueError, "iou_threshold from 0 to 1, got nan"),
            ({"iou_threshold": "0.5"}, TypeError, "iou_threshold as a number, got str"),
            ({"scores": [1, 2, 3]}, TypeError, "expected scores as a tensor, got list"),
        ],
    )
    def test_bad_arguments(self, change, error, message):
        arguments = dict(zip(("boxes", "scores", "classes"), boxes_of(3), strict=True))
        with pytest.raises(error, match=message):
            sk.ops.batched_nms(**{**arguments, "iou_threshold": 0.5, **change})

    def test_opcheck(self):
        torch.library.opcheck(NMS, (*boxes_of(40), 0.5))

    def test_compiles(self):
        def best(boxes, scores, classes):
            return boxes[sk.ops.batched_nms(boxes, scores, classes, 0.5)] + 1

        given_ = boxes_of(40)
        compiled = torch.compile(best, fullgraph=True, backend="aot_eager", dynamic=True)
        assert torch.equal(compiled(*given_), best(*given_))


class TestDecodeDetections:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"top_k": 7, "max_detections": 5},
            {"score_threshold": 0.9, "iou_threshold": 0.1},
            {"score_threshold": 1, "max_detections": 3},
            {"score_threshold": 0, "iou_threshold": 1, "top_k": 10**9, "max_detections": 150},
        ],
    )
    def test_against_plain(self, isa, dtype, options):
        class_maps, box_maps, anchors = maps_of(dtype=dtype)
        call = (class_maps, box_maps, anchors, STRIDES, 100, 90)
        assert_same(
            sk.ops.decode_detections(*call, **options), plain.decode_detections(*call, **options)
        )

    @pytest.mark.parametrize("classes", [1, 80])
    def test_what_is_no_number(self, isa, classes):
        class_maps, box_maps, anchors = maps_of(classes)
        for maps in (class_maps, box_maps):
            for i, value in enumerate((math.nan, math.inf, -math.inf, 1e30)):
                maps[0].permute(0, 2, 3, 1).flatten()[i::40] = value
        call = (class_maps, box_maps, anchors, STRIDES, 100, 90)
        assert_same(sk.ops.decode_detections(*call), plain.decode_detections(*call))

    @settings(max_examples=30, deadline=None)
    @given(
        st.integers(0, 3), st.integers(1, 30), st.integers(1, 4), st.integers(1, 20),
        st.integers(1, 20), st.floats(0, 1), st.floats(0, 1), st.integers(1, 40),
        st.integers(1, 30), st.integers(0, 99),
    )  # fmt: skip
    def test_any_numbers(self, batch, classes, anchors, h, w, score, iou, top_k, most, seed):
        levels = [(h, w), ((h + 1) // 2, (w + 1) // 2)]
        class_maps, box_maps, sizes = maps_of(classes, anchors, batch, seed=seed, levels=levels)
        call = (class_maps, box_maps, sizes, [8, 16], 8 * h, 8 * w, score, top_k, iou, most)
        wanted = plain.decode_detections(*call)
        for name in ISAS:
            with force(name):
                assert_same(sk.ops.decode_detections(*call), wanted)

    def test_any_strides(self):
        class_maps, box_maps, anchors = maps_of()
        call = (anchors.transpose(0, 1).contiguous().transpose(0, 1), STRIDES, 100, 90)
        contiguous = [[x.contiguous() for x in maps] for maps in (class_maps, box_maps)]
        wider = [[torch.cat((x, x), 3)[..., : x.shape[3]] for x in class_maps], box_maps]
        wanted = plain.decode_detections(class_maps, box_maps, *call)
        assert_same(sk.ops.decode_detections(*contiguous, *call), wanted)
        assert_same(sk.ops.decode_detections(*wider, *call), wanted)

    def test_by_hand(self):
        logits = torch.full((1, 2, 1, 2), -9.0)
        logits[0, 1, 0, 1] = 0.0  # class 1 in the second cell
        deltas = torch.zeros(1, 4, 1, 2)
        deltas[0, :, 0, 1] = torch.tensor([0.5, -0.25, math.log(2), 9.0])
        boxes, scores, classes, counts = sk.ops.decode_detections(
            [logits], [deltas], torch.tensor([[[4.0, 8.0]]]), [16], 32, 40
        )
        assert counts.tolist() == [1]
        assert scores[0, 0].item() == 0.5
        assert classes[0, 0].item() == 1
        # Centre (16 + 2, 0 - 2), 8 wide, 500 high, clipped.
        torch.testing.assert_close(boxes[0, 0], torch.tensor([14.0, 0, 22, 32]))
        assert not boxes[0, 1:].any()

    @pytest.mark.parametrize(
        ("change", "error", "message"),
        [
            ({"class_maps": []}, ValueError, "as many levels, at least one, got 0, 1 and 1"),
            ({"strides": [8, 16]}, ValueError, "at least one, got 1, 1 and 2"),
            ({"strides": [0]}, ValueError, "expected strides to be positive, got 0"),
            ({"strides": [8.0]}, TypeError, "strides as a list of integers, got one of float"),
            ({"anchors": torch.ones(1, 3, 3)}, ValueError, r"\[1, anchors, 2\], got \[1, 3, 3\]"),
            ({"anchors": torch.ones(1, 3, 2).double()}, ValueError, "expected float32 anchors"),
            ({"anchors": torch.ones(1, 2, 2)}, ValueError, "with 8 channels for 2 anchors"),
            ({"class_maps": [torch.ones(1, 7, 4, 5)]}, ValueError, "a multiple of 3 and with 12"),
            (
                {"class_maps": [torch.ones(1, 6, 4, 4)]},
                ValueError,
                "of one batch, height and width",
            ),
            (
                {"class_maps": [torch.ones(2, 6, 4, 5)]},
                ValueError,
                "of one batch, height and width",
            ),
            ({"class_maps": [torch.ones(6, 4, 5)]}, ValueError, r"got \[6, 4, 5\]"),
            (
                {"class_maps": [torch.ones(1, 6, 4, 5).half()]},
                ValueError,
                "of one floating-point dtype",
            ),
            ({"class_maps": [torch.ones(1, 6, 4, 5).double()]}, TypeError, "got torch.float64"),
            ({"class_maps": torch.ones(1, 6, 4, 5)}, TypeError, "a list of tensors, got Tensor"),
            ({"height": 0}, ValueError, "expected height to be positive, got 0"),
            ({"width": 5.0}, TypeError, "expected width as an integer, got float"),
            ({"top_k": 0}, ValueError, "expected top_k to be positive, got 0"),
            ({"max_detections": -1}, ValueError, "expected max_detections to be positive, got -1"),
            ({"score_threshold": -0.1}, ValueError, "score_threshold from 0 to 1, got -0.1"),
            ({"iou_threshold": None}, TypeError, "iou_threshold as a number, got NoneType"),
        ],
    )
    def test_bad_arguments(self, change, error, message):
        arguments = {
            "class_maps": [torch.ones(1, 6, 4, 5)],
            "box_maps": [torch.ones(1, 12, 4, 5)],
            "anchors": torch.ones(1, 3, 2),
            "strides": [8],
            "height": 32,
            "width": 40,
        }
        sk.ops.decode_detections(**arguments)
        with pytest.raises(error, match=message):
            sk.ops.decode_detections(**{**arguments, **change})

    def test_gradients_are_refused(self):
        class_maps, box_maps, anchors = maps_of()
        with pytest.raises(RuntimeError, match="expected inputs that require no gradient"):
            sk.ops.decode_detections(
                [x.requires_grad_() for x in class_maps], box_maps, anchors, STRIDES, 100, 90
            )

    def test_opcheck(self):
        torch.library.opcheck(DECODE, (*maps_of(), STRIDES, 100, 90, 0.1, 50, 0.5, 20))

    def test_exports_with_dynamic_sizes(self):
        class Decoder(torch.nn.Module):
            def forward(self, class_map, box_map, anchors):
                height, width = (8 * side for side in class_map.shape[2:])
                return sk.ops.decode_detections([class_map], [box_map], anchors, [8], height, width)

        def given_(batch, size):
            (logits,), (deltas,), anchors = maps_of(batch=batch, levels=[size])
            return logits, deltas, anchors

        axes = {0: torch.export.Dim("B"), 2: torch.export.Dim("H"), 3: torch.export.Dim("W")}
        exported = torch.export.export(
            Decoder(), given_(2, (5, 6)), dynamic_shapes=(axes, axes, None)
        )
        for batch, size in ((2, (5, 6)), (3, (9, 4))):
            assert_same(exported.module()(*given_(batch, size)), Decoder()(*given_(batch, size)))
