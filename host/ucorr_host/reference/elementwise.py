"""Elementwise functions: sums and products of two tensors, tables, softmax; and pad() and concatenate()."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from ucorr.arguments import integer, items_of, pair, refused

from . import gemmlowp
from .checks import Ints, centre, dtype_of, integers
from .scaling import activated, scaled32

__all__ = ["add", "concatenate", "lookup", "mul", "pad", "prelu", "rescale", "softmax", "sub", "thresholds"]

ROOM = {1: 20, 2: 15}  # bits that a sum's items are shifted up before they are scaled, by their size in bytes


def add(a: ArrayLike, b: ArrayLike, **options: Any) -> Ints:
    """a + b, limited to the dtype or to the activation range; with scales TFLite's ADD.

    a, b  integers of one dtype of 8 or 16 bits, shapes that numpy can broadcast
    options  a_multiplier, a_shift, b_multiplier, b_shift: each input's scale over twice the larger one;
           multiplier, shift: twice the larger scale over 2**20 (8 bits) or 2**15 (16 bits) of the output's;
           none of the six: all scales are equal;
           a_zero_point, b_zero_point, output_zero_point, activation_min, activation_max
    """
    return _sum(a, b, 1, **options)


def sub(a: ArrayLike, b: ArrayLike, **options: Any) -> Ints:
    """a - b, with scales TFLite's SUB; options as add's."""
    return _sum(a, b, -1, **options)


def _sum(
    a: ArrayLike,
    b: ArrayLike,
    sign: int,
    *,
    a_multiplier: int | None = None,
    a_shift: int | None = None,
    b_multiplier: int | None = None,
    b_shift: int | None = None,
    multiplier: int | None = None,
    shift: int | None = None,
    a_zero_point: int = 0,
    b_zero_point: int = 0,
    output_zero_point: int = 0,
    activation_min: int | None = None,
    activation_max: int | None = None,
) -> Ints:
    """Equation 9: each input under 2**30, scaled down to under 2**29, the sum under 2**30. Without scales, the sum."""
    a, b = _two(a, b)
    room = ROOM[a.dtype.itemsize]
    left = centre("a", a, "a_zero_point", a_zero_point).astype(np.int64)
    right = centre("b", b, "b_zero_point", b_zero_point).astype(np.int64)
    if all(value is None for value in (a_multiplier, a_shift, b_multiplier, b_shift, multiplier, shift)):
        return activated(left + sign * right, output_zero_point, activation_min, activation_max, a.dtype)
    left, right = left << room, right << room
    total = _factor(left, a_multiplier, a_shift, "a_", 0) + sign * _factor(right, b_multiplier, b_shift, "b_", 0)
    value = _factor(total, multiplier, shift, "", 0)
    return activated(value, output_zero_point, activation_min, activation_max, a.dtype)


def mul(
    a: ArrayLike,
    b: ArrayLike,
    *,
    multiplier: int,
    shift: int,
    a_zero_point: int = 0,
    b_zero_point: int = 0,
    output_zero_point: int = 0,
    activation_min: int | None = None,
    activation_max: int | None = None,
) -> Ints:
    """a * b, TFLite's MUL.

    a, b               as add's
    multiplier, shift  of the product of the input scales over the output's; |product| * 2**max(shift, 0) < 2**31
    """
    a, b = _two(a, b)
    product = centre("a", a, "a_zero_point", a_zero_point).astype(np.int64) * centre(
        "b", b, "b_zero_point", b_zero_point
    )
    value = _factor(product, multiplier, shift, "", 30)
    return activated(value, output_zero_point, activation_min, activation_max, a.dtype)


def prelu(
    a: ArrayLike,
    b: ArrayLike,
    *,
    a_multiplier: int,
    a_shift: int,
    multiplier: int,
    shift: int,
    a_zero_point: int = 0,
    b_zero_point: int = 0,
    output_zero_point: int = 0,
    activation_min: int | None = None,
    activation_max: int | None = None,
) -> Ints:
    """a from its zero point on, a * b below it: TFLite's PRELU, b being its alpha.

    a, b                   integers of one dtype of 8 bits, b of a shape that numpy broadcasts to a's
    a_multiplier, a_shift  of a's scale over the output's; |a| * 2**max(a_shift, 0) < 2**31
    multiplier, shift      as mul's
    """
    a, b = _two(a, b)
    if a.dtype.itemsize != 1:
        raise ValueError(f"a: dtype {a.dtype}, wanted 8 bits")
    value = centre("a", a, "a_zero_point", a_zero_point).astype(np.int64)
    product = np.minimum(value, 0) * centre("b", b, "b_zero_point", b_zero_point)
    if product.shape != value.shape:
        raise ValueError(f"b: shape {b.shape} beside {a.shape}, wanted one that broadcasts to it")
    above = _factor(np.maximum(value, 0), a_multiplier, a_shift, "a_", 30)
    scaled = np.where(value < 0, _factor(product, multiplier, shift, "", 30), above)
    return activated(scaled, output_zero_point, activation_min, activation_max, a.dtype)


def _two(a: ArrayLike, b: ArrayLike) -> tuple[Ints, Ints]:
    a, b = integers("a", a), integers("b", b)
    if a.dtype != b.dtype or a.dtype.itemsize not in ROOM:
        raise ValueError(f"b: dtype {b.dtype} beside {a.dtype}, wanted two of the same 8 or 16 bits")
    if any(m != n and 1 not in (m, n) for m, n in zip(a.shape[::-1], b.shape[::-1], strict=False)):
        raise ValueError(f"b: shape {b.shape} beside {a.shape}, wanted two that broadcast")
    return a, b


def _factor(value: Ints, multiplier: Any, shift: Any, prefix: str, most: int) -> Ints:
    """Equations 2 and 3 with one factor; shift up to `most` to the left."""
    multiplier = integer(prefix + "multiplier", multiplier, 0, (1 << 31) - 1)
    shift = integer(prefix + "shift", shift, -31, most)
    up = max(shift, 0)
    reach = max(int(value.max(initial=0)), -int(value.min(initial=0))) << up
    if reach >= 1 << 31:
        raise ValueError(f"{prefix}shift: {shift}, wanted one that keeps {reach} under 2**31")
    return scaled32(value << up, np.array(multiplier), np.array(up - shift))


def rescale(
    x: ArrayLike,
    *,
    multiplier: int,
    shift: int,
    negative_multiplier: int | None = None,
    negative_shift: int = 0,
    input_zero_point: int = 0,
    output_zero_point: int = 0,
    activation_min: int | None = None,
    activation_max: int | None = None,
    out_dtype: DTypeLike | None = None,
) -> Ints:
    """x in another scale, TFLite's QUANTIZE; with an activation range its RELU family, with a second factor LEAKY_RELU.

    x                  8 or 16 bits -> the same shape, of out_dtype (None: x's)
    multiplier, shift  of input scale / output scale
    negative_*         for items below the zero point, None: the same
    """
    x = integers("x", x)
    value = centre("x", x, "input_zero_point", input_zero_point).astype(np.int64)
    scaled = _factor(value, multiplier, shift, "", 30)
    if negative_multiplier is not None:
        below = _factor(np.minimum(value, 0), negative_multiplier, negative_shift, "negative_", 30)
        scaled = np.where(value < 0, below, scaled)
    dtype = x.dtype if out_dtype is None else dtype_of("out_dtype", out_dtype)
    if dtype.kind not in "iu" or dtype.itemsize > 2:
        raise ValueError(f"out_dtype: {dtype}, wanted int8, uint8, int16 or uint16")
    return activated(scaled, output_zero_point, activation_min, activation_max, dtype)


def lookup(x: ArrayLike, table: ArrayLike) -> Ints:
    """table[x - least x], item by item: any function of an int8 (or uint8).  x 8 bits, table (256,) -> table's dtype"""
    x, table = integers("x", x), integers("table", table, 1, exactly=True)
    if x.dtype.itemsize != 1:
        raise ValueError(f"x: dtype {x.dtype}, wanted 8 bits")
    if table.shape != (256,):
        raise ValueError(f"table: {len(table)} items, wanted 256")
    return table[x.astype(np.int64) - int(np.iinfo(x.dtype).min)]


def thresholds(x: ArrayLike, table: ArrayLike, least: int = -128) -> Ints:
    """least + the number of the channel's thresholds that are <= x, item by item; int8.

    x      int32 (..., channels)
    table  ascending (count,) or (1, count) for all channels, or (channels, count); least + count <= 127
    """
    x, table = integers("x", x, 1), integers("table", table)
    if x.dtype != np.int32:
        raise ValueError(f"x: dtype {x.dtype}, wanted int32")
    if table.ndim not in (1, 2) or (table.ndim == 2 and len(table) not in (1, x.shape[-1])):
        raise ValueError(f"table: shape {table.shape}, wanted (count,) or ({x.shape[-1]}, count)")
    least = integer("least", least, -128, 127 - table.shape[-1])
    if (np.diff(table.astype(np.int64)) < 0).any():
        raise ValueError("table: items that fall, wanted ascending ones")
    rows = np.broadcast_to(table, (x.shape[-1], table.shape[-1]))
    columns = [np.searchsorted(row, x[..., channel], side="right") for channel, row in enumerate(rows)]
    return (np.stack(columns, axis=-1) + least).astype(np.int8)


def softmax(x: ArrayLike, *, multiplier: int, shift: int) -> Ints:
    """exp(x) over the sum of all exp(x) along the last axis, scale 1/256, zero point -128; TFLite's int8 SOFTMAX.

    x                  int8 (..., classes)
    multiplier, shift  of beta * input scale * 2**26, shift 0..31: see softmax_multiplier in quantize.py
    """
    x = integers("x", x, 1)
    if x.dtype != np.int8:
        raise ValueError(f"x: dtype {x.dtype}, wanted int8")
    exponentials = softmax_table(multiplier, shift)
    raised = exponentials[x.max(axis=-1, keepdims=True).astype(np.int64) - x]
    total = gemmlowp.rounding_divide_by_power(raised, 12).sum(axis=-1, keepdims=True)
    reciprocal, bits = gemmlowp.reciprocal(total, 12)
    scaled = gemmlowp.high_product(reciprocal, raised)
    value = gemmlowp.rounding_divide_by_power(scaled, bits + 31 - 8)
    # an item too far below the greatest has no exponential, and no half to round up
    return np.where(raised == 0, -128, np.clip(value - 128, -128, 127)).astype(np.int8)


def softmax_table(multiplier: int, shift: int) -> Ints:
    """exp(-n * beta * scale) for n = 0..255 with 31 fractional bits, 0 where n is past TFLite's diff_min; int64."""
    multiplier = integer("multiplier", multiplier, 0, (1 << 31) - 1)
    shift = integer("shift", shift, 0, 31)
    steps = np.arange(256)
    least = (31 << 26) >> shift  # what 5 integer bits hold
    known = steps <= least
    rescaled = gemmlowp.high_product(-(steps * known).astype(np.int64) << shift, np.int64(multiplier))
    return np.where(known, gemmlowp.exp_of_negative(rescaled), 0)


def pad(x: ArrayLike, padding: Any, value: int = 0) -> Ints:
    """x with `value` around it, TFLite's PAD and PADV2; padding ((before, after), ...), one pair per last dimension."""
    x = integers("x", x)
    pairs = items_of(padding)
    if pairs is None:
        raise refused("padding", padding, "a pair (before, after) for each dimension")
    widths = [pair("padding", pads, 0, 1 << 24) for pads in pairs]
    if len(widths) > x.ndim:
        raise ValueError(f"padding: {len(widths)} pairs, wanted at most x's {x.ndim} dimensions")
    limits = np.iinfo(x.dtype)
    value = integer("value", value, limits.min, limits.max)
    return np.pad(x, [(0, 0)] * (x.ndim - len(widths)) + widths, constant_values=value)


def concatenate(*parts: ArrayLike, axis: int) -> Ints:
    """Tensors of one dtype and scale after each other along an axis, TFLite's CONCATENATION."""
    arrays = [integers("parts", part, 1) for part in parts]
    if len({array.dtype for array in arrays}) != 1:
        raise ValueError(f"parts: dtypes {' '.join(str(array.dtype) for array in arrays)}, wanted one")
    shapes = [array.shape for array in arrays]
    axis = integer("axis", axis, -len(shapes[0]), len(shapes[0]) - 1) % len(shapes[0])
    if len({(len(shape), *shape[:axis], *shape[axis + 1 :]) for shape in shapes}) != 1:
        raise ValueError(f"parts: shapes {' '.join(map(str, shapes))}, wanted ones that differ along axis {axis} alone")
    return np.concatenate(arrays, axis)
