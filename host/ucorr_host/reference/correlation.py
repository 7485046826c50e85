"""Cross-correlation of two signals, exact and normalised, and where its peak lies."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from ucorr.arguments import flag, integer, two

from .checks import Ints, integers

__all__ = ["cross_correlate"]

MOST = 65535  # items of a signal


def cross_correlate(
    a: ArrayLike, b: ArrayLike, lags: Sequence[int] = (-64, 64), *, shift: int = 0, normalized: bool = False
) -> Ints:
    """r[k] = sum over n of a[n] * b[n + k] for each lag k, as scipy.signal.correlate(b, a) has them.

    a, b        (length,) of one dtype: int8, uint8 or int16; items outside are 0
    lags        (first, last), both less than length in size
    shift       -31..0: the sums times 2**shift, rounded to nearest with halves away from zero, limited to 32 bits
    normalized  True: over the root of the product of both energies, in Q15, as eq. 11 has it
    returns     int32, normalised int16, of shape (number of lags,)
    """
    a, b = integers("a", a, 1, True), integers("b", b, 1, True)
    if a.dtype not in (np.int8, np.uint8, np.int16):
        raise TypeError(f"a: dtype {a.dtype}, wanted int8, uint8 or int16")
    if b.dtype != a.dtype or b.shape != a.shape:
        raise ValueError(f"b: {b.dtype} of shape {b.shape}, wanted {a.dtype} of shape {a.shape}, as a")
    integer("a", a.size, 1, MOST)
    most = a.size - 1
    first, last = two("lags", lags, -most, most, "a pair (first, last)")
    integer("lags", last, first, most)
    normalized = flag("normalized", normalized)
    shift = integer("shift", shift, 0 if normalized else -31, 0)
    left, right = a.astype(np.int64), b.astype(np.int64)
    sums = []
    for lag in range(first, last + 1):
        begin, end = max(0, -lag), min(a.size, a.size - lag)
        sums.append(int(left[begin:end] @ right[begin + lag : end + lag]))
    if normalized:
        roots = [_root(int(x @ x)) for x in (left, right)]
        return np.array([_quotient(value, *roots) for value in sums], np.int16)
    half = 1 << -shift >> 1
    values = [int(math.copysign(1, value)) * ((abs(value) + half) >> -shift) for value in sums]
    return np.clip(values, -(1 << 31), (1 << 31) - 1).astype(np.int32)


def _root(energy: int) -> tuple[int, int]:
    """(floor(sqrt(energy * 4**e)), e) with the least e >= 0 that gives it 23 bits; (0, 0) for 0."""
    e = max(0, math.ceil((45 - energy.bit_length()) / 2)) if energy else 0
    return math.isqrt(energy << 2 * e), e


def _quotient(value: int, a: tuple[int, int], b: tuple[int, int]) -> int:
    """Equation 11, given both roots."""
    if not a[0] * b[0]:
        return 0
    size = min((abs(value) << 15 + a[1] + b[1]) // (a[0] * b[0]), 32767)
    return size if value >= 0 else -size
