"""A memory plan as a picture: steps from left to right, the arena's bytes upwards, a rectangle for each tensor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from .picture import write

COLUMN, HEIGHT, MARGIN, FOOT = 46, 360, 60, 110  # pixels
COLOURS = ("#8fb8de", "#f2c78a", "#a8d5a2", "#d9a5b3", "#c3b1e1", "#b0d8d8")


def draw(told: dict[str, Any], path: str | Path) -> None:
    """Write the picture of a summary.report()."""
    steps, arena = told["steps"], max(1, told["arena_bytes"])
    columns = len(steps) + 2  # the input before the first step, the output after the last
    image = Image.new("RGB", (MARGIN + columns * COLUMN + 10, HEIGHT + FOOT), "white")
    pen, font = ImageDraw.Draw(image), ImageFont.load_default()

    def across(step: int) -> int:
        return MARGIN + (step + 1) * COLUMN

    def down(at: int) -> int:
        return 20 + round((HEIGHT - 30) * (1 - at / arena))

    for n, buffer in enumerate(told["buffers"]):
        if buffer["last"] < buffer["first"]:
            continue
        left, right = across(buffer["first"]), across(buffer["last"] + 1) - 2
        box = (left, down(buffer["offset"] + buffer["bytes"]), right, down(buffer["offset"]))
        pen.rectangle(box, fill=COLOURS[n % len(COLOURS)], outline="black")
        if box[3] - box[1] > 12:
            pen.text((left + 3, box[1] + 1), f"{buffer['bytes']:,}", fill="black", font=font)
    for at in (0, arena):
        pen.text((4, down(at) - 6), f"{at:,}", fill="black", font=font)
    pen.line((MARGIN, 20, MARGIN, down(0)), fill="black")
    names = ["input", *(step["kind"] for step in steps), "output"]
    for n, name in enumerate(names):
        label = Image.new("RGB", (FOOT - 10, 12), "white")
        ImageDraw.Draw(label).text((0, 0), name[:20], fill="black", font=font)
        image.paste(label.rotate(90, expand=True), (across(n - 1) + COLUMN // 2 - 6, HEIGHT - 2))
    write(image, path)
