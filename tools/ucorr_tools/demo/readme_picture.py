"""Draw the README's picture from what the project ships: `python -m ucorr_tools.demo.readme_picture docs/picture.png`

From left to right what DESIGN.md, section 2, derives: a fully connected layer whose weights are found from patches of
the photograph and the edges in them; the 3x3 kernel that its weights repeat; the photograph and its edges; the camera
moved, and the edges moved with it.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from ucorr_host import reference

from ..pictures.filters import FILTERS
from ..pictures.picture import grey, photograph, visible, write
from .image import PANS, PATCH, WINDOW

SIDE = 8  # of a patch: SIDE**4 = 4,096 weights lead from its pixels to as many outputs
HEIGHT, GAP, LEGEND, FONT = 2 * WINDOW, 16, 26, 16  # pixels
KERNEL, RIGHT, _ = FILTERS["sobel-x"]
KERNEL_PIXELS = 20  # of a weight over the edges


def fitted(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The weights (output, input) of the fully connected layer that makes the edges of every patch of its pixels: least
    squares over all patches, which are far more than enough to leave one answer."""
    patches = np.lib.stride_tricks.sliding_window_view(image, (SIDE, SIDE)).reshape(-1, SIDE, SIDE)
    edges = reference.correlate2d(patches, np.array(KERNEL), padding="same")
    x, y = (values.reshape(len(patches), -1).astype(np.float64) for values in (patches, edges))
    return np.asarray(np.linalg.lstsq(x, y, rcond=None)[0].T, np.float64)


def weights_image(weights: NDArray[np.float64], zoom: int) -> Image.Image:
    """Weights as squares: 0 mid grey, positive ones brighter."""
    levels = np.round(128 + 127 * weights / np.abs(weights).max()).clip(0, 255).astype(np.uint8)
    image = Image.fromarray(levels)
    return image.resize((zoom * image.width, zoom * image.height), Image.Resampling.NEAREST).convert("RGB")


def camera(image: NDArray[np.uint8], down: int, right: int) -> Image.Image:
    """What a camera sees and its edges, side by side, the same patch framed in both."""
    window = image[down : down + WINDOW, right : right + WINDOW]
    edges = reference.correlate2d(window, np.array(KERNEL), padding="same", border="edge", out_dtype="b", shift=-RIGHT)
    pair = Image.fromarray(np.hstack([visible(window), visible(edges)]))
    pair = pair.resize((2 * pair.width, 2 * pair.height), Image.Resampling.NEAREST).convert("RGB")
    pen = ImageDraw.Draw(pair)
    y, x, height, width = PATCH
    for left in (0, WINDOW):
        corner = 2 * (left + x - right), 2 * (y - down)
        pen.rectangle((*corner, corner[0] + 2 * width, corner[1] + 2 * height), outline="red", width=2)
    return pair


def draw(path: str) -> None:
    """Write the picture."""
    image = grey(photograph())
    weights = fitted(image)
    if np.abs(weights - weights.round()).max() > 1e-6:
        raise ValueError("the weights found are no integers, wanted those of the kernel")
    kernel = weights_image(np.array(KERNEL, np.float64), HEIGHT // 3)
    first, moved = (camera(image, *pan) for pan in (PANS[0], PANS[2]))
    small = weights_image(np.array(KERNEL, np.float64), KERNEL_PIXELS)
    first.paste(small, (2 * WINDOW + 6, 6))
    tiles = [
        (f"fully connected: {weights.size:,} weights", weights_image(weights, HEIGHT // SIDE**2)),
        (f"local and shared: {np.size(KERNEL)} weights", kernel),
        ("a photograph, the kernel, the edges", first),
        ("the camera moves, the edges move along", moved),
    ]
    wide = [max(tile.width, HEIGHT + 40) for _, tile in tiles]
    sheet = Image.new("RGB", (sum(wide) + GAP * (len(tiles) + 1), HEIGHT + LEGEND + 2 * GAP), "white")
    pen, font, left = ImageDraw.Draw(sheet), ImageFont.load_default(FONT), GAP
    for (legend, tile), width in zip(tiles, wide, strict=True):
        sheet.paste(tile, (left + (width - tile.width) // 2, GAP))
        pen.text((left + width // 2, GAP + HEIGHT + 6), legend, fill="black", font=font, anchor="ma")
        left += width + GAP
    write(sheet, path)


if __name__ == "__main__":
    draw(*sys.argv[1:])
