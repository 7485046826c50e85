"""The named test cases that `ucorr verify` runs on a board, and the layers of the benchmarks.

All numbers come from seeded generators, so a name means the same bits everywhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ucorr.fixedpoint import LIMITS

from .operators import OpProblem, named_ops
from .weighted import Problem

SOBEL_X = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
BLUR = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1])  # sums to 256


def _problem(name: str, layer: str, kernel: Any, shape: Any, x_shape: Any, **options: Any) -> Problem:
    """A Problem with a random input; kernel is an array, or a shape to fill with random int8."""
    rng = np.random.default_rng(list(name.encode()))
    if isinstance(kernel, tuple):
        kernel = rng.integers(-127, 128, kernel)
    lo, hi = LIMITS[options["dtype"]]
    x = rng.integers(lo, hi, x_shape, np.int64, endpoint=True).astype(np.dtype(options["dtype"]))
    return Problem(name, layer, np.asarray(kernel), shape, options, x)


def _tflite(channels: int, shift: int, **more: Any) -> dict[str, Any]:
    """Options of an int8 layer as TFLite quantises it, with a multiplier and shift per channel."""
    rng = np.random.default_rng([channels, -shift])
    return {
        "dtype": "b",
        "out_dtype": "b",
        "multiplier": rng.integers(1 << 30, 1 << 31, channels).tolist(),
        "shift": (shift + rng.integers(0, 2, channels)).tolist(),
        "bias": rng.integers(-3000, 3000, channels).tolist(),
        "input_zero_point": 3,
        "output_zero_point": -5,
        **more,
    }


def _single(channels: int, shift: int) -> dict[str, Any]:
    """Options of a layer with single rounding, its shift so small that double rounding would change one output in
    ten."""
    return _tflite(channels, shift, bias=list(range(channels)), rounding="single")


def _small(*shape: int) -> Any:
    """A kernel for the short shift of _single(): small weights, so that accumulators nearly fit 8 bits."""
    return np.random.default_rng(shape).integers(-1, 2, shape)


def everything() -> list[Problem | OpProblem]:
    """All test cases of `ucorr verify`, with weights and without."""
    return [*named(), *named_ops()]


def named() -> list[Problem]:
    """The test cases of layers with weights: every layer, type, border and arithmetic, in small sizes."""
    image: dict[str, Any] = {"dtype": "B", "out_dtype": "b", "shift": -3}
    signal: dict[str, Any] = {"dtype": "h", "out_dtype": "h", "multiplier": 1518500250}
    around = ((2, 2), (2, 2))
    grey = {"dtype": "B", "out_dtype": "B", "shift": -8, "padding": around}
    rows = [
        ("sobel", "Correlate2D", SOBEL_X, (12, 14), (12, 14), image),
        ("sobel same", "Correlate2D", SOBEL_X, (12, 14), (12, 14), {**image, "padding": "same"}),
        ("sobel exact", "Correlate2D", SOBEL_X, (12, 14), (12, 14), {"dtype": "B", "out_dtype": "i"}),
        ("sobel window", "Correlate2D", SOBEL_X, (8, 9), (8, 21), {**image, "pitch": 21}),
        ("blur edge", "Correlate2D", BLUR, (11, 9), (11, 9), {**grey, "border": "edge"}),
        ("blur reflect", "Correlate2D", BLUR, (11, 9), (11, 9), {**grey, "border": "reflect"}),
        ("blur dilated", "Correlate2D", BLUR, (13, 12), (13, 12), {**grey, "dilation": (2, 2)}),
        ("blur strided", "Correlate2D", BLUR, (13, 12), (13, 12), {**grey, "stride": (2, 3)}),
        ("blur floats", "Correlate2D", BLUR / 256, (9, 10), (9, 10), {"dtype": "B", "out_dtype": "B"}),
        ("edge pair", "Correlate2D", np.array([[1, -1]]), (9, 10), (9, 10), {"dtype": "B", "out_dtype": "h"}),
        (
            "edge pair rounded",
            "Correlate2D",
            np.array([[1, -1]]),
            (9, 10),
            (9, 10),
            {"dtype": "B", "out_dtype": "h", "shift": -2},
        ),
        ("signal", "Correlate1D", (17,), 90, (90,), {**signal, "shift": -11}),
        ("signal floats", "Correlate1D", np.hanning(9) / 4, 40, (40,), {"dtype": "h", "out_dtype": "h"}),
        (
            "signal pair",
            "Correlate1D",
            1000 * np.arange(-9, 10),
            60,
            (60,),
            {"dtype": "H", "out_dtype": "h", "shift": -15},
        ),
        ("conv", "Conv2D", (8, 3, 3, 3), (8, 7), (8, 7, 3), {**_tflite(8, -8), "padding": "same"}),
        ("conv strided", "Conv2D", (5, 3, 3, 4), (9, 9), (9, 9, 4), {**_tflite(5, -9), "stride": (2, 2)}),
        ("conv groups", "Conv2D", (6, 2, 3, 2), (6, 7), (6, 7, 6), {**_tflite(6, -8), "groups": 3, "padding": "same"}),
        ("conv 1x1", "Conv2D", (8, 1, 1, 16), (5, 5), (5, 5, 16), _tflite(8, -8)),
        (
            "conv int16",
            "Conv2D",
            (4, 3, 3, 2),
            (6, 6),
            (6, 6, 2),
            {**signal, "shift": -10, "bias": [9, -9, 1 << 33, 0]},
        ),
        ("conv zero points", "Conv2D", (4, 3, 3, 2), (6, 6), (6, 6, 2), _tflite(4, -9, kernel_zero_point=-7)),
        ("conv relu6", "Conv2D", (4, 3, 3, 2), (6, 6), (6, 6, 2), _tflite(4, -7, activation_min=-5, activation_max=60)),
        ("depthwise", "DepthwiseConv2D", (1, 3, 3, 6), (7, 6, 6), (7, 6, 6), {**_tflite(6, -7), "padding": "same"}),
        ("depthwise x2", "DepthwiseConv2D", (1, 3, 3, 8), (7, 6, 4), (7, 6, 4), _tflite(8, -7)),
        ("dense", "Dense", (10, 64), None, (64,), _tflite(10, -9)),
        ("dense long", "Dense", (4, 500), None, (500,), _tflite(4, -11)),
        ("dense single", "Dense", _small(40, 8), None, (8,), _single(40, -2)),
        (
            "conv single",
            "Conv2D",
            _small(8, 2, 2, 2),
            (6, 7),
            (6, 7, 2),
            {**_single(8, -2), "shift": [-3, -2, -1, 0, 1, -3, -2, -1], "padding": "same"},
        ),
        ("depthwise single", "DepthwiseConv2D", _small(1, 3, 3, 4), (7, 6, 4), (7, 6, 4), _single(4, -3)),
    ]
    return [_problem(*row[:5], **row[5]) for row in rows]


def layers() -> dict[str, Problem]:
    """The layers of the benchmarks, by letter: a to i with input channels, kernel, output channels, image; j, a signal;
    k to s, filters of grey images scaled by a shift."""
    rows: list[tuple[Any, ...]] = [
        ("a 3x3x3->16 same 32x32", "Conv2D", (16, 3, 3, 3), (32, 32), (32, 32, 3), _tflite(16, -8, padding="same")),
        ("b 3x3x16->16 same 32x32", "Conv2D", (16, 3, 3, 16), (32, 32), (32, 32, 16), _tflite(16, -9, padding="same")),
        ("c 3x3x32->64 s2 16x16", "Conv2D", (64, 3, 3, 32), (16, 16), (16, 16, 32),
         _tflite(64, -10, padding="same", stride=(2, 2))),
        ("d 1x1x64->64 25x5", "Conv2D", (64, 1, 1, 64), (25, 5), (25, 5, 64), _tflite(64, -9)),
        ("e depthwise 3x3x64 25x5", "DepthwiseConv2D", (1, 3, 3, 64), (25, 5, 64), (25, 5, 64),
         _tflite(64, -8, padding="same")),
        ("f 10x4x1->64 s2 49x10", "Conv2D", (64, 10, 4, 1), (49, 10), (49, 10, 1),
         _tflite(64, -8, padding="same", stride=(2, 2))),
        ("g 3x3 image 96x96", "Correlate2D", (3, 3), (96, 96), (96, 96), _tflite(1, -7)),
        ("h 5x5 image 96x96", "Correlate2D", (5, 5), (96, 96), (96, 96), _tflite(1, -8)),
        ("i dense 640->128", "Dense", (128, 640), None, (640,), _tflite(128, -10)),
        ("j signal 50 taps 1000", "Correlate1D", (50,), 1000, (1000,),
         {"dtype": "h", "out_dtype": "h", "multiplier": 1518500250, "shift": -11}),
    ]  # fmt: skip
    sizes = [(size, shape) for size in (3, 5, 7) for shape in ((96, 96), (120, 160), (240, 320))]
    for letter, (size, shape) in zip("klmnopqrs", sizes, strict=True):
        name = f"{letter} {size}x{size} grey {shape[1]}x{shape[0]}"
        options = {"dtype": "B", "out_dtype": "b", "shift": -size - 5}
        rows.append((name, "Correlate2D", (size, size), shape, shape, options))
    return {row[0][0]: _problem(*row[:5], **row[5]) for row in rows}
