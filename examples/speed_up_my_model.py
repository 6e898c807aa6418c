"""Times a model before and after optimize, and says what was fused.

    python examples/speed_up_my_model.py --timm mobilenetv3_large_100 --size 224
    python examples/speed_up_my_model.py

The first takes a model of timm, where that is installed; the second a small MobileNet of its own.
"""

import argparse
import statistics
import time

import torch
from torch import Tensor, nn

import seaformer_kernels as sk


class Block(nn.Module):
    """An inverted residual as MobileNetV2 has it, in anybody's words."""

    def __init__(self, width: int, expansion: int = 6):
        super().__init__()
        hidden = width * expansion
        self.layers = nn.Sequential(
            nn.Conv2d(width, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU6(inplace=True),
            nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU6(inplace=True),
            nn.Conv2d(hidden, width, 1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def small_mobilenet() -> nn.Module:
    """Five blocks between a stem and a classifier."""
    stem = nn.Sequential(nn.Conv2d(3, 24, 3, stride=2, padding=1), nn.ReLU6())
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 10))
    return nn.Sequential(stem, *(Block(24) for _ in range(5)), head)


def milliseconds(model: nn.Module, x: Tensor, calls: int) -> float:
    """The median of some calls, after one that does not count."""
    model(x)
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        model(x)
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--timm", metavar="NAME", help="a model of timm")
    parser.add_argument("--size", type=int, default=224, help="side of the image")
    parser.add_argument("--calls", type=int, default=20)
    options = parser.parse_args()
    if options.timm is None:
        model = small_mobilenet()
    else:
        import timm

        model = timm.create_model(options.timm)
    model.eval()
    image = torch.randn(1, 3, options.size, options.size)
    fast = sk.optimize(model, example_inputs=(image,))
    print(fast.report((options.size, options.size)))
    with torch.inference_mode():
        for name, contender in ("plain", model), ("optimised", fast):
            print(f"{name}: {milliseconds(contender, image, options.calls):.2f} ms")


if __name__ == "__main__":
    main()
