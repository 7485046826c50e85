"""Pictures in and out: photographs to arrays, feature maps to contact sheets."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from importlib import resources
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from .. import files

MARGIN = 6
CAPTION, TITLE = 16, 26  # heights of lines of text
CAPTION_FONT, TITLE_FONT = 12, 16
WRONG = (215, 20, 20)
ORIENTATION = 0x0112  # of an image, in EXIF
BITS, MEANING, FORM = 258, 262, 339  # of the samples of a TIFF file: tags that Pillow leaves to us for some of them
WHITE_IS_0, SIGNED = 0, 2  # as MEANING, as FORM
# What the suffix of a picture that is written means.
FORMATS = {
    "": "PNG", ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".bmp": "BMP", ".tif": "TIFF", ".tiff": "TIFF",
    ".gif": "GIF", ".webp": "WEBP", ".pgm": "PPM", ".ppm": "PPM",
}  # fmt: skip


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
    with (resources.files("ucorr_tools") / "data" / "astronaut.png").open("rb") as file:
        return np.asarray(Image.open(file).convert("RGB"))


def read(path: str | Path) -> tuple[NDArray[np.uint8], list[str]]:
    """(pixels, notes) of an image file: uint8 (height, width, 3), and a sentence for each thing that is not in them.

    16 bits are scaled to 8, what is transparent keeps its colour, an image is turned as its EXIF says.
    raises  ValueError naming the file where it is no image, too large, or of real numbers
    """
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                pixels, notes = _rgb(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        size = re.search(r"\d+ pixels", str(error))
        raise ValueError(
            f"{path}: {size[0] if size else 'too many pixels'}, wanted at most {Image.MAX_IMAGE_PIXELS}"
        ) from None
    except Exception as error:  # of a broken file Pillow raises what its parsers do: SyntaxError, struct.error ...
        raise ValueError(f"{path} can't be read as an image: {_line(error)}") from None
    return pixels, [
        f"{path}: {note}"
        for note in [*notes, *(_line(str(warning.message)) for warning in said if warning.category is UserWarning)]
    ]


def _line(error: Exception | str) -> str:
    """The first line of what an error says, or its name."""
    return str(error).partition("\n")[0] or type(error).__name__


def _rgb(image: Image.Image) -> tuple[NDArray[np.uint8], list[str]]:
    """(pixels, notes) of an open image, without its name. raises what Pillow raises, ValueError"""
    notes = []
    frames, mode, deep = getattr(image, "n_frames", 1), image.mode, ";16" in str(getattr(image, "tile", ""))
    if frames > 1:
        notes.append(f"{frames} frames, the first is taken")
    alpha = "transparency" in image.info or mode in ("LA", "La", "PA", "RGBA", "RGBa")
    turned = ImageOps.exif_transpose(image)
    if turned.size != image.size or image.getexif().get(ORIENTATION, 1) not in (0, 1):
        notes.append("turned as its EXIF says")
    tags = getattr(image, "tag_v2", {})
    if SIGNED in tags.get(FORM, ()) and not mode.startswith("I"):
        raise ValueError("pixels of 8 bits with a sign, wanted 8 or 16 bits without one")
    if mode == "F":
        raise ValueError("pixels are real numbers (mode F), wanted 8 or 16 bits")
    if mode.startswith("I"):
        levels, bits = np.asarray(turned).astype(np.int64), 12 if tags.get(BITS) == (12,) else 16
        most = 2**bits - 1
        if levels.min() < 0 or levels.max() > most:
            raise ValueError(f"pixels {levels.min()}..{levels.max()} of 32 bits, wanted 8 or 16 bits")
        if tags.get(MEANING) == WHITE_IS_0:
            levels = most - levels
        scaled = ((levels * 255 + most // 2) // most).astype(np.uint8)  # of 16 bits 257 * g becomes g
        notes += [f"{bits} bits scaled to 8"] + ["alpha dropped"] * alpha
        return np.repeat(scaled[..., None], 3, axis=2), notes
    if deep:
        notes.append("16 bits scaled to 8")
    if mode in ("P", "PA"):
        notes.append("palette converted to RGB")
    elif mode not in ("1", "L", "RGB", "RGBX", "LA", "La", "RGBA", "RGBa"):
        notes.append(f"{mode} converted to RGB")
    if alpha:
        notes.append("alpha dropped")
    if mode in ("La", "RGBa"):  # colours multiplied by alpha
        turned = turned.convert({"La": "LA", "RGBa": "RGBA"}[mode])
    elif mode in ("P", "PA") and alpha:
        turned = turned.convert("RGBA")
    return np.asarray(turned.convert("RGB")), notes


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


def save(image: NDArray[Any], path: str | Path) -> list[str]:
    """Write a map or an RGB image in the format of the path's suffix; notes on what the format does not keep."""
    return write(Image.fromarray(visible(image)), path)


def write(image: Image.Image, path: str | Path) -> list[str]:
    """Write an image in the format of the path's suffix, PNG without one; notes on what the format does not keep.

    raises  ValueError for a suffix of no format that can be written, OSError
    """
    suffix, buffer = Path(path).suffix.lower(), BytesIO()
    if suffix not in FORMATS:
        raise ValueError(f"{path}: no image is written as {suffix}, wanted {' '.join(filter(None, FORMATS))}")
    form = FORMATS[suffix]
    try:
        image.save(buffer, form, quality=95, lossless=True)  # each format takes its own of these
    except Exception as error:  # each format has its own limits of size
        raise ValueError(f"{path}: {form} can't hold this image: {_line(error)}") from None
    files.write(path, buffer.getvalue())
    lossy = form == "JPEG" or (form == "GIF" and image.mode != "L")
    return [f"{path}: {form} keeps levels only nearly, PNG exactly"] if lossy else []


def contact_sheet(acts: list[Act], path: str | Path) -> None:
    """Write acts as one image, one below the other."""
    widths, heights = zip(*(act.size for act in acts), strict=True)
    sheet = Image.new("RGB", (max(widths), sum(heights)), "white")
    top = 0
    for act in acts:
        draw_act(sheet, act, top)
        top += act.size[1]
    write(sheet, path)


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
