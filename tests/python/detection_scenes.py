"""Rendered scenes with boxes, in memory and in COCO's format on disk."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

from seaformer_kernels.data.detection import DetectionData
from seaformer_kernels.data.objects import Objects
from seaformer_kernels.data.reading import Sample

CLASSES = ("disc", "square")
CATEGORIES = (7, 30)
SIDE = 96


def draw_scene(seed: int, side: int = SIDE):
    """A disc and a square of any colours on a grey ground: image, boxes, classes."""
    draws = random.Random(seed)
    image = Image.new("RGB", (side, side), (128, 128, 128))
    pen, boxes = ImageDraw.Draw(image), []
    for label in range(len(CLASSES)):
        size = draws.randint(side // 3, side // 2 - 2)
        x, y = label * side // 2 + draws.randint(0, 1), draws.randint(0, side - size - 1)
        shape = pen.ellipse if label == 0 else pen.rectangle
        shape((x, y, x + size, y + size), fill=(draws.choice((0, 255)), 40 * label, 250))
        boxes.append((x, y, x + size + 1, y + size + 1))
    return image, boxes, list(range(len(CLASSES)))


class Scenes(DetectionData):
    """Scenes that lie in memory."""

    def __init__(self, count: int, seed: int = 0):
        scenes = [draw_scene(1000 * seed + i) for i in range(count)]
        self.images = [np.array(image) for image, _, _ in scenes]
        samples = [Sample(Path(f"scene_{i}.png"), name=f"scene_{i}") for i in range(count)]
        objects = [objects_of(boxes, labels, i + 1) for i, (_, boxes, labels) in enumerate(scenes)]
        super().__init__(CLASSES, CATEGORIES, samples, [(SIDE, SIDE)] * count, objects)

    def __getitem__(self, index: int):
        return torch.from_numpy(self.images[index]).permute(2, 0, 1), self.objects[index]


def objects_of(boxes, labels, image: int = 0, crowd=None) -> Objects:
    """Objects of lists."""
    found = torch.tensor(boxes, dtype=torch.float32).view(-1, 4)
    flags = torch.zeros(len(found), dtype=torch.bool) if crowd is None else torch.tensor(crowd)
    areas = (found[:, 2:] - found[:, :2]).prod(1)
    return Objects(found, torch.tensor(labels, dtype=torch.int64), flags, areas, image)


def annotations(count: int = 2, seed: int = 0) -> dict[str, Any]:
    """What a file of so many scenes holds."""
    content: dict[str, Any] = {
        "images": [],
        "annotations": [],
        "categories": [
            {"id": key, "name": name} for key, name in zip(CATEGORIES, CLASSES, strict=True)
        ],
    }
    for i in range(count):
        _, boxes, labels = draw_scene(1000 * seed + i)
        content["images"].append(
            {"id": i + 1, "file_name": f"{i + 1:04}.png", "width": SIDE, "height": SIDE}
        )
        for (left, top, right, bottom), label in zip(boxes, labels, strict=True):
            box = [left, top, right - left, bottom - top]
            content["annotations"].append(
                {
                    "id": len(content["annotations"]) + 1,
                    "image_id": i + 1,
                    "category_id": CATEGORIES[label],
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                }
            )
    return content


def write_scenes(root: Path, **counts: int) -> Path:
    """A folder with so many scenes of each split."""
    for number, (split, count) in enumerate(counts.items()):
        (root / "images" / split).mkdir(parents=True, exist_ok=True)
        (root / "annotations").mkdir(exist_ok=True)
        for i in range(count):
            draw_scene(1000 * number + i)[0].save(root / "images" / split / f"{i + 1:04}.png")
        text = json.dumps(annotations(count, number))
        (root / "annotations" / f"{split}.json").write_text(text)
    return root
