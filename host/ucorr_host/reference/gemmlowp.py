"""Fixed-point functions of 32 bits as gemmlowp defines them, which TensorFlow Lite's softmax is made of.

A value with f fractional bits stands for raw / 2**f; everything is raw, in int64 so that products fit. Source:
gemmlowp's fixedpoint.h (Apache-2.0), of which this is the arithmetic without the types.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[Any]
ONE = (1 << 31) - 1  # 1 with 31 fractional bits, as near as 32 bits go

# exp(-2**n) with 31 fractional bits, n = -2 .. 4
EXPONENTIALS = (
    (-2, 1672461947),
    (-1, 1302514674),
    (0, 790015084),
    (1, 290630308),
    (2, 39332535),
    (3, 720401),
    (4, 242),
)
EXP_OF_AN_EIGHTH = 1895147668  # exp(-1/8)
THIRD = 715827883
FIRST_GUESS, ITS_SLOPE = 1515870810, -1010580540  # 48/17 and -32/17 with 29 fractional bits


def high_product(a: Ints, b: Any) -> Ints:
    """a * b / 2**31 to nearest, halves up: the upper half of the doubled product."""
    product = a * b
    nudged = np.where(product >= 0, product + (1 << 30), product + (1 - (1 << 30)))
    return np.where(nudged >= 0, nudged >> 31, -(-nudged >> 31))  # towards zero


def rounding_divide_by_power(value: Ints, n: Any) -> Ints:
    """value / 2**n to nearest, halves away from zero; n an int or an array."""
    half = (np.int64(1) << n) >> 1
    return (value + half - ((value < 0) & (half > 0))) >> n


def _saturated(value: Ints) -> Ints:
    return np.clip(value, -(1 << 31), ONE)


def exp_of_negative(a: Ints) -> Ints:
    """exp(a) with 31 fractional bits for a <= 0 with 26.

    a = b - c with b in [-1/4, 0) and c a multiple of 1/4: a polynomial for b, then a factor for each bit of c.
    """
    quarter = 1 << 24
    b = (a & (quarter - 1)) - quarter
    result = _exp_of_quarter(b << 5)
    rest = b - a
    for n, factor in EXPONENTIALS:
        result = np.where(rest & (1 << (26 + n)), high_product(result, factor), result)
    return np.where(a == 0, ONE, result)


def _exp_of_quarter(a: Ints) -> Ints:
    """exp(a) for a in [-1/4, 0), both with 31 fractional bits: four terms around -1/8."""
    x = a + (1 << 28)
    x2 = high_product(x, x)
    x3 = high_product(x2, x)
    x4 = high_product(x2, x2)
    inner = high_product(rounding_divide_by_power(x4, 2) + x3, THIRD) + x2
    return EXP_OF_AN_EIGHTH + high_product(x + rounding_divide_by_power(inner, 1), EXP_OF_AN_EIGHTH)


def reciprocal(value: Ints, fraction: int) -> tuple[Ints, Ints]:
    """1 / value as (raw of 31 fractional bits, n): raw * 2**-n; value > 0 with 31 - fraction fractional bits."""
    zeros = 31 - np.floor(np.log2(value.astype(np.float64))).astype(
        np.int64
    )  # leading ones of 32 bits; exact under 2**53
    above = (value << zeros) - (1 << 31)
    return _one_over_one_plus(above), fraction - zeros


def _one_over_one_plus(a: Ints) -> Ints:
    """1 / (1 + a) for a in [0, 1), both with 31 fractional bits: three Newton-Raphson steps from a line."""
    half = (a + ONE + 1) >> 1  # (1 + a) / 2, rounded
    x = FIRST_GUESS + high_product(half, ITS_SLOPE)  # 29 fractional bits
    for _ in range(3):
        error = (1 << 29) - high_product(half, x)
        x = _saturated(x + _saturated(high_product(x, error) << 2))
    return _saturated(x << 1)
