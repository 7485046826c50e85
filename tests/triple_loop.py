"""The layers as nested loops over Python ints: slow, without NumPy, and hard to get wrong.

Everything is a list; the arithmetic is on fractions and big ints, straight from the definitions.
Nothing here is shared with the package.
"""

from __future__ import annotations

from fractions import Fraction
from math import floor
from typing import Any


def half_away(value: Fraction) -> int:
    """The nearest integer, halves away from zero."""
    return floor(value + Fraction(1, 2)) if value >= 0 else -floor(-value + Fraction(1, 2))


def scaled(acc: int, multiplier: int | None, shift: int, accumulator: str, rounding: str = "double") -> int:
    """TFLite's two requantisations, the plain filter's, and that with one rounding, from their definitions."""
    if multiplier is None:
        return half_away(acc * Fraction(2) ** shift)
    if accumulator == "int64":
        short = 0x7FFF if multiplier >= 0x7FFF0000 else (multiplier + (1 << 15)) >> 16
        return floor(acc * short * Fraction(2) ** (shift - 15) + Fraction(1, 2))
    if rounding == "single":
        return floor(acc * multiplier * Fraction(2) ** (shift - 31) + Fraction(1, 2))
    high = floor(acc * Fraction(2) ** max(shift, 0) * multiplier / 2**31 + Fraction(1, 2))
    return half_away(high * Fraction(2) ** min(shift, 0))


def output(acc: int, o: int, words: dict[str, Any], lo: int, hi: int) -> int:
    """One output of channel o; words hold lists per channel, lo..hi is the range of the type."""
    if words.get("shift") is None and words.get("multiplier") is None:
        return acc
    multiplier = None if words.get("multiplier") is None else words["multiplier"][o]
    value = scaled(acc, multiplier, words["shift"][o], words["accumulator"], words.get("rounding", "double"))
    value += words.get("output_zero_point", 0)
    low, high = words.get("activation_min"), words.get("activation_max")
    return min(max(value, lo if low is None else low), hi if high is None else high)


def source(index: int, size: int, border: str) -> int | None:
    """Where a padded index reads from; None for the constant."""
    if 0 <= index < size:
        return index
    if border == "constant":
        return None
    if border == "edge":
        return min(max(index, 0), size - 1)
    return abs(index) if index < size else 2 * (size - 1) - index


def pads(padding: Any, size: int, extent: int, stride: int, axis: int) -> tuple[int, int]:
    """What stands before and after an axis."""
    if padding == "valid":
        return 0, 0
    if padding == "same":
        outputs = -(-size // stride)
        total = max((outputs - 1) * stride + extent - size, 0)
        return total // 2, total - total // 2
    return padding[axis]


def conv2d(x: Any, kernel: Any, bias: list[int], words: dict[str, Any]) -> list[list[list[int]]]:
    """Accumulators [i][j][o] of x[y][x][c] and kernel[o][a][b][c]."""
    height, width = len(x), len(x[0])
    outputs, kh, kw, depth = len(kernel), len(kernel[0]), len(kernel[0][0]), len(kernel[0][0][0])
    (sy, sx), (dy, dx) = words["stride"], words["dilation"]
    zero, kernel_zero = words.get("input_zero_point", 0), words.get("kernel_zero_point", 0)
    border = words.get("border", "constant")
    per_group = outputs // words.get("groups", 1)
    extents = (kh - 1) * dy + 1, (kw - 1) * dx + 1
    top, bottom = pads(words["padding"], height, extents[0], sy, 0)
    left, right = pads(words["padding"], width, extents[1], sx, 1)
    result = []
    for i in range((height + top + bottom - extents[0]) // sy + 1):
        row = []
        for j in range((width + left + right - extents[1]) // sx + 1):
            accs = []
            for o in range(outputs):
                acc = bias[o]
                for a in range(kh):
                    for b in range(kw):
                        y = source(i * sy + a * dy - top, height, border)
                        z = source(j * sx + b * dx - left, width, border)
                        for c in range(depth):
                            value = (
                                words["border_value"] if y is None or z is None else x[y][z][o // per_group * depth + c]
                            )
                            acc += (value - zero) * (kernel[o][a][b][c] - kernel_zero)
                accs.append(acc)
            row.append(accs)
        result.append(row)
    return result


def transpose_conv2d(
    x: Any, kernel: Any, bias: list[int], stride: tuple[int, int], crops: Any, zero: int, kernel_zero: int
) -> list[list[list[int]]]:
    """Accumulators [i][j][o]: every input item adds its multiple of the kernel to the cropped output."""
    (sy, sx), ((top, bottom), (left, right)) = stride, crops
    kh, kw = len(kernel[0]), len(kernel[0][0])
    height = (len(x) - 1) * sy + kh - top - bottom
    width = (len(x[0]) - 1) * sx + kw - left - right
    out = [[list(bias) for _ in range(width)] for _ in range(height)]
    for i, row in enumerate(x):
        for j, pixel in enumerate(row):
            for o, weights in enumerate(kernel):
                for a in range(kh):
                    for b in range(kw):
                        y, z = i * sy + a - top, j * sx + b - left
                        if 0 <= y < height and 0 <= z < width:
                            for c, value in enumerate(pixel):
                                out[y][z][o] += (value - zero) * (weights[a][b][c] - kernel_zero)
    return out
