"""Pools and means: the greatest item or the mean of each window, the mean along axes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from ucorr.arguments import flag, integer, items_of, pair

from .checks import Ints, centre, integers
from .layers import check_kernel_fits, pads_of
from .scaling import activated, requantize

__all__ = ["average_pool2d", "max_pool2d", "mean"]


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
    greatest = _reduced(np.maximum, x, _axes(x, size, stride, padding), int(np.iinfo(x.dtype).min))
    return activated(greatest, 0, activation_min, activation_max, x.dtype)


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
    axes = _axes(x, size, stride, padding)
    acc = _reduced(np.add, x.astype(np.int64), axes, 0)
    count = _reduced(np.add, np.ones((*x.shape[-3:-1], 1), np.int64), axes, 0)
    quotient = (np.abs(acc) + count // 2) // count
    return activated(np.where(acc < 0, -quotient, quotient), 0, activation_min, activation_max, x.dtype)


def _axes(x: Ints, size: Any, stride: Any, padding: Any) -> list[tuple[int, int, int, int]]:
    """(windows, items of each, step, padding in front) along height and width."""
    size, stride = pair("size", size, 1, 65535), pair("stride", stride, 1, 65535)
    pads = pads_of(padding, x.shape[-3:-1], size, stride)
    check_kernel_fits("size", x.shape[-3:-1], pads, size)
    found = []
    for extent, pad, span, step in zip(x.shape[-3:-1], pads, size, stride, strict=True):
        if max(pad) >= span:
            raise ValueError(f"padding: {pads}, wanted less than the size {size}: no window without an item")
        found.append(((extent + sum(pad) - span) // step + 1, span, step, pad[0]))
    return found


def _reduced(function: np.ufunc, x: Ints, axes: list[tuple[int, int, int, int]], start: int) -> Ints:
    """Windows of x (..., height, width, channels) reduced to (..., height', width', channels), axis by axis.

    Each of the `span` places in a window is added to all windows at once that have an item of x there.
    """
    for axis, (count, span, step, before) in zip((-3, -2), axes, strict=True):
        x = np.moveaxis(x, axis, 0)
        out = np.full((count, *x.shape[1:]), start, x.dtype)
        for k in range(span):
            first = max(0, -((k - before) // step))  # the first window whose item k is not in front of x
            end = min(count, (len(x) - 1 + before - k) // step + 1)
            if first < end:
                items = x[first * step + k - before :: step][: end - first]
                function(out[first:end], items, out=out[first:end])
        x = np.moveaxis(out, 0, axis)
    return x


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
    if x.dtype.itemsize > 2:
        raise ValueError(f"x: dtype {x.dtype}, wanted 8 or 16 bits")
    several = items_of(axis) or (axis,)
    axes = tuple(sorted({integer("axis", a, -x.ndim, x.ndim - 1) % x.ndim for a in several}))
    keepdims = flag("keepdims", keepdims)
    count = math.prod(x.shape[a] for a in axes)
    if not count:
        raise ValueError(f"x: shape {x.shape}, wanted items along axis {axes}")
    multiplier, shift = mean_multiplier(multiplier, shift, count)
    acc = centre("x", x, "input_zero_point", input_zero_point).astype(np.int64).sum(axis=axes, keepdims=keepdims)
    reach = max(int(acc.max(initial=0)), -int(acc.min(initial=0))) << max(shift, 0)
    if reach >= 1 << 31:
        raise ValueError(f"shift: brings a sum of {count} items to {reach}, wanted less than 2**31")
    return requantize(acc, multiplier, shift, output_zero_point=output_zero_point, out_dtype=x.dtype)


def mean_multiplier(multiplier: int, shift: int, count: int) -> tuple[int, int]:
    """(multiplier, shift) of a sum of `count` items that stands for their mean, as TFLite's reduce.cc finds them.

    The quotient keeps its 31 bits: the multiplier goes up by the power of two under count before the division.
    """
    multiplier = integer("multiplier", multiplier, 0, (1 << 31) - 1)
    shift = integer("shift", shift, -31, 30)
    count = integer("count", count, 1, 1 << 31)
    up = min(count.bit_length() - 1, 32, 31 + shift)
    return (multiplier << up) // count, shift - up
