"""Activation functions of one quantised number: their ranges, their rescalings, and their tables of 256 outputs.

A Scale is (scale, zero_point), the scale a float32, real = scale * (q - zero_point). Each function returns the bits of
TensorFlow Lite's reference kernel of that name; test_litert_ops.py compares every table with LiteRT's.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import reference
from ..quantize import quantize_multiplier

Scale = tuple[float, int]
Table = NDArray[Any]
RANGES = {"none": (None, None), "relu": (0, None), "relu6": (0, 6), "relu_n1_to_1": (-1, 1)}


def activation_range(kind: str, output: Scale, dtype: Any) -> tuple[int, int]:
    """(least, greatest) quantised output of an activation, as CalculateActivationRangeQuantized finds it."""
    scale, zero_point = output
    limits = np.iinfo(dtype)
    ends = []
    for real, most in zip(RANGES[kind], (limits.min, limits.max), strict=True):
        if real is None:
            ends.append(int(most))
            continue
        steps = float(np.float32(real) / np.float32(scale))
        ends.append(zero_point + math.floor(abs(steps) + 0.5) * (1 if steps >= 0 else -1))
    low, high = max(ends[0], limits.min), min(ends[1], limits.max)
    if low > high:
        raise ValueError(f"output scale: {scale} with zero point {zero_point}, wanted one whose range reaches {kind}'s")
    return low, high


def rescaling(kind: str, source: Scale, target: Scale, dtype: Any, alpha: float = 0.0) -> dict[str, int]:
    """The options of reference.rescale for "quantize", "relu", "relu6", "relu_n1_to_1" and "leaky_relu".

    alpha  slope of a leaky relu below 0. TFLite divides the scales as float32, except for QUANTIZE.
    """
    (scale, zero_point), (out_scale, out_zero_point) = source, target
    ratio = float(np.float32(scale) / np.float32(out_scale))
    options = {"input_zero_point": zero_point, "output_zero_point": out_zero_point}
    if kind == "leaky_relu":
        slope = float(np.float32(np.float32(scale) * np.float32(alpha)) / np.float32(out_scale))
        options["negative_multiplier"], options["negative_shift"] = quantize_multiplier(slope)
    elif kind == "quantize":
        ratio = scale / out_scale
    else:
        options["activation_min"], options["activation_max"] = activation_range(kind, target, dtype)
    options["multiplier"], options["shift"] = quantize_multiplier(ratio)
    return options


def table(kind: str, source: Scale, target: Scale, dtype: Any = np.int8, alpha: float = 0.0) -> Table:
    """The output, int8, for each of the 256 inputs of an 8-bit dtype from the least on.

    kind  one of rescaling's, or "logistic", "tanh", "hard_swish"
    """
    limits = np.iinfo(dtype)
    x = np.arange(limits.min, limits.max + 1).astype(dtype)
    if kind == "hard_swish":
        return _hard_swish(x.astype(np.int64) - source[1], source[0], target)
    if kind in ("logistic", "tanh"):
        return _from_floats(kind, x.astype(np.int64) - source[1], source[0], target)
    return reference.rescale(x, **rescaling(kind, source, target, np.int8, alpha), out_dtype=np.int8)


def _from_floats(kind: str, steps: Table, scale: float, target: Scale) -> Table:
    """LUTPopulate of TFLite: everything in float32, halves away from zero."""
    real = np.float32(scale) * steps.astype(np.float32)
    one = np.float32(1)
    with np.errstate(over="ignore"):  # exp of a steep slope: 1 / infinity is the 0 that is meant
        value = one / (one + np.exp(-real)) if kind == "logistic" else np.tanh(real)
    rounded = value * (one / np.float32(target[0]))
    rounded = np.copysign(np.floor(np.abs(rounded) + np.float32(0.5)), rounded)
    return np.clip(rounded.astype(np.int64) + target[1], -128, 127).astype(np.int8)


def _hard_swish(steps: Table, scale: float, target: Scale) -> Table:
    """x * relu6(x + 3) / 6 in 16 bits, as HardSwish of TFLite's reference kernels: int64 items, 16-bit values.

    raises ValueError for an output scale under 1/128 of the input's, which TFLite refuses too
    """
    fine = float(np.float32(1 / 128) * np.float32(scale))  # scale of the input with 7 more bits
    multiplier, shift = quantize_multiplier(fine / float(np.float32(target[0])))
    relu, relu_shift = quantize_multiplier(fine / float(np.float32(3.0 / 32768.0)))
    if shift > 0:
        raise ValueError(f"output scale: {target[0]}, wanted at least 1/128 of the input's {scale}")
    multiplier, relu = _upper_half(multiplier), _upper_half(relu)
    high = steps << 7
    scaled = _high16(high, multiplier, half=True)
    gate = np.clip(high << max(0, relu_shift - 1), -32768, 32767)
    gate = _high16(gate, relu, half=True)
    gate = np.clip(gate << min(1, max(0, relu_shift)), -32768, 32767)
    gate = reference.gemmlowp.rounding_divide_by_power(gate, max(0, -relu_shift))
    gate = (gate + 32768) >> 1
    value = reference.gemmlowp.rounding_divide_by_power(_high16(gate, scaled, half=False), -shift)
    return np.clip(value + target[1], -128, 127).astype(np.int8)


def _upper_half(multiplier: int) -> int:
    return 0x7FFF if multiplier >= 0x7FFF0000 else (multiplier + 0x8000) >> 16


def _high16(a: Table, b: Any, half: bool) -> Table:
    """a * b / 2**15, to nearest with halves up, or towards zero; saturated at -1 * -1."""
    product = a * b
    nudge = np.where(product < 0, (1 << 14) - 1, 1 << 14) if half else 0
    magnitude = (np.abs(product) + nudge) >> 15
    return np.clip(np.where(product < 0, -magnitude, magnitude), -32768, 32767)
