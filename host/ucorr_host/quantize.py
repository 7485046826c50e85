"""Real numbers to integers: the factor of a layer as multiplier and shift, a float kernel as ints and shift."""

from __future__ import annotations

import math
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
