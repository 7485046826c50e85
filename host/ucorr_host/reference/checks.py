"""Checks of the reference's arguments: each function returns the value as an array or dtype, or raises.

NumPy raises various errors for a value that is no array or no dtype; these functions raise TypeError or ValueError
with one sentence that names the argument.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from ucorr.arguments import integer, refused

Ints = NDArray[Any]
DEPTH = 16  # levels of nested sequences: NumPy would look for the end of a list that holds itself


def array_of(name: str, value: Any) -> NDArray[Any]:
    """value as an array. raises TypeError for what can't be one"""
    level, depth = value, 0
    try:
        while isinstance(level, (list, tuple)) and level and depth <= DEPTH:
            level, depth = level[0], depth + 1
        if depth > DEPTH:
            raise ValueError
        return np.asarray(value)
    except Exception:
        raise refused(name, value, "an array or nested sequences of equal length") from None


def dtype_of(name: str, value: Any) -> np.dtype[Any]:
    """value as a dtype. raises TypeError"""
    try:
        if isinstance(value, (str, type, np.dtype)):  # not None, which NumPy takes for float64
            return np.dtype(value)
    except Exception:
        pass
    raise refused(name, value, "a dtype")


def reals(name: str, value: ArrayLike, ndim: int | None = None) -> NDArray[np.float64]:
    """value as finite float64s of ndim dimensions, None: of any. raises TypeError, ValueError naming it"""
    array = array_of(name, value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name}: dtype {array.dtype}, wanted real numbers")
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name}: {array.ndim} dimensions, wanted {ndim}")
    if array.size == 0 or not np.isfinite(array).all():
        raise ValueError(f"{name}: shape {array.shape}, wanted finite numbers, at least one")
    return array.astype(np.float64)


def integers(name: str, value: ArrayLike, ndim: int = 0, exactly: bool = False) -> Ints:
    """value as an integer array of at least, or exactly, ndim dimensions, none of the last ndim empty."""
    array = array_of(name, value)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name}: dtype {array.dtype}, wanted integers")
    if array.ndim < ndim or (exactly and array.ndim != ndim):
        raise ValueError(f"{name}: {array.ndim} dimensions, wanted {ndim}{'' if exactly else ' or more'}")
    if ndim and 0 in array.shape[-ndim:]:
        raise ValueError(f"{name}: shape {array.shape}, wanted no empty dimension")
    return array


def within(name: str, value: ArrayLike, low: int, high: int) -> Ints:
    """Per-channel integers as int64, each within low..high."""
    array = integers(name, value)
    if not array.size:
        raise ValueError(f"{name}: shape {array.shape}, wanted one integer or one per output channel")
    for extreme in (array.min(), array.max()):
        integer(name, extreme, low, high)
    return array.astype(np.int64)


def centre(name: str, values: Ints, zero_name: str, zero_point: int) -> Ints:
    """values - zero_point, in int32 for up to 16 bits and in int64 for more."""
    limits = np.iinfo(values.dtype)
    zero_point = integer(zero_name, zero_point, limits.min, limits.max)
    if values.dtype.itemsize <= 2:
        return values.astype(np.int32) - zero_point
    reach = max(int(values.max(initial=0)), -int(values.min(initial=0))) + abs(zero_point)
    if reach >= 1 << 62:
        raise ValueError(f"{name}: reaches {reach} with its zero point, wanted less than 2**62")
    values = values.astype(np.int64, copy=False)
    return values - zero_point if zero_point else values
