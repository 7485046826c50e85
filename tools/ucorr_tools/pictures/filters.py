"""Image filters by name, and kernels from text files, for the command line and the demo."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ucorr.weights import quantize_kernel
from ucorr_host.networks.graph import ITEMS
from ucorr_host.problems.weighted import Problem
from ucorr_host.quantize import single_rounding_multiplier
from ucorr_host.reference import correlate2d

from .kernel_text import Scale, read

# name -> kernel, right shift that brings the accumulator back to the image's range, signed output or not
FILTERS: dict[str, tuple[list[list[int]], int, bool]] = {
    "sobel-x": ([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], 3, True),
    "sobel-y": ([[-1, -2, -1], [0, 0, 0], [1, 2, 1]], 3, True),
    "gaussian": (np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]).tolist(), 8, False),
    "sharpen": ([[0, -1, 0], [-1, 5, -1], [0, -1, 0]], 0, False),
    "laplacian": ([[0, 1, 0], [1, -4, 1], [0, 1, 0]], 2, True),
    "edge-pair": ([[1, -1]], 1, True),
    "identity": ([[1]], 0, False),
}
MOST_PIXEL = 255


def load_kernel(name_or_path: str) -> tuple[NDArray[Any], Scale]:
    """A kernel of ints or floats and what is said of its outputs, by name or from a text file (kernel_text.py).

    raises ValueError when there is neither such a name nor such a file
    """
    if name_or_path in FILTERS:
        rows, right, signed = FILTERS[name_or_path]
        return np.array(rows), Scale(shift=-right, signed=signed)
    path = Path(name_or_path)
    if not path.exists() or path.is_dir():
        raise ValueError(f"kernel: {name_or_path!r}, wanted a file or one of {' '.join(FILTERS)}")
    return read(path)


@dataclass(frozen=True)
class Filter:
    """A kernel of ints on one image: out = (acc + bias) * factor, rounded and limited to uint8, or int8 if signed.

    worst_error  the greatest difference of a weight from the float it stands for
    """

    problem: Problem
    factor: Fraction
    worst_error: float

    def clipped(self) -> int:
        """How many outputs the limits of the output's dtype have changed."""
        words = {name: self.problem.options[name] for name in ("stride", "dilation", "padding", "border")}
        bias = self.problem.options.get("bias")
        acc = correlate2d(self.problem.x, self.problem.kernel, bias, accumulator="int64", **words)
        limits = np.iinfo(self.problem.out_dtype)
        # rounded halves away from zero, acc * factor passes a limit from half a step beyond it on
        over = -((-2 * int(limits.max) - 1) * self.factor.denominator // (2 * self.factor.numerator))
        under = (2 * int(limits.min) - 1) * self.factor.denominator // (2 * self.factor.numerator)
        return int(np.count_nonzero(acc >= over) + np.count_nonzero(acc <= under))


def image_filter(name_or_path: str, pixels: NDArray[np.uint8], said: Scale, **words: Any) -> Filter:
    """The filter of a name or a file on the grey of an image (h, w).

    said    options of the command line; they override those of the name or the file
    words   the options stride, dilation and border of the layer
    raises  ValueError or OSError; a kernel that a board refuses is refused here
    """
    weights, by_file = load_kernel(name_or_path)
    scale = said.over(by_file)
    kernel, bias, own, worst = weights, scale.bias or 0, 0, 0.0
    if weights.dtype.kind == "f":
        ints, own, worst = quantize_kernel(weights.reshape(-1).tolist())  # as a board does it
        kernel = np.array(ints, np.int32).reshape(weights.shape)
        if weights.any() and not kernel.any():
            raise ValueError(f"kernel: weights of {np.abs(weights).max():g} at most become 0, wanted 2**-32 or more")
        bias = round(bias * Fraction(2) ** -own)
    factor = Fraction(2) ** (own + (scale.shift or 0)) / (scale.divide or 1)
    options = {"dtype": "B", "out_dtype": "b" if scale.signed else "B", "padding": scale.padding or "same", **words}
    if bias:
        options["bias"] = bias
    options |= _scaled(factor, kernel, bias, np.iinfo(options["out_dtype"]))
    problem = Problem(name_or_path, "Correlate2D", kernel, pixels.shape, options, pixels)
    spec = problem.make("portable").spec  # its checks are those of every target
    items = math.prod(n + sum(pads) for n, pads in zip(pixels.shape, spec.padding, strict=True))
    if items > ITEMS:  # the reference has all of it in memory
        raise ValueError(f"padding: an image of {items:,} items with its border, wanted at most {ITEMS:,}")
    return Filter(problem, factor, worst)


def _scaled(factor: Fraction, kernel: NDArray[Any], bias: int, limits: Any) -> dict[str, Any]:
    """The options of a layer that multiplies by a factor: a shift, or a multiplier that rounds exactly as division."""
    shift = factor.numerator.bit_length() - factor.denominator.bit_length()
    if factor == Fraction(2) ** shift:
        return {"shift": shift}
    lowest = bias + MOST_PIXEL * int(kernel[kernel < 0].sum())
    highest = bias + MOST_PIXEL * int(kernel[kernel > 0].sum())
    try:
        multiplier, shift = single_rounding_multiplier(factor, lowest, highest, 0, int(limits.min), int(limits.max))
    except ValueError:
        raise ValueError(f"divide: a factor of {factor}, wanted one that 31 bits stand for") from None
    return {"multiplier": multiplier, "shift": shift, "rounding": "single"}
