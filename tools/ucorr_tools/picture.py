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
CAPTION, TITLE = 16, 26  # heights of lines of text
CAPTION_FONT, TITLE_FONT = 12, 16
WRONG = (215, 20, 20)


@dataclass(frozen=True)
class Tile:
    """One picture of a sheet: integers (height, width) or uint8 (height, width, 3), a caption, boxes (y, x, h, w).

    wrong   drawn in red, in a frame
    """

    caption: str
    image: NDArray[Any]
    boxes: tuple[tuple[int, int, int, int], ...] = ()
    wrong: bool = False


@dataclass(frozen=True)
class Act:
    """Tiles of a sheet under a title, row by row: so many columns, each tile magnified `zoom` times, captions below,
    at the left or, `centred`, in the middle."""

    title: str
    tiles: list[Tile]
    columns: int = 6
    zoom: int = 2
    margin: int = MARGIN
    centred: bool = False

    @property
    def cell(self) -> tuple[int, int]:
        """Width and height of the place of a tile, in pixels."""
        height, width = np.max([tile.image.shape[:2] for tile in self.tiles], axis=0)
        return self.zoom * int(width) + self.margin, self.zoom * int(height) + CAPTION + self.margin

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of it all, with margins around."""
        rows = -(-len(self.tiles) // self.columns)
        return self.columns * self.cell[0] + 2 * MARGIN, TITLE + rows * self.cell[1] + MARGIN


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


def contact_sheet(acts: list[Act], path: str | Path) -> None:
    """Write acts as one PNG, one below the other."""
    widths, heights = zip(*(act.size for act in acts), strict=True)
    sheet = Image.new("RGB", (max(widths), sum(heights)), "white")
    top = 0
    for act in acts:
        draw_act(sheet, act, top)
        top += act.size[1]
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, "PNG")


def draw_act(sheet: Image.Image, act: Act, top: int) -> None:
    """Draw an act from a row of pixels on."""
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, top + MARGIN), act.title, fill="black", font=ImageFont.load_default(TITLE_FONT))
    font = ImageFont.load_default(CAPTION_FONT)
    for number, tile in enumerate(act.tiles):
        row, column = divmod(number, act.columns)
        left, upper = MARGIN + act.cell[0] * column, top + TITLE + MARGIN + act.cell[1] * row
        image = Image.fromarray(visible(tile.image)).convert("RGB")
        image = image.resize((act.zoom * image.width, act.zoom * image.height), Image.Resampling.NEAREST)
        sheet.paste(image, (left, upper))
        for y, x, h, w in tile.boxes:
            corner = (left + act.zoom * x - 1, upper + act.zoom * y - 1)
            draw.rectangle(
                (*corner, corner[0] + act.zoom * w + 1, corner[1] + act.zoom * h + 1), outline="red", width=2
            )
        if tile.wrong:
            frame = (left - 2, upper - 2, left + image.width + 1, upper + image.height + 1)
            draw.rectangle(frame, outline=WRONG, width=3)
        across, anchor = (left + image.width // 2, "ma") if act.centred else (left, "la")
        place = (across, upper + image.height + 1)
        draw.text(place, tile.caption, fill=WRONG if tile.wrong else "black", font=font, anchor=anchor)
