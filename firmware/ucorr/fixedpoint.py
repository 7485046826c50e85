"""The arithmetic of ucorr: how an accumulator becomes an output, on plain ints.

    acc = bias + sum((x - input_zero_point) * (k - kernel_zero_point))          exact
    out = clamp(round(acc * multiplier * 2**(shift - 31)) + output_zero_point, lo, hi)

This module defines "round" for every backend; DESIGN.md derives the equations
that are numbered here. A board's small ints span -2**30 to 2**30 - 1; a larger
int is a heap object. While the shifted accumulator is a small int, so is every
intermediate value here: the multiplier is split into limbs.
"""

LIMITS = {
    "b": (-128, 127),
    "B": (0, 255),
    "h": (-32768, 32767),
    "H": (0, 65535),
    "i": (-2147483648, 2147483647),
}
ITEMSIZE = {"b": 1, "B": 1, "h": 2, "H": 2, "i": 4}


def clamp(value, lo, hi):
    """value, an int, limited to lo..hi."""
    if value < lo:
        return lo
    if value > hi:
        return hi
    return value


def rounding_shift(value, n, up=False):
    """value / 2**n, rounded to nearest, halves away from zero or up; 0 <= n <= 31.  (eq. 3, 8)

    Adding 2**(n-1) first could leave the small ints; the quotient rounded down plus
    the last bit that fell off it gives the same integer. A negative value is lowered
    by one, which turns "halves up" into "halves away from zero".
    """
    if n == 0:
        return value
    if value < 0 and not up:
        value -= 1
    return (value >> n) + ((value >> (n - 1)) & 1)


def limbs(multiplier):
    """0 <= multiplier < 2**31 as (low 10 bits, middle 10 bits, high 11 bits)."""
    return multiplier & 1023, (multiplier >> 10) & 1023, multiplier >> 20


def scale_high(value, m0, m1, m2, half=32):
    """floor((value * m + 2**30) / 2**31) for |value| < 2**31, m given as its limbs; half 0: without 2**30.  (eq. 2)

    value = v1 * 2**15 + v0. The partial products are added from the lowest weight
    up, each sum shifted to the next weight: floors nest exactly. With
    |value| < 2**30 each sum stays under 2**27 and v1 * m2 * 16 under 2**30.
    """
    v1 = value >> 15
    v0 = value & 32767
    t = (v0 * m0) >> 10  # weight 2**10
    t = (t + v0 * m1) >> 5  # 2**15
    t = (t + v1 * m0) >> 5  # 2**20
    t = (t + v0 * m2) >> 5  # 2**25
    t = (t + v1 * m1 + half) >> 6  # 2**31; 32 * 2**25 is the half
    return t + ((v1 * m2) << 4)  # 2**35 over 2**31


def half_of(rounding, shift):
    """What scale_high adds at weight 2**25: 32, the half of eq. 2, or 0 where single rounding leaves it to the shift
    to the right.  (eq. 2, 8)"""
    return 0 if rounding == "single" and shift < 0 else 32


def requantize(acc, multiplier, shift, zero_point=0, lo=-128, hi=127, rounding="double"):
    """The output for a 32-bit accumulator, with double rounding as TFLite's CONV_2D, or single.  (eq. 1-4, 8)

    acc         int, |acc| * 2**max(shift, 0) < 2**31
    multiplier  int, 0 <= multiplier < 2**31; None for a plain filter (one rounding, at the shift)
    shift       int, -31..30; positive is to the left
    zero_point, lo, hi  ints, added and then the range of the result
    rounding    "double" or "single"; a plain filter is "double"
    """
    value = acc << shift if shift > 0 else acc
    if multiplier is not None:
        m0, m1, m2 = limbs(multiplier)
        value = scale_high(value, m0, m1, m2, half_of(rounding, shift))
    if shift < 0:
        value = rounding_shift(value, -shift, rounding == "single")
    return clamp(value, lo - zero_point, hi - zero_point) + zero_point  # this order stays small


def reduced(multiplier):
    """The 15 bits of a multiplier that a 64-bit accumulator is scaled by, 0..32767.  (eq. 5)"""
    return 0x7FFF if multiplier >= 0x7FFF0000 else ((multiplier >> 15) + 1) >> 1


def requantize64(acc, multiplier, shift, zero_point=0, lo=-32768, hi=32767):
    """The output, of at most 16 bits, for a 64-bit accumulator, with TFLite's single rounding.  (eq. 6)

    acc         int, |acc| < 2**47
    multiplier  int, 0 <= multiplier < 2**31
    shift       int, -31..7
    zero_point, lo, hi  ints within -32768..65535

    acc = a1 * 2**15 + a0, and the product is high * 2**15 + its low 15 bits. Where
    high is shifted left, |high| > 2**21 means a result past any output's range, so
    high is limited to that and stays a small int.
    """
    m = reduced(multiplier)
    low = (acc & 32767) * m
    high = (acc >> 15) * m + (low >> 15)
    n = 15 - shift
    if n > 15:
        value = high >> (n - 16)
    else:
        value = (clamp(high, -(1 << 21), 1 << 21) << (16 - n)) + ((low & 32767) >> (n - 1))
    return clamp(((value + 1) >> 1) + zero_point, lo, hi)
