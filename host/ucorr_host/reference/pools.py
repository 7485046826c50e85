"""What windows and axes come down to: maximum, average, mean."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from ucorr.spec import integer, pair

from .checks import Ints, centre, integers
from .layers import check_kernel_fits, pads_of
from .scaling import activated, requantize


def max_pool2d(
    x: ArrayLike,
    size: Any,
    *,
    stride: Any = (1, 1),
    padding: Any = "valid",
    activation_min: int | None = None,
    activation_max: int | None = None,
) -> Ints:
    """The greatest item of each window, TFLite's MAX_POOL_2D.

    x (..., height, width, channels), size (h, w) of a window -> (..., height', width', channels) of x's dtype;
    padded items never win
    """
    x = integers("x", x, 3)
    windows, _ = _windows(x, size, stride, padding, int(np.iinfo(x.dtype).min))
    return activated(windows.max(axis=(-1, -2)), 0, activation_min, activation_max, x.dtype)


def average_pool2d(
    x: ArrayLike,
    size: Any,
    *,
    stride: Any = (1, 1),
    padding: Any = "valid",
    activation_min: int | None = None,
    activation_max: int | None = None,
) -> Ints:
    """The mean of each window's items, halves away from zero, TFLite's AVERAGE_POOL_2D: padded items don't count.

    x (..., height, width, channels), size (h, w) of a window -> (..., height', width', channels) of x's dtype
    """
    x = integers("x", x, 3)
    windows, counts = _windows(x.astype(np.int64), size, stride, padding, 0)
    acc = windows.sum(axis=(-1, -2))
    count = counts[..., None]
    quotient = (np.abs(acc) + count // 2) // count
    return activated(np.where(acc < 0, -quotient, quotient), 0, activation_min, activation_max, x.dtype)


def _windows(x: Ints, size: Any, stride: Any, padding: Any, outside: int) -> tuple[Ints, Ints]:
    """Windows (..., height', width', channels, h, w) of x, `outside` around it, and how many items of x each holds."""
    size, stride = pair("size", size, 1, 65535), pair("stride", stride, 1, 65535)
    pads = pads_of(padding, x.shape[-3:-1], size, stride)
    check_kernel_fits("size", x.shape[-3:-1], pads, size)
    for extent, pad in zip(size, pads, strict=True):
        if max(pad) >= extent:
            raise ValueError(f"padding: {pads}, wanted less than the size {size}: no window without an item")
    widths = [(0, 0)] * (x.ndim - 3) + [*pads, (0, 0)]
    view = np.lib.stride_tricks.sliding_window_view
    windows = view(np.pad(x, widths, constant_values=outside), size, axis=(-3, -2))
    inside = view(np.pad(np.ones(x.shape[-3:-1], np.int64), pads), size)
    return (
        windows[..., :: stride[0], :: stride[1], :, :, :],
        inside[:: stride[0], :: stride[1]].sum(axis=(-1, -2)),
    )


def mean(
    x: ArrayLike,
    axis: Any,
    *,
    multiplier: int,
    shift: int,
    keepdims: bool = False,
    input_zero_point: int = 0,
    output_zero_point: int = 0,
) -> Ints:
    """The mean along axes, TFLite's MEAN: the sum, times a multiplier that has the count in it.

    x                  (...) of 8 or 16 bits -> of x's dtype, without the axes or, with keepdims, 1 long there
    axis               int or tuple of ints, of x's dimensions
    multiplier, shift  of input scale / output scale; see mean_multiplier
    """
    x = integers("x", x, 1)
    axes = tuple(sorted({_axis(a, x.ndim) for a in np.atleast_1d(axis).tolist()}))
    multiplier, shift = mean_multiplier(multiplier, shift, math.prod(x.shape[a] for a in axes))
    acc = centre("x", x, "input_zero_point", input_zero_point).astype(np.int64).sum(axis=axes, keepdims=keepdims)
    return requantize(acc, multiplier, shift, output_zero_point=output_zero_point, out_dtype=x.dtype)


def mean_multiplier(multiplier: int, shift: int, count: int) -> tuple[int, int]:
    """(multiplier, shift) of a sum of `count` items that stands for their mean, as TFLite's reduce.cc finds them.

    The quotient keeps its 31 bits: the multiplier goes up by the power of two under count before the division.
    """
    integer("multiplier", multiplier, 0, (1 << 31) - 1)
    integer("shift", shift, -31, 30)
    integer("count", count, 1, 1 << 31)
    up = min(count.bit_length() - 1, 32, 31 + shift)
    return (multiplier << up) // count, shift - up


def _axis(axis: Any, ndim: int) -> int:
    return integer("axis", axis, -ndim, ndim - 1) % ndim
