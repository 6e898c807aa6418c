"""Makes the picture at the head of the README: photograph, overlay, and a chart of times.

    python docs/make_front_picture.py PHOTO OVERLAY bench-output/bench.json

OVERLAY is what `seaformer segment PHOTO` or `seaformer demo PHOTO` writes as NAME_overlay.png. The
chart shows one model's times to labels at the size of most cases, on the fewest threads.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from PIL import Image, ImageOps

from seaformer_kernels.bench.tables import WHOLE_GRAPH, model_name, number, size_of, usual

OURS, OTHERS = "#1f77b4", "#b8b8b8"
NAMES = {
    "compiled_frozen": "torch.compile",
    "eager": "eager PyTorch",
    "eager_channels_last": "eager, channels_last",
    "executorch": "ExecuTorch",
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO",
}


def times(record: dict, model: str) -> tuple[str, dict[str, float]]:
    """What the chart is of, and the milliseconds of ours and of each peer, the fastest first."""
    cases = [c for c in usual(record["cases"], "labels") if model_name(c) == model]
    if not cases:
        raise SystemExit(f"make_front_picture.py: the record has no times of {model} to labels")
    case = cases[0]
    isa = case["split"]["isa"]
    ours = {f"{isa} {WHOLE_GRAPH}": f"{WHOLE_GRAPH} (ours)", isa: "op by op (ours)"}
    found = {
        ours.get(i["name"]) or NAMES.get(i["name"], i["name"]): 1e3 * i["median_s"]
        for i in case["implementations"]
        if not i["ours"] or i["name"] in ours
    }
    title = f"{model.capitalize()}, {size_of(case)}: ms to labels"
    return title, dict(sorted(found.items(), key=lambda item: item[1]))


def draw_times(axes: Axes, title: str, found: dict[str, float]) -> None:
    for place, (name, milliseconds) in enumerate(found.items()):
        axes.barh(place, milliseconds, color=OURS if "ours" in name else OTHERS)
        axes.text(milliseconds, place, f" {number(milliseconds)}", va="center", fontsize=13)
    axes.set_yticks(range(len(found)), found, fontsize=13)
    axes.invert_yaxis()
    axes.margins(x=0.14)
    axes.set_xticks([])
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(left=False)
    axes.set_title(title, fontsize=13, loc="left")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photo", type=Path)
    parser.add_argument("overlay", type=Path)
    parser.add_argument("record", type=Path, help="bench.json of `seaformer bench`")
    parser.add_argument("--model", default="base", help="of the chart (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "images" / "front.png")
    chosen = parser.parse_args()

    figure, (left, middle, right) = plt.subplots(
        1, 3, figsize=(12, 3.8), layout="constrained", width_ratios=(1, 1, 1.25), facecolor="white"
    )
    photo = ImageOps.exif_transpose(Image.open(chosen.photo)).convert("RGB")
    overlay = Image.open(chosen.overlay).convert("RGB")
    side = min(photo.size)  # squares from the middle, whatever the photograph's shape
    for axes, image, title in ((left, photo, "photograph"), (middle, overlay, "its labels")):
        axes.imshow(ImageOps.fit(image, (side, side)).resize((512, 512)))
        axes.set_title(title, fontsize=13, loc="left")
        axes.set_axis_off()
    draw_times(right, *times(json.loads(chosen.record.read_text()), chosen.model))
    figure.savefig(chosen.out, dpi=120, pil_kwargs={"optimize": True})


if __name__ == "__main__":
    main()
