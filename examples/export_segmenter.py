"""Exports a segmentation model that takes raw RGB images and gives labels.

    python examples/export_segmenter.py --model seaformer_base --weights base.pth --out exported

writes two files that take uint8 images [B, H, W, 3] of any batch and any H and W from 65 up:
segmenter.pt2 by torch.export, and segmenter_aoti.pt2 compiled by AOTInductor for this kind of
processor, which needs no Python to run. examples/label_image.py and examples/aoti_cpp run them.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn

import seaformer_kernels as sk

MEAN, STD = sk.data.IMAGENET_MEAN, sk.data.IMAGENET_STD


class Labeller(nn.Module):
    """Labels [B, H, W] of uint8 RGB images [B, H, W, 3]."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = sk.optimize(model, mean=MEAN, std=STD)

    def forward(self, images: Tensor) -> Tensor:
        return self.model.predict(images.permute(0, 3, 1, 2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=sk.list_models(), default="seaformer_base")
    parser.add_argument("--weights", help="checkpoint; without one, weights are random")
    parser.add_argument("--num-classes", type=int, default=150)
    parser.add_argument("--out", type=Path, default=Path("exported"))
    args = parser.parse_args()

    torch.manual_seed(0)
    model = sk.create_model(args.model, num_classes=args.num_classes)
    if args.weights:
        print(sk.load_checkpoint(model, args.weights))

    # Sizes of the example stand for any in these ranges, 2 images also for 1.
    example = torch.zeros(2, 128, 160, 3, dtype=torch.uint8)
    dim = torch.export.Dim
    sizes = {0: dim("batch"), 1: dim("height", min=65), 2: dim("width", min=65)}
    program = torch.export.export(Labeller(model), (example,), dynamic_shapes={"images": sizes})

    args.out.mkdir(parents=True, exist_ok=True)
    torch.export.save(program, args.out / "segmenter.pt2")
    package = args.out / "segmenter_aoti.pt2"
    torch._inductor.aoti_compile_and_package(program, package_path=str(package))


if __name__ == "__main__":
    main()
