"""A profile as a picture: a bar for each step, as long as what it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from ..pictures.picture import write
from .profiling import uncounted

ROW, LEFT, BAR, RIGHT, HEAD = 20, 210, 480, 170, 28  # pixels
COLOURS = {"thumb": "#8fb8de", "viper": "#f2c78a", "portable": "#d9a5b3"}


def draw(told: dict[str, Any], path: str | Path) -> None:
    """Write the picture of a profiling.told()."""
    rows, unit = told["rows"], told["unit"]
    image = Image.new("RGB", (LEFT + BAR + RIGHT, HEAD + len(rows) * ROW + 8), "white")
    pen, font = ImageDraw.Draw(image), ImageFont.load_default()
    most = max((row[unit] or 0 for row in rows), default=0) or 1
    total = told["totals"][unit] or 0
    title = f"{unit} on {told['target']}: {total:,}"
    pen.text((6, 6), "; ".join([title, *uncounted(told["totals"])]), fill="black", font=font)
    for n, row in enumerate(rows):
        top, spent = HEAD + n * ROW, row[unit]
        pen.text((6, top + 3), row["layer"][:32], fill="black", font=font)
        length = round(BAR * (spent or 0) / most)
        if length:
            box = (LEFT, top + 2, LEFT + length, top + ROW - 3)
            pen.rectangle(box, fill=COLOURS.get(row["backend"], "#c3b1e1"), outline="black")
        share = "not counted" if spent is None else f"{spent:,}  {100 * spent / (total or 1):.1f} %"
        pen.text((LEFT + length + 6, top + 3), share, fill="black", font=font)
    write(image, path)
