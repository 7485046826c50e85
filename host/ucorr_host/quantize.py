"""Real numbers as integers: a layer's factor as (multiplier, shift), a float kernel as (ints, shift)."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from ucorr import weights
from ucorr.arguments import index_of, integer, refused, shown

from .reference.checks import reals


def _real(name: str, value: Any) -> float:
    """A number as a float; an infinity where it is too large for one. raises TypeError"""
    found = weights.number(value)
    if found is None:
        raise refused(name, value, "a real number")
    try:
        return float(found)
    except OverflowError:
        return math.inf if found > 0 else -math.inf


def quantize_multiplier(real: float) -> tuple[int, int]:
    """A factor as (multiplier, shift) with real ~ multiplier * 2**(shift - 31), as TFLite computes it.

    real        0 <= real <= 2**30 - 0.5; a layer's is input scale * kernel scale / output scale
    multiplier  2**30 .. 2**31 - 1, or 0 for a factor that is 0 or under 2**-32
    shift       -31..30, positive to the left
    raises      ValueError for negative, infinite or larger factors and NaN

    Follows QuantizeMultiplier of TensorFlow Lite's quantization_util.cc: halves away from zero, a
    mantissa that rounds up to 2**31 moves into the shift.
    """
    real = _real("real", real)
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
    real = _real("real", real)
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
    array = reals("values", values)
    ints, shift, _ = weights.quantize_kernel(array.reshape(-1).tolist(), bits_of(bits), "values")
    return np.array(ints, np.int32).reshape(array.shape), shift


def bits_of(bits: int) -> int:
    """How many bits a weight has, 8 or 16. raises TypeError, ValueError"""
    found = index_of(bits)
    if found is None:
        raise refused("bits", bits, "8 or 16")
    if found not in (8, 16):
        raise ValueError(f"bits: {shown(found)}, wanted 8 or 16")
    return found


def single_rounding_multiplier(
    factor: float | Fraction, lowest: int, highest: int, zero_point: int, low: int, high: int
) -> tuple[int, int]:
    """(multiplier, shift) that equation 8 gives the bits of a double with, for every accumulator of a range.

    factor           >= 0, as reference.requantize takes it: the product with single rounding, halves away from zero;
                     of a Fraction the product is exact
    lowest, highest  of the accumulators, |acc| * 2**max(shift, 0) < 2**31
    zero_point, low, high  of the output: beyond its range all accumulators are one
    raises           ValueError where no 31 bits do it

    Equation 8 and the double are both non-decreasing step functions of the accumulator; they are equal if each output
    begins at the same accumulator `first`. For that, (2*step - 1) * 2**(30 - shift) has to lie in ((first - 1) * m,
    first * m], which bounds m from both sides; the double itself lies within, so that the bounds are seldom too narrow
    for an integer. An output that begins beyond an end of the range bounds m at that end.
    """
    factor, lowest, highest, steps = _stairs(factor, lowest, highest, zero_point, low, high)
    if not steps:  # a range of one output, which every product ends in
        return 0, 0
    multiplier, shift = quantize_multiplier(float(factor))
    least, most = 0 if multiplier == 0 else 1 << 30, (1 << 31) - 1
    for step in steps:
        first, edge = _first(factor, step, lowest, highest), (2 * step - 1) << (30 - shift)
        for acc, inside in ((first, True), (first - 1, False)):
            # inside: acc * m >= edge, otherwise acc * m < edge
            if not lowest <= acc <= highest:
                continue
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


def thresholds_of(
    factor: float | Fraction, lowest: int, highest: int, zero_point: int, low: int, high: int
) -> list[int]:
    """The accumulators at which the outputs low + 1 .. high begin, what reference.thresholds compares with.

    Parameters as single_rounding_multiplier's. An output that begins below the range begins at `lowest`, one that none
    reaches at `highest` + 1.
    """
    factor, lowest, highest, steps = _stairs(factor, lowest, highest, zero_point, low, high)
    return [_first(factor, step, lowest, highest) for step in steps]


def _stairs(
    factor: Any, lowest: Any, highest: Any, zero_point: Any, low: Any, high: Any
) -> tuple[float | Fraction, int, int, range]:
    """The factor, the range of accumulators, and the rounded products at which an output begins, all checked."""
    factor = factor if isinstance(factor, Fraction) else _real("factor", factor)
    if not 0 <= factor <= 2.0**30 - 0.5:
        raise ValueError(f"factor: {factor}, wanted 0 <= factor <= 2**30 - 0.5")
    lowest = integer("lowest", lowest, -(1 << 31), 1 << 31)
    highest = integer("highest", highest, lowest, 1 << 31)
    low = integer("low", low, -(1 << 15), (1 << 16) - 1)
    high = integer("high", high, low, (1 << 16) - 1)
    zero_point = integer("zero_point", zero_point, -(1 << 15), (1 << 16) - 1)
    return factor, lowest, highest, range(low - zero_point + 1, high - zero_point + 1)


def _first(factor: float | Fraction, step: int, lowest: int, highest: int) -> int:
    """The least accumulator of a range whose product rounds to `step` or more, by halving; highest + 1: none."""

    def reached(acc: int) -> bool:
        product = acc * factor
        whole = math.trunc(product)
        return whole + (abs(product - whole) >= 0.5) * (1 if product > 0 else -1) >= step

    if not reached(highest):
        return highest + 1
    while lowest < highest:
        middle = (lowest + highest) // 2
        if reached(middle):
            highest = middle
        else:
            lowest = middle + 1
    return lowest
