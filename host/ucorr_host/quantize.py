"""Real numbers to integers: the factor of a layer as multiplier and shift, a float kernel as ints and shift."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from ucorr import weights


def quantize_multiplier(real: float) -> tuple[int, int]:
    """A factor as (multiplier, shift) with real ~ multiplier * 2**(shift - 31), as TFLite computes it.

    real        0 <= real <= 2**30 - 0.5; a layer's is input scale * kernel scale / output scale
    multiplier  2**30 .. 2**31 - 1, or 0 for a factor that is 0 or under 2**-32
    shift       -31..30, positive to the left
    raises      ValueError for negative, infinite or larger factors and NaN

    Follows QuantizeMultiplier of TensorFlow Lite's quantization_util.cc: halves away from zero, a
    mantissa that rounds up to 2**31 moves into the shift.
    """
    if not 0 <= real <= 2.0**30 - 0.5:  # a NaN is not either
        raise ValueError(f"real: {real}, wanted a factor 0 <= real <= 2**30 - 0.5")
    fraction, shift = math.frexp(real)  # real = fraction * 2**shift, 0.5 <= fraction < 1
    multiplier = math.floor(fraction * (1 << 31) + 0.5)  # exact: 53 bits less 31 leave room for the half
    if multiplier == 1 << 31:
        multiplier, shift = 1 << 30, shift + 1
    return (0, 0) if shift < -31 or multiplier == 0 else (multiplier, shift)


def softmax_multiplier(real: float) -> tuple[int, int]:
    """(multiplier, shift) of reference.softmax for real = beta * input scale, with 26 fractional bits.

    raises  ValueError unless 2**-26 <= real, which TFLite wants too; what is over 32 counts as 32
    """
    if not real >= 2.0**-26:
        raise ValueError(f"real: {real}, wanted beta * input scale >= 2**-26")
    fraction, shift = math.frexp(min(real * (1 << 26), (1 << 31) - 1.0))
    return math.floor(fraction * (1 << 31) + 0.5), shift


def quantize_kernel(values: ArrayLike, bits: int = 8) -> tuple[NDArray[Any], int]:
    """Floats as (ints of the same shape, shift): values ~ ints * 2**shift, the very ints a board finds.

    values  floats, rounded to binary32 first
    bits    8 or 16: |ints| <= 127 or 32767, with the finest shift for it; -31 <= shift <= 30
    raises  ValueError for NaN, infinities and values past 2**30 times the range
    """
    if bits not in (8, 16):
        raise ValueError(f"bits: {bits}, wanted 8 or 16")
    array = np.asarray(values, float)
    ints, shift, _ = weights.quantize_kernel(array.reshape(-1).tolist(), bits)
    return np.array(ints, np.int32).reshape(array.shape), shift


def once_multiplier(factor: float, lowest: int, highest: int, zero_point: int, low: int, high: int) -> tuple[int, int]:
    """(multiplier, shift) that equation 8 gives the bits of a double with, for every accumulator of a range.

    factor           > 0, as reference.requantize takes it: the product rounded once, halves away from zero
    lowest, highest  of the accumulators, |acc| * 2**max(shift, 0) < 2**31
    zero_point, low, high  of the output: beyond its range all accumulators are one
    raises           ValueError where no 31 bits do it

    Both are staircases that rise with the accumulator; they are one if each output begins at the same accumulator
    `first`. For that, (2*step - 1) * 2**(30 - shift) has to lie in ((first - 1) * m, first * m], which bounds m
    from both sides; the double itself lies within, so that the bounds are seldom too narrow for an integer.
    """
    multiplier, shift = quantize_multiplier(factor)
    least, most = 1 if multiplier == 0 else 1 << 30, (1 << 31) - 1

    def rounded(acc: int) -> int:
        product = acc * factor
        whole = math.trunc(product)
        return whole + (abs(product - whole) >= 0.5) * (1 if product > 0 else -1)

    for step in range(low - zero_point + 1, high - zero_point + 1):
        first = _first(lambda acc, step=step: rounded(acc) >= step, lowest, highest)  # type: ignore[misc]
        if first is None or first == lowest:  # beyond the range
            continue
        edge = (2 * step - 1) << (30 - shift)
        for acc, inside in ((first, True), (first - 1, False)):
            # inside: acc * m >= edge, otherwise acc * m < edge
            if acc == 0:
                if inside != (edge <= 0):
                    least, most = 1, 0
            elif (acc > 0) == inside:
                least = max(least, -(-edge // acc) if inside else edge // acc + 1)
            else:
                most = min(most, edge // acc if inside else -(-edge // acc) - 1)
    if least > most:
        raise ValueError(f"factor: {factor}, wanted one that 31 bits stand for at all accumulators {lowest}..{highest}")
    return min(max(multiplier, least), most), shift


def _first(reached: Callable[[int], bool], lowest: int, highest: int) -> int | None:
    """The least int of a range from which on `reached` holds, by halving; None: none."""
    if not reached(highest):
        return None
    while lowest < highest:
        middle = (lowest + highest) // 2
        if reached(middle):
            highest = middle
        else:
            lowest = middle + 1
    return lowest
