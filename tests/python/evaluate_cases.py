"""What tests of evaluation work on: a small model, and data that lies in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from test_optimize import MINI, trained
from torch import Tensor, nn

from seaformer_kernels.data import Dataset
from seaformer_kernels.models import SeaFormerSegmenter

FACTS = Dataset(
    "made up",
    ("sky", "sea", "sand", "ship", "shell"),
    ((0, 0, 255), (0, 90, 90), (240, 220, 100), (90, 90, 90), (255, 0, 255)),
    mean=(120.0, 110.0, 100.0),
    std=(60.0, 55.0, 50.0),
)
SIZES = ((64, 64), (45, 80), (72, 40), (64, 64), (51, 33))


@torch.no_grad()
def segmenter() -> SeaFormerSegmenter:
    """A small model that finds each of its classes in pictures."""
    model = trained(SeaFormerSegmenter(MINI, len(FACTS.classes)))
    classifier = model.decode_head.conv_seg
    classifier.weight.mul_(100)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (FACTS.mean, FACTS.std))
    classifier.bias.sub_(model((picture()[None] - mean) / std).mean((0, 2, 3)))
    return model


def picture(height: int = 64, width: int = 64, seed: int = 0) -> Tensor:
    """Smooth colours, uint8 [3, H, W]."""
    generator = torch.Generator().manual_seed(seed)
    small = torch.rand(1, 3, 5, 6, generator=generator)
    large = nn.functional.interpolate(small, (height, width), mode="bicubic")
    return (large[0] * 255).clamp(0, 255).byte()


@dataclass(frozen=True)
class Sample:
    name: str


@dataclass
class MemoryData:
    """Images and masks; reading one of `broken` fails, and of `stop` stops the run."""

    sizes: Sequence[tuple[int, int]] = SIZES
    facts: Dataset = FACTS
    broken: str = ""
    stop: str = ""
    read: list[str] = field(default_factory=list)

    @property
    def samples(self) -> list[Sample]:
        return [Sample(f"beach/{i}") for i in range(len(self.sizes))]

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        name = self.samples[index].name
        self.read.append(name)
        if name == self.stop:
            raise KeyboardInterrupt
        if name == self.broken:
            raise ValueError("Expected a mask of 64x64, got 3x3.")
        image = picture(*self.sizes[index], seed=index)
        mask = (picture(*self.sizes[index], seed=index + 50)[0] // 45).clamp(max=4)
        mask[:3] = 255
        return image, mask
