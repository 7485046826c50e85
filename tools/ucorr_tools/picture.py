"""Pictures in and out: photographs to arrays, feature maps to contact sheets."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, UnidentifiedImageError

MARGIN = 6
CAPTION = 14


@dataclass(frozen=True)
class Tile:
    """One picture of a sheet: integers (height, width) or uint8 (height, width, 3), a caption, boxes (y, x, h, w)."""

    caption: str
    image: NDArray[Any]
    boxes: tuple[tuple[int, int, int, int], ...] = ()


def photograph() -> NDArray[np.uint8]:
    """The photograph that the package ships: uint8 (128, 128, 3); data/README.md names its source."""
    with (files("ucorr_tools") / "data" / "astronaut.png").open("rb") as file:
        return np.asarray(Image.open(file).convert("RGB"))


def read(path: str | Path) -> NDArray[np.uint8]:
    """An image file as uint8 (height, width, 3); ValueError when it is none."""
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"{path} can't be read as an image: {error}") from None


def grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Luma of an RGB image as ITU-R BT.601 weighs it, in 1/256: 77 R + 150 G + 29 B, rounded."""
    weighted = image.astype(np.int32) @ np.array([77, 150, 29])
    return ((weighted + 128) >> 8).astype(np.uint8)


def visible(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Any integer map as uint8: unsigned 8-bit as it is, signed 8-bit with 0 at 128, others spread over the range."""
    if image.dtype == np.uint8:
        return image
    if image.dtype == np.int8:
        return (image.astype(np.int16) + 128).astype(np.uint8)
    low, high = float(image.min()), float(image.max())
    return np.round((image - low) * (255 / max(1.0, high - low))).astype(np.uint8)


def save(image: NDArray[Any], path: str | Path) -> None:
    """Write a map or an RGB image as PNG."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(visible(image)).save(path, "PNG")


def contact_sheet(tiles: list[Tile], path: str | Path, columns: int = 6, zoom: int = 2) -> None:
    """Write tiles as one PNG, row by row, each magnified `zoom` times with its caption below."""
    width = zoom * max(tile.image.shape[1] for tile in tiles)
    height = zoom * max(tile.image.shape[0] for tile in tiles)
    cell = (width + MARGIN, height + CAPTION + MARGIN)
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (cell[0] * columns + MARGIN, cell[1] * rows + MARGIN), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default()
    for number, tile in enumerate(tiles):
        left = MARGIN + cell[0] * (number % columns)
        top = MARGIN + cell[1] * (number // columns)
        image = Image.fromarray(visible(tile.image)).convert("RGB")
        image = image.resize((zoom * image.width, zoom * image.height), Image.Resampling.NEAREST)
        sheet.paste(image, (left, top))
        for y, x, h, w in tile.boxes:
            corner = (left + zoom * x - 1, top + zoom * y - 1)
            draw.rectangle((*corner, corner[0] + zoom * w + 1, corner[1] + zoom * h + 1), outline="red", width=2)
        draw.text((left, top + image.height + 1), tile.caption, fill="black", font=font)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, "PNG")
