"""Labels an image with a file that examples/export_segmenter.py wrote.

    python examples/label_image.py exported/segmenter.pt2 photo.jpg
    python examples/label_image.py exported/segmenter_aoti.pt2 photo.jpg --aoti

With --library the ops come from libseaformer_ops.so alone, and the package need not be installed.
"""

import argparse

import numpy as np
import torch
from PIL import Image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file")
    parser.add_argument("image")
    parser.add_argument("--aoti", action="store_true", help="file is compiled by AOTInductor")
    parser.add_argument("--library", help="path of libseaformer_ops.so")
    args = parser.parse_args()

    # Ops first: a file names those it calls.
    if args.library:
        torch.ops.load_library(args.library)
    else:
        import seaformer_kernels  # noqa: F401
    if args.aoti:
        labeller = torch._inductor.aoti_load_package(args.file)
    else:
        labeller = torch.export.load(args.file).module()

    image = torch.from_numpy(np.array(Image.open(args.image).convert("RGB")))
    labels = labeller(image[None])[0]
    print_summary(labels)


def print_summary(labels: torch.Tensor) -> None:
    """The same line as examples/aoti_cpp prints."""
    height, width = labels.shape
    flat = labels.flatten().long()
    checksum = int((flat * (torch.arange(len(flat)) % 65521 + 1)).sum())
    mostly = int(flat.bincount().argmax())
    print(f"labels {height}x{width}, mostly {mostly}, checksum {checksum}")


if __name__ == "__main__":
    main()
