"""Drawing boxes with their labels."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from seaformer_kernels.data.datasets import Color
from seaformer_kernels.models import Detections


def draw_boxes(
    image: Image.Image,
    found: Detections,
    names: Sequence[str] | None,
    colors: Sequence[Color],
    least_score: float = 0.0,
) -> None:
    """Draws boxes into an RGB image, each with its class and score, the surest on top.

    Args:
        image: is changed.
        found: boxes in its pixels.
        names: of the classes; None for their numbers.
        colors: of the classes; past the last they start again.
        least_score: objects of lower scores are left out.
    """
    thick, letters = max(1, min(image.size) // 200), max(10, min(image.size) // 40)
    font, draw = ImageFont.load_default(letters), ImageDraw.Draw(image)
    rows = zip(found.boxes.tolist(), found.scores.tolist(), found.classes.tolist(), strict=True)
    for (left, top, right, bottom), score, label in reversed(list(rows)):
        if score < least_score:
            continue
        color = colors[label % len(colors)]
        left, right = (min(max(round(x), 0), image.width - 1) for x in (left, right))
        top, bottom = (min(max(round(y), 0), image.height - 1) for y in (top, bottom))
        draw.rectangle((left, top, right, bottom), outline=color, width=thick)
        text = f"{names[label] if names else label} {score:.0%}"
        text = text.encode("latin-1", "replace").decode("latin-1")  # as every font of Pillow has it
        width, height = int(draw.textlength(text, font)) + 4, letters + 4
        # Above the box, or inside of it where there is no room.
        y = top - height if top >= height else top
        x = max(0, min(left, image.width - width))
        draw.rectangle((x, y, x + width, y + height), fill=color)
        dark = sum(weight * c for weight, c in zip((299, 587, 114), color, strict=True)) < 128_000
        draw.text((x + 2, y + 1), text, "white" if dark else "black", font)
