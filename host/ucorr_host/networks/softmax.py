"""The table of exponentials that a Softmax on a board has, in integers as TFLite's int8 SOFTMAX takes them.

Written in Python ints from the definitions in gemmlowp's fixedpoint.h (Apache-2.0). The reference, which checks a
board's softmax, has an implementation of its own in NumPy.
"""

from __future__ import annotations

from ucorr.arguments import integer

ONE = (1 << 31) - 1  # 1 with 31 fractional bits, as near as 32 bits go
QUARTER = 1 << 24  # 1/4 with 26 fractional bits
EXP_OF_AN_EIGHTH = 1895147668  # exp(-1/8) with 31 fractional bits
THIRD = 715827883  # likewise
# exp(-1/4), exp(-1/2), exp(-1), ... exp(-16) with 31 fractional bits
FACTORS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)


def exponentials(multiplier: int, shift: int) -> list[int]:
    """exp(-n * beta * scale) for n = 0..255 with 31 fractional bits, 0 where n is past TFLite's diff_min.

    multiplier, shift  of beta * input scale * 2**26, shift 0..31: see softmax_multiplier in quantize.py
    """
    multiplier = integer("multiplier", multiplier, 0, ONE)
    shift = integer("shift", shift, 0, 31)
    steps_known = (31 << 26) >> shift  # what 5 integer bits hold
    return [_exp(_product(-n << shift, multiplier)) if n <= steps_known else 0 for n in range(256)]


def _product(a: int, b: int) -> int:
    """a * b / 2**31 to nearest, halves up: SaturatingRoundingDoublingHighMul."""
    product = a * b
    if product >= 0:
        return product + (1 << 30) >> 31
    return -(-(product + 1 - (1 << 30)) >> 31)  # towards zero


def _halved(value: int, n: int) -> int:
    """value / 2**n to nearest, halves away from zero: RoundingDivideByPOT."""
    half = 1 << n >> 1
    return value + half >> n if value >= 0 else -(-value + half >> n)


def _exp(a: int) -> int:
    """exp(a) with 31 fractional bits for a <= 0 with 26: exp_on_negative_values.

    a = b - c, b in [-1/4, 0) and c a multiple of 1/4: a polynomial around -1/8 for b, then a factor for each bit of c.
    """
    if a == 0:
        return ONE
    b = a % QUARTER - QUARTER
    x = (b << 5) + (1 << 28)
    x2 = _product(x, x)
    inner = _product(_halved(_product(x2, x2), 2) + _product(x2, x), THIRD) + x2
    result = EXP_OF_AN_EIGHTH + _product(x + _halved(inner, 1), EXP_OF_AN_EIGHTH)
    quarters = (b - a) // QUARTER
    for n, factor in enumerate(FACTORS):
        if quarters >> n & 1:
            result = _product(result, factor)
    return result
