"""Pictures of labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from seaformer_kernels.cli.classes import Classes, Share

_MOST_ROWS = 12


def colour(labels: np.ndarray, colours: np.ndarray) -> tuple[Image.Image, Image.Image]:
    """Labels [H, W] as an image whose pixel values they are, and as an RGB image.

    The first is a palette image, or 16-bit greyscale for labels of more than 8 bits.
    """
    if labels.dtype != np.uint8:
        return Image.fromarray(labels.astype(np.uint16)), Image.fromarray(colours[labels])
    indexed = Image.fromarray(labels)
    indexed.putpalette(colours.tobytes())
    return indexed, indexed.convert("RGB")


def draw_legend(image: Image.Image, classes: Classes, shares: Sequence[Share]) -> None:
    """Draws colours and names of the largest classes into the lower left corner.

    It covers half of the height at most; nothing is drawn where not even one class fits.
    """
    size = max(11, min(image.size) // 36)
    font = ImageFont.load_default(size)
    row, gap = size * 3 // 2, size // 2
    fitting = min(_MOST_ROWS, (image.height // 2 - 2 * gap) // row)
    if fitting < 1:
        return
    shown = shares[: fitting - 1] if len(shares) > fitting else shares
    lines = [f"{classes.name(share.label)}  {share}" for share in shown]
    if len(shown) < len(shares):
        lines.append(f"and {len(shares) - len(shown)} more")
    if not isinstance(font, ImageFont.FreeTypeFont):  # a Pillow that was built without FreeType
        lines = [line.encode("latin-1", "replace").decode("latin-1") for line in lines]
    draw = ImageDraw.Draw(image)
    text_left = gap + size + gap
    width = int(text_left + max(draw.textlength(line, font) for line in lines)) + gap
    height = len(lines) * row + gap
    left, top = gap, image.height - gap - height
    if not shown or left + width > image.width - gap:
        return
    box = (left, top, left + width, top + height)
    dark = Image.new("RGB", (width, height))
    image.paste(Image.blend(image.crop(box), dark, 0.7), box)
    for number, line in enumerate(lines):
        y = top + gap + number * row
        if number < len(shown):
            swatch = (left + gap, y, left + gap + size, y + size)
            color = tuple(int(value) for value in classes.colours[shown[number].label])
            draw.rectangle(swatch, fill=color, outline="white")
        draw.text((left + text_left, y + size // 2), line, "white", font, anchor="lm")
