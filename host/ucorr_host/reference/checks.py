"""What the reference's functions are given: integers, of the dimensions and within the ranges they want."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from ucorr.spec import integer

Ints = NDArray[Any]


def integers(name: str, value: ArrayLike, ndim: int = 0, exactly: bool = False) -> Ints:
    """value as an integer array of at least, or exactly, ndim dimensions, none of the last ndim empty."""
    array = np.asarray(value)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name}: dtype {array.dtype}, wanted integers")
    if array.ndim < ndim or (exactly and array.ndim != ndim):
        raise ValueError(f"{name}: {array.ndim} dimensions, wanted {ndim}{'' if exactly else ' or more'}")
    if ndim and 0 in array.shape[-ndim:]:
        raise ValueError(f"{name}: shape {array.shape}, wanted no empty dimension")
    return array


def within(name: str, value: ArrayLike, low: int, high: int) -> Ints:
    """Per-channel integers as int64, each within low..high."""
    array = integers(name, value).astype(np.int64)
    for extreme in (array.min(), array.max()):
        integer(name, int(extreme), low, high)
    return array


def centre(name: str, values: Ints, zero_name: str, zero_point: int) -> Ints:
    """values - zero_point, in int32 for up to 16 bits and in int64 for more."""
    limits = np.iinfo(values.dtype)
    integer(zero_name, zero_point, int(limits.min), int(limits.max))
    if values.dtype.itemsize <= 2:
        return values.astype(np.int32) - zero_point
    reach = max(int(values.max(initial=0)), -int(values.min(initial=0))) + abs(zero_point)
    if reach >= 1 << 62:
        raise ValueError(f"{name}: reaches {reach} with its zero point, wanted less than 2**62")
    values = values.astype(np.int64, copy=False)
    return values - zero_point if zero_point else values
