"""Average precision: by hand, of perfect detectors, through states and engines."""

from __future__ import annotations

import json
import math

import pytest
import torch

pytest.importorskip("PIL")
pytest.importorskip("faster_coco_eval")

from detection_scenes import CLASSES, Scenes, objects_of

from seaformer_kernels.evaluate import DetectionMetrics, InputSize, evaluate_detection
from seaformer_kernels.evaluate.average_precision import hits
from seaformer_kernels.evaluate.boxes import draw_boxes
from seaformer_kernels.evaluate.detection import CallableEngine, Detection
from seaformer_kernels.evaluate.pictures import draw_detections
from seaformer_kernels.evaluate.run import run
from seaformer_kernels.evaluate.state import StateFile
from seaformer_kernels.models import Detections


def detections(boxes, scores, labels):
    return Detections(
        torch.tensor(boxes, dtype=torch.float32).view(-1, 4),
        torch.tensor(scores, dtype=torch.float32),
        torch.tensor(labels, dtype=torch.int64),
    )


def knowing(data, shift=0.0, keep=1.0):
    """What finds the objects that there are, at whatever size it sees an image."""

    def find(x):
        known = {data[i][0].float().mean().item(): data.objects[i] for i in range(len(data))}
        _, objects = min(known.items(), key=lambda pair: abs(pair[0] - x.float().mean().item()))
        scale = torch.tensor([x.shape[3], x.shape[2]] * 2) / 96
        count = math.ceil(keep * len(objects.boxes))
        boxes = (objects.boxes + shift)[:count] * scale
        return [Detections(boxes, torch.linspace(0.9, 0.5, count), objects.classes[:count])]

    return find


def test_a_perfect_detector_gets_1():
    data = Scenes(4)
    found = evaluate_detection(knowing(data), data, progress=False)
    assert (found.ap, found.ap50, found.ap75, found.class_ap) == (1, 1, 1, (1, 1))
    assert [found.name(i) for i in range(2)] == list(CLASSES)
    assert math.isnan(found.ap_large)
    scaled = evaluate_detection(
        knowing(data), data, input_size=InputSize((192, 240)), progress=False
    )
    assert scaled.ap == 1


def test_one_that_finds_nothing_gets_0():
    data = Scenes(3)
    found = evaluate_detection(lambda x: [detections([], [], [])], data, progress=False)
    assert (found.ap, found.ap50) == (0, 0)


def test_a_known_example():
    # Two of one class: the surest is right with IoU 0.8, then one that is wrong, then the second.
    metrics = DetectionMetrics(2)
    truth = objects_of([(0, 0, 10, 10), (50, 50, 60, 60)], [0, 0], image=3)
    found = detections(
        [(0, 0, 10, 8), (20, 20, 30, 30), (50, 50, 60, 60)], [0.9, 0.8, 0.7], [0] * 3
    )
    metrics.update(found, truth)
    result = metrics.compute()
    # 101 recalls: precision 1 up to 0.5, then 2/3; at IoUs above 0.8 the first is wrong, too.
    low = (51 + 50 * 2 / 3) / 101
    high = 51 / 3 / 101
    assert result.ap50 == pytest.approx(low)
    assert result.ap == pytest.approx((7 * low + 3 * high) / 10)
    assert math.isnan(result.class_ap[1])
    assert result.ap_small == pytest.approx(result.ap)


def test_what_is_found_in_a_crowd_counts_for_nothing():
    truth = objects_of([(0, 0, 50, 50), (60, 60, 90, 90)], [0, 0], crowd=[True, False])
    metrics = DetectionMetrics(1)
    metrics.update(detections([(5, 5, 15, 15), (60, 60, 90, 90)], [0.9, 0.5], [0, 0]), truth)
    assert metrics.compute().ap == 1
    metrics.reset()
    assert math.isnan(metrics.compute().ap)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (([(0, 0, 1, 1)], [0.5], [2]), "found classes from 0 to 1, got 2"),
        (([(0, 0, 1, 1)], [0.5], [-1]), "found classes from 0 to 1, got -1"),
        (([(0, 0, 1, math.nan)], [0.5], [0]), "finite numbers"),
        (([(0, 0, 1, 1)], [math.inf], [0]), "finite numbers"),
    ],
)
def test_what_is_no_detection(found, message):
    with pytest.raises(ValueError, match=message):
        DetectionMetrics(2).update(detections(*found), objects_of([], []))


def test_score_of_an_image():
    metrics = DetectionMetrics(2)
    truth = objects_of([(0, 0, 10, 10), (20, 20, 40, 40)], [0, 1])
    found = detections(
        [(0, 0, 10, 10), (0, 0, 10, 9), (20, 20, 40, 40)], [0.9, 0.8, 0.1], [0, 0, 1]
    )
    assert hits(metrics.count(found, truth)) == pytest.approx(2 * 1 / (2 + 2))
    nothing = metrics.count(detections([], [], []), objects_of([], []))
    assert math.isnan(hits(nothing))


def test_engines_beside_each_other_and_a_state(tmp_path):
    data = Scenes(4)
    engines = [
        CallableEngine("all", knowing(data)),
        CallableEngine("near", knowing(data, shift=0.3)),
        CallableEngine("half", knowing(data, keep=0.5)),
    ]
    task = Detection(CLASSES, InputSize(), data.mean)
    whole = run(task, engines, data)
    assert whole.compared == 8
    assert whole.differing == {"all": 0, "near": 0, "half": 4}
    assert whole.scores == dict.fromkeys(whole.scores, 1.0)
    assert whole.results["half"].ap50 == 0.5
    file = tmp_path / "state.json"
    first = Scenes(4)
    first.samples, first.objects = first.samples[:2], first.objects[:2]
    run(task, engines, first, StateFile(file, {"of": 1}))
    assert len(json.loads(file.read_text())["counts"]["all"]) == 8
    seen = []

    def track(indices):
        seen.extend(indices)
        return indices

    resumed = run(task, engines, data, StateFile(file, {"of": 1}), track)
    assert seen == [2, 3]
    assert repr(resumed) == repr(whole)  # NaN is not NaN


def test_a_small_image_is_padded():
    seen = []

    def find(x):
        seen.append(x)
        return [detections([(0, 0, 500, 500)], [0.5], [0])]

    found = Detection(("a",), InputSize(), (10, 20.4, 30)).predict(
        CallableEngine("x", find), torch.full((3, 8, 40), 7, dtype=torch.uint8)
    )
    assert seen[0].shape == (1, 3, 32, 40)
    assert seen[0][0, :, 20, 0].tolist() == [10, 20, 30]
    assert found.boxes.tolist() == [[0, 0, 40, 8]]


def test_pictures():
    data = Scenes(2)
    task = Detection(CLASSES, InputSize(), data.mean)
    engine = CallableEngine("all", knowing(data))
    names = [sample.name for sample in data.samples]
    sheet = draw_detections(task, engine, data, names)
    assert sheet.width > 2 * 96
    image = sheet.crop((0, 0, 40, 30))
    before = image.tobytes()
    # Beyond the edges, of no area, of a class past the colours, with a name no font has.
    odd = detections([(-50, -50, 500, 500), (5, 5, 5, 5)], [0.9, 0.2], [1, 0])
    draw_boxes(image, odd, ["\u6f22", "x" * 100], [(255, 255, 0)], least_score=0.5)
    assert image.tobytes() != before
